/* Opening a log: its end, a torn tail against damage, files that are short, missing or left over, another version. */
#include <stdlib.h>

#include "lv_test.h"
#include "store/crc.h"
#include "store/wal.h"
#include "support/sim_dir.h"

#define FILE_BYTES (UINT64_C(2) << 20) /* more than the piece that is read at a time */
#define RING_BYTES ((size_t)8 << 20)
#define ID UINT64_C(0x0123456789abcdef)
#define TYPE LV_REC_FIRST
#define SIZE 1000u /* of a payload */
#define RECORDS_MAX 8192u

struct log {
    struct sim_dir *disk;
    struct lv_wal *wal;
    struct lv_wal_report report;
    lv_lsn at[RECORDS_MAX]; /* of what was appended, by number */
    uint32_t count;
    lv_lsn stable; /* known from elsewhere */
    /* what was found */
    uint32_t found[RECORDS_MAX], found_count;
};

static struct lv_bytes payload_of(uint32_t number)
{
    static uint8_t buf[SIZE];

    memset(buf, (int)number | 1, sizeof(buf));
    lv_put_be32(buf, number);
    return lv_bytes(buf, sizeof(buf));
}

static enum lv_err see(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct log *l = ctx;
    uint32_t number = lv_be32(payload.ptr);

    (void)lsn;
    CHECK_EQ(type, TYPE);
    CHECK(lv_bytes_eq(payload, payload_of(number)));
    CHECK(l->found_count < RECORDS_MAX);
    l->found[l->found_count++] = number;
    return LV_OK;
}

static enum lv_err try_open(struct log *l, lv_lsn from, lv_lsn clean_end, bool read_only)
{
    struct lv_wal_config config = { .dir = sim_dir_door(l->disk),
                                    .name = "messages",
                                    .id = ID,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = RING_BYTES,
                                    .appenders = 1 };

    lv_wal_free(l->wal);
    l->found_count = 0;
    CHECK_EQ(lv_wal_new(&config, &l->wal), LV_OK);
    struct lv_wal_known known = { .from = from, .clean_end = clean_end, .stable = l->stable };
    return lv_wal_open(l->wal, &known, read_only, see, l, &l->report);
}

static void reopen(struct log *l)
{
    CHECK_EQ(try_open(l, 0, 0, false), LV_OK);
}

static struct log *log_new(struct sim_dir *disk)
{
    struct log *l = calloc(1, sizeof(*l));

    if (l == NULL)
        abort();
    l->disk = disk != NULL ? disk : sim_dir_new();
    return l;
}

static void log_free(struct log *l)
{
    lv_wal_free(l->wal);
    sim_dir_free(l->disk);
    free(l);
}

static void append(struct log *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct lv_bytes part = payload_of(l->count);
        CHECK(l->count < RECORDS_MAX);
        CHECK_EQ(lv_wal_append(l->wal, 0, TYPE, &part, 1, &l->at[l->count++], NULL), LV_OK);
    }
}

static void make_files(struct log *l)
{
    while (lv_wal_wants_file(l->wal))
        CHECK_EQ(lv_wal_make_file(l->wal), LV_OK);
}

static void commit(struct log *l)
{
    bool did;

    make_files(l);
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
}

static void mark(struct log *l)
{
    CHECK_EQ(lv_wal_mark(l->wal), LV_OK);
    commit(l);
}

/* `n` records, synced, marked. */
static void fill(struct log *l, uint32_t n)
{
    reopen(l);
    while (n > 0) {
        uint32_t some = LV_MIN(n, 500u);
        append(l, some);
        commit(l);
        n -= some;
    }
    mark(l);
}

static void scribble(struct log *l, lv_lsn lsn, struct lv_bytes bytes)
{
    char name[LV_FILE_NAME_MAX + 1];

    lv_wal_file_name(l->wal, lsn / FILE_BYTES, name);
    CHECK_EQ(sim_dir_damage(l->disk, name, lsn % FILE_BYTES, bytes), LV_OK);
}

static void shorten(struct log *l, lv_lsn lsn)
{
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *f;

    lv_wal_file_name(l->wal, lsn / FILE_BYTES, name);
    CHECK_EQ(lv_dir_open_file(sim_dir_door(l->disk), name, LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_resize(f, lsn % FILE_BYTES), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    lv_file_close(f);
}

static void remove_file(struct log *l, uint64_t number)
{
    char name[LV_FILE_NAME_MAX + 1];

    lv_wal_file_name(l->wal, number, name);
    CHECK_EQ(lv_dir_unlink(sim_dir_door(l->disk), name), LV_OK);
}

/* Found: all up to `until`, but for [lost_from, lost_to). */
static void check_found(const struct log *l, uint32_t until, uint32_t lost_from, uint32_t lost_to)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < until; i++) {
        if (i >= lost_from && i < lost_to)
            continue;
        CHECK(at < l->found_count);
        CHECK_EQ(l->found[at], i);
        at++;
    }
    CHECK_EQ(l->found_count, at);
}

/* Everything behind the log's end is zeros, in every file (L4). */
static void check_zeros_behind(struct log *l)
{
    static uint8_t buf[FILE_BYTES];
    lv_lsn end = lv_wal_tail(l->wal);

    for (uint64_t n = end / FILE_BYTES; n < end / FILE_BYTES + 64; n++) {
        char name[LV_FILE_NAME_MAX + 1];
        struct lv_file *f;
        size_t got;
        lv_wal_file_name(l->wal, n, name);
        if (lv_dir_open_file(sim_dir_door(l->disk), name, LV_FILE_READ, &f) != LV_OK)
            continue;
        CHECK_EQ(lv_file_read(f, 0, buf, sizeof(buf), &got), LV_OK);
        lv_file_close(f);
        for (size_t i = n == end / FILE_BYTES ? end % FILE_BYTES : 0; i < got; i++)
            CHECK_EQ(buf[i], 0);
    }
}

/* Goes on behind what was found, and all of it is there the next time. */
static void check_goes_on(struct log *l)
{
    uint32_t was = l->found_count;

    append(l, 10);
    mark(l);
    reopen(l);
    CHECK_EQ(l->found_count, was + 10);
    CHECK_EQ(l->report.torn_bytes, 0);
}

/* ---- the end ---- */

LV_TEST(nothing_there)
{
    struct log *l = log_new(NULL);

    reopen(l);
    CHECK_EQ(l->report.end, FILE_BYTES); /* 0 is no record's */
    CHECK_EQ(lv_wal_current_file(l->wal), 1);
    check_goes_on(l);
    log_free(l);
}

LV_TEST(all_of_it)
{
    struct log *l = log_new(NULL);

    fill(l, 5000);
    lv_lsn end = lv_wal_tail(l->wal);
    CHECK_EQ(end / FILE_BYTES, 3);
    reopen(l);
    check_found(l, 5000, 0, 0);
    CHECK_EQ(l->report.end, end);
    CHECK_EQ(l->report.damage_count, 0);
    CHECK_EQ(l->report.torn_bytes, 0);
    CHECK_EQ(try_open(l, l->at[3000], 0, false), LV_OK); /* from a checkpoint */
    CHECK_EQ(l->found[0], 3000);
    CHECK_EQ(l->found_count, 2000);
    CHECK_EQ(try_open(l, l->at[3000], end, false), LV_OK); /* and up to a stop in order */
    CHECK_EQ(l->found_count, 2000);
    reopen(l);
    check_goes_on(l);
    log_free(l);
}

LV_TEST(read_only_changes_nothing)
{
    struct log *l = log_new(NULL);

    fill(l, 100);
    scribble(l, lv_wal_tail(l->wal), LV_BYTES_LIT("half a record"));
    uint64_t ops = sim_dir_count_ops(l->disk);
    CHECK_EQ(try_open(l, 0, 0, true), LV_OK);
    check_found(l, 100, 0, 0);
    CHECK_EQ(l->report.torn_bytes, 16);
    CHECK_EQ(sim_dir_count_ops(l->disk), ops);
    log_free(l);
}

/* ---- a torn tail ---- */

LV_TEST(a_torn_tail_is_cut)
{
    struct log *l = log_new(NULL);

    fill(l, 100);
    lv_lsn end = lv_wal_tail(l->wal);
    append(l, 20);
    bool did;
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
    scribble(l, l->at[110] + 99, LV_BYTES_LIT("?")); /* the write that nobody was told of */
    l->count = 110;
    reopen(l);
    check_found(l, 110, 0, 0);
    CHECK_EQ(l->report.end, end + 10 * lv_wal_rec_size(SIZE));
    CHECK_EQ(l->report.torn_bytes, 10 * lv_wal_rec_size(SIZE));
    CHECK_EQ(l->report.damage_count, 0);
    check_zeros_behind(l);
    check_goes_on(l);
    log_free(l);
}

/* A large batch went over the edge of a file. Of its first megabyte there nothing arrived, of what follows everything: it
 * may not stay where it could be taken for what is appended later. */
LV_TEST(a_reordered_tail_in_the_next_file)
{
    struct log *l = log_new(NULL), *after;
    struct lv_rng rng = lv_rng_seed(1);
    static const uint8_t zeros[(1u << 20) + 8192];
    bool did;

    fill(l, 2000);
    make_files(l);
    append(l, 1800); /* into the second megabyte of file 2 */
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
    CHECK(l->at[3799] > 2 * FILE_BYTES + sizeof(zeros) + 2000);
    after = log_new(sim_dir_cut(l->disk, &rng, SIM_CUT_ALL));
    lv_wal_free(l->wal);
    l->wal = NULL;
    reopen(after); /* for the names only */
    scribble(after, 2 * FILE_BYTES, lv_bytes(zeros, sizeof(zeros)));
    scribble(after, l->at[2050], lv_bytes(zeros, 4096));
    memcpy(after->at, l->at, sizeof(l->at));
    after->count = 2050;
    reopen(after);
    check_found(after, 2050, 0, 0);
    CHECK_EQ(after->report.damage_count, 0);
    check_zeros_behind(after);
    /* The new log comes exactly to where an old record stood. */
    while (lv_wal_tail(after->wal) < 2 * FILE_BYTES + sizeof(zeros) + 3000)
        append(after, 1);
    commit(after);
    uint32_t count = after->count;
    reopen(after);
    check_found(after, count, 0, 0);
    CHECK_EQ(after->report.torn_bytes, 0);
    log_free(after);
    log_free(l);
}

/* A record that is left over from elsewhere, whole, right behind the end. */
LV_TEST(records_of_another_place_or_log)
{
    struct log *l = log_new(NULL);
    static uint8_t raw[2048];
    struct lv_wal_reader *reader;
    size_t got;

    fill(l, 100);
    CHECK_EQ(lv_wal_reader_new(l->wal, &reader), LV_OK);
    CHECK_EQ(lv_wal_read(reader, l->at[7], raw, lv_wal_rec_size(SIZE), &got), LV_OK);
    lv_wal_reader_free(reader);
    scribble(l, lv_wal_tail(l->wal), lv_bytes(raw, got));
    scribble(l, 3 * FILE_BYTES, lv_bytes(raw, got)); /* a file that is ready and not used */
    reopen(l);
    check_found(l, 100, 0, 0);
    CHECK_EQ(l->report.damage_count, 0);
    CHECK(l->report.torn_bytes != 0);
    check_zeros_behind(l);
    log_free(l);
}

/* ---- damage ---- */

LV_TEST(damage_before_a_mark)
{
    struct log *l = log_new(NULL);

    fill(l, 5000);
    scribble(l, l->at[40] + 500, LV_BYTES_LIT("?"));
    scribble(l, l->at[2500] + 5, LV_BYTES_LIT("\xff\xff\xff")); /* a length that is none */
    scribble(l, l->at[4000], LV_BYTES_LIT("\0\0\0\0\0\0\0\0\0\0\0\0"));
    reopen(l);
    CHECK_EQ(l->report.damage_count, 3);
    CHECK_EQ(l->report.damage[0].from, l->at[40]);
    CHECK_EQ(l->report.damage[0].to, l->at[41]);
    CHECK_EQ(l->report.damage[1].from, l->at[2500]);
    CHECK_EQ(l->report.damage[1].to, l->at[2501]);
    CHECK_EQ(l->report.damage[2].from, l->at[4000]);
    CHECK_EQ(l->found_count, 4997);
    check_goes_on(l);
    CHECK_EQ(l->report.damage_count, 3); /* nothing was repaired, nothing cut */
    log_free(l);
}

LV_TEST(damage_before_a_clean_end)
{
    struct log *l = log_new(NULL);

    reopen(l);
    append(l, 300);
    commit(l);
    lv_lsn end = lv_wal_tail(l->wal);
    scribble(l, l->at[290] + 10, LV_BYTES_LIT("?"));
    CHECK_EQ(try_open(l, 0, end, false), LV_OK); /* no mark says it; the stop in order does */
    check_found(l, 300, 290, 291);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.end, end);
    log_free(l);
}

/* A checkpoint names a place behind it: the log was stable up to there, and may not end before it. */
LV_TEST(damage_before_what_a_checkpoint_names)
{
    struct log *l = log_new(NULL);
    static const uint8_t zeros[10000];

    reopen(l);
    append(l, 300);
    commit(l);
    l->stable = l->at[290];
    scribble(l, l->at[280] + 10, LV_BYTES_LIT("?"));
    reopen(l);
    check_found(l, 300, 280, 281);
    CHECK_EQ(l->report.damage_count, 1);
    scribble(l, l->at[285], lv_bytes(zeros, l->at[293] - l->at[285])); /* it too */
    reopen(l);
    CHECK_EQ(l->found_count, 300 - 1 - 8);
    CHECK_EQ(l->report.damage_count, 2);
    CHECK_EQ(l->report.torn_bytes, 0);
    log_free(l);
}

LV_TEST(damage_up_to_the_end)
{
    struct log *l = log_new(NULL);
    static const uint8_t zeros[20000];

    reopen(l);
    append(l, 300);
    commit(l);
    lv_lsn end = lv_wal_tail(l->wal);
    scribble(l, l->at[285], lv_bytes(zeros, end - l->at[285]));
    CHECK_EQ(try_open(l, 0, end, false), LV_OK);
    check_found(l, 285, 0, 0);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.damage[0].from, l->at[285]);
    CHECK_EQ(l->report.damage[0].to, end);
    CHECK_EQ(lv_wal_tail(l->wal), end); /* nothing is written over what may be rescued */
    log_free(l);
}

LV_TEST(a_damaged_head)
{
    struct log *l = log_new(NULL);
    static const uint8_t zeros[64];

    for (unsigned how = 0; how < 2; how++) {
        fill(l, how == 0 ? 5000 : 10);
        scribble(l, 2 * FILE_BYTES + how * 20, how == 0 ? lv_bytes(zeros, 64) : LV_BYTES_LIT("?"));
        reopen(l);
        check_found(l, l->count, 0, 0); /* the records say themselves where they are */
        CHECK_EQ(l->report.damage_count, 1);
        CHECK_EQ(l->report.damage[0].from, 2 * FILE_BYTES);
        CHECK_EQ(l->report.damage[0].to, 2 * FILE_BYTES + LV_WAL_FILE_HEAD);
    }
    log_free(l);
}

/* Zeros where the beginning of a file was, more than is read at a time. */
LV_TEST(a_zeroed_beginning)
{
    struct log *l = log_new(NULL);
    static const uint8_t zeros[3u << 19];

    fill(l, 5000);
    scribble(l, 2 * FILE_BYTES, lv_bytes(zeros, sizeof(zeros)));
    reopen(l);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.damage[0].from, 2 * FILE_BYTES);
    CHECK(l->report.damage[0].to >= 2 * FILE_BYTES + sizeof(zeros) &&
          l->report.damage[0].to < 2 * FILE_BYTES + sizeof(zeros) + 2000);
    uint32_t lost = 0;
    for (uint32_t i = 0; i < 5000; i++)
        lost += l->at[i] >= 2 * FILE_BYTES && l->at[i] < l->report.damage[0].to;
    CHECK_EQ(l->found_count, 5000 - lost);
    log_free(l);
}

/* ---- files that are not whole ---- */

LV_TEST(a_short_file_was_whole_once)
{
    struct log *l = log_new(NULL);

    for (unsigned how = 0; how < 3; how++) { /* an old one; the current one; it, down to nothing */
        struct log *other = log_new(NULL);
        fill(other, 5000);
        uint32_t cut = how == 0 ? 3000 : how == 1 ? 4500 : 0;
        for (uint32_t i = 0; how == 2 && cut == 0; i++)
            cut = other->at[i] / FILE_BYTES == 3 ? i : 0;
        shorten(other, how == 2 ? 3 * FILE_BYTES : other->at[cut] + 77);
        uint32_t lost_to = cut;
        while (lost_to < 5000 && other->at[lost_to] / FILE_BYTES == other->at[cut] / FILE_BYTES)
            lost_to++;
        reopen(other);
        check_found(other, 5000, cut, lost_to);
        CHECK_EQ(other->report.damage_count, 1);
        CHECK_EQ(other->report.damage[0].from, how == 2 ? 3 * FILE_BYTES : other->at[cut]);
        check_goes_on(other);
        CHECK(lv_wal_tail(other->wal) > other->report.damage[0].to);
        log_free(other);
    }
    log_free(l);
}

/* The newest file of all, in use, with none made behind it (a full disk), and short. */
LV_TEST(a_short_newest_file)
{
    struct log *l = log_new(NULL);
    bool did;

    reopen(l);
    append(l, 300);
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
    shorten(l, l->at[200]);
    reopen(l);
    check_found(l, 200, 0, 0);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.end, 2 * FILE_BYTES);
    check_goes_on(l);
    log_free(l);
}

/* One that was never used: it was being made when the power went. */
LV_TEST(a_file_half_made)
{
    struct log *l = log_new(NULL);

    fill(l, 100);
    shorten(l, 3 * FILE_BYTES + 4096);
    reopen(l);
    check_found(l, 100, 0, 0);
    CHECK_EQ(l->report.damage_count, 0);
    check_goes_on(l);
    log_free(l);
}

LV_TEST(a_missing_file)
{
    struct log *l = log_new(NULL);
    uint32_t first = 0, behind = 0;

    fill(l, 5000);
    while (l->at[first] / FILE_BYTES < 2)
        first++;
    while (l->at[behind] / FILE_BYTES < 3)
        behind++;
    remove_file(l, 2);
    reopen(l);
    check_found(l, 5000, first, behind);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.damage[0].from, 2 * FILE_BYTES);
    CHECK_EQ(l->report.damage[0].to, 3 * FILE_BYTES + LV_WAL_FILE_HEAD);
    check_goes_on(l);
    remove_file(l, lv_wal_current_file(l->wal)); /* those made ahead of it tell */
    reopen(l);
    CHECK_EQ(l->report.damage_count, 1);
    CHECK_EQ(l->report.damage[0].to, 4 * FILE_BYTES);
    CHECK_EQ(lv_wal_tail(l->wal), 4 * FILE_BYTES);
    log_free(l);
}

/* ---- another version ---- */

static void put_format(struct log *l, uint32_t format)
{
    uint8_t head[LV_WAL_FILE_HEAD];
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *f;
    size_t got;

    lv_wal_file_name(l->wal, 1, name);
    CHECK_EQ(lv_dir_open_file(sim_dir_door(l->disk), name, LV_FILE_READ, &f), LV_OK);
    CHECK_EQ(lv_file_read(f, 0, head, sizeof(head), &got), LV_OK);
    lv_file_close(f);
    lv_put_be32(head + 8, format);
    lv_put_be32(head + 40, lv_crc32c(lv_bytes(head, 40), 0));
    CHECK_EQ(sim_dir_damage(l->disk, name, 0, lv_bytes(head, sizeof(head))), LV_OK);
}

LV_TEST(an_unknown_version_is_refused)
{
    struct log *l = log_new(NULL);

    fill(l, 100);
    put_format(l, LV_WAL_FORMAT + 1);
    uint64_t ops = sim_dir_count_ops(l->disk);
    CHECK_EQ(try_open(l, 0, 0, false), LV_EVERSION);
    CHECK_EQ(sim_dir_count_ops(l->disk), ops); /* and nothing was changed */
    put_format(l, LV_WAL_FORMAT);
    reopen(l);
    check_found(l, 100, 0, 0);
    log_free(l);
}

/* ---- names ---- */

LV_TEST(other_names_are_left_alone)
{
    struct log *l = log_new(NULL);
    static const char *const names[] = {
        "messages-1.log",           "messages-000000000g.log",  "messages-0000000001.log.bak",
        "messagesx-0000000002.log", "messages-00000000010.log", "topology-0000000009.log"
    };
    struct lv_file *f;

    for (size_t i = 0; i < LV_ARRAY_LEN(names); i++) {
        CHECK_EQ(lv_dir_open_file(sim_dir_door(l->disk), names[i], LV_FILE_WRITE | LV_FILE_CREATE,
                                  &f),
                 LV_OK);
        lv_file_close(f);
    }
    fill(l, 10);
    reopen(l);
    check_found(l, 10, 0, 0);
    CHECK_EQ(lv_wal_first_file(l->wal), 1);
    log_free(l);
}

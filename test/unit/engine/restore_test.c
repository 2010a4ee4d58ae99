/* engine/restore.h: what records come to when some of them are missing, or make no sense. */
#include "engine/restore.h"

#include <stdlib.h>

#include "engine/page_priv.h"
#include "engine/state_priv.h"
#include "lv_test.h"
#include "support/sim_dir.h"

#define FILE_BYTES (UINT64_C(256) << 10)
#define QUEUE UINT64_C(1)

struct log {
    struct sim_dir *disk;
    struct lv_wal *wal;
    struct lv_wal_reader *reader;
    struct lv_journal j;
    struct lv_recovery *r;
    struct lv_recovery_facts facts;
    uint64_t seqs[4096];
    uint64_t places[4096];
    size_t count;
};

static enum lv_err ignore(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx;
    (void)type;
    (void)lsn;
    (void)payload;
    return LV_OK;
}

static void open_log(struct log *l, lv_wal_visit *visit, void *ctx)
{
    struct lv_wal_known known = { 0 };
    struct lv_wal_report report;

    CHECK_EQ(lv_wal_open(l->wal, &known, false, visit, ctx, &report), LV_OK);
}

static void make_log(struct log *l)
{
    struct lv_wal_config config = { .dir = sim_dir_door(l->disk),
                                    .name = "messages",
                                    .id = 5,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = FILE_BYTES,
                                    .appenders = 1 };

    CHECK_EQ(lv_wal_new(&config, &l->wal), LV_OK);
    CHECK_EQ(lv_wal_reader_new(l->wal, &l->reader), LV_OK);
    CHECK_EQ(lv_journal_init(&l->j, l->wal, 0, NULL, NULL, NULL), LV_OK);
}

static void close_log(struct log *l)
{
    lv_recovery_free(l->r);
    l->r = NULL;
    lv_journal_fini(&l->j);
    lv_wal_reader_free(l->reader);
    lv_wal_free(l->wal);
}

static void begin(struct log *l)
{
    *l = (struct log){ .disk = sim_dir_new() };
    make_log(l);
    open_log(l, ignore, NULL);
}

static void end(struct log *l)
{
    close_log(l);
    sim_dir_free(l->disk);
}

static lv_lsn put(struct log *l, uint8_t type, const void *payload, size_t bytes)
{
    struct lv_bytes part = lv_bytes(payload, bytes);
    lv_lsn lsn;
    bool did;

    CHECK_EQ(lv_wal_append(l->wal, 0, type, &part, 1, &lsn, NULL), LV_OK);
    while (lv_wal_wants_file(l->wal))
        CHECK_EQ(lv_wal_make_file(l->wal), LV_OK);
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
    return lsn;
}

/* Numbers of 8 bytes, one behind the other. */
static lv_lsn put_numbers(struct log *l, uint8_t type, const uint64_t *numbers, size_t count)
{
    uint8_t text[8 * 64];

    for (size_t i = 0; i < count; i++)
        lv_put_be64(text + 8 * i, numbers[i]);
    return put(l, type, text, 8 * count);
}
#define PUT(l, type, ...)                                 \
    put_numbers((l), (type), (uint64_t[]){ __VA_ARGS__ }, \
                sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* A persistent message without names, of four bytes. */
static uint64_t put_message(struct log *l, uint64_t id, uint64_t seq, bool is_moved)
{
    uint8_t text[44] = { 0 };
    struct lv_rec_message m;

    lv_put_be64(text, id);
    lv_put_be64(text + 8, seq);
    text[24] = is_moved ? 3 : 1;
    lv_put_be32(text + 32, 4);
    CHECK(lv_rec_message_parse(lv_bytes(text, sizeof(text)), &m));
    return lv_rec_message_place(&m, put(l, LV_REC_MESSAGE, text, sizeof(text)));
}

static void each(void *ctx, uint64_t seq, uint64_t place, bool redelivered)
{
    struct log *l = ctx;

    (void)redelivered;
    CHECK(l->count < LV_ARRAY_LEN(l->seqs));
    l->seqs[l->count] = seq;
    l->places[l->count++] = place;
}

/* Walks all of it. */
static void recover(struct log *l, uint64_t next_id, bool is_damaged)
{
    close_log(l);
    make_log(l);
    l->count = 0;
    CHECK_EQ(lv_recovery_new(&l->j, l->reader, false, &l->r), LV_OK);
    lv_recovery_topology(l->r, next_id, is_damaged);
    CHECK_EQ(lv_recovery_queue(l->r, QUEUE), LV_OK);
    open_log(l, lv_recovery_visit, l->r);
    CHECK_EQ(lv_recovery_end(l->r), LV_OK);
    lv_recovery_facts(l->r, &l->facts);
    CHECK_EQ(lv_recovery_walk(l->r, QUEUE, each, l), LV_OK);
}

/* ---- carried forward ---- */

LV_TEST(a_moved_message_speaks_for_itself)
{
    struct log l;

    begin(&l);
    uint64_t place = put_message(&l, QUEUE, 7, true); /* the one before it is lost */
    recover(&l, 2, false);
    CHECK_EQ(l.count, 1);
    CHECK(l.seqs[0] == 7 && l.places[0] == place);
    PUT(&l, LV_REC_DROP, QUEUE, 7, 1);
    recover(&l, 2, false);
    CHECK_EQ(l.count, 0);
    end(&l);
}

LV_TEST(a_moved_message_of_an_open_transaction)
{
    struct log l;

    begin(&l);
    uint64_t body = put_message(&l, LV_QUEUE_ID_NONE, 0, false);
    /* transaction 9: one enter, no drop */
    PUT(&l, LV_REC_TX, 9, UINT64_C(1) << 32, QUEUE, 7, body);
    uint64_t place = put_message(&l, QUEUE, 7, true);
    recover(&l, 2, false);
    CHECK_EQ(l.count, 0);
    CHECK_EQ(l.facts.open_tx, 1);
    PUT(&l, LV_REC_COMMIT, 9);
    recover(&l, 2, false);
    CHECK_EQ(l.count, 1);
    CHECK(l.places[0] == body || l.places[0] == place);
    end(&l);
}

/* ---- queues that the topology does not know ---- */

static int64_t alive(const struct log *l)
{
    int64_t refs = 0;

    for (size_t i = 0; i < 64; i++)
        refs += l->j.live[i].refs;
    return refs;
}

LV_TEST(an_unknown_queue_is_one_that_was_deleted)
{
    struct log l;

    begin(&l);
    (void)put_message(&l, 2, 0, false);
    recover(&l, 3, false);
    CHECK_EQ(l.facts.unknown_queues, 0);
    CHECK_EQ(alive(&l), 0);
    CHECK_EQ(l.facts.next_id, 3);
    end(&l);
}

LV_TEST(unless_the_topology_is_damaged)
{
    struct log l;

    begin(&l);
    (void)put_message(&l, 2, 0, false);
    (void)put_message(&l, 2, 1, false);
    PUT(&l, LV_REC_DROP, 2, 0, 1);
    recover(&l, 3, true);
    CHECK_EQ(l.facts.unknown_queues, 1);
    CHECK_EQ(l.facts.unknown_messages, 1);
    CHECK_EQ(alive(&l), 1);
    end(&l);
}

LV_TEST(or_has_lost_its_end)
{
    struct log l;

    begin(&l);
    (void)put_message(&l, 5, 0, false); /* no message is stable whose queue is not */
    recover(&l, 2, false);
    CHECK_EQ(l.facts.unknown_queues, 1);
    CHECK_EQ(alive(&l), 1);
    CHECK_EQ(l.facts.next_id, 6);
    end(&l);
}

/* ---- what makes no sense ---- */

LV_TEST(places_that_are_none)
{
    struct log l;
    static const uint64_t places[] = { 0, 0x1000, 0x1002, 1 };

    begin(&l);
    for (size_t i = 0; i < LV_ARRAY_LEN(places); i++) {
        PUT(&l, LV_REC_ENTER, QUEUE, i, places[i]);
        PUT(&l, LV_REC_TX, 0, UINT64_C(1) << 32, QUEUE, 10 + i, places[i]);
        /* a state: part 0, the last; seq_next 5; one entry */
        PUT(&l, LV_REC_STATE, QUEUE, 1, 0, 5, 0, UINT64_C(1) << 32 | 1, places[i], 4 * 4 + 2);
    }
    recover(&l, 2, false);
    CHECK_EQ(l.count, 0);
    CHECK_EQ(l.facts.damaged, 3 * LV_ARRAY_LEN(places));
    CHECK_EQ(alive(&l), 0);
    end(&l);
}

LV_TEST(states_that_make_no_sense)
{
    struct log l;

    begin(&l);
    uint64_t place = put_message(&l, QUEUE, 0, false);
    /* out of order; not logged; a number that was never given */
    PUT(&l, LV_REC_STATE, QUEUE, 1, 0, 5, 0, UINT64_C(1) << 32 | 2, place, 3 * 4 + 2, place, 2);
    PUT(&l, LV_REC_STATE, QUEUE, 1, 0, 5, 0, UINT64_C(1) << 32 | 1, place, 0);
    PUT(&l, LV_REC_STATE, QUEUE, 1, 0, 5, 0, UINT64_C(1) << 32 | 1, place, 5 * 4 + 2);
    /* a page of more than lie between its ends */
    PUT(&l, LV_REC_STATE, QUEUE, 1, 0, 90, 0, UINT64_C(2) << 32 | 9, place, 2, 4 * 4 + 2, 100);
    recover(&l, 2, false);
    CHECK_EQ(l.count, 1); /* what was known stays known */
    CHECK_EQ(l.places[0], place);
    CHECK_EQ(l.facts.damaged, 4);
    end(&l);
}

/* ---- pages ---- */

/* 300 messages in a page that a state names; then the page is damaged, and maybe some of the messages. */
static void with_page(struct log *l, unsigned lost)
{
    static struct lv_entry entries[300];
    static uint8_t text[LV_PAGE_BYTES_MAX];
    uint64_t bytes = 0;

    begin(l);
    for (uint32_t i = 0; i < 300; i++) {
        entries[i].place = put_message(l, QUEUE, i, false);
        entries[i].order = lv_order_make(i) | LV_ORDER_LOGGED;
        bytes += lv_class_bytes(lv_place_class(entries[i].place));
    }
    lv_lsn lsn = put(l, LV_REC_PAGE, text, lv_page_write(text, QUEUE, entries, 300));
    PUT(l, LV_REC_STATE, QUEUE, 1, 0, 300, 0, UINT64_C(2) << 32 | 300, lsn | LV_PLACE_IN_LOG,
        entries[0].order, entries[299].order, bytes);
    for (unsigned i = 0; i <= lost; i++) {
        lv_lsn at = i == 0 ? lsn + 100 : lv_place_lsn(entries[10 * i].place) + 9;
        CHECK_EQ(sim_dir_damage(l->disk, "messages-0000000001.log", at % FILE_BYTES,
                                LV_BYTES_LIT("?")),
                 LV_OK);
    }
    PUT(l, LV_REC_MARK, lv_wal_stable(l->wal));
    recover(l, 2, false);
}

LV_TEST(a_damaged_page_is_put_together_again)
{
    struct log l;

    with_page(&l, 0);
    CHECK_EQ(l.count, 300);
    for (uint32_t i = 0; i < 300; i++)
        CHECK_EQ(l.seqs[i], i);
    CHECK(l.facts.damaged != 0 && l.facts.damaged == l.facts.rescued);
    end(&l);
}

LV_TEST(a_page_and_some_of_its_messages)
{
    struct log l;

    with_page(&l, 4);
    CHECK_EQ(l.count, 296);
    CHECK_EQ(l.facts.rescued, 0);
    CHECK(l.facts.damaged != 0);
    end(&l);
}

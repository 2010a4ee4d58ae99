/* The simulated directory: what lasts, what may last, and what never happens. */
#include "support/sim_dir.h"

#include <pthread.h>
#include <stdio.h>

#include "lv_test.h"
#include "os/file.h"

static struct lv_file *create(struct sim_dir *sim, const char *name)
{
    struct lv_file *f;

    CHECK_EQ(lv_dir_open_file(sim_dir_door(sim), name, LV_FILE_WRITE | LV_FILE_CREATE, &f), LV_OK);
    return f;
}

/* A file that is on the disk, name and all, and holds `text`. */
static struct lv_file *settled(struct sim_dir *sim, const char *name, const char *text)
{
    struct lv_file *f = create(sim, name);
    struct lv_bytes part = lv_bytes_str(text);

    CHECK_EQ(lv_file_write(f, 0, &part, 1), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    CHECK_EQ(lv_dir_sync(sim_dir_door(sim)), LV_OK);
    return f;
}

static void put(struct lv_file *f, uint64_t at, const char *text)
{
    struct lv_bytes part = lv_bytes_str(text);

    CHECK_EQ(lv_file_write(f, at, &part, 1), LV_OK);
}

static void fill(struct lv_file *f, uint64_t at, uint8_t byte, size_t bytes)
{
    static uint8_t buf[65536];
    struct lv_bytes part = lv_bytes(buf, bytes);

    CHECK(bytes <= sizeof(buf));
    memset(buf, byte, bytes);
    CHECK_EQ(lv_file_write(f, at, &part, 1), LV_OK);
}

/* Reads the whole file; SIZE_MAX: there is none. */
static size_t contents(struct sim_dir *sim, const char *name, uint8_t *buf, size_t max)
{
    struct lv_file *f;
    size_t got;
    enum lv_err err = lv_dir_open_file(sim_dir_door(sim), name, LV_FILE_READ, &f);

    if (err == LV_ENOTFOUND)
        return SIZE_MAX;
    CHECK_EQ(err, LV_OK);
    CHECK_EQ(lv_file_read(f, 0, buf, max, &got), LV_OK);
    lv_file_close(f);
    return got;
}

static void check_is(struct sim_dir *sim, const char *name, const char *wanted)
{
    uint8_t buf[1000];
    size_t got = contents(sim, name, buf, sizeof(buf));

    if (wanted == NULL) {
        CHECK_EQ(got, SIZE_MAX);
        return;
    }
    CHECK_EQ(got, strlen(wanted));
    CHECK_MEM(buf, wanted, got);
}

static struct sim_dir *cut(struct sim_dir *sim, enum sim_cut mode)
{
    struct lv_rng rng = lv_rng_seed(1);

    return sim_dir_cut(sim, &rng, mode);
}

static void check_cut(struct sim_dir *sim, enum sim_cut mode, const char *name, const char *wanted)
{
    struct sim_dir *after = cut(sim, mode);

    check_is(after, name, wanted);
    sim_dir_free(after);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(size_t *)ctx;
}

static size_t count_names(struct sim_dir *sim)
{
    size_t count = 0;

    CHECK_EQ(lv_dir_list(sim_dir_door(sim), count_name, &count), LV_OK);
    return count;
}

LV_TEST(it_is_a_directory)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_dir *d = sim_dir_door(sim);
    struct lv_file *f = create(sim, "a"), *other;
    struct lv_bytes parts[] = { LV_BYTES_LIT("ab"), { NULL, 0 }, LV_BYTES_LIT("cd") };
    char buf[8];
    uint64_t size;
    size_t got;

    CHECK_EQ(lv_dir_open_file(d, "b", LV_FILE_READ, &other), LV_ENOTFOUND);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE | LV_FILE_CREATE, &other), LV_EEXISTS);
    CHECK(other == NULL);
    CHECK_EQ(lv_file_write(f, 4094, parts, 3), LV_OK); /* across two pages */
    CHECK_EQ(lv_file_read(f, 4092, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 6);
    CHECK_MEM(buf, "\0\0abcd", 6);
    CHECK_EQ(lv_file_resize(f, 4095), LV_OK);
    CHECK_EQ(lv_file_reserve(f, 10000), LV_OK);
    CHECK_EQ(lv_file_reserve(f, 10), LV_OK);
    CHECK_EQ(lv_file_size(f, &size), LV_OK);
    CHECK_EQ(size, 10000);
    CHECK_EQ(lv_file_read(f, 4094, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 8);
    CHECK_MEM(buf, "a\0\0\0\0\0\0\0", 8);
    CHECK_EQ(lv_file_read(f, 10000, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 0);
    CHECK_EQ(lv_dir_rename(d, "x", "y"), LV_ENOTFOUND);
    CHECK_EQ(lv_dir_unlink(d, "x"), LV_ENOTFOUND);
    CHECK_EQ(lv_dir_rename(d, "a", "b"), LV_OK);
    CHECK_EQ(lv_dir_open_file(d, "b", LV_FILE_READ, &other), LV_OK);
    CHECK_EQ(lv_file_write(other, 0, parts, 1), LV_EIO); /* opened to read only */
    CHECK_EQ(lv_dir_unlink(d, "b"), LV_OK);
    CHECK_EQ(lv_file_read(other, 4094, buf, 1, &got), LV_OK); /* an open file outlives its name */
    CHECK_EQ(buf[0], 'a');
    CHECK_EQ(count_names(sim), 0);
    lv_file_close(other);
    lv_file_close(f);
    lv_dir_close(d);
    sim_dir_free(sim);
    sim_dir_free(NULL);
}

LV_TEST(only_synced_contents_last)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "one");

    put(f, 3, "two");
    check_cut(sim, SIM_CUT_NONE, "a", "one");
    check_cut(sim, SIM_CUT_ALL, "a", "onetwo");
    check_cut(sim, SIM_CUT_NAMES_LOST, "a", "onetwo");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    put(f, 0, "NEW");
    check_cut(sim, SIM_CUT_NONE, "a", "onetwo");
    check_cut(sim, SIM_CUT_ALL, "a", "NEWtwo");
    CHECK_EQ(lv_file_resize(f, 1), LV_OK);
    check_cut(sim, SIM_CUT_NONE, "a", "onetwo");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    for (unsigned mode = 0; mode < SIM_CUT_COUNT; mode++)
        check_cut(sim, (enum sim_cut)mode, "a", "N");
    lv_file_close(f);
    sim_dir_free(sim);
}

LV_TEST(only_synced_names_last)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_dir *d = sim_dir_door(sim);
    struct lv_file *f = create(sim, "a");

    put(f, 0, "text");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    check_cut(sim, SIM_CUT_NONE, "a", NULL); /* synced, and yet gone */
    check_cut(sim, SIM_CUT_ALL, "a", "text");
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    check_cut(sim, SIM_CUT_NONE, "a", "text");
    CHECK_EQ(lv_dir_rename(d, "a", "b"), LV_OK);
    check_cut(sim, SIM_CUT_NAMES_LOST, "a", "text");
    check_cut(sim, SIM_CUT_NAMES_LOST, "b", NULL);
    check_cut(sim, SIM_CUT_ALL, "b", "text");
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    CHECK_EQ(lv_dir_unlink(d, "b"), LV_OK);
    check_cut(sim, SIM_CUT_NONE, "b", "text");
    check_cut(sim, SIM_CUT_ALL, "b", NULL);
    lv_file_close(f);
    f = create(sim, "b"); /* the same name, another file */
    put(f, 0, "new");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    check_cut(sim, SIM_CUT_NAMES_LOST, "b", "text");
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    check_cut(sim, SIM_CUT_NONE, "b", "new");
    lv_file_close(f);
    sim_dir_free(sim);
}

/* A file that replaces another is the old or the new one, never none. */
LV_TEST(a_rename_is_whole)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *old = settled(sim, "a", "old"), *f = create(sim, "a.new");
    struct lv_rng rng = lv_rng_seed(3);
    unsigned seen[2] = { 0 };

    put(f, 0, "new");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    CHECK_EQ(lv_dir_rename(sim_dir_door(sim), "a.new", "a"), LV_OK);
    for (unsigned i = 0; i < 400; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &rng, SIM_CUT_ANY);
        uint8_t buf[8];
        CHECK_EQ(contents(after, "a", buf, sizeof(buf)), 3);
        seen[buf[0] == 'n']++;
        CHECK_MEM(buf, buf[0] == 'n' ? "new" : "old", 3);
        sim_dir_free(after);
    }
    CHECK(seen[0] > 20 && seen[1] > 20);
    lv_file_close(old);
    lv_file_close(f);
    sim_dir_free(sim);
}

/* Across files and names, the first n as called: no later one without an earlier one. */
LV_TEST(a_prefix_keeps_the_order)
{
    enum { STEPS = 6 };
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *files[STEPS], *log = settled(sim, "log", "");
    struct lv_rng rng = lv_rng_seed(4);
    unsigned seen[2 * STEPS + 1] = { 0 };

    for (unsigned i = 0; i < STEPS; i++) {
        char name[2] = { (char)('a' + i), '\0' };
        put(log, i, "x");
        files[i] = create(sim, name);
    }
    for (unsigned i = 0; i < 2000; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &rng, SIM_CUT_PREFIX);
        uint8_t buf[STEPS];
        size_t written = contents(after, "log", buf, sizeof(buf));
        size_t names = count_names(after) - 1;
        CHECK(names == written || names + 1 == written);
        seen[written + names]++;
        sim_dir_free(after);
    }
    for (unsigned i = 0; i < LV_ARRAY_LEN(seen); i++)
        CHECK(seen[i] > 0);
    for (unsigned i = 0; i < STEPS; i++)
        lv_file_close(files[i]);
    lv_file_close(log);
    sim_dir_free(sim);
}

/* Three writes over one range: each sector shows one of the four ages, sectors differ, and none shows a mixture. */
LV_TEST(sectors_come_at_any_age)
{
    enum { SECTORS = 16, BYTES = SECTORS * 512 };
    static uint8_t buf[BYTES + 1];
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "");
    struct lv_rng rng = lv_rng_seed(5);
    unsigned seen[4] = { 0 }, mixed = 0;

    fill(f, 0, 0, BYTES);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    for (uint8_t age = 1; age <= 3; age++)
        fill(f, 0, age, BYTES);
    for (unsigned i = 0; i < 300; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &rng, SIM_CUT_SECTORS);
        CHECK_EQ(contents(after, "a", buf, sizeof(buf)), BYTES);
        for (size_t s = 0; s < SECTORS; s++) {
            CHECK(buf[s * 512] <= 3);
            seen[buf[s * 512]]++;
            for (size_t b = 1; b < 512; b++)
                CHECK_EQ(buf[s * 512 + b], buf[s * 512]);
        }
        mixed += buf[0] != buf[512 * 7];
        sim_dir_free(after);
    }
    for (unsigned age = 0; age < 4; age++)
        CHECK(seen[age] > 300);
    CHECK(mixed > 100);
    lv_file_close(f);
    sim_dir_free(sim);
}

/* Small records in one sector: a later one never stands there without the earlier ones. */
LV_TEST(a_sector_is_a_moment)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "");
    struct lv_rng rng = lv_rng_seed(6);
    char buf[101];
    size_t got;

    CHECK_EQ(lv_file_reserve(f, 4096), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    for (unsigned i = 0; i < 10; i++)
        put(f, i * 10, "0123456789");
    for (unsigned i = 0; i < 300; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &rng, SIM_CUT_SECTORS);
        struct lv_file *g;
        CHECK_EQ(lv_dir_open_file(sim_dir_door(after), "a", LV_FILE_READ, &g), LV_OK);
        CHECK_EQ(lv_file_read(g, 0, buf, 100, &got), LV_OK);
        CHECK_EQ(got, 100);
        buf[got] = '\0';
        size_t len = strlen(buf);
        CHECK_EQ(len % 10, 0);
        for (size_t b = len; b < 100; b++)
            CHECK_EQ(buf[b], 0);
        lv_file_close(g);
        sim_dir_free(after);
    }
    lv_file_close(f);
    sim_dir_free(sim);
}

/* Only bytes of the unsynced write are torn: what was synced beside them in the same sector is whole. */
LV_TEST(torn_writes_spare_what_was_synced)
{
    enum { SYNCED = 1000, WRITTEN = 9000 };
    static uint8_t buf[SYNCED + WRITTEN + 1];
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "");
    struct lv_rng rng = lv_rng_seed(7);
    unsigned torn = 0, old = 0, whole_head = 0;

    fill(f, 0, 's', SYNCED);
    CHECK_EQ(lv_file_reserve(f, SYNCED + WRITTEN), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    fill(f, SYNCED, 'w', WRITTEN);
    for (unsigned i = 0; i < 500; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &rng, SIM_CUT_TORN);
        CHECK_EQ(contents(after, "a", buf, sizeof(buf)), SYNCED + WRITTEN);
        for (size_t b = 0; b < SYNCED; b++)
            CHECK_EQ(buf[b], 's');
        size_t last = (SYNCED + WRITTEN - 1) / 4096 * 4096, good = SYNCED;
        while (good < SYNCED + WRITTEN && buf[good] == 'w')
            good++;
        CHECK(good >= last);
        whole_head += good > last;
        torn += good < SYNCED + WRITTEN;
        old += good < SYNCED + WRITTEN && buf[good] == 0;
        sim_dir_free(after);
    }
    CHECK(torn > 400 && whole_head > 300);
    CHECK(old > 100 && old < torn - 50); /* zeros in some, junk in others */
    lv_file_close(f);
    sim_dir_free(sim);
}

LV_TEST(sizes_may_come_without_bytes)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "abc");
    struct sim_dir *after;
    uint8_t buf[10];

    put(f, 2, "XYZ");
    after = cut(sim, SIM_CUT_ZEROS);
    CHECK_EQ(contents(after, "a", buf, sizeof(buf)), 5);
    CHECK_MEM(buf, "abc\0\0", 5);
    sim_dir_free(after);
    lv_file_close(f);
    sim_dir_free(sim);
}

/* Cut short and written again: no cut shows the old end behind the new beginning. */
LV_TEST(what_was_cut_off_stays_away)
{
    static uint8_t buf[70000];
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "");
    struct lv_rng rng = lv_rng_seed(8);
    unsigned seen_old = 0, seen_new = 0;

    fill(f, 0, 'o', 40000);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    CHECK_EQ(lv_file_resize(f, 700), LV_OK);
    CHECK_EQ(lv_file_resize(f, 5000), LV_OK);
    fill(f, 1000, 'n', 50000);
    for (unsigned i = 0; i < 1000; i++) {
        static const enum sim_cut modes[] = { SIM_CUT_PREFIX, SIM_CUT_SECTORS, SIM_CUT_ZEROS };
        struct sim_dir *after = sim_dir_cut(sim, &rng, modes[i % LV_ARRAY_LEN(modes)]);
        size_t got = contents(after, "a", buf, sizeof(buf));
        bool is_old = got == 40000;
        for (size_t b = 0; b < got; b++)
            if (b < 700 || is_old)
                CHECK_EQ(buf[b], 'o');
            else
                CHECK(buf[b] == 'n' || buf[b] == 0);
        seen_old += is_old;
        seen_new += got == 51000;
        sim_dir_free(after);
    }
    CHECK(seen_old > 50 && seen_new > 50);
    lv_file_close(f);
    sim_dir_free(sim);
}

LV_TEST(it_stops_where_told)
{
    static const struct {
        enum sim_point point;
        uint64_t nth;
        const char *lasting;
    } stops[] = {
        { SIM_BEFORE_SYNC, 4, "ab" }, { SIM_AFTER_SYNC, 4, "abc" }, { SIM_BEFORE_SYNC, 1, NULL },
        { SIM_AFTER_SYNC, 1, NULL },  { SIM_AFTER_SYNC, 2, "a" },   { SIM_BEFORE_OP, 5, "a" },
        { SIM_AFTER_OP, 6, "ab" },    { SIM_BEFORE_OP, 1, NULL },   { SIM_AFTER_SYNC, 0, "abcd" },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(stops); i++) {
        struct sim_dir *sim = sim_dir_new();
        struct lv_file *f;
        bool ok = true;
        unsigned acked = 0;

        sim_dir_stop_at(sim, stops[i].point, stops[i].nth);
        ok = lv_dir_open_file(sim_dir_door(sim), "a", LV_FILE_WRITE | LV_FILE_CREATE, &f) ==
             LV_OK;                        /* 1 */
        for (unsigned c = 0; c < 4; c++) { /* operations 2 3 (4: directory), 5 6, 7 8, 9 10 */
            struct lv_bytes part = lv_bytes(&"abcd"[c], 1);
            ok = ok && lv_file_write(f, c, &part, 1) == LV_OK && lv_file_sync(f) == LV_OK;
            if (c == 0)
                ok = ok && lv_dir_sync(sim_dir_door(sim)) == LV_OK;
            acked += ok;
        }
        CHECK_EQ(sim_dir_is_stopped(sim), stops[i].nth != 0);
        struct sim_dir *after = cut(sim, SIM_CUT_NONE);
        check_is(after, "a", stops[i].lasting);
        CHECK_EQ(acked, stops[i].lasting != NULL ? strlen(stops[i].lasting) : 0);
        sim_dir_free(after);
        if (sim_dir_is_stopped(sim)) {
            uint64_t n;
            size_t names = 0;
            CHECK_EQ(lv_dir_list(sim_dir_door(sim), count_name, &names), LV_EIO);
            CHECK_EQ(lv_dir_space(sim_dir_door(sim), &n, &n), LV_EIO);
            CHECK_EQ(lv_dir_unlink(sim_dir_door(sim), "a"), LV_EIO);
        } else {
            CHECK_EQ(sim_dir_count_ops(sim), 10);
            CHECK_EQ(sim_dir_count_syncs(sim), 5);
        }
        lv_file_close(f);
        sim_dir_free(sim);
    }
}

struct watch {
    unsigned before, after;
    unsigned confirmed; /* bytes that a sync has returned for, as a store would report them */
    struct lv_rng rng;
};

/* Cuts at every point of a run: what was confirmed by then is there. */
static void look(void *ctx, struct sim_dir *sim, enum sim_op op, bool is_done)
{
    struct watch *w = ctx;
    uint8_t buf[100];

    (void)op;
    w->before += !is_done;
    w->after += is_done;
    for (unsigned i = 0; i < 20; i++) {
        struct sim_dir *after = sim_dir_cut(sim, &w->rng, SIM_CUT_ANY);
        size_t got = contents(after, "log", buf, sizeof(buf));
        CHECK(w->confirmed == 0 || (got != SIZE_MAX && got >= w->confirmed));
        for (size_t b = 0; b < w->confirmed; b++)
            CHECK_EQ(buf[b], 'r');
        sim_dir_free(after);
    }
}

LV_TEST(one_run_is_cut_everywhere)
{
    struct sim_dir *sim = sim_dir_new();
    struct watch w = { .rng = lv_rng_seed(9) };

    sim_dir_hook(sim, look, &w);
    struct lv_file *f = create(sim, "log");
    CHECK_EQ(lv_dir_sync(sim_dir_door(sim)), LV_OK);
    for (unsigned i = 0; i < 40; i++) {
        put(f, i, "r");
        if (i % 3 == 2) {
            CHECK_EQ(lv_file_sync(f), LV_OK);
            w.confirmed = i + 1;
        }
    }
    CHECK_EQ(w.before, sim_dir_count_ops(sim));
    CHECK_EQ(w.after, w.before);
    sim_dir_hook(sim, NULL, NULL);
    lv_file_close(f);
    sim_dir_free(sim);
}

/* What a kernel does after an error of the disk: the second sync succeeds, and the bytes are gone. */
LV_TEST(a_sync_that_failed_is_not_mended_by_another)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "one");

    put(f, 3, "two");
    sim_dir_fail_sync_at(sim, 3);
    CHECK_EQ(lv_file_sync(f), LV_EIO);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    check_is(sim, "a", "onetwo");
    check_cut(sim, SIM_CUT_ALL, "a", "one");
    put(f, 6, "x");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    struct sim_dir *after = cut(sim, SIM_CUT_NONE);
    uint8_t buf[10];
    CHECK_EQ(contents(after, "a", buf, sizeof(buf)), 7);
    CHECK_MEM(buf, "one\0\0\0x", 7);
    sim_dir_free(after);
    lv_file_close(f);
    sim_dir_free(sim);
}

LV_TEST(the_disk_is_full)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = create(sim, "a");
    uint64_t avail, total;
    struct lv_bytes part = LV_BYTES_LIT("x");

    sim_dir_set_space(sim, 100000);
    CHECK_EQ(lv_file_reserve(f, 90000), LV_OK);
    CHECK_EQ(lv_dir_space(sim_dir_door(sim), &avail, &total), LV_OK);
    CHECK_EQ(total, 100000);
    CHECK_EQ(avail, 10000);
    CHECK_EQ(lv_file_reserve(f, 110000), LV_ENOSPC);
    fill(f, 0, 1, 65536); /* reserved bytes never run out */
    fill(f, 60000, 1, 30000);
    CHECK_EQ(lv_file_write(f, 150000, &part, 1), LV_ENOSPC);
    CHECK_EQ(lv_dir_unlink(sim_dir_door(sim), "a"), LV_OK);
    lv_file_close(f);
    CHECK_EQ(lv_dir_space(sim_dir_door(sim), &avail, &total), LV_OK);
    CHECK_EQ(avail, 100000);
    sim_dir_free(sim);
}

LV_TEST(a_bad_disk_changes_bytes)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "abcdef");

    CHECK_EQ(sim_dir_damage(sim, "b", 0, LV_BYTES_LIT("x")), LV_ENOTFOUND);
    CHECK_EQ(sim_dir_damage(sim, "a", 2, LV_BYTES_LIT("XX")), LV_OK);
    check_is(sim, "a", "abXXef");
    check_cut(sim, SIM_CUT_NONE, "a", "abXXef");
    lv_file_close(f);
    sim_dir_free(sim);
}

LV_TEST(cuts_are_cuttable_and_apart)
{
    struct sim_dir *sim = sim_dir_new();
    struct lv_file *f = settled(sim, "a", "one"), *g;
    struct sim_dir *after = cut(sim, SIM_CUT_NONE);

    CHECK_EQ(lv_dir_open_file(sim_dir_door(after), "a", LV_FILE_WRITE, &g), LV_OK);
    put(g, 0, "two");
    check_is(sim, "a", "one");
    check_cut(after, SIM_CUT_NONE, "a", "one");
    put(f, 0, "six");
    check_is(after, "a", "two");
    CHECK_EQ(lv_file_sync(g), LV_OK);
    lv_file_close(g);
    check_cut(after, SIM_CUT_NONE, "a", "two");
    lv_file_close(f);
    sim_dir_free(sim);
    sim_dir_free(after);
    for (unsigned mode = 0; mode <= SIM_CUT_COUNT; mode++)
        CHECK(strlen(sim_cut_name((enum sim_cut)mode)) > 2);
}

struct writer {
    struct sim_dir *sim;
    char name[2];
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct lv_file *f = create(w->sim, w->name);

    for (unsigned i = 0; i < 200; i++) {
        put(f, i * 100, "record");
        CHECK_EQ(lv_file_sync(f), LV_OK);
        if (i % 50 == 0)
            CHECK_EQ(lv_dir_sync(sim_dir_door(w->sim)), LV_OK);
    }
    lv_file_close(f);
    return NULL;
}

LV_TEST(threads_share_it)
{
    struct sim_dir *sim = sim_dir_new();
    struct writer writers[3];
    pthread_t threads[3];
    struct lv_rng rng = lv_rng_seed(10);

    for (unsigned i = 0; i < 3; i++) {
        writers[i] = (struct writer){ sim, { (char)('a' + i), '\0' } };
        CHECK_EQ(pthread_create(&threads[i], NULL, write_on, &writers[i]), 0);
    }
    for (unsigned i = 0; i < 200; i++)
        sim_dir_free(sim_dir_cut(sim, &rng, SIM_CUT_ANY));
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(count_names(sim), 3);
    sim_dir_free(sim);
}

/* The directory whose n-th call fails. */
#include "support/fault_dir.h"

#include <errno.h>

#include "lv_test.h"
#include "os/file.h"
#include "support/sim_dir.h"

static void ignore(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
}

/* Every call of the door once, in this order; the bit of each that failed. READ to SIZE are skipped without a file. */
static unsigned run(struct lv_dir *d, enum lv_err *err)
{
    struct lv_bytes part = LV_BYTES_LIT("01234567");
    struct lv_file *f;
    uint8_t buf[8];
    uint64_t n;
    size_t got;
    unsigned failed = 0;

#define TRY(kind, call)                             \
    do {                                            \
        enum lv_err e = call;                       \
        if (e != LV_OK) {                           \
            failed |= 1u << FAULT_##kind;           \
            *err = e;                               \
            CHECK(errno == EIO || errno == ENOSPC); \
        }                                           \
    } while (0)
    TRY(OPEN, lv_dir_open_file(d, "a", LV_FILE_WRITE | LV_FILE_CREATE, &f));
    if (f != NULL) {
        TRY(WRITE, lv_file_write(f, 0, &part, 1));
        TRY(READ, lv_file_read(f, 0, buf, sizeof(buf), &got));
        TRY(SYNC, lv_file_sync(f));
        TRY(RESERVE, lv_file_reserve(f, 100));
        TRY(RESIZE, lv_file_resize(f, 50));
        TRY(SIZE, lv_file_size(f, &n));
        lv_file_close(f);
        TRY(RENAME, lv_dir_rename(d, "a", "b"));
        TRY(UNLINK, lv_dir_unlink(d, (failed & 1u << FAULT_RENAME) != 0 ? "a" : "b"));
    }
    TRY(DIR_SYNC, lv_dir_sync(d));
    TRY(LIST, lv_dir_list(d, ignore, NULL));
    TRY(SPACE, lv_dir_space(d, &n, &n));
#undef TRY
    return failed;
}

static unsigned run_with(enum fault_kind kind, uint64_t nth, enum lv_err wanted, unsigned how,
                         uint64_t *hits)
{
    struct sim_dir *sim = sim_dir_new();
    struct fault_dir *fault = fault_dir_new(sim_dir_door(sim));
    enum lv_err err = wanted;

    fault_dir_fail(fault, kind, nth, wanted, how);
    unsigned failed = run(fault_dir_door(fault), &err);
    CHECK_EQ(err, wanted);
    *hits = fault_dir_hits(fault);
    lv_dir_close(fault_dir_door(fault));
    fault_dir_free(fault);
    sim_dir_free(sim);
    return failed;
}

LV_TEST(nothing_fails_untold)
{
    uint64_t hits;

    CHECK_EQ(run_with(FAULT_ANY, 0, LV_EIO, FAULT_STICKY, &hits), 0);
    CHECK_EQ(hits, 0);
    fault_dir_free(NULL);
}

LV_TEST(one_kind_fails_alone)
{
    uint64_t hits;

    for (unsigned kind = 0; kind < FAULT_ANY; kind++) {
        CHECK_EQ(run_with((enum fault_kind)kind, 1, LV_ENOSPC, FAULT_ONCE, &hits), 1u << kind);
        CHECK_EQ(hits, 1);
        CHECK_EQ(run_with((enum fault_kind)kind, 2, LV_EIO, FAULT_STICKY, &hits), 0);
        CHECK_EQ(hits, 0);
    }
}

LV_TEST(every_call_fails_in_turn)
{
    unsigned failed = 0;
    uint64_t n = 0, hits = 1;

    while (hits != 0)
        failed |= run_with(FAULT_ANY, ++n, LV_EIO, FAULT_ONCE, &hits);
    CHECK_EQ(n, FAULT_ANY + 1);
    CHECK_EQ(failed, (1u << FAULT_ANY) - 1);
    CHECK_EQ(run_with(FAULT_ANY, 4, LV_EIO, FAULT_STICKY, &hits),
             ((1u << FAULT_ANY) - 1) & ~(1u << FAULT_OPEN | 1u << FAULT_WRITE | 1u << FAULT_READ));
    CHECK_EQ(hits, FAULT_ANY - 3);
}

LV_TEST(while_paused_nothing_fails_or_counts)
{
    struct sim_dir *sim = sim_dir_new();
    struct fault_dir *fault = fault_dir_new(sim_dir_door(sim));
    enum lv_err err = LV_EIO;

    fault_dir_fail(fault, FAULT_ANY, 1, LV_EIO, FAULT_ONCE);
    fault_dir_pause(fault, true);
    CHECK_EQ(run(fault_dir_door(fault), &err), 0);
    CHECK_EQ(fault_dir_count(fault, FAULT_ANY), 0);
    fault_dir_pause(fault, false);
    CHECK_EQ(lv_dir_sync(fault_dir_door(fault)), LV_EIO);
    CHECK_EQ(fault_dir_hits(fault), 1);
    fault_dir_free(fault);
    sim_dir_free(sim);
}

LV_TEST(a_short_write_leaves_its_first_half)
{
    struct sim_dir *sim = sim_dir_new();
    struct fault_dir *fault = fault_dir_new(sim_dir_door(sim));
    struct lv_bytes parts[] = { LV_BYTES_LIT("abc"), LV_BYTES_LIT("defgh"), LV_BYTES_LIT("ij") };
    struct lv_file *f;
    char buf[20];
    size_t got;

    CHECK_EQ(lv_dir_open_file(fault_dir_door(fault), "a", LV_FILE_WRITE | LV_FILE_CREATE, &f),
             LV_OK);
    fault_dir_fail(fault, FAULT_WRITE, 2, LV_ENOSPC, FAULT_SHORT);
    CHECK_EQ(lv_file_write(f, 0, parts, 3), LV_OK);
    CHECK_EQ(lv_file_write(f, 10, parts, 3), LV_ENOSPC);
    CHECK_EQ(fault_dir_count(fault, FAULT_WRITE), 2);
    CHECK_EQ(fault_dir_count(fault, FAULT_ANY), 2);
    CHECK_EQ(lv_file_read(f, 0, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 15);
    CHECK_MEM(buf, "abcdefghijabcde", 15);
    CHECK_EQ(lv_file_write(f, 15, parts + 1, 2), LV_OK); /* once */
    CHECK_STR(fault_kind_name(FAULT_DIR_SYNC), "DIR_SYNC");
    lv_file_close(f);
    fault_dir_free(fault);
    sim_dir_free(sim);
}

/* A sync that fails has synced nothing. */
LV_TEST(a_failed_call_is_not_passed_on)
{
    struct sim_dir *sim = sim_dir_new();
    struct fault_dir *fault = fault_dir_new(sim_dir_door(sim));
    struct lv_file *f;

    CHECK_EQ(lv_dir_open_file(fault_dir_door(fault), "a", LV_FILE_WRITE | LV_FILE_CREATE, &f),
             LV_OK);
    uint64_t ops = sim_dir_count_ops(sim);
    fault_dir_fail(fault, FAULT_SYNC, 1, LV_EIO, FAULT_ONCE);
    CHECK_EQ(lv_file_sync(f), LV_EIO);
    CHECK_EQ(sim_dir_count_ops(sim), ops);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    CHECK_EQ(sim_dir_count_ops(sim), ops + 1);
    lv_file_close(f);
    fault_dir_free(fault);
    sim_dir_free(sim);
}

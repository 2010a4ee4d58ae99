/* tools/leveret/look.h: what `leveret inspect` finds, also while a broker goes on and lets files go under its eyes. */
#include "leveret/look.h"

#include <stdlib.h>

#include "lv_test.h"
#include "support/sim_dir.h"

#define FILE_BYTES LV_WAL_FILE_MIN

/* A directory that does something when a log file is opened for the n-th time. */
struct door {
    struct lv_dir dir; /* first */
    struct lv_dir *inner;
    unsigned opens, at;
    void (*act)(struct lv_dir *inner);
};

static enum lv_err door_open(struct lv_dir *d, const char *name, unsigned flags,
                             struct lv_file **out)
{
    struct door *door = (struct door *)d;

    if (strncmp(name, "messages-", 9) == 0 && ++door->opens == door->at)
        door->act(door->inner);
    return lv_dir_open_file(door->inner, name, flags, out);
}

static enum lv_err door_list(struct lv_dir *d, void (*each)(void *ctx, const char *name), void *ctx)
{
    return lv_dir_list(((struct door *)d)->inner, each, ctx);
}

static enum lv_err door_unlink(struct lv_dir *d, const char *name)
{
    return lv_dir_unlink(((struct door *)d)->inner, name);
}

static void door_close(struct lv_dir *d)
{
    (void)d;
}

static const struct lv_dir_ops door_ops = {
    .open = door_open, .unlink = door_unlink, .list = door_list, .close = door_close
};

/* ---- a broker's part ---- */

static void on_stable(void *ctx)
{
    (void)ctx;
}

static struct lv_store *open_store(struct lv_dir *dir, bool read_only)
{
    struct lv_store_config config = { .dir = dir,
                                      .appenders = 1,
                                      .file_bytes = FILE_BYTES,
                                      .ring_bytes = 2 * FILE_BYTES,
                                      .read_only = read_only,
                                      .stable = on_stable };
    struct lv_store *s;

    CHECK_EQ(lv_store_open(&config, &s), LV_OK);
    return s;
}

static enum lv_err ignore(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx;
    (void)type;
    (void)lsn;
    (void)payload;
    return LV_OK;
}

/* Drops of a queue that is gone: five files in which nothing is alive. */
static void fill(struct lv_dir *dir)
{
    static const uint8_t text[4000];
    struct lv_store *s = open_store(dir, false);
    struct lv_wal_known known = { 0 };
    struct lv_wal_report report;

    CHECK_EQ(lv_wal_open(lv_store_topology(s), &known, false, ignore, NULL, &report), LV_OK);
    CHECK_EQ(lv_wal_open(lv_store_messages(s), &known, false, ignore, NULL, &report), LV_OK);
    for (unsigned i = 0; i < 80; i++) {
        struct lv_bytes part = lv_bytes(text, sizeof(text));
        CHECK_EQ(lv_wal_append(lv_store_messages(s), 0, LV_REC_DROP, &part, 1, NULL, NULL), LV_OK);
        CHECK_EQ(lv_store_step(s), LV_OK);
    }
    struct lv_checkpoint c = { .from = FILE_BYTES + LV_WAL_FILE_HEAD };
    CHECK_EQ(lv_store_write_checkpoint(s, &c), LV_OK);
    lv_store_close(s);
}

/* The next checkpoint, and what it lets go. */
static void go_on(struct lv_dir *dir)
{
    struct lv_store *s = open_store(dir, true);
    struct lv_checkpoint c = { .from = 5 * FILE_BYTES + LV_WAL_FILE_HEAD };

    CHECK_EQ(lv_store_write_checkpoint(s, &c), LV_OK);
    for (uint64_t n = 1; n < 5; n++) {
        char name[LV_FILE_NAME_MAX + 1];
        lv_wal_file_name(lv_store_messages(s), n, name);
        if (n != 3) /* not given up yet */
            CHECK_EQ(lv_dir_unlink(dir, name), LV_OK);
    }
    lv_store_close(s);
}

static void lose_a_file(struct lv_dir *dir)
{
    CHECK_EQ(lv_dir_unlink(dir, "messages-0000000002.log"), LV_OK);
}

/* Looks, while `act` happens at the n-th opening of a file (0: before); is there damage? false in *there_are_more: it never
 * came to it. */
static bool look(void (*act)(struct lv_dir *inner), unsigned at, bool is_live, bool *there_are_more)
{
    struct sim_dir *disk = sim_dir_new();
    struct door door = { { &door_ops }, sim_dir_door(disk), 0, at, act };
    struct lv_look l = { .dir = { .is_live = is_live } };
    const char *what = "";

    fill(sim_dir_door(disk));
    if (at == 0)
        act(sim_dir_door(disk));
    l.dir.store = open_store(&door.dir, true);
    CHECK_EQ(lv_look(&l, NULL, &what), LV_OK);
    bool is_damaged = lv_look_is_damaged(&l);
    *there_are_more = door.opens >= at;
    lv_look_fini(&l);
    lv_store_close(l.dir.store);
    sim_dir_free(disk);
    return is_damaged;
}

LV_TEST(files_that_go_under_its_eyes)
{
    bool there_are_more = true;

    for (unsigned at = 1; there_are_more; at++)
        CHECK(!look(go_on, at, true, &there_are_more));
}

/* Once it is past, it looks like damage, and is some. */
LV_TEST(a_file_that_is_lost)
{
    bool there_are_more;

    CHECK(look(lose_a_file, 1, true, &there_are_more));
    CHECK(look(lose_a_file, 0, true, &there_are_more));
    CHECK(look(lose_a_file, 0, false, &there_are_more));
    CHECK(!look(lose_a_file, 100, false, &there_are_more));
}

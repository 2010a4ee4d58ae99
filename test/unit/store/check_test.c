/* store/check.h: all records of all files; a place without one is damage, the end, a torn tail, or a file given up. */
#include "store/check.h"

#include <stdio.h>

#include "lv_test.h"
#include "support/sim_dir.h"

#define FILE_BYTES LV_WAL_FILE_MIN

struct world {
    struct sim_dir *disk;
    struct lv_wal *wal;
    struct lv_wal_check found;
    lv_lsn at[200];
};

static void make(struct world *w)
{
    struct lv_wal_config config = { .dir = sim_dir_door(w->disk),
                                    .name = "messages",
                                    .id = 77,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = 1u << 20,
                                    .appenders = 1 };

    CHECK_EQ(lv_wal_new(&config, &w->wal), LV_OK);
}

static enum lv_err ignore(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx;
    (void)type;
    (void)lsn;
    (void)payload;
    return LV_OK;
}

static void commit(struct world *w)
{
    bool did;

    while (lv_wal_wants_file(w->wal))
        CHECK_EQ(lv_wal_make_file(w->wal), LV_OK);
    CHECK_EQ(lv_wal_write(w->wal, lv_wal_complete(w->wal), &did), LV_OK);
}

/* 200 records of 1,000 bytes, each synced, then marked: four files, and two made ahead. */
static void fill(struct world *w)
{
    struct lv_wal_report report;
    uint8_t text[1000];
    struct lv_bytes part = lv_bytes(text, sizeof(text));

    *w = (struct world){ .disk = sim_dir_new() };
    make(w);
    CHECK_EQ(lv_wal_open(w->wal, &(struct lv_wal_known){ 0 }, false, ignore, NULL, &report), LV_OK);
    for (size_t i = 0; i < 200; i++) {
        memset(text, (int)i + 1, sizeof(text));
        CHECK_EQ(lv_wal_append(w->wal, 0, 20, &part, 1, &w->at[i], NULL), LV_OK);
        commit(w);
        CHECK_EQ(lv_wal_mark(w->wal), LV_OK);
    }
    commit(w);
}

static void check(struct world *w, uint64_t first, lv_lsn from)
{
    struct lv_wal_check_range range = { .first = first, .from = from };

    lv_wal_check_fini(&w->found);
    CHECK_EQ(lv_wal_check(w->wal, &range, NULL, NULL, &w->found), LV_OK);
}

static void fini(struct world *w)
{
    lv_wal_check_fini(&w->found);
    lv_wal_free(w->wal);
    sim_dir_free(w->disk);
}

static void scribble(struct world *w, lv_lsn lsn, struct lv_bytes bytes)
{
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *f;

    lv_wal_file_name(w->wal, lsn / FILE_BYTES, name);
    CHECK_EQ(lv_dir_open_file(sim_dir_door(w->disk), name, LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_write(f, lsn % FILE_BYTES, &bytes, 1), LV_OK);
    lv_file_close(f);
}

LV_TEST(whole)
{
    struct world w;
    uint64_t records = 0;

    fill(&w);
    check(&w, 0, 0);
    CHECK_EQ(w.found.damage_count, 0);
    CHECK_EQ(w.found.torn_bytes, 0);
    CHECK_EQ(w.found.end, lv_wal_stable(w.wal));
    for (size_t i = 0; i < w.found.file_count; i++)
        records += w.found.files[i].by_type[20];
    CHECK_EQ(records, 200);
    CHECK_EQ(w.found.files[0].number, 1);
    check(&w, w.at[199] / FILE_BYTES, 0); /* only the last one */
    CHECK_EQ(w.found.end, lv_wal_stable(w.wal));
    CHECK_EQ(w.found.damage_count, 0);
    fini(&w);
}

LV_TEST(damage_before_a_mark)
{
    struct world w;

    fill(&w);
    scribble(&w, w.at[50] + 500, LV_BYTES_LIT("?"));
    scribble(&w, w.at[150] + 4, LV_BYTES_LIT("\xff\xff\xff\xff"));
    check(&w, 0, 0);
    CHECK_EQ(w.found.damage_count, 2);
    CHECK_EQ(w.found.damage[0].from, w.at[50]);
    CHECK_EQ(w.found.damage[0].to, w.at[50] + lv_wal_rec_size(1000));
    CHECK_EQ(w.found.damage[1].from, w.at[150]);
    CHECK_EQ(w.found.end, lv_wal_stable(w.wal));
    fini(&w);
}

LV_TEST(torn_tail)
{
    struct world w;
    lv_lsn end;

    fill(&w);
    end = lv_wal_stable(w.wal);
    scribble(&w, end, LV_BYTES_LIT("half a record of a write that never ended"));
    check(&w, 0, 0);
    CHECK_EQ(w.found.damage_count, 0);
    CHECK_EQ(w.found.end, end);
    CHECK(w.found.torn_bytes >= 41 && w.found.torn_bytes <= 48);
    fini(&w);
}

LV_TEST(missing_file)
{
    struct world w;
    lv_lsn from;

    fill(&w);
    from = w.at[199];
    CHECK_EQ(lv_wal_remove_file(w.wal, 2), LV_OK);
    check(&w, 0, from); /* given up: what a start needs is behind it */
    CHECK_EQ(w.found.damage_count, 0);
    CHECK_EQ(w.found.end, lv_wal_stable(w.wal));
    check(&w, 0, w.at[1]);
    CHECK_EQ(w.found.damage_count, 1);
    CHECK_EQ(w.found.damage[0].from, 2 * FILE_BYTES);
    CHECK_EQ(w.found.damage[0].to, 3 * FILE_BYTES);
    fini(&w);
}

/* What was whole once and is short is damaged at its end, also when no mark behind it is left to say so. */
LV_TEST(short_files)
{
    struct world w;
    struct lv_file *f;
    char name[LV_FILE_NAME_MAX + 1];
    uint64_t last;

    fill(&w);
    last = w.at[199] / FILE_BYTES;
    lv_wal_file_name(w.wal, last, name);
    CHECK_EQ(lv_dir_open_file(sim_dir_door(w.disk), name, LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_resize(f, w.at[195] % FILE_BYTES), LV_OK);
    lv_file_close(f);
    check(&w, 0, 0);
    CHECK_EQ(w.found.damage_count, 1);
    CHECK_EQ(w.found.damage[0].from, w.at[195]);
    lv_wal_file_name(w.wal, last + 2, name); /* the newest: it was being made */
    CHECK_EQ(lv_dir_open_file(sim_dir_door(w.disk), name, LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_resize(f, 100), LV_OK);
    lv_file_close(f);
    check(&w, 0, 0);
    CHECK_EQ(w.found.damage_count, 1);
    fini(&w);
}

/* The file that is written to is missing; the ones made ahead of it are there. */
LV_TEST(missing_current_file)
{
    struct world w;
    uint64_t last;
    char name[LV_FILE_NAME_MAX + 1];

    fill(&w);
    last = w.at[199] / FILE_BYTES;
    lv_wal_file_name(w.wal, last, name);
    CHECK_EQ(lv_dir_unlink(sim_dir_door(w.disk), name), LV_OK);
    check(&w, 0, w.at[1]);
    CHECK_EQ(w.found.damage_count, 1);
    CHECK_EQ(w.found.damage[0].from, last * FILE_BYTES);
    CHECK_EQ(w.found.damage[0].to, (last + 1) * FILE_BYTES);
    fini(&w);
}

/* A data directory: what it notes down beside its logs. */
#include "store/store.h"

#include "lv_test.h"
#include "support/sim_dir.h"

static enum lv_err see(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx, (void)type, (void)lsn, (void)payload;
    return LV_OK;
}

static struct lv_store *open_store(struct sim_dir *disk)
{
    struct lv_store_config config = {
        .dir = sim_dir_door(disk), .appenders = 1, .file_bytes = 65536, .ring_bytes = 1u << 20
    };
    struct lv_wal_known nothing = { 0 };
    struct lv_wal_report report;
    struct lv_store *s;

    CHECK_EQ(lv_store_open(&config, &s), LV_OK);
    CHECK_EQ(lv_wal_open(lv_store_messages(s), &nothing, false, see, NULL, &report), LV_OK);
    CHECK_EQ(lv_wal_open(lv_store_topology(s), &nothing, false, see, NULL, &report), LV_OK);
    return s;
}

static void flip(struct lv_store *s, uint64_t at)
{
    struct lv_file *f;
    uint8_t byte;
    size_t got;

    CHECK_EQ(lv_dir_open_file(lv_store_dir(s), "stopped", LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_read(f, at, &byte, 1, &got), LV_OK);
    byte ^= 0x10;
    struct lv_bytes part = lv_bytes(&byte, 1);
    CHECK_EQ(lv_file_write(f, at, &part, 1), LV_OK);
    lv_file_close(f);
}

LV_TEST(a_damaged_note_of_a_stop_is_not_believed)
{
    struct sim_dir *disk = sim_dir_new();
    struct lv_store *s = open_store(disk);
    struct lv_stopped t;

    CHECK_EQ(lv_wal_append(lv_store_messages(s), 0, LV_REC_FIRST, &LV_BYTES_LIT("one"), 1, NULL,
                           NULL),
             LV_OK);
    CHECK_EQ(lv_store_step(s), LV_OK);
    CHECK_EQ(lv_store_write_stopped(s), LV_OK);
    lv_store_read_stopped(s, &t);
    CHECK_EQ(t.messages, lv_wal_stable(lv_store_messages(s)));
    CHECK(t.messages != 0);
    for (uint64_t at = 0; at < 40; at++) {
        flip(s, at);
        lv_store_read_stopped(s, &t);
        CHECK(t.messages == 0 && t.topology == 0);
        flip(s, at);
    }
    lv_store_read_stopped(s, &t);
    CHECK(t.messages != 0);
    CHECK_EQ(lv_store_forget_stopped(s), LV_OK);
    lv_store_read_stopped(s, &t);
    CHECK_EQ(t.messages, 0);
    lv_store_close(s);
    sim_dir_free(disk);
}

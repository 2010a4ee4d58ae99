/* tools/leveret/look.h - all there is to know of a data directory: gathered and verified, printed by others.
 *
 * Every record of every file is read, then the queues are put together as a broker would at its start, then every message
 * that they hold is read, all parts of its body included.
 */
#ifndef LV_TOOL_LOOK_H
#define LV_TOOL_LOOK_H
#include "datadir.h"
#include "engine/restore.h"
#include "model.h"
#include "store/check.h"

#define LV_LOOK_UNREADABLE_MAX 64u /* told one by one */

struct lv_look_queue {
    const struct lv_model_item *item;
    struct lv_recovery_queue_facts facts;
    uint64_t messages, bytes; /* of bodies */
    uint64_t redelivered;     /* that may have been handed out before */
    uint64_t unreadable;
};

struct lv_look_unreadable {
    uint64_t queue, seq;
    lv_lsn lsn; /* of the message, or of the part that is missing */
};

struct lv_look {
    struct lv_datadir dir;
    struct lv_model model;
    struct lv_checkpoint checkpoint;
    struct lv_stopped stopped;  /* zeros: it was not stopped in order */
    enum lv_err checkpoint_err; /* LV_OK, LV_ENOTFOUND, LV_ECORRUPT */
    bool is_state_damaged;      /* one that the checkpoint names: the whole log was walked */
    bool is_beheaded;           /* files are missing from where the start walks on */
    struct lv_wal_check topology, messages;
    struct lv_live *live;       /* of messages.files, one for each */
    struct lv_wal_report start; /* what a broker would find at its start */
    struct lv_recovery_facts facts;
    struct lv_look_queue *queues; /* model.queues of them, as they were declared */
    struct lv_look_unreadable unreadable[LV_LOOK_UNREADABLE_MAX];
    uint64_t unreadable_count;
    uint64_t message_count, body_bytes;
};

/* Sees every valid record of a log, marks and pads too. */
struct lv_look_eye {
    void (*record)(void *ctx, const struct lv_wal *wal, uint8_t type, lv_lsn lsn,
                   struct lv_bytes payload);
    void *ctx;
};

/* Into `look`, whose `dir` is open. `eye` may be NULL. *what: what failed. While a broker writes, it looks again when files went
 * away under its eyes; LV_ENOTFOUND: they did so again and again. */
enum lv_err lv_look(struct lv_look *look, const struct lv_look_eye *eye, const char **what);
void lv_look_fini(struct lv_look *look);
/* Is there damage? A torn tail is none. */
bool lv_look_is_damaged(const struct lv_look *look);

#endif

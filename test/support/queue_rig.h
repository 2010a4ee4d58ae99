/* support/queue_rig.h - one queue, and a sink that writes down what it hears.
 *
 *   struct rig *r = rig_new();                  or rig_logged(): durable, with a log on a simulated disk
 *   rig_put(r, 7);                              publishes message 7 at r->now
 *   r->now = 50; lv_queue_tick(r->q, r->now);
 *   CHECK(rig_died(r, 7, LV_DEATH_EXPIRED));    the next death that was not looked at yet
 *   rig_free(r);                                checks that nothing leaked, and that no death was overlooked
 *
 * The log is synced after every publish; what the queue asks back from it comes at once, or with rig_load().
 */
#ifndef LV_SUPPORT_QUEUE_RIG_H
#define LV_SUPPORT_QUEUE_RIG_H
#include "engine/queue.h"
#include "engine/restore.h"
#include "lv_test.h"
#include "support/sim_dir.h"

#define RIG_HEARD_MAX 16384u

struct rig_delivery {
    struct lv_consumer *consumer;
    uint32_t n, slot, failures;
    bool redelivered;
};
struct rig_death {
    uint32_t n; /* UINT32_MAX: the queue gave no message */
    uint32_t slot;
    enum lv_death why;
};

struct rig {
    struct lv_queue *q;
    lv_time_ms now; /* of every command */
    struct lv_queue_rules rules;
    struct rig_delivery delivered[RIG_HEARD_MAX];
    size_t delivered_count;
    struct rig_death died[RIG_HEARD_MAX];
    size_t died_count, died_seen;
    lv_time_ms wake_at; /* the last one asked for */
    size_t wakes;
    struct lv_consumer *pauses_at_death; /* the sink pauses it then */
    int64_t memory[2];
    /* a log, if it has one */
    struct sim_dir *disk;
    struct lv_wal *wal;
    struct lv_wal_reader *reader;
    struct lv_journal journal;
    bool holds_loads;     /* until rig_load() */
    struct lv_load *held; /* the last one first */
};

/* A message: its number and then zeros. */
struct rig_message {
    uint32_t n;
    uint32_t bytes; /* of the body; 0: only the number */
    bool expires;
    uint64_t ttl_ms;
    bool has_priority;
    uint8_t priority;
    bool is_transient; /* else persistent, with a log */
};

struct rig *rig_new(void);
struct rig *rig_logged(void);
void rig_free(struct rig *r);
/* The process is gone, and another one reads what the log has; r->rules are in effect again. */
void rig_restart(struct rig *r);
/* r->rules are in effect. */
void rig_rule(struct rig *r);

enum lv_err rig_publish(struct rig *r, struct rig_message m) LV_MUST_USE;
void rig_put(struct rig *r, uint32_t n);
void rig_put_range(struct rig *r, uint32_t from, uint32_t to);
void rig_put_ttl(struct rig *r, uint32_t n, uint64_t ttl_ms);
void rig_put_priority(struct rig *r, uint32_t n, uint8_t priority);

/* Subscribes `c`, whose owner must be `r`, or dispatches only, if it is NULL; also what had to wait for the log. */
void rig_serve(struct rig *r, struct lv_consumer *c);
/* Takes the next message, which must be `n`; returns its slot. */
uint32_t rig_get(struct rig *r, uint32_t n);
/* The same, and gives it back: it is `n` and has failed so often. */
uint32_t rig_get_failed(struct rig *r, uint32_t n, uint32_t failures);
/* Takes and accepts the next message: UINT32_MAX, if there is none. */
uint32_t rig_eat(struct rig *r);
void rig_settle(struct rig *r, uint32_t slot, enum lv_outcome outcome);
/* Is that the next death not looked at yet? Then it is. */
bool rig_died(struct rig *r, uint32_t n, enum lv_death why);
/* Slot of the last one that rig_died looked at. */
uint32_t rig_slot(const struct rig *r);
void rig_bury(struct rig *r, uint32_t slot);
/* What was asked back from the log comes now. */
void rig_load(struct rig *r);
/* Ready, unsettled; and bytes of all of them, if each has only its number. */
void rig_check_counts(struct rig *r, uint64_t ready, uint64_t unsettled);

#endif

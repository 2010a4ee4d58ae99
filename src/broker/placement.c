/* Where things live: the one file that decides it.
 *
 * Connections are dealt out evenly. A queue is made on the loop of whoever first consumes from it or publishes to it
 * (queues.c), and others that use it come there, because a message that finds publisher, queue and consumer on one
 * loop is never handed over. What keeps that from piling everything up on one loop is a bound on how uneven it
 * may get. */
#include "broker/broker_priv.h"

#define MOVE_SLACK 2u     /* sessions that the loop moved to may have more */
#define MOVE_SLACK_DIV 16 /* and this part of all of them */

static uint32_t sessions(const struct lv_broker *b, unsigned loop)
{
    return atomic_load_explicit(&b->shards[loop].session_count, memory_order_relaxed);
}

unsigned lv_place_session(const struct lv_broker *b)
{
    unsigned best = 0;

    for (unsigned i = 1; i < lv_loops_count(b->loops); i++)
        if (sessions(b, i) < sessions(b, best))
            best = i;
    return best;
}

bool lv_may_move(const struct lv_broker *b, unsigned from, unsigned to)
{
    uint32_t total = 0;

    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        total += sessions(b, i);
    return sessions(b, to) <= sessions(b, from) + MOVE_SLACK + total / MOVE_SLACK_DIV;
}

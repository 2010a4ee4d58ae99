/* support/history.h - what clients saw of a broker, and whether a broker may behave so.
 *
 * A history is text, one event a line, written by the clients alone: never from what a broker says of itself.
 *
 *   <t> <client> <op> <name> <id> <result>        t in microseconds, one clock for all clients
 *
 *   client   one channel of one connection, 1 to 65535, never used again
 *   id       of a message: client of the publish << 48 | number; numbers grow in the order of the publishes. "-": none
 *
 *   op       name        result
 *   route    exchange    ok: what is published there goes to the queue named in the place of the id. Holds for the whole run
 *   life     any         ok: a broker is about to start; fail: it is about to be ended. What clients still read after that
 *                        may be older than what others have read already
 *   pub      queue, or   unknown: it is about to be sent; then maybe ok: confirmed (or committed), or fail: refused.
 *            exchange    A message without a later line is in doubt: it may be there or not
 *   get      queue       ok: delivered; again: delivered with redelivered set; bad: its body is damaged
 *   drain    queue       as get, by the only consumer after everything has come to rest: order is strict
 *   ack      queue       unknown: about to be sent; ok: known to last (tx.commit-ok seen, or the broker ended cleanly)
 *   declare  any         unknown: about to be sent; ok: seen to be done; fail: refused
 *   delete   any         as declare
 *   exists   any         ok: is there; fail: is not
 *
 * Lines of one name with declare, delete and exists are taken in their order within one file; others in any order.
 */
#ifndef LV_SUPPORT_HISTORY_H
#define LV_SUPPORT_HISTORY_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_CLIENT_SHIFT 48

/* What must not be. Each is counted, and the first ones are told. */
#define HISTORY_FAULTS(X)                                                           \
    X(lost, "confirmed, and never delivered")                                       \
    X(vanished, "confirmed and delivered, never acknowledged, and not there again") \
    X(phantom, "delivered, and never published there, or its body is damaged")      \
    X(duplicate, "delivered again without redelivered")                             \
    X(returned, "delivered again after an acknowledgement that lasts")              \
    X(misordered, "delivered behind a later message of its channel")                \
    X(forgotten, "declared, and not there")                                         \
    X(ghost, "deleted or never declared, and there")                                \
    X(malformed, "no line of a history")

enum history_fault {
#define X(name, text) HISTORY_##name,
    HISTORY_FAULTS(X)
#undef X
        HISTORY_FAULT_COUNT,
};

struct history_verdict {
    uint64_t lines, published, confirmed, delivered, redelivered, topology;
    uint64_t faults[HISTORY_FAULT_COUNT];
};

struct history;

/* Never NULL: a checker without memory aborts. */
struct history *history_new(void);
void history_free(struct history *h);
/* Adds a file, or the text of one (borrowed until the check). false: it cannot be read. */
bool history_add_file(struct history *h, const char *path);
void history_add(struct history *h, const char *text, size_t bytes);
/* Checks all that was added; true when there is no fault. Up to `told_max` faults are told on `out`, which may be NULL. Once. */
bool history_check(struct history *h, FILE *out, unsigned told_max, struct history_verdict *verdict);
/* Word of a fault, static. */
const char *history_fault_name(enum history_fault fault);

#endif

/* broker/look.h - a look at messages in a queue, which stay as they are.
 *
 * An errand to the registry, which asks whether the user may read the queue; then to the queue's home, and from there to the
 * disk if some messages are only there.
 * Owner   as an errand.
 */
#ifndef LV_BROKER_LOOK_H
#define LV_BROKER_LOOK_H
#include "broker/errand.h"
#include "broker/session.h"
#include "engine/peek.h"

struct lv_look {
    struct lv_errand errand; /* first; done and desk are the caller's */
    /* Who asks, with the credential that his login had; nobody (empty): an operator, who may look everywhere. */
    struct lv_bytes user;
    uint64_t credential;
    struct lv_bytes vhost,
        queue;           /* views of the caller's memory that stay until it is back, as does user */
    struct lv_peek peek; /* what is asked for is the caller's; lv_peek_fini when it is back */
    /* Results */
    struct lv_failure failure; /* code 0: peek says what there is */
    /* private */
    uint64_t home;
    struct lv_shard *shard;
    struct lv_job job;
};

/* Sends it; the errand's run is set here. */
void lv_look_send(struct lv_broker *b, struct lv_look *look);

#endif

#include "peer.h"

#include <sysexits.h>

#include "amqp_client.h"

bool lv_peer_method(struct lv_run *run, struct lv_bytes payload, struct lv_fault *fault)
{
    struct lv_rd r = lv_rd(payload);
    uint32_t method = lv_rd_u32(&r);
    struct lv_bytes args = lv_bytes(r.at, lv_rd_left(&r));

    switch (method) {
    case LV_CONNECTION_CLOSE:
        return lv_client_closed_by_peer(args, "connection", fault);
    case LV_CHANNEL_CLOSE:
        return lv_client_closed_by_peer(args, "channel", fault);
    case LV_BASIC_CANCEL:
        return lv_fail(fault, EX_PROTOCOL, "the broker cancelled a consumer");
    case LV_CONNECTION_BLOCKED:
        atomic_store(&run->is_blocked, true);
        return true;
    case LV_CONNECTION_UNBLOCKED:
        atomic_store(&run->is_blocked, false);
        return true;
    default:
        return true;
    }
}

bool lv_peer_lost(ssize_t n, struct lv_fault *fault)
{
    if (n == 0)
        return lv_fail(fault, EX_UNAVAILABLE, "the broker hung up");
    return lv_fail_errno(fault, EX_IOERR, "talking to the broker");
}

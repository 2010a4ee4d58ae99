/* tools/leveret/peer.h - what the broker may say to a loaded connection besides its daily business. */
#ifndef LV_TOOL_PEER_H
#define LV_TOOL_PEER_H
#include <sys/types.h>

#include "run.h"

/* `payload`: a method frame's. False with `fault` filled when the connection is of no more use. */
bool lv_peer_method(struct lv_run *run, struct lv_bytes payload, struct lv_fault *fault);
/* Fault of a connection whose read or write returned `n` <= 0 (errno as left by it); always false. */
bool lv_peer_lost(ssize_t n, struct lv_fault *fault);

#endif

/* broker/access.h - users, virtual hosts and permissions of a running broker: what the tools change.
 *
 * A change is in the log before anybody sees it; whoever is here against the new rules is sent away, and consumers of queues
 * that may not be read any more end. It survives a power cut a moment later, like every change of the topology.
 * Owner   loop 0; before the loops run, the thread that made the broker.
 */
#ifndef LV_BROKER_ACCESS_H
#define LV_BROKER_ACCESS_H
#include "broker/broker.h"
#include "security/access.h"

/* After lv_broker_recover, before the loops run: on an empty directory the records that the settings ask for, definitions (definitions.h), and the
 * thread that compares passwords. LV_EINVAL: the settings name a first user that cannot be, or lv_broker_definitions_why() tells it; LV_EIO, LV_ENOMEM. */
enum lv_err lv_broker_begin(struct lv_broker *b) LV_MUST_USE;

/* For each kind <name>: enum lv_err lv_broker_put_<name>(b, record, why, cap): makes it, or replaces what it was.
 * LV_EINVAL: a value is out of its bounds, or a pattern is none (`why` says so); LV_ENOTFOUND: user or virtual host of a
 * permission is missing; LV_EREFUSED: one virtual host too many (`why` says so); LV_EFULL, LV_ENOMEM: nothing changed. A user whose password changes needs
 * lv_user_set_password. The birth of a virtual host that exists stays. */
#define X(NAME, name)                                                                         \
    enum lv_err lv_broker_put_##name(struct lv_broker *b, const struct lv_##name##_record *r, \
                                     char *why, size_t cap) LV_MUST_USE;
LV_ACCESS_KINDS(X)
#undef X

/* Removes a record, and permissions that hang on it. LV_ENOTFOUND; LV_EREFUSED: a virtual host that is protected from
 * deletion; LV_EFULL, LV_ENOMEM: it may have lost permissions, and is there. `key` is that of record.h.
 * A virtual host goes with all that is in it, in one step of the log; its name is free at once. Its connections are closed
 * (320, vhost '...' is deleted), its queues end in the turns that follow. LV_EAGAIN: not before the loops run. */
enum lv_err lv_broker_remove(struct lv_broker *b, enum lv_access_kind kind,
                             struct lv_bytes key) LV_MUST_USE;

/* Compares passwords. NULL before lv_broker_begin. */
struct lv_verify;
struct lv_verify *lv_broker_verify(const struct lv_broker *b);
/* What is there now, to be looked up and walked. */
const struct lv_access *lv_broker_access(const struct lv_broker *b);

#endif

/* security/access.h - the directory of virtual hosts, users, permissions and topic permissions.
 *
 * Records (record.h) are put and removed by one writer and looked up by any thread without a lock: a lookup sees a record
 * wholly as it was before a change or wholly as it is after it, and what it returns stays until the reader's section ends
 * (for a loop: its turn). After every change the version grows; whoever remembers an answer remembers the version that he
 * read before asking.
 * Owner   one writer (the registry's thread) where it says so; everything else any registered reader.
 * Bounds  those of the records; how many there are is the operator's affair.
 */
#ifndef LV_SECURITY_ACCESS_H
#define LV_SECURITY_ACCESS_H
#include "base/reclaim.h"
#include "security/record.h"

struct lv_access;
struct lv_access_change;

/* An empty directory: nobody may do anything. `reclaim` is borrowed for its life. LV_ENOMEM. */
enum lv_err lv_access_new(const struct lv_reclaim *reclaim, struct lv_access **out) LV_MUST_USE;
/* No reader may be left, and no pass (pass.h) be inside. */
void lv_access_free(struct lv_access *a);

/* ---- changes: the writer ---- */
/* A record may be put in two steps, around the write to the log: prepare does all that can fail, and nothing of it is
 * seen; commit shows it and cannot fail; drop forgets it. Several may be prepared at a time.
 * prepare copies its arguments. LV_ECORRUPT, LV_EVERSION: not a record of this kind; LV_EINVAL: a pattern is none, and
 * `why` (of `cap` bytes) says so; LV_ENOMEM. That user and virtual host exist is not asked: see lv_access_has_parents. */
enum lv_err lv_access_prepare(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                              struct lv_bytes value, struct lv_access_change **out, char *why,
                              size_t cap) LV_MUST_USE;
void lv_access_commit(struct lv_access *a, struct lv_access_change *change);
void lv_access_drop(struct lv_access *a, struct lv_access_change *change);
/* Both steps: for loading, and for tests. */
enum lv_err lv_access_put(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                          struct lv_bytes value) LV_MUST_USE;
/* Are the user and the virtual host of this permission (or topic permission) there? */
bool lv_access_has_parents(const struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key);
/* LV_ENOTFOUND: no such record; LV_EREFUSED: a virtual host that is protected from deletion. */
enum lv_err lv_access_may_remove(const struct lv_access *a, enum lv_access_kind kind,
                                 struct lv_bytes key) LV_MUST_USE;
/* Removes it, and the permissions of a user or virtual host with it. Of what is not there: nothing. Never fails. */
void lv_access_remove(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key);

typedef void lv_access_visit(void *ctx, enum lv_access_kind kind, struct lv_bytes key);
/* Shows what lv_access_remove would take along, so that the log can be told of each. */
void lv_access_dependents(const struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                          lv_access_visit *visit, void *ctx);
/* After loading: removes permissions whose user or virtual host is not there. Shows each first. */
void lv_access_sweep(struct lv_access *a, lv_access_visit *visit, void *ctx);
/* `changed` runs on the writer's thread after each record put or removed (one watcher; NULL: none). The broker tells
 * the loops, which ask lv_pass_standing of each session. */
void lv_access_watch(struct lv_access *a, lv_access_visit *changed, void *ctx);

/* ---- limits of the node; LV_NO_LIMIT ---- */
void lv_access_limit_node(struct lv_access *a, int64_t max_connections, int64_t max_channels);

/* ---- looking up ---- */
uint64_t lv_access_version(const struct lv_access *a);
/* Where that stands, for who asks for every message. It grows; as long as `a`. */
const _Atomic uint64_t *lv_access_version_word(const struct lv_access *a);
const struct lv_vhost_record *lv_access_vhost(const struct lv_access *a, struct lv_bytes name);
const struct lv_user_record *lv_access_user(const struct lv_access *a, struct lv_bytes name);
const struct lv_permission_record *lv_access_permission(const struct lv_access *a,
                                                        struct lv_bytes user, struct lv_bytes vhost);
const struct lv_topic_permission_record *lv_access_topic_permission(const struct lv_access *a,
                                                                    struct lv_bytes user,
                                                                    struct lv_bytes vhost,
                                                                    struct lv_bytes exchange);
/* Steps through the records of a kind in no order: start with *pos = 0; NULL at the end. Points to struct
 * lv_<kind>_record. */
const void *lv_access_next(const struct lv_access *a, enum lv_access_kind kind, size_t *pos);
size_t lv_access_count(const struct lv_access *a, enum lv_access_kind kind); /* the writer */

#endif

/* broker/definitions.h - everything that has a name as a file of RabbitMQ's definitions: written, read, compared, applied.
 *
 * Out  the registry copies what there is, in slices; whoever wants it turns the copy into text at his own pace. What is made or
 *      removed meanwhile may be in it or not.
 * In   a text is parsed and checked on any thread (lv_definitions_parse). Then the registry goes through it in slices: first
 *      everything is compared with what is there, and a thing that cannot be ends the import before anything has changed;
 *      then it is applied. A dry run ends after the first half.
 *
 * Rules of an import, RabbitMQ's: users, virtual hosts, permissions, parameters and policies that are there are overwritten;
 * queues, exchanges and bindings that are there stay as they are; nothing is removed; unknown keys are passed over.
 */
#ifndef LV_BROKER_DEFINITIONS_H
#define LV_BROKER_DEFINITIONS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct lv_broker;
struct lv_settings;

/* ---- out ---- */
struct lv_snapshot;
/* Of all (vhost empty), or of what is in one virtual host; nothing is in it yet. LV_ENOTFOUND: there is no such; LV_ENOMEM. */
enum lv_err lv_snapshot_new(struct lv_broker *b, struct lv_bytes vhost,
                            struct lv_snapshot **out) LV_MUST_USE;
/* Copies at most about `max` queues, exchanges and bindings more. LV_EAGAIN: call it again; LV_OK: that was all; LV_ENOMEM. Users
 * and parameters are copied at once. As lv_snapshot_new: loop 0, or before the loops run. About half a microsecond each. */
enum lv_err lv_snapshot_take(struct lv_broker *b, struct lv_snapshot *s, size_t max) LV_MUST_USE;
/* Both, at once. */
enum lv_err lv_definitions_take(struct lv_broker *b, struct lv_bytes vhost,
                                struct lv_snapshot **out) LV_MUST_USE;
/* When all is in it: the next piece of the text, at most `cap` bytes; *got 0: that was all. LV_ENOMEM. One thread, any. */
enum lv_err lv_snapshot_read(struct lv_snapshot *s, void *buf, size_t cap, size_t *got) LV_MUST_USE;
/* NULL is allowed. Any thread. */
void lv_snapshot_free(struct lv_snapshot *s);
/* Another number whenever the text may have become another one, also over a restart. A reader's section. */
uint64_t lv_definitions_version(const struct lv_broker *b);

/* ---- in ---- */
#define LV_DEFINITIONS_BYTES_MAX (256u << 20)
#define LV_DEFINITIONS_WHY_MAX 2048u /* enough for any `why` */

struct lv_definitions;

/* Parses and checks `text`: of the whole broker (vhost empty), or for one virtual host. Of `s` the way of hashing passwords
 * is looked at. LV_EINVAL: `why` (of `cap` bytes) names
 * the item and says what is wrong; LV_ENOMEM. Any thread; passwords in the clear take some 20 ms each. */
enum lv_err lv_definitions_parse(const struct lv_settings *s, struct lv_bytes text,
                                 struct lv_bytes vhost, struct lv_definitions **out, char *why,
                                 size_t cap) LV_MUST_USE;
/* NULL is allowed. */
void lv_definitions_free(struct lv_definitions *d);

/* From the beginning. Before the first step. */
void lv_definitions_begin(struct lv_definitions *d, bool is_dry);
/* Goes on for at most `max` items. LV_EAGAIN: call it again; LV_OK: that was all. LV_EINVAL: `why` names the item that cannot
 * be, and nothing has changed; LV_ENOTFOUND: there is no such virtual host to import into; LV_EFULL, LV_ENOMEM, LV_EIO:
 * `why` names the item that came too many: those before it are in. Loop 0, or before the loops run. */
enum lv_err lv_definitions_step(struct lv_broker *b, struct lv_definitions *d, size_t max,
                                char *why, size_t cap) LV_MUST_USE;
/* How far it is; any thread. */
void lv_definitions_progress(const struct lv_definitions *d, uint64_t *done, uint64_t *total);

enum lv_outcome_of_import {
    LV_IMPORT_NEW,
    LV_IMPORT_CHANGED,
    LV_IMPORT_SAME,
    LV_IMPORT_IGNORED, /* `note` says why */
    LV_IMPORT_OUTCOMES,
};
/* "new", "changed", "same", "ignored"; static. */
const char *lv_import_outcome_name(enum lv_outcome_of_import outcome);

/* What becomes of an item, after all steps. Views of `d`. */
struct lv_import_item {
    const char *list; /* "users", "queues" ... */
    uint32_t number;  /* in its list, from 0 */
    struct lv_bytes vhost, name;
    enum lv_outcome_of_import outcome;
    const char *note; /* NULL: none */
};
size_t lv_definitions_count(const struct lv_definitions *d);
/* In the order of the import. */
void lv_definitions_item(const struct lv_definitions *d, size_t i, struct lv_import_item *out);

/* ---- at the start ---- */
/* Reads the file that load_definitions names, or all *.json of the folder in the order of their names. *out NULL: none is named.
 * LV_EINVAL: `why` names file, item and reason; LV_ENOMEM. */
enum lv_err lv_definitions_open(const struct lv_settings *s, struct lv_definitions **out, char *why,
                                size_t cap) LV_MUST_USE;
/* lv_broker_begin will apply them. Takes `d`, which may be NULL. */
void lv_broker_use_definitions(struct lv_broker *b, struct lv_definitions *d);
/* Why lv_broker_begin could not; "" if that was not the reason. */
const char *lv_broker_definitions_why(const struct lv_broker *b);

#endif

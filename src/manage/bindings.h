/* manage/bindings.h - bindings as the registry has them: an errand walks them on its loop in slices, and copies them.
 *
 * Owner   the room's thread, but loop 0 from sending until `done`.
 */
#ifndef LV_MANAGE_BINDINGS_H
#define LV_MANAGE_BINDINGS_H
#include "broker/observe.h"
#include "manage/request.h"

/* A copy, in the request's memory. */
struct lv_bound {
    struct lv_bound *next;
    struct lv_binding_info info;
    struct lv_bytes vhost;
    struct lv_bytes order;          /* what it is sorted by, within its virtual host */
    struct lv_bytes properties_key; /* views the end of order */
};

/* Which: of all virtual hosts in the list, or of one; from and to. */
struct lv_walk {
    struct lv_errand errand; /* first */
    struct lv_request *r;
    void (*done)(struct lv_request *r, struct lv_walk *w);
    struct lv_bytes *vhosts;
    size_t vhost_count, at;              /* at: the one being walked */
    size_t pos;                          /* in its bindings */
    size_t queue_pos;                    /* in its queues: their implicit bindings */
    struct lv_bytes source, destination; /* ptr NULL: any */
    bool to_exchange;                    /* the destination is one */
    bool has_destination_kind;           /* only bindings to such a thing */
    bool no_implicit;                    /* not those of the default exchange */
    bool is_missing;                     /* source or destination are not there: 404 */
    bool may_miss;                       /* which is no matter */
    bool is_short;
    struct lv_bound *first; /* result: in no order */
};
/* Of the virtual host of the path, or of all that he sees; source, destination and the flags are the caller's to set. NULL: it
 * was answered. */
struct lv_walk *lv_walk_new(struct lv_request *r,
                            void (*done)(struct lv_request *r, struct lv_walk *w));
void lv_walk_send(struct lv_walk *w);
/* One as an object. */
void lv_json_bound(struct lv_json *j, const struct lv_bound *b);

#endif

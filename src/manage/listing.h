/* manage/listing.h - lists as the API gives them: filtered, sorted, cut into pages, and written as the client takes them.
 *
 * A handler begins a list, adds what is there by its names, and lets it reply. By default a page costs one look at every
 * name: it is selected, and no more is sorted or described than what stands on it. ?sort= describes each once, in slices of a
 * turn. Objects are looked up again when they are written, so a list may outlast a turn; what is gone by then is left out.
 * Owner   the room's thread; the list lives as long as its request.
 */
#ifndef LV_MANAGE_LISTING_H
#define LV_MANAGE_LISTING_H
#include "manage/request.h"

#define LV_LISTING_PAGE_SIZE 100u
#define LV_LISTING_PAGE_SIZE_MAX 500u
#define LV_LISTING_NAME_MAX 1024u /* of ?name= */

struct lv_listing;

struct lv_listing_item {
    uint64_t begin; /* private: the first bytes of the name, as a number in their order */
    struct lv_bytes vhost, name;
    const void *object; /* the kind's; NULL if it is looked up by its names */
    struct lv_json_value sort;
};

struct lv_listing_kind {
    /* Puts the object as one value with the key NULL. False: it is gone, and nothing was put. */
    bool (*describe)(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j);
    /* The names and objects that are added stay until the request ends; else they are views of this turn, and object is
     * NULL. */
    bool is_kept;
};

/* Begins one. NULL: the request was answered, as its query is wrong or memory is short. */
struct lv_listing *lv_listing_new(struct lv_request *r, const struct lv_listing_kind *kind);
/* Adds one, if it passes the filter. In the default order they stand by vhost, then by name. */
void lv_listing_add(struct lv_listing *list, struct lv_bytes vhost, struct lv_bytes name,
                    const void *object);
/* All are there. The request may be gone after this. */
void lv_listing_reply(struct lv_listing *list);

/* ---- a page that is not a reply: a view that somebody watches ---- */
/* The same, but the caller's to free, and always a page. The names that are added must stay until it is. */
struct lv_listing *lv_listing_view(struct lv_request *r, const struct lv_listing_kind *kind);
/* All are there: cuts the page out, and tells how many stand on it. */
size_t lv_listing_cut(struct lv_listing *list);
const struct lv_listing_item *lv_listing_at(const struct lv_listing *list, size_t i);
/* NULL is allowed. */
void lv_listing_free(struct lv_listing *list);

/* One object by itself, or 404. The request may be gone after this. */
void lv_reply_one(struct lv_request *r, const struct lv_listing_kind *kind,
                  const struct lv_listing_item *item);

#endif

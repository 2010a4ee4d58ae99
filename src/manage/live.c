/* /api/x/live: what changes, as server-sent events (WHATWG HTML, 9.2), once a second.
 *
 * ?topics=overview,queues names what is told: `overview` is the sums, `queues` a view of the queues, which takes the
 * parameters of a page of /api/queues: vhost, name, use_regex, sort, sort_reverse, page, page_size, columns. An event says what is
 * different from the last one of its topic: {"rows":[...]} are the queues that changed; with "full":true they are all that the
 * view holds, in its order. */
#include <string.h>

#include "base/hash.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/node.h"
#include "manage/queues.h"
#include "manage/router.h"

#define EVERY_MS 1000u
#define QUIET_MAX 15u /* rounds without a word: then a comment, so that a dead connection shows */

struct live {
    struct lv_timer timer;
    struct lv_request *r;
    bool has_overview, has_queues;
    unsigned quiet;
    uint64_t overview;                       /* hash of what was told last; 0: nothing */
    uint64_t names;                          /* of the view's names, in order; 0: nothing told */
    uint64_t rows[LV_LISTING_PAGE_SIZE_MAX]; /* of each row, in order */
    size_t row_count;
};

static void live_clean(struct lv_request *r)
{
    lv_timer_stop(&((struct live *)r->work)->timer);
}

static void put_event(struct lv_request *r, const char *topic, struct lv_bytes data)
{
    lv_buf_addf(&r->reply.body, "event: %s\ndata: ", topic);
    lv_buf_add_bytes(&r->reply.body, data);
    lv_buf_add(&r->reply.body, "\n\n", 2);
}

static void tell_overview(struct live *l)
{
    struct lv_buf text = { 0 };
    struct lv_json j;

    lv_json_init(&j, &text);
    lv_json_open(&j, NULL);
    lv_json_sums(l->r, &j);
    lv_json_close(&j);
    uint64_t hash = lv_hash(lv_buf_view(&text), 1);
    if (hash != l->overview)
        put_event(l->r, "overview", lv_buf_view(&text));
    l->overview = hash;
    l->r->reply.body.is_short |= text.is_short;
    lv_buf_fini(&text);
}

/* ---- the view of queues ---- */

static uint64_t hash_names(const struct lv_listing *list, size_t count)
{
    uint64_t hash = 1;

    for (size_t i = 0; i < count; i++) {
        const struct lv_listing_item *item = lv_listing_at(list, i);
        hash = lv_hash(item->name, lv_hash(item->vhost, hash));
    }
    return hash;
}

/* Rows that differ from the last time; all of them when the view holds others, or in another order. Returns how many. */
static size_t put_rows(struct live *l, const struct lv_listing *list, size_t count, bool is_full,
                       struct lv_json *j)
{
    struct lv_request *r = l->r;
    struct lv_buf row = { 0 };
    struct lv_json one;
    size_t told = 0;

    for (size_t i = 0; i < count; i++) {
        lv_buf_drop(&row, row.len);
        lv_json_init(&one, &row);
        if (r->reply.columns.count != 0)
            lv_json_select(&one, &r->reply.columns);
        (void)lv_queue_listing.describe(r, lv_listing_at(list, i), &one);
        uint64_t hash = lv_hash(lv_buf_view(&row), 1);
        if (is_full || hash != l->rows[i]) {
            lv_json_raw(j, NULL, lv_buf_view(&row));
            told++;
        }
        l->rows[i] = hash;
    }
    j->out->is_short |= row.is_short;
    lv_buf_fini(&row);
    return told;
}

static void tell_queues(struct live *l)
{
    struct lv_request *r = l->r;
    struct lv_listing *list = lv_listing_view(r, &lv_queue_listing);
    struct lv_buf text = { 0 };
    struct lv_json j;

    if (list == NULL) { /* no memory: it was right when it began */
        r->reply.body.is_short = true;
        return;
    }
    lv_queues_add(r, list);
    size_t count = lv_listing_cut(list);
    uint64_t names = hash_names(list, count);
    bool is_full = names != l->names;
    lv_json_init(&j, &text);
    lv_json_open(&j, NULL);
    if (is_full)
        lv_json_bool(&j, "full", true);
    lv_json_open_array(&j, "rows");
    size_t told = put_rows(l, list, count, is_full, &j);
    lv_json_close(&j);
    lv_json_close(&j);
    if (told != 0 || is_full)
        put_event(r, "queues", lv_buf_view(&text));
    l->names = names;
    l->row_count = count;
    r->reply.body.is_short |= text.is_short;
    lv_buf_fini(&text);
    lv_listing_free(list);
}

/* ---- rounds ---- */

static void go_round(struct lv_loop *loop, struct lv_timer *timer)
{
    struct live *l = LV_CONTAINER_OF(timer, struct live, timer);
    struct lv_request *r = l->r;

    lv_timer_start(loop, &l->timer, EVERY_MS, go_round);
    if (lv_conn_is_full(lv_client_conn(r->client)))
        return; /* what it has not taken yet is news enough */
    if (l->has_overview)
        tell_overview(l);
    if (l->has_queues)
        tell_queues(l);
    l->quiet = r->reply.body.len != 0 ? 0 : l->quiet + 1;
    if (l->quiet == QUIET_MAX) {
        lv_buf_add_str(&r->reply.body, ":\n\n");
        l->quiet = 0;
    }
    if (r->reply.body.len != 0 || r->reply.body.is_short)
        (void)lv_reply_flush(r);
}

/* False: it was answered. */
static bool read_topics(struct lv_request *r, struct live *l)
{
    struct lv_bytes left = lv_url_param(&r->url, "topics");

    if (left.len == 0)
        left = LV_BYTES_LIT("overview");
    while (left.len != 0) {
        const uint8_t *comma = memchr(left.ptr, ',', left.len);
        struct lv_bytes one =
            lv_bytes(left.ptr, comma != NULL ? (size_t)(comma - left.ptr) : left.len);
        size_t used = one.len + (comma != NULL ? 1 : 0);
        left = lv_bytes(left.ptr + used, left.len - used);
        if (lv_bytes_eq(one, LV_BYTES_LIT("overview"))) {
            l->has_overview = true;
        } else if (lv_bytes_eq(one, LV_BYTES_LIT("queues"))) {
            l->has_queues = true;
        } else {
            lv_reply_bad_request(r, "there is no topic '%.*s'", LV_BYTES_FMT(one));
            return false;
        }
    }
    return true;
}

/* Is what the view is asked for right? False: it was answered. */
static bool read_view(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_view(r, &lv_queue_listing);

    if (list == NULL)
        return false;
    lv_listing_free(list);
    r->vhost = lv_url_param(&r->url, "vhost");
    if (r->vhost.ptr == NULL || lv_request_sees(r, r->vhost))
        return true;
    lv_reply_not_found(r);
    return false;
}

void lv_api_live(struct lv_request *r)
{
    struct live *l = lv_request_alloc(r, sizeof(*l));

    if (l == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (!lv_request_ranges(r) || !read_topics(r, l) || (l->has_queues && !read_view(r)))
        return;
    if (r->head.method == LV_HTTP_HEAD) {
        lv_reply_text(r, 200, "text/event-stream", lv_bytes(NULL, 0));
        return;
    }
    (void)lv_json_columns(lv_url_param(&r->url, "columns"), &r->reply.columns);
    l->r = r;
    r->work = l;
    r->clean = live_clean;
    lv_reply_stream(r, "text/event-stream");
    go_round(r->room->loop, &l->timer);
}

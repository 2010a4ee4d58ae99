/* Bindings are the registry's: an errand walks them there in slices and copies them into the request. */
#include <stdio.h>

#include "base/table.h"
#include "manage/ask.h"
#include "manage/bindings.h"
#include "manage/fields.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"

#define VISITS_PER_TURN 1000u

/* ---- the name of a binding ---- */

/* As RabbitMQ writes a routing key there: a blank as '+', the rest like a URL, and '~' too. */
static void quote_key(struct lv_buf *out, struct lv_bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.ptr[i];
        if (c == ' ')
            lv_buf_add(out, "+", 1);
        else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 c == '-' || c == '_' || c == '.')
            lv_buf_add(out, &c, 1);
        else
            lv_buf_addf(out, "%%%02X", c);
    }
}

/* FNV-1a: it must be the same tomorrow. */
static uint32_t hash_bytes(uint32_t hash, struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        hash = (hash ^ b.ptr[i]) * 16777619u;
    return hash;
}

/* The key, and behind '~' a hash of the arguments if there are any, whatever their order; "~" for neither. The hash is not
 * RabbitMQ's, which is one of Erlang terms: whoever uses it has read it. */
static void write_properties_key(struct lv_buf *out, struct lv_bytes key, struct lv_bytes arguments)
{
    struct lv_rd at = lv_rd(arguments);
    struct lv_field field;
    uint32_t hash = 0;

    quote_key(out, key);
    while (lv_table_next(&at, &field))
        hash += hash_bytes(hash_bytes(2166136261u, field.name), field.value.raw);
    if (arguments.len != 0)
        lv_buf_addf(out, "~%08x", hash);
    else if (key.len == 0)
        lv_buf_add(out, "~", 1);
}

/* ---- walking, on loop 0 ---- */

static struct lv_bytes copy(struct lv_walk *w, struct lv_bytes b)
{
    struct lv_bytes c = lv_request_copy(w->r, b);

    w->is_short |= c.ptr == NULL;
    return c;
}

static void add(struct lv_walk *w, const struct lv_binding_info *info)
{
    struct lv_bound *b = lv_request_alloc(w->r, sizeof(*b));
    struct lv_buf order = { 0 };

    if (b == NULL) {
        w->is_short = true;
        return;
    }
    b->vhost = w->vhosts[w->at];
    b->info = (struct lv_binding_info){
        .source = copy(w, info->source),
        .destination = copy(w, info->destination),
        .key = copy(w, info->key),
        .arguments = copy(w, info->arguments),
        .to_exchange = info->to_exchange,
    };
    lv_buf_add_bytes(&order, info->source);
    lv_buf_add(&order, info->to_exchange ? "\0exchange" : "\0queue", info->to_exchange ? 10 : 7);
    lv_buf_add_bytes(&order, info->destination);
    lv_buf_add(&order, "", 1);
    lv_buf_add_bytes(&order, info->key);
    lv_buf_add(&order, "", 1);
    size_t from = order.len;
    write_properties_key(&order, info->key, info->arguments);
    b->order = copy(w, lv_buf_view(&order));
    if (b->order.ptr != NULL)
        b->properties_key = lv_bytes(b->order.ptr + from, b->order.len - from);
    w->is_short |= order.is_short;
    lv_buf_fini(&order);
    b->next = w->first;
    w->first = b;
}

static void visit(void *ctx, const struct lv_binding_info *info)
{
    struct lv_walk *w = ctx;

    if (!w->has_destination_kind || info->to_exchange == w->to_exchange)
        add(w, info);
}

static void add_implicit(struct lv_walk *w, const struct lv_queue_entry *entry)
{
    struct lv_queue_info q;

    lv_queue_describe(entry, &q);
    add(w, &(struct lv_binding_info){ .destination = q.name, .key = q.name });
}

/* Every queue is bound to the default exchange by its name. True: no more of them. */
static bool walk_implicit(struct lv_walk *w, const struct lv_vhost *v)
{
    const struct lv_queue_entry *entry;

    if (w->no_implicit || w->queue_pos == SIZE_MAX ||
        (w->source.ptr != NULL && w->source.len != 0) || (w->has_destination_kind && w->to_exchange))
        return true;
    if (w->destination.ptr != NULL) {
        add_implicit(w, lv_observe_queue_find(v, w->destination));
        w->queue_pos = SIZE_MAX;
        return true;
    }
    for (unsigned i = 0; i < VISITS_PER_TURN; i++) {
        entry = lv_observe_queue(v, &w->queue_pos);
        if (entry == NULL) {
            w->queue_pos = SIZE_MAX;
            return true;
        }
        add_implicit(w, entry);
    }
    return false;
}

/* What the names stand for. False: one of them is not there. */
static bool find_ends(const struct lv_walk *w, const struct lv_vhost *v,
                      const struct lv_exchange **source, const struct lv_dest **destination)
{
    const struct lv_exchange *x;
    const struct lv_queue_entry *q;

    *source = NULL;
    *destination = NULL;
    if (w->source.ptr != NULL && (*source = lv_observe_exchange_find(v, w->source)) == NULL)
        return false;
    if (w->destination.ptr == NULL)
        return true;
    if (w->to_exchange) {
        x = lv_observe_exchange_find(v, w->destination);
        *destination = x != NULL ? &x->dest : NULL;
    } else {
        q = lv_observe_queue_find(v, w->destination);
        *destination = q != NULL ? lv_queue_dest(q) : NULL;
    }
    return *destination != NULL;
}

/* A slice of the present virtual host; true: that was all of it. */
static bool walk_on(struct lv_walk *w, const struct lv_vhost *v)
{
    const struct lv_exchange *source;
    const struct lv_dest *destination;

    if (!find_ends(w, v, &source, &destination)) {
        w->is_missing = true;
        return true;
    }
    if (!walk_implicit(w, v))
        return false;
    lv_observe_bindings(v, source, destination, &w->pos, VISITS_PER_TURN, visit, w);
    return w->pos == SIZE_MAX;
}

static enum lv_errand_step walk_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_walk *w = (struct lv_walk *)errand;

    if (w->at == w->vhost_count || w->is_short)
        return LV_ERRAND_DONE;
    const struct lv_vhost *v = lv_observe_vhost_find(lv_shard_broker(shard), w->vhosts[w->at]);
    if (v == NULL || walk_on(w, v)) {
        w->at++;
        w->pos = w->queue_pos = 0;
    }
    return LV_ERRAND_AGAIN;
}

static void walk_back(struct lv_errand *errand)
{
    struct lv_walk *w = (struct lv_walk *)errand;
    struct lv_request *r = w->r;

    if (!lv_request_back(r))
        return;
    if (w->is_short)
        lv_reply_no_memory(r);
    else if (w->is_missing && !w->may_miss)
        lv_reply_not_found(r);
    else
        w->done(r, w);
}

struct lv_walk *lv_walk_new(struct lv_request *r,
                            void (*done)(struct lv_request *r, struct lv_walk *w))
{
    struct lv_walk *w = lv_request_alloc(r, sizeof(*w));
    const struct lv_vhost *v;
    size_t pos = 0, count = 0;

    while (lv_observe_vhost(r->room->broker, &pos) != NULL)
        count++;
    if (w != NULL)
        w->vhosts = lv_request_alloc(r, count * sizeof(*w->vhosts));
    if (w == NULL || w->vhosts == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    pos = 0;
    while ((v = lv_request_next_vhost(r, &pos)) != NULL && w->vhost_count < count)
        w->vhosts[w->vhost_count++] = lv_request_copy(r, lv_vhost_name(v));
    w->r = r;
    w->done = done;
    w->errand.run = walk_run;
    w->errand.done = walk_back;
    w->errand.desk = &r->room->desk;
    return w;
}

void lv_walk_send(struct lv_walk *w)
{
    lv_request_out(w->r);
    lv_errand_send(w->r->room->broker, 0, &w->errand);
}

/* ---- lists ---- */

void lv_json_bound(struct lv_json *j, const struct lv_bound *b)
{
    lv_json_open(j, NULL);
    lv_json_bytes(j, "source", b->info.source);
    lv_json_bytes(j, "vhost", b->vhost);
    lv_json_bytes(j, "destination", b->info.destination);
    lv_json_str(j, "destination_type", b->info.to_exchange ? "exchange" : "queue");
    lv_json_bytes(j, "routing_key", b->info.key);
    lv_json_fields(j, "arguments", b->info.arguments);
    lv_json_bytes(j, "properties_key", b->properties_key);
    lv_json_close(j);
}

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    (void)r;
    lv_json_bound(j, item->object);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe, .is_kept = true };

static void reply_list(struct lv_request *r, struct lv_walk *w)
{
    struct lv_listing *list = lv_listing_new(r, &kind);

    if (list == NULL)
        return;
    for (const struct lv_bound *b = w->first; b != NULL; b = b->next)
        lv_listing_add(list, b->vhost, b->order, b);
    lv_listing_reply(list);
}

void lv_api_bindings(struct lv_request *r)
{
    struct lv_walk *w = lv_walk_new(r, reply_list);

    if (w != NULL)
        lv_walk_send(w);
}

static void to(struct lv_walk *w, struct lv_bytes name, bool is_exchange)
{
    w->destination = name;
    w->to_exchange = is_exchange;
    w->has_destination_kind = true;
}

void lv_api_queue_bindings(struct lv_request *r)
{
    struct lv_walk *w = lv_walk_new(r, reply_list);

    if (w == NULL)
        return;
    to(w, r->args[0], false);
    lv_walk_send(w);
}

void lv_api_exchange_bindings_source(struct lv_request *r)
{
    struct lv_walk *w = lv_walk_new(r, reply_list);

    if (w == NULL)
        return;
    w->source = lv_path_exchange(r->args[0]);
    lv_walk_send(w);
}

void lv_api_exchange_bindings_destination(struct lv_request *r)
{
    struct lv_walk *w = lv_walk_new(r, reply_list);

    if (w == NULL)
        return;
    to(w, lv_path_exchange(r->args[0]), true);
    lv_walk_send(w);
}

/* Between what the path names: /bindings/V/e/SOURCE/q/DESTINATION. */
static void walk_between(struct lv_request *r, bool to_exchange,
                         void (*done)(struct lv_request *r, struct lv_walk *w))
{
    struct lv_walk *w = lv_walk_new(r, done);

    if (w == NULL)
        return;
    w->source = lv_path_exchange(r->args[0]);
    to(w, to_exchange ? lv_path_exchange(r->args[1]) : r->args[1], to_exchange);
    w->may_miss = true; /* as in RabbitMQ: no bindings between what is not there */
    lv_walk_send(w);
}

static bool is_to_exchange(const struct lv_request *r)
{
    return lv_bytes_eq(r->url.segment[r->url.segment_count - (r->args[2].ptr != NULL ? 3u : 2u)],
                       LV_BYTES_LIT("e"));
}

void lv_api_bindings_between(struct lv_request *r)
{
    walk_between(r, is_to_exchange(r), reply_list);
}

/* ---- one ---- */

/* The one of the path. A client may have encoded the key once more for the path, or put it there as it is. */
static const struct lv_bound *find_one(const struct lv_request *r, const struct lv_walk *w)
{
    struct lv_bytes wanted = r->args[2];
    const struct lv_bound *found = NULL;
    struct lv_buf quoted = { 0 };

    quote_key(&quoted, wanted);
    for (const struct lv_bound *b = w->first; b != NULL && found == NULL; b = b->next)
        if (lv_bytes_eq(b->properties_key, wanted) ||
            (b->info.arguments.len == 0 && lv_bytes_eq(b->properties_key, lv_buf_view(&quoted))) ||
            (b->info.arguments.len != 0 && wanted.len > 9 && b->properties_key.len > 9 &&
             lv_bytes_eq(b->info.key, lv_bytes(wanted.ptr, wanted.len - 9)) &&
             memcmp(b->properties_key.ptr + b->properties_key.len - 9, wanted.ptr + wanted.len - 9,
                    9) == 0))
            found = b;
    lv_buf_fini(&quoted);
    return found;
}

static void reply_one(struct lv_request *r, struct lv_walk *w)
{
    const struct lv_bound *b = find_one(r, w);

    if (b == NULL)
        lv_reply_not_found(r);
    else
        lv_reply_one(r, &kind, &(struct lv_listing_item){ .object = b });
}

void lv_api_binding(struct lv_request *r)
{
    walk_between(r, is_to_exchange(r), reply_one);
}

static void unbind(struct lv_request *r, struct lv_walk *w)
{
    const struct lv_bound *b = find_one(r, w);
    struct lv_act *verb;

    if (b == NULL) {
        lv_reply_not_found(r);
        return;
    }
    verb = lv_act_new(r, LV_AGENT_UNBIND, lv_reply_done);
    if (verb == NULL)
        return;
    verb->agent.name = b->info.source;
    verb->agent.other = b->info.destination;
    verb->agent.to_exchange = b->info.to_exchange;
    verb->agent.key = b->info.key;
    verb->agent.arguments = b->info.arguments;
    lv_act_send(verb);
}

void lv_api_binding_delete(struct lv_request *r)
{
    walk_between(r, is_to_exchange(r), unbind);
}

static void bound(struct lv_request *r, struct lv_agent *a)
{
    uint8_t text[1024];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_buf key = { 0 };

    write_properties_key(&key, a->key, a->arguments);
    lv_url_encode(&w, r->args[1]);
    lv_wr_u8(&w, '/');
    lv_url_encode(&w, lv_buf_view(&key));
    lv_buf_fini(&key);
    if (lv_wr_ok(&w))
        lv_reply_header(r, "location", lv_bytes(text, w.used));
    lv_reply_empty(r, 201);
}

void lv_api_bind(struct lv_request *r)
{
    struct lv_bytes key = LV_BYTES_LIT(""), arguments;
    struct lv_act *verb;

    if (lv_request_json(r) == NULL || !lv_body_text(r, "routing_key", &key) ||
        !lv_body_arguments(r, &arguments))
        return;
    if (key.len > LV_SHORTSTR_MAX) {
        lv_reply_bad_request(r, "routing_key is longer than 255 bytes");
        return;
    }
    verb = lv_act_new(r, LV_AGENT_BIND, bound);
    if (verb == NULL)
        return;
    verb->agent.name = lv_path_exchange(r->args[0]);
    verb->agent.to_exchange = is_to_exchange(r);
    verb->agent.other = verb->agent.to_exchange ? lv_path_exchange(r->args[1]) : r->args[1];
    verb->agent.key = key;
    verb->agent.arguments = arguments;
    lv_act_send(verb);
}

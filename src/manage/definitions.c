/* Everything that has a name, out as one file, and in.
 *
 * Out: the registry copies it in slices, and the copy is written as the client takes it. In: the room's worker reads the file,
 * then the registry applies it in slices, so that neither messages nor other requests wait. */
#include "broker/definitions.h"

#include <string.h>

#include "manage/ask.h"
#include "manage/manage_priv.h"
#include "manage/members.h"
#include "manage/multipart.h"
#include "manage/router.h"

#define PIECE_BYTES 16384u
#define COPIED_PER_TURN 4000u
#define ITEMS_PER_TURN 500u

/* ---- out ---- */

struct export
{
    struct lv_errand errand; /* first */
    struct lv_request *r;
    enum lv_err err;
    struct lv_snapshot *snapshot;
    uint64_t version;
    struct lv_json_columns columns;
    struct lv_members members;
};

static void export_clean(struct lv_request *r)
{
    lv_snapshot_free(((struct export *)r->work)->snapshot);
}

static void write_on(struct lv_request *r)
{
    struct export *e = r->work;
    struct lv_buf *body = &r->reply.body;
    uint8_t piece[PIECE_BYTES];
    size_t got;

    do {
        if (lv_snapshot_read(e->snapshot, piece, sizeof(piece), &got) != LV_OK)
            body->is_short = true;
        lv_members_pass(&e->members, lv_bytes(piece, got), body);
        if (got == 0 || body->is_short) {
            r->go_on = NULL;
            lv_reply_end(r);
            return;
        }
    } while (lv_reply_push(r));
}

static void add_tag(struct lv_request *r, uint64_t version)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "\"%016llx\"", (unsigned long long)version);
    lv_reply_header(r, "etag", lv_bytes_str(text));
}

/* Browsers save it under that name. */
static void add_name(struct lv_request *r)
{
    struct lv_bytes name = lv_url_param(&r->url, "download");
    struct lv_buf text = { 0 };

    if (name.len == 0)
        return;
    lv_buf_add_str(&text, "attachment; filename=\"");
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"' || name.ptr[i] == '\\')
            lv_buf_add(&text, "\\", 1);
        lv_buf_add(&text, name.ptr + i, 1);
    }
    lv_buf_add(&text, "\"", 1);
    lv_reply_header(r, "content-disposition", lv_buf_view(&text));
    lv_buf_fini(&text);
}

static void taken(struct lv_errand *errand)
{
    struct export *e = (struct export *)errand;
    struct lv_request *r = e->r;

    if (!lv_request_back(r))
        return;
    if (e->err == LV_ENOTFOUND) {
        lv_reply_bad_request(r, "vhost_not_found");
        return;
    }
    if (e->err != LV_OK) {
        lv_reply_error(r, 503, "service_unavailable", "%s", lv_err_text(e->err));
        return;
    }
    if (lv_json_columns(lv_url_param(&r->url, "columns"), &e->columns))
        e->members.wanted = &e->columns;
    add_tag(r, e->version);
    add_name(r);
    (void)lv_reply_json(r, 200);
    r->go_on = write_on;
    write_on(r);
}

/* On loop 0, slice by slice. The version is that of the beginning: what changes meanwhile makes another one, and may be in. */
static enum lv_errand_step take(struct lv_shard *shard, struct lv_errand *errand)
{
    struct export *e = (struct export *)errand;
    struct lv_broker *b = lv_shard_broker(shard);

    if (e->snapshot == NULL) {
        e->version = lv_definitions_version(b);
        e->err = lv_snapshot_new(b, e->r->args[0], &e->snapshot);
    } else {
        e->err = LV_OK;
    }
    if (e->err == LV_OK)
        e->err = lv_snapshot_take(b, e->snapshot, COPIED_PER_TURN);
    return e->err == LV_EAGAIN ? LV_ERRAND_AGAIN : LV_ERRAND_DONE;
}

/* Does the client have what there is? If-None-Match: "1", W/"2", or *. */
static bool is_known(const struct lv_request *r)
{
    struct lv_bytes have = lv_http_header(&r->head, "if-none-match");
    char tag[24];

    int n = snprintf(tag, sizeof(tag), "\"%016llx\"",
                     (unsigned long long)lv_definitions_version(r->room->broker));
    return lv_bytes_eq(have, LV_BYTES_LIT("*")) ||
           (have.len != 0 && memmem(have.ptr, have.len, tag, (size_t)n) != NULL);
}

void lv_api_definitions(struct lv_request *r)
{
    struct export *e;

    if (is_known(r)) {
        add_tag(r, lv_definitions_version(r->room->broker));
        lv_reply_empty(r, 304);
        return;
    }
    e = lv_request_alloc(r, sizeof(*e));
    if (e == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    e->errand = (struct lv_errand){ .run = take, .done = taken, .desk = &r->room->desk };
    e->r = r;
    e->err = LV_ECLOSED; /* if it comes back untaken */
    r->work = e;
    r->clean = export_clean;
    lv_request_out(r);
    lv_errand_send(r->room->broker, 0, &e->errand);
}

/* ---- in ---- */

struct import {
    struct lv_job job;       /* first */
    struct lv_errand errand; /* when it has been read */
    struct lv_request *r;
    struct lv_link link; /* in room->imports */
    struct lv_bytes text;
    _Atomic(struct lv_definitions *) definitions; /* once it is read */
    struct lv_bytes redirect;                     /* where a form wants its browser to go */
    bool is_dry;
    enum lv_err err;
    size_t at; /* of a dry run's answer: items that were looked at */
    char why[LV_DEFINITIONS_WHY_MAX];
};

static void import_clean(struct lv_request *r)
{
    struct import *i = r->work;

    lv_list_remove(&i->link);
    lv_definitions_free(atomic_load(&i->definitions));
}

static void put_sums(struct lv_json *j, const struct lv_definitions *d)
{
    uint64_t sums[LV_IMPORT_OUTCOMES] = { 0 };
    struct lv_import_item item;

    for (size_t i = 0; i < lv_definitions_count(d); i++) {
        lv_definitions_item(d, i, &item);
        sums[item.outcome]++;
    }
    lv_json_u64(j, "total", lv_definitions_count(d));
    for (int k = 0; k < LV_IMPORT_OUTCOMES; k++)
        lv_json_u64(j, lv_import_outcome_name((enum lv_outcome_of_import)k), sums[k]);
}

static void put_item(struct lv_json *j, const struct lv_import_item *item)
{
    lv_json_open(j, NULL);
    lv_json_str(j, "list", item->list);
    lv_json_u64(j, "number", item->number);
    if (item->vhost.len != 0)
        lv_json_bytes(j, "vhost", item->vhost);
    lv_json_bytes(j, "name", item->name);
    lv_json_str(j, "outcome", lv_import_outcome_name(item->outcome));
    if (item->note != NULL)
        lv_json_str(j, "note", item->note);
    lv_json_close(j);
}

/* What an import would change, as the client takes it. */
static void write_diff(struct lv_request *r)
{
    struct import *i = r->work;
    const struct lv_definitions *d = atomic_load(&i->definitions);
    struct lv_json *j = &r->reply.json;
    struct lv_import_item item;

    while (i->at < lv_definitions_count(d)) {
        lv_definitions_item(d, i->at++, &item);
        if (item.outcome != LV_IMPORT_SAME)
            put_item(j, &item);
        if (!lv_reply_push(r))
            return;
    }
    r->go_on = NULL;
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

static void reply_diff(struct lv_request *r, struct import *i)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_bool(j, "dry_run", true);
    put_sums(j, atomic_load(&i->definitions));
    lv_json_open_array(j, "items");
    r->go_on = write_diff;
    write_diff(r);
}

static void reply_error(struct lv_request *r, const struct import *i)
{
    switch (i->err) {
    case LV_EINVAL:
        lv_reply_bad_request(r, "%s", i->why);
        break;
    case LV_ENOTFOUND:
        lv_reply_error(r, 404, "not_found", "vhost_not_found");
        break;
    default:
        lv_reply_error(r, 503, "service_unavailable", "%s",
                       i->why[0] != '\0' ? i->why : lv_err_text(i->err));
        break;
    }
}

static void imported(struct lv_errand *errand)
{
    struct import *i = LV_CONTAINER_OF(errand, struct import, errand);
    struct lv_request *r = i->r;

    lv_list_remove(&i->link);
    if (!lv_request_back(r))
        return;
    if (i->err != LV_OK) {
        reply_error(r, i);
    } else if (i->is_dry) {
        reply_diff(r, i);
    } else if (i->redirect.len != 0) {
        lv_reply_header(r, "location", i->redirect);
        lv_reply_empty(r, 303);
    } else {
        lv_reply_empty(r, 204);
    }
}

/* On loop 0, slice by slice. */
static enum lv_errand_step apply(struct lv_shard *shard, struct lv_errand *errand)
{
    struct import *i = LV_CONTAINER_OF(errand, struct import, errand);
    struct lv_definitions *d = atomic_load(&i->definitions);

    if (d == NULL)
        return LV_ERRAND_DONE; /* it could not be read: err says why */
    i->err = lv_definitions_step(lv_shard_broker(shard), d, ITEMS_PER_TURN, i->why, sizeof(i->why));
    if (i->err == LV_EAGAIN)
        return LV_ERRAND_AGAIN;
    return i->is_dry ? LV_ERRAND_DONE : LV_ERRAND_STABLE;
}

/* On the worker. */
static void read(struct lv_job *job)
{
    struct import *i = (struct import *)job;
    struct lv_definitions *d;

    i->err = lv_definitions_parse(i->r->room->settings, i->text, i->r->args[0], &d, i->why,
                                  sizeof(i->why));
    if (i->err == LV_OK) {
        lv_definitions_begin(d, i->is_dry);
        atomic_store(&i->definitions, d);
        i->err = LV_ECLOSED; /* if it comes back unapplied */
    }
    lv_errand_send(i->r->room->broker, 0, &i->errand);
}

/* A path of this server, so that a form cannot lead elsewhere. */
static bool is_own_path(struct lv_bytes path)
{
    if (path.len == 0 || lv_bytes_has_prefix(path, LV_BYTES_LIT("//")))
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == ':' || path.ptr[i] == '\\' || path.ptr[i] <= ' ')
            return false;
    return true;
}

/* The file: the body, or what a form has as `file`. False: it was answered. */
static bool find_text(struct lv_request *r, struct import *i)
{
    struct lv_bytes type = lv_http_header(&r->head, "content-type"), redirect;

    i->text = lv_buf_view(&r->body);
    if (lv_multipart_is(type)) {
        enum lv_err err = lv_multipart_field(type, lv_buf_view(&r->body), "file", &i->text);
        if (err != LV_OK) {
            lv_reply_bad_request(r, err == LV_ENOTFOUND ? "the form has no field 'file'"
                                                        : "malformed multipart/form-data");
            return false;
        }
        if (lv_multipart_field(type, lv_buf_view(&r->body), "redirect", &redirect) == LV_OK &&
            is_own_path(redirect))
            i->redirect = redirect;
    }
    if (i->text.len == 0 || lv_bytes_eq(i->text, LV_BYTES_LIT("null")) ||
        lv_bytes_eq(i->text, LV_BYTES_LIT("undefined")))
        i->text = LV_BYTES_LIT("{}");
    return true;
}

void lv_api_definitions_import(struct lv_request *r)
{
    struct import *i = lv_request_alloc(r, sizeof(*i));

    if (i == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (!find_text(r, i))
        return;
    i->r = r;
    i->is_dry = lv_request_flag(r, "dry_run");
    i->job.run = read;
    i->errand = (struct lv_errand){ .run = apply, .done = imported, .desk = &r->room->desk };
    lv_list_init(&i->link);
    r->work = i;
    r->clean = import_clean;
    lv_list_push(&r->room->imports, &i->link);
    lv_request_out(r);
    lv_worker_post(&r->room->worker, &i->job);
}

/* How far those are that are under way. */
void lv_api_imports(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);
    uint64_t done = 0, total = 0;

    lv_json_open_array(j, NULL);
    LV_LIST_FOR (l, &r->room->imports) {
        const struct import *i = LV_CONTAINER_OF(l, struct import, link);
        const struct lv_definitions *d = atomic_load(&i->definitions);
        if (d != NULL)
            lv_definitions_progress(d, &done, &total);
        lv_json_open(j, NULL);
        lv_json_bytes(j, "user", i->r->who.name);
        lv_json_bytes(j, "vhost", i->r->args[0]);
        lv_json_bool(j, "dry_run", i->is_dry);
        lv_json_str(j, "state", d != NULL ? "applying" : "reading");
        lv_json_u64(j, "done", d != NULL ? done : 0);
        lv_json_u64(j, "total", d != NULL ? total : 0);
        lv_json_close(j);
    }
    lv_json_close(j);
    lv_reply_end(r);
}

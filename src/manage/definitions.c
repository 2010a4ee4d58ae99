/* Everything that has a name, as a file: out and in. */
#include "broker/definitions.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "manage/ask.h"
#include "manage/form.h"
#include "manage/manage_priv.h"
#include "manage/router.h"

#define READ_BYTES 32768u
#define STEPS_PER_TURN 200u

/* ---- out ---- */

static void snapshot_clean(struct lv_request *r)
{
    lv_snapshot_free(*(struct lv_snapshot **)r->work);
}

static void write_on(struct lv_request *r)
{
    struct lv_snapshot *snapshot = *(struct lv_snapshot **)r->work;
    size_t got;

    for (;;) {
        uint8_t *room = lv_buf_room(&r->reply.body, READ_BYTES);
        if (room == NULL || lv_snapshot_read(snapshot, room, READ_BYTES, &got) != LV_OK) {
            r->reply.body.is_short = true;
            break;
        }
        if (got == 0)
            break;
        r->reply.body.len += got;
        if (!lv_reply_push(r))
            return;
    }
    r->go_on = NULL;
    lv_reply_end(r);
}

static enum lv_err take(struct lv_broker *b, struct lv_change *c)
{
    return lv_definitions_take(b, c->r->vhost, c->record);
}

/* What a client that has this text need not be sent again. */
static void entity_tag(const struct lv_request *r, char *out, size_t cap)
{
    (void)snprintf(out, cap, "W/\"%llx-%zu\"",
                   (unsigned long long)lv_definitions_version(r->room->broker), r->vhost.len);
}

static void taken(struct lv_request *r, struct lv_change *c)
{
    struct lv_bytes name = lv_url_param(&r->url, "download");
    char tag[64], disposition[300];

    if (c->err != LV_OK) {
        lv_reply_changed(r, c);
        return;
    }
    entity_tag(r, tag, sizeof(tag));
    lv_reply_header(r, "etag", lv_bytes_str(tag));
    if (name.len != 0 && memchr(name.ptr, '"', name.len) == NULL) {
        (void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%.*s\"",
                       LV_BYTES_FMT(name));
        lv_reply_header(r, "content-disposition", lv_bytes_str(disposition));
    }
    (void)lv_reply_json(r, 200);
    r->go_on = write_on;
    write_on(r);
}

void lv_api_definitions(struct lv_request *r)
{
    struct lv_snapshot **snapshot = lv_request_alloc(r, sizeof(struct lv_snapshot *));
    struct lv_change *c;
    char tag[64];

    if (snapshot == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    entity_tag(r, tag, sizeof(tag));
    if (lv_bytes_eq(lv_http_header(&r->head, "if-none-match"), lv_bytes_str(tag))) {
        lv_reply_header(r, "etag", lv_bytes_str(tag));
        lv_reply_empty(r, 304);
        return;
    }
    r->work = (void *)snapshot;
    r->clean = snapshot_clean;
    c = lv_change_new(r, take, (void *)snapshot);
    if (c == NULL)
        return;
    c->done = taken;
    lv_change_send(c);
}

/* ---- in: parsed by the worker, applied by the registry in slices ---- */

struct import {
    struct lv_job job; /* first */
    struct lv_errand errand;
    struct lv_request *r;
    struct lv_bytes text;
    struct lv_definitions *definitions;
    bool is_dry, is_begun;
    enum lv_err err;
    char why[LV_DEFINITIONS_WHY_MAX];
};

static void import_clean(struct lv_request *r)
{
    lv_definitions_free(((struct import *)r->work)->definitions);
}

static enum lv_errand_step import_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct import *in = LV_CONTAINER_OF(errand, struct import, errand);

    if (in->err != LV_OK && in->err != LV_EAGAIN)
        return LV_ERRAND_DONE; /* it could not be parsed */
    if (!in->is_begun)
        lv_definitions_begin(in->definitions, in->is_dry);
    in->is_begun = true;
    in->err = lv_definitions_step(lv_shard_broker(shard), in->definitions, STEPS_PER_TURN, in->why,
                                  sizeof(in->why));
    return in->err == LV_EAGAIN ? LV_ERRAND_AGAIN : in->is_dry ? LV_ERRAND_DONE : LV_ERRAND_STABLE;
}

/* On the worker's thread. */
static void parse(struct lv_job *job)
{
    struct import *in = (struct import *)job;
    struct lv_bytes vhost = in->r->vhost;

    in->err = lv_definitions_parse(in->r->room->settings, in->text, vhost, &in->definitions,
                                   in->why, sizeof(in->why));
    lv_errand_send(in->r->room->broker, 0, &in->errand);
}

/* What a dry run found: every item, and what would become of it. */
static void reply_plan(struct lv_request *r, const struct import *in)
{
    struct lv_json *j = lv_reply_json(r, 200);
    struct lv_import_item item;
    uint64_t counts[LV_IMPORT_OUTCOMES] = { 0 };

    lv_json_open(j, NULL);
    lv_json_open_array(j, "items");
    for (size_t i = 0; i < lv_definitions_count(in->definitions); i++) {
        lv_definitions_item(in->definitions, i, &item);
        counts[item.outcome]++;
        lv_json_open(j, NULL);
        lv_json_str(j, "list", item.list);
        lv_json_u64(j, "number", item.number);
        lv_json_bytes(j, "vhost", item.vhost);
        lv_json_bytes(j, "name", item.name);
        lv_json_str(j, "outcome", lv_import_outcome_name(item.outcome));
        if (item.note != NULL)
            lv_json_str(j, "note", item.note);
        lv_json_close(j);
    }
    lv_json_close(j);
    lv_json_open(j, "counts");
    for (int i = 0; i < LV_IMPORT_OUTCOMES; i++)
        lv_json_u64(j, lv_import_outcome_name((enum lv_outcome_of_import)i), counts[i]);
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

/* A page that sent a form may say where to go. */
static void reply_imported(struct lv_request *r)
{
    struct lv_bytes to;

    if (lv_form_part(lv_http_header(&r->head, "content-type"), lv_buf_view(&r->body), "redirect",
                     &to)) {
        lv_reply_header(r, "location", to);
        lv_reply_empty(r, 303);
    } else {
        lv_reply_empty(r, 204);
    }
}

static void imported(struct lv_errand *errand)
{
    struct import *in = LV_CONTAINER_OF(errand, struct import, errand);
    struct lv_request *r = in->r;

    if (!lv_request_back(r))
        return;
    if (in->err == LV_EINVAL)
        lv_reply_bad_request(r, "%s", in->why);
    else if (in->err == LV_ENOTFOUND)
        lv_reply_not_found(r);
    else if (in->err != LV_OK)
        lv_reply_error(r, 503, "service_unavailable", "%s",
                       in->why[0] != '\0' ? in->why : lv_err_text(in->err));
    else if (in->is_dry)
        reply_plan(r, in);
    else
        reply_imported(r);
}

void lv_api_definitions_post(struct lv_request *r)
{
    struct lv_bytes type = lv_http_header(&r->head, "content-type");
    struct import *in = lv_request_alloc(r, sizeof(*in));

    if (in == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    in->r = r;
    in->text = lv_buf_view(&r->body);
    if (lv_bytes_has_prefix(type, LV_BYTES_LIT("multipart/form-data")) &&
        !lv_form_part(type, lv_buf_view(&r->body), "file", &in->text)) {
        lv_reply_bad_request(r, "the form has no part named file");
        return;
    }
    in->is_dry = lv_request_flag(r, "dry_run");
    in->err = LV_ECLOSED; /* if it comes back undone */
    in->errand = (struct lv_errand){ .run = import_run, .done = imported, .desk = &r->room->desk };
    in->job.run = parse;
    r->work = in;
    r->clean = import_clean;
    lv_request_out(r);
    lv_worker_post(&r->room->worker, &in->job);
}

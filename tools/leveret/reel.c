#include "reel.h"

#include <stdlib.h>
#include <sysexits.h>
#include <xxhash.h>

#include "amqp_frame.h"

#define CHANNEL 1u
#define REEL_BYTES_MAX (256u << 20)
#define FLAG_HEADERS 0x2000u
#define FLAG_DELIVERY_MODE 0x1000u
#define PERSISTENT 2u

static void write_publish(struct lv_wr *w, const struct lv_route *route)
{
    size_t start = lv_method_begin(w, CHANNEL, LV_BASIC_PUBLISH);

    lv_wr_u16(w, 0);
    lv_wr_short(w, lv_bytes_str(route->exchange));
    lv_wr_short(w, lv_bytes_str(route->key));
    lv_wr_u8(w, 0);
    lv_frame_finish(w, start);
}

static void write_header(struct lv_wr *w, const struct lv_reel_spec *spec,
                         const struct lv_route *route)
{
    size_t start = lv_frame_begin(w, LV_FRAME_HEADER, CHANNEL);
    unsigned flags = (route->headers.len != 0 ? FLAG_HEADERS : 0) |
                     (spec->is_persistent ? FLAG_DELIVERY_MODE : 0);

    lv_wr_u16(w, LV_CLASS_BASIC);
    lv_wr_u16(w, 0);
    lv_wr_u64(w, spec->body_bytes);
    lv_wr_u16(w, (uint16_t)flags);
    lv_wr_bytes(w, route->headers.ptr, route->headers.len);
    if (spec->is_persistent)
        lv_wr_u8(w, PERSISTENT);
    lv_frame_finish(w, start);
}

static void write_body(struct lv_wr *w, const uint8_t *body, const struct lv_reel_spec *spec)
{
    size_t part_max = spec->frame_max - LV_FRAME_EXTRA;

    for (size_t done = 0; done < spec->body_bytes;) {
        size_t part = LV_MIN(spec->body_bytes - done, part_max);
        size_t start = lv_frame_begin(w, LV_FRAME_BODY, CHANNEL);
        lv_wr_bytes(w, body + done, part);
        lv_frame_finish(w, start);
        done += part;
    }
}

/* Writes one message and returns where its body begins. */
static size_t write_message(struct lv_wr *w, const struct lv_reel_spec *spec,
                            const struct lv_route *route, const uint8_t *body)
{
    write_publish(w, route);
    write_header(w, spec, route);
    size_t body_at = w->used + LV_FRAME_HEAD;
    write_body(w, body, spec);
    return body_at;
}

static uint8_t *make_body(size_t size)
{
    uint8_t *body = lv_need(malloc(size + 1));

    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)('a' + i % 26);
    return body;
}

bool lv_reel_init(struct lv_reel *reel, const struct lv_reel_spec *spec, struct lv_fault *fault)
{
    uint8_t *body = make_body(spec->body_bytes);
    struct lv_wr size = lv_wr(NULL, 0); /* counts only */

    for (size_t i = 0; i < spec->route_count; i++)
        write_message(&size, spec, &spec->routes[i], body);
    if (size.used > REEL_BYTES_MAX) {
        free(body);
        return lv_fail(fault, EX_USAGE, "too many keys for bodies of %zu bytes", spec->body_bytes);
    }
    size_t rounds = LV_MAX(spec->bytes_wanted / size.used, 1u);
    size_t stamp_size = lv_stamp_size(spec->stamp);

    reel->count = rounds * spec->route_count;
    reel->bytes = lv_need(malloc(rounds * size.used));
    reel->start = lv_need(calloc(reel->count + 1, sizeof(*reel->start)));
    reel->body_at = lv_need(calloc(reel->count, sizeof(*reel->body_at)));
    reel->stamp = spec->stamp;
    reel->rest_hash = XXH3_64bits(body + stamp_size, spec->body_bytes - stamp_size);

    struct lv_wr w = lv_wr(reel->bytes, rounds * size.used);
    for (size_t i = 0; i < reel->count; i++) {
        reel->start[i] = w.used;
        reel->body_at[i] = write_message(&w, spec, &spec->routes[i % spec->route_count], body);
    }
    reel->start[reel->count] = w.used;
    free(body);
    return true;
}

void lv_reel_fini(struct lv_reel *reel)
{
    free(reel->bytes);
    free(reel->start);
    free(reel->body_at);
    *reel = (struct lv_reel){ 0 };
}

#include "manage/rates.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "manage/rates_priv.h"
#include "manage/request.h"

#define RANGE_MAX 500u
#define FIRST_TICK (1u << 24) /* there is a time before it */
#define SLOTS_MAX 20000u      /* of a ring: a day of 5 s */

static const char *const names[] = {
#define X(name, range) #name,
    LV_RATES(X)
#undef X
};
static const uint8_t range_of[] = {
#define X(name, range) LV_RANGE_##range,
    LV_RATES(X)
#undef X
};

bool lv_rates_ranges(struct lv_request *r, struct lv_rates_ranges *out)
{
    static const char *const kinds[LV_RANGE_COUNT] = { "lengths", "msg_rates", "data_rates",
                                                       "node_stats" };
    char name[32];

    for (unsigned i = 0; i < LV_RANGE_COUNT; i++) {
        uint64_t age = 0, incr = 0;
        (void)snprintf(name, sizeof(name), "%s_age", kinds[i]);
        bool is_good = lv_request_number(r, name, UINT32_MAX, &age);
        (void)snprintf(name, sizeof(name), "%s_incr", kinds[i]);
        is_good = is_good && lv_request_number(r, name, UINT32_MAX, &incr);
        if (!is_good || (age != 0) != (incr != 0) || (incr != 0 && age / incr > RANGE_MAX)) {
            lv_reply_error(r, 400, "invalid_range_parameters",
                           "Invalid range parameters: %s_age and %s_incr", kinds[i], kinds[i]);
            return false;
        }
        out->age_s[i] = (uint32_t)age;
        out->incr_s[i] = (uint32_t)incr;
    }
    return true;
}

bool lv_request_ranges(struct lv_request *r)
{
    struct lv_rates_ranges *ranges = lv_request_alloc(r, sizeof(*ranges));

    r->ranges = ranges;
    if (ranges != NULL)
        return lv_rates_ranges(r, ranges);
    lv_reply_no_memory(r);
    return false;
}

/* ---- objects ---- */

const struct lv_series_policy *lv_rates_policy(const struct lv_rates *rates, unsigned kind)
{
    return kind == LV_RATES_NODE || kind == LV_RATES_VHOST ? &rates->global : &rates->basic;
}

/* Kind, id, length of the virtual host's name, both names. 0: too long. */
static size_t make_key(uint8_t *out, enum lv_rates_kind kind, struct lv_bytes vhost,
                       struct lv_bytes name, uint64_t id)
{
    struct lv_wr w = lv_wr(out, LV_RATES_KEY_MAX);

    lv_wr_u8(&w, (uint8_t)kind);
    lv_wr_u64(&w, id);
    lv_wr_u32(&w, (uint32_t)vhost.len);
    lv_wr_bytes(&w, vhost.ptr, vhost.len);
    lv_wr_bytes(&w, name.ptr, name.len);
    return lv_wr_ok(&w) ? w.used : 0;
}

static struct lv_rated *find(const struct lv_rates *rates, const uint8_t *key, size_t len)
{
    struct lv_bytes b = lv_bytes(key, len);

    return (struct lv_rated *)lv_ptrmap_get(&rates->objects, b, lv_hash(b, 0));
}

struct lv_rated *lv_rates_object(struct lv_rates *rates, enum lv_rates_kind kind,
                                 struct lv_bytes vhost, struct lv_bytes name, uint64_t id)
{
    uint8_t key[LV_RATES_KEY_MAX];
    size_t len = make_key(key, kind, vhost, name, id);
    struct lv_rated *o = len != 0 ? find(rates, key, len) : NULL;

    if (len == 0 || o != NULL)
        return o;
    if (rates->object_bytes > LV_RATES_OBJECT_BYTES_MAX)
        return NULL;
    o = lv_mem_zalloc(sizeof(*o) + len, LV_TAG_MANAGE);
    if (o == NULL)
        return NULL;
    memcpy(o->key, key, len);
    o->entry.key = lv_bytes(o->key, len);
    o->entry.hash = lv_hash(o->entry.key, 0);
    o->rates = rates;
    o->kind = (uint8_t)kind;
    o->series.changed = o->met = rates->world.tick;
    if (lv_ptrmap_add(&rates->objects, &o->entry) != LV_OK) {
        lv_mem_free(o, LV_TAG_MANAGE);
        return NULL;
    }
    rates->object_bytes += sizeof(*o) + len;
    return o;
}

static void forget(struct lv_rates *rates, struct lv_rated *o)
{
    rates->object_bytes -= sizeof(*o) + o->entry.key.len + o->series.count * LV_TRACK_BYTES;
    lv_ptrmap_remove(&rates->objects, &o->entry);
    lv_series_fini(&rates->world, &o->series, lv_rates_policy(rates, o->kind));
    lv_mem_free(o, LV_TAG_MANAGE);
}

void lv_rates_note(struct lv_rated *o, enum lv_rate rate, uint64_t value, uint64_t base)
{
    struct lv_rates *rates = o->rates;
    unsigned before = o->series.count;

    /* Without memory it is noted the next time. */
    (void)!lv_series_note(&rates->world, &o->series, lv_rates_policy(rates, o->kind), rate,
                          rates->world.tick + 1, value, base);
    rates->object_bytes += (o->series.count - before) * LV_TRACK_BYTES;
}

void lv_rates_note_met(struct lv_rated *o, enum lv_rate rate, uint64_t value)
{
    bool is_new = o->met == o->rates->world.tick;

    if (!is_new)
        lv_rates_note(o, rate, value, 0);
    else if (value != 0 && lv_series_start(&o->series, rate, value) == LV_OK)
        o->rates->object_bytes += LV_TRACK_BYTES;
}

void lv_rates_sweep(struct lv_rates *rates)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&rates->objects, &pos)) != NULL) {
        struct lv_rated *o = (struct lv_rated *)e;
        if (o != rates->node &&
            (o->series.changed == o->met /* nothing but what it began with */ ||
             lv_series_is_still(&rates->world, &o->series, lv_rates_policy(rates, o->kind))))
            forget(rates, o);
    }
}

/* ---- policies ---- */

struct step {
    uint32_t keep_s, every_s;
};

/* Seconds to ticks; what is wanted finer than the ticks are is as fine as they are. */
static void set_policy(struct lv_series_policy *p, uint32_t tick_ms, const struct step *steps,
                       unsigned count)
{
    p->count = 0;
    for (unsigned i = 0; i < count && p->count < LV_SERIES_LEVELS_MAX; i++) {
        uint32_t every = LV_MAX(1u, (uint32_t)((uint64_t)steps[i].every_s * 1000 / tick_ms));
        uint64_t ticks = (uint64_t)steps[i].keep_s * 1000 / tick_ms;
        p->level[p->count].every = every;
        p->level[p->count++].slots = (uint32_t)LV_MIN(ticks / every + 2, SLOTS_MAX);
    }
}

/* management.sample_retention_policies.NAME.{minute,hour,day} = SECONDS, RabbitMQ's words for 10 minutes, an hour and a day. */
static unsigned read_steps(const char *items, const char *policy, struct step *out)
{
    static const struct {
        const char *name;
        uint32_t keep_s;
    } words[] = { { "minute", 605 }, { "hour", 3660 }, { "day", 86400 } };
    struct lv_bytes value;
    unsigned count = 0;
    char name[64];

    for (size_t i = 0; i < LV_ARRAY_LEN(words); i++) {
        uint32_t every_s = 0;
        (void)snprintf(name, sizeof(name), "%s.%s", policy, words[i].name);
        if (!lv_items_get(items, name, &value))
            continue;
        for (size_t k = 0; k < value.len && value.ptr[k] >= '0' && value.ptr[k] <= '9'; k++)
            every_s = LV_MIN(every_s * 10 + (value.ptr[k] - (uint32_t)'0'), 86400u);
        if (every_s != 0)
            out[count++] = (struct step){ words[i].keep_s, every_s };
    }
    return count;
}

static void read_policies(struct lv_rates *rates)
{
    static const struct step global[] = { { 605, 5 }, { 3660, 60 }, { 29400, 600 }, { 86400, 1800 } };
    static const struct step basic[] = { { 605, 5 }, { 3600, 60 } };
    const char *items = rates->room->settings->management_retention;
    uint32_t tick_ms = rates->world.every_ms;
    struct step own[LV_SERIES_LEVELS_MAX];
    unsigned n = read_steps(items, "global", own);

    set_policy(&rates->global, tick_ms, n != 0 ? own : global, n != 0 ? n : LV_ARRAY_LEN(global));
    n = read_steps(items, "basic", own);
    set_policy(&rates->basic, tick_ms, n != 0 ? own : basic, n != 0 ? n : LV_ARRAY_LEN(basic));
}

/* ---- life ---- */

enum lv_err lv_rates_start(struct lv_manage *m, struct lv_rates **out)
{
    struct lv_rates *rates = lv_mem_zalloc(sizeof(*rates), LV_TAG_MANAGE);

    *out = rates;
    if (rates == NULL)
        return LV_ENOMEM;
    rates->room = m;
    rates->world.every_ms = m->settings->statistics_interval;
    rates->world.bytes_max = LV_RATES_RING_BYTES_MAX;
    rates->world.tick = FIRST_TICK;
    lv_ptrmap_init(&rates->objects, &lv_reclaim_now);
    read_policies(rates);
    rates->node = lv_rates_object(rates, LV_RATES_NODE, lv_bytes(NULL, 0), lv_bytes(NULL, 0), 0);
    if (rates->node == NULL)
        return LV_ENOMEM;
    lv_sampler_start(rates);
    return LV_OK;
}

void lv_rates_stop(struct lv_rates *rates)
{
    if (rates != NULL)
        lv_sampler_stop(rates);
}

void lv_rates_free(struct lv_rates *rates)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    if (rates == NULL)
        return;
    LV_ASSERT(rates->step != LV_SAMPLER_CENSUS);
    while ((e = lv_ptrmap_next(&rates->objects, &pos)) != NULL)
        forget(rates, (struct lv_rated *)e);
    lv_ptrmap_fini(&rates->objects);
    lv_mem_free(rates, LV_TAG_MANAGE);
}

/* ---- shown ---- */

const struct lv_series *lv_rates_find(const struct lv_rates *rates, enum lv_rates_kind kind,
                                      struct lv_bytes vhost, struct lv_bytes name, uint64_t id)
{
    uint8_t key[LV_RATES_KEY_MAX];
    size_t len = rates != NULL ? make_key(key, kind, vhost, name, id) : 0;
    const struct lv_rated *o = len != 0 ? find(rates, key, len) : NULL;

    return o != NULL ? &o->series : NULL;
}

/* Sums of others are not kept. The parts of `rate`; one, itself, for most. */
static unsigned parts_of(enum lv_rate rate, enum lv_rate out[4])
{
    if (rate == LV_RATE_messages) {
        out[0] = LV_RATE_messages_ready;
        out[1] = LV_RATE_messages_unacknowledged;
        return 2;
    }
    out[0] = rate;
    if (rate != LV_RATE_deliver_get)
        return 1;
    out[0] = LV_RATE_deliver;
    out[1] = LV_RATE_deliver_no_ack;
    out[2] = LV_RATE_get;
    out[3] = LV_RATE_get_no_ack;
    return 4;
}

/* May it fall? */
static bool is_length(enum lv_rate rate)
{
    switch (rate) {
    case LV_RATE_messages:
    case LV_RATE_messages_ready:
    case LV_RATE_messages_unacknowledged:
    case LV_RATE_mem_used:
    case LV_RATE_fd_used:
    case LV_RATE_disk_free:
    case LV_RATE_proc_used:
    case LV_RATE_sockets_used:
    case LV_RATE_run_queue:
        return true;
    default:
        return false;
    }
}

static const struct lv_rated *rated_of(const struct lv_series *series)
{
    return LV_CONTAINER_OF((struct lv_series *)(uintptr_t)series, struct lv_rated, series);
}

double lv_rates_now(const struct lv_series *series, enum lv_rate rate)
{
    enum lv_rate part[4];
    double sum = 0;

    if (series == NULL)
        return 0;
    for (unsigned i = parts_of(rate, part); i-- > 0;)
        sum += lv_series_rate(&rated_of(series)->rates->world, series, part[i]);
    return sum < 0 && !is_length(rate) ? 0 : sum; /* an object of the same name began anew */
}

static uint64_t value_at(const struct lv_rated *o, enum lv_rate rate, uint32_t ago, uint64_t now)
{
    const struct lv_rates *rates = o->rates;
    enum lv_rate part[4];
    unsigned count = parts_of(rate, part);
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += lv_series_at(&rates->world, &o->series, lv_rates_policy(rates, o->kind), part[i],
                            ago, count == 1 ? now : 0);
    return sum;
}

static void put_samples(struct lv_json *j, const struct lv_rated *o, enum lv_rate rate,
                        uint64_t now, uint32_t age_s, uint32_t incr_s)
{
    const struct lv_series_world *w = &o->rates->world;
    uint32_t count = age_s / incr_s + 1;
    uint64_t newest = 0, oldest = 0;
    double sum = 0;

    lv_json_open_array(j, "samples");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t ago_ms = (uint64_t)i * incr_s * 1000;
        oldest = value_at(o, rate, (uint32_t)(ago_ms / w->every_ms), now);
        newest = i == 0 ? oldest : newest;
        sum += (double)oldest;
        lv_json_open(j, NULL);
        lv_json_u64(j, "sample", oldest);
        lv_json_u64(j, "timestamp", w->tick_ms > ago_ms ? w->tick_ms - ago_ms : 0);
        lv_json_close(j);
    }
    lv_json_close(j);
    double grown = (double)(int64_t)(newest - oldest);
    uint64_t span_s = (uint64_t)(count - 1) * incr_s;
    if (grown < 0 && !is_length(rate))
        grown = 0;
    lv_json_double(j, "avg_rate", span_s != 0 ? grown / (double)span_s : 0);
    lv_json_double(j, "avg", sum / count);
}

void lv_rates_put(struct lv_json *j, const struct lv_series *series, enum lv_rate rate,
                  uint64_t value, const struct lv_rates_ranges *ranges)
{
    unsigned range = range_of[rate];
    char details[48];

    lv_json_u64(j, names[rate], value);
    (void)snprintf(details, sizeof(details), "%s_details", names[rate]);
    lv_json_open(j, details);
    lv_json_double(j, "rate", lv_rates_now(series, rate));
    if (series != NULL && ranges != NULL && ranges->incr_s[range] != 0)
        put_samples(j, rated_of(series), rate, value, ranges->age_s[range], ranges->incr_s[range]);
    lv_json_close(j);
}

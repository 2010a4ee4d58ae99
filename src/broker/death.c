#include "broker/death.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"

static const char *const names[] = {
    [LV_DEATH_REJECTED] = "rejected",
    [LV_DEATH_EXPIRED] = "expired",
    [LV_DEATH_MAXLEN] = "maxlen",
    [LV_DEATH_DELIVERY_LIMIT] = "delivery_limit",
};

const char *lv_death_name(enum lv_death why)
{
    LV_ASSERT((size_t)why < LV_ARRAY_LEN(names));
    return names[why];
}

/* ---- reading ---- */

/* One entry of x-death. */
struct entry {
    struct lv_bytes queue, reason;
    struct lv_value count;
    struct lv_bytes fields;
    struct lv_bytes raw; /* the whole value */
};

static bool find_string(struct lv_bytes table, const char *name, struct lv_bytes *out)
{
    struct lv_value v;

    if (!lv_table_find(table, lv_bytes_str(name), &v) || v.kind != LV_KIND_STRING)
        return false;
    *out = v.bytes;
    return true;
}

static bool read_entry(const struct lv_value *v, struct entry *out)
{
    if (v->kind != LV_KIND_TABLE || !find_string(v->bytes, "queue", &out->queue) ||
        !find_string(v->bytes, "reason", &out->reason) ||
        !lv_table_find(v->bytes, LV_BYTES_LIT("count"), &out->count) ||
        out->count.kind != LV_KIND_INT)
        return false;
    out->fields = v->bytes;
    out->raw = v->raw;
    return true;
}

/* Steps through x-death; false at the end, and with `bad` set at what is no entry. */
static bool next_entry(struct lv_rd *at, struct entry *out)
{
    struct lv_value v;

    if (!lv_array_next(at, &v))
        return false;
    if (!read_entry(&v, out))
        at->bad = true;
    return !at->bad;
}

/* The entries of x-death; none unless all of them are well-formed. */
static struct lv_bytes find_history(struct lv_bytes headers)
{
    struct lv_value v;
    struct entry e;

    if (!lv_table_find(headers, LV_BYTES_LIT("x-death"), &v) || v.kind != LV_KIND_ARRAY)
        return lv_bytes(NULL, 0);
    struct lv_rd at = lv_rd(v.bytes);
    while (next_entry(&at, &e))
        ;
    return at.bad ? lv_bytes(NULL, 0) : v.bytes;
}

/* The keys in the header `name`, for next_key. */
static struct lv_rd find_keys(struct lv_bytes headers, const char *name)
{
    struct lv_value v;

    if (!lv_table_find(headers, lv_bytes_str(name), &v) || v.kind != LV_KIND_ARRAY)
        return lv_rd(lv_bytes(NULL, 0));
    return lv_rd(v.bytes);
}

/* What is no string among them is passed over, as at publishing (RabbitMQ). */
static bool next_key(struct lv_rd *at, struct lv_bytes *out)
{
    struct lv_value v;

    while (lv_array_next(at, &v)) {
        if (v.kind == LV_KIND_STRING) {
            *out = v.bytes;
            return true;
        }
    }
    return false;
}

size_t lv_death_keys(const struct lv_msg *m, struct lv_bytes *keys, size_t max)
{
    static const char *const headers[] = { "CC", "BCC" };
    struct lv_props props;
    struct lv_bytes key;
    size_t n = 1;

    if (max > 0)
        keys[0] = lv_msg_key(m);
    if (lv_props_decode(lv_msg_props(m), &props) != LV_OK)
        return n;
    for (size_t i = 0; i < LV_ARRAY_LEN(headers); i++) {
        struct lv_rd at = find_keys(props.headers, headers[i]);
        for (; next_key(&at, &key); n++)
            if (n < max)
                keys[n] = key;
    }
    return n;
}

bool lv_death_is_cycle(struct lv_bytes raw, struct lv_bytes queue, enum lv_death why)
{
    struct lv_bytes rejected = lv_bytes_str(names[LV_DEATH_REJECTED]);
    struct lv_props props;
    struct entry e;

    if (why == LV_DEATH_REJECTED || lv_props_decode(raw, &props) != LV_OK)
        return false;
    struct lv_rd at = lv_rd(find_history(props.headers));
    while (next_entry(&at, &e) && !lv_bytes_eq(e.reason, rejected))
        if (lv_bytes_eq(e.queue, queue))
            return true;
    return false;
}

/* ---- writing ---- */

enum fact { QUEUE, REASON, EXCHANGE, FACTS };

static const char *const first_names[FACTS] = {
    [QUEUE] = "x-first-death-queue",
    [REASON] = "x-first-death-reason",
    [EXCHANGE] = "x-first-death-exchange",
};
static const char *const last_names[FACTS] = {
    [QUEUE] = "x-last-death-queue",
    [REASON] = "x-last-death-reason",
    [EXCHANGE] = "x-last-death-exchange",
};

/* A message that has died, and what is to be written of it. */
struct dead {
    struct lv_bytes facts[FACTS];
    struct lv_bytes key;
    uint64_t time_s;
    struct lv_props props;    /* as they were */
    struct lv_bytes history;  /* entries of the deaths before */
    bool writes_first[FACTS]; /* those that it does not have */
};

/* RabbitMQ shows the number that it has read: without sign and leading zeros. */
static struct lv_bytes plain_number(struct lv_bytes text)
{
    size_t skip = text.len > 1 && (text.ptr[0] == '+' || text.ptr[0] == '-');

    while (skip + 1 < text.len && text.ptr[skip] == '0')
        skip++;
    return lv_bytes(text.ptr + skip, text.len - skip);
}

#define ARRAY_STR_BYTES(len) (5 + (len)) /* of a string in an array */

static void write_keys(struct lv_wr *w, const struct dead *d)
{
    struct lv_rd at = find_keys(d->props.headers, "CC");
    size_t start = lv_table_begin_array(w, "routing-keys");
    struct lv_bytes key;

    lv_array_put_str(w, d->key);
    size_t end = w->used + LV_DEATH_KEYS_BYTES_MAX;
    while (next_key(&at, &key) && w->used + ARRAY_STR_BYTES(key.len) <= end)
        lv_array_put_str(w, key);
    lv_wr_long_end(w, start);
}

static void write_new_entry(struct lv_wr *w, const struct dead *d)
{
    size_t start = lv_array_begin_table(w);

    if ((d->props.flags & LV_PROP_EXPIRATION) != 0)
        lv_table_put_str(w, "original-expiration", plain_number(d->props.expiration));
    lv_table_put_i64(w, "count", 1);
    lv_table_put_str(w, "reason", d->facts[REASON]);
    lv_table_put_str(w, "queue", d->facts[QUEUE]);
    lv_table_put_timestamp(w, "time", d->time_s);
    lv_table_put_str(w, "exchange", d->facts[EXCHANGE]);
    write_keys(w, d);
    lv_wr_long_end(w, start);
}

/* Counted once more; time, exchange and keys stay those of the first death there (RabbitMQ). */
static void write_old_entry(struct lv_wr *w, const struct entry *e)
{
    size_t start = lv_array_begin_table(w);
    struct lv_rd at = lv_rd(e->fields);
    struct lv_field f;

    for (const uint8_t *from = at.at; lv_table_next(&at, &f); from = at.at) {
        if (f.value.raw.ptr == e->count.raw.ptr)
            lv_table_put_i64(w, "count", LV_MIN(e->count.i, INT64_MAX - 1) + 1);
        else
            lv_wr_bytes(w, from, (size_t)(at.at - from));
    }
    lv_wr_long_end(w, start);
}

static bool is_same_death(const struct dead *d, const struct entry *e)
{
    return lv_bytes_eq(e->queue, d->facts[QUEUE]) && lv_bytes_eq(e->reason, d->facts[REASON]);
}

static void write_front(struct lv_wr *w, const struct dead *d)
{
    struct lv_rd at = lv_rd(d->history);
    struct entry e;

    while (next_entry(&at, &e)) {
        if (is_same_death(d, &e)) {
            write_old_entry(w, &e);
            return;
        }
    }
    write_new_entry(w, d);
}

static void write_history(struct lv_wr *w, const struct dead *d)
{
    size_t start = lv_table_begin_array(w, "x-death"), count = 1;
    struct lv_rd at = lv_rd(d->history);
    struct entry e;

    write_front(w, d);
    while (count < LV_DEATHS_MAX && next_entry(&at, &e)) {
        if (is_same_death(d, &e))
            continue;
        if (w->used - start + e.raw.len > LV_DEATHS_BYTES_MAX)
            break;
        lv_wr_bytes(w, e.raw.ptr, e.raw.len);
        count++;
    }
    lv_wr_long_end(w, start);
}

static bool is_rewritten(const struct dead *d, struct lv_bytes name)
{
    if (lv_bytes_eq(name, LV_BYTES_LIT("x-death")))
        return true;
    for (size_t i = 0; i < FACTS; i++)
        if (lv_bytes_eq(name, lv_bytes_str(last_names[i])) ||
            (d->writes_first[i] && lv_bytes_eq(name, lv_bytes_str(first_names[i]))))
            return true;
    return false;
}

static void write_headers(struct lv_wr *w, const struct dead *d)
{
    struct lv_rd at = lv_rd(d->props.headers);
    struct lv_field f;

    for (const uint8_t *from = at.at; lv_table_next(&at, &f); from = at.at)
        if (!is_rewritten(d, f.name))
            lv_wr_bytes(w, from, (size_t)(at.at - from));
    for (size_t i = 0; i < FACTS; i++)
        if (d->writes_first[i])
            lv_table_put_str(w, first_names[i], d->facts[i]);
    write_history(w, d);
    for (size_t i = 0; i < FACTS; i++)
        lv_table_put_str(w, last_names[i], d->facts[i]);
}

static void write_props(struct lv_wr *w, const struct dead *d)
{
    struct lv_props props = d->props;

    props.flags = (uint16_t)((props.flags | LV_PROP_HEADERS) & ~LV_PROP_EXPIRATION);
    lv_props_write_before_headers(w, &props);
    size_t start = lv_wr_long_begin(w);
    write_headers(w, d);
    lv_wr_long_end(w, start);
    lv_props_write_after_headers(w, &props);
}

static enum lv_err read_dead(const struct lv_msg *m, const struct lv_death_note *note,
                             struct dead *out)
{
    struct lv_bytes ignored;
    enum lv_err err = lv_props_decode(lv_msg_props(m), &out->props);

    if (err != LV_OK)
        return err;
    out->facts[QUEUE] = note->queue;
    out->facts[REASON] = lv_bytes_str(lv_death_name(note->why));
    out->facts[EXCHANGE] = lv_msg_exchange(m);
    out->key = lv_msg_key(m);
    out->time_s = note->time_s;
    out->history = m->has_died ? find_history(out->props.headers) : lv_bytes(NULL, 0);
    for (size_t i = 0; i < FACTS; i++)
        out->writes_first[i] =
            out->history.len == 0 || !find_string(out->props.headers, first_names[i], &ignored);
    return LV_OK;
}

enum lv_err lv_death_props(const struct lv_msg *m, const struct lv_death_note *note,
                           struct lv_bytes *out)
{
    struct dead d;
    struct lv_wr wanted = lv_wr(NULL, 0);
    enum lv_err err = read_dead(m, note, &d);

    *out = lv_bytes(NULL, 0);
    if (err != LV_OK)
        return err;
    write_props(&wanted, &d);
    uint8_t *buf = lv_mem_alloc(wanted.used, LV_TAG_MESSAGE);
    if (buf == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(buf, wanted.used);
    write_props(&w, &d);
    LV_ASSERT(w.used == wanted.used);
    *out = lv_bytes(buf, w.used);
    return LV_OK;
}

/* Census and eviction: errands that go round all loops and look at sessions, some in a turn. */
#include <string.h>

#include "base/mem.h"
#include "broker/broker_priv.h"
#include "loop/tls.h"

#define SESSIONS_PER_TURN 64u /* described */
#define HEARTBEAT_BYTES 32u   /* heartbeats between two censuses are no traffic */
#define LOOKS_PER_TURN 4096u  /* looked at */
#define BLOCK_BYTES 16384u

/* ---- memory: blocks that are filled one after the other and freed together ---- */

struct block {
    struct block *next;
    size_t used, cap;
    uint64_t data[]; /* for alignment */
};

void *lv_census_alloc(struct lv_census *census, size_t bytes)
{
    struct block *b = census->arena;

    bytes = (bytes + 7) & ~(size_t)7;
    if (b == NULL || b->cap - b->used < bytes) {
        size_t cap = LV_MAX(bytes, BLOCK_BYTES);
        b = lv_mem_alloc(sizeof(*b) + cap, LV_TAG_BROKER);
        if (b == NULL) {
            census->is_short = true;
            return NULL;
        }
        *b = (struct block){ .next = census->arena, .cap = cap };
        census->arena = b;
    }
    void *at = (uint8_t *)b->data + b->used;
    b->used += bytes;
    return memset(at, 0, bytes);
}

struct lv_bytes lv_census_copy(struct lv_census *census, struct lv_bytes b)
{
    uint8_t *copy = b.len != 0 ? lv_census_alloc(census, b.len) : NULL;

    if (copy == NULL)
        return lv_bytes(NULL, 0);
    memcpy(copy, b.ptr, b.len);
    return lv_bytes(copy, b.len);
}

void lv_census_fini(struct lv_census *census)
{
    struct block *b = census->arena, *next;

    for (; b != NULL; b = next) {
        next = b->next;
        lv_mem_free(b, LV_TAG_BROKER);
    }
    census->arena = NULL;
    census->connections = NULL;
    census->count = 0;
}

/* ---- a session ---- */

/* "127.0.0.1:5672", "[::1]:5672"; a Unix socket has no port. */
static void split_address(struct lv_bytes text, struct lv_bytes *host, uint32_t *port)
{
    size_t at = text.len;
    uint32_t n = 0;

    while (at > 0 && text.ptr[at - 1] >= '0' && text.ptr[at - 1] <= '9')
        at--;
    *host = text;
    *port = 0;
    if (at == text.len || at == 0 || text.ptr[at - 1] != ':')
        return;
    for (size_t i = at; i < text.len; i++)
        n = n * 10 + (uint32_t)(text.ptr[i] - '0');
    *port = n;
    *host = lv_bytes(text.ptr, at - 1);
    if (host->len >= 2 && host->ptr[0] == '[')
        *host = lv_bytes(host->ptr + 1, host->len - 2);
}

static void describe_addresses(const struct lv_session *s, struct lv_census *census,
                               struct lv_connection_info *out)
{
    char text[LV_ADDR_MAX];

    lv_conn_peer(&s->conn, text);
    split_address(lv_census_copy(census, lv_bytes_str(text)), &out->peer_host, &out->peer_port);
    lv_conn_local(&s->conn, text);
    split_address(lv_census_copy(census, lv_bytes_str(text)), &out->local_host, &out->local_port);
}

static struct lv_bytes copy_text(struct lv_census *census, const char *text)
{
    return lv_census_copy(census, lv_bytes_str(text));
}

static void describe_tls(const struct lv_session *s, struct lv_census *census,
                         struct lv_connection_info *out)
{
    struct lv_tls_info tls;

    out->is_tls = lv_conn_is_tls(&s->conn);
    if (!out->is_tls || !lv_conn_tls_info(&s->conn, &tls))
        return;
    out->tls_protocol = copy_text(census, tls.version);
    out->tls_cipher = copy_text(census, tls.cipher);
    out->has_cert = tls.has_cert;
    if (!tls.has_cert)
        return;
    out->peer_subject = copy_text(census, tls.subject);
    out->peer_issuer = copy_text(census, tls.issuer);
    out->peer_serial = copy_text(census, tls.serial);
    out->peer_not_before_s = tls.not_before_s;
    out->peer_not_after_s = tls.not_after_s;
}

static void describe(struct lv_session *s, struct lv_census *census)
{
    struct lv_connection_info *out = lv_census_alloc(census, sizeof(*out));

    if (out == NULL)
        return;
    out->id = s->id;
    out->loop = s->shard->index;
    out->connected_at_ms = s->opened_ms;
    out->bytes_in = s->conn.bytes_in;
    out->bytes_out = s->conn.bytes_out;
    out->reads = s->conn.reads;
    out->writes = s->conn.writes;
    out->pending = s->conn.out_bytes;
    if (!census->counts_only) {
        out->user = lv_census_copy(census, s->pass.user);
        describe_addresses(s, census, out);
        describe_tls(s, census, out);
    }
    if (s->vhost != NULL)
        out->vhost = lv_census_copy(census, s->vhost->name.key);
    s->ops->describe(s, census, out);
    out->next = census->connections;
    census->connections = out;
    census->count++;
}

static bool is_wanted(struct lv_session *s, const struct lv_census *census)
{
    if (s->is_detached || (census->id != 0 && s->id != census->id))
        return false;
    if (census->vhost.len != 0 &&
        (s->vhost == NULL || !lv_bytes_eq(s->vhost->name.key, census->vhost)))
        return false;
    if (!census->counts_only)
        return true;
    uint64_t bytes = s->conn.bytes_in + s->conn.bytes_out;
    bool has_moved = bytes - s->seen_bytes > HEARTBEAT_BYTES;
    s->seen_bytes = bytes;
    return has_moved;
}

/* ---- the way round ---- */

/* The next loop's turn, or the end. */
static enum lv_errand_step go_on(struct lv_shard *shard, struct lv_errand *errand, unsigned *loop,
                                 uint32_t *pos)
{
    *pos = 0;
    if (++*loop == lv_loops_count(shard->broker->loops))
        return LV_ERRAND_DONE;
    lv_errand_pass(shard, errand, *loop);
    return LV_ERRAND_AWAY;
}

static enum lv_errand_step census_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_census *census = (struct lv_census *)errand;
    struct lv_session *s;
    size_t before = census->count;

    for (unsigned looks = 0; looks < LOOKS_PER_TURN; looks++) {
        s = lv_handles_next(&shard->sessions, &census->pos);
        if (s == NULL)
            return go_on(shard, errand, &census->loop, &census->pos);
        if (!is_wanted(s, census))
            continue;
        describe(s, census);
        if (census->id != 0)
            return LV_ERRAND_DONE;
        if (census->count - before == SESSIONS_PER_TURN)
            break;
    }
    return LV_ERRAND_AGAIN;
}

void lv_census_send(struct lv_broker *b, struct lv_census *census)
{
    census->errand.run = census_run;
    lv_errand_send(b, 0, &census->errand);
}

/* ---- eviction ---- */

static enum lv_errand_step eviction_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_eviction *e = (struct lv_eviction *)errand;

    for (unsigned looks = 0; looks < LOOKS_PER_TURN; looks++) {
        struct lv_session *s = lv_handles_next(&shard->sessions, &e->pos);
        if (s == NULL)
            return go_on(shard, errand, &e->loop, &e->pos);
        if (s->id != e->id || s->is_detached)
            continue;
        e->was_there = true;
        s->ops->shut(s, 320, e->reason);
        return LV_ERRAND_DONE;
    }
    return LV_ERRAND_AGAIN;
}

void lv_eviction_send(struct lv_broker *b, struct lv_eviction *eviction)
{
    eviction->errand.run = eviction_run;
    lv_errand_send(b, 0, &eviction->errand);
}

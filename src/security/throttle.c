/* A table of sets: an address lives in one of the eight cells of its set, so looking is bounded and nobody outside can
 * choose whom he pushes out (the hash is keyed). */
#include "security/throttle.h"

#include "base/hash.h"
#include "base/mem.h"

#define WAYS 8u
#define SETS (LV_THROTTLE_ADDRESSES / WAYS)
#define QUIET_MS 60000u

struct cell {
    uint8_t address[8]; /* IPv4, or the first half of IPv6 */
    uint8_t len;        /* 0: free */
    uint32_t failures;  /* not forgotten yet; those being tried among them */
    uint32_t wait_ms;   /* 0: within the burst */
    lv_time_ms next;    /* not before */
    lv_time_ms last;    /* when failures or wait_ms were brought up to date */
};

struct lv_throttle {
    struct lv_throttle_rule rule;
    struct cell cells[SETS][WAYS];
};

enum lv_err lv_throttle_new(const struct lv_throttle_rule *rule, struct lv_throttle **out)
{
    *out = lv_mem_zalloc(sizeof(**out), LV_TAG_SECURITY);
    if (*out == NULL)
        return LV_ENOMEM;
    (*out)->rule = *rule;
    return LV_OK;
}

void lv_throttle_free(struct lv_throttle *t)
{
    lv_mem_free(t, LV_TAG_SECURITY);
}

struct lv_bytes lv_throttle_network(struct lv_bytes address)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };

    if (address.len == 16 && memcmp(address.ptr, mapped, sizeof(mapped)) == 0)
        return lv_bytes(address.ptr + 12, 4);
    return lv_bytes(address.ptr, LV_MIN(address.len, 8));
}

/* The cell of this address. With `make` one is made, at the cost of the one that has been quiet longest. */
static struct cell *cell_of(struct lv_throttle *t, struct lv_bytes address, bool make,
                            lv_time_ms now)
{
    struct lv_bytes network = lv_throttle_network(address);
    struct cell *set = t->cells[lv_hash(network, 0) % SETS], *oldest = &set[0];

    if (network.len == 0) /* a local socket */
        return NULL;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].len == network.len && memcmp(set[i].address, network.ptr, network.len) == 0)
            return &set[i];
        if (set[i].len == 0 || (oldest->len != 0 && set[i].last < oldest->last))
            oldest = &set[i];
    }
    if (!make)
        return NULL;
    *oldest = (struct cell){ .len = (uint8_t)network.len, .next = now, .last = now };
    memcpy(oldest->address, network.ptr, network.len);
    return oldest;
}

/* What time has forgiven since the last look. */
static void forgive(const struct lv_throttle *t, struct cell *c, lv_time_ms now)
{
    while (c->wait_ms != 0 && now >= c->last + QUIET_MS) {
        c->last += QUIET_MS;
        c->wait_ms /= 2;
        if (c->wait_ms < t->rule.first_ms)
            c->wait_ms = 0;
    }
    if (c->wait_ms != 0 || now <= c->last || t->rule.per_minute == 0)
        return;
    uint64_t forgotten = (now - c->last) * t->rule.per_minute / QUIET_MS;
    c->failures -= (uint32_t)LV_MIN(forgotten, c->failures);
    c->last = c->failures == 0 ? now : c->last + forgotten * QUIET_MS / t->rule.per_minute;
}

uint32_t lv_throttle_admit(struct lv_throttle *t, struct lv_bytes address, lv_time_ms now)
{
    struct cell *c = t->rule.burst != 0 ? cell_of(t, address, true, now) : NULL;

    if (c == NULL)
        return 0;
    forgive(t, c, now);
    if (c->wait_ms == 0 && c->failures < t->rule.burst) {
        c->failures++;
        return 0;
    }
    if (c->wait_ms == 0) {
        c->wait_ms = t->rule.first_ms;
        c->next = now + c->wait_ms;
    }
    if (now < c->next)
        return (uint32_t)(c->next - now);
    c->failures++;
    c->last = now;
    c->wait_ms = LV_MIN(c->wait_ms * 2, t->rule.max_ms);
    c->next = now + c->wait_ms;
    return 0;
}

void lv_throttle_settle(struct lv_throttle *t, struct lv_bytes address, bool has_failed,
                        lv_time_ms now)
{
    struct cell *c = t->rule.burst != 0 ? cell_of(t, address, false, now) : NULL;

    if (c == NULL || has_failed)
        return;
    if (c->failures != 0)
        c->failures--;
    if (c->wait_ms == 0)
        return;
    c->wait_ms = LV_MAX(c->wait_ms / 2, t->rule.first_ms); /* as it was before this attempt */
    c->next = now + c->wait_ms;
}

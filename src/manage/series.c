#include "manage/series.h"

#include "base/bytes.h"
#include "base/mem.h"

struct ring {
    uint64_t *at;         /* by slot modulo its count; NULL: no memory for it */
    uint32_t first, last; /* slots that were written */
};

struct lv_track {
    uint64_t value;  /* at tick `changed` */
    uint64_t before; /* the tick before that */
    uint64_t base;   /* before the first sample */
    uint32_t changed;
    uint8_t which;
    struct ring ring[LV_SERIES_LEVELS_MAX];
};

_Static_assert(sizeof(struct lv_track) == LV_TRACK_BYTES, "what the sampler counts a number as");

static struct lv_track *find(const struct lv_series *s, unsigned which)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->tracks[i].which == which)
            return &s->tracks[i];
    return NULL;
}

static struct lv_track *add(struct lv_series *s, unsigned which, uint64_t base)
{
    struct lv_track *tracks =
        lv_mem_realloc(s->tracks, (s->count + 1u) * sizeof(*tracks), LV_TAG_MANAGE);

    if (tracks == NULL)
        return NULL;
    s->tracks = tracks;
    tracks[s->count] = (struct lv_track){ .which = (uint8_t)which, .value = base, .base = base };
    return &tracks[s->count++];
}

/* Samples between the last one and this are as the last one was. */
static void write_ring(struct lv_series_world *w, struct ring *r, uint32_t slots, uint32_t slot,
                       uint64_t before, uint64_t value)
{
    size_t bytes = slots * sizeof(*r->at);

    if (r->at == NULL) {
        if (w->bytes + bytes > w->bytes_max)
            return;
        r->at = lv_mem_alloc(bytes, LV_TAG_MANAGE);
        if (r->at == NULL)
            return;
        w->bytes += bytes;
        r->first = r->last = slot;
    }
    if (slot - r->last >= slots)
        r->last = slot - slots + 1;
    while (r->last < slot)
        r->at[r->last++ % slots] = before;
    r->at[slot % slots] = value;
    if (slot - r->first >= slots)
        r->first = slot - slots + 1;
}

enum lv_err lv_series_note(struct lv_series_world *w, struct lv_series *s,
                           const struct lv_series_policy *policy, unsigned which, uint32_t tick,
                           uint64_t value, uint64_t base)
{
    struct lv_track *t = find(s, which);

    if (t == NULL && value == base)
        return LV_OK;
    if (t == NULL && (t = add(s, which, base)) == NULL)
        return LV_ENOMEM;
    if (value == t->value)
        return LV_OK;
    for (unsigned i = 0; i < policy->count; i++)
        write_ring(w, &t->ring[i], policy->level[i].slots, tick / policy->level[i].every, t->value,
                   value);
    if (tick != t->changed)
        t->before = t->value;
    t->value = value;
    t->changed = s->changed = tick;
    return LV_OK;
}

enum lv_err lv_series_start(struct lv_series *s, unsigned which, uint64_t value)
{
    return add(s, which, value) != NULL ? LV_OK : LV_ENOMEM;
}

void lv_series_fini(struct lv_series_world *w, struct lv_series *s,
                    const struct lv_series_policy *policy)
{
    for (unsigned i = 0; i < s->count; i++) {
        for (unsigned k = 0; k < policy->count; k++) {
            if (s->tracks[i].ring[k].at == NULL)
                continue;
            w->bytes -= policy->level[k].slots * sizeof(uint64_t);
            lv_mem_free(s->tracks[i].ring[k].at, LV_TAG_MANAGE);
        }
    }
    lv_mem_free(s->tracks, LV_TAG_MANAGE);
    *s = (struct lv_series){ 0 };
}

double lv_series_rate(const struct lv_series_world *w, const struct lv_series *s, unsigned which)
{
    const struct lv_track *t = s != NULL ? find(s, which) : NULL;

    if (t == NULL || t->changed < w->tick || w->last_ms == 0)
        return 0;
    return (double)(int64_t)(t->value - t->before) * 1000 / w->last_ms;
}

/* The finest ring that reaches so far back; NULL: none does. */
static const struct ring *ring_for(const struct lv_track *t, const struct lv_series_policy *policy,
                                   uint32_t ago, unsigned *level)
{
    const struct ring *best = NULL;

    for (unsigned i = 0; i < policy->count; i++) {
        if (t->ring[i].at == NULL)
            continue;
        best = &t->ring[i];
        *level = i;
        if (ago < (policy->level[i].slots - 1) * policy->level[i].every)
            break;
    }
    return best;
}

uint64_t lv_series_at(const struct lv_series_world *w, const struct lv_series *s,
                      const struct lv_series_policy *policy, unsigned which, uint32_t ago,
                      uint64_t now)
{
    const struct lv_track *t = s != NULL ? find(s, which) : NULL;
    unsigned level = 0;

    if (t == NULL)
        return now;
    uint32_t tick = w->tick > ago ? w->tick - ago : 0;
    if (tick >= t->changed)
        return t->value;
    const struct ring *r = ring_for(t, policy, ago, &level);
    uint32_t slots = policy->level[level].slots, slot = tick / policy->level[level].every;
    if (r == NULL || slot < r->first)
        return t->base;
    return r->at[LV_MIN(slot, r->last) % slots];
}

bool lv_series_is_still(const struct lv_series_world *w, const struct lv_series *s,
                        const struct lv_series_policy *policy)
{
    uint32_t reach = 1;

    for (unsigned i = 0; i < policy->count; i++)
        reach = LV_MAX(reach, policy->level[i].slots * policy->level[i].every);
    return w->tick - s->changed > reach && w->tick > s->changed;
}

/* Level 0 has one slot a tick; a slot of level n spans 64 slots of level n-1 and is spread over them when its time
 * begins. A timer stands at the lowest level whose reach covers it, so starting and stopping are O(1) and each timer
 * is moved at most three times. A bitmap per level finds the next slot in use: nothing is visited in vain, and an
 * idle loop sleeps until something is due. */
#include "loop/loop_priv.h"

static uint64_t tick_of(lv_time_ms due)
{
    return due / LV_TICK_MS + (due % LV_TICK_MS != 0); /* up: never early */
}

void lv_wheel_init(struct lv_wheel *w, lv_time_ms now)
{
    w->tick = now / LV_TICK_MS;
    for (unsigned level = 0; level < LV_WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (unsigned slot = 0; slot < LV_WHEEL_SLOTS; slot++)
            lv_list_init(&w->slot[level][slot]);
    }
}

/* `tick` is at least w->tick. */
static void place(struct lv_wheel *w, struct lv_timer *t, uint64_t tick)
{
    uint64_t ahead = tick - w->tick;
    unsigned level = 0;

    while (level < LV_WHEEL_LEVELS - 1 && ahead >> (LV_WHEEL_BITS * (level + 1)) != 0)
        level++;
    uint64_t reach = UINT64_C(1) << (LV_WHEEL_BITS * LV_WHEEL_LEVELS);
    if (ahead >= reach)
        tick = w->tick + reach - 1;
    unsigned slot = (unsigned)(tick >> (LV_WHEEL_BITS * level)) % LV_WHEEL_SLOTS;
    lv_list_push(&w->slot[level][slot], &t->link);
    w->occupied[level] |= UINT64_C(1) << slot;
}

void lv_wheel_add(struct lv_wheel *w, struct lv_timer *t)
{
    place(w, t, LV_MAX(tick_of(t->due), w->tick + 1));
}

/* The tick at which the next slot of `level` begins; slots that lost all their timers are forgotten on the way. */
static uint64_t level_next(struct lv_wheel *w, unsigned level)
{
    unsigned shift = LV_WHEEL_BITS * level;
    uint64_t begun = w->tick >> shift;

    while (w->occupied[level] != 0) {
        unsigned from = (unsigned)((begun + 1) % LV_WHEEL_SLOTS);
        uint64_t bits = w->occupied[level];
        bits = from == 0 ? bits : bits >> from | bits << (LV_WHEEL_SLOTS - from);
        uint64_t next = begun + 1 + (uint64_t)__builtin_ctzll(bits);
        unsigned slot = (unsigned)(next % LV_WHEEL_SLOTS);
        if (!lv_list_empty(&w->slot[level][slot]))
            return next << shift;
        w->occupied[level] &= ~(UINT64_C(1) << slot);
    }
    return LV_WHEEL_NEVER;
}

static uint64_t next_tick(struct lv_wheel *w)
{
    uint64_t next = LV_WHEEL_NEVER;

    for (unsigned level = 0; level < LV_WHEEL_LEVELS; level++) {
        uint64_t begins = level_next(w, level);
        next = LV_MIN(next, begins);
    }
    return next;
}

lv_time_ms lv_wheel_next(struct lv_wheel *w)
{
    uint64_t tick = next_tick(w);

    return tick == LV_WHEEL_NEVER ? LV_WHEEL_NEVER : tick * LV_TICK_MS;
}

/* Empties the slot of `level` that holds `tick` into `out`. */
static void empty_slot(struct lv_wheel *w, unsigned level, uint64_t tick, struct lv_link *out)
{
    unsigned slot = (unsigned)(tick >> (LV_WHEEL_BITS * level)) % LV_WHEEL_SLOTS;

    lv_list_init(out);
    lv_list_splice(out, &w->slot[level][slot]);
    w->occupied[level] &= ~(UINT64_C(1) << slot);
}

/* At `tick` slots of higher levels may begin: their timers move down. */
static void spread(struct lv_wheel *w, uint64_t tick)
{
    for (unsigned level = LV_WHEEL_LEVELS - 1; level > 0; level--) {
        struct lv_link list, *link;
        if (tick % (UINT64_C(1) << (LV_WHEEL_BITS * level)) != 0)
            continue;
        empty_slot(w, level, tick, &list);
        while ((link = lv_list_pop(&list)) != NULL) {
            struct lv_timer *t = LV_CONTAINER_OF(link, struct lv_timer, link);
            place(w, t, LV_MAX(tick_of(t->due), tick));
        }
    }
}

void lv_wheel_advance(struct lv_wheel *w, lv_time_ms now, struct lv_loop *loop)
{
    uint64_t until = now / LV_TICK_MS;
    uint64_t tick;

    while ((tick = next_tick(w)) <= until) {
        struct lv_link due, *link;
        w->tick = tick;
        spread(w, tick);
        empty_slot(w, 0, tick, &due);
        while ((link = lv_list_pop(&due)) != NULL) {
            struct lv_timer *t = LV_CONTAINER_OF(link, struct lv_timer, link);
            t->fire(loop, t);
        }
    }
    w->tick = LV_MAX(w->tick, until);
}

void lv_timer_start(struct lv_loop *loop, struct lv_timer *t, uint64_t delay_ms,
                    void (*fire)(struct lv_loop *loop, struct lv_timer *t))
{
    lv_timer_stop(t);
    t->due = delay_ms < LV_WHEEL_NEVER / 2 ? loop->now + delay_ms : LV_WHEEL_NEVER / 2;
    t->fire = fire;
    lv_wheel_add(&loop->wheel, t);
}

void lv_timer_stop(struct lv_timer *t)
{
    if (t->link.next == NULL) /* zeroed */
        lv_list_init(&t->link);
    lv_list_remove(&t->link);
}

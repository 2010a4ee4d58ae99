/* manage/rates_priv.h - what rates.c, which shows, and sampler.c, which looks, have in common. */
#ifndef LV_MANAGE_RATES_PRIV_H
#define LV_MANAGE_RATES_PRIV_H
#include "base/ptrmap.h"
#include "broker/observe.h"
#include "manage/manage_priv.h"
#include "manage/rates.h"
#include "manage/series.h"

#define LV_RATES_KEY_MAX 1024u /* bytes of virtual host and name: what is longer has no rates */
#define LV_RATES_RING_BYTES_MAX (UINT64_C(48) << 20)
#define LV_RATES_OBJECT_BYTES_MAX (UINT64_C(48) << 20)

/* An object that has moved. */
struct lv_rated {
    struct lv_ptrmap_entry entry; /* first; its key is `key` */
    struct lv_rates *rates;
    struct lv_series series;
    uint32_t met; /* tick when it was looked at first */
    uint8_t kind; /* enum lv_rates_kind */
    uint8_t key[];
};

/* Where the walk over all names stands; nothing of it is a pointer into the broker's tables. */
enum lv_sampler_step {
    LV_SAMPLER_RESTS,
    LV_SAMPLER_VHOSTS, /* the next virtual host */
    LV_SAMPLER_QUEUES,
    LV_SAMPLER_EXCHANGES,
    LV_SAMPLER_CENSUS,
};

struct lv_rates {
    struct lv_manage *room;
    struct lv_series_world world;
    struct lv_series_policy global, basic;
    struct lv_ptrmap objects; /* of struct lv_rated */
    size_t object_bytes;
    struct lv_rated *node;

    struct lv_timer timer;
    struct lv_task slice;
    struct lv_census census;
    enum lv_sampler_step step;
    size_t vhost_at, at;
    uint8_t vhost_text[LV_RATES_KEY_MAX];
    struct lv_bytes vhost;
    uint64_t ready, unsettled, published; /* of this virtual host so far */
    struct lv_queue_totals out;
    uint64_t all_ready, all_unsettled;
    uint64_t began_ms, last_began_ms; /* the loop's time */
    bool is_stopped;
};

/* rates.c */
/* The object of that name, made if it is not there; NULL: no room for it. */
struct lv_rated *lv_rates_object(struct lv_rates *rates, enum lv_rates_kind kind,
                                 struct lv_bytes vhost, struct lv_bytes name, uint64_t id);
const struct lv_series_policy *lv_rates_policy(const struct lv_rates *rates, unsigned kind);
void lv_rates_note(struct lv_rated *object, enum lv_rate rate, uint64_t value, uint64_t base);
/* For an object that is met while it lives: its numbers when it is seen first are where it begins. */
void lv_rates_note_met(struct lv_rated *object, enum lv_rate rate, uint64_t value);
/* Lets go of those that have been still for long. */
void lv_rates_sweep(struct lv_rates *rates);

/* sampler.c */
void lv_sampler_start(struct lv_rates *rates);
void lv_sampler_stop(struct lv_rates *rates);

#endif

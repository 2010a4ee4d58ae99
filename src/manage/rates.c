#include "manage/rates.h"

#include <stdio.h>

#include "base/mem.h"
#include "manage/request.h"

#define RANGE_MAX 500u

static const char *const names[] = {
#define X(name, range) #name,
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

enum lv_err lv_rates_start(struct lv_manage *m, struct lv_rates **out)
{
    (void)m;
    *out = NULL;
    return LV_OK;
}

void lv_rates_stop(struct lv_rates *rates)
{
    (void)rates;
}

void lv_rates_free(struct lv_rates *rates)
{
    (void)rates;
}

const struct lv_series *lv_rates_find(const struct lv_rates *rates, enum lv_rates_kind kind,
                                      struct lv_bytes vhost, struct lv_bytes name, uint64_t id)
{
    (void)rates, (void)kind, (void)vhost, (void)name, (void)id;
    return NULL;
}

double lv_rates_now(const struct lv_series *series, enum lv_rate rate)
{
    (void)series, (void)rate;
    return 0;
}

void lv_rates_put(struct lv_json *j, const struct lv_series *series, enum lv_rate rate,
                  uint64_t value, const struct lv_rates_ranges *ranges)
{
    char details[48];

    (void)ranges;
    lv_json_u64(j, names[rate], value);
    (void)snprintf(details, sizeof(details), "%s_details", names[rate]);
    lv_json_open(j, details);
    lv_json_double(j, "rate", lv_rates_now(series, rate));
    lv_json_close(j);
}

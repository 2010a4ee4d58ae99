/* tools/leveret/model.h - what a topology log tells: the queues, exchanges and bindings that there are at its end. */
#ifndef LV_TOOL_MODEL_H
#define LV_TOOL_MODEL_H
#include <uthash.h>

#include "store/meta.h"

struct lv_model_item {
    UT_hash_handle hh;   /* by meta.identity */
    uint64_t order;      /* in which they came */
    struct lv_meta meta; /* views payload */
    uint8_t payload[];
};

struct lv_model {
    struct lv_model_item *items; /* in the order in which they were declared */
    uint64_t order, next_queue_id;
    size_t queues, exchanges, bindings;
    uint64_t unknown; /* records of a later version */
};

/* lv_wal_visit; begins with a model of zeros. LV_ENOMEM. */
enum lv_err lv_model_visit(void *model, uint8_t type, lv_lsn lsn, struct lv_bytes payload);
/* All records were seen: bindings of what is gone go too, and the rest is counted. */
void lv_model_settle(struct lv_model *m);
void lv_model_fini(struct lv_model *m);

#endif

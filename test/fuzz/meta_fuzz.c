/* Records of the topology, one behind the other: type u8 (put or del), length u16, payload. What is read is written back as
 * the same; the broker makes of them what it can, and a tool as much. */
#include "store/meta.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"
#include "leveret/model.h"

static bool is_same(const struct lv_meta *a, const struct lv_meta *b)
{
    return a->kind == b->kind && a->is_put == b->is_put && lv_bytes_eq(a->vhost, b->vhost) &&
           lv_bytes_eq(a->name, b->name) && lv_bytes_eq(a->arguments, b->arguments) &&
           a->is_auto_delete == b->is_auto_delete && a->id == b->id &&
           lv_bytes_eq(a->type, b->type) && lv_bytes_eq(a->alternate, b->alternate) &&
           a->is_internal == b->is_internal && a->has_alternate == b->has_alternate &&
           lv_bytes_eq(a->source, b->source) && lv_bytes_eq(a->key, b->key) &&
           a->is_to_exchange == b->is_to_exchange && a->access == b->access &&
           lv_bytes_eq(a->access_key, b->access_key) &&
           lv_bytes_eq(a->access_value, b->access_value) &&
           lv_bytes_eq(a->component, b->component) && lv_bytes_eq(a->value, b->value);
}

static void round_trip(uint8_t type, struct lv_bytes payload)
{
    struct lv_meta m, again;

    if (!lv_meta_parse(type, payload, &m))
        return;
    LV_ASSERT(m.identity.len <= payload.len);
    size_t most = lv_meta_bytes_max(&m);
    uint8_t *text = malloc(most);
    struct lv_wr w = lv_wr(text, most);
    LV_ASSERT(text != NULL);
    lv_meta_write(&w, &m);
    LV_ASSERT(lv_wr_ok(&w));
    LV_ASSERT(lv_meta_parse(lv_meta_type(&m), lv_bytes(text, w.used), &again) && is_same(&m, &again));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lv_config *config;
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    struct lv_model model = { 0 };
    struct lv_broker *b;

    if (config == NULL)
        LV_ASSERT(lv_config_check_text("f", lv_bytes(NULL, 0), &config) == LV_OK);
    LV_ASSERT(lv_broker_new(lv_config_settings(config), &b) == LV_OK);
    b->is_recovering = true;
    LV_ASSERT(lv_vhost_make(b, LV_BYTES_LIT("/")) == LV_OK);
    while (lv_rd_left(&r) != 0 && !r.bad) {
        uint8_t type = (uint8_t)(LV_REC_META_PUT + lv_rd_u8(&r) % 2);
        uint16_t len = lv_rd_u16(&r);
        struct lv_bytes payload = lv_rd_bytes(&r, LV_MIN(len, lv_rd_left(&r)));
        round_trip(type, payload);
        LV_ASSERT(lv_meta_visit(b, type, 64, payload) == LV_OK);
        LV_ASSERT(lv_model_visit(&model, type, 64, payload) == LV_OK);
    }
    lv_model_settle(&model);
    lv_model_fini(&model);
    lv_broker_free(b);
    return 0;
}

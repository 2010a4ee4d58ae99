/* Permissions: u8 length of the pattern, pattern, name. The simple forms and PCRE2 give one answer, and with variables in
 * it a pattern still compiles or is refused, whatever they stand for. */
#include "security/pattern.h"

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_expanded(struct lv_bytes source, struct lv_bytes name)
{
    struct lv_pattern_vars vars = { name, LV_BYTES_LIT("/"), name, true };
    uint8_t text[LV_PATTERN_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_pattern *p;
    char why[120];

    if (lv_pattern_expand(source, &vars, &w) == LV_OK &&
        lv_pattern_new(lv_bytes(text, w.used), &p, why, sizeof(why)) == LV_OK) {
        lv_pattern_match(p, name);
        lv_pattern_free(p);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    struct lv_bytes source = lv_rd_short(&r), name = lv_rd_bytes(&r, LV_MIN(lv_rd_left(&r), 255));
    struct lv_pattern *fast, *slow;
    char why[120];

    enum lv_err err = lv_pattern_new(source, &fast, why, sizeof(why));
    LV_ASSERT(err == LV_OK || err == LV_EINVAL);
    if (err == LV_OK) {
        LV_ASSERT(lv_pattern_new_slow(source, &slow, why, sizeof(why)) == LV_OK);
        if (lv_pattern_is_simple(fast))
            LV_ASSERT(lv_pattern_match(fast, name) == lv_pattern_match(slow, name));
        lv_pattern_free(slow);
        lv_pattern_free(fast);
    }
    try_expanded(source, name);
    LV_ASSERT(lv_mem_used(LV_TAG_SECURITY) == 0);
    return 0;
}

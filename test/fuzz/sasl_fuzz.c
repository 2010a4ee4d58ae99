/* SASL responses: u8 mechanism, response. A claim lies within the response, and has what its mechanism promises. */
#include "security/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_within(struct lv_bytes part, struct lv_bytes whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "PLAIN", "AMQPLAIN", "ANONYMOUS", "EXTERNAL" };
    struct lv_sasl_context ctx = { .mechanisms = "1=PLAIN\n2=AMQPLAIN\n3=ANONYMOUS\n4=EXTERNAL",
                                   .anonymous_user = LV_BYTES_LIT("guest"),
                                   .is_tls = true,
                                   .cert = LV_SASL_CERT,
                                   .cert_name = LV_BYTES_LIT("ann") };
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    size_t which = lv_rd_u8(&r) % LV_ARRAY_LEN(names);
    struct lv_bytes response = lv_rd_bytes(&r, lv_rd_left(&r)), challenge;
    const struct lv_sasl_mechanism *m = lv_sasl_find(&ctx, lv_bytes_str(names[which]));
    struct lv_claim claim;

    LV_ASSERT(m != NULL);
    if (lv_sasl_step(m, &ctx, response, &claim, &challenge) != LV_OK)
        return 0;
    if (which < 2) {
        LV_ASSERT(claim.kind == LV_CLAIM_PASSWORD);
        LV_ASSERT(lies_within(claim.name, response) && lies_within(claim.password, response));
    } else {
        LV_ASSERT(claim.kind == (which == 2 ? LV_CLAIM_PASSWORD : LV_CLAIM_CERTIFICATE));
        LV_ASSERT(claim.password.len == 0 && claim.name.len != 0);
    }
    if (which == 0)
        LV_ASSERT(claim.password.len == 0 ||
                  memchr(claim.password.ptr, 0, claim.password.len) == NULL);
    return 0;
}

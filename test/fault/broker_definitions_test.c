/* Memory that ends at any allocation: an import, an export or a policy is refused, or it is whole; nothing leaks, nothing is half
 * there. */
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "broker/definitions.h"
#include "broker/policies.h"
#include "unit/broker/still.h"

static char why[LV_DEFINITIONS_WHY_MAX];

/* What is retired while there is no memory for the note of it stays for ever (loop/rcu.c): no leak of what is tested. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:item_new\nleak:list_new\nleak:resize\n";
}

static const char text[] = "{\"users\":[{\"name\":\"u\",\"password_hash\":"
                           "\"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR\","
                           "\"tags\":[\"a\"]}],\"vhosts\":[{\"name\":\"v\"}],"
                           "\"permissions\":[{\"user\":\"u\",\"vhost\":\"v\",\"configure\":\"(a|b+)"
                           "\",\"write\":\".*\",\"read\":\"\"}],"
                           "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"(a|b+)\","
                           "\"definition\":{\"alternate-exchange\":\"x\"}}],"
                           "\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"arguments\":{\"x-max-"
                           "length\":5,\"n\":{\"a\":[1]}}}],"
                           "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\",\"type\":\"topic\"}],"
                           "\"bindings\":[{\"source\":\"x\",\"vhost\":\"v\",\"destination\":\"q\","
                           "\"destination_type\":\"queue\","
                           "\"routing_key\":\"a.#\",\"arguments\":{\"m\":1}}]}";

LV_TEST(parsing)
{
    struct lv_definitions *d;
    struct lv_settings s;
    enum lv_err err = LV_ENOMEM;

    lv_settings_init(&s);
    for (uint64_t n = 1; err != LV_OK; n++) {
        lv_mem_fail_at(n);
        err = lv_definitions_parse(&s, S(text), lv_bytes(NULL, 0), &d, why, sizeof(why));
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM || err == LV_EINVAL);
        CHECK(err == LV_OK || d == NULL);
    }
    CHECK_EQ(lv_definitions_count(d), 7);
    lv_definitions_free(d);
}

/* What came before the failure is in; another import brings the rest. */
LV_TEST(applying)
{
    struct lv_definitions *d;
    enum lv_err err = LV_ENOMEM;

    begin();
    CHECK_EQ(lv_definitions_parse(lv_broker_settings(B), S(text), lv_bytes(NULL, 0), &d, why,
                                  sizeof(why)),
             LV_OK);
    for (uint64_t n = 1; err != LV_OK; n++) {
        lv_definitions_begin(d, false);
        lv_mem_fail_at(n);
        while ((err = lv_definitions_step(B, d, 3, why, sizeof(why))) == LV_EAGAIN) {
        }
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM || err == LV_EINVAL);
    }
    lv_definitions_begin(d, false);
    while ((err = lv_definitions_step(B, d, 3, why, sizeof(why))) == LV_EAGAIN) {
    }
    CHECK_EQ(err, LV_OK);
    lv_definitions_free(d);
    struct lv_vhost *v = lv_vhost_find(B, S("v"));
    CHECK_EQ(v->router.queues.count, 1);
    CHECK_EQ(v->router.bindings.count, 1);
    CHECK(lv_policy_find(B, LV_POLICY_USER, S("v"), S("p")) != NULL);

    struct lv_snapshot *snapshot;
    static char out[65536];
    size_t got;
    err = LV_ENOMEM;
    for (uint64_t n = 1; err != LV_OK; n++) {
        lv_mem_fail_at(n);
        err = lv_definitions_take(B, lv_bytes(NULL, 0), &snapshot);
        if (err == LV_OK)
            err = lv_snapshot_read(snapshot, out, sizeof(out), &got);
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM);
        lv_snapshot_free(snapshot);
    }
    CHECK(got > 500);
    end();
}

LV_TEST(policies)
{
    struct lv_bytes json = S("{\"pattern\":\"(a|b+)\",\"definition\":{\"max-length\":5}}");
    struct lv_policy_match m;
    enum lv_err err = LV_ENOMEM;

    begin();
    for (uint64_t n = 1; err != LV_OK; n++) {
        lv_mem_fail_at(n);
        err = lv_broker_put_policy(B, LV_POLICY_OPERATOR, S("/"), S("p"), json, NULL, why,
                                   sizeof(why));
        lv_mem_fail_at(0);
        lv_policy_match_queue(B, S("/"), S("a"), LV_QUEUE_CLASSIC, &m);
        CHECK_EQ(m.operator_policy != NULL, err == LV_OK);
    }
    err = LV_ENOMEM;
    for (uint64_t n = 1; err != LV_OK; n++) {
        lv_mem_fail_at(n);
        err = lv_broker_remove_policy(B, LV_POLICY_OPERATOR, S("/"), S("p"));
        lv_mem_fail_at(0);
        lv_policy_match_queue(B, S("/"), S("a"), LV_QUEUE_CLASSIC, &m);
        CHECK_EQ(m.operator_policy == NULL, err == LV_OK);
    }
    end();
}

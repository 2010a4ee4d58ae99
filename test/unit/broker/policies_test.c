/* Policies and parameters: what is refused and with which words, which one applies, and that they survive a restart. The loops do
 * not run: changes are allowed before. */
#include "broker/policies.h"
#include "unit/broker/still.h"

#define ROOT S("/")

static char why[LV_PARAMETER_WHY_MAX];
static bool is_new;

static enum lv_err put(enum lv_policy_kind kind, const char *name, const char *json)
{
    return lv_broker_put_policy(B, kind, ROOT, S(name), S(json), &is_new, why, sizeof(why));
}

static void refused(enum lv_policy_kind kind, const char *json, const char *lines)
{
    char want[LV_PARAMETER_WHY_MAX];

    snprintf(want, sizeof(want), "Validation failed\n\n%s\n", lines);
    CHECK_EQ(put(kind, "p", json), LV_EINVAL);
    CHECK_STR(why, want);
    CHECK(lv_policy_find(B, kind, ROOT, S("p")) == NULL);
}

#define DEF(definition) "{\"pattern\":\".*\",\"definition\":" definition "}"

LV_TEST(refusals_have_the_known_words)
{
    begin();
    refused(LV_POLICY_USER, DEF("{\"max-length\":-1}"), "-1 is not a valid maximum length");
    refused(LV_POLICY_USER, DEF("{\"message-ttl\":\"x\"}"), "<<\"x\">> is not a valid message TTL");
    refused(LV_POLICY_USER, DEF("{\"expires\":0}"), "0 is not a valid queue expiry");
    refused(
        LV_POLICY_USER, DEF("{\"overflow\":{\"a\":[1,2.5,true,null,\"b\",{}],\"c\":1}}"),
        "#{<<\"a\">> => [1,2.5,true,null,<<\"b\">>,#{}],<<\"c\">> => 1} is not a valid overflow "
        "value");
    refused(LV_POLICY_USER, DEF("{\"max-age\":\"5\"}"), "<<\"5\">> is not a valid max age");
    refused(LV_POLICY_USER, DEF("{\"stream-filter-size-bytes\":256}"),
            "256 is not a valid filter size. Valid range is 16-255");
    refused(LV_POLICY_USER, DEF("{\"foo\":1,\"bar\":\"x\"}"),
            "[{<<\"foo\">>,1},{<<\"bar\">>,<<\"x\">>}] are not recognised policy settings");
    refused(LV_POLICY_USER, DEF("{\"ha-mode\":\"all\"}"),
            "[{<<\"ha-mode\">>,<<\"all\">>}] are not recognised policy settings");
    refused(LV_POLICY_USER, DEF("{}"), "no policy provided");
    refused(LV_POLICY_USER, DEF("5"), "definition must be a dictionary: 5");
    refused(LV_POLICY_OPERATOR, DEF("{\"dead-letter-exchange\":\"x\"}"),
            "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings");
    refused(LV_POLICY_USER, "{}",
            "Key \"definition\" not found in p\nKey \"pattern\" not found in p");
    refused(
        LV_POLICY_USER,
        "{\"pattern\":5,\"definition\":{\"max-length\":1},\"priority\":\"5\",\"apply-to\":\"x\"}",
        "apply-to 'x' unrecognised; should be one of: 'queues', 'classic_queues', "
        "'quorum_queues', 'streams', 'exchanges', or 'all'\npattern should be a binary but was "
        "5\npriority should be a number, actually was <<\"5\">>");
    refused(LV_POLICY_USER, "{\"pattern\":\"[a\",\"definition\":{\"max-length\":1}}",
            "pattern should be regular expression but is invalid: {\"missing terminating ] for "
            "character class\",2}");
    CHECK_EQ(put(LV_POLICY_USER, "p", "{"), LV_EINVAL);
    CHECK(strncmp(why, "not JSON: ", 10) == 0);
    CHECK_EQ(put(LV_POLICY_USER, "", DEF("{\"max-length\":1}")), LV_EINVAL);
    CHECK_EQ(lv_broker_put_policy(B, LV_POLICY_USER, S("nowhere"), S("p"),
                                  S(DEF("{\"max-length\":1}")), NULL, why, sizeof(why)),
             LV_ENOTFOUND);
    end();
}

LV_TEST(what_is_too_deep_or_too_long_is_refused)
{
    static char text[LV_PARAMETER_BYTES_MAX + 100];
    size_t n;

    begin();
    memset(text, '[', 40);
    memset(text + 40, ']', 40);
    CHECK_EQ(lv_broker_put_global(B, S("deep"), lv_bytes(text, 80), NULL, why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, "not JSON: nested more than 32 deep");
    CHECK_EQ(lv_broker_put_global(B, S("deep"), lv_bytes(text + 8, 64), NULL, why, sizeof(why)),
             LV_OK);
    memset(text, 'x', sizeof(text));
    n = sizeof(text);
    text[0] = text[n - 1] = '"';
    CHECK_EQ(lv_broker_put_global(B, S("long"), lv_bytes(text, n), NULL, why, sizeof(why)),
             LV_EINVAL);
    text[LV_PARAMETER_BYTES_MAX - 1] = '"';
    CHECK_EQ(lv_broker_put_global(B, S("long"), lv_bytes(text, LV_PARAMETER_BYTES_MAX), NULL, why,
                                  sizeof(why)),
             LV_OK);
    end();
}

static void matches(const char *queue, enum lv_queue_kind kind, const char *user,
                    const char *operators, const char *definition)
{
    char text[512];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_policy_match m;

    lv_policy_match_queue(B, ROOT, S(queue), kind, &m);
    CHECK_EQ(m.policy != NULL, user != NULL);
    CHECK_EQ(m.operator_policy != NULL, operators != NULL);
    if (user != NULL)
        CHECK(lv_bytes_eq(m.policy->name, S(user)));
    if (operators != NULL)
        CHECK(lv_bytes_eq(m.operator_policy->name, S(operators)));
    CHECK_EQ(lv_policy_effective(&m, &w), LV_OK);
    CHECK(lv_bytes_eq(lv_bytes(text, w.used), S(definition)));
}

LV_TEST(the_highest_priority_applies)
{
    struct lv_policy_match m;

    begin();
    matches("a", LV_QUEUE_CLASSIC, NULL, NULL, "{}");
    CHECK_EQ(put(LV_POLICY_USER, "low", DEF("{ \"max-length\": 1 }")), LV_OK);
    CHECK(is_new);
    matches("a", LV_QUEUE_CLASSIC, "low", NULL, "{\"max-length\":1}");
    CHECK_EQ(put(LV_POLICY_USER, "high",
                 "{\"pattern\":\"^a\",\"definition\":{\"max-length\":5,\"overflow\":\"drop-head\"},"
                 "\"priority\":9,\"apply-to\":\"classic_queues\"}"),
             LV_OK);
    matches("a", LV_QUEUE_CLASSIC, "high", NULL, "{\"max-length\":5,\"overflow\":\"drop-head\"}");
    matches("b", LV_QUEUE_CLASSIC, "low", NULL, "{\"max-length\":1}");
    matches("a", LV_QUEUE_QUORUM, "low", NULL, "{\"max-length\":1}");
    matches("a", LV_QUEUE_STREAM, NULL, NULL, "{}"); /* a stream has no max-length */
    CHECK_EQ(put(LV_POLICY_OPERATOR, "op",
                 DEF("{\"max-length\":3,\"overflow\":\"reject-publish\",\"expires\":7}")),
             LV_OK);
    matches("a", LV_QUEUE_CLASSIC, "high", "op",
            "{\"max-length\":3,\"overflow\":\"reject-publish\",\"expires\":7}");
    matches("b", LV_QUEUE_CLASSIC, "low", "op",
            "{\"max-length\":1,\"overflow\":\"reject-publish\",\"expires\":7}");
    CHECK_EQ(
        put(LV_POLICY_USER, "x",
            "{\"pattern\":\".*\",\"definition\":{\"alternate-exchange\":\"e\"},\"priority\":99,"
            "\"apply-to\":\"exchanges\"}"),
        LV_OK);
    matches("b", LV_QUEUE_CLASSIC, "low", "op",
            "{\"max-length\":1,\"overflow\":\"reject-publish\",\"expires\":7}");
    lv_policy_match_exchange(B, ROOT, S("b"), &m);
    CHECK(lv_bytes_eq(m.policy->name, S("x")));
    CHECK_EQ(lv_broker_remove_policy(B, LV_POLICY_USER, ROOT, S("high")), LV_OK);
    CHECK_EQ(lv_broker_remove_policy(B, LV_POLICY_USER, ROOT, S("high")), LV_ENOTFOUND);
    matches("a", LV_QUEUE_CLASSIC, "low", "op",
            "{\"max-length\":1,\"overflow\":\"reject-publish\",\"expires\":7}");
    end();
}

LV_TEST(a_negative_delivery_limit_is_none_at_all)
{
    begin();
    CHECK_EQ(put(LV_POLICY_USER, "u", DEF("{\"delivery-limit\":-1}")), LV_OK);
    CHECK_EQ(put(LV_POLICY_OPERATOR, "o", DEF("{\"delivery-limit\":5}")), LV_OK);
    matches("q", LV_QUEUE_QUORUM, "u", "o", "{\"delivery-limit\":5}");
    CHECK_EQ(put(LV_POLICY_USER, "u", DEF("{\"delivery-limit\":2}")), LV_OK);
    CHECK(!is_new);
    matches("q", LV_QUEUE_QUORUM, "u", "o", "{\"delivery-limit\":2}");
    matches("q", LV_QUEUE_CLASSIC, NULL, NULL, "{}");
    end();
}

static void check_walk(void)
{
    const struct lv_parameter *p;
    size_t pos = 0, count = 0;
    char names[200] = "";

    while ((p = lv_parameter_next(B, ROOT, &pos)) != NULL) {
        count++;
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%.*s/%.*s ",
                 LV_BYTES_FMT(p->component), LV_BYTES_FMT(p->name));
    }
    CHECK_STR(names, "operator_policy/o policy/a policy/b shovel/s ");
    pos = 0;
    CHECK(lv_bytes_eq(lv_policy_next(B, LV_POLICY_USER, ROOT, &pos)->name, S("b")));
    CHECK(lv_bytes_eq(lv_policy_next(B, LV_POLICY_USER, ROOT, &pos)->name, S("a")));
    CHECK(lv_policy_next(B, LV_POLICY_USER, ROOT, &pos) == NULL);
    p = lv_parameter_find(B, ROOT, S("shovel"), S("s"));
    CHECK(lv_bytes_eq(p->value, S("{\"src-uri\":\"amqp://\",\"n\":9007199254740993}")));
    CHECK(lv_bytes_eq(lv_global_find(B, S("cluster_name"))->value, S("\"\xc3\xbc\"")));
    CHECK_EQ(lv_access_vhost(lv_broker_access(B), ROOT)->max_queues, 7);
    CHECK_EQ(lv_access_vhost(lv_broker_access(B), ROOT)->max_connections, LV_NO_LIMIT);
}

LV_TEST(parameters_survive_a_restart)
{
    struct lv_bytes limits = S("vhost-limits");

    begin();
    CHECK_EQ(put(LV_POLICY_USER, "a", DEF("{\"max-length\":1}")), LV_OK);
    CHECK_EQ(put(LV_POLICY_USER, "gone", DEF("{\"max-length\":1}")), LV_OK);
    CHECK_EQ(put(LV_POLICY_USER, "b",
                 "{\"pattern\":\"^b\",\"definition\":{\"max-length\":2},\"priority\":1}"),
             LV_OK);
    CHECK_EQ(put(LV_POLICY_OPERATOR, "o", DEF("{\"max-length\":3}")), LV_OK);
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, S("shovel"), S("s"),
                                     S(" {\"src-uri\": \"amqp://\", \"n\":9007199254740993}"),
                                     &is_new, why, sizeof(why)),
             LV_OK);
    CHECK(is_new);
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, S("policy"), S("s"), S("{}"), NULL, why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, "policies may not be set using this method");
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, S("foo"), S("s"), S("{}"), NULL, why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, "Validation failed\n\ncomponent foo not found\n");
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, limits, S("limits"), S("{\"max-queues\":7}"), &is_new,
                                     why, sizeof(why)),
             LV_OK);
    CHECK(is_new);
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, limits, S("limits"), S("{\"max-queues\":\"x\"}"),
                                     &is_new, why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, "Validation failed\n\nmax-queues should be a number, actually was <<\"x\">>\n");
    CHECK_EQ(lv_broker_put_parameter(B, ROOT, limits, S("limits"), S("{\"foo\":1}"), &is_new, why,
                                     sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, "Validation failed\n\nUnrecognised terms [{<<\"foo\">>,1}] in limits\n");
    CHECK_EQ(lv_broker_put_global(B, S("cluster_name"), S("\"\\u00fc\""), &is_new, why, sizeof(why)),
             LV_OK);
    CHECK_EQ(lv_broker_put_global(B, S("gone"), S("1"), &is_new, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_broker_remove_policy(B, LV_POLICY_USER, ROOT, S("gone")), LV_OK);
    CHECK_EQ(lv_broker_remove_global(B, S("gone")), LV_OK);
    check_walk();
    close_broker();
    open_broker();
    check_walk();
    CHECK(lv_global_find(B, S("gone")) == NULL);
    CHECK_EQ(lv_broker_remove_parameter(B, ROOT, limits, S("limits")), LV_OK);
    CHECK_EQ(lv_broker_remove_parameter(B, ROOT, limits, S("limits")), LV_ENOTFOUND);
    CHECK_EQ(lv_broker_remove_parameter(B, ROOT, S("shovel"), S("s")), LV_OK);
    end();
}

LV_TEST(many_policies)
{
    char name[32], json[128];

    begin();
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "p%03d", (i * 37) % 500);
        snprintf(json, sizeof(json),
                 "{\"pattern\":\"^%s$\",\"definition\":{\"max-length\":%d},\"priority\":%d}", name,
                 i, i % 7);
        CHECK_EQ(put(LV_POLICY_USER, name, json), LV_OK);
    }
    close_broker();
    open_broker();
    size_t pos = 0, count = 0;
    const struct lv_policy *p;
    int64_t before = INT64_MAX;
    while ((p = lv_policy_next(B, LV_POLICY_USER, ROOT, &pos)) != NULL) {
        CHECK(p->priority <= before);
        before = p->priority;
        count++;
    }
    CHECK_EQ(count, 500);
    matches("p123", LV_QUEUE_CLASSIC, "p123", NULL, "{\"max-length\":179}");
    end();
}

static const char *const defaults[] = {
    "--default_users.ann.password",
    "pw",
    "--default_users.ann.vhost_pattern",
    "^(/|dev-.*)$",
    "--default_users.ann.read",
    "^a",
    "--default_limits.vhosts.1.pattern",
    "^dev-",
    "--default_limits.vhosts.1.max_queues",
    "7",
    "--default_limits.vhosts.2.pattern",
    ".*",
    "--default_limits.vhosts.2.max_connections",
    "9",
    "--default_limits.vhosts.3.max_queues",
    "1",
    "--default_policies.operator.ttl.vhost_pattern",
    "^dev-",
    "--default_policies.operator.ttl.queue_pattern",
    "^t",
    "--default_policies.operator.ttl.expires",
    "1800000",
    "--default_policies.operator.ttl.max_length_bytes",
    "5",
    "--default_policies.operator.bad.expires",
    "x",
};

static void put_vhost(const char *name)
{
    struct lv_vhost_record v = { .name = S(name),
                                 .max_connections = LV_NO_LIMIT,
                                 .max_queues = LV_NO_LIMIT };

    CHECK_EQ(lv_broker_put_vhost(B, &v, why, sizeof(why)), LV_OK);
}

LV_TEST(what_new_virtual_hosts_get)
{
    const char *temp = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/policies-test-XXXXXX", temp != NULL ? temp : P_tmpdir);
    CHECK(mkdtemp(dir) != NULL);
    open_with(defaults, (int)LV_ARRAY_LEN(defaults));
    const struct lv_access *a = lv_broker_access(B);
    CHECK_EQ(lv_access_vhost(a, ROOT)->max_connections, 9);
    CHECK_EQ(lv_access_vhost(a, ROOT)->max_queues, LV_NO_LIMIT);
    CHECK(lv_access_permission(a, S("ann"), ROOT) != NULL);
    put_vhost("dev-1");
    put_vhost("other");
    CHECK_EQ(lv_access_vhost(a, S("dev-1"))->max_queues, 7);
    CHECK_EQ(lv_access_vhost(a, S("dev-1"))->max_connections, LV_NO_LIMIT);
    CHECK(lv_bytes_eq(lv_access_permission(a, S("ann"), S("dev-1"))->read, S("^a")));
    CHECK(lv_access_permission(a, S("ann"), S("other")) == NULL);
    const struct lv_policy *p = lv_policy_find(B, LV_POLICY_OPERATOR, S("dev-1"), S("ttl"));
    CHECK(lv_bytes_eq(p->definition, S("{\"expires\":1800000,\"max-length-bytes\":5}")));
    CHECK(lv_bytes_eq(p->pattern, S("^t")));
    CHECK(lv_policy_find(B, LV_POLICY_OPERATOR, S("other"), S("ttl")) == NULL);
    CHECK(lv_policy_find(B, LV_POLICY_OPERATOR, S("other"), S("bad")) == NULL);
    put_vhost("dev-1"); /* which sets what it says, and gives nothing */
    CHECK_EQ(lv_access_vhost(a, S("dev-1"))->max_queues, LV_NO_LIMIT);
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_USER, LV_BYTES_LIT("\3ann")), LV_OK);
    put_vhost("dev-2");
    CHECK(lv_access_permission(a, S("ann"), S("dev-2")) == NULL);
    end();
}

/* Definitions: what is refused and how it is named, what an import does with what is there, and that what was written is read as
 * the same. The loops do not run: an import is allowed before. */
#include <stdarg.h>

#include "broker/broker_priv.h"
#include "broker/definitions.h"
#include "broker/policies.h"
#include "unit/broker/still.h"

static char why[LV_DEFINITIONS_WHY_MAX];
static struct lv_settings settings;

/* ---- refused ---- */

static void refused(const char *text, const char *reason)
{
    struct lv_definitions *d;

    lv_settings_init(&settings);
    CHECK_EQ(lv_definitions_parse(&settings, S(text), lv_bytes(NULL, 0), &d, why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why, reason);
}

LV_TEST(what_is_wrong_is_named)
{
    refused("", "not JSON: unexpected token near end of file at line 1, column 0");
    refused("[]", "definitions must be a JSON object");
    refused("{\"queues\":5}", "queues must be a list");
    refused("{\"queues\":[5]}", "queues[0] '': must be an object");
    refused("{\"queues\":[{\"name\":\"a\"}]}", "queues[0] 'a': vhost is missing");
    refused("{\"queues\":[{\"vhost\":\"/\",\"name\":\"a\",\"durable\":5}]}",
            "queues[0] 'a' in vhost '/': durable must be true or false");
    refused("{\"queues\":[{\"vhost\":\"/\",\"name\":\"a\",\"arguments\":{\"x\":null}}]}",
            "queues[0] 'a' in vhost '/': arguments: null_not_allowed");
    refused(
        "{\"queues\":[{\"vhost\":\"/\",\"name\":\"a\",\"arguments\":{\"x-max-length\":\"x\"}}]}",
        "queues[0] 'a' in vhost '/': invalid arg 'x-max-length' for queue 'a' in vhost '/': "
        "\"expected integer, got longstr\"");
    refused("{\"queues\":[{\"vhost\":\"/\",\"name\":\"a\",\"type\":\"odd\"}]}",
            "queues[0] 'a' in vhost '/': invalid arg 'x-queue-type' for queue 'a' in vhost '/': "
            "\"unsupported queue type 'odd'\"");
    refused("{\"exchanges\":[{\"vhost\":\"/\",\"name\":\"a\",\"type\":\"odd\"}]}",
            "exchanges[0] 'a' in vhost '/': unknown exchange type 'odd'");
    refused("{\"users\":[{\"name\":\"a\"}]}", "users[0] 'a': password_hash is missing");
    refused(
        "{\"users\":[{\"name\":\"a\",\"password_hash\":\"x\",\"hashing_algorithm\":\"rot13\"}]}",
        "users[0] 'a': hashing_algorithm 'rot13' is not known");
    refused("{\"users\":[{\"name\":\"a\",\"password_hash\":\"x\"}]}",
            "users[0] 'a': password_hash is no hash of rabbit_password_hashing_md5");
    refused("{\"users\":[{\"name\":\"\",\"password_hash\":\"\"}]}", "users[0] '': name is empty");
    refused("{\"users\":[{\"name\":\"a\",\"password_hash\":\"\",\"tags\":5}]}",
            "users[0] 'a': tags must be a list or a string");
    refused("{\"vhosts\":[{\"name\":\"v\",\"limits\":{\"max-queues\":\"5\"}}]}",
            "vhosts[0] 'v': limits: max-queues must be a number from -1 to 4294967294");
    refused("{\"vhosts\":[{\"name\":\"v\",\"metadata\":{\"default_queue_type\":\"odd\"}}]}",
            "vhosts[0] 'v': default_queue_type: unsupported queue type 'odd'");
    refused("{\"permissions\":[{\"user\":\"u\",\"vhost\":\"/\",\"configure\":\"[\",\"write\":\"\","
            "\"read\":\"\"}]}",
            "permissions[0] 'u' in vhost '/': configure is no regular expression: missing "
            "terminating ] "
            "for character class at 1");
    refused(
        "{\"policies\":[{\"vhost\":\"/\",\"name\":\"p\",\"pattern\":\"\",\"definition\":{"
        "\"max-length\":-1}}]}",
        "policies[0] 'p' in vhost '/': Validation failed\n\n-1 is not a valid maximum length\n");
    refused("{\"bindings\":[{\"vhost\":\"/\",\"source\":\"x\",\"destination\":\"q\","
            "\"destination_type\":\"odd\",\"routing_key\":\"\"}]}",
            "bindings[0] 'q' in vhost '/': destination_type must be queue or exchange");
    refused("{\"rabbitmq_definition_format\":\"single_virtual_host\"}",
            "these are the definitions of a single virtual host, to be imported into one");
}

/* ---- imported ---- */

static struct lv_definitions *parse(const char *text, const char *vhost)
{
    struct lv_definitions *d;

    lv_settings_init(&settings);
    if (lv_definitions_parse(&settings, S(text), S(vhost), &d, why, sizeof(why)) != LV_OK)
        CHECK_STR(why, "");
    return d;
}

static enum lv_err steps(struct lv_definitions *d, bool is_dry, size_t max)
{
    enum lv_err err;
    uint64_t done, total;

    lv_definitions_begin(d, is_dry);
    while ((err = lv_definitions_step(B, d, max, why, sizeof(why))) == LV_EAGAIN) {
    }
    lv_definitions_progress(d, &done, &total);
    if (err == LV_OK)
        CHECK_EQ(done, total);
    return err;
}

static size_t count(const struct lv_definitions *d, enum lv_outcome_of_import outcome)
{
    struct lv_import_item item;
    size_t n = 0;

    for (size_t i = 0; i < lv_definitions_count(d); i++) {
        lv_definitions_item(d, i, &item);
        n += item.outcome == outcome;
    }
    return n;
}

static char *export(const char *vhost, size_t piece)
{
    struct lv_snapshot *s;
    char *text = NULL;
    size_t used = 0, got;

    CHECK_EQ(lv_definitions_take(B, S(vhost), &s), LV_OK);
    do {
        text = realloc(text, used + piece + 1);
        CHECK_EQ(lv_snapshot_read(s, text + used, piece, &got), LV_OK);
        used += got;
    } while (got != 0);
    text[used] = '\0';
    lv_snapshot_free(s);
    return text;
}

/* A bit of everything: md5 and sha256 hashes, tags of both kinds, limits of three, nested arguments. */
static const char everything[] =
    "\xef\xbb\xbf{\"rabbit_version\":\"3.10.8\",\"odd\":[1],"
    "\"users\":[{\"name\":\"ann\",\"password_hash\":"
    "\"ri5Jj1CkTvfSUbWZ7SMP7GObcumqyAUa7xJgmS4gPIUqnHT7\","
    "\"hashing_algorithm\":\"rabbit_password_hashing_sha256\",\"tags\":[\"monitoring\",\"custom\"],"
    "\"limits\":{\"max-connections\":5}},"
    "{\"name\":\"old\",\"password_hash\":\"kI3GCqW5JLMJa4iX1lo7X4D6XbY=\",\"tags\":\"a,b\"},"
    "{\"name\":\"nobody\",\"password_hash\":\"\",\"tags\":\"\"}],"
    "\"vhosts\":[{\"name\":\"/"
    "\"},{\"name\":\"v\",\"limits\":[],\"metadata\":{\"description\":\"d\","
    "\"tags\":[\"t\"],\"default_queue_type\":\"quorum\"}}],"
    "\"permissions\":[{\"user\":\"ann\",\"vhost\":\"v\",\"configure\":\"^a\",\"write\":\".*\","
    "\"read\":\"\"}],"
    "\"topic_permissions\":[{\"user\":\"ann\",\"vhost\":\"v\",\"exchange\":\"amq.topic\",\"write\":"
    "\"^{username}\",\"read\":\".*\"}],"
    "\"parameters\":[{\"value\":{\"max-queues\":500},\"vhost\":\"v\",\"component\":\"vhost-"
    "limits\","
    "\"name\":\"limits\"},{\"value\":{\"pattern\":\".*\",\"definition\":{\"max-length\":9},"
    "\"priority\":0,"
    "\"apply-to\":\"all\"},\"vhost\":\"v\",\"component\":\"operator_policy\",\"name\":\"p\"},"
    "{\"value\":{\"x\":1},\"vhost\":\"v\",\"component\":\"of-a-plugin\",\"name\":\"n\"}],"
    "\"global_parameters\":[{\"name\":\"cluster_name\",\"value\":\"\xc3\xbcn\"},{\"name\":"
    "\"internal_cluster_id\",\"value\":\"x\"}],"
    "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"^q\",\"apply-to\":\"queues\","
    "\"definition\":"
    "{\"max-length\":10,\"ha-mode\":\"all\"},\"priority\":7},"
    "{\"vhost\":\"v\",\"name\":\"ha\",\"pattern\":\"\",\"definition\":{\"ha-mode\":\"all\"}},"
    "{\"vhost\":\"v\",\"name\":\"ae\",\"pattern\":\"^y\",\"apply-to\":\"exchanges\",\"definition\":"
    "{\"alternate-exchange\":\"x\"},\"priority\":0}],"
    "\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":"
    "{\"nested\":{\"a\":[1,2.5,2.0,true,\"s\",{\"b\":\"c\"},[],{}]},\"x-message-ttl\":1000}},"
    "{\"name\":\"t\",\"vhost\":\"v\",\"durable\":false,\"auto_delete\":true,\"arguments\":[]},"
    "{\"name\":\"qq\",\"vhost\":\"v\",\"type\":\"quorum\",\"durable\":true,\"auto_delete\":false,"
    "\"arguments\":{}},"
    "{\"name\":\"exact\",\"vhost\":\"v\",\"durable\":true,\"auto_delete\":false,\"arguments\":{"
    "\"t\":5,\"b\":\"ab\"},"
    "\"leveret_arguments\":\"AXRUAAAAAAAAAAUBYngAAAACYWI=\"}],"
    "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\",\"type\":\"topic\",\"durable\":true,\"auto_"
    "delete\":false,"
    "\"internal\":false,\"arguments\":{\"alternate-exchange\":\"amq.fanout\"}},"
    "{\"name\":\"y\",\"vhost\":\"v\",\"type\":\"headers\",\"durable\":false,\"auto_delete\":false,"
    "\"internal\":true,\"arguments\":{}},"
    "{\"name\":\"amq.direct\",\"vhost\":\"v\",\"type\":\"direct\",\"durable\":true,\"arguments\":{}"
    "}],"
    "\"bindings\":[{\"source\":\"x\",\"vhost\":\"v\",\"destination\":\"q\",\"destination_type\":"
    "\"queue\","
    "\"routing_key\":\"a.#\",\"arguments\":{\"m\":1}},"
    "{\"source\":\"y\",\"vhost\":\"v\",\"destination\":\"amq.fanout\",\"destination_type\":"
    "\"exchange\","
    "\"routing_key\":\"\",\"arguments\":{\"x-match\":\"any\",\"h\":\"\\\"\\u0001\\u00e9\"}},"
    "{\"source\":\"\",\"vhost\":\"v\",\"destination\":\"q\",\"destination_type\":\"queue\","
    "\"routing_key\":\"q\"},"
    "{\"source\":\"gone\",\"vhost\":\"v\",\"destination\":\"q\",\"destination_type\":\"queue\","
    "\"routing_key\":\"q\"}]}";

static void check_everything(void)
{
    const struct lv_access *a = lv_broker_access(B);
    const struct lv_vhost *v = lv_vhost_find(B, S("v"));
    struct lv_value value;

    CHECK_EQ(lv_access_user(a, S("ann"))->max_connections, 5);
    CHECK_EQ(lv_access_user(a, S("ann"))->algorithm, LV_HASH_SHA256);
    CHECK_EQ(lv_access_user(a, S("old"))->algorithm, LV_HASH_MD5);
    CHECK_EQ(lv_access_user(a, S("old"))->tags.count, 2);
    CHECK_EQ(lv_access_user(a, S("nobody"))->algorithm, LV_HASH_NONE);
    CHECK_EQ(lv_access_vhost(a, S("v"))->max_queues, 500);
    CHECK(lv_bytes_eq(lv_access_vhost(a, S("v"))->default_queue_type, S("quorum")));
    CHECK(lv_access_topic_permission(a, S("ann"), S("v"), S("amq.topic")) != NULL);
    CHECK(lv_bytes_eq(lv_policy_find(B, LV_POLICY_USER, S("v"), S("p"))->definition,
                      S("{\"max-length\":10}")));
    CHECK(lv_policy_find(B, LV_POLICY_USER, S("v"), S("ha")) == NULL);
    CHECK(lv_parameter_find(B, S("v"), S("of-a-plugin"), S("n")) != NULL);
    CHECK(lv_global_find(B, S("internal_cluster_id")) == NULL);
    CHECK_EQ(v->router.queues.count, 4);
    CHECK_EQ(v->router.bindings.count, 2);
    const struct lv_queue_entry *qq = (const void *)lv_router_queue(&v->router, S("qq"));
    CHECK(lv_table_find(qq->arguments, S("x-queue-type"), &value));
    const struct lv_queue_entry *exact = (const void *)lv_router_queue(&v->router, S("exact"));
    CHECK(lv_table_find(exact->arguments, S("t"), &value));
    CHECK_EQ(value.kind, LV_KIND_TIMESTAMP);
    CHECK(lv_table_find(exact->arguments, S("b"), &value));
    CHECK_EQ(value.kind, LV_KIND_BINARY);
    CHECK(lv_router_exchange(&v->router, S("x"))->spec.has_alternate);
    CHECK(lv_router_exchange(&v->router, S("y"))->by_policy != NULL);
}

LV_TEST(everything_comes_in_and_out_and_in_again)
{
    struct lv_definitions *d;
    char *first, *second;

    begin();
    d = parse(everything, "");
    CHECK_EQ(steps(d, true, 3), LV_OK);
    CHECK(lv_vhost_find(B, S("v")) == NULL); /* a dry run */
    CHECK_EQ(count(d, LV_IMPORT_NEW), 20);
    CHECK_EQ(count(d, LV_IMPORT_IGNORED), 5);
    CHECK_EQ(count(d, LV_IMPORT_SAME), 1); /* the virtual host that is there */
    CHECK_EQ(steps(d, false, 1), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_NEW), 20);
    check_everything();
    CHECK_EQ(steps(d, false, 100), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_NEW), 0);
    CHECK_EQ(count(d, LV_IMPORT_CHANGED), 0);
    lv_definitions_free(d);
    uint64_t version = lv_definitions_version(B);
    first = export("", 7);
    second = export("", 100000);
    CHECK_STR(first, second);
    CHECK_EQ(version, lv_definitions_version(B));
    free(second);
    end();

    begin(); /* another broker */
    d = parse(first, "");
    CHECK_EQ(steps(d, false, 5), LV_OK);
    check_everything();
    second = export("", 4096);
    CHECK_STR(first, second);
    CHECK(lv_definitions_version(B) != version);
    lv_definitions_free(d);
    d = parse(first, "");
    CHECK_EQ(steps(d, true, 1000), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_SAME), lv_definitions_count(d));
    lv_definitions_free(d);
    free(second);
    close_broker();
    open_broker(); /* and what is durable of it lasts */
    CHECK(lv_bytes_eq(lv_access_vhost(lv_broker_access(B), S("v"))->description, S("d")));
    CHECK_EQ(lv_vhost_find(B, S("v"))->router.queues.count, 3);
    free(first);
    end();
}

LV_TEST(what_is_there)
{
    struct lv_definitions *d;
    struct lv_import_item item;

    begin();
    d = parse(everything, "");
    CHECK_EQ(steps(d, false, 1000), LV_OK);
    lv_definitions_free(d);
    uint64_t credential = lv_access_user(lv_broker_access(B), S("ann"))->credential;
    d = parse("{\"users\":[{\"name\":\"ann\",\"password_hash\":"
              "\"ri5Jj1CkTvfSUbWZ7SMP7GObcumqyAUa7xJgmS4gPIUqnHT7\",\"tags\":\"\"}],"
              "\"vhosts\":[{\"name\":\"v\",\"metadata\":{\"description\":\"e\"}}],"
              "\"policies\":[{\"vhost\":\"v\",\"name\":\"p\",\"pattern\":\"^q\",\"definition\":"
              "{\"max-length\":11}}],"
              "\"queues\":[{\"name\":\"q\",\"vhost\":\"v\",\"durable\":false}],"
              "\"exchanges\":[{\"name\":\"x\",\"vhost\":\"v\",\"type\":\"direct\"}]}",
              "");
    CHECK_EQ(steps(d, false, 1000), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_CHANGED), 3);
    CHECK_EQ(count(d, LV_IMPORT_IGNORED), 2);
    lv_definitions_item(d, 4, &item);
    CHECK_STR(item.list, "queues");
    CHECK_STR(item.note, "it exists with other properties, which cannot change");
    const struct lv_user_record *ann = lv_access_user(lv_broker_access(B), S("ann"));
    CHECK_EQ(ann->credential, credential); /* the password is the same: nobody has to go */
    CHECK_EQ(ann->max_connections, 5);
    CHECK_EQ(ann->tags.count, 0);
    const struct lv_vhost_record *v = lv_access_vhost(lv_broker_access(B), S("v"));
    CHECK(lv_bytes_eq(v->description, S("e")));
    CHECK_EQ(v->tags.count, 1);
    CHECK_EQ(v->max_queues, 500);
    CHECK(((const struct lv_queue_entry *)lv_router_queue(&lv_vhost_find(B, S("v"))->router, S("q")))
              ->durable);
    lv_definitions_free(d);
    end();
}

LV_TEST(nothing_changes_when_something_cannot_be)
{
    struct lv_definitions *d;

    begin();
    d = parse(
        "{\"vhosts\":[{\"name\":\"w\"}],\"permissions\":[{\"user\":\"nobody\",\"vhost\":\"w\","
        "\"configure\":\"\",\"write\":\"\",\"read\":\"\"}]}",
        "");
    CHECK_EQ(steps(d, false, 1000), LV_EINVAL);
    CHECK_STR(why, "permissions[0] 'nobody' in vhost 'w': there is no user 'nobody'");
    CHECK(lv_vhost_find(B, S("w")) == NULL);
    lv_definitions_free(d);
    d = parse("{\"queues\":[{\"name\":\"q\",\"vhost\":\"nowhere\"}]}", "");
    CHECK_EQ(steps(d, false, 1000), LV_EINVAL);
    CHECK_STR(why, "queues[0] 'q' in vhost 'nowhere': there is no vhost 'nowhere'");
    lv_definitions_free(d);
    end();
}

LV_TEST(one_virtual_host)
{
    struct lv_vhost_record w = { .name = S("w"),
                                 .max_connections = LV_NO_LIMIT,
                                 .max_queues = LV_NO_LIMIT };
    struct lv_definitions *d;
    char *first, *second;

    begin();
    d = parse(everything, "");
    CHECK_EQ(steps(d, false, 1000), LV_OK);
    lv_definitions_free(d);
    first = export("v", 100);
    CHECK(strstr(first, "\"vhost\":") == NULL);
    CHECK(strstr(first, "\"rabbitmq_definition_format\":\"single_virtual_host\"") != NULL);
    d = parse(first, "w");
    CHECK_EQ(steps(d, false, 1000), LV_ENOTFOUND);
    CHECK_EQ(lv_broker_put_vhost(B, &w, why, sizeof(why)), LV_OK);
    CHECK_EQ(steps(d, false, 1000), LV_OK);
    second = export("w", 100);
    CHECK_STR(strstr(first, "\"parameters\""), strstr(second, "\"parameters\""));
    lv_definitions_free(d);
    free(first);
    free(second);
    struct lv_snapshot *s;
    CHECK_EQ(lv_definitions_take(B, S("nowhere"), &s), LV_ENOTFOUND);
    end();
}

static size_t append(char *text, size_t at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text + at, 200, format, args);
    va_end(args);
    return (size_t)n;
}

LV_TEST(many_queues)
{
    enum { QUEUES = 20000 };
    char *text = malloc(QUEUES * 200), *again;
    size_t used = 0;
    struct lv_definitions *d;

    used += append(text, used, "{\"queues\":[");
    for (int i = 0; i < QUEUES; i++)
        used += append(text, used, "%s{\"name\":\"q%d\",\"vhost\":\"/\"}", i != 0 ? "," : "", i);
    used += append(text, used, "],\"bindings\":[");
    for (int i = 0; i < QUEUES; i++)
        used += append(text, used,
                       "%s{\"source\":\"amq.topic\",\"vhost\":\"/\",\"destination\":\"q%d\","
                       "\"destination_type\":\"queue\",\"routing_key\":\"k%d\"}",
                       i != 0 ? "," : "", i, i);
    used += append(text, used, "]}");
    begin();
    d = parse(text, "");
    CHECK_EQ(steps(d, false, 256), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_NEW), 2 * QUEUES);
    CHECK_EQ(lv_vhost_find(B, S("/"))->router.bindings.count, QUEUES);
    lv_definitions_free(d);
    close_broker();
    open_broker();
    again = export("", 65536);
    d = parse(again, "");
    CHECK_EQ(steps(d, true, 1000000), LV_OK);
    CHECK_EQ(count(d, LV_IMPORT_SAME), lv_definitions_count(d));
    lv_definitions_free(d);
    free(again);
    free(text);
    end();
}

static void add_queues(char prefix, int queues)
{
    char *text = malloc((size_t)queues * 200 + 100);
    struct lv_definitions *d;
    size_t used = 0;

    used += append(text, used, "{\"queues\":[");
    for (int i = 0; i < queues; i++)
        used += append(text, used, "%s{\"name\":\"%c%d\",\"vhost\":\"/\"}", i != 0 ? "," : "",
                       prefix, i);
    used += append(text, used, "]}");
    d = parse(text, "");
    CHECK_EQ(steps(d, false, 1000), LV_OK);
    lv_definitions_free(d);
    free(text);
}

/* What is there all the time is in it once, whatever is made meanwhile. */
LV_TEST(an_export_in_slices)
{
    enum { QUEUES = 700 };
    struct lv_snapshot *s;
    char *text = malloc(4 << 20), name[40];
    size_t used = 0, got, slices = 0;
    enum lv_err err;

    begin();
    add_queues('a', QUEUES);
    CHECK_EQ(lv_snapshot_new(B, lv_bytes(NULL, 0), &s), LV_OK);
    while ((err = lv_snapshot_take(B, s, 50)) == LV_EAGAIN)
        if (++slices % 5 == 0 && slices < 60) /* the map is made larger several times */
            add_queues((char)('b' + slices / 5), 300);
    CHECK_EQ(err, LV_OK);
    CHECK(slices > 20);
    do {
        CHECK_EQ(lv_snapshot_read(s, text + used, 10000, &got), LV_OK);
        used += got;
    } while (got != 0);
    text[used] = '\0';
    lv_snapshot_free(s);
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof(name), "\"name\":\"a%d\"", i);
        const char *at = strstr(text, name);
        CHECK(at != NULL);
        CHECK(strstr(at + 1, name) == NULL);
    }
    free(text);
    end();
}

/* Settings: types, layers, wrong values and what is said about them. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "lv_test.h"
#include "os/os.h"

static struct lv_config *config;
static const struct lv_settings *s;

static void done(void)
{
    lv_config_free(config);
    config = NULL;
    CHECK_EQ(lv_mem_used(LV_TAG_CONFIG), 0);
}

/* A file "f" with that text; its settings in `s`. */
static void good(const char *text)
{
    done();
    enum lv_err err = lv_config_check_text("f", lv_bytes_str(text), &config);
    if (err != LV_OK)
        CHECK_STR(lv_config_note(config, 0)->text, "no error");
    CHECK_EQ(err, LV_OK);
    s = lv_config_settings(config);
}

/* The first error of that text, without the file's name. */
static const char *wrong(const char *text)
{
    const struct lv_config_note *note;

    done();
    CHECK_EQ(lv_config_check_text("f", lv_bytes_str(text), &config), LV_EINVAL);
    for (size_t i = 0; (note = lv_config_note(config, i)) != NULL; i++)
        if (note->is_error) {
            CHECK(strncmp(note->text, "f:", 2) == 0);
            return note->text + 2;
        }
    return "no note";
}

/* The first notice of that text. */
static const char *notice(const char *text)
{
    good(text);
    const struct lv_config_note *note = lv_config_note(config, 0);
    return note != NULL ? note->text + 2 : "none";
}

static void load(int argc, char *const *argv, char *const *envp)
{
    struct lv_config_sources from = { argc, argv, envp, NULL };

    done();
    enum lv_err err = lv_config_load(&from, &config);
    if (err != LV_OK)
        CHECK_STR(lv_config_note(config, 0)->text, "no error");
    s = lv_config_settings(config);
}

static const char *wrong_arguments(int argc, char *const *argv, char *const *envp)
{
    struct lv_config_sources from = { argc, argv, envp, NULL };

    done();
    CHECK_EQ(lv_config_load(&from, &config), LV_EINVAL);
    return lv_config_note(config, 0)->text;
}

#define ARGV(...)                                                              \
    (int)(sizeof((char *[]){ "x", __VA_ARGS__ }) / sizeof(char *)), (char *[]) \
    {                                                                          \
        "x", __VA_ARGS__                                                       \
    }
#define ENVP(...)         \
    (char *[])            \
    {                     \
        __VA_ARGS__, NULL \
    }
#define NO_FILE "LEVERET_CONFIG_FILE=none"

LV_TEST(defaults_are_those_of_the_table)
{
    struct lv_settings d;

    lv_settings_init(&d);
    CHECK_STR(d.amqp_listen, "0.0.0.0:5672");
    CHECK_EQ(d.heartbeat, 60);
    CHECK_EQ(d.max_message_size, 16777216);
    CHECK_EQ(d.connection_max, LV_UNLIMITED);
    CHECK_STR(d.disk_free_limit, "50MB");
    CHECK(d.tcp_nodelay);
    good("");
    CHECK_STR(s->default_user, "guest");
    done();
}

LV_TEST(numbers_and_their_bounds)
{
    good("channel_max = 65535\nheartbeat = 0");
    CHECK_EQ(s->channel_max, 65535);
    CHECK_EQ(s->heartbeat, 0);
    CHECK_STR(wrong("channel_max = 65536"),
              "1:15: expected a number, from 0 to 65535, not '65536'");
    CHECK_STR(wrong("heartbeat = -1"), "1:13: expected a number, from 0 to 65535, not '-1'");
    CHECK_STR(wrong("heartbeat = 1x"), "1:13: expected a number, from 0 to 65535, not '1x'");
    CHECK_STR(wrong("frame_max = 4095"),
              "1:13: expected bytes, or a size like 16MiB, from 4096 to 2147483647, not '4095'");
    done();
}

LV_TEST(sizes_times_limits_and_flags)
{
    good("max_message_size = 2MiB\nlog.file.rotation.size = 1.5GB\nhandshake_timeout = 3s\n"
         "max_connections = infinity\nconsumer_timeout = 1h\nproxy_protocol = on\n"
         "tcp_listen_options.nodelay = false");
    CHECK_EQ(s->max_message_size, 2 << 20);
    CHECK_EQ(s->log_file_rotation_size, 1500000000);
    CHECK_EQ(s->handshake_timeout, 3000);
    CHECK_EQ(s->connection_max, LV_UNLIMITED);
    CHECK_EQ(s->consumer_timeout, 3600000);
    CHECK(s->proxy_protocol);
    CHECK(!s->tcp_nodelay);
    CHECK_STR(wrong("proxy_protocol = yes"), "1:18: expected true or false, not 'yes'");
    CHECK_STR(
        wrong("handshake_timeout = infinity"),
        "1:21: expected milliseconds, or a time like 10s, from 1 to 86400000, not 'infinity'");
    CHECK_STR(wrong("log.file.rotation.size = 5 MB"),
              "1:26: expected bytes, or a size like 16MiB, not '5 MB'");
    CHECK_STR(wrong("log.file.rotation.size = 1e3"),
              "1:26: expected bytes, or a size like 16MiB, not '1e3'");
    done();
}

LV_TEST(words)
{
    good("ssl_options.verify = verify_peer\nlog.console.level = debug");
    CHECK_STR(s->tls_verify, "verify_peer");
    CHECK_STR(wrong("ssl_options.verify = yes"),
              "1:22: expected verify_none or verify_peer, not 'yes'");
    CHECK_STR(wrong("log.connection.level = loud"),
              "1:24: expected debug, info, notice, warning, error, critical or none, not 'loud'");
    done();
}

LV_TEST(what_the_log_cannot_do_is_refused)
{
    good("log.file.rotation.date = $W0D23\nlog.syslog.host = ::1");
    CHECK_STR(wrong("log.file.rotation.date = daily"),
              "1:26: expected a date like $D0, $W1D5, $M1D0 or $H0, not 'daily'");
    CHECK_STR(wrong("log.syslog.host = logs.example.org"),
              "1:19: expected a numeric address, not 'logs.example.org'");
    done();
}

LV_TEST(watermarks)
{
    uint64_t bytes;

    CHECK_EQ(lv_watermark_parse("0.5", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 500);
    CHECK_EQ(lv_watermark_parse("1", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 1000);
    CHECK_EQ(lv_watermark_parse("2.0", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 2000);
    CHECK_EQ(lv_watermark_parse("2", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 2);
    CHECK_EQ(lv_watermark_parse("512MiB", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 512 << 20);
    CHECK_EQ(lv_watermark_parse("2GB", 1000, &bytes), LV_OK);
    CHECK_EQ(bytes, 2000000000);
    static const char *const bad[] = { "",      "x",    "-1",  "1e3", "5 MB",
                                       "1.2.3", "0x10", "nan", "inf", "2000.5" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_EQ(lv_watermark_parse(bad[i], 1000, &bytes), LV_EINVAL);
    good("vm_memory_high_watermark.relative = 0.7\ndisk_free_limit.relative = 2");
    CHECK_STR(s->memory_high_watermark, "0.7");
    CHECK_STR(s->disk_free_limit, "2.0");
    good("vm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 50000");
    CHECK_STR(s->memory_high_watermark, "2GB");
    CHECK_STR(s->disk_free_limit, "50000");
    (void)wrong("vm_memory_high_watermark.relative = 1.1");
    (void)wrong("vm_memory_high_watermark.relative = 2GB");
    (void)wrong("vm_memory_high_watermark.absolute = 0.4");
    done();
}

LV_TEST(listeners)
{
    good("listeners.tcp.default = 5672");
    CHECK_STR(s->amqp_listen, "*:5672");
    good("listeners.tcp.2 = ::1:5673\nlisteners.tcp.10 = [::]:1\nlisteners.tcp.1 = 127.0.0.1:5672\n"
         "listeners.tcp.2 = localhost:5674");
    CHECK_STR(s->amqp_listen, "127.0.0.1:5672,127.0.0.1:5674,[::]:1");
    good("listeners.ssl.1 = 5671\nlisteners.tcp = none");
    CHECK_STR(s->amqp_listen, "none");
    CHECK_STR(s->amqps_listen, "*:5671");
    good("mqtt.listeners.tcp.default = 1883");
    CHECK_STR(s->mqtt_listen, "*:1883");
    good("management.tcp.port = 8080\nmanagement.tcp.ip = 127.0.0.1");
    CHECK_STR(s->http_listen, "127.0.0.1:8080");
    good("listeners.tcp.1 = /run/mq.sock\nlisteners.tcp.2 = "
         "unix:/run/b.sock?mode=600\nlisteners.tcp.3 = 1");
    CHECK_STR(s->amqp_listen, "unix:/run/mq.sock,unix:/run/b.sock?mode=600,*:1");
    static const char *const bad[] = { "x",         "65536",    "1.2.3.4", ":5672", "a.b:1",
                                       "[::1:5672", "1.2.3.4:", "1.2.3:5", "unix:x" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "listeners.tcp.1 = %s", bad[i]);
        CHECK(strstr(wrong(text), "expected a port, ADDRESS:PORT or unix:/PATH, not") != NULL);
    }
    done();
}

LV_TEST(an_address_list_is_walked)
{
    const char *at = "127.0.0.1:1,[::]:2";
    char one[32];

    CHECK(lv_listen_next(&at, one, sizeof(one)));
    CHECK_STR(one, "127.0.0.1:1");
    CHECK(lv_listen_next(&at, one, sizeof(one)));
    CHECK_STR(one, "[::]:2");
    CHECK(!lv_listen_next(&at, one, sizeof(one)));
    at = "none";
    CHECK(!lv_listen_next(&at, one, sizeof(one)));
}

LV_TEST(maps)
{
    struct lv_bytes name, value;

    good("default_users.ann.password = 'a=b#c'\ndefault_users.b\\.c.password = x\n"
         "default_user_tags.monitoring = true\nauth_mechanisms.2 = PLAIN\nauth_mechanisms.1 = "
         "EXTERNAL\n"
         "log.connection.level = debug\nauth_ldap.servers.1 = h");
    CHECK(lv_items_get(s->default_users_password, "ann", &value));
    CHECK(lv_bytes_eq(value, LV_BYTES_LIT("a=b#c")));
    CHECK(lv_items_get(s->default_users_password, "b.c", &value));
    CHECK(!lv_items_get(s->default_users_password, "b", &value));
    CHECK_STR(s->default_user_tags, "monitoring=true"); /* in place of the default's */
    CHECK_STR(s->auth_mechanisms, "1=EXTERNAL\n2=PLAIN");
    CHECK_STR(s->log_levels, "connection=debug");
    CHECK_STR(s->auth_ldap, "servers.1=h");
    const char *at = s->auth_mechanisms;
    CHECK(lv_items_next(&at, &name, &value));
    CHECK(lv_bytes_eq(name, LV_BYTES_LIT("1")));
    CHECK(lv_bytes_eq(value, LV_BYTES_LIT("EXTERNAL")));
    CHECK(lv_items_next(&at, &name, &value));
    CHECK(!lv_items_next(&at, &name, &value));
    (void)wrong("auth_mechanisms.1 = MAGIC");
    (void)wrong("default_user_tags.x = maybe");
    done();
}

/* guest stays bound to this machine until somebody says otherwise: naming another user is not that. */
LV_TEST(loopback_users_keep_guest)
{
    struct lv_bytes value;

    good("loopback_users.ann = true");
    CHECK_STR(s->loopback_users, "guest=true\nann=true");
    good("loopback_users.guest = false");
    CHECK(lv_items_get(s->loopback_users, "guest", &value));
    CHECK(lv_bytes_eq(value, LV_BYTES_LIT("false")));
    good("loopback_users = none");
    CHECK_STR(s->loopback_users, "");
    good("loopback_users = ann,bob");
    CHECK_STR(s->loopback_users, "ann=true\nbob=true");
    CHECK_STR(wrong("loopback_users = ann b"),
              "1:18: 'ann b' is not a name: no blanks, quotes, '=' or '#'");
    done();
}

LV_TEST(unknown_keys_are_refused_with_the_nearest)
{
    CHECK_STR(wrong("\n heartbeet = 5"),
              "2:2: unknown key 'heartbeet' (did you mean 'heartbeat'?)");
    CHECK_STR(wrong("listner.tcp.default = 5"),
              "1:1: unknown key 'listner.tcp.default' (did you mean 'listeners.tcp.default'?)");
    CHECK_STR(wrong("default_user.bob.password = x"),
              "1:1: unknown key 'default_user.bob.password' (did you mean "
              "'default_users.bob.password'?)");
    CHECK_STR(wrong("vm_memory_high_watermark.realtive = 0.5"),
              "1:1: unknown key 'vm_memory_high_watermark.realtive' "
              "(did you mean 'vm_memory_high_watermark.relative'?)");
    CHECK_STR(wrong("nothing.like.it = 5"), "1:1: unknown key 'nothing.like.it'");
    done();
}

LV_TEST(keys_of_rabbitmq_alone_are_read_over_with_a_notice)
{
    CHECK_STR(notice("net_ticktime = 60"),
              "1:1: net_ticktime is not used: there is no Erlang distribution");
    CHECK(strstr(notice("cluster_formation.k8s.host = x"), "is not used") != NULL);
    CHECK(strstr(notice("raft.wal_max_size_bytes = 64000000"), "is not used") != NULL);
    /* Known here though RabbitMQ's own neighbours are not. */
    good("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true");
    CHECK(s->relaxed_redeclaration);
    done();
}

LV_TEST(what_has_no_effect_yet_is_kept_and_told)
{
    CHECK_STR(notice("mqtt.prefetch = 20"), "1:17: mqtt.prefetch is kept, and has no effect yet");
    CHECK_EQ(s->mqtt_prefetch, 20);
    CHECK_STR(notice("heartbeat = 20"), "none");
    CHECK_STR(notice("default_pass = abc#def"),
              "1:19: '#' begins a comment here; a value that holds one stands in 'single quotes'");
    CHECK_STR(s->default_pass, "abc");
    done();
}

LV_TEST(encrypted_values_are_refused)
{
    CHECK_STR(wrong("default_pass = encrypted:abc"),
              "1:16: encrypted values are not read; take it from the environment: $(VARIABLE)");
    done();
}

LV_TEST(secrets_are_not_told)
{
    char text[65536];

    good("default_pass = very-secret\ndefault_users.x.password = very-secret");
    lv_config_list(config, true, text, sizeof(text));
    CHECK(strstr(text, "very-secret") == NULL);
    CHECK(strstr(text, "default_users.x.password = (secret)") != NULL);
    CHECK(lv_config_explain(config, "default_pass", text, sizeof(text)) != 0);
    CHECK(strstr(text, "very-secret") == NULL);
    done();
}

LV_TEST(every_error_is_told)
{
    (void)wrong("a = b\nheartbeat = x\nc\n");
    CHECK_STR(lv_config_note(config, 0)->text, "f:1:1: unknown key 'a'");
    CHECK_STR(lv_config_note(config, 1)->text,
              "f:2:13: expected a number, from 0 to 65535, not 'x'");
    CHECK_STR(lv_config_note(config, 2)->text, "f:3:2: expected '=' after the key");
    CHECK(lv_config_note(config, 3) == NULL);
    char many[4096] = "";
    for (int i = 0; i < 1000; i++)
        memcpy(many + 4 * i, "a=b\n", 5);
    (void)wrong(many);
    CHECK(lv_config_note(config, 255) != NULL);
    CHECK(lv_config_note(config, 256) == NULL);
    done();
}

LV_TEST(later_lines_win)
{
    good("heartbeat = 5\nheartbeat = 6");
    CHECK_EQ(s->heartbeat, 6);
    done();
}

LV_TEST(the_command_line_wins_over_the_environment)
{
    load(ARGV("--heartbeat", "7", "--log.console.level=error"),
         ENVP(NO_FILE, "LEVERET_HEARTBEAT=6", "LEVERET_CHANNEL_MAX=9", "RABBITMQ_DEFAULT_USER=ann",
              "LEVERET_DEFAULT_PASS=x"));
    CHECK_EQ(s->heartbeat, 7);
    CHECK_EQ(s->channel_max, 9);
    CHECK_STR(s->default_user, "ann");
    CHECK_STR(s->log_console_level, "error");
    done();
}

LV_TEST(a_list_replaces_that_of_the_layer_below)
{
    load(ARGV("--listeners.tcp.1", "1", "--listeners.tcp.2", "2"),
         ENVP(NO_FILE, "LEVERET_AMQP_LISTEN=127.0.0.1:8,127.0.0.1:9"));
    CHECK_STR(s->amqp_listen, "*:1,*:2");
    load(ARGV("--amqp-listen", "127.0.0.1:0"), ENVP(NO_FILE, "RABBITMQ_NODE_PORT=7"));
    CHECK_STR(s->amqp_listen, "127.0.0.1:0");
    load(ARGV("--tls-versions", "tlsv1.3", "--loopback_users", "ann,bob"), ENVP(NO_FILE));
    CHECK_STR(s->tls_versions, "1=tlsv1.3");
    CHECK_STR(s->loopback_users, "ann=true\nbob=true");
    done();
}

LV_TEST(variables_of_rabbitmq)
{
    load(ARGV("--config", "none"),
         ENVP("RABBITMQ_NODE_PORT=5673", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_LOGS=-",
              "RABBITMQ_LOG=debug,+color,connection=error", "RABBITMQ_MNESIA_BASE=/data",
              "RABBITMQ_USE_LONGNAME=true", "RABBITMQ_STRANGE=1", "RABBITMQ_VERSION=4", "OTHER=1"));
    CHECK_STR(s->amqp_listen, "127.0.0.1:5673");
    CHECK_STR(s->log_console, "true");
    CHECK_STR(s->log_console_stream, "stdout");
    CHECK_STR(s->log_file, "false");
    CHECK_STR(s->log_level, "debug");
    CHECK_STR(s->log_levels, "connection=error");
    CHECK_STR(s->data_dir, "/data/leveret");
    CHECK_STR(
        lv_config_note(config, 0)->text,
        "environment variable RABBITMQ_USE_LONGNAME: not used: there is no Erlang distribution");
    CHECK_STR(lv_config_note(config, 1)->text, "environment variable RABBITMQ_STRANGE is not used");
    CHECK(lv_config_note(config, 2) == NULL);
    CHECK_STR(wrong_arguments(ARGV("--config", "none"), ENVP("RABBITMQ_NODE_PORT=x")),
              "environment variable RABBITMQ_NODE_PORT: expected a port, ADDRESS:PORT or "
              "unix:/PATH, not '*:x'");
    CHECK_STR(
        wrong_arguments(ARGV("--config", "none"), ENVP("LEVERET_HEARTBEAT=x")),
        "environment variable LEVERET_HEARTBEAT: expected a number, from 0 to 65535, not 'x'");
    done();
}

LV_TEST(a_variable_that_no_option_has_is_told)
{
    load(ARGV("--config", "none"),
         ENVP("LEVERET_HARTBEAT=5", "LEVERETD=/x", "LEVERET_CONFIG_FILE=none"));
    CHECK_STR(
        lv_config_note(config, 0)->text,
        "environment variable LEVERET_HARTBEAT is not used (did you mean that of --heartbeat?)");
    CHECK(lv_config_note(config, 1) == NULL);
    done();
}

static char folder[128];

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *out = path[next++ % 4];

    (void)snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
    return out;
}

static void write_file(const char *name, const char *text)
{
    CHECK_EQ(lv_os_replace_file(in_folder(name), lv_bytes_str(text)), LV_OK);
}

/* What is looked for when no file is named: the first that is there, or whose conf.d is. */
LV_TEST(files_are_found)
{
    const char *temp = getenv("TMPDIR");
    (void)snprintf(folder, sizeof(folder), "%s/leveret-config-XXXXXX", temp != NULL ? temp : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK_EQ(lv_os_mkdir(in_folder("a")), LV_OK);
    CHECK_EQ(lv_os_mkdir(in_folder("b")), LV_OK);
    write_file("b/x.conf", "heartbeat = 7\n");
    const char *const etc[] = { in_folder("a/x.conf"), in_folder("b/x.conf"), NULL };
    struct lv_config_sources from = { 0, NULL, NULL, etc };

    done();
    CHECK_EQ(lv_config_load(&from, &config), LV_OK);
    CHECK_EQ(lv_config_settings(config)->heartbeat, 7);
    CHECK_STR(lv_config_file(config, 0), in_folder("b/x.conf"));
    CHECK(lv_config_file(config, 1) == NULL);
    CHECK_EQ(lv_os_mkdir(in_folder("a/conf.d")), LV_OK);
    write_file("a/conf.d/1.conf", "heartbeat = 8\n");
    done();
    CHECK_EQ(lv_config_load(&from, &config), LV_OK);
    CHECK_EQ(lv_config_settings(config)->heartbeat, 8);
    CHECK(lv_config_file(config, 1) == NULL);
    done();
    static const char *const left[] = { "a/conf.d/1.conf", "a/conf.d", "a", "b/x.conf", "b", "" };
    for (size_t i = 0; i < LV_ARRAY_LEN(left); i++)
        CHECK_EQ(remove(in_folder(left[i])), 0);
}

LV_TEST(wrong_arguments_are_usage_errors)
{
    CHECK_STR(wrong_arguments(ARGV("--chanel-max", "5"), NULL),
              "unknown option '--chanel-max' (did you mean '--channel-max'?)");
    CHECK(lv_config_note(config, 0)->is_usage);
    CHECK_STR(wrong_arguments(ARGV("--heartbeat"), NULL),
              "option '--heartbeat': needs a value (SECONDS)");
    CHECK_STR(wrong_arguments(ARGV("--heartbeat=x"), NULL),
              "option '--heartbeat': expected a number, from 0 to 65535, not 'x'");
    CHECK_STR(wrong_arguments(ARGV("serve"), NULL), "unexpected argument 'serve'");
    CHECK(lv_config_note(config, 0)->is_usage);
    CHECK_STR(wrong_arguments(ARGV("--config", "/nowhere/x.conf"), NULL),
              "cannot read /nowhere/x.conf: No such file or directory");
    CHECK(!lv_config_note(config, 0)->is_usage);
    done();
}

LV_TEST(variables_in_values)
{
    CHECK_STR(wrong("default_pass = a$(NOT_SET_AT_ALL)b"),
              "1:17: environment variable 'NOT_SET_AT_ALL' is not set");
    CHECK_STR(wrong("default_pass = a$(NOT"), "1:17: '$(' begins a variable that does not end");
    good("default_pass = a$b$");
    CHECK_STR(s->default_pass, "a$b$");
    done();
}

/* Cuts "   # f:12" off every line. */
static void drop_origins(char *text)
{
    char *to = text;

    while (*text != '\0') {
        if (strncmp(text, "   # f:", 7) == 0)
            text += strcspn(text, "\n");
        else
            *to++ = *text++;
    }
    *to = '\0';
}

/* What `leveret config list` prints can be read back and means the same. */
LV_TEST(a_list_is_a_file)
{
    static char first[65536], second[65536];

    good("listeners.tcp.1 = 127.0.0.1:1\nlisteners.tcp.2 = 2\ndisk_free_limit.relative = 1.5\n"
         "default_vhost = 'a # b'\ndefault_users.a\\.b.tags = x\nauth_ldap.x.y = "
         "z\nloopback_users = ann\n"
         "log.file.rotation.date = $D0\nmax_connections = infinity\nproduct.name = ''");
    CHECK(lv_config_list(config, true, first, sizeof(first)) < sizeof(first));
    good(first);
    CHECK(lv_config_list(config, true, second, sizeof(second)) < sizeof(second));
    drop_origins(first);
    drop_origins(second);
    CHECK(strlen(first) > 100);
    CHECK_STR(first, second);
    CHECK(lv_config_list(config, false, NULL, 0) > strlen(second));
    done();
}

LV_TEST(keys_are_explained)
{
    char text[4096];

    CHECK(lv_config_explain(NULL, "vm_memory_high_watermark.absolute", text, sizeof(text)) != 0);
    CHECK(strstr(text, "--memory-high-watermark") != NULL);
    CHECK(strstr(text, "reload") != NULL);
    CHECK(lv_config_explain(NULL, "--heartbeat", text, sizeof(text)) != 0);
    CHECK(lv_config_explain(NULL, "ssl_options.crl_check", text, sizeof(text)) != 0);
    CHECK(strstr(text, "none yet") != NULL);
    CHECK(lv_config_explain(NULL, "net_ticktime", text, sizeof(text)) != 0);
    CHECK(strstr(text, "Erlang") != NULL);
    CHECK_EQ(lv_config_explain(NULL, "hartbeat", text, sizeof(text)), 0);
    CHECK_STR(text, "heartbeat");
    CHECK_EQ(lv_config_explain(NULL, "entirely.different", text, sizeof(text)), 0);
    CHECK_STR(text, "");
}

LV_TEST(a_failing_allocation_is_reported)
{
    for (uint64_t n = 1;; n++) {
        done();
        lv_mem_fail_at(n);
        enum lv_err err = lv_config_check_text(
            "f",
            LV_BYTES_LIT(
                "listeners.tcp.1 = 1\nlisteners.tcp.2 = 2\nx = y\ndefault_users.a.tags = b"),
            &config);
        lv_mem_fail_at(0);
        if (err != LV_ENOMEM) {
            CHECK_EQ(err, LV_EINVAL);
            CHECK(n > 5);
            break;
        }
        CHECK(config == NULL);
    }
    done();
}

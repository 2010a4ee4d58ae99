/* Health checks that one route of the API does not answer, and waiting for a broker. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "node.h"
#include "run.h"

#define CONNECT_TIMEOUT_MS 5000
#define ASK_EVERY_MS 100
#define STARTUP_TIMEOUT_S 300
#define WAIT_TIMEOUT_S 10

/* ---- alarms ---- */

static void put_alarms(FILE *out, const json_t *alarms)
{
    json_t *alarm;
    size_t i;

    json_array_foreach(alarms, i, alarm) fprintf(out, " * %s\n", json_string_value(alarm));
}

/* The alarms of this node or of all; NULL and c->fault. */
static json_t *get_alarms(struct lv_cli *c, bool is_local)
{
    json_t *nodes = is_local ? lv_node_get(c) : lv_cli_get(c, "/nodes", NULL);

    if (nodes == NULL)
        return NULL;
    if (is_local)
        nodes = json_pack("[o]", nodes);
    json_t *alarms = lv_node_alarms(nodes);
    json_decref(nodes);
    return alarms;
}

static const char *no_alarms(bool is_local)
{
    return is_local ? "Node %s reported no local alarms"
                    : "Node %s reported no alarms, local or clusterwide";
}

/* {"result":..., "local":[...]} */
static void put_alarms_json(struct lv_cli *c, const json_t *alarms)
{
    bool is_good = json_array_size(alarms) == 0;
    json_t *all = json_pack("{s: s}", "result", is_good ? "ok" : "error");

    if (!is_good)
        json_object_set(all, "alarms", (json_t *)alarms);
    json_dumpf(all, c->out, JSON_COMPACT);
    fputc('\n', c->out);
    json_decref(all);
}

static int report_alarms(struct lv_cli *c, bool is_local, bool is_check)
{
    json_t *alarms = get_alarms(c, is_local);
    const char *node = alarms != NULL ? lv_cli_node(c) : NULL;
    char text[512];

    if (node == NULL)
        return c->fault.code;
    size_t count = json_array_size(alarms);
    snprintf(text, sizeof(text),
             count == 0 ? no_alarms(is_local) : "Node %s reported alarms:", node);
    if (lv_cli_is_json(c))
        put_alarms_json(c, alarms);
    else if (count == 0 && !(is_check && c->is_silent))
        fprintf(c->out, "%s\n", text);
    FILE *out = is_check ? stderr : c->out;
    if (count > 0 && !lv_cli_is_json(c)) {
        fprintf(out, is_check ? "Error:\n%s\n\n" : "%s\n\n", text);
        put_alarms(out, alarms);
    }
    json_decref(alarms);
    return is_check && count > 0 ? EX_UNAVAILABLE : EX_OK;
}

int lv_run_alarms(struct lv_cli *c)
{
    return report_alarms(c, false, false);
}

int lv_run_check_alarms(struct lv_cli *c)
{
    return report_alarms(c, false, true);
}

int lv_run_check_local_alarms(struct lv_cli *c)
{
    return report_alarms(c, true, true);
}

int lv_run_check_deprecated(struct lv_cli *c)
{
    json_t *used = lv_cli_get(c, "/deprecated-features/used", NULL), *feature;
    size_t i;

    if (used == NULL)
        return c->fault.code;
    size_t count = json_array_size(used);
    if (count > 0)
        fputs("Error:\nCluster reported the following deprecated features in use:\n\n", stderr);
    json_array_foreach(used, i, feature)
        fprintf(stderr, " * %s\n", json_string_value(json_object_get(feature, "name")));
    json_decref(used);
    return count > 0 ? EX_UNAVAILABLE
                     : lv_cli_say(c, "Cluster reported no deprecated features in use");
}

/* ---- ports ---- */

static bool is_done_in_time(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t len = sizeof(error);

    return poll(&p, 1, CONNECT_TIMEOUT_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

static bool can_connect(const char *host, const char *port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    bool is_good = false;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        return false;
    for (struct addrinfo *a = found; a != NULL && !is_good; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        is_good = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ||
                  (errno == EINPROGRESS && is_done_in_time(fd));
        close(fd);
    }
    freeaddrinfo(found);
    return is_good;
}

/* Where a listener is reached: a wildcard on the machine that the API is on. */
static void host_of(struct lv_cli *c, const json_t *listener, char *host, size_t size)
{
    const char *address = json_string_value(json_object_get(listener, "interface"));
    const struct lv_endpoint *e = lv_api_endpoint(c->api);
    bool is_any = strcmp(address, "[::]") == 0 || strcmp(address, "0.0.0.0") == 0;

    if (lv_cli_has(c, "address"))
        address = lv_cli_var(c, "address");
    else if (is_any && e->socket != NULL)
        address = "127.0.0.1";
    else if (is_any)
        address = strstr(e->url, "://") + 3;
    if (address[0] == '[')
        snprintf(host, size, "%.*s", (int)strcspn(address + 1, "]"), address + 1);
    else
        snprintf(host, size, "%.*s", (int)strcspn(address, ":"), address);
}

static int by_number(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

#define PORTS_MAX 256

static char *joined(long *ports, size_t count)
{
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));

    qsort(ports, count, sizeof(*ports), by_number);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%ld", i > 0 ? ", " : "", ports[i]);
    fclose(out);
    return lv_need(text);
}

int lv_run_check_port_connectivity(struct lv_cli *c)
{
    const json_t *overview = lv_cli_overview(c);
    const char *node = overview != NULL ? lv_cli_node(c) : NULL;
    long good[PORTS_MAX], bad[PORTS_MAX];
    size_t good_count = 0, bad_count = 0, i;
    json_t *listener;

    if (node == NULL)
        return c->fault.code;
    json_t *listeners = lv_node_listeners(overview);
    json_array_foreach(listeners, i, listener)
    {
        char host[256], port[24];
        long number = (long)json_integer_value(json_object_get(listener, "port"));
        if (number <= 0 || good_count == PORTS_MAX || bad_count == PORTS_MAX)
            continue;
        host_of(c, listener, host, sizeof(host));
        snprintf(port, sizeof(port), "%ld", number);
        if (can_connect(host, port))
            good[good_count++] = number;
        else
            bad[bad_count++] = number;
    }
    json_decref(listeners);
    char *text = bad_count > 0 ? joined(bad, bad_count) : joined(good, good_count);
    int code = EX_OK;
    if (bad_count > 0)
        code = lv_cli_fail(c, EX_UNAVAILABLE,
                           "Connection to ports of the following listeners on node %s failed: %s",
                           node, text);
    else if (lv_cli_is_json(c))
        lv_cli_ok(c);
    else if (!c->is_silent)
        lv_cli_say(c, "Successfully connected to ports %s on node %s.", text, node);
    free(text);
    return code;
}

/* ---- waiting ---- */

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_a_moment(void)
{
    struct timespec t = { 0, ASK_EVERY_MS * 1000000L };

    nanosleep(&t, NULL);
}

/* When to give up: --timeout, or so many seconds from now. false: c->fault. */
static bool deadline(struct lv_cli *c, long by_default_s, long *until_ms)
{
    long timeout_s;

    if (!lv_cli_number(c, "timeout", by_default_s, &timeout_s))
        return false;
    *until_ms = now_ms() + timeout_s * 1000;
    return true;
}

static int timed_out(struct lv_cli *c, long by_default_s)
{
    long timeout_s = by_default_s;

    if (lv_cli_number(c, "timeout", by_default_s, &timeout_s))
        lv_cli_fail(c, EX_TEMPFAIL, "!Error: operation %s timed out. Timeout value used: %ld",
                    c->command->name, timeout_s * 1000);
    return EX_TEMPFAIL;
}

/* Asks until the broker answers. Not there yet is no error; a refused login is. */
static int await(struct lv_cli *c, long until_ms, long by_default_s)
{
    while (lv_cli_overview(c) == NULL) {
        bool is_soon = c->fault.code == EX_UNAVAILABLE || c->fault.code == EX_TEMPFAIL;
        if (!is_soon)
            return c->fault.code;
        if (now_ms() >= until_ms)
            return timed_out(c, by_default_s);
        /* Another place may be the right one by then. */
        lv_api_close(c->api);
        c->api = NULL;
        pause_a_moment();
    }
    c->fault = (struct lv_fault){ 0 };
    return EX_OK;
}

int lv_run_await_startup(struct lv_cli *c)
{
    long until_ms;

    if (!deadline(c, STARTUP_TIMEOUT_S, &until_ms))
        return c->fault.code;
    int code = await(c, until_ms, STARTUP_TIMEOUT_S);
    return code == EX_OK ? lv_cli_ok(c) : code;
}

int lv_run_await_online_nodes(struct lv_cli *c)
{
    long until_ms, wanted;

    if (!lv_cli_number(c, "count", 1, &wanted) || !deadline(c, STARTUP_TIMEOUT_S, &until_ms))
        return c->fault.code;
    for (;;) {
        json_t *nodes = lv_cli_get(c, "/nodes", NULL), *node;
        size_t i;
        long running = 0;
        if (nodes == NULL)
            return c->fault.code;
        json_array_foreach(nodes, i, node) running +=
            json_is_true(json_object_get(node, "running"));
        json_decref(nodes);
        if (running >= wanted)
            return lv_cli_ok(c);
        if (now_ms() >= until_ms)
            return timed_out(c, STARTUP_TIMEOUT_S);
        pause_a_moment();
    }
}

/* The process that a file names; 0: not (yet) there. */
static long pid_in(const char *path)
{
    char line[64];
    FILE *file = fopen(path, "re");
    long pid = 0;

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) != NULL)
        pid = strtol(line, NULL, 10);
    fclose(file);
    return pid;
}

static bool is_alive(long pid)
{
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

int lv_run_wait(struct lv_cli *c)
{
    const char *path = lv_cli_var(c, "pidfile");
    long pid, until_ms;

    if ((path == NULL) == !lv_cli_has(c, "pid"))
        return lv_cli_fail(c, EX_USAGE, "a pid file, or --pid");
    if (!lv_cli_number(c, "pid", 0, &pid) || !deadline(c, WAIT_TIMEOUT_S, &until_ms))
        return c->fault.code;
    if (path != NULL && lv_cli_has_banner(c))
        fprintf(c->out, "Waiting for pid file '%s' to appear\n", path);
    while (path != NULL && (pid = pid_in(path)) <= 0) {
        if (now_ms() >= until_ms)
            return timed_out(c, WAIT_TIMEOUT_S);
        pause_a_moment();
    }
    if (lv_cli_has_banner(c)) {
        fprintf(c->out, "pid is %ld\n", pid);
        fflush(c->out);
    }
    if (!is_alive(pid))
        return lv_cli_fail(c, EX_SOFTWARE, "process %ld is not running", pid);
    int code = await(c, until_ms, WAIT_TIMEOUT_S);
    if (code != EX_OK)
        return code;
    const char *node = lv_cli_node(c);
    if (node == NULL || !lv_cli_has_banner(c))
        return c->fault.code;
    fprintf(c->out,
            "Waiting for applications 'rabbit_and_plugins' to start on node '%s'\n"
            "Applications 'rabbit_and_plugins' are running on node '%s'\n",
            node, node);
    return EX_OK;
}

/* The room's life: a thread with one event loop, its doors, and what comes back to its desk. */
#include "manage/manage.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "manage/manage_priv.h"
#include "manage/rates.h"
#include "os/log.h"
#include "os/os.h"

static const struct {
    const char *name, *protocol;
    bool is_tls;
} kinds[LV_DOOR_KINDS] = {
    [LV_DOOR_HTTP] = { "http", "http", false },
    [LV_DOOR_HTTPS] = { "https", "https", true },
    [LV_DOOR_METRICS] = { "metrics", "http/prometheus", false },
    [LV_DOOR_METRICS_TLS] = { "metrics_tls", "https/prometheus", true },
    [LV_DOOR_SOCKET] = { "socket", NULL, false },
};

const char *lv_door_name(enum lv_door_kind kind)
{
    return kinds[kind].name;
}

const char *lv_door_protocol(enum lv_door_kind kind)
{
    return kinds[kind].protocol;
}

/* ---- turns ---- */

static void wake(void *ctx)
{
    lv_loop_call(((struct lv_manage *)ctx)->loop);
}

static void take_errands(struct lv_manage *m)
{
    struct lv_errand *e = lv_desk_take(&m->desk), *next;

    for (; e != NULL; e = next) {
        next = e->next;
        e->done(e);
    }
}

static void turn_end(struct lv_loop *loop)
{
    struct lv_manage *m = lv_loop_owner(loop);

    lv_http_logins_turn(m);
    take_errands(m);
}

/* ---- doors ---- */

static enum lv_err open_door(struct lv_manage *m, enum lv_door_kind kind, const char *address)
{
    struct lv_door *door = &m->doors[m->door_count];
    char one[LV_ADDR_MAX + 64];

    if (m->door_count == LV_MANAGE_DOORS_MAX)
        return LV_EFULL;
    door->room = m;
    door->kind = kind;
    (void)snprintf(one, sizeof(one), "%s%s", address[0] == '*' ? "[::]" : "",
                   address + (address[0] == '*' ? 1 : 0));
    enum lv_err err = lv_listen(m->loop, one, lv_client_accept, door, &door->listener);
    if (err == LV_EIO && address[0] == '*' && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        (void)snprintf(one, sizeof(one), "0.0.0.0%s", address + 1);
        err = lv_listen(m->loop, one, lv_client_accept, door, &door->listener);
    }
    if (err != LV_OK) {
        (void)snprintf(m->start_error, sizeof(m->start_error), "%.*s: %s", LV_ADDR_MAX - 1, address,
                       err == LV_EIO ? strerror(errno) : lv_err_text(err));
        return err;
    }
    lv_listener_address(door->listener, door->address);
    m->door_count++;
    if (kinds[kind].is_tls)
        lv_log(LISTENING_TLS, lv_log_str(kinds[kind].name), lv_log_str(door->address));
    else
        lv_log(LISTENING, lv_log_str(kinds[kind].name), lv_log_str(door->address));
    return LV_OK;
}

static enum lv_err open_all(struct lv_manage *m, enum lv_door_kind kind, const char *at)
{
    char address[LV_ADDR_MAX];
    enum lv_err err = LV_OK;

    while (err == LV_OK && lv_listen_next(&at, address, sizeof(address)))
        err = open_door(m, kind, address);
    return err;
}

/* In the data directory, for its owner. Without it the broker runs all the same, and the tools log in. */
static void open_socket(struct lv_manage *m)
{
    char dir[PATH_MAX], address[PATH_MAX + 64];

    if (realpath(m->settings->data_dir, dir) == NULL)
        (void)snprintf(m->start_error, sizeof(m->start_error), "%s", strerror(errno));
    else if (snprintf(address, sizeof(address), "unix:%s/leveret.sock?mode=0600", dir) >= LV_ADDR_MAX)
        (void)snprintf(m->start_error, sizeof(m->start_error), "its path is too long");
    else if (open_door(m, LV_DOOR_SOCKET, address) == LV_OK)
        return;
    lv_log(HTTP_NO_SOCKET, lv_log_str(m->settings->data_dir), lv_log_str(m->start_error));
}

static enum lv_err open_doors(struct lv_manage *m)
{
    const struct lv_settings *s = m->settings;
    char text[LV_ADDR_MAX + 64];
    enum lv_err err;

    err = open_all(m, LV_DOOR_HTTP, s->http_listen);
    if (err == LV_OK && m->tls != NULL) {
        (void)snprintf(text, sizeof(text), "%s:%u",
                       s->management_tls_ip[0] != '\0' ? s->management_tls_ip : "*",
                       s->management_tls_port);
        err = open_all(m, LV_DOOR_HTTPS, text);
    }
    if (err == LV_OK)
        err = open_all(m, LV_DOOR_METRICS, s->metrics_listen);
    if (err == LV_OK && m->metrics_tls != NULL)
        err = open_all(m, LV_DOOR_METRICS_TLS, m->metrics_tls_at);
    if (err != LV_OK)
        return err;
    open_socket(m);
    return LV_OK;
}

/* ---- the thread ---- */

static enum lv_err loop_start(struct lv_loop *loop)
{
    struct lv_manage *m = lv_loop_owner(loop);

    m->loop = loop;
    lv_log_set_thread("manage");
    m->start_err = lv_rates_start(m, &m->rates);
    if (m->start_err == LV_OK)
        m->start_err = open_doors(m);
    atomic_store(&m->is_up, m->start_err == LV_OK);
    lv_gate_raise(&m->started);
    return m->start_err;
}

static void loop_stop(struct lv_loop *loop)
{
    struct lv_manage *m = lv_loop_owner(loop);

    for (unsigned i = 0; i < m->door_count; i++)
        lv_listener_close(m->doors[i].listener);
    lv_http_logins_drop(m);
    lv_rates_stop(m->rates);
}

static void thread_main(void *ctx)
{
    struct lv_manage *m = ctx;

    if (lv_loops_run(m->loops) != LV_OK && !atomic_load(&m->is_up)) {
        if (m->start_err == LV_OK)
            m->start_err = LV_EIO;
        lv_gate_raise(&m->started);
    }
}

/* ---- from outside ---- */

enum lv_err lv_manage_new(const struct lv_manage_config *config, struct lv_manage **out)
{
    struct lv_manage *m = lv_mem_zalloc(sizeof(*m), LV_TAG_MANAGE);
    struct lv_loops_config loops = {
        .count = 1,
        .name = "manage",
        .owner = m,
        .read_block_bytes = 65536,
        .out_high_bytes = LV_HTTP_OUT_HIGH_BYTES,
        .start = loop_start,
        .stop = loop_stop,
        .turn_end = turn_end,
    };

    *out = NULL;
    if (m == NULL)
        return LV_ENOMEM;
    m->broker = config->broker;
    m->config = config->config;
    m->settings = lv_config_settings(config->config);
    m->tls = config->tls;
    m->metrics_tls = config->metrics_tls;
    (void)snprintf(m->metrics_tls_at, sizeof(m->metrics_tls_at), "%s",
                   config->metrics_tls_at != NULL ? config->metrics_tls_at : "");
    m->hooks = config->hooks;
    m->desk.wake = wake;
    m->desk.ctx = m;
    m->started_us = lv_clock_wall_us();
    lv_list_init(&m->clients);
    lv_list_init(&m->waiting);
    lv_list_init(&m->imports);
    (void)snprintf(m->node, sizeof(m->node), "%s", lv_broker_node_name(m->broker));
    lv_access_log_init(&m->access_log);
    lv_gate_init(&m->started);
    enum lv_err err = lv_worker_start(&m->worker, "manage-worker");
    if (err == LV_OK)
        err = lv_loops_new(&loops, &m->loops);
    if (err != LV_OK) {
        lv_manage_free(m);
        return err;
    }
    *out = m;
    return LV_OK;
}

void lv_manage_add_listener(struct lv_manage *m, const char *protocol, const char *address)
{
    if (m->shown_count == LV_MANAGE_LISTENERS_MAX)
        return;
    struct lv_shown_listener *shown = &m->shown[m->shown_count++];
    shown->protocol = protocol;
    (void)snprintf(shown->address, sizeof(shown->address), "%s", address);
}

enum lv_err lv_manage_start(struct lv_manage *m, char *error, size_t cap)
{
    if (lv_thread_start(&m->thread, "manage", thread_main, m) != LV_OK) {
        (void)snprintf(error, cap, "%s", strerror(errno));
        return LV_EIO;
    }
    lv_gate_wait(&m->started, 0);
    if (m->start_err == LV_OK)
        return LV_OK;
    (void)snprintf(error, cap, "%s",
                   m->start_error[0] != '\0' ? m->start_error : lv_err_text(m->start_err));
    lv_thread_join(&m->thread);
    return m->start_err;
}

bool lv_manage_address(const struct lv_manage *m, enum lv_door_kind kind, unsigned i,
                       char out[LV_ADDR_MAX])
{
    for (unsigned d = 0; d < m->door_count; d++) {
        if (m->doors[d].kind != kind || i-- != 0)
            continue;
        memcpy(out, m->doors[d].address, LV_ADDR_MAX);
        return true;
    }
    return false;
}

void lv_manage_stop(struct lv_manage *m)
{
    if (m == NULL)
        return;
    if (atomic_load(&m->is_up)) {
        lv_loops_stop(m->loops);
        lv_thread_join(&m->thread);
        atomic_store(&m->is_up, false);
    }
    lv_worker_stop(&m->worker);
}

void lv_manage_free(struct lv_manage *m)
{
    if (m == NULL)
        return;
    lv_http_logins_turn(m);
    take_errands(m);
    LV_ASSERT(m->away == 0);
    lv_rates_free(m->rates);
    if (m->loops != NULL)
        lv_loops_free(m->loops);
    lv_access_log_fini(&m->access_log);
    lv_gate_fini(&m->started);
    lv_mem_free(m, LV_TAG_MANAGE);
}

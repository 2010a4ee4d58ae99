/* leveret top: rates, queues, connections, memory and alarms of a broker, again and again, on a terminal. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "node.h"
#include "run.h"
#include "value.h"

#define EVERY_DEFAULT_S 2
#define ROWS_WITHOUT_TERMINAL 24
#define COLUMNS_WITHOUT_TERMINAL 100
#define FILTER_MAX 64
#define FIXED_LINES 9 /* what stands above the queues, and the line of keys */

#define SCREEN_ON "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define INVERSE "\033[7m"
#define BOLD "\033[1m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

/* By what queues are sorted, and the key that asks for it. */
static const struct sort {
    char key;
    const char *title, *path;
} sorts[] = {
    { 'm', "MESSAGES", "messages" },
    { 'r', "READY", "messages_ready" },
    { 'u', "UNACKED", "messages_unacknowledged" },
    { 'c', "CONSUMERS", "consumers" },
    { 'p', "PUB/S", "message_stats.publish_details.rate" },
    { 'd', "DELIV/S", "message_stats.deliver_get_details.rate" },
    { 'a', "ACK/S", "message_stats.ack_details.rate" },
    { 'y', "MEMORY", "memory" },
};

#define SORTS (sizeof(sorts) / sizeof(sorts[0]))

struct view {
    struct lv_cli *c;
    json_t *overview, *nodes, *queues;
    size_t sort, first; /* of the queues shown */
    char filter[FILTER_MAX];
    bool is_reading_filter, is_paused, is_over;
    unsigned rows, columns;
    bool is_terminal;
};

/* ---- the terminal: whatever happens, it is left as it was ---- */

static struct termios before;
static volatile sig_atomic_t is_raw, was_resized, was_ended;

static void leave(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    ssize_t ignored = write(STDOUT_FILENO, SCREEN_OFF, sizeof(SCREEN_OFF) - 1);
    (void)ignored;
}

static void on_signal(int number)
{
    if (number == SIGWINCH)
        was_resized = 1;
    else
        was_ended = 1;
}

/* A defect of ours must not cost the user's terminal either. */
static void on_crash(int number)
{
    leave();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_stop(int number)
{
    leave();
    signal(number, SIG_DFL);
    raise(number);
}

static bool enter(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH };
    static const int crashes[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE };

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        sigaction(ends[i], &(struct sigaction){ .sa_handler = on_signal }, NULL);
    for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
        sigaction(crashes[i], &(struct sigaction){ .sa_handler = on_crash }, NULL);
    sigaction(SIGTSTP, &(struct sigaction){ .sa_handler = on_stop }, NULL);
    atexit(leave);
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
        return false;
    is_raw = 1;
    fputs(SCREEN_ON, stdout);
    return true;
}

static void measure(struct view *v)
{
    struct winsize size;

    v->rows = ROWS_WITHOUT_TERMINAL;
    v->columns = COLUMNS_WITHOUT_TERMINAL;
    if (v->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
        v->rows = size.ws_row;
        v->columns = size.ws_col;
    }
}

/* ---- what is asked ---- */

static bool refresh(struct view *v)
{
    static const char columns[] = "?columns=vhost,name,state,messages,messages_ready,messages_"
                                  "unacknowledged,consumers,memory,"
                                  "message_stats.publish_details.rate,message_stats.deliver_get_"
                                  "details.rate,message_stats.ack_details.rate";
    char path[512];
    bool has_vhost = lv_cli_has(v->c, "vhost") && strcmp(lv_cli_var(v->c, "vhost"), "/") != 0;

    json_decref(v->overview);
    json_decref(v->nodes);
    json_decref(v->queues);
    v->nodes = v->queues = NULL;
    snprintf(path, sizeof(path), "/queues%s%s", has_vhost ? "/{vhost}" : "", columns);
    v->overview = lv_cli_get(v->c, "/overview", NULL);
    if (v->overview != NULL)
        v->nodes = lv_cli_get(v->c, "/nodes", NULL);
    if (v->nodes != NULL)
        v->queues = lv_cli_get(v->c, path, NULL);
    return v->queues != NULL;
}

static double at(const json_t *root, const char *path)
{
    return json_number_value(lv_cli_value_at(root, path, strlen(path)));
}

static const char *text(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));

    return value != NULL ? value : "";
}

/* ---- drawing ---- */

/* "1.5M" in a few places. */
static const char *brief(double n, char *out, size_t size)
{
    static const char suffixes[] = " kMGTP";
    size_t i = 0;

    for (; n >= 10000 && suffixes[i + 1] != '\0'; i++)
        n /= 1000;
    if (i == 0)
        snprintf(out, size, n == (double)(long)n || n >= 100 ? "%.0f" : "%.1f", n);
    else
        snprintf(out, size, n < 100 ? "%.1f%c" : "%.0f%c", n, suffixes[i]);
    return out;
}

static void end_line(struct view *v, FILE *out)
{
    fputs(v->is_terminal ? CLEAR_LINE "\n" : "\n", out);
}

static void put_rates(struct view *v, FILE *out)
{
    static const char *const rates[][2] = { { "publish", "message_stats.publish_details.rate" },
                                            { "confirm", "message_stats.confirm_details.rate" },
                                            { "deliver", "message_stats.deliver_get_details.rate" },
                                            { "ack", "message_stats.ack_details.rate" },
                                            { "redeliver",
                                              "message_stats.redeliver_details.rate" } };
    char number[32];

    fputs("rates    ", out);
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        fprintf(out, "  %s %s/s", rates[i][0],
                brief(at(v->overview, rates[i][1]), number, sizeof(number)));
    end_line(v, out);
}

static void put_totals(struct view *v, FILE *out)
{
    static const char *const messages[][2] = { { "total", "queue_totals.messages" },
                                               { "ready", "queue_totals.messages_ready" },
                                               { "unacked",
                                                 "queue_totals.messages_unacknowledged" } };
    static const char *const objects[] = { "connections", "channels", "consumers", "queues",
                                           "exchanges" };
    char number[32], path[64];

    fputs("messages ", out);
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        fprintf(out, "  %s %s", messages[i][0],
                brief(at(v->overview, messages[i][1]), number, sizeof(number)));
    end_line(v, out);
    fputs("objects  ", out);
    for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        snprintf(path, sizeof(path), "object_totals.%s", objects[i]);
        fprintf(out, "  %s %s", objects[i], brief(at(v->overview, path), number, sizeof(number)));
    }
    end_line(v, out);
}

static void put_node(struct view *v, FILE *out)
{
    const json_t *node = json_array_get(v->nodes, 0);
    char used[32], limit[32], free_disk[32];
    json_t *alarms = lv_node_alarms(v->nodes), *alarm;
    size_t i;

    fprintf(out, "node       memory %s of %s  disk free %s  files %.0f of %.0f",
            brief(at(node, "mem_used"), used, sizeof(used)),
            brief(at(node, "mem_limit"), limit, sizeof(limit)),
            brief(at(node, "disk_free"), free_disk, sizeof(free_disk)), at(node, "fd_used"),
            at(node, "fd_total"));
    end_line(v, out);
    fputs("alarms     ", out);
    if (json_array_size(alarms) == 0)
        fputs("none", out);
    json_array_foreach(alarms, i, alarm)
        fprintf(out, "%s%s%s%s", i > 0 ? ", " : "", v->is_terminal ? RED BOLD : "",
                json_string_value(alarm), v->is_terminal ? PLAIN : "");
    end_line(v, out);
    json_decref(alarms);
}

static void put_head(struct view *v, FILE *out)
{
    long uptime_s = (long)(at(json_array_get(v->nodes, 0), "uptime") / 1000);

    fprintf(out, "%sleveret top%s  %s  %s %s  up %ld d %02ld:%02ld:%02ld%s",
            v->is_terminal ? BOLD : "", v->is_terminal ? PLAIN : "", text(v->overview, "node"),
            text(v->overview, "product_name"), text(v->overview, "product_version"),
            uptime_s / 86400, uptime_s / 3600 % 24, uptime_s / 60 % 60, uptime_s % 60,
            v->is_paused ? "  (paused)" : "");
    end_line(v, out);
}

/* ---- queues ---- */

static size_t sort_by;

static int by_sort(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    double m = at(x, sorts[sort_by].path), n = at(y, sorts[sort_by].path);

    return m < n ? 1 : m > n ? -1 : strcmp(text(x, "name"), text(y, "name"));
}

/* The queues whose name has the filter in it, sorted; borrowed from v->queues. The caller frees. */
static json_t **chosen(const struct view *v, size_t *count)
{
    json_t **list = lv_need(calloc(json_array_size(v->queues) + 1, sizeof(json_t *))), *queue;
    size_t i;

    *count = 0;
    json_array_foreach(v->queues, i, queue) if (strcasestr(text(queue, "name"), v->filter) != NULL)
        list[(*count)++] = queue;
    sort_by = v->sort;
    qsort(list, *count, sizeof(json_t *), by_sort);
    return list;
}

static void put_queue(struct view *v, FILE *out, const json_t *queue, int name_width)
{
    char number[32];
    char *name = lv_cli_value_text(json_object_get(queue, "name"), LV_CLI_PLAIN);
    int width = 0, bytes = 0;

    for (char *tab = name; (tab = strchr(tab, '\t')) != NULL;)
        *tab = ' ';
    /* Cut between characters. */
    for (; name[bytes] != '\0'; bytes++) {
        bool is_start = ((unsigned char)name[bytes] & 0xc0) != 0x80;
        if (is_start && width == name_width)
            break;
        width += is_start;
    }
    fprintf(out, "%.*s%*s", bytes, name, name_width - width, "");
    for (size_t i = 0; i < SORTS; i++)
        fprintf(out, " %9s", brief(at(queue, sorts[i].path), number, sizeof(number)));
    end_line(v, out);
    free(name);
}

static void put_queues(struct view *v, FILE *out)
{
    size_t count, room = v->rows > FIXED_LINES ? v->rows - FIXED_LINES : 1;
    json_t **list = chosen(v, &count);
    int name_width = v->columns > SORTS * 10 + 12 ? (int)(v->columns - SORTS * 10) : 12;

    if (!v->is_terminal)
        room = count;
    if (v->first >= count)
        v->first = count > 0 ? count - 1 : 0;
    fprintf(out, "%s%-*s", v->is_terminal ? INVERSE : "", name_width, "QUEUE");
    for (size_t i = 0; i < SORTS; i++)
        fprintf(out, " %s%*s", i == v->sort ? ">" : "", i == v->sort ? 8 : 9, sorts[i].title);
    fputs(v->is_terminal ? PLAIN : "", out);
    end_line(v, out);
    for (size_t i = v->first; i < count && i < v->first + room; i++)
        put_queue(v, out, list[i], name_width);
    free(list);
}

static void put_keys(const struct view *v, FILE *out)
{
    if (v->is_reading_filter)
        fprintf(out, "filter: %s_" CLEAR_LINE, v->filter);
    else
        fprintf(
            out,
            "q quit  space pause  / filter%s%s  sort: m r u c p d a y  arrows: scroll" CLEAR_LINE,
            v->filter[0] != '\0' ? " " : "", v->filter);
}

static void draw(struct view *v)
{
    char *frame = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&frame, &size));

    measure(v);
    put_head(v, out);
    put_rates(v, out);
    put_totals(v, out);
    put_node(v, out);
    end_line(v, out);
    put_queues(v, out);
    if (v->is_terminal) {
        fputs(CLEAR_BELOW, out);
        fprintf(out, "\033[%u;1H", v->rows);
        put_keys(v, out);
    }
    fclose(out);
    fprintf(v->c->out, "%s%s", v->is_terminal ? HOME : "", frame);
    fflush(v->c->out);
    free(frame);
}

/* ---- keys ---- */

static void filter_key(struct view *v, char key)
{
    size_t len = strlen(v->filter);

    if (key == '\n' || key == '\r') {
        v->is_reading_filter = false;
    } else if (key == '\033') {
        v->is_reading_filter = false;
        v->filter[0] = '\0';
    } else if (key == '\177' || key == '\b') {
        v->filter[len > 0 ? len - 1 : 0] = '\0';
    } else if ((unsigned char)key >= ' ' && len + 1 < FILTER_MAX) {
        v->filter[len] = key;
        v->filter[len + 1] = '\0';
    }
}

static void scroll(struct view *v, long by)
{
    long first = (long)v->first + by;

    v->first = first > 0 ? (size_t)first : 0;
}

/* An arrow or page key: what follows ESC [. */
static void escape_key(struct view *v, const char *keys)
{
    long page = v->rows > FIXED_LINES ? (long)v->rows - FIXED_LINES : 1;

    switch (keys[0]) {
    case 'A':
        scroll(v, -1);
        break;
    case 'B':
        scroll(v, 1);
        break;
    case '5':
        scroll(v, -page);
        break;
    case '6':
        scroll(v, page);
        break;
    default:
        break;
    }
}

static void plain_key(struct view *v, char key)
{
    if (key == 'q' || key == 'Q')
        v->is_over = true;
    else if (key == ' ')
        v->is_paused = !v->is_paused;
    else if (key == '/')
        v->is_reading_filter = true;
    for (size_t i = 0; i < SORTS; i++)
        if (sorts[i].key == key)
            v->sort = i;
}

static void read_keys(struct view *v)
{
    char keys[64];
    ssize_t got = read(STDIN_FILENO, keys, sizeof(keys) - 1);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        v->is_over = true; /* the terminal is gone */
    keys[got > 0 ? got : 0] = '\0';
    for (ssize_t i = 0; i < got; i++) {
        if (v->is_reading_filter) {
            filter_key(v, keys[i]);
        } else if (keys[i] == '\033' && keys[i + 1] == '[') {
            escape_key(v, keys + i + 2);
            i += 2;
        } else {
            plain_key(v, keys[i]);
        }
    }
}

/* Until it is time to ask again: draws what keys and a new size change. */
static void wait_for_keys(struct view *v, long every_s)
{
    long left_ms = every_s * 1000;

    while (left_ms > 0 && !v->is_over && !was_ended) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        int step = left_ms < 100 ? (int)left_ms : 100;
        int got = poll(&p, 1, step);
        if (got > 0)
            read_keys(v);
        if (got > 0 || was_resized) {
            was_resized = 0;
            draw(v);
        }
        if (got <= 0 && !v->is_paused)
            left_ms -= step;
    }
}

int lv_run_top(struct lv_cli *c)
{
    struct view v = { .c = c };
    long every_s = EVERY_DEFAULT_S;

    if (lv_cli_has(c, "watch") && strcmp(lv_cli_var(c, "watch"), "true") != 0 &&
        !lv_cli_number(c, "watch", EVERY_DEFAULT_S, &every_s))
        return c->fault.code;
    v.is_terminal = isatty(STDOUT_FILENO) != 0 && isatty(STDIN_FILENO) != 0;
    if (refresh(&v) && v.is_terminal && !enter())
        lv_cli_fail(c, EX_OSERR, "cannot use the terminal");
    while (c->fault.code == EX_OK && !v.is_over && !was_ended) {
        draw(&v);
        if (!v.is_terminal)
            break;
        wait_for_keys(&v, every_s > 0 ? every_s : 1);
        if (!v.is_over && !was_ended)
            refresh(&v);
    }
    leave();
    json_decref(v.overview);
    json_decref(v.nodes);
    json_decref(v.queues);
    return c->fault.code;
}

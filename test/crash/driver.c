/* lv-crash --leveretd PATH --dir DIR [--seed N] [--rounds N] [--mode kill|stop|steady|forget|failpoints|disk] [--max-ms N]
 *          [--disk PATH]
 *
 * Runs a broker on DIR/data under load for ROUNDS rounds, each ended as the mode says:
 *   kill        SIGKILL after 0 to MAX-MS (1000)
 *   stop        SIGTERM after as long, under load
 *   steady      not at all: the clients pause and go on
 *   forget      as kill, and the data directory is put aside: a test of the test, which must find losses
 *   failpoints  the broker kills itself at one named fail point after the other; a round that does not reach its point
 *               within 1.5 s ends by SIGKILL
 *   disk        the disk fails one call after the other (PATH is lv-failing-disk.so): the broker ends by itself with status 74,
 *               or goes on and is killed as in `kill`
 * Then drains all queues, stops the broker cleanly, and (but for steady) starts it again and drains once more. Leaves DIR/history-*.txt for
 * lv-checker. Prints one line of figures. Exit code 0; 1: complaints were printed; 77: the broker has no fail points.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "crash.h"

enum mode { MODE_KILL, MODE_STOP, MODE_STEADY, MODE_FORGET, MODE_FAILPOINTS, MODE_DISK, MODES };
enum { FAILPOINTS_MAX = 64, FAILPOINT_MS = 1500 };

static const char *const mode_names[MODES] = { "kill",   "stop",       "steady",
                                               "forget", "failpoints", "disk" };
/* CALL:ERROR of failing_disk.c, whether the broker may go on, and whether it lasts. */
static const struct disk_fault {
    const char *what;
    unsigned nth_max;
    bool may_go_on, is_sticky;
} disk_faults[] = {
    { "write:EIO", 300, false, false },   { "write:ENOSPC", 300, false, true },
    { "sync:EIO", 300, false, false },    { "sync:EIO", 300, false, true },
    { "dirsync:EIO", 40, false, false },  { "rename:EIO", 6, false, false },
    { "open:EACCES", 80, true, false },   { "open:EMFILE", 80, true, false },
    { "reserve:EIO", 30, false, false },  { "reserve:ENOSPC", 30, true, false },
    { "reserve:ENOSPC", 30, true, true }, { "read:EIO", 300, true, false },
    { "write:EINTR", 3, true, false },    { "read:EINTR", 3, true, false },
};
enum { EXIT_DISK_FAILED = 74, EXIT_NO_ROOM = 73, EXIT_SHORT = 71 };

struct options {
    enum mode mode;
    unsigned rounds, max_ms;
};

struct driver {
    struct run run;
    struct options options;
    struct client control;
    struct lv_rng rng;
    unsigned failpoint_count;
    char failpoint_text[4000];
    const char *failpoints[FAILPOINTS_MAX];
    unsigned hits[FAILPOINTS_MAX];
    unsigned disk_ends, disk_starts; /* ended by a fault of the disk: while it ran, at its start */
    uint64_t start_max_us;
    bool was_declared;
};

static struct client clients[] = {
    { .name = "publisher-1", .work = publisher_work },
    { .name = "publisher-2", .work = publisher_work },
    { .name = "publisher-fan", .work = fan_publisher_work },
    { .name = "consumer-1", .work = consumer_work },
    { .name = "consumer-2", .work = consumer_work },
    { .name = "consumer-tx-1", .work = tx_consumer_work },
    { .name = "consumer-tx-2", .work = tx_consumer_work },
    { .name = "topology", .work = topology_work },
};

/* ---- clients ---- */

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct run *run = c->run;
    unsigned seen = 0;

    pthread_mutex_lock(&run->mutex);
    for (;;) {
        run->parked++;
        pthread_cond_broadcast(&run->changed);
        while (!run->is_over && (!run->is_up || run->generation == seen))
            pthread_cond_wait(&run->changed, &run->mutex);
        run->parked--;
        if (run->is_over)
            break;
        seen = run->generation;
        pthread_mutex_unlock(&run->mutex);
        c->work(c);
        pthread_mutex_lock(&run->mutex);
    }
    pthread_mutex_unlock(&run->mutex);
    return NULL;
}

static void clients_start(struct driver *d)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(clients); i++) {
        clients[i].run = &d->run;
        clients[i].rng = lv_rng_seed(lv_rng_next(&d->rng));
        journal_open(&clients[i]);
        pthread_create(&clients[i].thread, NULL, client_main, &clients[i]);
    }
}

static void clients_go(struct run *run)
{
    pthread_mutex_lock(&run->mutex);
    run->is_up = true;
    run->generation++;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
}

/* Until every client has left its connection. */
static void clients_park(struct run *run)
{
    pthread_mutex_lock(&run->mutex);
    run->is_up = false;
    while (run->parked < LV_ARRAY_LEN(clients))
        pthread_cond_wait(&run->changed, &run->mutex);
    pthread_mutex_unlock(&run->mutex);
}

static void clients_end(struct run *run)
{
    pthread_mutex_lock(&run->mutex);
    run->is_over = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
    for (size_t i = 0; i < LV_ARRAY_LEN(clients); i++) {
        pthread_join(clients[i].thread, NULL);
        fclose(clients[i].history);
    }
}

/* ---- rounds ---- */

static void journal_life(struct driver *d, bool is_start)
{
    fprintf(d->control.history, "%" PRIu64 " 0 life broker - %s\n", now_us(),
            is_start ? "ok" : "fail");
}

/* A fault that it cannot live with ends a broker with 74; at the start, where nothing is lost, also with what says it better. */
static void check_disk_end(struct driver *d, bool is_start)
{
    int code = broker_exit_code(&d->run.broker);
    char text[120];

    d->disk_ends += !is_start;
    d->disk_starts += is_start;
    if (code == EXIT_DISK_FAILED || (is_start && (code == EXIT_NO_ROOM || code == EXIT_SHORT)))
        return;
    (void)snprintf(text, sizeof(text), "after %s the broker ended with wait status %#x",
                   d->run.broker.disk_fault, (unsigned)d->run.broker.status);
    complain(&d->run, "control", text);
}

static void check_own_end(struct driver *d)
{
    if (d->run.broker.disk_fault != NULL) {
        check_disk_end(d, false);
        return;
    }
    if (!broker_was_killed(&d->run.broker))
        complain(&d->run, "control", "the broker ended by itself, and not at a fail point");
}

/* A broker that serves, or the end of the run. With a fail point it may die on the way up: then it starts without. */
static void start(struct driver *d, unsigned failpoint, const char *spec)
{
    for (;;) {
        uint64_t began = now_us();
        journal_life(d, true);
        enum broker_start how = broker_start(&d->run.broker, spec);
        d->start_max_us = LV_MAX(d->start_max_us, now_us() - began);
        if (how == BROKER_READY)
            return;
        if (how == BROKER_DIED && d->run.broker.disk_fault != NULL) {
            check_disk_end(d, true);
            d->run.broker.disk_fault = NULL;
            continue;
        }
        if (how == BROKER_HUNG || spec == NULL) {
            printf("complaint: the broker %s\n",
                   how == BROKER_HUNG ? "does not begin to serve" : "ended at its start");
            broker_kill(&d->run.broker);
            exit(1);
        }
        check_own_end(d);
        d->hits[failpoint]++;
        spec = NULL;
    }
}

/* false: the broker is gone. */
static bool look(struct driver *d)
{
    struct client *c = &d->control;
    bool is_whole = link_open(c) && (d->was_declared ? topology_look(c) : topology_declare(c));
    long waiting = is_whole ? count_waiting(c) : -1;

    d->was_declared = d->was_declared || is_whole;
    link_close(c, waiting >= 0);
    atomic_store(&d->run.backlog, LV_MAX(waiting, 0));
    if (waiting < 0 && !atomic_load(&d->run.may_close))
        complain(&d->run, "control", "the broker went away");
    return waiting >= 0;
}

static bool stop_clean(struct driver *d)
{
    journal_life(d, false);
    bool is_clean = broker_stop(&d->run.broker) == 0;
    if (!is_clean)
        complain(&d->run, "control", "a stop that was asked for did not end with 0");
    return is_clean;
}

static void forget(const struct driver *d, unsigned round)
{
    char from[600], to[620];

    snprintf(from, sizeof(from), "%s/data", d->run.broker.dir);
    snprintf(to, sizeof(to), "%s/forgotten-%u", d->run.broker.dir, round);
    if (rename(from, to) != 0)
        perror(from);
}

/* As `kill`, with a disk that fails somewhere on the way. */
static void disk_round(struct driver *d, unsigned round)
{
    const struct disk_fault *f = &disk_faults[round % LV_ARRAY_LEN(disk_faults)];
    unsigned nth = 1 + lv_rng_below(&d->rng, f->nth_max);
    char spec[100];

    (void)snprintf(spec, sizeof(spec), "%s:%u%s", f->what, nth, f->is_sticky ? ":sticky" : "");
    d->run.broker.disk_fault = spec;
    atomic_store(&d->run.may_close, true);
    start(d, 0, NULL);
    (void)look(d);
    clients_go(&d->run);
    if (broker_ended(&d->run.broker, FAILPOINT_MS))
        check_own_end(d);
    broker_kill(&d->run.broker);
    clients_park(&d->run);
    d->run.broker.disk_fault = NULL;
    atomic_store(&d->run.may_close, false);
}

static void one_round(struct driver *d, unsigned round)
{
    if (d->options.mode == MODE_DISK) {
        disk_round(d, round);
        return;
    }
    unsigned point = d->failpoint_count > 0 ? round % d->failpoint_count : 0;
    bool by_failpoint = d->options.mode == MODE_FAILPOINTS;
    unsigned ms = lv_rng_below(&d->rng, d->options.max_ms + 1);
    char spec[100];

    if (by_failpoint) {
        static const unsigned visits[] = { 1, 1, 2, 3, 10, 40 };
        snprintf(spec, sizeof(spec), "%s:%u", d->failpoints[point],
                 visits[lv_rng_below(&d->rng, LV_ARRAY_LEN(visits))]);
    }
    if (d->options.mode != MODE_STEADY || round == 0) {
        atomic_store(&d->run.may_close, by_failpoint);
        start(d, point, by_failpoint ? spec : NULL);
        if (!look(d) && !by_failpoint)
            exit(1);
    }
    clients_go(&d->run);
    if (by_failpoint) {
        if (broker_ended(&d->run.broker, FAILPOINT_MS)) {
            check_own_end(d);
            d->hits[point]++;
        }
        broker_kill(&d->run.broker);
    } else {
        usleep(ms * 1000);
        atomic_store(&d->run.may_close, d->options.mode == MODE_STOP);
        atomic_store(&d->run.is_pausing, d->options.mode == MODE_STEADY);
        if (broker_ended(&d->run.broker, 0)) {
            char text[80];
            snprintf(text, sizeof(text), "the broker ended by itself (wait status %#x)",
                     (unsigned)d->run.broker.status);
            complain(&d->run, "control", text);
        } else if (d->options.mode == MODE_STOP)
            (void)stop_clean(d);
        else if (d->options.mode != MODE_STEADY)
            broker_kill(&d->run.broker);
        if (d->options.mode == MODE_FORGET)
            forget(d, round);
    }
    clients_park(&d->run);
    atomic_store(&d->run.is_pausing, false);
    atomic_store(&d->run.may_close, false);
}

static void drain_all(struct driver *d, const char *op, struct drained *taken)
{
    struct client *c = &d->control;
    bool is_whole = link_open(c) && drain(c, op, taken);

    link_close(c, is_whole);
    if (!is_whole)
        complain(&d->run, "control", "the queues could not be drained");
    if (is_whole && (!link_open(c) || count_waiting(c) != 0))
        complain(&d->run, "control", "messages are left in a drained queue");
    if (is_whole)
        link_close(c, true);
}

/* What was drained and settled before a clean end never comes back. */
static void finish(struct driver *d)
{
    struct drained taken = { 0 }, again = { 0 };

    if (d->run.broker.pid == 0) {
        start(d, 0, NULL);
        (void)look(d);
    }
    drain_all(d, "drain", &taken);
    bool is_clean = stop_clean(d);
    if (d->options.mode == MODE_STEADY) { /* nothing was to be kept over an end */
        free(taken.items);
        return;
    }
    for (size_t i = 0; is_clean && i < taken.count; i++)
        journal(&d->control, "ack", queue_names[taken.items[i].queue], taken.items[i].id, "ok");
    usleep(1000); /* later by the clock */
    start(d, 0, NULL);
    (void)look(d);
    drain_all(d, "get", &again);
    (void)stop_clean(d);
    free(taken.items);
    free(again.items);
}

static void write_routes(struct client *c)
{
    for (unsigned i = DIRECT_QUEUES; i < QUEUES; i++)
        fprintf(c->history, "0 0 route %s %s ok\n", FAN, queue_names[i]);
}

static bool find_failpoints(struct driver *d)
{
    char *at = d->failpoint_text, *newline;

    if (!broker_failpoints(&d->run.broker, d->failpoint_text, sizeof(d->failpoint_text)))
        return false;
    for (; (newline = strchr(at, '\n')) != NULL && d->failpoint_count < FAILPOINTS_MAX;
         at = newline + 1) {
        *newline = '\0';
        at[strcspn(at, " \t")] = '\0'; /* a description may follow */
        if (*at != '\0')
            d->failpoints[d->failpoint_count++] = at;
    }
    return d->failpoint_count > 0;
}

static void report(const struct driver *d)
{
    printf("{\"mode\": \"%s\", \"seed\": %" PRIu64 ", \"rounds\": %u, \"published\": %lu, "
           "\"delivered\": %lu, \"start_max_ms\": %" PRIu64 ", \"complaints\": %u",
           mode_names[d->options.mode], d->run.seed, d->options.rounds, d->run.published,
           d->run.delivered, d->start_max_us / 1000, d->run.complaints);
    printf(", \"disk_ends\": %u, \"disk_starts\": %u", d->disk_ends, d->disk_starts);
    for (unsigned i = 0; i < d->failpoint_count; i++)
        printf("%s\"%s\": %u", i == 0 ? ", \"failpoints\": {" : ", ", d->failpoints[i], d->hits[i]);
    printf("%s}\n", d->failpoint_count > 0 ? "}" : "");
}

static bool read_arguments(struct driver *d, int argc, char **argv)
{
    d->options = (struct options){ MODE_KILL, 10, 1000 };
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--leveretd") == 0)
            d->run.broker.program = value;
        else if (strcmp(argv[i], "--dir") == 0)
            snprintf(d->run.broker.dir, sizeof(d->run.broker.dir), "%s", value);
        else if (strcmp(argv[i], "--seed") == 0)
            d->run.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0)
            d->options.rounds = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--disk") == 0)
            d->run.broker.disk_library = value;
        else if (strcmp(argv[i], "--max-ms") == 0)
            d->options.max_ms = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--mode") == 0)
            for (d->options.mode = 0; d->options.mode < MODES; d->options.mode++) {
                if (strcmp(mode_names[d->options.mode], value) == 0)
                    break;
            }
        else
            return false;
    }
    return argc % 2 == 1 && d->run.broker.program != NULL && d->run.broker.dir[0] != '\0' &&
           d->options.mode < MODES &&
           (d->options.mode != MODE_DISK || d->run.broker.disk_library != NULL);
}

int main(int argc, char **argv)
{
    static struct driver d;

    if (!read_arguments(&d, argc, argv)) {
        fputs("lv-crash: see the head of test/crash/driver.c\n", stderr);
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    d.rng = lv_rng_seed(d.run.seed);
    pthread_mutex_init(&d.run.mutex, NULL);
    pthread_cond_init(&d.run.changed, NULL);
    if (d.options.mode == MODE_FAILPOINTS && !find_failpoints(&d))
        return 77;
    d.control = (struct client){ .run = &d.run, .name = "control", .rng = lv_rng_seed(d.run.seed) };
    clients_start(&d);
    /* The history of a name stands in one file: the main thread writes when that client is parked. */
    d.control.history = clients[LV_ARRAY_LEN(clients) - 1].history;
    write_routes(&d.control);
    for (unsigned round = 0; round < d.options.rounds; round++)
        one_round(&d, round);
    finish(&d);
    clients_end(&d.run);
    report(&d);
    return d.run.complaints != 0;
}

/* crash/crash.h - a broker that is killed again and again, and the clients that write down what they saw of it.
 *
 * The main thread starts and kills (driver.c, broker.c); each client is a thread that works on one connection until it
 * breaks or the main thread says pause, parks, and begins anew with the next broker (clients.c, topology.c). What a client
 * does goes to its own history file before it is sent, and what it learns when it has read it (journal.c).
 */
#ifndef CRASH_H
#define CRASH_H
#include <amqp.h>
#include <amqp_framing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "lv_test.h"

/* ---- the broker ---- */
struct broker {
    const char *program;
    char dir[512];
    pid_t pid;                /* 0: none */
    int status;               /* of the last one that ended by itself, as waitpid gives it */
    const char *disk_library; /* lv-failing-disk.so, or NULL */
    const char *disk_fault;   /* LV_DISK_FAIL of the next start, or NULL */
    int port;
};
enum broker_start { BROKER_READY, BROKER_DIED, BROKER_HUNG };
/* Starts it, with LEVERET_FAILPOINT if `failpoint` is not NULL, and waits until it serves. */
enum broker_start broker_start(struct broker *b, const char *failpoint);
/* Waits up to `ms` for its own end; true when it has ended. */
bool broker_ended(struct broker *b, unsigned ms);
/* Whether the last end was a SIGKILL: a fail point's, and not a failed assertion's. */
bool broker_was_killed(const struct broker *b);
/* The exit code of the last one that ended by itself; -1: a signal ended it. */
int broker_exit_code(const struct broker *b);
/* SIGKILL, and waits. */
void broker_kill(struct broker *b);
/* SIGTERM, and waits; the exit code, or -1 when it had to be killed or died by a signal. */
int broker_stop(struct broker *b);
/* Names of fail points, one a line, into `out`; false: this broker has none. */
bool broker_failpoints(const struct broker *b, char *out, size_t max);

/* ---- the run ---- */
struct run {
    struct broker broker;
    uint64_t seed;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned generation; /* of the broker */
    unsigned parked, clients;
    bool is_up, is_over;
    atomic_bool is_pausing; /* leave the work whole: wait for confirms, settle what was taken */
    atomic_bool may_close; /* the broker may end by itself: a connection that is closed is no complaint */
    atomic_uint channels; /* client numbers of the history given away */
    atomic_long backlog;  /* about what waits in the queues */
    atomic_uint complaints; /* things that are no crash: the broker closed a channel, refused, or stood still */
    atomic_ulong published, delivered;
};

struct client {
    struct run *run;
    const char *name;
    void (*work)(struct client *c);
    pthread_t thread;
    FILE *history;
    struct lv_rng rng;
    amqp_connection_state_t conn;
    unsigned number; /* in the history, of this connection's channel */
};

/* Says what is wrong, once more. */
void complain(struct run *run, const char *who, const char *what);

/* ---- history ---- */
void journal_open(struct client *c);
void journal(struct client *c, const char *op, const char *name, uint64_t id, const char *result);
void journal_name(struct client *c, const char *op, const char *name, const char *result);
uint64_t now_us(void);

/* ---- bodies: checked from end to end ---- */
enum { BODY_MIN = 32, BODY_MAX = 300 * 1024 };
/* A body of random size for message `id` to `name`; returns its size. */
size_t body_make(uint8_t out[BODY_MAX], struct lv_rng *rng, uint64_t id, const char *name);
/* Whether it is whole; *id is what it says. */
bool body_read(const void *body, size_t bytes, uint64_t *id);

/* ---- connections ---- */
/* Connects, opens channel 1 and gives the client its new number. false: the broker is gone. */
bool link_open(struct client *c);
/* Ends the connection; politely if it still stands. */
void link_close(struct client *c, bool is_polite);
/* Whether the last call succeeded. A refusal is complained about, a broken connection is not. */
bool link_ok(struct client *c);

/* ---- what is there ---- */
enum { QUEUES = 7, DIRECT_QUEUES = 4 }; /* the rest is bound to the fan-out exchange */
extern const char *const queue_names[QUEUES];
#define FAN "fan"

void publisher_work(struct client *c);
void fan_publisher_work(struct client *c);
void consumer_work(struct client *c);
void tx_consumer_work(struct client *c);
void topology_work(struct client *c);

/* Declares all that must be there for the clients' work. */
bool topology_declare(struct client *c);
/* After a start: looks up everything that was ever declared and writes down what is there. What the clients need is
 * declared again only when it is missing. On a connection of its own; false: the broker is gone. */
bool topology_look(struct client *c);

struct drained {
    struct {
        uint64_t id;
        unsigned queue;
    } * items;
    size_t count, max;
};
/* Empties all queues, each delivery written down as `op`; `taken` remembers them. */
bool drain(struct client *c, const char *op, struct drained *taken);
/* Messages that wait in all queues; -1: the broker is gone. */
long count_waiting(struct client *c);

#endif

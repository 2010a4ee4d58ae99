#include "idle.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amqp_client.h"

#define OPENERS 8u
#define PORTS_OF_ADDRESS \
    20000u /* connections from one loopback address before the next one is used */

struct opener {
    pthread_t thread;
    struct lv_idle *idle;
    const struct lv_url *url;
    size_t first;
    bool has_failed;
    struct lv_fault fault;
};

static bool is_loopback(const struct lv_url *url)
{
    return strncmp(url->host, "127.", 4) == 0;
}

static bool open_one(struct opener *o, size_t i)
{
    struct lv_client client;
    unsigned source = is_loopback(o->url) ? 1 + (unsigned)(i / PORTS_OF_ADDRESS) : 0;
    uint8_t early[1];
    size_t early_len;

    if (!lv_client_open(&client, o->url, source, &o->fault))
        return false;
    if (!lv_client_channel_open(&client, 1, &o->fault)) {
        lv_client_drop(&client);
        return false;
    }
    o->idle->fd[i] = lv_client_detach(&client, early, sizeof(early), &early_len);
    return true;
}

static void *opener_thread(void *arg)
{
    struct opener *o = arg;

    for (size_t i = o->first; i < o->idle->count && !o->has_failed; i += OPENERS)
        o->has_failed = !open_one(o, i);
    return NULL;
}

bool lv_idle_open(struct lv_idle *idle, const struct lv_url *url, size_t count,
                  struct lv_fault *fault)
{
    struct opener openers[OPENERS];
    bool is_open = true;

    idle->fd = lv_need(malloc((count + 1) * sizeof(*idle->fd)));
    idle->count = count;
    for (size_t i = 0; i < count; i++)
        idle->fd[i] = -1;
    for (size_t i = 0; i < OPENERS; i++) {
        openers[i] = (struct opener){ .idle = idle, .url = url, .first = i };
        pthread_create(&openers[i].thread, NULL, opener_thread, &openers[i]);
    }
    for (size_t i = 0; i < OPENERS; i++) {
        pthread_join(openers[i].thread, NULL);
        if (openers[i].has_failed) {
            *fault = openers[i].fault;
            is_open = false;
        }
    }
    return is_open;
}

void lv_idle_close(struct lv_idle *idle)
{
    for (size_t i = 0; i < idle->count; i++)
        if (idle->fd[i] >= 0)
            close(idle->fd[i]);
    free(idle->fd);
    *idle = (struct lv_idle){ 0 };
}

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "crash.h"

uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void complain(struct run *run, const char *who, const char *what)
{
    const char *fault = run->broker.disk_fault;

    if (atomic_fetch_add(&run->complaints, 1) < 20)
        printf("complaint: %s: %s%s%s\n", who, what, fault != NULL ? ", with " : "",
               fault != NULL ? fault : "");
}

void journal_open(struct client *c)
{
    char path[700];

    snprintf(path, sizeof(path), "%s/history-%s.txt", c->run->broker.dir, c->name);
    c->history = fopen(path, "w");
    if (c->history == NULL) {
        perror(path);
        exit(1);
    }
    setvbuf(c->history, NULL, _IOFBF, 1 << 18);
}

void journal(struct client *c, const char *op, const char *name, uint64_t id, const char *result)
{
    fprintf(c->history, "%" PRIu64 " %u %s %s %" PRIu64 " %s\n", now_us(), c->number, op, name, id,
            result);
}

void journal_name(struct client *c, const char *op, const char *name, const char *result)
{
    fprintf(c->history, "%" PRIu64 " %u %s %s - %s\n", now_us(), c->number, op, name, result);
}

/* ---- bodies: magic, length, id, crc32c of all the rest, then bytes that follow from the id ---- */

#define MAGIC 0x4c565254u

static uint32_t crc_table[256];

__attribute__((constructor)) static void make_crc_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        crc_table[i] = crc;
    }
}

static uint32_t crc32c(const uint8_t *bytes, size_t len)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++)
        crc = crc_table[(crc ^ bytes[i]) & 255] ^ (crc >> 8);
    return ~crc;
}

size_t body_make(uint8_t out[BODY_MAX], struct lv_rng *rng, uint64_t id, const char *name)
{
    uint32_t die = lv_rng_below(rng, 1000);
    size_t bytes = BODY_MIN + lv_rng_below(rng, 270);

    if (die < 5)
        bytes = 65536 + lv_rng_below(rng, BODY_MAX - 65536 + 1);
    else if (die < 60)
        bytes = 1024 + lv_rng_below(rng, 8000);
    struct lv_rng filler = lv_rng_seed(id);
    for (size_t at = 24; at < bytes; at += 8) {
        uint64_t word = lv_rng_next(&filler);
        memcpy(out + at, &word, LV_MIN(sizeof(word), bytes - at));
    }
    lv_put_be32(out, MAGIC);
    lv_put_be32(out + 4, (uint32_t)bytes);
    lv_put_be64(out + 8, id);
    lv_put_be32(out + 20, crc32c((const uint8_t *)name, strlen(name)));
    lv_put_be32(out + 16,
                crc32c(out + 20, bytes - 20) ^ (uint32_t)bytes ^ (uint32_t)(id ^ id >> 32));
    return bytes;
}

bool body_read(const void *body, size_t bytes, uint64_t *id)
{
    const uint8_t *at = body;

    *id = 0;
    if (bytes < BODY_MIN || lv_be32(at) != MAGIC || lv_be32(at + 4) != bytes)
        return false;
    *id = lv_be64(at + 8);
    return lv_be32(at + 16) ==
           (crc32c(at + 20, bytes - 20) ^ (uint32_t)bytes ^ (uint32_t)(*id ^ *id >> 32));
}

/* lv-floor --dir DIR [--window 1000] [--producers 1] [--size 1024] [--seconds 5] [--zeroed 0]
 *
 * What the disk allows a broker that confirms only what is synced: no protocol, no queues, one file. Producers hand a window of
 * messages to one writer and wait for it; the writer takes all that has gathered, writes it with one pwrite, syncs it with
 * one fdatasync, and wakes whom it concerns. Files are reserved, 64 MiB each, as a log would.
 * --zeroed 1 writes zeros into each file before it is used (that time counts too): the file system then
 * has nothing to note when the records come.
 * Prints {"confirmed_per_s": ..., "syncs_per_s": ..., "bytes_per_sync": ...}.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 64 << 20, OVERHEAD = 64, PRODUCERS_MAX = 64 };

struct floor {
    const char *dir;
    unsigned long window, producers, size, is_zeroed;
    double seconds;
    pthread_mutex_t mutex;
    pthread_cond_t gathered, synced;
    unsigned char *buffers[2]; /* one gathers while the other is written */
    size_t used;
    unsigned long filling; /* number of the batch that gathers */
    unsigned long done;    /* batches synced */
    bool is_over;
    int fd;
    size_t at;
    unsigned long messages, syncs, bytes;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void file_next(struct floor *f)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/floor.log", f->dir);
    if (f->fd >= 0)
        close(f->fd);
    unlink(path);
    f->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (f->fd < 0 || posix_fallocate(f->fd, 0, FILE_BYTES) != 0)
        fail(path);
    static const unsigned char zeros[1 << 20];
    for (off_t at = 0; f->is_zeroed && at < FILE_BYTES; at += (off_t)sizeof(zeros))
        if (pwrite(f->fd, zeros, sizeof(zeros), at) != (ssize_t)sizeof(zeros))
            fail(path);
    if (fsync(f->fd) != 0)
        fail(path);
    f->at = 0;
}

static void write_batch(struct floor *f, const unsigned char *bytes, size_t used)
{
    if (f->at + used > FILE_BYTES)
        file_next(f);
    if (pwrite(f->fd, bytes, used, (off_t)f->at) != (ssize_t)used || fdatasync(f->fd) != 0)
        fail("writing");
    f->at += used;
    f->syncs++;
    f->bytes += used;
}

/* A window of messages, then the wait for its batch. */
static void *produce(void *arg)
{
    struct floor *f = arg;
    size_t record = f->size + OVERHEAD;

    pthread_mutex_lock(&f->mutex);
    while (!f->is_over) {
        unsigned long batch = f->filling;
        for (unsigned long i = 0; i < f->window; i++, f->used += record)
            memset(f->buffers[batch & 1] + f->used, (int)i, record);
        pthread_cond_signal(&f->gathered);
        while (f->done <= batch && !f->is_over)
            pthread_cond_wait(&f->synced, &f->mutex);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

static void run(struct floor *f)
{
    pthread_t threads[PRODUCERS_MAX];
    size_t record = f->size + OVERHEAD;
    double end = seconds_now() + f->seconds;

    for (unsigned long i = 0; i < f->producers; i++)
        pthread_create(&threads[i], NULL, produce, f);
    pthread_mutex_lock(&f->mutex);
    while (seconds_now() < end) {
        while (f->used == 0)
            pthread_cond_wait(&f->gathered, &f->mutex);
        unsigned long batch = f->filling++;
        size_t used = f->used;
        f->used = 0;
        pthread_mutex_unlock(&f->mutex);
        write_batch(f, f->buffers[batch & 1], used);
        pthread_mutex_lock(&f->mutex);
        f->done = batch + 1;
        f->messages += used / record;
        pthread_cond_broadcast(&f->synced);
    }
    f->is_over = true;
    pthread_cond_broadcast(&f->synced);
    pthread_mutex_unlock(&f->mutex);
    for (unsigned long i = 0; i < f->producers; i++)
        pthread_join(threads[i], NULL);
}

static bool read_arguments(struct floor *f, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--dir") == 0)
            f->dir = value;
        else if (strcmp(name, "--window") == 0)
            f->window = strtoul(value, NULL, 10);
        else if (strcmp(name, "--producers") == 0)
            f->producers = strtoul(value, NULL, 10);
        else if (strcmp(name, "--size") == 0)
            f->size = strtoul(value, NULL, 10);
        else if (strcmp(name, "--zeroed") == 0)
            f->is_zeroed = strtoul(value, NULL, 10);
        else if (strcmp(name, "--seconds") == 0)
            f->seconds = strtod(value, NULL);
        else
            return false;
    }
    return argc % 2 == 1 && f->dir != NULL && f->window > 0 && f->producers > 0 &&
           f->producers <= PRODUCERS_MAX && f->size < FILE_BYTES &&
           f->window * f->producers * (f->size + OVERHEAD) <= FILE_BYTES;
}

int main(int argc, char **argv)
{
    struct floor f = { .window = 1000, .producers = 1, .size = 1024, .seconds = 5, .fd = -1 };
    char path[PATH_MAX];

    if (!read_arguments(&f, argc, argv)) {
        fputs("lv-floor: see the head of test/bench/floor.c\n", stderr);
        return 64;
    }
    pthread_mutex_init(&f.mutex, NULL);
    pthread_cond_init(&f.gathered, NULL);
    pthread_cond_init(&f.synced, NULL);
    for (unsigned i = 0; i < 2; i++) {
        f.buffers[i] = malloc(f.window * f.producers * (f.size + OVERHEAD));
        if (f.buffers[i] == NULL)
            fail("memory");
    }
    file_next(&f);
    run(&f);
    printf("{\"confirmed_per_s\": %.1f, \"syncs_per_s\": %.1f, \"bytes_per_sync\": %.1f}\n",
           (double)f.messages / f.seconds, (double)f.syncs / f.seconds,
           (double)f.bytes / (double)(f.syncs > 0 ? f.syncs : 1));
    close(f.fd);
    snprintf(path, sizeof(path), "%s/floor.log", f.dir);
    unlink(path);
    free(f.buffers[0]);
    free(f.buffers[1]);
    return 0;
}

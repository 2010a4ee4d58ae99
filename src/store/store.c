#include "store/store.h"

#include "base/mem.h"
#include "os/failpoint.h"
#include "os/os.h"
#include "store/wal_priv.h"

#define STORE_FORMAT 1u
#define STORE_BYTES 48u
#define TOPOLOGY_FILE_BYTES (UINT64_C(1) << 20)
#define TOPOLOGY_RING_BYTES ((size_t)1 << 20)
#define AHEAD_BYTES (UINT64_C(16) << 20)
#define IDLE_MARK_MS 200u /* without new records for that long the last ones get their mark */
#define FULL_RETRY_MS 100u

struct make_job {
    struct lv_job job; /* first */
    struct lv_store *store;
    struct lv_wal *wal;
    _Atomic bool is_posted;
};

struct lv_store {
    struct lv_store_config config;
    uint64_t id;
    struct lv_wal *messages, *topology;
    struct lv_thread thread;
    struct lv_gate gate;
    struct lv_worker reader, keeper;
    struct make_job make_messages, make_topology;
    _Atomic bool is_stopping, has_failed, is_full, has_reserve;
    _Atomic uint64_t syncs, bytes, rounds, write_us[LV_TIMES_WORDS];
};

/* ---- the store file ---- */

static size_t store_text(const struct lv_store *s, uint64_t file_bytes, uint8_t out[STORE_BYTES])
{
    struct lv_wr w = lv_wr(out, STORE_BYTES);

    lv_wr_bytes(&w, "lvstore\n", 8);
    lv_wr_u32(&w, STORE_FORMAT);
    lv_wr_u32(&w, 0);
    lv_wr_u64(&w, s->id);
    lv_wr_u64(&w, file_bytes);
    lv_wr_u64(&w, TOPOLOGY_FILE_BYTES);
    lv_wr_u32(&w, lv_crc32c(lv_bytes(out, w.used), 0));
    lv_wr_u32(&w, 0);
    return w.used;
}

/* A file under its own name only when it is whole and lasting. */
static enum lv_err replace(struct lv_dir *dir, const char *name, struct lv_bytes contents)
{
    char temp[LV_FILE_NAME_MAX + 1];
    struct lv_file *f;

    LV_ASSERT(strlen(name) + 5 <= LV_FILE_NAME_MAX);
    memcpy(temp, name, strlen(name) + 1);
    memcpy(temp + strlen(name), ".new", 5);
    enum lv_err err = lv_dir_unlink(dir, temp);
    if (err == LV_OK || err == LV_ENOTFOUND)
        err = lv_dir_open_file(dir, temp, LV_FILE_WRITE | LV_FILE_CREATE, &f);
    if (err != LV_OK)
        return err;
    err = lv_file_write(f, 0, &contents, 1);
    if (err == LV_OK)
        err = lv_file_sync(f);
    lv_file_close(f);
    lv_failpoint("checkpoint.written");
    if (err == LV_OK)
        err = lv_dir_rename(dir, temp, name);
    lv_failpoint("checkpoint.renamed");
    return err == LV_OK ? lv_dir_sync(dir) : err;
}

static enum lv_err read_all(struct lv_dir *dir, const char *name, uint8_t **out, size_t *bytes)
{
    struct lv_file *f;
    uint64_t size = 0;
    enum lv_err err = lv_dir_open_file(dir, name, LV_FILE_READ, &f);

    *out = NULL;
    if (err != LV_OK)
        return err;
    err = lv_file_size(f, &size);
    if (err == LV_OK && size > (UINT64_C(1) << 32))
        err = LV_ECORRUPT;
    if (err == LV_OK && (*out = lv_mem_alloc(size + 1, LV_TAG_STORE)) == NULL)
        err = LV_ENOMEM;
    if (err == LV_OK)
        err = lv_file_read(f, 0, *out, size, bytes);
    lv_file_close(f);
    if (err != LV_OK) {
        lv_mem_free(*out, LV_TAG_STORE);
        *out = NULL;
    }
    return err;
}

static void note_log(void *ctx, const char *name)
{
    if (strncmp(name, "messages-", 9) == 0 || strncmp(name, "topology-", 9) == 0)
        *(bool *)ctx = true;
}

/* Reads what the directory is, or makes it one. */
static enum lv_err identify(struct lv_store *s, uint64_t *file_bytes)
{
    uint8_t want[STORE_BYTES], *have;
    size_t bytes = 0;
    bool has_logs = false;
    enum lv_err err = read_all(s->config.dir, "store", &have, &bytes);

    *file_bytes = s->config.file_bytes;
    if (err == LV_ENOTFOUND) {
        err = lv_dir_list(s->config.dir, note_log, &has_logs);
        if (err != LV_OK)
            return err;
        if (has_logs ||
            s->config.read_only) /* somebody's data without its head: not ours to begin anew in */
            return has_logs ? LV_ECORRUPT : LV_ENOTFOUND;
        err = lv_os_random(&s->id, sizeof(s->id));
        if (err != LV_OK)
            return err;
        return replace(s->config.dir, "store", lv_bytes(want, store_text(s, *file_bytes, want)));
    }
    if (err != LV_OK)
        return err;
    if (bytes != STORE_BYTES || memcmp(have, "lvstore\n", 8) != 0 ||
        lv_be32(have + 40) != lv_crc32c(lv_bytes(have, 40), 0)) {
        err = LV_ECORRUPT;
    } else if (lv_be32(have + 8) != STORE_FORMAT) {
        err = LV_EVERSION;
    } else {
        s->id = lv_be64(have + 16);
        *file_bytes = lv_be64(have + 24);
        if (*file_bytes < LV_WAL_FILE_MIN || (*file_bytes & (*file_bytes - 1)) != 0)
            err = LV_ECORRUPT;
    }
    lv_mem_free(have, LV_TAG_STORE);
    return err;
}

/* ---- life ---- */

static void make_file(struct lv_job *job);

enum lv_err lv_store_open(const struct lv_store_config *config, struct lv_store **out)
{
    struct lv_store *s = lv_mem_zalloc(sizeof(*s), LV_TAG_STORE);
    uint64_t file_bytes;

    *out = NULL;
    if (s == NULL)
        return LV_ENOMEM;
    s->config = *config;
    enum lv_err err = identify(s, &file_bytes);
    struct lv_wal_config wal = {
        .dir = config->dir,
        .name = "messages",
        .id = s->id,
        .file_bytes = file_bytes,
        .ring_bytes = config->ring_bytes,
        .appenders = config->appenders,
        .ahead_bytes = AHEAD_BYTES,
    };
    if (err == LV_OK)
        err = lv_wal_new(&wal, &s->messages);
    wal.name = "topology";
    wal.id = ~s->id;
    wal.ahead_bytes = 0;
    wal.file_bytes = TOPOLOGY_FILE_BYTES;
    wal.ring_bytes = TOPOLOGY_RING_BYTES;
    if (err == LV_OK)
        err = lv_wal_new(&wal, &s->topology);
    if (err != LV_OK) {
        lv_wal_free(s->messages);
        lv_mem_free(s, LV_TAG_STORE);
        return err;
    }
    s->make_messages = (struct make_job){ .job.run = make_file, .store = s, .wal = s->messages };
    s->make_topology = (struct make_job){ .job.run = make_file, .store = s, .wal = s->topology };
    lv_gate_init(&s->gate);
    *out = s;
    return LV_OK;
}

void lv_store_close(struct lv_store *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->is_stopping, true);
    lv_gate_raise(&s->gate);
    lv_thread_join(&s->thread);
    lv_worker_stop(&s->reader);
    lv_worker_stop(&s->keeper);
    lv_gate_fini(&s->gate);
    lv_wal_free(s->messages);
    lv_wal_free(s->topology);
    lv_dir_close(s->config.dir);
    lv_mem_free(s, LV_TAG_STORE);
}

struct lv_wal *lv_store_messages(struct lv_store *s)
{
    return s->messages;
}

struct lv_wal *lv_store_topology(struct lv_store *s)
{
    return s->topology;
}

uint64_t lv_store_id(const struct lv_store *s)
{
    return s->id;
}

struct lv_dir *lv_store_dir(struct lv_store *s)
{
    return s->config.dir;
}

struct lv_worker *lv_store_reader(struct lv_store *s)
{
    return &s->reader;
}

struct lv_worker *lv_store_keeper(struct lv_store *s)
{
    return &s->keeper;
}

static uint64_t files_of(const struct lv_wal *wal)
{
    uint64_t first = lv_wal_first_file(wal), current = lv_wal_current_file(wal);

    return current >= first ? current - first + 1 : 0;
}

static uint64_t unstable_of(const struct lv_wal *wal)
{
    lv_lsn stable = lv_wal_stable(wal), tail = lv_wal_tail(wal);

    return tail > stable ? tail - stable : 0;
}

void lv_store_stats(const struct lv_store *s, struct lv_store_stats *out)
{
    out->syncs = atomic_load(&s->syncs);
    out->bytes = atomic_load(&s->bytes);
    out->rounds = atomic_load(&s->rounds);
    lv_times_read(s->write_us, &out->write);
    out->files = files_of(s->messages);
    out->topology_files = files_of(s->topology);
    out->unstable_bytes = unstable_of(s->messages) + unstable_of(s->topology);
}

/* ---- the reserve ----
 * Files are removed after a checkpoint, and a checkpoint is a new file: on a full disk it gets the place of this one. */

#define RESERVE_BYTES (UINT64_C(2) << 20)

static void make_reserve(struct lv_store *s)
{
    struct lv_file *f;

    if (atomic_load(&s->has_reserve))
        return;
    enum lv_err err = lv_dir_open_file(s->config.dir, "reserve", LV_FILE_WRITE | LV_FILE_CREATE, &f);
    if (err == LV_EEXISTS)
        err = lv_dir_open_file(s->config.dir, "reserve", LV_FILE_WRITE, &f);
    if (err != LV_OK)
        return;
    err = lv_file_reserve(f, RESERVE_BYTES);
    lv_file_close(f);
    if (err == LV_OK)
        atomic_store(&s->has_reserve, true);
    else
        (void)!lv_dir_unlink(s->config.dir, "reserve");
}

static bool give_reserve(struct lv_store *s)
{
    return atomic_exchange(&s->has_reserve, false) &&
           lv_dir_unlink(s->config.dir, "reserve") == LV_OK;
}

/* ---- checkpoint ---- */

#define CHECKPOINT_HEAD 48u

enum lv_err lv_store_write_checkpoint(struct lv_store *s, const struct lv_checkpoint *c)
{
    size_t bytes = CHECKPOINT_HEAD + c->file_count * 28 + c->queue_count * 16 + 4;
    uint8_t *text = lv_mem_alloc(bytes, LV_TAG_STORE);

    if (text == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(text, bytes);
    lv_wr_bytes(&w, "lvcheck\n", 8);
    lv_wr_u32(&w, STORE_FORMAT);
    lv_wr_u32(&w, 0);
    lv_wr_u64(&w, s->id);
    lv_wr_u64(&w, c->from);
    lv_wr_u64(&w, c->file_count);
    lv_wr_u64(&w, c->queue_count);
    for (size_t i = 0; i < c->file_count; i++) {
        lv_wr_u64(&w, c->files[i].number);
        lv_wr_u64(&w, (uint64_t)c->files[i].refs);
        lv_wr_u64(&w, (uint64_t)c->files[i].bytes);
        lv_wr_u32(&w, c->files[i].back);
    }
    for (size_t i = 0; i < c->queue_count; i++) {
        lv_wr_u64(&w, c->queues[i].id);
        lv_wr_u64(&w, c->queues[i].state);
    }
    lv_wr_u32(&w, lv_crc32c(lv_bytes(text, w.used), 0));
    enum lv_err err = replace(s->config.dir, "checkpoint", lv_bytes(text, bytes));
    if (err == LV_ENOSPC && give_reserve(s))
        err = replace(s->config.dir, "checkpoint", lv_bytes(text, bytes));
    lv_mem_free(text, LV_TAG_STORE);
    if (err == LV_OK)
        lv_failpoint("checkpoint.done");
    return err;
}

static enum lv_err parse_checkpoint(const struct lv_store *s, struct lv_bytes text,
                                    struct lv_checkpoint *c)
{
    if (text.len < CHECKPOINT_HEAD + 4 || memcmp(text.ptr, "lvcheck\n", 8) != 0 ||
        lv_be32(text.ptr + text.len - 4) != lv_crc32c(lv_bytes(text.ptr, text.len - 4), 0))
        return LV_ECORRUPT;
    struct lv_rd r = lv_rd(lv_bytes(text.ptr + 8, text.len - 12));
    if (lv_rd_u32(&r) != STORE_FORMAT)
        return LV_EVERSION;
    (void)lv_rd_u32(&r);
    if (lv_rd_u64(&r) != s->id)
        return LV_ECORRUPT;
    c->from = lv_rd_u64(&r);
    c->file_count = lv_rd_u64(&r);
    c->queue_count = lv_rd_u64(&r);
    if (c->file_count > LV_WAL_FILES_MAX || c->queue_count > lv_rd_left(&r) / 16 ||
        lv_rd_left(&r) != c->file_count * 28 + c->queue_count * 16)
        return LV_ECORRUPT;
    c->files = lv_mem_alloc(LV_MAX(c->file_count, 1u) * sizeof(*c->files), LV_TAG_STORE);
    c->queues = lv_mem_alloc(LV_MAX(c->queue_count, 1u) * sizeof(*c->queues), LV_TAG_STORE);
    if (c->files == NULL || c->queues == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < c->file_count; i++) {
        c->files[i].number = lv_rd_u64(&r);
        c->files[i].refs = (int64_t)lv_rd_u64(&r);
        c->files[i].bytes = (int64_t)lv_rd_u64(&r);
        c->files[i].back = lv_rd_u32(&r);
    }
    for (size_t i = 0; i < c->queue_count; i++) {
        c->queues[i].id = lv_rd_u64(&r);
        c->queues[i].state = lv_rd_u64(&r);
    }
    return LV_OK;
}

enum lv_err lv_store_read_checkpoint(struct lv_store *s, struct lv_checkpoint *out)
{
    uint8_t *text;
    size_t bytes = 0;
    enum lv_err err = read_all(s->config.dir, "checkpoint", &text, &bytes);

    *out = (struct lv_checkpoint){ 0 };
    if (err != LV_OK)
        return err;
    err = parse_checkpoint(s, lv_bytes(text, bytes), out);
    lv_mem_free(text, LV_TAG_STORE);
    if (err != LV_OK)
        lv_checkpoint_fini(out);
    return err;
}

lv_lsn lv_checkpoint_stable(const struct lv_checkpoint *c)
{
    lv_lsn stable = c != NULL ? c->from : 0;

    for (size_t i = 0; c != NULL && i < c->queue_count; i++)
        stable = LV_MAX(stable, c->queues[i].state);
    return stable;
}

void lv_checkpoint_fini(struct lv_checkpoint *c)
{
    lv_mem_free(c->files, LV_TAG_STORE);
    lv_mem_free(c->queues, LV_TAG_STORE);
    *c = (struct lv_checkpoint){ 0 };
}

/* ---- stopped ---- */

#define STOPPED_BYTES 40u

static void stopped_text(const struct lv_store *s, const struct lv_stopped *t,
                         uint8_t out[STOPPED_BYTES])
{
    struct lv_wr w = lv_wr(out, STOPPED_BYTES);

    lv_wr_bytes(&w, "lvstop\n\0", 8);
    lv_wr_u32(&w, STORE_FORMAT);
    lv_wr_u64(&w, s->id);
    lv_wr_u64(&w, t->messages);
    lv_wr_u64(&w, t->topology);
    lv_wr_u32(&w, lv_crc32c(lv_bytes(out, w.used), 0));
}

void lv_store_read_stopped(struct lv_store *s, struct lv_stopped *out)
{
    uint8_t want[STOPPED_BYTES], *have;
    size_t bytes = 0;

    *out = (struct lv_stopped){ 0 };
    if (read_all(s->config.dir, "stopped", &have, &bytes) != LV_OK)
        return;
    if (bytes == STOPPED_BYTES) {
        struct lv_stopped t = { lv_be64(have + 20), lv_be64(have + 28) };
        stopped_text(s, &t, want);
        if (memcmp(have, want, STOPPED_BYTES) == 0)
            *out = t;
    }
    lv_mem_free(have, LV_TAG_STORE);
}

enum lv_err lv_store_write_stopped(struct lv_store *s)
{
    struct lv_stopped t = { lv_wal_stable(s->messages), lv_wal_stable(s->topology) };
    uint8_t text[STOPPED_BYTES];

    stopped_text(s, &t, text);
    return replace(s->config.dir, "stopped", lv_bytes(text, sizeof(text)));
}

enum lv_err lv_store_forget_stopped(struct lv_store *s)
{
    enum lv_err err = lv_dir_unlink(s->config.dir, "stopped");

    if (err == LV_ENOTFOUND)
        return LV_OK;
    return err == LV_OK ? lv_dir_sync(s->config.dir) : err;
}

/* ---- files made ahead ---- */

static void set_full(struct lv_store *s, bool is_full)
{
    if (atomic_exchange(&s->is_full, is_full) != is_full && s->config.full != NULL)
        s->config.full(s->config.ctx, is_full);
}

static void fail(struct lv_store *s, enum lv_err err, const char *what)
{
    if (!atomic_exchange(&s->has_failed, true) && s->config.failed != NULL)
        s->config.failed(s->config.ctx, err, what);
}

static enum lv_err make_one(struct lv_store *s, struct lv_wal *wal)
{
    enum lv_err err = lv_wal_make_file(wal);

    if (err == LV_ENOSPC)
        set_full(s, true);
    else if (err == LV_OK)
        set_full(s, false);
    if (err == LV_OK)
        make_reserve(s);
    return err;
}

/* It may work later. */
static bool is_shortage(enum lv_err err)
{
    return err == LV_ENOSPC || err == LV_ENOMEM;
}

static void make_file(struct lv_job *job)
{
    struct make_job *m = (struct make_job *)job;
    enum lv_err err = make_one(m->store, m->wal);

    if (err != LV_OK && !is_shortage(err))
        fail(m->store, err, "make a log file");
    atomic_store(&m->is_posted, false);
    if (err == LV_OK)
        lv_gate_raise(&m->store->gate); /* otherwise it is tried again in a while */
}

static void want_file(struct lv_store *s, struct make_job *m)
{
    if (lv_wal_wants_file(m->wal) && !atomic_exchange(&m->is_posted, true))
        lv_worker_post(&s->keeper, &m->job);
}

/* ---- rounds ---- */

static enum lv_err write_log(struct lv_store *s, struct lv_wal *wal, lv_lsn upto, bool *did_any,
                             bool *must_wait)
{
    lv_lsn before = lv_wal_stable(wal);
    bool did;
    uint64_t began_ns = lv_clock_ns();
    enum lv_err err = lv_wal_write(wal, upto, &did);

    if (err == LV_EAGAIN) {
        *must_wait = true;
        err = LV_OK;
    }
    if (err == LV_OK && did) {
        *did_any = true;
        lv_times_add(s->write_us, (lv_clock_ns() - began_ns) / 1000);
        atomic_fetch_add_explicit(&s->syncs, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->bytes, lv_wal_stable(wal) - before, memory_order_relaxed);
    }
    return err;
}

static bool has_news(struct lv_wal *wal)
{
    return lv_wal_complete(wal) > lv_wal_written(wal);
}

/* One round: the topology as it is after the messages' end was read goes first, so that no message is stable whose
 * queue is not (S2). */
static enum lv_err do_round(struct lv_store *s, bool *did, bool *must_wait)
{
    *did = *must_wait = false;
    (void)lv_wal_pump(s->messages, s->config.appenders); /* a mark that found no room */
    (void)lv_wal_pump(s->topology, s->config.appenders);
    if (has_news(s->messages))
        (void)!lv_wal_mark(s->messages); /* without memory: the next time */
    if (has_news(s->topology))
        (void)!lv_wal_mark(s->topology);
    lv_lsn messages = lv_wal_complete(s->messages);
    lv_lsn topology = lv_wal_complete(s->topology);
    enum lv_err err = write_log(s, s->topology, topology, did, must_wait);
    if (err == LV_OK && !*must_wait)
        err = write_log(s, s->messages, messages, did, must_wait);
    if (*did)
        atomic_fetch_add_explicit(&s->rounds, 1, memory_order_relaxed);
    return err;
}

static void run(void *ctx)
{
    struct lv_store *s = ctx;
    bool did, must_wait, is_marked = true;

    for (;;) {
        bool is_last = atomic_load(&s->is_stopping);
        enum lv_err err = do_round(s, &did, &must_wait);
        if (err != LV_OK) {
            fail(s, err, "write or sync the log");
            return;
        }
        want_file(s, &s->make_messages);
        want_file(s, &s->make_topology);
        if (did) {
            is_marked = false;
            s->config.stable(s->config.ctx);
            lv_failpoint("log.told");
            lv_wal_forget(s->messages);
            continue;
        }
        if (is_last && (!must_wait || atomic_load(&s->is_full)))
            return;
        bool retries = must_wait || lv_wal_wants_file(s->messages) || lv_wal_wants_file(s->topology);
        lv_gate_wait(&s->gate, retries ? FULL_RETRY_MS : is_marked ? 0 : IDLE_MARK_MS);
        if (!is_marked && !must_wait && !has_news(s->messages) && !has_news(s->topology)) {
            is_marked = true;
            (void)!lv_wal_mark(s->messages);
            (void)!lv_wal_mark(s->topology);
        }
    }
}

enum lv_err lv_store_start(struct lv_store *s)
{
    enum lv_err err = lv_worker_start(&s->reader, "reader");

    if (err == LV_OK)
        err = lv_worker_start(&s->keeper, "keeper");
    if (err == LV_OK)
        err = lv_thread_start(&s->thread, "log", run, s);
    return err;
}

enum lv_err lv_store_stop(struct lv_store *s)
{
    atomic_store(&s->is_stopping, true);
    lv_gate_raise(&s->gate);
    lv_thread_join(&s->thread);
    lv_worker_stop(&s->reader);
    lv_worker_stop(&s->keeper);
    if (atomic_load(&s->has_failed))
        return LV_EIO;
    return has_news(s->messages) || has_news(s->topology) ? LV_ENOSPC : LV_OK;
}

void lv_store_wake(struct lv_store *s)
{
    lv_gate_raise(&s->gate);
}

enum lv_err lv_store_step(struct lv_store *s)
{
    bool did = true, must_wait = false;
    enum lv_err err = LV_OK;

    while (did || must_wait) {
        bool was_waiting = must_wait;
        enum lv_err made = LV_OK;
        if (lv_wal_wants_file(s->messages))
            made = make_one(s, s->messages);
        if (made == LV_OK && lv_wal_wants_file(s->topology))
            made = make_one(s, s->topology);
        err = is_shortage(made) ? LV_OK : made;
        if (err == LV_OK)
            err = do_round(s, &did, &must_wait);
        if (err != LV_OK) {
            fail(s, err, "write or sync the log");
            return err;
        }
        if (was_waiting && must_wait && !did)
            return made == LV_OK ? LV_EAGAIN : made;
    }
    return err;
}

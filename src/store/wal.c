/* Append and write.
 *
 * An appender reserves its place by moving `tail`, copies the record into the ring at that place, and is done. The
 * writer must not write what is reserved and not yet copied: before an appender reserves, it puts a lower bound of
 * the place it is going to get into `low`, and takes it away when the copy is complete. So everything before the smallest
 * `low`, and before the tail that was read earlier, is complete (invariant L2).
 *
 * A record never lies in two files. One that would is placed behind the head of the next file; the appender owns the gap
 * as well and fills it with a pad record (type and length, no payload bytes). */
#include "store/wal.h"

#include <isa-l/crc.h>
#include <sched.h>
#include <stdio.h>

#include "base/mem.h"
#include "os/failpoint.h"
#include "os/os.h"
#include "store/wal_priv.h"

uint32_t lv_crc32c(struct lv_bytes b, uint32_t init)
{
    while (b.len > INT32_MAX) {
        init = crc32_iscsi((unsigned char *)(uintptr_t)b.ptr, INT32_MAX, init);
        b = lv_bytes(b.ptr + INT32_MAX, b.len - INT32_MAX);
    }
    return b.len == 0 ? init : crc32_iscsi((unsigned char *)(uintptr_t)b.ptr, (int)b.len, init);
}

/* ---- life ---- */

enum lv_err lv_wal_new(const struct lv_wal_config *config, struct lv_wal **out)
{
    size_t appenders = config->appenders + 1;
    struct lv_wal *wal =
        lv_mem_zalloc(sizeof(*wal) + appenders * sizeof(wal->appenders[0]), LV_TAG_STORE);

    *out = NULL;
    LV_ASSERT(config->file_bytes >= LV_WAL_FILE_MIN &&
              (config->file_bytes & (config->file_bytes - 1)) == 0);
    LV_ASSERT((config->ring_bytes & (config->ring_bytes - 1)) == 0);
    if (wal == NULL)
        return LV_ENOMEM;
    wal->config = *config;
    wal->file_mask = config->file_bytes - 1;
    wal->record_max = LV_MIN(LV_MIN(config->file_bytes / 8, config->ring_bytes / 8), 1u << 20);
    wal->ring = lv_mem_alloc(config->ring_bytes, LV_TAG_STORE);
    if (wal->ring == NULL) {
        lv_mem_free(wal, LV_TAG_STORE);
        return LV_ENOMEM;
    }
    for (size_t i = 0; i < appenders; i++)
        atomic_init(&wal->appenders[i].low, LV_WAL_LOW_NONE);
    *out = wal;
    return LV_OK;
}

void lv_wal_free(struct lv_wal *wal)
{
    if (wal == NULL)
        return;
    for (unsigned i = 0; i <= wal->config.appenders; i++) {
        struct lv_wal_waiting *w;
        while ((w = wal->appenders[i].first) != NULL) {
            wal->appenders[i].first = w->next;
            lv_mem_free(w, LV_TAG_STORE);
        }
    }
    lv_file_close(wal->file);
    lv_mem_free(wal->ring, LV_TAG_STORE);
    lv_mem_free(wal, LV_TAG_STORE);
}

size_t lv_wal_record_max(const struct lv_wal *wal)
{
    return wal->record_max;
}

lv_lsn lv_wal_tail(const struct lv_wal *wal)
{
    return atomic_load_explicit(&wal->tail, memory_order_acquire);
}

lv_lsn lv_wal_written(const struct lv_wal *wal)
{
    return atomic_load_explicit(&wal->written, memory_order_acquire);
}

lv_lsn lv_wal_stable(const struct lv_wal *wal)
{
    return atomic_load_explicit(&wal->stable, memory_order_acquire);
}

uint64_t lv_wal_file_bytes(const struct lv_wal *wal)
{
    return wal->config.file_bytes;
}

/* ---- append ---- */

static void ring_put(struct lv_wal *wal, lv_lsn at, const void *src, size_t bytes)
{
    size_t offset = at & (wal->config.ring_bytes - 1);
    size_t here = LV_MIN(bytes, wal->config.ring_bytes - offset);

    if (bytes == 0)
        return;
    memcpy(wal->ring + offset, src, here);
    if (here < bytes)
        memcpy(wal->ring, (const uint8_t *)src + here, bytes - here);
}

static void put_head(uint8_t head[LV_WAL_REC_HEAD], uint32_t crc, uint8_t type, size_t payload)
{
    lv_put_be32(head, crc);
    lv_put_be32(head + 4, (uint32_t)type << 24 | (uint32_t)payload);
}

/* Where the record went, and the gap before it that it owns: [pad, pad_end), empty when they are equal. */
struct place {
    lv_lsn pad, pad_end, lsn;
};

static struct place reserve(struct lv_wal *wal, size_t size)
{
    lv_lsn tail = atomic_load_explicit(&wal->tail, memory_order_relaxed);
    struct place p;

    do {
        p.pad = p.pad_end = p.lsn = tail;
        if ((tail & wal->file_mask) == 0) {
            p.lsn = tail + LV_WAL_FILE_HEAD;
        } else if ((tail & ~wal->file_mask) != ((tail + size - 1) & ~wal->file_mask)) {
            p.pad_end = (tail | wal->file_mask) + 1;
            p.lsn = p.pad_end + LV_WAL_FILE_HEAD;
        }
    } while (!atomic_compare_exchange_weak(&wal->tail, &tail, p.lsn + size));
    return p;
}

static bool fits(const struct lv_wal *wal, lv_lsn end)
{
    return end <= lv_wal_written(wal) + wal->config.ring_bytes;
}

static void put_pad(struct lv_wal *wal, lv_lsn from, lv_lsn to)
{
    uint8_t head[LV_WAL_REC_HEAD];

    if (from == to)
        return;
    put_head(head, 0, LV_REC_PAD, to - from - LV_WAL_REC_HEAD);
    lv_put_be32(head, lv_crc32c(lv_bytes(head + 4, 4), lv_wal_seed(wal, from)));
    ring_put(wal, from, head, sizeof(head));
    /* Zeros behind it: what the ring held before is nobody's record. */
    static const uint8_t zeros[4096];
    for (from += sizeof(head); from < to; from += LV_MIN(to - from, sizeof(zeros)))
        ring_put(wal, from, zeros, LV_MIN(to - from, sizeof(zeros)));
}

static void put_parts(struct lv_wal *wal, lv_lsn lsn, const uint8_t head[LV_WAL_REC_HEAD],
                      const struct lv_bytes *parts, size_t count, size_t payload)
{
    static const uint8_t zeros[8];
    lv_lsn at = lsn + LV_WAL_REC_HEAD;

    ring_put(wal, lsn, head, LV_WAL_REC_HEAD);
    for (size_t i = 0; i < count; i++) {
        ring_put(wal, at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    ring_put(wal, at, zeros, lv_wal_rec_size(payload) - LV_WAL_REC_HEAD - payload);
}

static void put_waiting(uint8_t *out, const uint8_t head[LV_WAL_REC_HEAD],
                        const struct lv_bytes *parts, size_t count, size_t bytes)
{
    uint8_t *at = out + LV_WAL_REC_HEAD;

    memcpy(out, head, LV_WAL_REC_HEAD);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len != 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    memset(at, 0, (size_t)(out + bytes - at));
}

/* Room for a record that may have to wait, wanted before its place is reserved: nothing can fail afterwards. */
static bool may_have_to_wait(const struct lv_wal *wal, const struct lv_wal_appender *a, size_t size)
{
    lv_lsn margin = (lv_lsn)size + (wal->config.appenders + 1) * (2 * wal->record_max + 128);

    return a->first != NULL || !fits(wal, lv_wal_tail(wal) + margin);
}

enum lv_err lv_wal_append(struct lv_wal *wal, unsigned appender, uint8_t type,
                          const struct lv_bytes *parts, size_t count, lv_lsn *lsn, lv_lsn *end)
{
    struct lv_wal_appender *a = &wal->appenders[appender];
    struct lv_wal_waiting *w = NULL;
    uint8_t head[LV_WAL_REC_HEAD];
    size_t payload = 0;

    for (size_t i = 0; i < count; i++)
        payload += parts[i].len;
    LV_ASSERT(payload <= wal->record_max);
    size_t size = lv_wal_rec_size(payload);
    if (LV_UNLIKELY(may_have_to_wait(wal, a, size))) {
        w = lv_mem_alloc(sizeof(*w) + size, LV_TAG_STORE);
        if (w == NULL)
            return LV_ENOMEM;
    }
    if (a->first == NULL)
        atomic_store(&a->low, atomic_load_explicit(&wal->tail, memory_order_relaxed));
    struct place p = reserve(wal, size);
    put_head(head, 0, type, payload);
    uint32_t crc = lv_crc32c(lv_bytes(head + 4, 4), lv_wal_seed(wal, p.lsn));
    for (size_t i = 0; i < count; i++)
        crc = lv_crc32c(parts[i], crc);
    lv_put_be32(head, crc);
    bool has_room = a->first == NULL && fits(wal, p.lsn + size);
    while (LV_UNLIKELY(!has_room && w == NULL)) {
        /* Others were faster than the margin allows for. The writer comes as far as here without us. */
        w = lv_mem_alloc(sizeof(*w) + size, LV_TAG_STORE);
        if (w == NULL)
            sched_yield();
        has_room = a->first == NULL && fits(wal, p.lsn + size);
    }
    if (LV_LIKELY(has_room)) {
        put_pad(wal, p.pad, p.pad_end);
        put_parts(wal, p.lsn, head, parts, count, payload);
        atomic_store_explicit(&a->low, LV_WAL_LOW_NONE, memory_order_release);
        lv_mem_free(w, LV_TAG_STORE);
    } else {
        *w = (struct lv_wal_waiting){
            .lsn = p.lsn, .bytes = size, .pad_from = p.pad, .pad_to = p.pad_end
        };
        put_waiting(w->data, head, parts, count, size);
        if (a->first != NULL)
            a->last->next = w;
        else
            a->first = w;
        a->last = w;
        atomic_store_explicit(&a->low, LV_MIN(a->first->pad_from, a->first->lsn),
                              memory_order_release);
    }
    if (lsn != NULL)
        *lsn = p.lsn;
    if (end != NULL)
        *end = p.lsn + size;
    return LV_OK;
}

bool lv_wal_pump(struct lv_wal *wal, unsigned appender)
{
    struct lv_wal_appender *a = &wal->appenders[appender];
    struct lv_wal_waiting *w;

    while ((w = a->first) != NULL && fits(wal, w->lsn + w->bytes)) {
        put_pad(wal, w->pad_from, w->pad_to);
        ring_put(wal, w->lsn, w->data, w->bytes);
        a->first = w->next;
        atomic_store_explicit(&a->low,
                              a->first != NULL ? LV_MIN(a->first->pad_from, a->first->lsn)
                                               : LV_WAL_LOW_NONE,
                              memory_order_release);
        lv_mem_free(w, LV_TAG_STORE);
    }
    return a->first == NULL;
}

bool lv_wal_is_full(const struct lv_wal *wal)
{
    return lv_wal_tail(wal) > lv_wal_written(wal) + wal->config.ring_bytes / 2;
}

/* ---- write ---- */

lv_lsn lv_wal_complete(struct lv_wal *wal)
{
    lv_lsn least = atomic_load(&wal->tail);

    for (unsigned i = 0; i <= wal->config.appenders; i++) {
        lv_lsn low = atomic_load(&wal->appenders[i].low);
        least = LV_MIN(least, low);
    }
    return least;
}

enum lv_err lv_wal_mark(struct lv_wal *wal)
{
    lv_lsn stable = lv_wal_stable(wal);
    uint8_t text[8];

    if (!lv_wal_pump(wal, wal->config.appenders))
        return LV_OK; /* the last one waits for room itself */
    if (stable <= atomic_load_explicit(&wal->marked, memory_order_relaxed))
        return LV_OK;
    lv_put_be64(text, stable);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    lv_lsn end;
    enum lv_err err = lv_wal_append(wal, wal->config.appenders, LV_REC_MARK, &part, 1, NULL, &end);
    if (err == LV_OK) /* the mark itself needs no other one */
        atomic_store_explicit(&wal->marked, end, memory_order_relaxed);
    return err;
}

/* [from, to) of the ring, which lies in one file. */
static enum lv_err write_range(struct lv_wal *wal, lv_lsn from, lv_lsn to)
{
    size_t offset = from & (wal->config.ring_bytes - 1);
    size_t bytes = to - from, here = LV_MIN(bytes, wal->config.ring_bytes - offset);
    struct lv_bytes parts[2] = { lv_bytes(wal->ring + offset, here),
                                 lv_bytes(wal->ring, bytes - here) };

    uint64_t began = lv_clock_thread_ns();
    enum lv_err err = lv_file_write(wal->file, from & wal->file_mask, parts, here < bytes ? 2 : 1);
    wal->write_ns += lv_clock_thread_ns() - began;
    wal->write_bytes += bytes;
    return err;
}

/* ---- the system's memory ----
 * What is written stays in memory as long as there is some, which is good for whoever reads it again. But each new page has its
 * price, and where a virtual machine has to ask its host for it that is many times the price of the copy. Then the log goes
 * round in the pages that it has, and asks again what new ones cost when it has written a while. */

#define FORGET_STEP (2u << 20)
#define LOOK_BYTES (8u << 20)
#define DEAR_NS_PER_KIB 400u
#define FORGET_BYTES (UINT64_C(1) << 30)

static void look_at_price(struct lv_wal *wal)
{
    if (wal->write_bytes < LOOK_BYTES)
        return;
    if (wal->write_ns / (wal->write_bytes >> 10) > DEAR_NS_PER_KIB)
        wal->forget_until = lv_wal_written(wal) + FORGET_BYTES;
    wal->write_ns = wal->write_bytes = 0;
}

static void forget_upto(struct lv_wal *wal, uint64_t upto)
{
    lv_file_forget(wal->file, wal->forgotten, upto - wal->forgotten);
    wal->forgotten = upto;
}

void lv_wal_forget(struct lv_wal *wal)
{
    uint64_t at = lv_wal_written(wal) & wal->file_mask;

    look_at_price(wal);
    if (wal->file != NULL && lv_wal_written(wal) < wal->forget_until &&
        at >= wal->forgotten + LV_WAL_CACHED_BYTES + FORGET_STEP)
        forget_upto(wal, at - LV_WAL_CACHED_BYTES);
}

/* The file that `lsn` lies in, which begins now. */
static enum lv_err next_file(struct lv_wal *wal, lv_lsn lsn)
{
    uint64_t number = lsn / wal->config.file_bytes;
    uint8_t head[LV_WAL_FILE_HEAD];

    if (number > atomic_load(&wal->newest))
        return LV_EAGAIN;
    if (wal->file != NULL && lsn < wal->forget_until)
        forget_upto(wal, wal->config.file_bytes);
    lv_file_close(wal->file);
    wal->file = NULL;
    wal->forgotten = 0;
    enum lv_err err = lv_wal_open_file(wal, number, LV_FILE_WRITE, &wal->file);
    if (err != LV_OK)
        return err == LV_ENOMEM ? LV_EAGAIN : err;
    atomic_store(&wal->current, number);
    lv_wal_write_head(wal, number, head);
    ring_put(wal, lsn, head, sizeof(head));
    return LV_OK;
}

enum lv_err lv_wal_write(struct lv_wal *wal, lv_lsn upto, bool *did)
{
    lv_lsn at = lv_wal_written(wal);

    *did = false;
    LV_ASSERT(!wal->is_poisoned && !wal->is_read_only);
    while (at < upto) {
        enum lv_err err = LV_OK;
        if ((at & wal->file_mask) == 0)
            err = next_file(wal, at);
        if (err == LV_EAGAIN)
            break;
        lv_lsn to = LV_MIN(upto, (at | wal->file_mask) + 1);
        if (err == LV_OK)
            err = write_range(wal, at, to);
        lv_failpoint("log.written");
        if (err == LV_OK && (to & wal->file_mask) == 0) /* a full file is left behind synced */
            err = lv_file_sync(wal->file);
        if (err != LV_OK)
            goto poisoned;
        at = to;
        atomic_store_explicit(&wal->written, at, memory_order_release);
        *did = true;
    }
    if (!*did)
        return at < upto ? LV_EAGAIN : LV_OK;
    if ((at & wal->file_mask) != 0) {
        enum lv_err err = lv_file_sync(wal->file);
        if (err != LV_OK)
            goto poisoned;
    }
    lv_failpoint("log.synced");
    atomic_store_explicit(&wal->stable, at, memory_order_release);
    return at < upto ? LV_EAGAIN : LV_OK;
poisoned:
    /* After a failed write or sync the kernel may have dropped the data and call it clean: no second try (L6). */
    wal->is_poisoned = true;
    return LV_EIO;
}

/* ---- files ---- */

void lv_wal_file_name(const struct lv_wal *wal, uint64_t number, char out[LV_FILE_NAME_MAX + 1])
{
    (void)snprintf(out, LV_FILE_NAME_MAX + 1, "%s-%010llx.log", wal->config.name,
                   (unsigned long long)number);
}

enum lv_err lv_wal_open_file(const struct lv_wal *wal, uint64_t number, unsigned flags,
                             struct lv_file **out)
{
    char name[LV_FILE_NAME_MAX + 1];

    lv_wal_file_name(wal, number, name);
    return lv_dir_open_file(wal->config.dir, name, flags, out);
}

/* docs/formats/wal.md: magic, format, file bytes, number, id, checksum. */
void lv_wal_write_head(const struct lv_wal *wal, uint64_t number, uint8_t out[LV_WAL_FILE_HEAD])
{
    struct lv_wr w = lv_wr(out, LV_WAL_FILE_HEAD);

    memset(out, 0, LV_WAL_FILE_HEAD);
    lv_wr_bytes(&w, "leveret\n", 8);
    lv_wr_u32(&w, LV_WAL_FORMAT);
    lv_wr_u32(&w, 0);
    lv_wr_u64(&w, wal->config.file_bytes);
    lv_wr_u64(&w, number);
    lv_wr_u64(&w, wal->config.id);
    lv_wr_u32(&w, lv_crc32c(lv_bytes(out, w.used), 0));
}

bool lv_wal_is_unused(struct lv_bytes head)
{
    static const uint8_t zeros[LV_WAL_FILE_HEAD];

    return head.len == 0 || memcmp(head.ptr, zeros, LV_MIN(head.len, sizeof(zeros))) == 0;
}

enum lv_err lv_wal_check_head(const struct lv_wal *wal, uint64_t number,
                              const uint8_t head[LV_WAL_FILE_HEAD])
{
    uint8_t want[LV_WAL_FILE_HEAD];

    if (lv_wal_is_unused(lv_bytes(head, LV_WAL_FILE_HEAD)))
        return LV_EMORE;
    lv_wal_write_head(wal, number, want);
    if (memcmp(head, want, sizeof(want)) == 0)
        return LV_OK;
    if (memcmp(head, want, 8) == 0 && lv_be32(head + 40) == lv_crc32c(lv_bytes(head, 40), 0) &&
        lv_be32(head + 8) != LV_WAL_FORMAT)
        return LV_EVERSION;
    return LV_ECORRUPT;
}

bool lv_wal_wants_file(const struct lv_wal *wal)
{
    uint64_t ahead = LV_MIN(LV_MAX(wal->config.ahead_bytes / wal->config.file_bytes, 2u), 64u);

    return atomic_load(&wal->newest) < atomic_load(&wal->current) + ahead;
}

enum lv_err lv_wal_make_file(struct lv_wal *wal)
{
    uint64_t number = atomic_load(&wal->newest) + 1;
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *f;

    lv_wal_file_name(wal, number, name);
    enum lv_err err = lv_dir_open_file(wal->config.dir, name, LV_FILE_WRITE | LV_FILE_CREATE, &f);
    if (err == LV_EEXISTS) /* an attempt that found the disk full */
        err = lv_dir_open_file(wal->config.dir, name, LV_FILE_WRITE, &f);
    if (err != LV_OK)
        return err;
    err = lv_file_reserve(f, wal->config.file_bytes);
    if (err == LV_OK)
        err = lv_file_sync(f);
    lv_failpoint("log.file_made");
    if (err == LV_OK)
        err = lv_dir_sync(wal->config.dir);
    lv_file_close(f);
    if (err == LV_OK)
        atomic_store(&wal->newest, number);
    else
        (void)!lv_dir_unlink(wal->config.dir, name); /* what it took is free again */
    return err;
}

uint64_t lv_wal_first_file(const struct lv_wal *wal)
{
    return atomic_load(&wal->first);
}

uint64_t lv_wal_current_file(const struct lv_wal *wal)
{
    return atomic_load(&wal->current);
}

enum lv_err lv_wal_remove_file(struct lv_wal *wal, uint64_t number)
{
    char name[LV_FILE_NAME_MAX + 1];

    LV_ASSERT(number < atomic_load(&wal->current));
    lv_wal_file_name(wal, number, name);
    enum lv_err err = lv_dir_unlink(wal->config.dir, name);
    if ((err == LV_OK || err == LV_ENOTFOUND) && number == atomic_load(&wal->first))
        atomic_store(&wal->first, number + 1);
    return err;
}

#include "engine/load.h"

#include "base/mem.h"
#include "engine/entry_priv.h"
#include "engine/page_priv.h"
#include "engine/rescue_priv.h"

#define GAP_BYTES 16384u /* between two records that are still read in one piece */

struct lv_load *lv_load_new(enum lv_load_kind kind, uint32_t count)
{
    struct lv_load *load =
        lv_mem_zalloc(sizeof(*load) + count * sizeof(load->places[0]), LV_TAG_STORE);

    if (load == NULL)
        return NULL;
    load->kind = kind;
    load->count = count;
    if (kind == LV_LOAD_MOVE) {
        load->orders = lv_mem_alloc(LV_MAX(count, 1u) * sizeof(*load->orders), LV_TAG_STORE);
        if (load->orders == NULL) {
            lv_mem_free(load, LV_TAG_STORE);
            return NULL;
        }
    }
    return load;
}

void lv_load_free(struct lv_load *load)
{
    for (uint32_t i = 0; load->msgs != NULL && i < load->count; i++)
        if (load->msgs[i] != NULL)
            lv_msg_unref(load->msgs[i]);
    lv_mem_free(load->msgs, LV_TAG_STORE);
    lv_mem_free(load->entries, LV_TAG_STORE);
    lv_mem_free(load->orders, LV_TAG_STORE);
    lv_mem_free(load, LV_TAG_STORE);
}

/* May the same be read later? Anything else is damage. */
static bool is_temporary(enum lv_err err)
{
    return err == LV_ENOMEM || err == LV_EIO;
}

/* ---- messages ---- */

static void mark(struct lv_msg *m, const struct lv_rec_message *r, lv_lsn lsn)
{
    m->priority = r->priority;
    m->has_priority = r->has_priority;
    m->persistent = r->persistent;
    m->has_expiration = r->has_expiration;
    m->is_ttl_seconds = r->is_ttl_seconds;
    m->has_died = r->has_died;
    m->ttl = r->ttl;
    m->published_ms = r->published_ms;
    m->lsn = lsn;
}

static void fill(struct lv_msg *m, const struct lv_rec_message *r, lv_lsn lsn)
{
    *m = (struct lv_msg){
        .refs = 1,
        .exchange_len = (uint8_t)r->exchange.len,
        .key_len = (uint8_t)r->key.len,
        .props_len = (uint32_t)r->props.len,
        .body_len = r->body_len,
        .exchange = r->exchange.ptr,
        .key = r->key.ptr,
        .props = r->props.ptr,
        .body = r->body.ptr,
    };
    mark(m, r, lsn);
}

static enum lv_err read_record(const struct lv_load *load, struct lv_wal_reader *reader, lv_lsn lsn,
                               uint8_t want, uint8_t *buf, size_t cap, struct lv_bytes *payload)
{
    size_t got, size;
    uint8_t type;
    enum lv_err err = lv_wal_read(reader, lsn, buf, cap, &got);

    if (err != LV_OK)
        return err;
    if (!lv_wal_parse(load->journal->wal, lsn, lv_bytes(buf, got), &type, payload, &size) ||
        type != want)
        return LV_ECORRUPT;
    return LV_OK;
}

static enum lv_err fill_parts(const struct lv_load *load, struct lv_wal_reader *reader,
                              struct lv_bytes list, struct lv_msg *m, uint8_t *buf, size_t cap)
{
    struct lv_bytes part;
    size_t at = 0;

    for (size_t i = 0; i < list.len; i += 8) {
        enum lv_err err =
            read_record(load, reader, lv_be64(list.ptr + i), LV_REC_PART, buf, cap, &part);
        if (err != LV_OK)
            return err;
        if (part.len > m->body_len - at)
            return LV_ECORRUPT;
        memcpy(lv_msg_body_room(m) + at, part.ptr, part.len);
        at += part.len;
    }
    return at == m->body_len ? LV_OK : LV_ECORRUPT;
}

/* A body in parts: a message of its own, filled part by part. *out NULL: damaged. LV_ENOMEM, LV_EIO. */
static enum lv_err read_parts(const struct lv_load *load, struct lv_wal_reader *reader,
                              const struct lv_rec_message *r, lv_lsn lsn, struct lv_msg **out)
{
    size_t cap = LV_WAL_REC_HEAD + lv_wal_record_max(load->journal->wal);
    struct lv_msg *m = lv_msg_new(r->exchange, r->key, r->props, r->body_len);
    uint8_t *buf = lv_mem_alloc(cap, LV_TAG_STORE);
    enum lv_err err = LV_ENOMEM;

    *out = NULL;
    if (m == NULL || buf == NULL)
        goto err;
    mark(m, r, lsn);
    err = fill_parts(load, reader, r->parts, m, buf, cap);
    if (err != LV_OK)
        goto err;
    lv_mem_free(buf, LV_TAG_STORE);
    *out = m;
    return LV_OK;
err:
    if (m != NULL)
        lv_msg_unref(m);
    lv_mem_free(buf, LV_TAG_STORE);
    return is_temporary(err) ? err : LV_OK;
}

/* Bytes to read for the record at a place: enough for all of it; for a body in parts its list. */
static size_t span_of(const struct lv_load *load, uint64_t place)
{
    size_t max = LV_WAL_REC_HEAD + lv_wal_record_max(load->journal->wal);

    return LV_MIN((size_t)lv_class_bytes(lv_place_class(place)), max);
}

/* How many places from `i` on are read in one piece, and how long it is. */
static uint32_t run_of(const struct lv_load *load, uint32_t i, size_t *bytes)
{
    lv_lsn start = lv_place_lsn(load->places[i]), end = start + span_of(load, load->places[i]);
    uint64_t file_bytes = lv_wal_file_bytes(load->journal->wal);
    lv_lsn stop = (start / file_bytes + 1) * file_bytes;
    uint32_t n = 1;

    for (; i + n < load->count; n++) {
        lv_lsn next = lv_place_lsn(load->places[i + n]);
        if (next < start || next >= stop || next > end + GAP_BYTES)
            break;
        end = LV_MAX(end, next + span_of(load, load->places[i + n]));
    }
    *bytes = (size_t)(LV_MIN(end, stop) - start);
    return n;
}

/* The account of what is alive counts a message by what its place says of it, and later by what it says itself. */
static bool is_of_place(const struct lv_rec_message *r, uint64_t place)
{
    return lv_place_class(lv_rec_message_place(r, 0)) == lv_place_class(place) &&
           (r->persistent || lv_place_is_passing(place));
}

/* Messages [from, from + n). After an error load->count says how many there are an answer for. */
static enum lv_err read_run(struct lv_load *load, struct lv_wal_reader *reader,
                            struct lv_msg_block *block, uint32_t from, uint32_t n, uint8_t *buf,
                            size_t bytes)
{
    lv_lsn start = lv_place_lsn(load->places[from]);
    size_t got;
    enum lv_err err = lv_wal_read(reader, start, buf, bytes, &got);

    if (err != LV_OK)
        got = 0;
    if (is_temporary(err)) {
        load->count = from;
        return err;
    }
    for (uint32_t i = from; i < from + n; i++) {
        lv_lsn lsn = lv_place_lsn(load->places[i]);
        size_t skip = lsn - start, size;
        struct lv_rec_message r;
        struct lv_bytes payload;
        uint8_t type;
        if (skip >= got ||
            !lv_wal_parse(load->journal->wal, lsn, lv_bytes(buf + skip, got - skip), &type,
                          &payload, &size) ||
            type != LV_REC_MESSAGE || !lv_rec_message_parse(payload, &r) ||
            !is_of_place(&r, load->places[i]))
            continue;
        if (r.parts.len != 0) {
            err = read_parts(load, reader, &r, lsn, &load->msgs[i]);
            if (err == LV_OK)
                continue;
            load->count = i;
            return err;
        }
        struct lv_msg *m = &block->msgs[block->count++];
        fill(m, &r, lsn);
        m->in_block = true;
        m->block = block;
        block->refs++;
        load->msgs[i] = m;
    }
    return LV_OK;
}

static enum lv_err load_messages(struct lv_load *load, struct lv_wal_reader *reader)
{
    size_t total = 0, bytes;

    load->msgs = lv_mem_zalloc(LV_MAX(load->count, 1u) * sizeof(struct lv_msg *), LV_TAG_STORE);
    if (load->msgs == NULL)
        return LV_ENOMEM;
    for (uint32_t i = 0; i < load->count; i += run_of(load, i, &bytes)) {
        (void)run_of(load, i, &bytes);
        total += bytes;
    }
    size_t head = sizeof(struct lv_msg_block) + load->count * sizeof(struct lv_msg);
    struct lv_msg_block *block = lv_mem_alloc(head + total, LV_TAG_MESSAGE);
    if (block == NULL) {
        load->count = 0;
        return LV_ENOMEM;
    }
    block->refs = 1; /* ours, while it is filled */
    block->count = 0;
    uint8_t *buf = (uint8_t *)block + head;
    enum lv_err err = LV_OK;
    for (uint32_t i = 0; i < load->count && err == LV_OK;) {
        uint32_t n = run_of(load, i, &bytes);
        err = read_run(load, reader, block, i, n, buf, bytes);
        buf += bytes;
        i += n;
    }
    if (--block->refs == 0)
        lv_mem_free(block, LV_TAG_MESSAGE);
    return err;
}

/* ---- pages ---- */

static enum lv_err load_page(struct lv_load *load, struct lv_wal_reader *reader)
{
    size_t cap = LV_WAL_REC_HEAD + lv_wal_record_max(load->journal->wal);
    uint8_t *buf = lv_mem_alloc(cap, LV_TAG_STORE);
    struct lv_bytes payload;

    if (buf == NULL)
        return LV_ENOMEM;
    enum lv_err err = read_record(load, reader, lv_place_lsn(load->places[0]), LV_REC_PAGE, buf,
                                  LV_MIN(cap, LV_WAL_REC_HEAD + LV_PAGE_BYTES_MAX), &payload);
    if (err == LV_OK)
        err = lv_page_parse(payload, NULL, &load->entries, &load->entry_count);
    lv_mem_free(buf, LV_TAG_STORE);
    if (err == LV_OK && !lv_page_is(&load->page, load->entries, load->entry_count)) {
        lv_mem_free(load->entries, LV_TAG_STORE);
        err = LV_ECORRUPT;
    }
    if (err == LV_OK || is_temporary(err))
        return err;
    load->is_rescued = true;
    return lv_page_rescue(load->journal->wal, &load->page, &load->entries, &load->entry_count);
}

static enum lv_err add_page(struct lv_load *load, struct lv_wal_reader *reader, uint64_t place)
{
    size_t cap = LV_WAL_REC_HEAD + LV_PAGE_BYTES_MAX;
    uint8_t *buf = lv_mem_alloc(cap, LV_TAG_STORE);
    struct lv_bytes payload;
    struct lv_entry *page = NULL;
    uint32_t n = 0;

    if (buf == NULL)
        return LV_ENOMEM;
    enum lv_err err =
        read_record(load, reader, lv_place_lsn(place), LV_REC_PAGE, buf, cap, &payload);
    if (err == LV_OK)
        err = lv_page_parse(payload, NULL, &page, &n);
    lv_mem_free(buf, LV_TAG_STORE);
    if (err != LV_OK)
        return err;
    struct lv_entry *all =
        lv_mem_realloc(load->entries, (load->entry_count + n) * sizeof(*all), LV_TAG_STORE);
    if (all != NULL) {
        memcpy(all + load->entry_count, page, n * sizeof(*page));
        load->entries = all;
        load->entry_count += n;
    }
    lv_mem_free(page, LV_TAG_STORE);
    return all != NULL ? LV_OK : LV_ENOMEM;
}

/* All pages of a queue that is gone, one behind the other in `entries`. What is in a damaged one keeps its file. */
static enum lv_err load_shed(struct lv_load *load, struct lv_wal_reader *reader)
{
    lv_mem_free(load->entries, LV_TAG_STORE); /* of a run before */
    load->entries = NULL;
    load->entry_count = 0;
    for (load->done = 0; load->done < load->count; load->done++) {
        enum lv_err err = add_page(load, reader, load->places[load->done]);
        if (is_temporary(err))
            return err;
    }
    return LV_OK;
}

void lv_load_run(struct lv_load *load, struct lv_wal_reader *reader)
{
    if (load->kind == LV_LOAD_PAGE)
        load->err = load_page(load, reader);
    else if (load->kind == LV_LOAD_SHED)
        load->err = load_shed(load, reader);
    else
        load->err = load_messages(load, reader);
}

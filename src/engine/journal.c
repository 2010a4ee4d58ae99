#include "engine/journal.h"

#include "base/mem.h"
#include "engine/queue_priv.h"
#include "os/failpoint.h"

/* ---- places ---- */

/* Up to 15 exactly; then five bits of exponent and three of mantissa, rounded up. */
unsigned lv_size_class(uint64_t bytes)
{
    if (bytes < 16)
        return (unsigned)bytes;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(bytes); /* at least 4 */
    unsigned mantissa = (unsigned)(bytes >> (exponent - 3)) & 7;
    unsigned size_class = 16 + (exponent - 4) * 8 + mantissa;

    if ((bytes & ((UINT64_C(1) << (exponent - 3)) - 1)) != 0)
        size_class++;
    return LV_MIN(size_class, 255u);
}

uint64_t lv_class_bytes(unsigned size_class)
{
    if (size_class < 16)
        return size_class;
    return (UINT64_C(8) + (size_class - 16) % 8) << (1 + (size_class - 16) / 8);
}

#define MESSAGE_HEAD 40u

uint64_t lv_msg_log_bytes(const struct lv_msg *m)
{
    return lv_wal_rec_size(MESSAGE_HEAD + m->exchange_len + m->key_len + (uint64_t)m->props_len +
                           m->body_len);
}

static uint64_t place_make(lv_lsn lsn, uint64_t bytes, bool passing, bool expires)
{
    return (uint64_t)lv_size_class(bytes) << 56 | lsn | LV_PLACE_IN_LOG |
           (passing ? LV_PLACE_PASSING : 0) | (expires ? LV_PLACE_EXPIRES : 0);
}

uint64_t lv_place_of(const struct lv_msg *m)
{
    return place_make(lv_msg_lsn(m), lv_msg_log_bytes(m), !m->persistent, m->has_expiration);
}

uint64_t lv_rec_message_place(const struct lv_rec_message *m, lv_lsn lsn)
{
    uint64_t bytes = lv_wal_rec_size(MESSAGE_HEAD + m->exchange.len + m->key.len + m->props.len +
                                     (uint64_t)m->body_len);

    return place_make(lsn, bytes, !m->persistent, m->has_expiration);
}

/* ---- life ---- */

enum lv_err lv_journal_init(struct lv_journal *j, struct lv_wal *wal, unsigned appender,
                            _Atomic uint32_t *back, const struct lv_journal_ops *ops, void *ctx)
{
    *j = (struct lv_journal){
        .wal = wal,
        .appender = appender,
        .back = back,
        .ops = ops,
        .ctx = ctx,
        .here_max = 8u << 20,
        .passing_max = UINT64_MAX,
    };
    lv_list_init(&j->changed);
    lv_list_init(&j->blocked);
    lv_list_init(&j->failed);
    j->live = lv_mem_zalloc(LV_WAL_FILES_MAX * sizeof(*j->live), LV_TAG_STORE);
    return j->live != NULL ? LV_OK : LV_ENOMEM;
}

void lv_journal_fini(struct lv_journal *j)
{
    struct lv_load *load;

    while ((load = j->sheds) != NULL) {
        j->sheds = (struct lv_load *)load->job.next;
        lv_load_free(load);
    }
    lv_mem_free(j->live, LV_TAG_STORE);
    j->live = NULL;
}

/* They may block or fail again. */
static void unblock(struct lv_link *queues, uint64_t now)
{
    struct lv_link ready;
    struct lv_link *l;

    lv_list_init(&ready);
    lv_list_splice(&ready, queues);
    while ((l = lv_list_pop(&ready)) != NULL)
        lv_queue_unblocked(LV_CONTAINER_OF(l, struct lv_queue, blocked), now);
}

void lv_journal_stable(struct lv_journal *j, uint64_t now)
{
    unblock(&j->blocked, now);
}

void lv_journal_retry(struct lv_journal *j, uint64_t now)
{
    struct lv_load *sheds = j->sheds, *next;

    j->sheds = NULL;
    for (; sheds != NULL; sheds = next) {
        next = (struct lv_load *)sheds->job.next;
        j->ops->load(j, sheds);
    }
    unblock(&j->failed, now);
}

/* ---- append ---- */

enum lv_err lv_journal_append(struct lv_journal *j, uint8_t type, const struct lv_bytes *parts,
                              size_t count, lv_lsn *lsn)
{
    lv_lsn end;
    enum lv_err err = lv_wal_append(j->wal, j->appender, type, parts, count, lsn, &end);

    if (err == LV_OK)
        j->end = end;
    return err;
}

enum {
    FLAG_PERSISTENT = 1,
    FLAG_MOVED = 2,
    FLAG_EXPIRATION = 4,
    FLAG_PARTS = 8,
    FLAG_PRIORITY = 16,
    FLAG_TTL_SECONDS = 32,
    FLAG_DIED = 64,
};

static uint8_t flags_of(const struct lv_msg *m, bool is_moved, bool has_parts)
{
    return (uint8_t)((m->persistent ? FLAG_PERSISTENT : 0) | (is_moved ? FLAG_MOVED : 0) |
                     (m->has_expiration ? FLAG_EXPIRATION : 0) | (has_parts ? FLAG_PARTS : 0) |
                     (m->has_priority ? FLAG_PRIORITY : 0) |
                     (m->is_ttl_seconds ? FLAG_TTL_SECONDS : 0) | (m->has_died ? FLAG_DIED : 0));
}

static enum lv_err enter(struct lv_journal *j, uint64_t id, uint64_t seq, uint64_t place)
{
    uint8_t text[24];

    lv_put_be64(text, id);
    lv_put_be64(text + 8, seq);
    lv_put_be64(text + 16, place);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    return lv_journal_append(j, LV_REC_ENTER, &part, 1, NULL);
}

/* The body in records of its own; `list` gets their LSNs (room for all). */
static enum lv_err append_parts(struct lv_journal *j, struct lv_bytes body, uint8_t *list,
                                lv_lsn *first)
{
    size_t step = lv_wal_record_max(j->wal);

    for (size_t at = 0; at < body.len; at += step, list += 8) {
        struct lv_bytes part = lv_bytes(body.ptr + at, LV_MIN(step, body.len - at));
        lv_lsn lsn;
        enum lv_err err = lv_journal_append(j, LV_REC_PART, &part, 1, &lsn);
        if (err != LV_OK)
            return err;
        if (at == 0)
            *first = lsn;
        lv_put_be64(list, lsn);
    }
    return LV_OK;
}

/* The file of `lsn` holds a message whose parts begin at `first`: that file stays as long as this one. */
void lv_journal_note_back(struct lv_journal *j, lv_lsn first, lv_lsn lsn)
{
    uint64_t bytes = lv_wal_file_bytes(j->wal), file = lv_lsn_file(lsn, bytes);

    if (j->back == NULL) /* for inspection: nothing is removed */
        return;
    uint32_t back = (uint32_t)(file - lv_lsn_file(first, bytes));
    _Atomic uint32_t *at = &j->back[file % LV_WAL_FILES_MAX];
    uint32_t old = atomic_load(at);

    while (old < back && !atomic_compare_exchange_weak(at, &old, back)) {
    }
}

static enum lv_err append_message(struct lv_journal *j, uint64_t id, uint64_t seq, struct lv_msg *m,
                                  bool is_moved, lv_lsn *lsn)
{
    uint8_t head[MESSAGE_HEAD];
    struct lv_bytes body = lv_msg_body(m);
    uint8_t *list = NULL;
    lv_lsn first = 0;
    enum lv_err err = LV_OK;
    size_t names = (size_t)m->exchange_len + m->key_len + m->props_len;
    bool has_parts = MESSAGE_HEAD + names + body.len > lv_wal_record_max(j->wal);

    if (has_parts) {
        size_t count = (body.len + lv_wal_record_max(j->wal) - 1) / lv_wal_record_max(j->wal);
        if (MESSAGE_HEAD + names + count * 8 > lv_wal_record_max(j->wal))
            return LV_EFULL; /* properties, or a list of parts, that no record holds: refused, not lost silently */
        list = lv_mem_alloc(LV_MAX(count, 1u) * 8, LV_TAG_STORE);
        if (list == NULL)
            return LV_ENOMEM;
        err = append_parts(j, body, list, &first);
        body = lv_bytes(list, count * 8);
    }
    struct lv_wr w = lv_wr(head, sizeof(head));
    lv_wr_u64(&w, id);
    lv_wr_u64(&w, seq);
    lv_wr_u64(&w, m->published_ms);
    lv_wr_u8(&w, flags_of(m, is_moved, has_parts));
    lv_wr_u8(&w, m->priority);
    lv_wr_u8(&w, m->exchange_len);
    lv_wr_u8(&w, m->key_len);
    lv_wr_u32(&w, m->props_len);
    lv_wr_u32(&w, m->body_len);
    lv_wr_u32(&w, m->ttl);
    struct lv_bytes parts[] = { lv_bytes(head, sizeof(head)), lv_msg_exchange(m), lv_msg_key(m),
                                lv_msg_props(m), body };
    if (err == LV_OK)
        err = lv_journal_append(j, LV_REC_MESSAGE, parts, LV_ARRAY_LEN(parts), lsn);
    if (err == LV_OK && has_parts && body.len != 0)
        lv_journal_note_back(j, first, *lsn);
    lv_mem_free(list, LV_TAG_STORE);
    return err;
}

/* ---- collecting ---- */

static bool make_room(void **list, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return true;
    size_t more = *cap != 0 ? *cap * 2 : 64;
    void *grown = lv_mem_realloc(*list, more * size, LV_TAG_STORE);
    if (grown == NULL)
        return false;
    *list = grown;
    *cap = more;
    return true;
}

static enum lv_err collect_enter(struct lv_journal *j, uint64_t id, uint64_t seq, uint64_t place)
{
    struct lv_tx_collected *c = &j->collected;

    if (!make_room((void **)&c->enters, &c->enter_cap, c->enter_count, sizeof(*c->enters)))
        return LV_ENOMEM;
    c->enters[c->enter_count++] = (struct lv_tx_enter){ id, seq, place };
    return LV_OK;
}

static enum lv_err collect_drops(struct lv_journal *j, uint64_t id,
                                 const struct lv_seq_range *ranges, size_t count)
{
    struct lv_tx_collected *c = &j->collected;

    for (size_t i = 0; i < count; i++) {
        for (uint64_t k = 0; k < ranges[i].count; k++) {
            if (!make_room((void **)&c->drops, &c->drop_cap, c->drop_count, sizeof(*c->drops))) {
                c->is_short = true;
                return LV_ENOMEM;
            }
            c->drops[c->drop_count++] = (struct lv_tx_drop){ id, ranges[i].seq + k };
        }
    }
    return LV_OK;
}

void lv_journal_tx_begin(struct lv_journal *j)
{
    LV_ASSERT(!j->is_collecting);
    j->is_collecting = true;
}

enum lv_err lv_journal_tx_end(struct lv_journal *j, uint64_t tx)
{
    struct lv_tx_collected *c = &j->collected;

    j->is_collecting = false;
    lv_failpoint("tx.bodies");
    enum lv_err err =
        c->is_short ? LV_ENOMEM
                    : lv_journal_tx(j, tx, c->enters, c->enter_count, c->drops, c->drop_count);
    lv_mem_free(c->enters, LV_TAG_STORE);
    lv_mem_free(c->drops, LV_TAG_STORE);
    *c = (struct lv_tx_collected){ 0 };
    return err;
}

enum lv_err lv_journal_message(struct lv_journal *j, uint64_t id, uint64_t seq, struct lv_msg *m,
                               bool is_moved)
{
    lv_lsn lsn = lv_msg_lsn(m);

    if (LV_UNLIKELY(j->is_collecting) && id != LV_QUEUE_ID_NONE) {
        enum lv_err err = lsn != 0 ? LV_OK : append_message(j, LV_QUEUE_ID_NONE, 0, m, false, &lsn);
        if (err == LV_OK) {
            lv_msg_set_lsn(m, lsn);
            err = collect_enter(j, id, seq, lv_place_of(m));
        }
        return err;
    }
    if (lsn != 0 && !is_moved)
        return id != LV_QUEUE_ID_NONE ? enter(j, id, seq, lv_place_of(m)) : LV_OK;
    enum lv_err err = append_message(j, id, seq, m, is_moved, &lsn);
    if (err == LV_OK)
        lv_msg_set_lsn(m, lsn);
    return err;
}

enum lv_err lv_journal_drop(struct lv_journal *j, uint64_t id, const struct lv_seq_range *ranges,
                            size_t count)
{
    uint8_t text[8 + 16 * 64];

    if (LV_UNLIKELY(j->is_collecting))
        return collect_drops(j, id, ranges, count);
    while (count > 0) {
        struct lv_wr w = lv_wr(text, sizeof(text));
        size_t n = LV_MIN(count, (size_t)64);
        lv_wr_u64(&w, id);
        for (size_t i = 0; i < n; i++) {
            lv_wr_u64(&w, ranges[i].seq);
            lv_wr_u64(&w, ranges[i].count);
        }
        struct lv_bytes part = lv_bytes(text, w.used);
        enum lv_err err = lv_journal_append(j, LV_REC_DROP, &part, 1, NULL);
        if (err != LV_OK)
            return err;
        ranges += n;
        count -= n;
    }
    return LV_OK;
}

enum lv_err lv_journal_count(struct lv_journal *j, uint64_t id, uint64_t seq, uint32_t count)
{
    uint8_t text[20];

    lv_put_be64(text, id);
    lv_put_be64(text + 8, seq);
    lv_put_be32(text + 16, count);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    return lv_journal_append(j, LV_REC_COUNT, &part, 1, NULL);
}

/* ---- transactions ---- */

#define TX_HEAD 16u
#define TX_ENTER 24u
#define TX_DROP 16u

/* As much of what is left as one record holds. */
static enum lv_err append_tx(struct lv_journal *j, uint64_t tx, const struct lv_tx_enter **enters,
                             size_t *enter_count, const struct lv_tx_drop **drops,
                             size_t *drop_count)
{
    size_t room = lv_wal_record_max(j->wal) - TX_HEAD;
    size_t e = LV_MIN(*enter_count, room / TX_ENTER);
    size_t d = LV_MIN(*drop_count, (room - e * TX_ENTER) / TX_DROP);
    size_t bytes = TX_HEAD + e * TX_ENTER + d * TX_DROP;
    uint8_t *text = lv_mem_alloc(bytes, LV_TAG_STORE);

    if (text == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(text, bytes);
    lv_wr_u64(&w, tx);
    lv_wr_u32(&w, (uint32_t)e);
    lv_wr_u32(&w, (uint32_t)d);
    for (size_t i = 0; i < e; i++) {
        lv_wr_u64(&w, (*enters)[i].id);
        lv_wr_u64(&w, (*enters)[i].seq);
        lv_wr_u64(&w, (*enters)[i].place);
    }
    for (size_t i = 0; i < d; i++) {
        lv_wr_u64(&w, (*drops)[i].id);
        lv_wr_u64(&w, (*drops)[i].seq);
    }
    struct lv_bytes part = lv_bytes(text, bytes);
    enum lv_err err = lv_journal_append(j, LV_REC_TX, &part, 1, NULL);
    lv_mem_free(text, LV_TAG_STORE);
    *enters += e;
    *enter_count -= e;
    *drops += d;
    *drop_count -= d;
    return err;
}

enum lv_err lv_journal_tx(struct lv_journal *j, uint64_t tx, const struct lv_tx_enter *enters,
                          size_t enter_count, const struct lv_tx_drop *drops, size_t drop_count)
{
    size_t bytes = TX_HEAD + enter_count * TX_ENTER + drop_count * TX_DROP;
    bool is_split = tx == 0 && bytes > lv_wal_record_max(j->wal);

    if (is_split)
        tx = lv_wal_tail(j->wal) << 6 | (j->appender & 63);
    while (enter_count + drop_count > 0) {
        enum lv_err err = append_tx(j, tx, &enters, &enter_count, &drops, &drop_count);
        if (err != LV_OK)
            return err;
        lv_failpoint("tx.part");
    }
    return is_split ? lv_journal_commit(j, tx) : LV_OK;
}

enum lv_err lv_journal_commit(struct lv_journal *j, uint64_t tx)
{
    uint8_t text[8];

    lv_put_be64(text, tx);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    enum lv_err err = lv_journal_append(j, LV_REC_COMMIT, &part, 1, NULL);
    lv_failpoint("tx.commit");
    return err;
}

/* ---- read ---- */

bool lv_rec_message_parse(struct lv_bytes payload, struct lv_rec_message *out)
{
    struct lv_rd r = lv_rd(payload);

    out->id = lv_rd_u64(&r);
    out->seq = lv_rd_u64(&r);
    out->published_ms = lv_rd_u64(&r);
    uint8_t flags = lv_rd_u8(&r);
    out->priority = lv_rd_u8(&r);
    size_t exchange = lv_rd_u8(&r), key = lv_rd_u8(&r);
    uint32_t props = lv_rd_u32(&r);
    out->body_len = lv_rd_u32(&r);
    out->ttl = lv_rd_u32(&r);
    out->persistent = (flags & FLAG_PERSISTENT) != 0;
    out->is_moved = (flags & FLAG_MOVED) != 0;
    out->has_expiration = (flags & FLAG_EXPIRATION) != 0;
    out->has_priority = (flags & FLAG_PRIORITY) != 0;
    out->has_died = (flags & FLAG_DIED) != 0;
    out->is_ttl_seconds = (flags & FLAG_TTL_SECONDS) != 0;
    out->exchange = lv_rd_bytes(&r, exchange);
    out->key = lv_rd_bytes(&r, key);
    out->props = lv_rd_bytes(&r, props);
    out->body = out->parts = lv_bytes(NULL, 0);
    if ((flags & FLAG_PARTS) != 0) {
        out->parts = lv_rd_bytes(&r, lv_rd_left(&r));
        return !r.bad && out->parts.len % 8 == 0 && out->parts.len != 0;
    }
    out->body = lv_rd_bytes(&r, out->body_len);
    return !r.bad && lv_rd_left(&r) == 0;
}

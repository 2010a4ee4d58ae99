#include "engine/restore.h"

#include "base/mem.h"
#include "engine/account.h"
#include "engine/queue_priv.h"
#include "engine/rescue_priv.h"
#include "engine/state_priv.h"

#define STATE_PARTS_MAX 1048576u
#define READ_FIRST 4096u /* most states are short */
#define RESCUES_MAX \
    64u /* pages put together again while a broker starts: each reads the whole log */
#define SEQ_MAX (UINT64_MAX >> (LV_ORDER_SHIFT + 1))

/* A lane of a queue while its records are read. Entries and pages each in the order of their places; no two overlap. */
struct lane {
    struct lane *next;
    uint64_t id; /* the queue's */
    unsigned number;
    struct lv_entry *entries; /* place 0: gone */
    size_t count, cap, dead;
    bool has_gone; /* entries that are gone, and may be entered by a commit that is still to come */
    struct lv_state_page *pages;
    size_t page_count, page_cap;
    uint64_t last; /* while a state is read: a sequence number and one */
};

struct failures {
    uint64_t seq;
    uint32_t count;
};

struct lv_restore {
    uint64_t id;
    UT_hash_handle hh;
    bool exists;
    lv_lsn state_lsn; /* records up to here are in it already */
    uint64_t state_place;
    uint64_t seq_next, handed;
    struct lane *lanes;        /* by number */
    struct failures *failures; /* the last one of a message counts */
    size_t failure_count, failure_cap;
};

/* The parts of a transaction whose commit was not seen yet. */
struct part {
    struct part *next;
    lv_lsn lsn;
    size_t len;
    uint8_t payload[];
};
struct tx {
    uint64_t id;
    UT_hash_handle hh;
    struct part *first, *last;
};

struct lv_recovery {
    struct lv_journal *j;
    struct lv_wal_reader *reader;
    bool counts, is_topology_damaged;
    bool is_ending;           /* no later state tells more */
    bool is_unsure;           /* what is in some pages cannot be found out: it may be in any file */
    uint64_t next_id, id_max; /* as the topology tells; the greatest that was met */
    struct lv_restore *queues; /* by id */
    struct tx *txs;            /* by id */
    struct lv_restore *last;   /* used last */
    uint64_t damaged, rescued, rescues, open_tx, unknown_queues, unknown_messages;
    uint8_t *buf; /* for reading */
    size_t cap;
};

/* ---- life ---- */

enum lv_err lv_recovery_new(struct lv_journal *j, struct lv_wal_reader *reader, bool counts,
                            struct lv_recovery **out)
{
    struct lv_recovery *r = lv_mem_zalloc(sizeof(*r), LV_TAG_STORE);

    *out = NULL;
    if (r == NULL)
        return LV_ENOMEM;
    r->j = j;
    r->reader = reader;
    r->counts = counts;
    r->next_id = UINT64_MAX;
    r->cap = LV_WAL_REC_HEAD + lv_wal_record_max(j->wal);
    r->buf = lv_mem_alloc(r->cap, LV_TAG_STORE);
    if (r->buf == NULL) {
        lv_mem_free(r, LV_TAG_STORE);
        return LV_ENOMEM;
    }
    *out = r;
    return LV_OK;
}

static void lanes_free(struct lane *lane)
{
    struct lane *next;

    for (; lane != NULL; lane = next) {
        next = lane->next;
        lv_mem_free(lane->entries, LV_TAG_STORE);
        lv_mem_free(lane->pages, LV_TAG_STORE);
        lv_mem_free(lane, LV_TAG_STORE);
    }
}

static void queue_free(struct lv_recovery *r, struct lv_restore *q)
{
    if (r->last == q)
        r->last = NULL;
    HASH_DEL(r->queues, q);
    lanes_free(q->lanes);
    lv_mem_free(q->failures, LV_TAG_STORE);
    lv_mem_free(q, LV_TAG_STORE);
}

/* Where a message of that sequence number is; NULL: nowhere. */
static struct lane *lane_of(const struct lv_restore *q, uint64_t seq)
{
    struct lane *lane = q->lanes;

    while (lane != NULL && lane->number < lv_seq_lane(seq))
        lane = lane->next;
    return lane != NULL && lane->number == lv_seq_lane(seq) ? lane : NULL;
}

static struct lane *lane_make(struct lv_restore *q, uint64_t seq)
{
    struct lane **at = &q->lanes;

    while (*at != NULL && (*at)->number < lv_seq_lane(seq))
        at = &(*at)->next;
    if (*at != NULL && (*at)->number == lv_seq_lane(seq))
        return *at;
    struct lane *lane = lv_mem_zalloc(sizeof(*lane), LV_TAG_STORE);
    if (lane == NULL)
        return NULL;
    lane->id = q->id;
    lane->number = lv_seq_lane(seq);
    lane->next = *at;
    *at = lane;
    return lane;
}

static void tx_free(struct lv_recovery *r, struct tx *tx)
{
    struct part *p;

    while ((p = tx->first) != NULL) {
        tx->first = p->next;
        lv_mem_free(p, LV_TAG_STORE);
    }
    HASH_DEL(r->txs, tx);
    lv_mem_free(tx, LV_TAG_STORE);
}

void lv_recovery_free(struct lv_recovery *r)
{
    if (r == NULL)
        return;
    while (r->queues != NULL)
        queue_free(r, r->queues);
    while (r->txs != NULL)
        tx_free(r, r->txs);
    lv_mem_free(r->buf, LV_TAG_STORE);
    lv_mem_free(r, LV_TAG_STORE);
}

static struct lv_restore *find(struct lv_recovery *r, uint64_t id)
{
    struct lv_restore *q = r->last;

    if (q != NULL && q->id == id)
        return q;
    HASH_FIND(hh, r->queues, &id, sizeof(id), q);
    if (q != NULL)
        r->last = q;
    return q;
}

static struct lv_restore *find_or_add(struct lv_recovery *r, uint64_t id)
{
    struct lv_restore *q = find(r, id);

    if (q != NULL)
        return q;
    q = lv_mem_zalloc(sizeof(*q), LV_TAG_STORE);
    if (q == NULL)
        return NULL;
    q->id = id;
    HASH_ADD(hh, r->queues, id, sizeof(q->id), q);
    if (q->hh.tbl == NULL) {
        lv_mem_free(q, LV_TAG_STORE);
        return NULL;
    }
    return q;
}

void lv_recovery_topology(struct lv_recovery *r, uint64_t next_id, bool is_damaged)
{
    r->next_id = next_id;
    r->is_topology_damaged = is_damaged;
}

/* No message is stable whose queue is not (S2), and no id is given twice: one that is greater than the topology knows
 * says that the topology has lost something. */
static bool may_exist(const struct lv_recovery *r, const struct lv_restore *q)
{
    return q->exists || r->is_topology_damaged || q->id >= r->next_id;
}

/* The queue that a record is about; NULL: one that was deleted, or none. LV_ENOMEM. */
static enum lv_err meet(struct lv_recovery *r, uint64_t id, struct lv_restore **out)
{
    *out = find(r, id);
    r->id_max = LV_MAX(r->id_max, id);
    if (*out != NULL || id == LV_QUEUE_ID_NONE || (!r->is_topology_damaged && id < r->next_id))
        return LV_OK;
    *out = find_or_add(r, id);
    return *out != NULL ? LV_OK : LV_ENOMEM;
}

enum lv_err lv_recovery_queue(struct lv_recovery *r, uint64_t id)
{
    struct lv_restore *q = find_or_add(r, id);

    if (q == NULL)
        return LV_ENOMEM;
    q->exists = true;
    return LV_OK;
}

/* ---- what is in a queue ---- */

static void live(struct lv_recovery *r, uint64_t place, int n)
{
    if (r->counts)
        lv_journal_live(r->j, place, n);
}

/* Index of the first entry whose order is not smaller. */
static size_t lower(const struct lane *q, uint64_t order)
{
    size_t lo = 0, hi = q->count;

    if (q->count == 0 || q->entries[q->count - 1].order < order)
        return q->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (q->entries[mid].order < order)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void squeeze(struct lane *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->count; i++)
        if (q->entries[i].place != 0)
            q->entries[n++] = q->entries[i];
    q->count = n;
    q->dead = 0;
}

static enum lv_err want_entries(struct lane *q, size_t more)
{
    if (q->dead > q->count / 2 && !q->has_gone)
        squeeze(q);
    if (q->count + more <= q->cap)
        return LV_OK;
    size_t cap = LV_MAX(q->cap * 2, q->count + more + 16);
    struct lv_entry *entries = lv_mem_realloc(q->entries, cap * sizeof(*entries), LV_TAG_STORE);
    if (entries == NULL)
        return LV_ENOMEM;
    q->entries = entries;
    q->cap = cap;
    return LV_OK;
}

/* LV_ECORRUPT; LV_ENOTFOUND: there is no such file. */
static enum lv_err read_record(struct lv_recovery *r, lv_lsn lsn, uint8_t want,
                               struct lv_bytes *payload)
{
    size_t got, size;
    uint8_t type;
    enum lv_err err = lv_wal_read(r->reader, lsn, r->buf, LV_MIN(r->cap, (size_t)READ_FIRST), &got);

    if (err == LV_OK && lv_wal_parse(r->j->wal, lsn, lv_bytes(r->buf, got), &type, payload, &size))
        return type == want ? LV_OK : LV_ECORRUPT;
    if (err == LV_OK)
        err = lv_wal_read(r->reader, lsn, r->buf, r->cap, &got); /* maybe it is a long one */
    if (err == LV_ENOMEM || err == LV_EIO ||
        err == LV_ENOTFOUND) /* nothing says that it is damaged */
        return err;
    if (err != LV_OK ||
        !lv_wal_parse(r->j->wal, lsn, lv_bytes(r->buf, got), &type, payload, &size) || type != want)
        return LV_ECORRUPT;
    return LV_OK;
}

/* Entries of a page; the caller frees them. *count is less than the page's when some of a damaged one are lost. */
static enum lv_err read_page(struct lv_recovery *r, const struct lane *q,
                             const struct lv_state_page *page, struct lv_entry **entries,
                             uint32_t *count)
{
    struct lv_load_page want = { q->id, page->place, page->first, page->last, page->count };
    struct lv_bytes payload;
    enum lv_err err = read_record(r, lv_place_lsn(page->place), LV_REC_PAGE, &payload);

    *entries = NULL;
    if (err == LV_OK)
        err = lv_page_parse(payload, NULL, entries, count);
    if (err == LV_OK && !lv_page_is(&want, *entries, *count)) {
        lv_mem_free(*entries, LV_TAG_STORE);
        err = LV_ECORRUPT;
    }
    if (err != LV_ECORRUPT && err != LV_ENOTFOUND)
        return err;
    r->damaged++;
    if ((err == LV_ENOTFOUND && !r->is_ending) || /* its file was given up: a later state tells more */
        r->rescues == RESCUES_MAX)
        return LV_ECORRUPT;
    r->rescues++;
    err = lv_page_rescue(r->j->wal, &want, entries, count);
    r->rescued += err == LV_OK && *count == page->count;
    return err;
}

/* Something in a page changes: its entries stand for it from now on. */
static enum lv_err open_page(struct lv_recovery *r, struct lane *q, size_t i)
{
    struct lv_state_page page = q->pages[i];
    struct lv_entry *list;
    uint32_t n = 0;
    enum lv_err err = read_page(r, q, &page, &list, &n);

    if (err == LV_ECORRUPT)
        return LV_OK; /* it stays a page: whoever reads it will be told again */
    if (err == LV_OK)
        err = want_entries(q, n);
    if (err != LV_OK) {
        lv_mem_free(list, LV_TAG_STORE);
        return err;
    }
    size_t at = lower(q, page.first);
    memmove(q->entries + at + n, q->entries + at, (q->count - at) * sizeof(*q->entries));
    memcpy(q->entries + at, list, n * sizeof(*list));
    q->count += n;
    lv_mem_free(list, LV_TAG_STORE);
    memmove(q->pages + i, q->pages + i + 1, (q->page_count - i - 1) * sizeof(*q->pages));
    q->page_count--;
    live(r, page.place, -1);
    return LV_OK;
}

/* The first page that ends at `seq` or behind it, or page_count. */
static size_t page_from(const struct lane *q, uint64_t seq)
{
    size_t lo = 0, hi = q->page_count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (q->pages[mid].last >> LV_ORDER_SHIFT < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The page that holds `seq`, or page_count. */
static size_t page_of(const struct lane *q, uint64_t seq)
{
    size_t at = page_from(q, seq);

    return at < q->page_count && q->pages[at].first >> LV_ORDER_SHIFT <= seq ? at : q->page_count;
}

/* Of a message that survives a restart. */
static bool is_place(uint64_t place)
{
    return (place & LV_PLACE_IN_LOG) != 0 && lv_place_lsn(place) != 0 && !lv_place_is_passing(place);
}

static enum lv_err enter(struct lv_recovery *r, struct lv_restore *queue, uint64_t seq,
                         uint64_t place)
{
    if (seq > SEQ_MAX ||
        !is_place(place)) { /* valid bytes, and no sense in them: nothing to be trusted */
        r->damaged++;
        return LV_OK;
    }
    struct lane *q = lane_make(queue, seq);
    if (q == NULL)
        return LV_ENOMEM;
    size_t page = page_of(q, seq);
    enum lv_err err = page < q->page_count ? open_page(r, q, page) : LV_OK;

    if (err == LV_OK)
        err = want_entries(q, 1);
    if (err != LV_OK)
        return err;
    size_t at = lower(q, lv_order_make(seq));
    if (at < q->count && lv_entry_seq(&q->entries[at]) == seq) { /* carried forward */
        if (q->entries[at].place == 0)
            return LV_OK; /* and gone meanwhile */
        live(r, q->entries[at].place, -1);
        q->entries[at].place = place;
    } else {
        memmove(q->entries + at + 1, q->entries + at, (q->count - at) * sizeof(*q->entries));
        q->entries[at] =
            (struct lv_entry){ .place = place, .order = lv_order_make(seq) | LV_ORDER_LOGGED };
        q->count++;
    }
    live(r, place, 1);
    queue->seq_next = LV_MAX(queue->seq_next, lv_seq_count(seq) + 1);
    return LV_OK;
}

static enum lv_err remember_gone(struct lane *q, uint64_t seq)
{
    enum lv_err err = want_entries(q, 1);

    if (err != LV_OK)
        return err;
    size_t at = lower(q, lv_order_make(seq));
    if (at < q->count && lv_entry_seq(&q->entries[at]) == seq)
        return LV_OK;
    memmove(q->entries + at + 1, q->entries + at, (q->count - at) * sizeof(*q->entries));
    q->entries[at] = (struct lv_entry){ .place = 0, .order = lv_order_make(seq) };
    q->count++;
    q->dead++;
    q->has_gone = true; /* not to be forgotten before the end */
    return LV_OK;
}

/* A message that entered with a transaction whose commit is still to come was handed out, and is gone again: the commit must
 * not bring it back. Its seq is remembered as gone. */
static enum lv_err drop_uncommitted(struct lv_recovery *r, struct lv_restore *q, uint64_t seq,
                                    uint64_t end)
{
    struct lane *lane = lane_make(q, seq);
    enum lv_err err = lane != NULL ? LV_OK : LV_ENOMEM;

    for (const struct tx *tx = r->txs; tx != NULL; tx = tx->hh.next) {
        for (const struct part *p = tx->first; p != NULL && err == LV_OK; p = p->next) {
            struct lv_rd rd = lv_rd(lv_bytes(p->payload, p->len));
            (void)lv_rd_u64(&rd);
            uint32_t enters = lv_rd_u32(&rd);
            (void)lv_rd_u32(&rd);
            for (uint32_t i = 0; i < enters && err == LV_OK && !rd.bad; i++) {
                uint64_t id = lv_rd_u64(&rd), entered = lv_rd_u64(&rd);
                (void)lv_rd_u64(&rd);
                if (id == q->id && entered >= seq && entered < end)
                    err = remember_gone(lane, entered);
            }
        }
    }
    return err;
}

/* Of one lane: whoever drops more says so once more. */
static enum lv_err drop(struct lv_recovery *r, struct lv_restore *queue, uint64_t seq,
                        uint64_t count)
{
    uint64_t end = seq + count < seq ? UINT64_MAX : seq + count;

    if (LV_UNLIKELY(r->txs != NULL)) {
        enum lv_err err = drop_uncommitted(r, queue, seq, end);
        if (err != LV_OK)
            return err;
    }
    struct lane *q = lane_of(queue, seq);
    if (q == NULL)
        return LV_OK;
    for (size_t i = page_from(q, seq);
         i < q->page_count && q->pages[i].first >> LV_ORDER_SHIFT < end;) {
        size_t before = q->page_count;
        enum lv_err err = open_page(r, q, i);
        if (err != LV_OK)
            return err;
        if (q->page_count == before)
            i++;
    }
    for (size_t i = lower(q, lv_order_make(seq)); i < q->count; i++) {
        if (lv_entry_seq(&q->entries[i]) >= end)
            break;
        if (q->entries[i].place == 0)
            continue;
        live(r, q->entries[i].place, -1);
        q->entries[i].place = 0;
        q->dead++;
    }
    return LV_OK;
}

/* ---- states ---- */

static bool parse_state_head(struct lv_rd *rd, struct lv_state_head *h)
{
    h->id = lv_rd_u64(rd);
    h->part = lv_rd_u32(rd);
    h->is_last = lv_rd_u32(rd) != 0;
    h->before = lv_rd_u64(rd);
    h->seq_next = lv_rd_u64(rd);
    h->handed = lv_rd_u64(rd);
    return !rd->bad && h->seq_next <= LV_SEQ_COUNT_MAX && h->handed <= LV_SEQ_COUNT_MAX;
}

static enum lv_err add_page(struct lane *q, const struct lv_state_page *page)
{
    if (q->page_count == q->page_cap) {
        size_t cap = q->page_cap != 0 ? q->page_cap * 2 : 16;
        struct lv_state_page *pages = lv_mem_realloc(q->pages, cap * sizeof(*pages), LV_TAG_STORE);
        if (pages == NULL)
            return LV_ENOMEM;
        q->pages = pages;
        q->page_cap = cap;
    }
    q->pages[q->page_count++] = *page;
    return LV_OK;
}

/* LV_ECORRUPT: it does not come behind the one before it in its lane. */
static enum lv_err parse_entry(struct lv_rd *rd, struct lv_restore *q)
{
    struct lv_entry e = { .place = lv_rd_u64(rd) };
    struct lane *lane;

    e.order = lv_rd_u64(rd);
    if (!is_place(e.place) || !lv_entry_is_logged(&e) || lv_entry_seq(&e) > SEQ_MAX)
        return LV_ECORRUPT;
    lane = lane_make(q, lv_entry_seq(&e));
    if (lane == NULL || want_entries(lane, 1) != LV_OK)
        return LV_ENOMEM;
    if (lv_entry_seq(&e) < lane->last)
        return LV_ECORRUPT;
    lane->last = lv_entry_seq(&e) + 1;
    lane->entries[lane->count++] = e;
    return LV_OK;
}

static bool is_page(const struct lv_state_page *page, uint64_t last)
{
    uint64_t from = page->first >> LV_ORDER_SHIFT, to = page->last >> LV_ORDER_SHIFT;

    return page->count != 0 && page->count <= LV_PAGE_ENTRIES_MAX && is_place(page->place) &&
           from >= last && to >= from && to - from >= page->count - 1 && to <= SEQ_MAX &&
           lv_seq_lane(from) == lv_seq_lane(to);
}

static enum lv_err parse_page(struct lv_rd *rd, struct lv_restore *q, uint32_t count)
{
    struct lv_state_page page = { .count = count };
    struct lane *lane;

    page.place = lv_rd_u64(rd);
    page.first = lv_rd_u64(rd);
    page.last = lv_rd_u64(rd);
    page.bytes = lv_rd_u64(rd);
    if (rd->bad)
        return LV_ECORRUPT;
    lane = lane_make(q, LV_MIN(page.first >> LV_ORDER_SHIFT, SEQ_MAX));
    if (lane == NULL)
        return LV_ENOMEM;
    if (!is_page(&page, lane->last))
        return LV_ECORRUPT;
    lane->last = (page.last >> LV_ORDER_SHIFT) + 1;
    return add_page(lane, &page);
}

static enum lv_err add_failures(struct lv_restore *q, uint64_t seq, uint64_t count)
{
    if (seq > SEQ_MAX || count > UINT32_MAX)
        return LV_ECORRUPT;
    if (q->failure_count == q->failure_cap) {
        size_t cap = LV_MAX(q->failure_cap * 2, (size_t)16);
        struct failures *list = lv_mem_realloc(q->failures, cap * sizeof(*list), LV_TAG_STORE);
        if (list == NULL)
            return LV_ENOMEM;
        q->failures = list;
        q->failure_cap = cap;
    }
    q->failures[q->failure_count++] = (struct failures){ seq, (uint32_t)count };
    return LV_OK;
}

static enum lv_err parse_failures(struct lv_rd *rd, struct lv_restore *q)
{
    uint64_t seq = lv_rd_u64(rd), count = lv_rd_u64(rd);

    return add_failures(q, seq, count);
}

static enum lv_err parse_runs(struct lv_rd *rd, struct lv_restore *q)
{
    while (!rd->bad && lv_rd_left(rd) != 0) {
        uint32_t kind = lv_rd_u32(rd), n = lv_rd_u32(rd);
        enum lv_err err = LV_OK;
        if (kind == LV_STATE_PAGE) {
            err = parse_page(rd, q, n);
        } else if ((kind == LV_STATE_ENTRIES || kind == LV_STATE_COUNTS) &&
                   lv_rd_left(rd) / 16 >= n) {
            for (uint32_t i = 0; i < n && err == LV_OK; i++)
                err = kind == LV_STATE_ENTRIES ? parse_entry(rd, q) : parse_failures(rd, q);
        } else {
            return LV_ECORRUPT;
        }
        if (err != LV_OK)
            return err;
    }
    return rd->bad ? LV_ECORRUPT : LV_OK;
}

/* Numbers that were never given? */
static bool is_ahead(const struct lv_restore *q, uint64_t seq_next)
{
    for (const struct lane *lane = q->lanes; lane != NULL; lane = lane->next)
        if (lane->last != 0 && lv_seq_count(lane->last - 1) >= seq_next)
            return true;
    return false;
}

static enum lv_err read_state_record(struct lv_recovery *r, lv_lsn lsn, struct lv_bytes *payload)
{
    enum lv_err err = read_record(r, lsn, LV_REC_STATE, payload);

    return err == LV_ENOTFOUND ? LV_ECORRUPT : err;
}

/* All parts of the state whose last one is at `lsn`, into `q`, which is empty. */
static enum lv_err read_state(struct lv_recovery *r, struct lv_restore *q, lv_lsn lsn,
                              uint64_t *place)
{
    lv_lsn parts[64], *list = parts;
    struct lv_state_head h = { .part = 0 };
    struct lv_bytes payload;
    uint64_t bytes = 0;
    uint32_t count = 0;
    enum lv_err err = LV_OK;

    for (lv_lsn at = lsn; at != 0 && err == LV_OK; at = h.before) { /* backwards: where they are */
        err = read_state_record(r, at, &payload);
        struct lv_rd rd = lv_rd(payload);
        if (err == LV_OK && (!parse_state_head(&rd, &h) || h.id != q->id ||
                             (h.is_last != (at == lsn)) || (at != lsn && h.part != count - 1)))
            err = LV_ECORRUPT;
        if (err != LV_OK)
            break;
        if (at == lsn) {
            if (h.part >= STATE_PARTS_MAX)
                return LV_ECORRUPT;
            count = h.part + 1;
            if (count > LV_ARRAY_LEN(parts))
                list = lv_mem_alloc(count * sizeof(*list), LV_TAG_STORE);
            if (list == NULL)
                return LV_ENOMEM;
        }
        list[h.part] = at;
        bytes += lv_wal_rec_size(payload.len);
        count = h.part;
        if ((h.part == 0) != (h.before == 0))
            err = LV_ECORRUPT;
    }
    for (uint32_t i = 0; err == LV_OK; i++) {
        err = read_state_record(r, list[i], &payload);
        struct lv_rd rd = lv_rd(payload);
        if (err == LV_OK && !parse_state_head(&rd, &h))
            err = LV_ECORRUPT;
        if (err == LV_OK)
            err = parse_runs(&rd, q);
        if (h.is_last)
            break;
    }
    if (err == LV_OK && is_ahead(q, h.seq_next))
        err = LV_ECORRUPT;
    if (err == LV_OK && list[0] != lsn)
        lv_journal_note_back(r->j, list[0], lsn);
    if (list != parts)
        lv_mem_free(list, LV_TAG_STORE);
    if (err != LV_OK)
        return err;
    q->seq_next = LV_MAX(q->seq_next, h.seq_next);
    q->handed = h.handed;
    q->state_lsn = lsn;
    *place = (uint64_t)lv_size_class(bytes) << 56 | lsn | LV_PLACE_IN_LOG;
    return LV_OK;
}

enum lv_err lv_recovery_state(struct lv_recovery *r, uint64_t id, lv_lsn state)
{
    struct lv_restore *q = find_or_add(r, id);

    r->id_max = LV_MAX(r->id_max, id);
    return q == NULL ? LV_ENOMEM : read_state(r, q, state, &q->state_place);
}

static uint64_t messages_of(const struct lv_restore *q)
{
    uint64_t n = 0;

    for (const struct lane *lane = q->lanes; lane != NULL; lane = lane->next) {
        n += lane->count - lane->dead;
        for (size_t i = 0; i < lane->page_count; i++)
            n += lane->pages[i].count;
    }
    return n;
}

static uint64_t pages_of(const struct lv_restore *q)
{
    uint64_t n = 0;

    for (const struct lane *lane = q->lanes; lane != NULL; lane = lane->next)
        n += lane->page_count;
    return n;
}

static void live_pages(struct lv_recovery *r, const struct lane *lane, int n)
{
    for (; lane != NULL; lane = lane->next)
        for (size_t i = 0; i < lane->page_count; i++)
            live(r, lane->pages[i].place, n);
}

/* A state among the records says anew what is known already; only its pages and itself are records of their own. */
static enum lv_err visit_state(struct lv_recovery *r, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_rd rd = lv_rd(payload);
    struct lv_state_head h;

    if (!parse_state_head(&rd, &h))
        return LV_OK;
    struct lv_restore *q;
    enum lv_err err = meet(r, h.id, &q);
    if (err != LV_OK || q == NULL || lsn <= q->state_lsn || !h.is_last)
        return err;
    struct lv_restore was = *q;
    q->lanes = NULL;
    q->failures = NULL;
    q->failure_count = q->failure_cap = 0;
    uint64_t place;
    err = read_state(r, q, lsn, &place);
    if (err != LV_OK) { /* what was known stays known */
        lanes_free(q->lanes);
        lv_mem_free(q->failures, LV_TAG_STORE);
        q->lanes = was.lanes;
        q->failures = was.failures;
        q->failure_count = was.failure_count;
        q->failure_cap = was.failure_cap;
        if (err != LV_ECORRUPT)
            return err;
        r->damaged++;
        return LV_OK;
    }
    live_pages(r, was.lanes, -1);
    live_pages(r, q->lanes, 1);
    if (q->state_place != 0)
        live(r, q->state_place, -1);
    q->state_place = place;
    live(r, place, 1);
    lanes_free(was.lanes);
    lv_mem_free(was.failures, LV_TAG_STORE);
    return LV_OK;
}

/* ---- records ---- */

/* The queue of a record that its state does not tell already; NULL: nothing is to be done. LV_ENOMEM. */
static enum lv_err news(struct lv_recovery *r, uint64_t id, lv_lsn lsn, struct lv_restore **out)
{
    enum lv_err err = meet(r, id, out);

    if (*out != NULL && lsn <= (*out)->state_lsn)
        *out = NULL;
    return err;
}

static enum lv_err visit_drop(struct lv_recovery *r, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_rd rd = lv_rd(payload);
    struct lv_restore *q;
    enum lv_err err = news(r, lv_rd_u64(&rd), lsn, &q);

    while (q != NULL && err == LV_OK && lv_rd_left(&rd) >= 16) {
        uint64_t seq = lv_rd_u64(&rd), count = lv_rd_u64(&rd);
        err = drop(r, q, seq, count);
    }
    return err;
}

static enum lv_err apply_tx(struct lv_recovery *r, lv_lsn lsn, struct lv_rd *rd)
{
    uint32_t enters = lv_rd_u32(rd), drops = lv_rd_u32(rd);
    enum lv_err err = LV_OK;
    struct lv_restore *q;

    for (uint32_t i = 0; i < enters && err == LV_OK && !rd->bad; i++) {
        uint64_t id = lv_rd_u64(rd), seq = lv_rd_u64(rd), place = lv_rd_u64(rd);
        err = news(r, rd->bad ? LV_QUEUE_ID_NONE : id, lsn, &q);
        if (err == LV_OK && q != NULL)
            err = enter(r, q, seq, place);
    }
    for (uint32_t i = 0; i < drops && err == LV_OK && !rd->bad; i++) {
        uint64_t id = lv_rd_u64(rd), seq = lv_rd_u64(rd);
        err = news(r, rd->bad ? LV_QUEUE_ID_NONE : id, lsn, &q);
        if (err == LV_OK && q != NULL)
            err = drop(r, q, seq, 1);
    }
    return err;
}

static enum lv_err keep_part(struct lv_recovery *r, uint64_t id, lv_lsn lsn, struct lv_bytes payload)
{
    struct tx *tx;
    struct part *p = lv_mem_alloc(sizeof(*p) + payload.len, LV_TAG_STORE);

    if (p == NULL)
        return LV_ENOMEM;
    HASH_FIND(hh, r->txs, &id, sizeof(id), tx);
    if (tx == NULL) {
        tx = lv_mem_zalloc(sizeof(*tx), LV_TAG_STORE);
        if (tx == NULL) {
            lv_mem_free(p, LV_TAG_STORE);
            return LV_ENOMEM;
        }
        tx->id = id;
        HASH_ADD(hh, r->txs, id, sizeof(tx->id), tx);
        if (tx->hh.tbl == NULL) {
            lv_mem_free(tx, LV_TAG_STORE);
            lv_mem_free(p, LV_TAG_STORE);
            return LV_ENOMEM;
        }
    }
    p->next = NULL;
    p->lsn = lsn;
    p->len = payload.len;
    memcpy(p->payload, payload.ptr, payload.len);
    if (tx->last != NULL)
        tx->last->next = p;
    else
        tx->first = p;
    tx->last = p;
    return LV_OK;
}

static enum lv_err visit_commit(struct lv_recovery *r, struct lv_bytes payload)
{
    struct lv_rd rd = lv_rd(payload);
    uint64_t id = lv_rd_u64(&rd);
    enum lv_err err = LV_OK;
    struct tx *tx;

    HASH_FIND(hh, r->txs, &id, sizeof(id), tx);
    if (tx == NULL)
        return LV_OK; /* its parts are in the states */
    for (struct part *p = tx->first; p != NULL && err == LV_OK; p = p->next) {
        struct lv_rd part = lv_rd(lv_bytes(p->payload, p->len));
        (void)lv_rd_u64(&part);
        err = apply_tx(r, p->lsn, &part);
    }
    tx_free(r, tx);
    return err;
}

static bool has_seq(const struct lv_restore *queue, uint64_t seq)
{
    const struct lane *q = lane_of(queue, seq);
    size_t at = q != NULL ? lower(q, lv_order_make(seq)) : 0;

    if (q == NULL)
        return false;
    return page_of(q, seq) < q->page_count ||
           (at < q->count && lv_entry_seq(&q->entries[at]) == seq);
}

static bool is_uncommitted(const struct lv_recovery *r, uint64_t id, uint64_t seq)
{
    for (const struct tx *tx = r->txs; tx != NULL; tx = tx->hh.next) {
        for (const struct part *p = tx->first; p != NULL; p = p->next) {
            struct lv_rd rd = lv_rd(lv_bytes(p->payload, p->len));
            (void)lv_rd_u64(&rd);
            uint32_t enters = lv_rd_u32(&rd);
            (void)lv_rd_u32(&rd);
            for (uint32_t i = 0; i < enters && !rd.bad; i++) {
                uint64_t queue = lv_rd_u64(&rd), entered = lv_rd_u64(&rd);
                (void)lv_rd_u64(&rd);
                if (queue == id && entered == seq && !rd.bad)
                    return true;
            }
        }
    }
    return false;
}

static enum lv_err visit_message(struct lv_recovery *r, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_rec_message m;

    if (!lv_rec_message_parse(payload, &m))
        return LV_OK;
    if (m.parts.len != 0) /* whoever has it here or not: its file needs those of its parts */
        lv_journal_note_back(r->j, lv_be64(m.parts.ptr), lsn);
    struct lv_restore *q;
    enum lv_err err = news(r, m.id, lsn, &q);
    if (err != LV_OK || q == NULL)
        return err;
    /* It was in its queue when it was carried forward, whatever else of it is lost; but a transaction may have put it there
     * whose commit is still to come. */
    if (m.is_moved && !has_seq(q, m.seq) && is_uncommitted(r, q->id, m.seq))
        return LV_OK;
    return enter(r, q, m.seq, lv_rec_message_place(&m, lsn));
}

enum lv_err lv_recovery_visit(void *recovery, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_recovery *r = recovery;
    struct lv_rd rd = lv_rd(payload);
    struct lv_restore *q;
    enum lv_err err;

    switch (type) {
    case LV_REC_MESSAGE:
        return visit_message(r, lsn, payload);
    case LV_REC_ENTER: {
        err = news(r, lv_rd_u64(&rd), lsn, &q);
        uint64_t seq = lv_rd_u64(&rd), place = lv_rd_u64(&rd);
        return err == LV_OK && q != NULL && !rd.bad ? enter(r, q, seq, place) : err;
    }
    case LV_REC_DROP:
        return visit_drop(r, lsn, payload);
    case LV_REC_STATE:
        return visit_state(r, lsn, payload);
    case LV_REC_HANDED: {
        err = news(r, lv_rd_u64(&rd), lsn, &q);
        uint64_t handed = lv_rd_u64(&rd);
        if (q != NULL && !rd.bad && handed <= LV_SEQ_COUNT_MAX)
            q->handed = LV_MAX(q->handed, handed);
        return err;
    }
    case LV_REC_TX: {
        uint64_t id = lv_rd_u64(&rd);
        return id != 0 ? keep_part(r, id, lsn, payload) : apply_tx(r, lsn, &rd);
    }
    case LV_REC_COMMIT:
        return visit_commit(r, payload);
    case LV_REC_COUNT: {
        err = news(r, lv_rd_u64(&rd), lsn, &q);
        uint64_t seq = lv_rd_u64(&rd), count = lv_rd_u32(&rd);
        if (err == LV_OK && q != NULL && !rd.bad)
            err = add_failures(q, seq, count);
        return err == LV_ECORRUPT ? LV_OK : err;
    }
    default: /* parts and pages speak when they are asked */
        return LV_OK;
    }
}

/* ---- the end ---- */

static enum lv_err count_lane(struct lv_recovery *r, struct lane *q, int n)
{
    for (size_t i = 0; i < q->count; i++)
        if (q->entries[i].place != 0)
            lv_journal_live(r->j, q->entries[i].place, n);
    for (size_t i = 0; i < q->page_count; i++) {
        struct lv_entry *list;
        uint32_t count = 0;
        enum lv_err err = read_page(r, q, &q->pages[i], &list, &count);
        lv_journal_live(r->j, q->pages[i].place, n);
        r->is_unsure |= err == LV_ECORRUPT;
        if (err == LV_ECORRUPT)
            continue;
        if (err != LV_OK)
            return err;
        for (uint32_t k = 0; k < count; k++)
            lv_journal_live(r->j, list[k].place, n);
        lv_mem_free(list, LV_TAG_STORE);
    }
    return LV_OK;
}

/* All of it counts as alive (n 1), or not any more (n -1). */
static enum lv_err count_all(struct lv_recovery *r, struct lv_restore *q, int n)
{
    enum lv_err err = LV_OK;

    for (struct lane *lane = q->lanes; lane != NULL && err == LV_OK; lane = lane->next)
        err = count_lane(r, lane, n);
    if (err == LV_OK && q->state_place != 0)
        lv_journal_live(r->j, q->state_place, n);
    return err;
}

enum lv_err lv_recovery_end(struct lv_recovery *r)
{
    struct lv_restore *q, *next;

    r->is_ending = true;
    while (r->txs != NULL) {
        r->open_tx++;
        tx_free(r, r->txs);
    }
    HASH_ITER (hh, r->queues, q, next) {
        enum lv_err err = LV_OK;
        for (struct lane *lane = q->lanes; lane != NULL; lane = lane->next)
            squeeze(lane);
        if (may_exist(r, q) && !r->counts)
            err = count_all(r, q, 1);
        else if (!may_exist(r, q) && r->counts)
            err = count_all(r, q, -1);
        if (err != LV_OK)
            return err;
        if (q->exists)
            continue;
        if (may_exist(r, q) && messages_of(q) != 0) {
            r->unknown_queues++;
            r->unknown_messages += messages_of(q);
        }
        queue_free(r, q);
    }
    if (r->is_unsure && !r->counts)
        lv_account_keep_all(r->j);
    return LV_OK;
}

bool lv_recovery_has(const struct lv_recovery *r, uint64_t id)
{
    const struct lv_restore *q;

    HASH_FIND(hh, r->queues, &id, sizeof(id), q);
    return q != NULL &&
           (messages_of(q) != 0 || q->state_place != 0 || q->seq_next != 0 || q->handed != 0);
}

void lv_recovery_facts(const struct lv_recovery *r, struct lv_recovery_facts *out)
{
    *out = (struct lv_recovery_facts){ .damaged = r->damaged,
                                       .rescued = r->rescued,
                                       .open_tx = r->open_tx,
                                       .unknown_queues = r->unknown_queues,
                                       .unknown_messages = r->unknown_messages,
                                       .next_id = LV_MAX(r->id_max + 1, 1u) };
    for (const struct lv_restore *q = r->queues; q != NULL; q = q->hh.next) {
        out->queues++;
        out->messages += messages_of(q);
        out->pages += pages_of(q);
    }
}

void lv_recovery_queue_facts(const struct lv_recovery *r, uint64_t id,
                             struct lv_recovery_queue_facts *out)
{
    const struct lv_restore *q;

    *out = (struct lv_recovery_queue_facts){ 0 };
    HASH_FIND(hh, r->queues, &id, sizeof(id), q);
    if (q == NULL)
        return;
    out->seq_next = q->seq_next;
    out->handed = q->handed;
    out->messages = messages_of(q);
    out->pages = pages_of(q);
    out->state = lv_place_lsn(q->state_place);
}

/* What is away is known by its records only. */
static void guess(struct lv_queue *q, uint64_t bytes)
{
    q->ready_bytes += bytes;
    q->guessed_bytes += bytes;
}

/* Entries [begin, end) as chunks of the ready list. */
static enum lv_err fill_entries(const struct lane *from, size_t begin, size_t end,
                                struct lv_queue *q, struct lv_ready *ready)
{
    while (begin < end) {
        uint32_t n = (uint32_t)LV_MIN(end - begin, LV_PAGE_ENTRIES_MAX);
        struct lv_ready_chunk *chunk = lv_ready_chunk_new(n, false);
        if (chunk == NULL)
            return LV_ENOMEM;
        memcpy(chunk->entries, from->entries + begin, n * sizeof(*chunk->entries));
        for (uint32_t i = 0; i < n; i++) {
            guess(q, lv_class_bytes(lv_place_class(chunk->entries[i].place)));
            q->may_expire |= lv_entry_expires(&chunk->entries[i]);
        }
        lv_ready_add_chunk(ready, chunk);
        begin += n;
    }
    return LV_OK;
}

static enum lv_err fill_page(const struct lv_state_page *page, struct lv_queue *q,
                             struct lv_ready *ready)
{
    struct lv_ready_chunk *stub = lv_ready_chunk_new(page->count, true);

    if (stub == NULL)
        return LV_ENOMEM;
    *lv_page_place(stub) = page->place;
    *lv_page_first(stub) = page->first;
    *lv_page_last(stub) = page->last;
    *lv_page_bytes(stub) = page->bytes;
    guess(q, page->bytes);
    q->may_expire |= (page->place & LV_PLACE_EXPIRES) != 0;
    lv_ready_add_chunk(ready, stub);
    return LV_OK;
}

static enum lv_err fill_lane(const struct lane *from, struct lv_queue *q)
{
    struct lv_lane *lane = lv_queue_lane_make(q, from->number);
    size_t at = 0;

    if (lane == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < from->page_count; i++) {
        size_t end = lower(from, from->pages[i].first);
        enum lv_err err = fill_entries(from, at, end, q, &lane->ready);
        if (err == LV_OK)
            err = fill_page(&from->pages[i], q, &lane->ready);
        if (err != LV_OK)
            return err;
        at = end;
    }
    return fill_entries(from, at, from->count, q, &lane->ready);
}

/* Of messages that are still there. */
static enum lv_err fill_failures(const struct lv_restore *from, struct lv_queue *q)
{
    for (size_t i = 0; i < from->failure_count; i++) {
        if (!has_seq(from, from->failures[i].seq))
            continue;
        struct lv_mark *mark = lv_queue_mark_make(q, from->failures[i].seq);
        if (mark == NULL)
            return LV_ENOMEM;
        mark->failures = from->failures[i].count;
    }
    return LV_OK;
}

enum lv_err lv_recovery_fill(struct lv_recovery *r, uint64_t id, struct lv_queue *q)
{
    struct lv_restore *from = find(r, id);
    enum lv_err err = LV_OK;

    if (from == NULL)
        return LV_OK;
    for (const struct lane *lane = from->lanes; lane != NULL && err == LV_OK; lane = lane->next)
        err = fill_lane(lane, q);
    if (err == LV_OK)
        err = fill_failures(from, q);
    if (err != LV_OK)
        return err;
    lv_queue_find_head(q);
    q->is_swept |= q->may_expire || q->marks != NULL;
    q->handed_to = q->handed_ok = q->redelivered_below = from->handed;
    q->seq_next = q->seq_base = LV_MAX(from->seq_next, from->handed);
    q->state_place = from->state_place;
    if (from->exists)
        lv_queue_changed(q);
    queue_free(r, from);
    return LV_OK;
}

/* LV_ECORRUPT: some of its pages cannot be read. */
static enum lv_err open_pages(struct lv_recovery *r, struct lane *lane)
{
    enum lv_err result = LV_OK;

    for (size_t i = 0; i < lane->page_count;) {
        size_t before = lane->page_count;
        enum lv_err err = open_page(r, lane, i);
        if (err != LV_OK)
            return err;
        if (lane->page_count == before) {
            i++;
            result = LV_ECORRUPT;
        }
    }
    return result;
}

enum lv_err lv_recovery_walk(struct lv_recovery *r, uint64_t id,
                             void (*each)(void *ctx, uint64_t seq, uint64_t place, bool redelivered),
                             void *ctx)
{
    struct lv_restore *q = find(r, id);
    enum lv_err result = LV_OK;

    for (struct lane *lane = q != NULL ? q->lanes : NULL; lane != NULL; lane = lane->next) {
        enum lv_err err = open_pages(r, lane);
        if (err != LV_OK && err != LV_ECORRUPT)
            return err;
        result = err != LV_OK ? err : result;
        for (size_t i = 0; i < lane->count; i++)
            if (lane->entries[i].place != 0)
                each(ctx, lv_entry_seq(&lane->entries[i]), lane->entries[i].place,
                     lv_entry_is_redelivered(&lane->entries[i]) ||
                         lv_entry_count(&lane->entries[i]) < q->handed);
    }
    return result;
}

#include "engine/rescue_priv.h"

#include "base/mem.h"
#include "engine/entry_priv.h"
#include "store/check.h"

#define ATTEMPTS_MAX 8u /* a file may be given up while all are read */

struct rescue {
    const struct lv_load_page *want;
    struct lv_entry *list; /* by sequence number */
    size_t count, cap;
};

/* Index of the first entry that does not come before `seq`. */
static size_t lower(const struct rescue *r, uint64_t seq)
{
    size_t lo = 0, hi = r->count;

    if (r->count != 0 && lv_entry_seq(&r->list[r->count - 1]) < seq)
        return r->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (lv_entry_seq(&r->list[mid]) < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static enum lv_err put(struct rescue *r, uint64_t id, uint64_t seq, uint64_t place)
{
    const struct lv_load_page *want = r->want;

    if (id != want->id || seq < want->first >> LV_ORDER_SHIFT ||
        seq > want->last >> LV_ORDER_SHIFT || (place & LV_PLACE_IN_LOG) == 0)
        return LV_OK;
    size_t at = lower(r, seq);
    if (at < r->count && lv_entry_seq(&r->list[at]) == seq) { /* carried forward */
        r->list[at].place = place;
        return LV_OK;
    }
    if (r->count == r->cap) {
        size_t cap = LV_MAX(r->cap * 2, (size_t)want->count);
        struct lv_entry *list = lv_mem_realloc(r->list, cap * sizeof(*list), LV_TAG_STORE);
        if (list == NULL)
            return LV_ENOMEM;
        r->list = list;
        r->cap = cap;
    }
    memmove(r->list + at + 1, r->list + at, (r->count - at) * sizeof(*r->list));
    r->list[at] = (struct lv_entry){ .place = place, .order = lv_order_make(seq) | LV_ORDER_LOGGED };
    r->count++;
    return LV_OK;
}

static void drop(struct rescue *r, uint64_t id, uint64_t seq, uint64_t count)
{
    size_t from = lower(r, seq), to = from;

    if (id != r->want->id)
        return;
    while (to < r->count && lv_entry_seq(&r->list[to]) - seq < count)
        to++;
    if (to == from)
        return;
    memmove(r->list + from, r->list + to, (r->count - to) * sizeof(*r->list));
    r->count -= to - from;
}

/* Also of a transaction without a commit: then its numbers were given again, and what came later counts. */
static enum lv_err visit_tx(struct rescue *r, struct lv_rd *rd)
{
    (void)lv_rd_u64(rd);
    uint32_t enters = lv_rd_u32(rd), drops = lv_rd_u32(rd);
    enum lv_err err = LV_OK;

    for (uint32_t i = 0; i < enters && err == LV_OK && !rd->bad; i++) {
        uint64_t id = lv_rd_u64(rd), seq = lv_rd_u64(rd), place = lv_rd_u64(rd);
        if (!rd->bad)
            err = put(r, id, seq, place);
    }
    for (uint32_t i = 0; i < drops && !rd->bad; i++) {
        uint64_t id = lv_rd_u64(rd), seq = lv_rd_u64(rd);
        if (!rd->bad)
            drop(r, id, seq, 1);
    }
    return err;
}

/* LV_EEXISTS: the page's own place is reached. */
static enum lv_err visit(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct rescue *r = ctx;
    struct lv_rd rd = lv_rd(payload);
    struct lv_rec_message m;

    if (lsn >= lv_place_lsn(r->want->place))
        return LV_EEXISTS;
    switch (type) {
    case LV_REC_MESSAGE:
        if (!lv_rec_message_parse(payload, &m))
            return LV_OK;
        return put(r, m.id, m.seq, lv_rec_message_place(&m, lsn));
    case LV_REC_ENTER: {
        uint64_t id = lv_rd_u64(&rd), seq = lv_rd_u64(&rd), place = lv_rd_u64(&rd);
        return rd.bad ? LV_OK : put(r, id, seq, place);
    }
    case LV_REC_DROP: {
        uint64_t id = lv_rd_u64(&rd);
        while (lv_rd_left(&rd) >= 16) {
            uint64_t seq = lv_rd_u64(&rd), count = lv_rd_u64(&rd);
            drop(r, id, seq, count);
        }
        return LV_OK;
    }
    case LV_REC_TX:
        return visit_tx(r, &rd);
    default:
        return LV_OK;
    }
}

enum lv_err lv_page_rescue(struct lv_wal *wal, const struct lv_load_page *want,
                           struct lv_entry **entries, uint32_t *count)
{
    struct rescue r = { .want = want };
    struct lv_wal_check_range all = { 0 };
    enum lv_err err = LV_ENOTFOUND;

    *entries = NULL;
    *count = 0;
    if (want->id == LV_QUEUE_ID_NONE) /* its messages' records name no queue */
        return LV_ECORRUPT;
    for (unsigned i = 0; i < ATTEMPTS_MAX && err == LV_ENOTFOUND; i++) {
        struct lv_wal_check found;
        r.count = 0;
        err = lv_wal_check(wal, &all, visit, &r, &found);
        lv_wal_check_fini(&found);
    }
    if (err == LV_EEXISTS) /* the page's place was reached */
        err = LV_OK;
    if (err == LV_OK && (r.count == 0 || r.count > want->count))
        err = LV_ECORRUPT;
    if (err != LV_OK) {
        lv_mem_free(r.list, LV_TAG_STORE);
        return err == LV_ENOTFOUND ? LV_ECORRUPT : err;
    }
    *entries = r.list;
    *count = (uint32_t)r.count;
    return LV_OK;
}

/* What is known of single messages beside their place: by sequence number, for the few of which there is something. */
#include "base/mem.h"
#include "engine/queue_priv.h"

struct lv_mark *lv_queue_mark_slow(const struct lv_queue *q, uint64_t seq)
{
    struct lv_mark *mark;

    HASH_FIND(hh, q->marks, &seq, sizeof(seq), mark);
    return mark;
}

struct lv_mark *lv_queue_mark_make(struct lv_queue *q, uint64_t seq)
{
    struct lv_mark *mark = lv_queue_mark_slow(q, seq);

    if (mark != NULL)
        return mark;
    mark = lv_mem_zalloc(sizeof(*mark), LV_TAG_QUEUE);
    if (mark == NULL)
        return NULL;
    mark->seq = seq;
    HASH_ADD(hh, q->marks, seq, sizeof(mark->seq), mark);
    if (mark->hh.tbl == NULL) { /* no memory for the table */
        lv_mem_free(mark, LV_TAG_QUEUE);
        return NULL;
    }
    return mark;
}

void lv_queue_unmark_slow(struct lv_queue *q, uint64_t seq)
{
    struct lv_mark *mark = lv_queue_mark_slow(q, seq);

    if (mark == NULL)
        return;
    HASH_DEL(q->marks, mark);
    lv_mem_free(mark, LV_TAG_QUEUE);
}

void lv_queue_unmark_range(struct lv_queue *q, uint64_t first, uint64_t count)
{
    struct lv_mark *mark, *next;

    HASH_ITER (hh, q->marks, mark, next) {
        if (mark->seq < first || mark->seq - first >= count)
            continue;
        HASH_DEL(q->marks, mark);
        lv_mem_free(mark, LV_TAG_QUEUE);
    }
}

void lv_queue_marks_free(struct lv_queue *q)
{
    struct lv_mark *mark, *next;

    HASH_ITER (hh, q->marks, mark, next) {
        HASH_DEL(q->marks, mark);
        lv_mem_free(mark, LV_TAG_QUEUE);
    }
}

/* Mail between loops: one ring for each ordered pair, one wake for each destination and turn.
 *
 * Order    per pair: once the ring was full, all later mail waits behind what overflowed, in the sender's list.
 * Bound    the list is bounded by one turn's work, because a loop with any overflow reads no socket. The receiver
 *          wakes the sender when it has taken from a ring whose sender waits.
 * Wakes    a receiver says that it sleeps before it looks at its rings a last time, a sender posts before it looks
 *          whether the receiver sleeps: one of the two sees the other, and a busy loop is never woken.
 * Itself   mail to its own index waits in the same kind of list until the next turn.
 */
#include <ck_ring.h>
#include <stdlib.h>

#include "loop/loop_priv.h"
#include "loop/tsan_priv.h"
#include "os/log.h"

CK_RING_PROTOTYPE(mail, lv_mail)

#define RING_MAIL_MAX 1024u   /* in one ring */
#define RINGS_MAIL_MAX 65536u /* in all rings of a loop */
#define RING_MAIL_MIN 64u
#define CHUNK_MAIL 252u
#define EARLY_WAKE_MAIL 256u /* a sleeping receiver is woken before the turn ends */

struct chunk {
    struct chunk *next;
    unsigned first, used;
    struct lv_mail mail[CHUNK_MAIL];
};

struct lv_mailbox {
    ck_ring_t ring;
    /* sender's */
    struct chunk *over, *over_last; /* what found the ring full */
    unsigned unwoken;               /* posted since the receiver was last woken */
    char pad[64];                   /* the line above is the sender's, the next one shared */
    _Atomic bool is_sender_waiting;
    struct lv_mail slots[];
};

static unsigned ring_size(unsigned loops)
{
    unsigned size = RING_MAIL_MAX;

    while (size > RING_MAIL_MIN && size * loops > RINGS_MAIL_MAX)
        size /= 2;
    return size;
}

static struct lv_mailbox *box_new(unsigned size)
{
    struct lv_mailbox *box = lv_mem_alloc(sizeof(*box) + size * sizeof(box->slots[0]), LV_TAG_LOOP);

    if (box == NULL)
        return NULL;
    *box = (struct lv_mailbox){ .over = NULL };
    ck_ring_init(&box->ring, size);
    return box;
}

static void box_free(struct lv_mailbox *box)
{
    struct chunk *c;

    if (box == NULL)
        return;
    while ((c = box->over) != NULL) {
        box->over = c->next;
        lv_mem_free(c, LV_TAG_LOOP);
    }
    lv_mem_free(box, LV_TAG_LOOP);
}

enum lv_err lv_mail_open(struct lv_loops *loops)
{
    unsigned n = loops->count, size = ring_size(n);

    for (unsigned i = 0; i < n; i++) {
        struct lv_loop *loop = loops->loop[i];
        loop->in = lv_mem_zalloc(n * sizeof(struct lv_mailbox *), LV_TAG_LOOP);
        loop->out = lv_mem_zalloc(n * sizeof(struct lv_mailbox *), LV_TAG_LOOP);
        if (loop->in == NULL || loop->out == NULL)
            return LV_ENOMEM;
    }
    for (unsigned from = 0; from < n; from++) {
        for (unsigned to = 0; to < n; to++) {
            struct lv_mailbox *box = box_new(from == to ? 0 : size);
            if (box == NULL)
                return LV_ENOMEM;
            loops->loop[from]->out[to] = loops->loop[to]->in[from] = box;
        }
    }
    return LV_OK;
}

void lv_mail_close(struct lv_loops *loops)
{
    for (unsigned i = 0; i < loops->count; i++) {
        struct lv_loop *loop = loops->loop[i];
        for (unsigned to = 0; loop != NULL && loop->out != NULL && to < loops->count; to++)
            box_free(loop->out[to]);
        if (loop == NULL)
            continue;
        lv_mem_free(loop->out, LV_TAG_LOOP);
        lv_mem_free(loop->in, LV_TAG_LOOP);
    }
}

/* ---- posting ---- */

static bool ring_put(struct lv_mailbox *box, const struct lv_mail *m)
{
    struct lv_mail copy = *m;
    bool is_in;

    lv_tsan_release(&box->ring);
    lv_tsan_ignore_begin();
    is_in = ck_ring_enqueue_spsc_mail(&box->ring, box->slots, &copy);
    lv_tsan_ignore_end();
    return is_in;
}

static bool ring_get(struct lv_mailbox *box, struct lv_mail *m)
{
    bool is_out;

    lv_tsan_ignore_begin();
    is_out = ck_ring_dequeue_spsc_mail(&box->ring, box->slots, m);
    lv_tsan_ignore_end();
    lv_tsan_acquire(&box->ring);
    return is_out;
}

static void chunk_put(struct lv_loop *loop, struct lv_mailbox *box, const struct lv_mail *m)
{
    struct chunk *c = box->over_last;

    if (box->over == NULL || c->used == CHUNK_MAIL) {
        c = lv_mem_alloc(sizeof(*c), LV_TAG_LOOP);
        if (c == NULL) {
            /* Mail is never dropped, and here it has no other place to be. */
            lv_log(LOOP_NO_MEMORY, lv_log_u64(loop->index), lv_log_u64(sizeof(*c)));
            abort();
        }
        c->next = NULL;
        c->first = c->used = 0;
        if (box->over == NULL)
            box->over = c;
        else
            box->over_last->next = c;
        box->over_last = c;
    }
    c->mail[c->used++] = *m;
}

void lv_loop_post(struct lv_loop *loop, unsigned to, const struct lv_mail *m)
{
    LV_ASSERT(to < loop->all->count);
    struct lv_mailbox *box = loop->out[to];

    lv_stat_add(loop, LV_STAT_MAILS_OUT, 1);
    if (to == loop->index) {
        chunk_put(loop, box, m);
        loop->again = true;
        return;
    }
    loop->posted |= UINT64_C(1) << to;
    if (LV_LIKELY(box->over == NULL && ring_put(box, m))) {
        if (LV_UNLIKELY(++box->unwoken == EARLY_WAKE_MAIL)) {
            box->unwoken = 0;
            lv_loop_wake(loop->all->loop[to]);
        }
        return;
    }
    if (box->over == NULL) {
        loop->overflowing++;
        lv_loop_wake(loop->all->loop[to]);
    }
    chunk_put(loop, box, m);
}

/* Moves what overflowed into the ring, as far as it goes. */
static void box_retry(struct lv_loop *loop, struct lv_mailbox *box, unsigned to)
{
    struct chunk *c;

    while ((c = box->over) != NULL) {
        while (c->first < c->used && ring_put(box, &c->mail[c->first])) {
            c->first++;
            loop->posted |= UINT64_C(1) << to;
        }
        if (c->first < c->used)
            return;
        box->over = c->next;
        lv_mem_free(c, LV_TAG_LOOP);
    }
    loop->overflowing--;
}

void lv_mail_retry(struct lv_loop *loop)
{
    for (unsigned to = 0; loop->overflowing != 0 && to < loop->all->count; to++) {
        struct lv_mailbox *box = loop->out[to];
        if (to == loop->index || box->over == NULL)
            continue;
        box_retry(loop, box, to);
        if (box->over == NULL)
            continue;
        /* Said before a last try, so that the receiver either makes room for it or sees the flag. */
        atomic_store_explicit(&box->is_sender_waiting, true, memory_order_seq_cst);
        atomic_thread_fence(memory_order_seq_cst);
        box_retry(loop, box, to);
    }
}

void lv_mail_wake(struct lv_loop *loop)
{
    while (loop->posted != 0) {
        unsigned to = (unsigned)__builtin_ctzll(loop->posted);
        loop->posted &= loop->posted - 1;
        loop->out[to]->unwoken = 0;
        lv_loop_wake(loop->all->loop[to]);
    }
}

/* ---- taking ---- */

static uint64_t take_own(struct lv_loop *loop)
{
    struct lv_mailbox *box = loop->in[loop->index];
    struct chunk *c = box->over, *next;
    uint64_t taken = 0;

    box->over = NULL; /* what is posted from here on is for the next turn */
    for (; c != NULL; c = next) {
        for (; c->first < c->used; c->first++, taken++)
            loop->all->config.mail(loop, loop->index, &c->mail[c->first]);
        next = c->next;
        lv_mem_free(c, LV_TAG_LOOP);
    }
    return taken;
}

static uint64_t take_from(struct lv_loop *loop, unsigned from)
{
    struct lv_mailbox *box = loop->in[from];
    unsigned n = ck_ring_size(&box->ring);
    struct lv_mail m;

    for (unsigned i = 0; i < n && ring_get(box, &m); i++)
        loop->all->config.mail(loop, from, &m);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&box->is_sender_waiting, memory_order_relaxed)) {
        atomic_store_explicit(&box->is_sender_waiting, false, memory_order_relaxed);
        lv_loop_wake(loop->all->loop[from]);
    }
    return n;
}

uint64_t lv_mail_take(struct lv_loop *loop)
{
    uint64_t taken = take_own(loop);

    for (unsigned from = 0; from < loop->all->count; from++)
        if (from != loop->index)
            taken += take_from(loop, from);
    lv_stat_add(loop, LV_STAT_MAILS_IN, taken);
    return taken;
}

bool lv_mail_waiting(struct lv_loop *loop)
{
    for (unsigned i = 0; i < loop->all->count; i++) {
        struct lv_mailbox *in = loop->in[i], *out = loop->out[i];
        if (i == loop->index ? in->over != NULL : ck_ring_size(&in->ring) != 0)
            return true;
        if (i != loop->index && out->over != NULL &&
            !atomic_load_explicit(&out->is_sender_waiting, memory_order_relaxed))
            return true;
    }
    return false;
}

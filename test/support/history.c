/* Histories are read three times: routes first, then publishes, then what came of them. */
#include "support/history.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

#define NEVER UINT64_MAX

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count, size);

    if (p == NULL)
        abort();
    return p;
}

/* ---- tables with open addressing ---- */

/* One message in one queue. */
struct message {
    uint64_t id;
    uint32_t queue;
    bool is_used, is_published, is_confirmed, is_acked;
    uint32_t fresh;                              /* deliveries without redelivered */
    uint64_t first_t, fresh_t, last_t, stable_t; /* any delivery, the fresh one; an ack that lasts */
};

/* What a consumer got last from a publisher through a queue. */
struct stream {
    uint64_t clients; /* consumer << 32 | publisher */
    uint32_t queue;
    bool is_used;
    uint64_t number;
};

enum { ABSENT, PRESENT, IN_DOUBT };

struct name {
    struct lv_bytes text;
    uint32_t *queues; /* of an exchange */
    uint32_t queue_count;
    int state; /* ABSENT, PRESENT or IN_DOUBT */
};

struct mark {
    uint64_t t;
    bool is_end;
};

struct text {
    const char *bytes;
    size_t len;
    bool is_mapped;
};

struct history {
    struct text *texts;
    size_t text_count;
    struct mark *marks; /* of the broker's lives, by time once sorted */
    size_t mark_count;
    struct name *names;
    uint32_t *name_slots; /* index + 1 */
    size_t name_count, name_cap;
    struct message *messages;
    size_t message_count, message_cap;
    struct stream *streams;
    size_t stream_count, stream_cap;
    struct history_verdict verdict;
    FILE *out;
    unsigned told_left;
};

/* Caps are powers of two. */
static size_t slot_of(uint64_t a, uint64_t b, size_t cap)
{
    uint64_t h = (a ^ (b * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xff51afd7ed558ccd);

    return (size_t)((h ^ (h >> 32)) & (cap - 1));
}

static struct message *message_slot(struct message *all, size_t cap, uint32_t queue, uint64_t id)
{
    size_t i = slot_of(id, queue, cap);

    while (all[i].is_used && (all[i].id != id || all[i].queue != queue))
        i = (i + 1) & (cap - 1);
    return &all[i];
}

/* The message, made if it is new. */
static struct message *message_of(struct history *h, uint32_t queue, uint64_t id)
{
    if (h->message_count * 2 >= h->message_cap) {
        size_t cap = LV_MAX(h->message_cap * 2, 1024u);
        struct message *all = zeroed(cap, sizeof(*all));
        for (size_t i = 0; i < h->message_cap; i++)
            if (h->messages[i].is_used)
                *message_slot(all, cap, h->messages[i].queue, h->messages[i].id) = h->messages[i];
        free(h->messages);
        h->messages = all;
        h->message_cap = cap;
    }
    struct message *m = message_slot(h->messages, h->message_cap, queue, id);
    if (!m->is_used) {
        *m = (struct message){ .id = id, .queue = queue, .is_used = true };
        m->first_t = m->stable_t = NEVER;
        h->message_count++;
    }
    return m;
}

static struct stream *stream_slot(struct stream *all, size_t cap, uint64_t clients, uint32_t queue)
{
    size_t i = slot_of(clients, queue, cap);

    while (all[i].is_used && (all[i].clients != clients || all[i].queue != queue))
        i = (i + 1) & (cap - 1);
    return &all[i];
}

static struct stream *stream_of(struct history *h, uint64_t clients, uint32_t queue)
{
    if (h->stream_count * 2 >= h->stream_cap) {
        size_t cap = LV_MAX(h->stream_cap * 2, 256u);
        struct stream *all = zeroed(cap, sizeof(*all));
        for (size_t i = 0; i < h->stream_cap; i++)
            if (h->streams[i].is_used)
                *stream_slot(all, cap, h->streams[i].clients, h->streams[i].queue) = h->streams[i];
        free(h->streams);
        h->streams = all;
        h->stream_cap = cap;
    }
    struct stream *s = stream_slot(h->streams, h->stream_cap, clients, queue);
    if (!s->is_used) {
        *s = (struct stream){ .clients = clients, .queue = queue, .is_used = true };
        h->stream_count++;
    }
    return s;
}

/* Names are few: their table grows with them, four slots for each. */
static uint32_t name_of(struct history *h, struct lv_bytes text)
{
    size_t slots = h->name_cap * 4;

    if (h->name_count == h->name_cap) {
        h->name_cap = LV_MAX(h->name_cap * 2, 64u);
        slots = h->name_cap * 4;
        h->names = realloc(h->names, h->name_cap * sizeof(*h->names));
        if (h->names == NULL)
            abort();
        free(h->name_slots);
        h->name_slots = zeroed(slots, sizeof(uint32_t));
        for (uint32_t n = 0; n < h->name_count; n++) {
            size_t i = lv_hash(h->names[n].text, 0) & (slots - 1);
            while (h->name_slots[i] != 0)
                i = (i + 1) & (slots - 1);
            h->name_slots[i] = n + 1;
        }
    }
    size_t i = lv_hash(text, 0) & (slots - 1);
    for (; h->name_slots[i] != 0; i = (i + 1) & (slots - 1))
        if (lv_bytes_eq(h->names[h->name_slots[i] - 1].text, text))
            return h->name_slots[i] - 1;
    h->names[h->name_count] = (struct name){ .text = text };
    h->name_slots[i] = (uint32_t)++h->name_count;
    return (uint32_t)h->name_count - 1;
}

/* ---- lines ---- */

#define OPS(X) X(route) X(life) X(pub) X(get) X(drain) X(ack) X(declare) X(delete) X(exists)
#define RESULTS(X) X(ok) X(fail) X(unknown) X(again) X(bad)

enum op {
#define X(name) OP_##name,
    OPS(X)
#undef X
        OP_COUNT,
};
enum result {
#define X(name) RESULT_##name,
    RESULTS(X)
#undef X
        RESULT_COUNT,
};

struct line {
    uint64_t t, client, id;
    enum op op;
    enum result result;
    struct lv_bytes name, id_text, text;
};

static struct lv_bytes next_word(struct lv_bytes *left)
{
    struct lv_bytes word = *left;
    const uint8_t *space = left->len > 0 ? memchr(left->ptr, ' ', left->len) : NULL;

    if (space != NULL)
        word.len = (size_t)(space - left->ptr);
    size_t used = LV_MIN(word.len + 1, left->len);
    *left = lv_bytes(left->ptr + used, left->len - used);
    return word;
}

static bool number_of(struct lv_bytes word, uint64_t *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(word.ptr[i] - '0');
    }
    *out = n;
    return word.len > 0 && word.len <= 20;
}

static int word_index(struct lv_bytes word, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (lv_bytes_eq(word, lv_bytes_str(words[i])))
            return i;
    return -1;
}

static bool parse(struct lv_bytes text, struct line *l)
{
    static const char *const ops[] = {
#define X(name) #name,
        OPS(X)
#undef X
    };
    static const char *const results[] = {
#define X(name) #name,
        RESULTS(X)
#undef X
    };
    struct lv_bytes left = text;

    l->text = text;
    if (!number_of(next_word(&left), &l->t) || !number_of(next_word(&left), &l->client))
        return false;
    int op = word_index(next_word(&left), ops, OP_COUNT);
    l->name = next_word(&left);
    l->id_text = next_word(&left);
    int result = word_index(next_word(&left), results, RESULT_COUNT);
    if (op < 0 || result < 0 || l->name.len == 0 || left.len != 0 || l->client > UINT16_MAX)
        return false;
    l->op = (enum op)op;
    l->result = (enum result)result;
    bool has_id = l->op == OP_pub || l->op == OP_get || l->op == OP_drain || l->op == OP_ack;
    return !has_id || number_of(l->id_text, &l->id);
}

/* ---- faults ---- */

const char *history_fault_name(enum history_fault fault)
{
    static const char *const names[] = {
#define X(name, text) #name,
        HISTORY_FAULTS(X)
#undef X
    };
    return names[fault];
}

static bool count_fault(struct history *h, enum history_fault fault)
{
    h->verdict.faults[fault]++;
    if (h->out == NULL || h->told_left == 0)
        return false;
    h->told_left--;
    fprintf(h->out, "%s: ", history_fault_name(fault));
    return true;
}

static void fault_at(struct history *h, enum history_fault fault, const struct line *l)
{
    if (count_fault(h, fault))
        fprintf(h->out, "%.*s\n", LV_BYTES_FMT(l->text));
}

static void fault_of(struct history *h, enum history_fault fault, const struct message *m)
{
    if (count_fault(h, fault))
        fprintf(h->out, "message %" PRIu64 " (client %u, number %" PRIu64 ") in %.*s\n", m->id,
                (unsigned)(m->id >> HISTORY_CLIENT_SHIFT),
                m->id & ((UINT64_C(1) << HISTORY_CLIENT_SHIFT) - 1),
                LV_BYTES_FMT(h->names[m->queue].text));
}

/* ---- what the lines mean ---- */

static void route(struct history *h, const struct line *l)
{
    uint32_t queue = name_of(h, l->id_text), exchange = name_of(h, l->name);
    struct name *n = &h->names[exchange];

    n->queues = realloc(n->queues, (n->queue_count + 1) * sizeof(uint32_t));
    if (n->queues == NULL)
        abort();
    n->queues[n->queue_count++] = queue;
}

static void lived(struct history *h, const struct line *l)
{
    h->marks = realloc(h->marks, (h->mark_count + 1) * sizeof(struct mark));
    if (h->marks == NULL)
        abort();
    h->marks[h->mark_count++] = (struct mark){ l->t, l->result == RESULT_fail };
}

static int by_time(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;

    return (x->t > y->t) - (x->t < y->t);
}

/* Read while the broker was being ended: from a buffer, perhaps behind what others have got since. */
static bool is_late(const struct history *h, uint64_t t)
{
    size_t low = 0, high = h->mark_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (h->marks[middle].t <= t)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && h->marks[low - 1].is_end;
}

static void published(struct history *h, const struct line *l)
{
    uint32_t to = name_of(h, l->name), self[] = { to };
    const uint32_t *queues = h->names[to].queue_count > 0 ? h->names[to].queues : self;
    uint32_t count = LV_MAX(h->names[to].queue_count, 1u);

    h->verdict.published += l->result == RESULT_unknown;
    h->verdict.confirmed += l->result == RESULT_ok;
    for (uint32_t i = 0; i < count; i++) {
        struct message *m = message_of(h, queues[i], l->id);
        m->is_published = true;
        m->is_confirmed = m->is_confirmed || l->result == RESULT_ok;
    }
}

static void check_order(struct history *h, const struct line *l, uint32_t queue)
{
    uint64_t publisher = l->id >> HISTORY_CLIENT_SHIFT;
    struct stream *s = stream_of(h, l->client << 32 | publisher, queue);

    if (s->number >= l->id && s->number != 0)
        fault_at(h, HISTORY_misordered, l);
    s->number = LV_MAX(s->number, l->id);
}

static void delivered(struct history *h, const struct line *l)
{
    uint32_t queue = name_of(h, l->name);
    struct message *m = message_of(h, queue, l->id);

    h->verdict.delivered++;
    h->verdict.redelivered += l->result == RESULT_again;
    if (!m->is_published || (l->result != RESULT_ok && l->result != RESULT_again)) {
        fault_at(h, HISTORY_phantom, l);
        return;
    }
    m->first_t = LV_MIN(m->first_t, l->t);
    m->fresh += l->result == RESULT_ok;
    if (!is_late(h, l->t)) {
        m->last_t = LV_MAX(m->last_t, l->t);
        if (l->result == RESULT_ok)
            m->fresh_t = l->t;
    }
    /* What comes again takes its old place among what waits, not among what was seen. */
    if (l->result == RESULT_ok || l->op == OP_drain)
        check_order(h, l, queue);
}

static void acked(struct history *h, const struct line *l)
{
    struct message *m = message_of(h, name_of(h, l->name), l->id);

    m->is_acked = true;
    if (l->result == RESULT_ok)
        m->stable_t = LV_MIN(m->stable_t, l->t);
}

static void changed(struct history *h, const struct line *l)
{
    uint32_t index = name_of(h, l->name); /* first: it may move the table */
    struct name *n = &h->names[index];
    int wanted = l->op == OP_declare ? PRESENT : ABSENT;

    h->verdict.topology++;
    if (l->result == RESULT_ok)
        n->state = wanted;
    else if (l->result == RESULT_unknown && n->state != wanted)
        n->state = IN_DOUBT;
}

static void looked_up(struct history *h, const struct line *l)
{
    uint32_t index = name_of(h, l->name); /* first: it may move the table */
    struct name *n = &h->names[index];
    int seen = l->result == RESULT_ok ? PRESENT : ABSENT;

    h->verdict.topology++;
    if (n->state != IN_DOUBT && n->state != seen)
        fault_at(h, seen == PRESENT ? HISTORY_ghost : HISTORY_forgotten, l);
    n->state = seen;
}

static void take(struct history *h, const struct line *l, unsigned pass)
{
    switch (l->op) {
    case OP_route:
        if (pass == 0)
            route(h, l);
        return;
    case OP_life:
        if (pass == 0)
            lived(h, l);
        return;
    case OP_pub:
        if (pass == 1)
            published(h, l);
        return;
    default:
        break;
    }
    if (pass != 2)
        return;
    if (l->op == OP_get || l->op == OP_drain)
        delivered(h, l);
    else if (l->op == OP_ack)
        acked(h, l);
    else if (l->op == OP_exists)
        looked_up(h, l);
    else
        changed(h, l);
}

static void read_text(struct history *h, const struct text *text, unsigned pass)
{
    const char *at = text->bytes, *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        struct line l = { 0 };
        h->verdict.lines += pass == 0;
        if (parse(lv_bytes(at, (size_t)(stop - at)), &l))
            take(h, &l, pass);
        else if (pass == 0)
            fault_at(h, HISTORY_malformed, &l);
        at = stop + 1;
    }
}

static void judge(struct history *h, const struct message *m)
{
    if (m->is_confirmed && m->first_t == NEVER)
        fault_of(h, HISTORY_lost, m);
    else if (m->is_confirmed && !m->is_acked)
        fault_of(h, HISTORY_vanished, m);
    if (m->fresh > 1 || (m->fresh == 1 && m->fresh_t > m->first_t))
        fault_of(h, HISTORY_duplicate, m);
    if (m->stable_t != NEVER && m->first_t != NEVER && m->last_t > m->stable_t)
        fault_of(h, HISTORY_returned, m);
}

bool history_check(struct history *h, FILE *out, unsigned told_max, struct history_verdict *verdict)
{
    h->out = out;
    h->told_left = told_max;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < h->text_count; i++)
            read_text(h, &h->texts[i], pass);
        if (pass == 0 && h->mark_count > 0)
            qsort(h->marks, h->mark_count, sizeof(struct mark), by_time);
    }
    for (size_t i = 0; i < h->message_cap; i++)
        if (h->messages[i].is_used)
            judge(h, &h->messages[i]);
    *verdict = h->verdict;
    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        if (verdict->faults[i] != 0)
            return false;
    return true;
}

struct history *history_new(void)
{
    return zeroed(1, sizeof(struct history));
}

void history_free(struct history *h)
{
    for (size_t i = 0; i < h->text_count; i++)
        if (h->texts[i].is_mapped)
            munmap((void *)(uintptr_t)h->texts[i].bytes, h->texts[i].len);
    for (size_t i = 0; i < h->name_count; i++)
        free(h->names[i].queues);
    free(h->texts);
    free(h->marks);
    free(h->names);
    free(h->name_slots);
    free(h->messages);
    free(h->streams);
    free(h);
}

static void add_text(struct history *h, struct text text)
{
    h->texts = realloc(h->texts, (h->text_count + 1) * sizeof(text));
    if (h->texts == NULL)
        abort();
    h->texts[h->text_count++] = text;
}

void history_add(struct history *h, const char *text, size_t bytes)
{
    add_text(h, (struct text){ text, bytes, false });
}

bool history_add_file(struct history *h, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool is_read = fd >= 0 && fstat(fd, &st) == 0;

    if (is_read && st.st_size > 0) {
        size_t len = (size_t)st.st_size;
        void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        is_read = bytes != MAP_FAILED;
        if (is_read)
            add_text(h, (struct text){ bytes, len, true });
    }
    if (fd >= 0)
        close(fd);
    return is_read;
}

#include "manage/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "manage/manage_priv.h"
#include "security/pattern.h"

#define TEXT_BLOCK_BYTES 65536u
#define KEYS_PER_TURN 2000u
#define VIEW_SORT_MAX 20000u /* more are too many to be described every second */

struct lv_listing {
    struct lv_request *r;
    const struct lv_listing_kind *kind;
    struct lv_listing_item *items;
    size_t count, cap;
    size_t total, filtered; /* before and after the filter */
    bool is_short;          /* memory ran out */

    /* ?name=, ?use_regex= */
    struct lv_bytes needle; /* in small letters; ptr NULL: no filter */
    struct lv_pattern *pattern;

    /* ?page=, ?page_size= */
    bool is_paged;
    uint64_t page, page_size;

    /* ?sort=, ?sort_reverse= */
    bool has_sort, is_reverse;
    struct lv_json_columns sort;
    struct lv_buf scratch;
    struct lv_task slice;
    size_t at; /* items whose sort value is known; then items that are written */

    struct text_block *blocks; /* copies; the first has room */
    size_t text_left;
};

struct text_block {
    struct text_block *next;
    size_t used;
    uint8_t bytes[];
};

/* ---- memory ---- */

void lv_listing_free(struct lv_listing *list)
{
    struct text_block *next;

    if (list == NULL)
        return;
    lv_list_remove(&list->slice.link);
    lv_pattern_free(list->pattern);
    lv_buf_fini(&list->scratch);
    lv_mem_free(list->items, LV_TAG_MANAGE);
    for (struct text_block *b = list->blocks; b != NULL; b = next) {
        next = b->next;
        lv_mem_free(b, LV_TAG_MANAGE);
    }
    lv_mem_free(list, LV_TAG_MANAGE);
}

static void listing_clean(struct lv_request *r)
{
    lv_listing_free(r->work);
}

/* A copy that stays. */
static struct lv_bytes keep(struct lv_listing *list, struct lv_bytes b)
{
    if (list->text_left < b.len || list->blocks == NULL) {
        size_t room = LV_MAX(TEXT_BLOCK_BYTES, b.len);
        struct text_block *block = lv_mem_alloc(sizeof(*block) + room, LV_TAG_MANAGE);
        if (block == NULL) {
            list->is_short = true;
            return lv_bytes(NULL, 0);
        }
        block->next = list->blocks;
        block->used = 0;
        list->blocks = block;
        list->text_left = room;
    }
    uint8_t *copy = list->blocks->bytes + list->blocks->used;
    if (b.len != 0)
        memcpy(copy, b.ptr, b.len);
    list->blocks->used += b.len;
    list->text_left -= b.len;
    return lv_bytes(copy, b.len);
}

/* The names of what is in the list stay from here on. */
static void keep_names(struct lv_listing *list)
{
    struct lv_bytes from = { NULL, 0 }, vhost = { NULL, 0 };

    if (list->kind->is_kept)
        return;
    for (size_t i = 0; i < list->count && !list->is_short; i++) {
        struct lv_listing_item *item = &list->items[i];
        if (item->vhost.ptr != from.ptr) {
            from = item->vhost;
            vhost = keep(list, from);
        }
        item->vhost = vhost;
        item->name = keep(list, item->name);
    }
}

/* ---- what is asked for ---- */

static struct lv_bytes small_letters(struct lv_listing *list, struct lv_bytes b)
{
    struct lv_bytes copy = keep(list, b);
    uint8_t *at = (uint8_t *)(uintptr_t)copy.ptr;

    for (size_t i = 0; i < copy.len; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] |= 0x20;
    return copy;
}

/* False: it was answered. */
static bool read_filter(struct lv_listing *list)
{
    struct lv_request *r = list->r;
    struct lv_bytes name = lv_url_param(&r->url, "name");
    uint8_t source[LV_LISTING_NAME_MAX + 8];
    char why[256];

    if (name.len == 0 || !list->is_paged)
        return true;
    if (name.len > LV_LISTING_NAME_MAX) {
        lv_reply_bad_request(r, "name is longer than %u bytes", LV_LISTING_NAME_MAX);
        return false;
    }
    if (!lv_request_flag(r, "use_regex")) {
        list->needle = small_letters(list, name);
        return true;
    }
    struct lv_wr w = lv_wr(source, sizeof(source));
    lv_wr_bytes(&w, "(?i)", 4);
    lv_wr_bytes(&w, name.ptr, name.len);
    if (lv_pattern_new(lv_bytes(source, w.used), &list->pattern, why, sizeof(why)) == LV_OK)
        return true;
    lv_reply_bad_request(r, "name is not a regular expression: %s", why);
    return false;
}

static bool is_integer(struct lv_bytes text)
{
    size_t i = text.len != 0 && text.ptr[0] == '-' ? 1 : 0;

    if (i == text.len)
        return false;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9')
        i++;
    return i == text.len;
}

/* In RabbitMQ's words. */
static void refuse_page(struct lv_request *r, struct lv_bytes page, struct lv_bytes size)
{
    if (!is_integer(page) || (size.ptr != NULL && !is_integer(size))) {
        lv_reply_bad_request(r, "Pagination parameters are invalid");
        return;
    }
    if (size.ptr == NULL)
        size = LV_BYTES_LIT("undefined");
    lv_reply_error(r, 400, "invalid_pagination_parameters",
                   "Invalid pagination parameters: page number %.*s, page size %.*s",
                   LV_BYTES_FMT(page), LV_BYTES_FMT(size));
}

/* False: it was answered. */
static bool read_page(struct lv_listing *list)
{
    struct lv_request *r = list->r;
    struct lv_bytes page = lv_url_param(&r->url, "page"), size = lv_url_param(&r->url, "page_size");

    list->is_paged = list->is_paged || page.ptr != NULL;
    list->page = 1;
    list->page_size = LV_LISTING_PAGE_SIZE;
    if (!list->is_paged)
        return true;
    if (lv_request_number(r, "page", UINT32_MAX, &list->page) && list->page != 0 &&
        lv_request_number(r, "page_size", LV_LISTING_PAGE_SIZE_MAX, &list->page_size) &&
        list->page_size != 0)
        return true;
    refuse_page(r, page, size);
    return false;
}

/* NULL: it was answered. */
static struct lv_listing *make(struct lv_request *r, const struct lv_listing_kind *kind)
{
    struct lv_listing *list = lv_mem_zalloc(sizeof(*list), LV_TAG_MANAGE);

    if (list == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    list->r = r;
    list->kind = kind;
    lv_list_init(&list->slice.link);
    list->has_sort = lv_json_path(lv_url_param(&r->url, "sort"), &list->sort.path[0]);
    list->sort.count = 1;
    list->is_reverse = lv_request_flag(r, "sort_reverse");
    return list;
}

struct lv_listing *lv_listing_new(struct lv_request *r, const struct lv_listing_kind *kind)
{
    struct lv_listing *list = make(r, kind);

    if (list == NULL)
        return NULL;
    if (r->work != NULL) { /* that it comes after is over */
        r->clean(r);
        r->work = NULL;
    }
    r->work = list;
    r->clean = listing_clean;
    return read_page(list) && read_filter(list) ? list : NULL;
}

struct lv_listing *lv_listing_view(struct lv_request *r, const struct lv_listing_kind *kind)
{
    struct lv_listing *list = make(r, kind);

    if (list == NULL)
        return NULL;
    list->is_paged = true;
    if (read_page(list) && read_filter(list))
        return list;
    lv_listing_free(list);
    return NULL;
}

/* ---- filling ---- */

static bool has_needle(struct lv_bytes name, struct lv_bytes needle)
{
    for (size_t from = 0; from + needle.len <= name.len; from++) {
        size_t i = 0;
        while (i < needle.len) {
            uint8_t c = name.ptr[from + i];
            if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != needle.ptr[i])
                break;
            i++;
        }
        if (i == needle.len)
            return true;
    }
    return false;
}

static bool passes(const struct lv_listing *list, struct lv_bytes name)
{
    if (list->pattern != NULL)
        return lv_pattern_match(list->pattern, name);
    return list->needle.ptr == NULL || has_needle(name, list->needle);
}

/* Most names differ in their first bytes: then neither is looked up in memory to be compared. */
static uint64_t beginning(struct lv_bytes name)
{
    uint8_t first[8] = { 0 };

    if (name.len != 0)
        memcpy(first, name.ptr, LV_MIN(name.len, sizeof(first)));
    return lv_be64(first);
}

void lv_listing_add(struct lv_listing *list, struct lv_bytes vhost, struct lv_bytes name,
                    const void *object)
{
    list->total++;
    if (!passes(list, name))
        return;
    if (list->count == list->cap) {
        size_t cap = LV_MAX(list->cap * 2, (size_t)64);
        void *items = lv_mem_realloc(list->items, cap * sizeof(*list->items), LV_TAG_MANAGE);
        if (items == NULL) {
            list->is_short = true;
            return;
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = (struct lv_listing_item){
        .begin = beginning(name), .vhost = vhost, .name = name, .object = object
    };
}

/* ---- order ---- */

static int compare(const void *a, const void *b, void *ctx)
{
    const struct lv_listing_item *x = a, *y = b;
    const struct lv_listing *list = ctx;
    int c = list->has_sort ? lv_json_value_cmp(&x->sort, &y->sort) : 0;

    if (c == 0 && x->vhost.ptr != y->vhost.ptr)
        c = lv_bytes_cmp(x->vhost, y->vhost);
    if (c == 0 && x->begin != y->begin)
        c = x->begin < y->begin ? -1 : 1;
    if (c == 0)
        c = lv_bytes_cmp(x->name, y->name);
    return list->is_reverse ? -c : c;
}

static void swap(struct lv_listing_item *a, struct lv_listing_item *b)
{
    struct lv_listing_item t = *a;

    *a = *b;
    *b = t;
}

/* Orders [from, to) so far that what belongs before `at` is before it: quickselect, its pivot the median of three. */
static void select_before(struct lv_listing *list, size_t from, size_t to, size_t at)
{
    struct lv_listing_item *v = list->items;

    while (to - from > 2 && at > from && at < to) {
        size_t middle = from + (to - from) / 2, store = from;
        if (compare(&v[middle], &v[from], list) < 0)
            swap(&v[middle], &v[from]);
        if (compare(&v[to - 1], &v[from], list) < 0)
            swap(&v[to - 1], &v[from]);
        if (compare(&v[middle], &v[to - 1], list) < 0)
            swap(&v[middle], &v[to - 1]); /* the median is last: the pivot */
        for (size_t i = from; i + 1 < to; i++)
            if (compare(&v[i], &v[to - 1], list) < 0)
                swap(&v[i], &v[store++]);
        swap(&v[store], &v[to - 1]);
        if (at <= store)
            to = store;
        else
            from = store + 1;
    }
    if (to - from == 2 && compare(&v[from + 1], &v[from], list) < 0)
        swap(&v[from], &v[from + 1]);
}

/* Leaves what is to be written, in order. */
static void cut_out(struct lv_listing *list, size_t from, size_t to)
{
    if (list->count == 0)
        return;
    select_before(list, 0, list->count, from);
    select_before(list, from, list->count, to);
    qsort_r(list->items + from, to - from, sizeof(*list->items), compare, list);
    memmove(list->items, list->items + from, (to - from) * sizeof(*list->items));
    list->count = to - from;
}

/* ---- writing ---- */

static void begin_page(struct lv_listing *list, struct lv_json *j)
{
    uint64_t pages = (list->filtered + list->page_size - 1) / list->page_size;

    lv_json_open(j, NULL);
    lv_json_u64(j, "total_count", list->total);
    lv_json_u64(j, "item_count", list->count);
    lv_json_u64(j, "filtered_count", list->filtered);
    lv_json_u64(j, "page", list->page);
    lv_json_u64(j, "page_size", list->page_size);
    lv_json_u64(j, "page_count", pages);
}

static void write_on(struct lv_request *r)
{
    struct lv_listing *list = r->work;
    struct lv_json *j = &r->reply.json;

    while (list->at < list->count) {
        (void)list->kind->describe(r, &list->items[list->at++], j);
        if (!lv_reply_push(r))
            return;
    }
    r->go_on = NULL;
    lv_json_close(j);
    if (list->is_paged)
        lv_json_close(j);
    lv_reply_end(r);
}

static void write_all(struct lv_listing *list)
{
    struct lv_request *r = list->r;
    struct lv_json *j;

    if (list->is_short) {
        lv_reply_no_memory(r);
        return;
    }
    j = lv_reply_json(r, 200);
    if (list->is_paged)
        begin_page(list, j);
    lv_json_open_array(j, list->is_paged ? "items" : NULL);
    lv_reply_select(r);
    list->at = 0;
    r->go_on = write_on;
    write_on(r);
}

/* The names are all there, and so are the values to sort by, if there are any: leaves those of the page. False: there is no
 * such page. */
static bool cut_page(struct lv_listing *list)
{
    size_t from = 0, to = list->count;

    if (list->is_paged) {
        uint64_t first = (list->page - 1) * list->page_size;
        if (list->page > 1 && first >= list->count)
            return false;
        from = (size_t)first;
        to = LV_MIN(list->count, from + list->page_size);
    }
    cut_out(list, from, to);
    return true;
}

static void finish(struct lv_listing *list)
{
    if (!cut_page(list)) {
        lv_reply_error(list->r, 400, "page_out_of_range",
                       "Page out of range, page: %llu page size: %llu, len: %zu",
                       (unsigned long long)list->page, (unsigned long long)list->page_size,
                       list->count);
        return;
    }
    if (!list->has_sort)
        keep_names(list);
    write_all(list);
}

/* ---- values to sort by ---- */

static void pick_values(struct lv_listing *list, size_t end)
{
    struct lv_json j;

    for (; list->at < end; list->at++) {
        struct lv_listing_item *item = &list->items[list->at];
        lv_json_init_pick(&j, &list->sort, &item->sort, &list->scratch);
        (void)list->kind->describe(list->r, item, &j);
        if (item->sort.kind == LV_JSON_TEXT)
            item->sort.text = keep(list, item->sort.text);
    }
    list->is_short |= list->scratch.is_short;
}

static void pick_slice(struct lv_loop *loop, struct lv_task *task)
{
    struct lv_listing *list = LV_CONTAINER_OF(task, struct lv_listing, slice);

    pick_values(list, LV_MIN(list->count, list->at + KEYS_PER_TURN));
    if (list->at < list->count && !list->is_short)
        lv_loop_defer(loop, task);
    else
        finish(list);
}

size_t lv_listing_cut(struct lv_listing *list)
{
    list->filtered = list->count;
    if (list->has_sort && list->count > VIEW_SORT_MAX)
        list->has_sort = false;
    if (list->has_sort)
        pick_values(list, list->count);
    return !list->is_short && cut_page(list) ? list->count : 0;
}

const struct lv_listing_item *lv_listing_at(const struct lv_listing *list, size_t i)
{
    return &list->items[i];
}

void lv_listing_reply(struct lv_listing *list)
{
    list->filtered = list->count;
    if (list->is_short) {
        lv_reply_no_memory(list->r);
    } else if (!list->has_sort) {
        finish(list);
    } else {
        keep_names(list);
        list->slice.run = pick_slice;
        pick_slice(list->r->room->loop, &list->slice);
    }
}

void lv_reply_one(struct lv_request *r, const struct lv_listing_kind *kind,
                  const struct lv_listing_item *item)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_reply_select(r);
    if (kind->describe(r, item, j)) {
        lv_reply_end(r);
        return;
    }
    r->reply.state = LV_REPLY_NONE;
    lv_reply_not_found(r);
}

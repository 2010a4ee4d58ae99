/* The simulated directory: for each file what it holds, what of it is on the disk, and the way from this to that. */
#include "support/sim_dir.h"

#include <pthread.h>
#include <stdlib.h>

enum { PAGE = 4096, SECTOR = 512 };

#define NO_LIMIT UINT64_MAX

static void *grown(void *old, size_t count, size_t size)
{
    void *p = realloc(old, LV_MAX(count, 1u) * size);

    if (p == NULL)
        abort();
    return p;
}

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(LV_MAX(count, 1u), size);

    if (p == NULL)
        abort();
    return p;
}

static char *copied(const char *text)
{
    char *p = strdup(text);

    if (p == NULL)
        abort();
    return p;
}

/* ---- an image: the bytes of a file, in pages that images share until one of them writes ---- */

struct page {
    unsigned refs; /* atomic: directories that share it have different mutexes */
    uint8_t data[PAGE];
};

struct image {
    uint64_t size;
    size_t page_count;
    struct page **pages; /* NULL: zeros */
};

static void page_unref(struct page *p)
{
    if (p != NULL && __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free(p);
}

static struct page *page_ref(struct page *p)
{
    if (p != NULL)
        __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

static void image_fini(struct image *im)
{
    for (size_t i = 0; i < im->page_count; i++)
        page_unref(im->pages[i]);
    free(im->pages);
}

static struct image image_clone(const struct image *im)
{
    struct image copy = { im->size, im->page_count, zeroed(im->page_count, sizeof(struct page *)) };

    for (size_t i = 0; i < copy.page_count; i++)
        copy.pages[i] = page_ref(im->pages[i]);
    return copy;
}

/* The page, ours alone, zeros if it was not there. */
static uint8_t *image_page(struct image *im, size_t index)
{
    if (index >= im->page_count) {
        size_t count = LV_MAX(index + 1, im->page_count * 2);
        im->pages = grown(im->pages, count, sizeof(struct page *));
        memset(im->pages + im->page_count, 0, (count - im->page_count) * sizeof(struct page *));
        im->page_count = count;
    }
    struct page *old = im->pages[index];
    if (old != NULL && __atomic_load_n(&old->refs, __ATOMIC_ACQUIRE) == 1)
        return old->data;
    struct page *mine = zeroed(1, sizeof(*mine));
    mine->refs = 1;
    if (old != NULL)
        memcpy(mine->data, old->data, PAGE);
    page_unref(old);
    im->pages[index] = mine;
    return mine->data;
}

/* Bytes only; the size is the caller's. `data` NULL: zeros, and no page is made for them. */
static void image_put(struct image *im, uint64_t at, const uint8_t *data, uint64_t bytes)
{
    while (bytes > 0) {
        size_t index = (size_t)(at / PAGE), from = (size_t)(at % PAGE);
        size_t n = (size_t)LV_MIN(bytes, PAGE - from);
        if (data != NULL)
            memcpy(image_page(im, index) + from, data, n);
        else if (index < im->page_count && im->pages[index] != NULL)
            memset(image_page(im, index) + from, 0, n);
        data = data != NULL ? data + n : NULL;
        at += n;
        bytes -= n;
    }
}

static void image_get(const struct image *im, uint64_t at, uint8_t *out, size_t bytes)
{
    while (bytes > 0) {
        size_t index = (size_t)(at / PAGE), from = (size_t)(at % PAGE);
        size_t n = LV_MIN(bytes, PAGE - from);
        if (index < im->page_count && im->pages[index] != NULL)
            memcpy(out, im->pages[index]->data + from, n);
        else
            memset(out, 0, n);
        out += n;
        at += n;
        bytes -= n;
    }
}

/* Bytes past the end of an image are always zeros, so growing needs nothing else. */
static void image_resize(struct image *im, uint64_t size)
{
    if (size < im->size) {
        size_t keep = (size_t)((size + PAGE - 1) / PAGE);
        image_put(im, size, NULL, LV_MIN(im->size, (uint64_t)keep * PAGE) - size);
        for (size_t i = keep; i < im->page_count; i++) {
            page_unref(im->pages[i]);
            im->pages[i] = NULL;
        }
    }
    im->size = size;
}

static size_t image_pages_used(const struct image *im)
{
    size_t used = 0;

    for (size_t i = 0; i < im->page_count; i++)
        used += im->pages[i] != NULL;
    return used;
}

/* ---- files: an image as it is read, the image on the disk, and the changes between them ---- */

struct change {
    enum sim_op op; /* WRITE, RESIZE, RESERVE */
    uint64_t seq;
    uint64_t at;    /* RESIZE, RESERVE: the size */
    uint64_t bytes; /* of a write */
    uint8_t *data;
};

struct inode {
    unsigned refs; /* names now and on the disk, changes of names, handles */
    uint64_t reserved;
    struct image now, disk;
    struct change *changes; /* in the order of their calls */
    size_t change_count, change_max;
};

static struct inode *inode_new(void)
{
    struct inode *n = zeroed(1, sizeof(*n));

    n->refs = 1;
    return n;
}

static struct inode *inode_ref(struct inode *n)
{
    n->refs++;
    return n;
}

static void forget_changes(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++)
        free(n->changes[i].data);
    n->change_count = 0;
}

static void inode_unref(struct inode *n)
{
    if (--n->refs != 0)
        return;
    forget_changes(n);
    free(n->changes);
    image_fini(&n->now);
    image_fini(&n->disk);
    free(n);
}

static uint64_t size_after(const struct change *c, uint64_t size)
{
    switch (c->op) {
    case SIM_OP_WRITE:
        return c->bytes > 0 ? LV_MAX(size, c->at + c->bytes) : size;
    case SIM_OP_RESERVE:
        return LV_MAX(size, c->at);
    default:
        return c->at;
    }
}

static void image_change(struct image *im, const struct change *c)
{
    image_resize(im, size_after(c, im->size));
    if (c->op == SIM_OP_WRITE)
        image_put(im, c->at, c->data, c->bytes);
}

static void inode_change(struct inode *n, struct change c)
{
    image_change(&n->now, &c);
    if (n->change_count == n->change_max) {
        n->change_max = n->change_max * 2 + 8;
        n->changes = grown(n->changes, n->change_max, sizeof(struct change));
    }
    n->changes[n->change_count++] = c;
}

static void inode_sync(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++)
        image_change(&n->disk, &n->changes[i]);
    forget_changes(n);
}

/* ---- names ---- */

struct name {
    char *text;
    struct inode *inode;
};

struct names {
    struct name *items;
    size_t count, max;
};

static struct name *names_find(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].text, text) == 0)
            return &names->items[i];
    return NULL;
}

/* Takes the reference to `inode`. */
static void names_set(struct names *names, const char *text, struct inode *inode)
{
    struct name *old = names_find(names, text);

    if (old != NULL) {
        inode_unref(old->inode);
        old->inode = inode;
        return;
    }
    if (names->count == names->max) {
        names->max = names->max * 2 + 8;
        names->items = grown(names->items, names->max, sizeof(struct name));
    }
    names->items[names->count++] = (struct name){ copied(text), inode };
}

static void names_remove(struct names *names, struct name *n)
{
    free(n->text);
    inode_unref(n->inode);
    *n = names->items[--names->count];
}

static void names_fini(struct names *names)
{
    while (names->count > 0)
        names_remove(names, &names->items[names->count - 1]);
    free(names->items);
}

static struct names names_clone(const struct names *names)
{
    struct names copy = { 0 };

    for (size_t i = 0; i < names->count; i++)
        names_set(&copy, names->items[i].text, inode_ref(names->items[i].inode));
    return copy;
}

struct name_change {
    enum sim_op op; /* CREATE, RENAME, UNLINK */
    uint64_t seq;
    char *name, *to;
    struct inode *inode; /* CREATE: the new one */
};

static void name_change_fini(struct name_change *c)
{
    free(c->name);
    free(c->to);
    if (c->inode != NULL)
        inode_unref(c->inode);
}

static void names_change(struct names *names, const struct name_change *c)
{
    struct name *n = names_find(names, c->name);

    if (c->op == SIM_OP_CREATE) {
        names_set(names, c->name, inode_ref(c->inode));
        return;
    }
    LV_ASSERT(n != NULL);
    struct inode *inode = inode_ref(n->inode);
    names_remove(names, n);
    if (c->op == SIM_OP_RENAME)
        names_set(names, c->to, inode);
    else
        inode_unref(inode);
}

/* ---- the directory ---- */

struct sim_dir {
    struct lv_dir door;
    pthread_mutex_t mutex;
    struct names now, disk;
    struct name_change *changes;
    size_t change_count, change_max;
    uint64_t ops, syncs;
    bool is_stopped;
    enum sim_point stop_point;
    uint64_t stop_nth, fail_sync_nth;
    uint64_t space;
    sim_hook_fn *hook;
    void *hook_ctx;
};

struct sim_file {
    struct lv_file file; /* first */
    struct sim_dir *sim;
    struct inode *inode;
    bool can_write;
};

static struct sim_dir *dir_of(struct lv_dir *d)
{
    return LV_CONTAINER_OF(d, struct sim_dir, door);
}

static bool is_sync(enum sim_op op)
{
    return op == SIM_OP_SYNC || op == SIM_OP_DIR_SYNC;
}

static bool is_at(const struct sim_dir *sim, enum sim_point point, enum sim_op op)
{
    bool by_sync = point == SIM_BEFORE_SYNC || point == SIM_AFTER_SYNC;

    if (sim->stop_nth == 0 || sim->stop_point != point || (by_sync && !is_sync(op)))
        return false;
    return (by_sync ? sim->syncs : sim->ops) == sim->stop_nth;
}

/* Every operation stands between op_begin and op_end. With LV_OK the mutex is held in between. */
static enum lv_err op_begin(struct sim_dir *sim, enum sim_op op)
{
    pthread_mutex_lock(&sim->mutex);
    if (!sim->is_stopped && sim->hook != NULL) {
        pthread_mutex_unlock(&sim->mutex);
        sim->hook(sim->hook_ctx, sim, op, false);
        pthread_mutex_lock(&sim->mutex);
    }
    if (!sim->is_stopped) {
        sim->ops++;
        sim->syncs += is_sync(op);
        sim->is_stopped = is_at(sim, SIM_BEFORE_SYNC, op) || is_at(sim, SIM_BEFORE_OP, op);
    }
    if (!sim->is_stopped)
        return LV_OK;
    pthread_mutex_unlock(&sim->mutex);
    return LV_EIO;
}

static enum lv_err op_end(struct sim_dir *sim, enum sim_op op, enum lv_err err)
{
    if (is_at(sim, SIM_AFTER_SYNC, op) || is_at(sim, SIM_AFTER_OP, op))
        sim->is_stopped = true;
    pthread_mutex_unlock(&sim->mutex);
    if (sim->hook != NULL)
        sim->hook(sim->hook_ctx, sim, op, true);
    return err;
}

/* ---- files, behind the door ---- */

static struct sim_file *file_of(struct lv_file *f)
{
    return (struct sim_file *)f;
}

static enum lv_err file_read(struct lv_file *f, uint64_t at, void *buf, size_t bytes, size_t *got)
{
    struct sim_dir *sim = file_of(f)->sim;
    const struct image *im = &file_of(f)->inode->now;

    *got = 0;
    pthread_mutex_lock(&sim->mutex);
    bool is_stopped = sim->is_stopped;
    if (!is_stopped && at < im->size) {
        *got = (size_t)LV_MIN(bytes, im->size - at);
        image_get(im, at, buf, *got);
    }
    pthread_mutex_unlock(&sim->mutex);
    return is_stopped ? LV_EIO : LV_OK;
}

static uint64_t space_used(const struct sim_dir *sim)
{
    uint64_t used = 0;

    for (size_t i = 0; i < sim->now.count; i++) {
        const struct inode *n = sim->now.items[i].inode;
        used += LV_MAX(n->reserved, (uint64_t)image_pages_used(&n->now) * PAGE);
    }
    return used;
}

/* Whether the file may have `end` bytes on the disk. */
static bool has_space(const struct sim_dir *sim, const struct inode *n, uint64_t end)
{
    uint64_t has = LV_MAX(n->reserved, n->now.size);

    return end <= has || space_used(sim) + (end - has) <= sim->space;
}

static enum lv_err file_write(struct lv_file *f, uint64_t at, const struct lv_bytes *parts,
                              size_t count)
{
    struct sim_dir *sim = file_of(f)->sim;
    struct inode *n = file_of(f)->inode;
    enum lv_err err = op_begin(sim, SIM_OP_WRITE);
    size_t bytes = 0, used = 0;

    if (err != LV_OK)
        return err;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    if (!file_of(f)->can_write)
        return op_end(sim, SIM_OP_WRITE, LV_EIO);
    if (bytes > 0 && !has_space(sim, n, at + bytes))
        return op_end(sim, SIM_OP_WRITE, LV_ENOSPC);
    uint8_t *data = zeroed(bytes, 1);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(data + used, parts[i].ptr, parts[i].len);
        used += parts[i].len;
    }
    inode_change(n, (struct change){ SIM_OP_WRITE, sim->ops, at, bytes, data });
    return op_end(sim, SIM_OP_WRITE, LV_OK);
}

static enum lv_err file_sync(struct lv_file *f)
{
    struct sim_dir *sim = file_of(f)->sim;
    enum lv_err err = op_begin(sim, SIM_OP_SYNC);

    if (err != LV_OK)
        return err;
    if (sim->fail_sync_nth == sim->syncs) {
        forget_changes(file_of(f)->inode); /* and what is read stays as it is */
        return op_end(sim, SIM_OP_SYNC, LV_EIO);
    }
    inode_sync(file_of(f)->inode);
    return op_end(sim, SIM_OP_SYNC, LV_OK);
}

static enum lv_err change_size(struct lv_file *f, enum sim_op op, uint64_t bytes)
{
    struct sim_dir *sim = file_of(f)->sim;
    struct inode *n = file_of(f)->inode;
    enum lv_err err = op_begin(sim, op);

    if (err != LV_OK)
        return err;
    if (!file_of(f)->can_write)
        return op_end(sim, op, LV_EIO);
    if (op == SIM_OP_RESERVE && !has_space(sim, n, bytes))
        return op_end(sim, op, LV_ENOSPC);
    inode_change(n, (struct change){ op, sim->ops, bytes, 0, NULL });
    n->reserved = op == SIM_OP_RESERVE ? LV_MAX(n->reserved, bytes) : LV_MIN(n->reserved, bytes);
    return op_end(sim, op, LV_OK);
}

static enum lv_err file_reserve(struct lv_file *f, uint64_t bytes)
{
    return change_size(f, SIM_OP_RESERVE, bytes);
}

static enum lv_err file_resize(struct lv_file *f, uint64_t bytes)
{
    return change_size(f, SIM_OP_RESIZE, bytes);
}

static enum lv_err file_size(struct lv_file *f, uint64_t *bytes)
{
    struct sim_dir *sim = file_of(f)->sim;

    pthread_mutex_lock(&sim->mutex);
    bool is_stopped = sim->is_stopped;
    *bytes = file_of(f)->inode->now.size;
    pthread_mutex_unlock(&sim->mutex);
    return is_stopped ? LV_EIO : LV_OK;
}

static void file_close(struct lv_file *f)
{
    struct sim_dir *sim = file_of(f)->sim;

    pthread_mutex_lock(&sim->mutex);
    inode_unref(file_of(f)->inode);
    pthread_mutex_unlock(&sim->mutex);
    free(f);
}

static const struct lv_file_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .reserve = file_reserve,
    .resize = file_resize,
    .size = file_size,
    .close = file_close,
};

/* ---- the directory, behind the door ---- */

/* Takes what `c` points to. */
static void change_names(struct sim_dir *sim, struct name_change c)
{
    names_change(&sim->now, &c);
    if (sim->change_count == sim->change_max) {
        sim->change_max = sim->change_max * 2 + 8;
        sim->changes = grown(sim->changes, sim->change_max, sizeof(struct name_change));
    }
    sim->changes[sim->change_count++] = c;
}

static bool is_name(const char *name)
{
    return name[0] != '\0' && strlen(name) <= LV_FILE_NAME_MAX && strchr(name, '/') == NULL;
}

/* Called with the mutex held. */
static enum lv_err open_inode(struct sim_dir *sim, const char *name, unsigned flags,
                              struct lv_file **out)
{
    struct name *n = names_find(&sim->now, name);

    if ((flags & LV_FILE_CREATE) != 0) {
        if (n != NULL)
            return LV_EEXISTS;
        change_names(sim, (struct name_change){ SIM_OP_CREATE, sim->ops, copied(name), NULL,
                                                inode_new() });
        n = names_find(&sim->now, name);
    }
    if (n == NULL)
        return LV_ENOTFOUND;
    struct sim_file *f = zeroed(1, sizeof(*f));
    f->file.ops = &file_ops;
    f->sim = sim;
    f->inode = inode_ref(n->inode);
    f->can_write = (flags & LV_FILE_WRITE) != 0;
    *out = &f->file;
    return LV_OK;
}

static enum lv_err dir_open_file(struct lv_dir *d, const char *name, unsigned flags,
                                 struct lv_file **out)
{
    struct sim_dir *sim = dir_of(d);
    enum lv_err err;

    LV_ASSERT(is_name(name));
    *out = NULL;
    if ((flags & LV_FILE_CREATE) != 0) {
        err = op_begin(sim, SIM_OP_CREATE);
        return err != LV_OK ? err : op_end(sim, SIM_OP_CREATE, open_inode(sim, name, flags, out));
    }
    pthread_mutex_lock(&sim->mutex);
    err = sim->is_stopped ? LV_EIO : open_inode(sim, name, flags, out);
    pthread_mutex_unlock(&sim->mutex);
    return err;
}

static enum lv_err dir_rename(struct lv_dir *d, const char *from, const char *to)
{
    struct sim_dir *sim = dir_of(d);
    enum lv_err err = op_begin(sim, SIM_OP_RENAME);

    LV_ASSERT(is_name(to));
    if (err != LV_OK)
        return err;
    if (names_find(&sim->now, from) == NULL)
        return op_end(sim, SIM_OP_RENAME, LV_ENOTFOUND);
    if (strcmp(from, to) != 0)
        change_names(sim, (struct name_change){ SIM_OP_RENAME, sim->ops, copied(from), copied(to),
                                                NULL });
    return op_end(sim, SIM_OP_RENAME, LV_OK);
}

static enum lv_err dir_unlink(struct lv_dir *d, const char *name)
{
    struct sim_dir *sim = dir_of(d);
    enum lv_err err = op_begin(sim, SIM_OP_UNLINK);

    if (err != LV_OK)
        return err;
    if (names_find(&sim->now, name) == NULL)
        return op_end(sim, SIM_OP_UNLINK, LV_ENOTFOUND);
    change_names(sim, (struct name_change){ SIM_OP_UNLINK, sim->ops, copied(name), NULL, NULL });
    return op_end(sim, SIM_OP_UNLINK, LV_OK);
}

static void forget_name_changes(struct sim_dir *sim)
{
    for (size_t i = 0; i < sim->change_count; i++)
        name_change_fini(&sim->changes[i]);
    sim->change_count = 0;
}

static enum lv_err dir_sync(struct lv_dir *d)
{
    struct sim_dir *sim = dir_of(d);
    enum lv_err err = op_begin(sim, SIM_OP_DIR_SYNC);

    if (err != LV_OK)
        return err;
    for (size_t i = 0; i < sim->change_count; i++)
        names_change(&sim->disk, &sim->changes[i]);
    forget_name_changes(sim);
    return op_end(sim, SIM_OP_DIR_SYNC, LV_OK);
}

static enum lv_err dir_list(struct lv_dir *d, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct sim_dir *sim = dir_of(d);

    pthread_mutex_lock(&sim->mutex);
    bool is_stopped = sim->is_stopped;
    struct names names = names_clone(&sim->now); /* `each` may open, rename and unlink */
    pthread_mutex_unlock(&sim->mutex);
    for (size_t i = 0; i < names.count && !is_stopped; i++)
        each(ctx, names.items[i].text);
    pthread_mutex_lock(&sim->mutex);
    names_fini(&names);
    pthread_mutex_unlock(&sim->mutex);
    return is_stopped ? LV_EIO : LV_OK;
}

static enum lv_err dir_space(struct lv_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct sim_dir *sim = dir_of(d);

    pthread_mutex_lock(&sim->mutex);
    uint64_t used = space_used(sim);
    *total_bytes = sim->space;
    *free_bytes = used < sim->space ? sim->space - used : 0;
    bool is_stopped = sim->is_stopped;
    pthread_mutex_unlock(&sim->mutex);
    return is_stopped ? LV_EIO : LV_OK;
}

static void dir_close(struct lv_dir *d)
{
    (void)d; /* sim_dir_free */
}

static const struct lv_dir_ops dir_ops = {
    .open = dir_open_file,
    .rename = dir_rename,
    .unlink = dir_unlink,
    .sync = dir_sync,
    .list = dir_list,
    .space = dir_space,
    .close = dir_close,
};

struct sim_dir *sim_dir_new(void)
{
    struct sim_dir *sim = zeroed(1, sizeof(*sim));

    sim->door.ops = &dir_ops;
    pthread_mutex_init(&sim->mutex, NULL);
    sim->space = UINT64_C(1) << 40;
    return sim;
}

void sim_dir_free(struct sim_dir *sim)
{
    if (sim == NULL)
        return;
    forget_name_changes(sim);
    free(sim->changes);
    names_fini(&sim->now);
    names_fini(&sim->disk);
    pthread_mutex_destroy(&sim->mutex);
    free(sim);
}

struct lv_dir *sim_dir_door(struct sim_dir *sim)
{
    return &sim->door;
}

static uint64_t locked_u64(struct sim_dir *sim, const uint64_t *value)
{
    pthread_mutex_lock(&sim->mutex);
    uint64_t v = *value;
    pthread_mutex_unlock(&sim->mutex);
    return v;
}

uint64_t sim_dir_count_ops(struct sim_dir *sim)
{
    return locked_u64(sim, &sim->ops);
}

uint64_t sim_dir_count_syncs(struct sim_dir *sim)
{
    return locked_u64(sim, &sim->syncs);
}

void sim_dir_stop_at(struct sim_dir *sim, enum sim_point point, uint64_t nth)
{
    pthread_mutex_lock(&sim->mutex);
    sim->stop_point = point;
    sim->stop_nth = nth;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_dir_stop(struct sim_dir *sim)
{
    pthread_mutex_lock(&sim->mutex);
    sim->is_stopped = true;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_dir_resume(struct sim_dir *sim)
{
    pthread_mutex_lock(&sim->mutex);
    sim->is_stopped = false;
    sim->stop_nth = 0;
    pthread_mutex_unlock(&sim->mutex);
}

bool sim_dir_is_stopped(struct sim_dir *sim)
{
    pthread_mutex_lock(&sim->mutex);
    bool is_stopped = sim->is_stopped;
    pthread_mutex_unlock(&sim->mutex);
    return is_stopped;
}

void sim_dir_hook(struct sim_dir *sim, sim_hook_fn *fn, void *ctx)
{
    pthread_mutex_lock(&sim->mutex);
    sim->hook = fn;
    sim->hook_ctx = ctx;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_dir_fail_sync_at(struct sim_dir *sim, uint64_t nth)
{
    pthread_mutex_lock(&sim->mutex);
    sim->fail_sync_nth = nth;
    pthread_mutex_unlock(&sim->mutex);
}

void sim_dir_set_space(struct sim_dir *sim, uint64_t total_bytes)
{
    pthread_mutex_lock(&sim->mutex);
    sim->space = total_bytes;
    pthread_mutex_unlock(&sim->mutex);
}

enum lv_err sim_dir_damage(struct sim_dir *sim, const char *name, uint64_t at, struct lv_bytes bytes)
{
    enum lv_err err = LV_ENOTFOUND;

    pthread_mutex_lock(&sim->mutex);
    struct name *n = names_find(&sim->now, name);
    if (n != NULL) {
        struct image *images[] = { &n->inode->now, &n->inode->disk };
        for (unsigned i = 0; i < 2; i++) {
            image_resize(images[i], LV_MAX(images[i]->size, at + bytes.len));
            image_put(images[i], at, bytes.ptr, bytes.len);
        }
        err = LV_OK;
    }
    pthread_mutex_unlock(&sim->mutex);
    return err;
}

/* ---- cutting ---- */

const char *sim_cut_name(enum sim_cut mode)
{
    static const char *const names[] = {
#define X(name, text) #name,
        SIM_CUTS(X)
#undef X
    };
    return mode < SIM_CUT_COUNT ? names[mode] : "ANY";
}

/* What of the unsynced changes arrives. */
struct plan {
    enum sim_cut mode;
    uint64_t files_until; /* changes of files with a lower seq do, whole */
    uint64_t names_until; /* changes of names with a lower seq do */
    uint64_t torn_seq;    /* this write arrives in part; 0: none */
    struct lv_rng *rng;
};

struct seqs {
    uint64_t *items;
    size_t count;
};

static void seqs_add(struct seqs *s, uint64_t seq)
{
    if ((s->count & (s->count - 1)) == 0) /* room for a power of two */
        s->items = grown(s->items, LV_MAX(s->count * 2, 8u), sizeof(uint64_t));
    s->items[s->count++] = seq;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Each inode that some name may lead to after the cut, once. */
static void each_inode(struct sim_dir *sim, void (*fn)(void *ctx, struct inode *n), void *ctx)
{
    for (size_t i = 0; i < sim->disk.count; i++)
        fn(ctx, sim->disk.items[i].inode);
    for (size_t i = 0; i < sim->change_count; i++)
        if (sim->changes[i].op == SIM_OP_CREATE)
            fn(ctx, sim->changes[i].inode);
}

static void add_changes(void *ctx, struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++)
        seqs_add(ctx, n->changes[i].seq);
}

static void add_writes(void *ctx, struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++)
        if (n->changes[i].op == SIM_OP_WRITE && n->changes[i].bytes > 0)
            seqs_add(ctx, n->changes[i].seq);
}

static void add_name_changes(struct seqs *s, const struct sim_dir *sim)
{
    for (size_t i = 0; i < sim->change_count; i++)
        seqs_add(s, sim->changes[i].seq);
}

/* A seq so that a random number of the first ones is below it. */
static uint64_t pick_until(struct seqs *s, struct lv_rng *rng)
{
    uint64_t until = NO_LIMIT;

    if (s->count > 0) {
        qsort(s->items, s->count, sizeof(uint64_t), by_seq);
        uint32_t n = lv_rng_below(rng, (uint32_t)s->count + 1);
        until = n < s->count ? s->items[n] : NO_LIMIT;
    }
    free(s->items);
    return until;
}

static uint64_t pick_torn(struct sim_dir *sim, struct lv_rng *rng)
{
    struct seqs writes = { 0 };
    uint64_t seq = 0;

    each_inode(sim, add_writes, &writes);
    if (writes.count > 0)
        seq = writes.items[lv_rng_below(rng, (uint32_t)writes.count)];
    free(writes.items);
    return seq;
}

static struct plan plan_of(struct sim_dir *sim, struct lv_rng *rng, enum sim_cut mode)
{
    struct plan plan = { mode, NO_LIMIT, NO_LIMIT, 0, rng };
    struct seqs seqs = { 0 };

    switch (mode) {
    case SIM_CUT_NONE:
        plan.files_until = plan.names_until = 0;
        break;
    case SIM_CUT_NAMES_LOST:
        plan.names_until = 0;
        break;
    case SIM_CUT_TORN:
        plan.torn_seq = pick_torn(sim, rng);
        if (plan.torn_seq != 0) {
            plan.files_until = plan.names_until = plan.torn_seq;
            break;
        } /* else there is nothing to tear */
        __attribute__((fallthrough));
    case SIM_CUT_PREFIX:
        each_inode(sim, add_changes, &seqs);
        add_name_changes(&seqs, sim);
        plan.files_until = plan.names_until = pick_until(&seqs, rng);
        break;
    case SIM_CUT_SECTORS:
    case SIM_CUT_NAMES_PREFIX:
    case SIM_CUT_ZEROS:
        add_name_changes(&seqs, sim);
        plan.names_until = pick_until(&seqs, rng);
        break;
    default:
        break;
    }
    return plan;
}

/* The beginning of the write as it was called; in its last 4 KiB only up to some byte. */
static void cut_torn(struct image *im, const struct change *c, struct lv_rng *rng)
{
    uint64_t end = c->at + c->bytes;
    uint64_t last = LV_MAX(c->at, (end - 1) / PAGE * PAGE);
    uint64_t torn = last + lv_rng_below(rng, (uint32_t)(end - last));
    uint32_t rest = lv_rng_below(rng, 3);
    uint64_t grown_to = lv_rng_below(rng, 2) == 0 ? torn : end; /* maybe by less than the write */

    image_resize(im, LV_MAX(im->size, grown_to));
    image_put(im, c->at, c->data, torn - c->at);
    if (rest == 0)
        return;
    end = LV_MIN(end, im->size);
    for (uint64_t at = torn; at < end; at++) {
        uint8_t byte = rest == 1 ? 0 : (uint8_t)lv_rng_next(rng);
        image_put(im, at, &byte, 1);
    }
}

/* How many changes of the file had been called when the sector went to the disk. */
static size_t sector_age(const struct inode *n, size_t sized, uint64_t sector, struct lv_rng *rng)
{
    size_t low = 0, high = n->change_count;
    uint64_t size = n->disk.size;

    /* A shortening is a matter of the file's size, not of the sector: what lay behind it is gone once it is done, and
     * what was written there later belongs to the file only then. */
    for (size_t i = 0; i < n->change_count; i++) {
        uint64_t next = size_after(&n->changes[i], size);
        if (next < size && next < (sector + 1) * SECTOR) {
            if (i < sized)
                low = i + 1;
            else
                high = LV_MIN(high, i);
        }
        size = next;
    }
    uint32_t die = lv_rng_below(rng, 4);
    if (die == 0)
        return low;
    if (die == 1)
        return high;
    return low + lv_rng_below(rng, (uint32_t)(high - low) + 1);
}

/* The sector as it was when the first `age` changes had been called. */
static void cut_sector(struct image *im, const struct inode *n, size_t age, uint64_t sector)
{
    uint64_t from = sector * SECTOR, to = from + SECTOR, size = n->disk.size;

    for (size_t i = 0; i < age; i++) {
        const struct change *c = &n->changes[i];
        uint64_t next = size_after(c, size);
        if (next < size && next < to)
            image_put(im, LV_MAX(from, next), NULL, to - LV_MAX(from, next));
        if (c->op == SIM_OP_WRITE && c->at < to && c->at + c->bytes > from) {
            uint64_t start = LV_MAX(from, c->at), end = LV_MIN(to, c->at + c->bytes);
            image_put(im, start, c->data + (start - c->at), end - start);
        }
        size = next;
    }
}

static void add_sectors(struct seqs *sectors, uint64_t from, uint64_t to)
{
    for (uint64_t s = from / SECTOR; s * SECTOR < to; s++)
        seqs_add(sectors, s);
}

static void cut_sectors(struct image *im, const struct inode *n, struct lv_rng *rng)
{
    size_t sized = lv_rng_below(rng, 2) == 0 ? n->change_count
                                             : lv_rng_below(rng, (uint32_t)n->change_count + 1);
    uint64_t size = n->disk.size;
    struct seqs sectors = { 0 };

    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        uint64_t next = size_after(c, size);
        if (c->op == SIM_OP_WRITE)
            add_sectors(&sectors, c->at, c->at + c->bytes);
        for (size_t p = (size_t)(next / PAGE); next < size && p < n->disk.page_count; p++)
            if (n->disk.pages[p] != NULL) /* of what was cut off, only this can be seen */
                add_sectors(&sectors, LV_MAX(next, (uint64_t)p * PAGE), (uint64_t)(p + 1) * PAGE);
        size = next;
    }
    if (sectors.count != 0)
        qsort(sectors.items, sectors.count, sizeof(uint64_t), by_seq);
    for (size_t i = 0; i < sectors.count; i++) {
        uint64_t sector = sectors.items[i];
        if (i == 0 || sector != sectors.items[i - 1])
            cut_sector(im, n, sector_age(n, sized, sector, rng), sector);
    }
    free(sectors.items);
    /* The size is taken last, and what lies past it is gone. */
    size = n->disk.size;
    for (size_t i = 0; i < sized; i++)
        size = size_after(&n->changes[i], size);
    im->size = LV_MAX(im->size, (uint64_t)im->page_count * PAGE);
    image_resize(im, size);
}

static struct image cut_image(const struct inode *n, const struct plan *plan)
{
    struct image im = image_clone(&n->disk);

    if (plan->mode == SIM_CUT_SECTORS && n->change_count > 0) {
        cut_sectors(&im, n, plan->rng);
        return im;
    }
    for (size_t i = 0; i < n->change_count; i++) {
        const struct change *c = &n->changes[i];
        if (plan->mode == SIM_CUT_ZEROS)
            image_resize(&im, size_after(c, im.size));
        else if (c->seq < plan->files_until)
            image_change(&im, c);
        else if (c->seq == plan->torn_seq)
            cut_torn(&im, c, plan->rng);
    }
    return im;
}

struct sim_dir *sim_dir_cut(struct sim_dir *sim, struct lv_rng *rng, enum sim_cut mode)
{
    struct sim_dir *cut = sim_dir_new();

    if (mode == SIM_CUT_ANY)
        mode = (enum sim_cut)lv_rng_below(rng, SIM_CUT_COUNT);
    pthread_mutex_lock(&sim->mutex);
    struct plan plan = plan_of(sim, rng, mode);
    struct names names = names_clone(&sim->disk);
    for (size_t i = 0; i < sim->change_count && sim->changes[i].seq < plan.names_until; i++)
        names_change(&names, &sim->changes[i]);
    for (size_t i = 0; i < names.count; i++) {
        struct inode *n = inode_new();
        n->disk = cut_image(names.items[i].inode, &plan);
        n->now = image_clone(&n->disk);
        n->reserved = names.items[i].inode->reserved;
        names_set(&cut->disk, names.items[i].text, n);
        names_set(&cut->now, names.items[i].text, inode_ref(n));
    }
    names_fini(&names);
    cut->space = sim->space;
    pthread_mutex_unlock(&sim->mutex);
    return cut;
}

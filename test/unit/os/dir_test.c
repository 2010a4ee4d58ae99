/* The real directory behind the file door. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lv_test.h"
#include "os/file.h"

static char folder[PATH_MAX];

static const char *path_of(const char *name)
{
    static char path[PATH_MAX + 100];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static struct lv_dir *open_new(void)
{
    const char *temp = getenv("TMPDIR");
    struct lv_dir *d;

    snprintf(folder, sizeof(folder), "%s/leveret-dir-XXXXXX", temp != NULL ? temp : "/var/tmp");
    CHECK(mkdtemp(folder) != NULL);
    CHECK_EQ(lv_dir_open(folder, true, &d), LV_OK);
    return d;
}

static void remove_one(void *ctx, const char *name)
{
    CHECK_EQ(lv_dir_unlink(ctx, name), LV_OK);
}

static void close_and_remove(struct lv_dir *d)
{
    CHECK_EQ(lv_dir_list(d, remove_one, d), LV_OK);
    lv_dir_close(d);
    CHECK_EQ(rmdir(folder), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_STORE), 0);
}

static struct lv_file *create(struct lv_dir *d, const char *name)
{
    struct lv_file *f;

    CHECK_EQ(lv_dir_open_file(d, name, LV_FILE_WRITE | LV_FILE_CREATE, &f), LV_OK);
    return f;
}

static void put(struct lv_file *f, uint64_t at, const char *text)
{
    struct lv_bytes part = lv_bytes_str(text);

    CHECK_EQ(lv_file_write(f, at, &part, 1), LV_OK);
}

static void check_is(struct lv_file *f, uint64_t at, const char *wanted)
{
    char buf[200];
    size_t got;

    CHECK_EQ(lv_file_read(f, at, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, strlen(wanted));
    CHECK_MEM(buf, wanted, got);
}

static uint64_t size_of(struct lv_file *f)
{
    uint64_t bytes;

    CHECK_EQ(lv_file_size(f, &bytes), LV_OK);
    return bytes;
}

LV_TEST(files_are_created_once_and_private)
{
    struct lv_dir *d = open_new();
    struct lv_file *f, *again;
    struct stat st;

    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_READ, &f), LV_ENOTFOUND);
    CHECK(f == NULL);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE, &f), LV_ENOTFOUND);
    f = create(d, "a");
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE | LV_FILE_CREATE, &again), LV_EEXISTS);
    CHECK(again == NULL);
    CHECK_EQ(stat(path_of("a"), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    put(f, 0, "text");
    CHECK_EQ(lv_file_sync(f), LV_OK);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_READ, &again), LV_OK);
    check_is(again, 0, "text");
    struct lv_bytes part = LV_BYTES_LIT("x");
    CHECK_EQ(lv_file_write(again, 0, &part, 1), LV_EIO); /* opened to read only */
    CHECK_EQ(errno, EBADF);
    lv_file_close(again);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE, &again), LV_OK);
    put(again, 4, "!");
    check_is(f, 0, "text!");
    lv_file_close(again);
    lv_file_close(f);
    lv_file_close(NULL);
    close_and_remove(d);
}

LV_TEST(reads_end_where_the_file_ends)
{
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");
    char buf[8];
    size_t got = 99;

    check_is(f, 0, "");
    put(f, 0, "0123456789");
    CHECK_EQ(lv_file_read(f, 7, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 3);
    CHECK_MEM(buf, "789", 3);
    CHECK_EQ(lv_file_read(f, 2, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 8);
    CHECK_EQ(lv_file_read(f, 10, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 0);
    CHECK_EQ(lv_file_read(f, 1000000, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 0);
    CHECK_EQ(lv_file_read(f, 3, buf, 0, &got), LV_OK);
    CHECK_EQ(got, 0);
    put(f, 12, "x"); /* a hole reads as zeros */
    CHECK_EQ(lv_file_read(f, 8, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 5);
    CHECK_MEM(buf, "89\0\0x", 5);
    lv_file_close(f);
    close_and_remove(d);
}

/* More parts than one system call takes, empty ones among them and at both ends. */
LV_TEST(many_parts_are_written_in_order)
{
    enum { PARTS = 333 };
    static uint8_t bytes[PARTS * 7], got[sizeof(bytes) + 10];
    struct lv_bytes parts[PARTS + 2];
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");
    size_t used = 0, count = 0, read;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    for (size_t first = 0; first < 3; first++) {
        used = count = 0;
        parts[count++] = lv_bytes(NULL, 0);
        for (size_t i = 0; i < PARTS; i++) {
            size_t len = (i + first) % 3 == 0 ? 0 : i % 7 + 1;
            parts[count++] = lv_bytes(bytes + used, len);
            used += len;
        }
        parts[count++] = lv_bytes(NULL, 0);
        CHECK_EQ(lv_file_resize(f, 0), LV_OK);
        CHECK_EQ(lv_file_write(f, 5, parts, count), LV_OK);
        CHECK_EQ(lv_file_read(f, 5, got, sizeof(got), &read), LV_OK);
        CHECK_EQ(read, used);
        CHECK_MEM(got, bytes, used);
    }
    CHECK_EQ(lv_file_write(f, 0, NULL, 0), LV_OK);
    CHECK_EQ(lv_file_write(f, 0, parts, 1), LV_OK);
    CHECK_EQ(size_of(f), used + 5);
    lv_file_close(f);
    close_and_remove(d);
}

/* A limit on the size of a file makes the kernel write a part and then refuse: the part is there, the error told. */
LV_TEST(a_short_write_goes_on_until_the_error)
{
    struct rlimit old, low = { 10, 0 };
    struct lv_bytes parts[2] = { LV_BYTES_LIT("01234567"), LV_BYTES_LIT("89abcdef") };
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");

    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    low.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum lv_err err = lv_file_write(f, 0, parts, 2);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    CHECK_EQ(err, LV_EIO);
    CHECK_EQ(errno, EFBIG);
    signal(SIGXFSZ, handler);
    check_is(f, 0, "0123456789");
    lv_file_close(f);
    close_and_remove(d);
}

/* Too many open files say nothing of the disk: it is a shortage, as of memory. */
LV_TEST(without_descriptors_an_opening_may_be_tried_again)
{
    struct rlimit old, low = { 0, 0 };
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a"), *again;

    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    low.rlim_max = old.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    enum lv_err err = lv_dir_open_file(d, "a", LV_FILE_READ, &again);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_EQ(err, LV_ENOMEM);
    CHECK_EQ(errno, EMFILE);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_READ, &again), LV_OK);
    lv_file_close(again);
    lv_file_close(f);
    close_and_remove(d);
}

LV_TEST(reserved_bytes_are_zeros_and_kept)
{
    static char buf[70000];
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");
    struct stat st;
    size_t got;

    put(f, 0, "head");
    CHECK_EQ(lv_file_reserve(f, 65536), LV_OK);
    CHECK_EQ(size_of(f), 65536);
    CHECK_EQ(stat(path_of("a"), &st), 0);
    CHECK(st.st_blocks * 512 >= 65536); /* on disk, not a hole */
    CHECK_EQ(lv_file_read(f, 0, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 65536);
    CHECK_MEM(buf, "head", 4);
    for (size_t i = 4; i < got; i++)
        CHECK_EQ(buf[i], 0);
    CHECK_EQ(lv_file_reserve(f, 100), LV_OK); /* never shrinks */
    CHECK_EQ(lv_file_reserve(f, 0), LV_OK);
    CHECK_EQ(size_of(f), 65536);
    lv_file_close(f);
    close_and_remove(d);
}

LV_TEST(resize_cuts_and_grows)
{
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");
    char buf[8];
    size_t got;

    put(f, 0, "abcdef");
    CHECK_EQ(lv_file_resize(f, 2), LV_OK);
    check_is(f, 0, "ab");
    CHECK_EQ(lv_file_resize(f, 4), LV_OK); /* what was cut off does not come back */
    CHECK_EQ(lv_file_read(f, 0, buf, sizeof(buf), &got), LV_OK);
    CHECK_EQ(got, 4);
    CHECK_MEM(buf, "ab\0\0", 4);
    CHECK_EQ(lv_file_resize(f, 0), LV_OK);
    CHECK_EQ(size_of(f), 0);
    lv_file_close(f);
    close_and_remove(d);
}

LV_TEST(rename_replaces)
{
    struct lv_dir *d = open_new();
    struct lv_file *a = create(d, "a"), *b = create(d, "b"), *f;

    put(a, 0, "new");
    put(b, 0, "old");
    CHECK_EQ(lv_dir_rename(d, "none", "c"), LV_ENOTFOUND);
    CHECK_EQ(lv_dir_rename(d, "a", "b"), LV_OK);
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_READ, &f), LV_ENOTFOUND);
    CHECK_EQ(lv_dir_open_file(d, "b", LV_FILE_READ, &f), LV_OK);
    check_is(f, 0, "new");
    check_is(b, 0, "old"); /* open files outlive their names */
    lv_file_close(f);
    lv_file_close(a);
    lv_file_close(b);
    close_and_remove(d);
}

LV_TEST(unlinked_is_gone)
{
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");

    put(f, 0, "x");
    CHECK_EQ(lv_dir_unlink(d, "a"), LV_OK);
    CHECK_EQ(lv_dir_unlink(d, "a"), LV_ENOTFOUND);
    check_is(f, 0, "x");
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    lv_file_close(f);
    f = create(d, "a");
    CHECK_EQ(size_of(f), 0);
    lv_file_close(f);
    close_and_remove(d);
}

struct names {
    size_t count;
    unsigned seen; /* bit per name "0".."9" */
    int leave;     /* in errno */
};

static void note(void *ctx, const char *name)
{
    struct names *n = ctx;

    n->count++;
    if (strlen(name) == 1 && name[0] >= '0' && name[0] <= '9')
        n->seen |= 1u << (name[0] - '0');
    errno = n->leave;
}

LV_TEST(every_name_is_listed_once)
{
    struct lv_dir *d = open_new();
    struct names n = { 0 };

    CHECK_EQ(lv_dir_list(d, note, &n), LV_OK);
    CHECK_EQ(n.count, 0);
    for (int c = '0'; c <= '9'; c++)
        lv_file_close(create(d, (char[]){ (char)c, '\0' }));
    CHECK_EQ(lv_dir_list(d, note, &n), LV_OK);
    CHECK_EQ(n.count, 10);
    CHECK_EQ(n.seen, 0x3ff);
    n = (struct names){ .leave = ENOENT }; /* the caller's errno is not the directory's */
    CHECK_EQ(lv_dir_list(d, note, &n), LV_OK);
    CHECK_EQ(n.count, 10);
    close_and_remove(d);
}

LV_TEST(a_locked_directory_has_one_owner)
{
    struct lv_dir *d = open_new(), *other;

    CHECK_EQ(lv_dir_open(folder, true, &other), LV_EINUSE);
    CHECK(other == NULL);
    CHECK_EQ(lv_dir_open(folder, false, &other), LV_OK); /* to look only */
    lv_dir_close(other);
    CHECK_EQ(lv_dir_open(folder, true, &other), LV_EINUSE);
    lv_dir_close(d);
    CHECK_EQ(lv_dir_open(folder, true, &d), LV_OK);
    close_and_remove(d);
    lv_dir_close(NULL);
}

LV_TEST(a_missing_directory_is_made)
{
    struct lv_dir *d = open_new(), *inner;
    char path[PATH_MAX + 100];
    struct stat st;

    snprintf(path, sizeof(path), "%s", path_of("inner"));
    CHECK_EQ(lv_dir_open(path, true, &inner), LV_OK);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0700);
    lv_dir_close(inner);
    CHECK_EQ(rmdir(path), 0);
    snprintf(path, sizeof(path), "%s", path_of("none/inner"));
    CHECK_EQ(lv_dir_open(path, true, &inner), LV_EIO);
    CHECK_EQ(errno, ENOENT);
    CHECK(inner == NULL);
    lv_file_close(create(d, "file"));
    snprintf(path, sizeof(path), "%s", path_of("file"));
    CHECK_EQ(lv_dir_open(path, true, &inner), LV_EIO);
    CHECK_EQ(errno, ENOTDIR);
    close_and_remove(d);
}

/* Who may write into the folder must not lead the broker to another file. */
LV_TEST(symbolic_links_are_refused)
{
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");

    CHECK_EQ(symlink("a", path_of("link")), 0);
    CHECK_EQ(symlink("none", path_of("dangling")), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct lv_file *other;
        const char *name = i == 0 ? "link" : "dangling";
        CHECK_EQ(lv_dir_open_file(d, name, LV_FILE_READ, &other), LV_EIO);
        CHECK_EQ(errno, ELOOP);
        CHECK(other == NULL);
        CHECK_EQ(lv_dir_open_file(d, name, LV_FILE_WRITE, &other), LV_EIO);
        CHECK_EQ(lv_dir_open_file(d, name, LV_FILE_WRITE | LV_FILE_CREATE, &other), LV_EEXISTS);
    }
    lv_file_close(f);
    close_and_remove(d);
}

LV_TEST(space_is_told)
{
    struct lv_dir *d = open_new();
    uint64_t avail, total;

    CHECK_EQ(lv_dir_space(d, &avail, &total), LV_OK);
    CHECK(avail > 0 && avail <= total);
    close_and_remove(d);
}

LV_TEST(no_memory_opens_nothing)
{
    struct lv_dir *d = open_new(), *other;
    struct lv_file *f;

    lv_mem_fail_at(1);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE | LV_FILE_CREATE, &f), LV_ENOMEM);
    CHECK(f == NULL);
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_READ, &f), LV_ENOTFOUND);
    lv_mem_fail_at(1);
    CHECK_EQ(lv_dir_open(folder, false, &other), LV_ENOMEM);
    CHECK(other == NULL);
    lv_mem_fail_at(0);
    close_and_remove(d);
}

struct reads {
    struct lv_file *f;
    bool ok;
};

/* Reads go on beside the one writer. */
static void *read_on(void *arg)
{
    struct reads *r = arg;
    uint8_t buf[64];
    size_t got;

    r->ok = true;
    for (unsigned i = 0; i < 2000; i++) {
        if (lv_file_read(r->f, 0, buf, sizeof(buf), &got) != LV_OK || got != sizeof(buf))
            r->ok = false;
        for (size_t j = 0; j < got; j++)
            r->ok = r->ok && buf[j] == 'r';
    }
    return NULL;
}

LV_TEST(reads_run_beside_writes)
{
    struct lv_dir *d = open_new();
    struct lv_file *f = create(d, "a");
    struct reads r = { .f = f };
    pthread_t thread;
    char text[65];

    memset(text, 'r', 64);
    text[64] = '\0';
    put(f, 0, text);
    CHECK_EQ(pthread_create(&thread, NULL, read_on, &r), 0);
    for (uint64_t i = 1; i < 500; i++)
        put(f, 64 * i, text);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(r.ok);
    lv_file_close(f);
    close_and_remove(d);
}

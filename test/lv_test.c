/* The list of tests, the runner, and checks that say what they saw. */
#include "lv_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TESTS_MAX = 512 };

struct test {
    const char *name;
    lv_test_fn *fn;
    bool is_prop;
};

static struct test tests[TESTS_MAX];
static size_t test_count;
static const char *program;
static char replay[512]; /* how to run the property again that is running */
static size_t replay_len;

void lv_test_add(const char *name, lv_test_fn *fn, bool is_prop)
{
    if (test_count == TESTS_MAX)
        abort();
    tests[test_count++] = (struct test){ name, fn, is_prop };
}

/* Async-signal-safe: also called when an LV_ASSERT aborts inside a property. */
static void print_replay(void)
{
    if (replay_len != 0 && write(STDERR_FILENO, replay, replay_len) < 0)
        _exit(3);
}

static void failed(const char *file, int line)
{
    print_replay();
    replay_len = 0;
    _fail(file, line);
}

void lv_check_true(bool holds, const char *expr, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, expr);
    failed(file, line);
}

void lv_check_eq(intmax_t a, intmax_t b, const char *a_expr, const char *b_expr, bool want_equal,
                 const char *file, int line)
{
    if ((a == b) == want_equal)
        return;
    fprintf(stderr,
            "%s:%d: %s is %" PRIdMAX " (0x%" PRIxMAX "), %s is %" PRIdMAX " (0x%" PRIxMAX ")\n",
            file, line, a_expr, a, (uintmax_t)a, b_expr, b, (uintmax_t)b);
    failed(file, line);
}

void lv_check_str(const char *a, const char *b, const char *a_expr, const char *file, int line)
{
    if (a != NULL && b != NULL && strcmp(a, b) == 0)
        return;
    fprintf(stderr, "%s:%d: %s is \"%s\", wanted \"%s\"\n", file, line, a_expr, a ? a : "(null)",
            b ? b : "(null)");
    failed(file, line);
}

static void print_hex(const char *label, const uint8_t *bytes, size_t from, size_t to)
{
    fprintf(stderr, "  %s", label);
    for (size_t i = from; i < to; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fputc('\n', stderr);
}

void lv_check_mem(const void *a, const void *b, size_t size, const char *a_expr, const char *file,
                  int line)
{
    const uint8_t *x = a, *y = b;
    size_t at = 0;

    while (at < size && x[at] == y[at])
        at++;
    if (at == size)
        return;
    fprintf(stderr, "%s:%d: %s differs at byte %zu of %zu\n", file, line, a_expr, at, size);
    size_t end = at + 16 < size ? at + 16 : size;
    print_hex("is    ", x, at, end);
    print_hex("wanted", y, at, end);
    failed(file, line);
}

static double seconds_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void run_seed(const struct test *t, uint64_t seed)
{
    int len = snprintf(replay, sizeof(replay), "replay: LV_SEED=%" PRIu64 " %s %s\n", seed, program,
                       t->name);

    replay_len = (size_t)len < sizeof(replay) ? (size_t)len : sizeof(replay) - 1;
    t->fn(seed);
    replay_len = 0;
}

static void run_prop(const struct test *t)
{
    const char *fixed = getenv("LV_SEED");
    const char *limit = getenv("LV_PROP_SECONDS");
    double end = seconds_now() + (limit ? strtod(limit, NULL) : 2.0);
    uint64_t first = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    uint64_t runs = 0;

    if (fixed != NULL) {
        run_seed(t, strtoull(fixed, NULL, 10));
        return;
    }
    while (seconds_now() < end)
        run_seed(t, first + runs++);
    printf("%s: %" PRIu64 " runs from seed %" PRIu64 "\n", t->name, runs, first);
}

static void run_one(void **state)
{
    const struct test *t = *state;

    if (t->is_prop)
        run_prop(t);
    else
        t->fn(0);
}

static void on_abort(int signal_number)
{
    print_replay();
    signal(signal_number, SIG_DFL);
}

static bool is_wanted(const char *name, char **words)
{
    if (*words == NULL)
        return true;
    for (; *words != NULL; words++)
        if (strstr(name, *words) != NULL)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest chosen[TESTS_MAX];
    size_t count = 0;

    program = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_abort); /* an LV_ASSERT inside a property still tells its seed */
    for (size_t i = 0; argc > 0 && i < test_count; i++)
        if (is_wanted(tests[i].name, argv + 1))
            chosen[count++] = (struct CMUnitTest){ tests[i].name, run_one, NULL, NULL, &tests[i] };
    if (count == 0) {
        fprintf(stderr, "%s: no such test\n", program);
        return 2;
    }
    return _cmocka_run_group_tests(program, chosen, count, NULL, NULL);
}

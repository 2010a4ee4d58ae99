/* The judge of histories, on histories made by hand: what is allowed passes, and each fault is found alone. */
#include "support/history.h"

#include <stdlib.h>

#include "lv_test.h"

/* A1 stands for message 1 of client 1, B2 for message 2 of client 2. */
static size_t with_ids(char *out, size_t max, const char *text)
{
    size_t used = 0;

    for (const char *c = text; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'F') {
            uint64_t id = (uint64_t)(*c - 'A' + 1) << HISTORY_CLIENT_SHIFT | (uint64_t)(c[1] - '0');
            used += (size_t)snprintf(out + used, max - used, "%" PRIu64, id);
            c++;
        } else {
            out[used++] = *c;
        }
        CHECK(used < max);
    }
    return used;
}

static struct history_verdict judged(const char *text, const char *more)
{
    static char one[4000], two[4000];
    struct history *h = history_new();
    struct history_verdict v;

    history_add(h, one, with_ids(one, sizeof(one), text));
    history_add(h, two, with_ids(two, sizeof(two), more));
    bool is_good = history_check(h, NULL, 0, &v);
    uint64_t faults = 0;
    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        faults += v.faults[i];
    CHECK_EQ(is_good, faults == 0);
    history_free(h);
    return v;
}

static void check_good(const char *text, const char *more)
{
    struct history_verdict v = judged(text, more);

    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        CHECK_EQ(v.faults[i], 0);
}

/* `fault` once, and nothing else. */
static void check_bad(enum history_fault fault, const char *text, const char *more)
{
    struct history_verdict v = judged(text, more);

    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        CHECK_EQ(v.faults[i], i == fault);
}

LV_TEST(what_is_allowed_passes)
{
    struct history_verdict v = judged("1 1 pub q A1 unknown\n"
                                      "2 1 pub q A2 unknown\n"
                                      "3 1 pub q A1 ok\n"
                                      "4 1 pub q A2 ok\n"
                                      "5 1 pub q A3 unknown\n",
                                      "5 7 get q A1 ok\n"
                                      "6 7 get q A2 ok\n"
                                      "7 7 ack q A1 unknown\n"
                                      "9 8 get q A2 again\n"
                                      "10 8 ack q A2 unknown\n");
    CHECK_EQ(v.lines, 10);
    CHECK_EQ(v.published, 3);
    CHECK_EQ(v.confirmed, 2);
    CHECK_EQ(v.delivered, 3);
    CHECK_EQ(v.redelivered, 1);
    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        CHECK_EQ(v.faults[i], 0);
    check_good("", "");
    /* In doubt: may be there, or not; an ack in doubt may have been lost. */
    check_good("1 1 pub q A1 unknown\n2 1 pub q A2 unknown\n",
               "3 7 get q A2 ok\n4 7 ack q A2 unknown\n5 8 get q A2 again\n6 8 ack q A2 unknown\n");
    /* A refused message may have been stored. */
    check_good("1 1 pub q A1 unknown\n2 1 pub q A1 fail\n", "3 7 get q A1 ok\n");
}

LV_TEST(lost_messages_are_found)
{
    check_bad(HISTORY_lost, "1 1 pub q A1 unknown\n2 1 pub q A1 ok\n", "");
    check_bad(HISTORY_lost, "1 1 pub q A1 unknown\n2 1 pub q A1 ok\n1 1 pub r A2 unknown\n",
              "3 7 get r A2 ok\n4 7 ack r A2 unknown\n");
    /* Delivered, not acknowledged, the broker died, and it did not come back. */
    check_bad(HISTORY_vanished, "1 1 pub q A1 unknown\n2 1 pub q A1 ok\n", "3 7 get q A1 ok\n");
}

LV_TEST(every_queue_of_an_exchange_counts)
{
    const char *routes =
        "5 1 pub x A1 unknown\n6 1 pub x A1 ok\n0 0 route x q ok\n0 0 route x r ok\n";

    check_good(routes,
               "7 7 get q A1 ok\n8 7 ack q A1 unknown\n7 8 get r A1 ok\n8 8 ack r A1 unknown\n");
    check_bad(HISTORY_lost, routes, "7 7 get q A1 ok\n8 7 ack q A1 unknown\n");
    check_bad(HISTORY_phantom, routes,
              "7 7 get q A1 ok\n8 7 ack q A1 unknown\n7 8 get r A1 ok\n8 8 ack r A1 unknown\n"
              "9 8 get s A1 ok\n");
}

LV_TEST(phantoms_are_found)
{
    check_bad(HISTORY_phantom, "1 1 pub q A1 unknown\n", "3 7 get q A2 ok\n");
    check_bad(HISTORY_phantom, "1 1 pub q A1 unknown\n", "3 7 get r A1 ok\n");
    check_bad(HISTORY_phantom, "1 1 pub q A1 unknown\n", "3 7 get q A1 bad\n");
}

LV_TEST(duplicates_are_found)
{
    const char *pub = "1 1 pub q A1 unknown\n";

    check_bad(HISTORY_duplicate, pub, "3 7 get q A1 ok\n4 8 get q A1 ok\n");
    check_bad(HISTORY_duplicate, pub, "3 7 get q A1 again\n4 8 get q A1 ok\n");
    check_good(pub, "3 7 get q A1 again\n4 8 get q A1 again\n");
    /* Read from a buffer when the broker was ending: behind what another consumer got, though delivered before. */
    check_good("1 1 pub q A1 unknown\n4 0 life broker - fail\n6 0 life broker - ok\n",
               "3 7 get q A1 again\n5 8 get q A1 ok\n");
    check_bad(HISTORY_duplicate,
              "1 1 pub q A1 unknown\n4 0 life broker - fail\n6 0 life broker - ok\n",
              "3 7 get q A1 again\n7 8 get q A1 ok\n");
    check_bad(HISTORY_duplicate,
              "1 1 pub q A1 unknown\n4 0 life broker - fail\n6 0 life broker - ok\n",
              "3 7 get q A1 ok\n5 8 get q A1 ok\n");
    /* Whatever file comes first: time decides. */
    check_good("4 8 get q A1 again\n", "1 1 pub q A1 unknown\n3 7 get q A1 ok\n");
}

LV_TEST(settled_messages_stay_settled)
{
    const char *pub = "1 1 pub q A1 unknown\n";

    check_bad(HISTORY_returned, pub,
              "3 7 get q A1 ok\n4 7 ack q A1 unknown\n5 7 ack q A1 ok\n6 8 get q A1 again\n");
    check_good(pub, "2 6 get q A1 ok\n3 7 get q A1 again\n4 7 ack q A1 unknown\n5 7 ack q A1 ok\n");
}

LV_TEST(order_is_within_a_channel_a_queue_and_a_consumer)
{
    const char *pub = "1 1 pub q A1 unknown\n2 1 pub q A2 unknown\n3 1 pub r A3 unknown\n"
                      "1 2 pub q B1 unknown\n2 2 pub q B2 unknown\n";

    check_bad(HISTORY_misordered, pub, "5 7 get q A2 ok\n6 7 get q A1 ok\n");
    check_good(pub, "5 7 get q A2 ok\n6 8 get q A1 ok\n");                  /* two consumers */
    check_good(pub, "5 7 get q B1 ok\n6 7 get q A1 ok\n7 7 get q B2 ok\n"); /* two publishers */
    check_good(pub, "5 7 get r A3 ok\n6 7 get q A1 ok\n");                  /* two queues */
    check_good(pub, "5 7 get q A2 ok\n6 7 get q A1 again\n"); /* not its first delivery */
    check_bad(HISTORY_misordered, pub, "5 7 drain q A2 ok\n6 7 drain q A1 again\n");
}

LV_TEST(topology_is_kept)
{
    check_good("1 1 declare q - unknown\n2 1 declare q - ok\n3 1 exists q - ok\n"
               "4 1 delete q - unknown\n5 1 delete q - ok\n6 1 exists q - fail\n",
               "");
    check_bad(HISTORY_forgotten, "2 1 declare q - ok\n3 1 exists q - fail\n4 1 exists q - fail\n",
              "");
    check_bad(HISTORY_ghost, "2 1 declare q - ok\n3 1 delete q - ok\n4 1 exists q - ok\n", "");
    check_bad(HISTORY_ghost, "4 1 exists q - ok\n", "");
    /* In doubt until somebody looks, and then no more. */
    check_good("1 1 declare q - unknown\n2 1 exists q - fail\n3 1 declare q - unknown\n4 1 exists "
               "q - ok\n",
               "");
    check_bad(HISTORY_forgotten,
              "1 1 declare q - unknown\n2 1 exists q - ok\n4 1 exists q - fail\n", "");
    check_bad(HISTORY_ghost, "1 1 declare q - unknown\n2 1 exists q - fail\n4 1 exists q - ok\n",
              "");
    /* A declare in flight of what is there, or a delete of what is not, leaves no doubt. */
    check_bad(HISTORY_forgotten,
              "1 1 declare q - ok\n2 1 declare q - unknown\n3 1 exists q - fail\n", "");
    check_bad(HISTORY_ghost, "1 1 delete q - unknown\n3 1 exists q - ok\n", "");
}

LV_TEST(other_lines_are_refused)
{
    static const char *const lines[] = {
        "\n",
        "1 1 pub q A1\n",
        "1 1 pub q A1 ok more\n",
        "x 1 pub q A1 ok\n",
        "1 1 put q A1 ok\n",
        "1 1 pub q x ok\n",
        "1 1 pub q A1 perhaps\n",
        "1 65536 pub q A1 ok\n",
        "1 1 pub q",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        check_bad(HISTORY_malformed, lines[i], "");
}

LV_TEST(tables_grow)
{
    enum { COUNT = 20000, LINE = 48 };
    char *text = malloc(COUNT * 4 * LINE);
    size_t used = 0;
    struct history *h = history_new();
    struct history_verdict v;

    CHECK(text != NULL);
    for (uint64_t i = 1; i <= COUNT; i++) {
        uint64_t id = (i % 300 + 1) << HISTORY_CLIENT_SHIFT | i;
        used += (size_t)snprintf(text + used, LINE, "%u 1 pub q%u %" PRIu64 " ok\n", 1u,
                                 (unsigned)(i % 700), id);
        used += (size_t)snprintf(text + used, LINE, "%u 1 get q%u %" PRIu64 " ok\n", 2u,
                                 (unsigned)(i % 700), id);
        if (i % 2 == 0)
            used += (size_t)snprintf(text + used, LINE, "%u 1 ack q%u %" PRIu64 " unknown\n", 3u,
                                     (unsigned)(i % 700), id);
    }
    history_add(h, text, used);
    CHECK(!history_check(h, NULL, 0, &v));
    CHECK_EQ(v.faults[HISTORY_vanished], COUNT / 2);
    CHECK_EQ(v.faults[HISTORY_misordered], 0);
    CHECK_EQ(v.faults[HISTORY_lost], 0);
    history_free(h);
    free(text);
}

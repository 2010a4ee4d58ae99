/* base/list.h */
#include "base/list.h"

#include "lv_test.h"

struct item {
    int n;
    struct lv_link link;
};

#define ITEM(l) LV_CONTAINER_OF(l, struct item, link)

/* The items of `head` as a decimal number, read forwards; backwards must agree. */
static int64_t digits(struct lv_link *head)
{
    int64_t forward = 0, backward = 0, place = 1;

    LV_LIST_FOR (l, head)
        forward = forward * 10 + ITEM(l)->n;
    for (struct lv_link *l = head->prev; l != head; l = l->prev, place *= 10)
        backward += place * ITEM(l)->n;
    CHECK_EQ(forward, backward);
    return forward;
}

static void fill(struct lv_link *head, struct item *items, int from, int to)
{
    lv_list_init(head);
    for (int n = from; n <= to; n++) {
        items[n].n = n;
        lv_list_init(&items[n].link);
        lv_list_push(head, &items[n].link);
    }
}

LV_TEST(push_pop_is_first_in_first_out)
{
    struct lv_link head;
    struct item items[10];

    fill(&head, items, 1, 3);
    CHECK_EQ(digits(&head), 123);
    CHECK_EQ(ITEM(lv_list_pop(&head))->n, 1);
    CHECK_EQ(ITEM(lv_list_pop(&head))->n, 2);
    CHECK(!lv_list_empty(&head));
    CHECK_EQ(ITEM(lv_list_pop(&head))->n, 3);
    CHECK(lv_list_empty(&head));
    CHECK(lv_list_pop(&head) == NULL);
}

LV_TEST(insert_and_remove_anywhere)
{
    struct lv_link head;
    struct item items[10], extra = { .n = 9 };

    fill(&head, items, 1, 4);
    lv_list_init(&extra.link);
    CHECK(!lv_list_linked(&extra.link));
    lv_list_insert_before(&items[1].link, &extra.link);
    CHECK(lv_list_linked(&extra.link));
    CHECK_EQ(digits(&head), 91234);
    lv_list_remove(&extra.link);
    lv_list_remove(&extra.link); /* twice does nothing */
    CHECK(!lv_list_linked(&extra.link));
    lv_list_remove(&items[4].link);
    lv_list_remove(&items[2].link);
    CHECK_EQ(digits(&head), 13);
}

LV_TEST(removing_while_walking)
{
    struct lv_link head;
    struct item items[10];

    fill(&head, items, 1, 6);
    LV_LIST_FOR_SAFE (l, &head)
        if (ITEM(l)->n % 2 == 0)
            lv_list_remove(l);
    CHECK_EQ(digits(&head), 135);
    LV_LIST_FOR_SAFE (l, &head)
        lv_list_remove(l);
    CHECK(lv_list_empty(&head));
}

LV_TEST(splice_keeps_both_orders)
{
    struct lv_link a, b;
    struct item items[10];

    fill(&a, items, 1, 2);
    fill(&b, items, 3, 5);
    lv_list_splice(&a, &b);
    CHECK_EQ(digits(&a), 12345);
    CHECK(lv_list_empty(&b));
    lv_list_splice(&a, &b);
    CHECK_EQ(digits(&a), 12345);
    lv_list_splice(&b, &a);
    CHECK_EQ(digits(&b), 12345);
    CHECK(lv_list_empty(&a));
}

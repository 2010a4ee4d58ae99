/* The topology's records: what is written is what is read, and what is cut short is none. */
#include "store/meta.h"

#include "lv_test.h"

static struct lv_meta again(const struct lv_meta *m, uint8_t *buf, size_t cap)
{
    struct lv_wr w = lv_wr(buf, cap);
    struct lv_meta out;

    lv_meta_write(&w, m);
    CHECK(lv_wr_ok(&w));
    CHECK(w.used <= lv_meta_bytes_max(m));
    for (size_t n = 0; n < w.used; n++)
        CHECK(!lv_meta_parse(lv_meta_type(m), lv_bytes(buf, n), &out));
    CHECK(lv_meta_parse(lv_meta_type(m), lv_bytes(buf, w.used), &out));
    CHECK_EQ(out.kind, m->kind);
    CHECK_EQ(out.is_put, m->is_put);
    CHECK(lv_bytes_eq(out.vhost, m->vhost));
    CHECK(lv_bytes_eq(out.name, m->name));
    return out;
}

LV_TEST(queue)
{
    uint8_t put_buf[2048], del_buf[2048];
    struct lv_meta m = { .kind = LV_META_QUEUE,
                         .is_put = true,
                         .vhost = LV_BYTES_LIT("/"),
                         .name = LV_BYTES_LIT("q"),
                         .id = 77,
                         .is_auto_delete = true,
                         .arguments = LV_BYTES_LIT("\1aI\0\0\0\1") };
    struct lv_meta put = again(&m, put_buf, sizeof(put_buf));

    CHECK_EQ(put.id, 77);
    CHECK(put.is_auto_delete);
    CHECK(lv_bytes_eq(put.arguments, m.arguments));
    m.is_put = false;
    m.arguments = lv_bytes(NULL, 0);
    CHECK(lv_bytes_eq(again(&m, del_buf, sizeof(del_buf)).identity, put.identity));
}

LV_TEST(exchange)
{
    uint8_t buf[2048];
    struct lv_meta m = { .kind = LV_META_EXCHANGE,
                         .is_put = true,
                         .vhost = LV_BYTES_LIT("v"),
                         .name = LV_BYTES_LIT("x"),
                         .type = LV_BYTES_LIT("topic"),
                         .is_internal = true,
                         .has_alternate = true,
                         .alternate = LV_BYTES_LIT("other") };
    struct lv_meta out = again(&m, buf, sizeof(buf));

    CHECK(lv_bytes_eq(out.type, m.type));
    CHECK(lv_bytes_eq(out.alternate, m.alternate));
    CHECK(out.is_internal && out.has_alternate && !out.is_auto_delete);
}

LV_TEST(binding_and_counter)
{
    uint8_t buf[2048];
    struct lv_meta m = { .kind = LV_META_BINDING,
                         .is_put = false,
                         .vhost = LV_BYTES_LIT("/"),
                         .name = LV_BYTES_LIT("x2"),
                         .source = LV_BYTES_LIT("x1"),
                         .is_to_exchange = true,
                         .key = LV_BYTES_LIT("a.#") };
    struct lv_meta out = again(&m, buf, sizeof(buf));

    CHECK(lv_bytes_eq(out.source, m.source));
    CHECK(lv_bytes_eq(out.key, m.key));
    CHECK(out.is_to_exchange);
    m = (struct lv_meta){ .kind = LV_META_COUNTER, .is_put = true, .id = 9 };
    CHECK_EQ(again(&m, buf, sizeof(buf)).id, 9);
}

LV_TEST(parameter)
{
    uint8_t put_buf[2048], del_buf[2048];
    struct lv_meta m = { .kind = LV_META_PARAMETER,
                         .is_put = true,
                         .vhost = LV_BYTES_LIT("v"),
                         .component = LV_BYTES_LIT("policy"),
                         .name = LV_BYTES_LIT("p"),
                         .value = LV_BYTES_LIT("{}") };
    struct lv_meta put = again(&m, put_buf, sizeof(put_buf));

    CHECK(lv_bytes_eq(put.component, m.component));
    CHECK(lv_bytes_eq(put.value, m.value));
    m.is_put = false;
    CHECK(lv_bytes_eq(again(&m, del_buf, sizeof(del_buf)).identity, put.identity));
}

LV_TEST(another_version)
{
    struct lv_meta m;

    CHECK(!lv_meta_parse(LV_REC_META_PUT, LV_BYTES_LIT("\x63"), &m));
    CHECK(!lv_meta_parse(LV_REC_META_DEL + 1, LV_BYTES_LIT("\4\0\0\0\0\0\0\0\1"), &m));
    CHECK(!lv_meta_parse(LV_REC_META_PUT, lv_bytes(NULL, 0), &m));
}

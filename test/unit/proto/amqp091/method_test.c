/* Every method of methods.def, filled by a rule, against bytes that RabbitMQ's own framing accepts and encodes back
 * the same (golden.def); there and back, cut anywhere, with too much behind it, into too little room. */
#include "proto/amqp091/codec.h"

#include <stdlib.h>

#include "lv_test.h"

#define METHODS "proto/amqp091/methods.def"
#define ARGS_MAX 1024

/* ---- filling and comparing: one function for each type of field ---- */

struct filler {
    unsigned n; /* how many fields were filled; makes each value another */
};

static uint64_t number(struct filler *f)
{
    f->n++;
    return 0x8182838485868700u + f->n;
}

static struct lv_bytes text(struct filler *f)
{
    static const char *const texts[] = { "", "q", "amq.topic", "k\xc3\xa4\xe2\x82\xac", "a.b.c" };

    return lv_bytes_str(texts[f->n++ % LV_ARRAY_LEN(texts)]);
}

static void fill_u8(struct filler *f, uint8_t *v)
{
    *v = (uint8_t)number(f);
}
static void fill_u16(struct filler *f, uint16_t *v)
{
    *v = (uint16_t)number(f);
}
static void fill_u32(struct filler *f, uint32_t *v)
{
    *v = (uint32_t)number(f);
}
static void fill_u64(struct filler *f, uint64_t *v)
{
    *v = number(f);
}
static void fill_bit(struct filler *f, bool *v)
{
    *v = f->n++ % 3 != 0;
}
static void fill_shortstr(struct filler *f, struct lv_bytes *v)
{
    *v = text(f);
}
static void fill_longstr(struct filler *f, struct lv_bytes *v)
{
    *v = text(f);
}
static void fill_table(struct filler *f, struct lv_bytes *v)
{
    f->n++;
    *v = LV_BYTES_LIT("\x01nI\0\0\0\x05\x05x-strS\0\0\0\x02hi\x01tF\0\0\0\x04\x01yt\x01\x01zV");
}

#define SAME(type) static bool same_##type(LV_AMQP_C_##type a, LV_AMQP_C_##type b)
SAME(u8)
{
    return a == b;
}
SAME(u16)
{
    return a == b;
}
SAME(u32)
{
    return a == b;
}
SAME(u64)
{
    return a == b;
}
SAME(bit)
{
    return a == b;
}
SAME(shortstr)
{
    return lv_bytes_eq(a, b);
}
SAME(longstr)
{
    return lv_bytes_eq(a, b);
}
SAME(table)
{
    return lv_bytes_eq(a, b);
}

/* ---- a method as the tests see it ---- */

union any_method {
#define M(class, id, NAME, name, text, traits, fields) struct lv_amqp_##name name;
#define F(type, field)
#include METHODS
#undef F
#undef M
};

#define M(class, id, NAME, name, text, traits, fields)                                     \
    static void fill_method_##name(struct filler *f, union any_method *u)                  \
    {                                                                                      \
        struct lv_amqp_##name *m = &u->name;                                               \
        (void)f;                                                                           \
        (void)m;                                                                           \
        fields                                                                             \
    }                                                                                      \
    static void write_##name(struct lv_wr *w, uint16_t channel, const union any_method *u) \
    {                                                                                      \
        lv_amqp_write_##name(w, channel, &u->name);                                        \
    }                                                                                      \
    static enum lv_err decode_##name(struct lv_bytes args, union any_method *u)            \
    {                                                                                      \
        return lv_amqp_decode_##name(args, &u->name);                                      \
    }
#define F(type, field) fill_##type(f, &m->field);
#include METHODS
#undef F
#undef M

#define M(class, id, NAME, name, text, traits, fields)                            \
    static bool same_##name(const union any_method *u, const union any_method *v) \
    {                                                                             \
        const struct lv_amqp_##name *a = &u->name, *b = &v->name;                 \
        bool same = true;                                                         \
        (void)a;                                                                  \
        (void)b;                                                                  \
        fields return same;                                                       \
    }
#define F(type, field) same &= same_##type(a->field, b->field);
#include METHODS
#undef F
#undef M

enum { C2S = LV_AMQP_C2S, S2C = LV_AMQP_S2C, CONTENT = LV_AMQP_CONTENT, SYNC = LV_AMQP_SYNC };

static const struct method {
    uint32_t id;
    const char *name;
    uint32_t traits;
    void (*fill)(struct filler *f, union any_method *m);
    void (*write)(struct lv_wr *w, uint16_t channel, const union any_method *m);
    enum lv_err (*decode)(struct lv_bytes args, union any_method *m);
    bool (*same)(const union any_method *a, const union any_method *b);
} methods[] = {
#define M(class, id, NAME, name, text, traits, fields)                     \
    { (class) << 16 | (id), text,          (traits),   fill_method_##name, \
      write_##name,         decode_##name, same_##name },
#define F(type, field)
#include METHODS
#undef F
#undef M
};

#define FOR_METHODS(m) \
    for (const struct method *m = methods; m < methods + LV_ARRAY_LEN(methods); m++)

static union any_method filled(const struct method *m)
{
    union any_method u;
    struct filler f = { m->id }; /* another beginning for each method */

    memset(&u, 0, sizeof(u));
    m->fill(&f, &u);
    return u;
}

/* The one frame in `w`, which is there to its last byte. */
static struct lv_amqp_frame only_frame(const struct lv_wr *w)
{
    struct lv_amqp_frame frame = { 0 };
    size_t used;

    CHECK(lv_wr_ok(w));
    CHECK_EQ(lv_amqp_frame_next(lv_bytes(w->buf, w->used), ARGS_MAX, &frame, &used), LV_OK);
    CHECK_EQ(used, w->used);
    return frame;
}

/* Decodes from memory that ends where the bytes end. What was decoded views it no longer. */
static enum lv_err decode(const struct method *m, const uint8_t *args, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    union any_method out;

    LV_ASSERT(copy != NULL);
    memcpy(copy + 1, args, len);
    enum lv_err err = m->decode(lv_bytes(copy + 1, len), &out);
    free(copy);
    return err;
}

LV_TEST(there_and_back)
{
    FOR_METHODS(m)
    {
        uint8_t buf[ARGS_MAX], again[ARGS_MAX];
        struct lv_wr w = lv_wr(buf, sizeof(buf)), w2 = lv_wr(again, sizeof(again));
        union any_method in = filled(m), out;

        m->write(&w, 0x1234, &in);
        struct lv_amqp_frame frame = only_frame(&w);
        CHECK_EQ(frame.type, LV_AMQP_FRAME_METHOD);
        CHECK_EQ(frame.channel, 0x1234);
        CHECK_EQ(lv_be32(frame.payload.ptr), m->id);
        CHECK_EQ(m->decode(lv_bytes(frame.payload.ptr + 4, frame.payload.len - 4), &out), LV_OK);
        CHECK(m->same(&in, &out));
        m->write(&w2, 0x1234, &out);
        CHECK_EQ(w2.used, w.used);
        CHECK_MEM(again, buf, w.used);
    }
}

LV_TEST(bytes_are_those_of_rabbitmq)
{
    static const struct {
        uint32_t id;
        struct lv_bytes payload;
    } golden[] = {
#define G(NAME, bytes) { LV_AMQP_##NAME, LV_BYTES_LIT(bytes) },
#include "golden.def"
#undef G
    };

    CHECK_EQ(LV_ARRAY_LEN(golden), LV_ARRAY_LEN(methods));
    FOR_METHODS(m)
    {
        uint8_t buf[ARGS_MAX];
        struct lv_wr w = lv_wr(buf, sizeof(buf));
        union any_method in = filled(m);

        m->write(&w, 1, &in);
        struct lv_bytes payload = only_frame(&w).payload, wanted = golden[m - methods].payload;
        CHECK_EQ(golden[m - methods].id, m->id);
        CHECK_EQ(payload.len, wanted.len);
        CHECK_MEM(payload.ptr, wanted.ptr, wanted.len);
    }
}

LV_TEST(every_cut_is_refused_and_so_is_more)
{
    FOR_METHODS(m)
    {
        uint8_t buf[ARGS_MAX];
        struct lv_wr w = lv_wr(buf, sizeof(buf));
        union any_method in = filled(m);

        m->write(&w, 1, &in);
        uint8_t *args = buf + LV_AMQP_FRAME_HEAD + 4;
        size_t len = w.used - LV_AMQP_FRAME_OVERHEAD - 4;
        CHECK_EQ(decode(m, args, len), LV_OK);
        for (size_t cut = 0; cut < len; cut++)
            CHECK_EQ(decode(m, args, cut), LV_ESYNTAX);
        CHECK_EQ(decode(m, args, len + 1), LV_ESYNTAX);
    }
}

/* Nothing is written past the room, and `used` tells how much would have been needed. */
LV_TEST(too_little_room)
{
    FOR_METHODS(m)
    {
        uint8_t whole[ARGS_MAX], buf[ARGS_MAX];
        struct lv_wr w = lv_wr(whole, sizeof(whole));
        union any_method in = filled(m);

        m->write(&w, 1, &in);
        for (size_t cap = 0; cap <= w.used; cap++) {
            memset(buf, 0xEE, sizeof(buf));
            struct lv_wr small = lv_wr(buf, cap);
            m->write(&small, 1, &in);
            CHECK_EQ(small.used, w.used);
            CHECK_EQ(buf[cap], 0xEE);
        }
        CHECK_MEM(buf, whole, w.used);
    }
}

/* Frames are appended: the second begins where the first ends. */
LV_TEST(one_after_the_other)
{
    uint8_t buf[64];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    struct lv_amqp_frame frame = { 0 };
    size_t used;

    lv_amqp_write_basic_ack(&w, 7,
                            &(struct lv_amqp_basic_ack){ .delivery_tag = 9, .multiple = true });
    lv_amqp_write_tx_select_ok(&w, 8, &(struct lv_amqp_tx_select_ok){});
    CHECK_MEM(buf,
              "\x01\0\x07\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x09\x01\xce"
              "\x01\0\x08\0\0\0\x04\0\x5a\0\x0b\xce",
              w.used);
    CHECK_EQ(lv_amqp_frame_next(lv_bytes(buf, w.used), 100, &frame, &used), LV_OK);
    CHECK_EQ(used, 21);
    CHECK_EQ(frame.payload.len, 13);
}

LV_TEST(bits_share_an_octet_lowest_first)
{
    uint8_t buf[64];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    struct lv_amqp_queue_declare m = { .durable = true, .no_wait = true };
    struct lv_amqp_queue_declare out;

    lv_amqp_write_queue_declare(&w, 1, &m);
    CHECK_EQ(w.used, LV_AMQP_FRAME_OVERHEAD + 4 + 2 + 1 + 1 + 4);
    CHECK_EQ(buf[LV_AMQP_FRAME_HEAD + 7], 0x12);
    /* Bits that mean nothing are not looked at. */
    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\0\xf2\0\0\0\0"), &out), LV_OK);
    CHECK(!out.passive && out.durable && !out.exclusive && !out.auto_delete && out.no_wait);
}

/* RabbitMQ asks for UTF-8 in the short strings of methods without content, and only there. */
LV_TEST(utf8_where_rabbitmq_asks_for_it)
{
    struct lv_amqp_queue_declare declare;
    struct lv_amqp_basic_publish publish;
    struct lv_amqp_connection_close close_;
    struct lv_amqp_connection_start_ok start_ok;

    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\x02\xc3\xa4\0\0\0\0\0"), &declare),
             LV_OK);
    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\x02\xc3\xff\0\0\0\0\0"), &declare),
             LV_EUTF8);
    CHECK_EQ(lv_amqp_decode_connection_close(LV_BYTES_LIT("\0\xc8\x01\xff\0\0\0\0"), &close_),
             LV_EUTF8);
    CHECK_EQ(lv_amqp_decode_basic_publish(LV_BYTES_LIT("\0\0\x01\xff\x01\xfe\0"), &publish), LV_OK);
    CHECK_EQ(publish.routing_key.ptr[0], 0xfe);
    CHECK_EQ(lv_amqp_decode_connection_start_ok(LV_BYTES_LIT("\0\0\0\0\0\0\0\0\x01\xff\0"),
                                                &start_ok),
             LV_OK);
    /* What is short is a syntax error, whatever else it is. */
    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\x02\xc3\xff\0\0\0\0"), &declare),
             LV_ESYNTAX);
}

LV_TEST(tables_in_arguments_are_checked)
{
    struct lv_amqp_queue_declare m;
    uint8_t args[8 + 17 * 7] = { 0 };
    struct lv_wr w = lv_wr(args, sizeof(args));

    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\0\0\0\0\0\x04\x01kZ\0"), &m),
             LV_ESYNTAX);
    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\0\0\xff\xff\xff\xff\x01kt\x01"), &m),
             LV_ESYNTAX);
    CHECK_EQ(lv_amqp_decode_queue_declare(LV_BYTES_LIT("\0\0\0\0\0\0\0\x04\xffkt\x01"), &m),
             LV_ESYNTAX);
    lv_wr_u32(&w, 0);
    for (uint32_t levels = LV_TABLE_DEPTH_MAX; levels > 0; levels--) {
        lv_wr_u32(&w, levels * 7);
        lv_wr_bytes(&w, "\x01kF", 3);
    }
    lv_wr_u32(&w, 0);
    CHECK_EQ(lv_amqp_decode_queue_declare(lv_bytes(args, w.used), &m), LV_EDEPTH);
}

LV_TEST(names_and_traits)
{
    CHECK_STR(lv_amqp_method_name(LV_AMQP_BASIC_PUBLISH), "basic.publish");
    CHECK_STR(lv_amqp_method_name(LV_AMQP_CONNECTION_UPDATE_SECRET_OK),
              "connection.update-secret-ok");
    CHECK_EQ(LV_AMQP_EXCHANGE_UNBIND_OK, 40 << 16 | 51);
    CHECK_EQ(lv_amqp_method_traits(LV_AMQP_BASIC_PUBLISH), LV_AMQP_C2S | LV_AMQP_CONTENT);
    FOR_METHODS(m)
    {
        CHECK_STR(lv_amqp_method_name(m->id), m->name);
        CHECK_EQ(lv_amqp_method_traits(m->id), m->traits);
        CHECK((m->traits & (LV_AMQP_C2S | LV_AMQP_S2C)) != 0);
    }
    static const uint32_t unknown[] = { 0, 60, 60 << 16, 60 << 16 | 41, 61 << 16 | 40, 0xffffffff };
    for (size_t i = 0; i < LV_ARRAY_LEN(unknown); i++) {
        CHECK_STR(lv_amqp_method_name(unknown[i]), "unknown");
        CHECK_EQ(lv_amqp_method_traits(unknown[i]), 0);
    }
}

/* What people read: names of methods, and bytes as RabbitMQ's error texts show them. */
#include "proto/amqp091/codec.h"

#include <stdio.h>

enum { C2S = LV_AMQP_C2S, S2C = LV_AMQP_S2C, CONTENT = LV_AMQP_CONTENT, SYNC = LV_AMQP_SYNC };

const char *lv_amqp_method_name(uint32_t method)
{
    switch (method) {
#define M(class, id, NAME, name, text, traits, fields) \
    case LV_AMQP_##NAME:                               \
        return text;
#define F(type, field)
#include "proto/amqp091/methods.def"
#undef F
#undef M
    default:
        return "unknown";
    }
}

uint32_t lv_amqp_method_traits(uint32_t method)
{
    switch (method) {
#define M(class, id, NAME, name, text, traits, fields) \
    case LV_AMQP_##NAME:                               \
        return (traits);
#define F(type, field)
#include "proto/amqp091/methods.def"
#undef F
#undef M
    default:
        return 0;
    }
}

/* ---- Erlang's view of bytes ---- */

#define PIECE_MAX 4u /* "255," */

/* What stands in a quoted text for one octet of Latin-1, in UTF-8; false: Erlang does not take it for text. */
static bool quote(uint8_t octet, char piece[PIECE_MAX + 1])
{
    static const char escaped[] = "\"\\\b\t\n\v\f\r\033", letters[] = "\"\\btnvfre";
    const char *found = octet != 0 ? strchr(escaped, octet) : NULL;

    if (found != NULL) {
        piece[0] = '\\';
        piece[1] = letters[found - escaped];
        piece[2] = '\0';
    } else if (octet >= 160) {
        piece[0] = (char)(0xC0 | octet >> 6);
        piece[1] = (char)(0x80 | (octet & 0x3F));
        piece[2] = '\0';
    } else {
        piece[0] = (char)octet;
        piece[1] = '\0';
        return octet >= ' ' && octet <= '~';
    }
    return true;
}

static bool is_text(struct lv_bytes b)
{
    char piece[PIECE_MAX + 1];

    for (size_t i = 0; i < b.len; i++)
        if (!quote(b.ptr[i], piece))
            return false;
    return b.len != 0;
}

struct text {
    char *at;
    size_t room; /* with the NUL; 1 once something did not fit */
};

/* All of `piece` or, from then on, nothing: no escape and no character is cut in two. */
static void add(struct text *t, const char *piece)
{
    size_t len = strlen(piece);

    if (len >= t->room) {
        t->room = 1;
        return;
    }
    memcpy(t->at, piece, len + 1);
    t->at += len;
    t->room -= len;
}

static void format(struct lv_bytes b, bool quoted, char *out, size_t cap)
{
    struct text t = { out, cap };
    char piece[PIECE_MAX + 1];

    LV_ASSERT(cap > 0);
    out[0] = '\0';
    add(&t, quoted ? "<<\"" : "<<");
    for (size_t i = 0; i < b.len && t.room > 1; i++) {
        if (quoted)
            quote(b.ptr[i], piece);
        else
            snprintf(piece, sizeof(piece), i == 0 ? "%u" : ",%u", b.ptr[i]);
        add(&t, piece);
    }
    add(&t, quoted ? "\">>" : ">>");
}

void lv_amqp_format_octets(struct lv_bytes b, char *out, size_t cap)
{
    b.len = LV_MIN(b.len, LV_AMQP_OCTETS_MAX);
    format(b, is_text(b), out, cap);
}

void lv_amqp_format_octets_plain(struct lv_bytes b, char *out, size_t cap)
{
    format(b, false, out, cap);
}

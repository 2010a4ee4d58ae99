#include "manage/members.h"

static bool is_wanted(const struct lv_members *m)
{
    for (uint32_t i = 0; i < m->wanted->count; i++)
        if (lv_bytes_eq(m->wanted->path[i].part[0], lv_bytes(m->key, m->key_len)))
            return true;
    return false;
}

static void end_key(struct lv_members *m, struct lv_buf *out)
{
    m->is_key = false;
    m->wants_key = false;
    m->is_kept = is_wanted(m);
    if (!m->is_kept)
        return;
    lv_buf_add_str(out, m->has_member ? ",\"" : "\"");
    lv_buf_add(out, m->key, m->key_len);
    m->has_member = true;
}

/* A byte within quotes. */
static void text(struct lv_members *m, uint8_t c, struct lv_buf *out)
{
    bool is_end = c == '"' && !m->is_escaped;

    m->is_escaped = c == '\\' && !m->is_escaped;
    m->in_text = !is_end;
    if (m->is_key && is_end)
        end_key(m, out);
    else if (m->is_key && m->key_len < sizeof(m->key))
        m->key[m->key_len++] = (char)c;
    if (m->is_kept)
        lv_buf_add(out, &c, 1);
}

/* The object itself: its braces and the commas between its members. True: that was one of them. */
static bool frame(struct lv_members *m, uint8_t c, struct lv_buf *out)
{
    bool is_open = c == '{' && m->depth == 0, is_close = c == '}' && m->depth == 1;

    if (!is_open && !is_close && (c != ',' || m->depth != 1))
        return false;
    m->depth = is_close ? 0 : 1;
    m->wants_key = !is_close;
    m->is_kept = false;
    if (c != ',')
        lv_buf_add(out, &c, 1);
    return true;
}

static void plain(struct lv_members *m, uint8_t c, struct lv_buf *out)
{
    if (frame(m, c, out))
        return;
    m->in_text = c == '"';
    if (m->in_text && m->depth == 1 && m->wants_key) {
        m->is_key = true;
        m->key_len = 0;
        return;
    }
    m->depth += (unsigned)(c == '{' || c == '[');
    m->depth -= (unsigned)(c == '}' || c == ']');
    if (m->is_kept)
        lv_buf_add(out, &c, 1);
}

void lv_members_pass(struct lv_members *m, struct lv_bytes piece, struct lv_buf *out)
{
    if (m->wanted == NULL) {
        lv_buf_add_bytes(out, piece);
        return;
    }
    for (size_t i = 0; i < piece.len; i++) {
        if (m->in_text)
            text(m, piece.ptr[i], out);
        else
            plain(m, piece.ptr[i], out);
    }
}

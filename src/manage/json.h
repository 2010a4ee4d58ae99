/* manage/json.h - JSON written as it is told, and no tree of it in memory.
 *
 * What an object is like is described once, by a function that puts its members one after the other. The writer decides
 * what becomes of them: all are written, or only those of some columns (?columns=name,message_stats.publish), or one value
 * is picked to sort by (?sort=message_stats.publish). So lists need no trees, and what nobody wants costs a comparison.
 * Text is always UTF-8: what is no UTF-8 is told byte by byte, as U+0000 to U+00FF.
 * Owner   the caller's memory, one thread. Nothing here fails: no memory shows in the buffer (is_short).
 */
#ifndef LV_MANAGE_JSON_H
#define LV_MANAGE_JSON_H
#include "base/bytes.h"
#include "manage/buf.h"

#define LV_JSON_DEPTH_MAX 32u   /* levels of what is written */
#define LV_JSON_COLUMNS_MAX 64u /* of ?columns=: those behind are ignored */
#define LV_JSON_PARTS_MAX 6u    /* of a column: a.b.c... */

struct lv_json_path {
    uint32_t count;
    struct lv_bytes part[LV_JSON_PARTS_MAX]; /* views of the text it was made from */
};
struct lv_json_columns {
    uint32_t count;
    struct lv_json_path path[LV_JSON_COLUMNS_MAX];
};
/* "a.b.c". False: empty, or too many parts. */
bool lv_json_path(struct lv_bytes text, struct lv_json_path *out);
/* "a,b.c,d". False: none. */
bool lv_json_columns(struct lv_bytes text, struct lv_json_columns *out);

/* A value to sort by. Kinds in their order; a missing one counts as the number 0 (RabbitMQ). */
struct lv_json_value {
    enum lv_json_kind {
        LV_JSON_NUMBER,
        LV_JSON_FALSE,
        LV_JSON_NULL,
        LV_JSON_TRUE,
        LV_JSON_TEXT
    } kind;
    double number;
    struct lv_bytes text; /* views the scratch buffer */
};
/* <0, 0, >0 */
int lv_json_value_cmp(const struct lv_json_value *a, const struct lv_json_value *b);

struct lv_json {
    struct lv_buf *out;
    struct lv_json_value *pick; /* not NULL: nothing is written */
    const struct lv_json_columns *columns;
    uint32_t depth, skipped; /* levels that are open; those of them that nobody wants */
    struct {
        uint64_t columns; /* a bit for each column that led here */
        uint8_t part;     /* so many of its parts did */
        bool is_whole, is_array, has_member;
    } level[LV_JSON_DEPTH_MAX];
};

/* Writes to `out`. */
void lv_json_init(struct lv_json *j, struct lv_buf *out);
/* Picks instead: `path` is a column by itself; a text is kept in `scratch`, whose contents it replaces. */
void lv_json_init_pick(struct lv_json *j, const struct lv_json_columns *path,
                       struct lv_json_value *pick, struct lv_buf *scratch);
/* From here on, and below this level, only these; NULL: all. Borrowed while they are in use. */
void lv_json_select(struct lv_json *j, const struct lv_json_columns *columns);

/* Is a member of that name wanted? For what costs something to find out. */
bool lv_json_wants(const struct lv_json *j, const char *key);

/* ---- members of an object; elements of an array have the key NULL, as has the outermost value ---- */
void lv_json_open(struct lv_json *j, const char *key);       /* { */
void lv_json_open_array(struct lv_json *j, const char *key); /* [ */
void lv_json_close(struct lv_json *j);                       /* whichever is open */
void lv_json_bytes(struct lv_json *j, const char *key, struct lv_bytes text);
void lv_json_str(struct lv_json *j, const char *key, const char *text);
void lv_json_u64(struct lv_json *j, const char *key, uint64_t v);
void lv_json_i64(struct lv_json *j, const char *key, int64_t v);
/* With a point, whatever it is; what is no number is null. */
void lv_json_double(struct lv_json *j, const char *key, double v);
void lv_json_bool(struct lv_json *j, const char *key, bool v);
void lv_json_null(struct lv_json *j, const char *key);
/* A member whose name comes from outside. */
void lv_json_open_named(struct lv_json *j, struct lv_bytes key);
void lv_json_open_array_named(struct lv_json *j, struct lv_bytes key);
void lv_json_bytes_named(struct lv_json *j, struct lv_bytes key, struct lv_bytes text);
void lv_json_i64_named(struct lv_json *j, struct lv_bytes key, int64_t v);
void lv_json_double_named(struct lv_json *j, struct lv_bytes key, double v);
void lv_json_bool_named(struct lv_json *j, struct lv_bytes key, bool v);
void lv_json_null_named(struct lv_json *j, struct lv_bytes key);
/* JSON that somebody else made, as it is. */
void lv_json_raw(struct lv_json *j, const char *key, struct lv_bytes json);

/* Text in quotes. */
void lv_json_quote(struct lv_buf *out, struct lv_bytes text);

#endif

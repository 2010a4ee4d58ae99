/* config/grammar.h - the lines of a rabbitmq.conf: "key = value", "# comment", values in 'single quotes' as they are.
 *
 * Pure: text in, views out. After an error the next call goes on with the next line, so that one run finds all of them.
 * Columns and lines count from 1, columns in bytes.
 */
#ifndef LV_CONFIG_GRAMMAR_H
#define LV_CONFIG_GRAMMAR_H
#include "base/bytes.h"

#define LV_CONF_KEY_MAX 255u
#define LV_CONF_VALUE_MAX 16384u

struct lv_conf {
    struct lv_bytes rest; /* views */
    unsigned line;
};

struct lv_conf_item {
    struct lv_bytes key, value; /* view the text; the value without its quotes */
    unsigned line, key_column, value_column;
    const char *note; /* something the author may not have meant, at note_column; NULL: nothing */
    unsigned note_column;
    bool is_quoted;
};

struct lv_conf_fault {
    unsigned line, column;
    const char *why; /* static */
};

enum lv_conf_step { LV_CONF_END, LV_CONF_ITEM, LV_CONF_FAULT };

/* Borrows `text` as long as `c` is used. A byte order mark at its beginning is passed over. */
void lv_conf_init(struct lv_conf *c, struct lv_bytes text);
/* Whether `b` could be a word of a key; dots count as escaped. */
bool lv_conf_is_word(struct lv_bytes b);
/* The next assignment, or what is wrong with the line where there should be one. */
enum lv_conf_step lv_conf_next(struct lv_conf *c, struct lv_conf_item *item,
                               struct lv_conf_fault *fault);

#endif

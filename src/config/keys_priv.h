/* config/keys_priv.h - the table of settings as data, and how its keys are found. */
#ifndef LV_CONFIG_KEYS_PRIV_H
#define LV_CONFIG_KEYS_PRIV_H
#include "config/config.h"
#include "config/grammar.h"

enum lv_setting_id {
#define LV_SETTING(type, field, ...) LV_SETTING_##field,
#include "config/settings.def"
#undef LV_SETTING
    LV_SETTING_COUNT,
};

enum lv_setting_type {
    LV_TYPE_STR,
    LV_TYPE_SECRET,
    LV_TYPE_ENUM,
    LV_TYPE_MARK,
    LV_TYPE_LISTEN,
    LV_TYPE_MAP,
    LV_TYPE_SMAP,
    LV_TYPE_U32,
    LV_TYPE_LIMIT,
    LV_TYPE_MS,
    LV_TYPE_BYTES,
    LV_TYPE_SIZE,
    LV_TYPE_BOOL,
};

enum lv_setting_section {
    LV_SECTION_GENERAL,
    LV_SECTION_LISTENERS,
    LV_SECTION_TLS,
    LV_SECTION_RESOURCES,
    LV_SECTION_LIMITS,
    LV_SECTION_USERS,
    LV_SECTION_QUEUES,
    LV_SECTION_LOGGING,
    LV_SECTION_MANAGEMENT,
    LV_SECTION_PROTOCOLS,
};

struct lv_setting {
    enum lv_setting_type type;
    enum lv_setting_section section;
    size_t offset; /* in struct lv_settings */
    const char *option, *value, *help;
    const char *keys; /* as in the table: one blank between */
    const char *text; /* default of a text */
    uint64_t number;  /* default of a number */
    uint64_t low, high;
    bool is_live, has_effect;
};

extern const struct lv_setting lv_setting_table[LV_SETTING_COUNT];

/* What a key of a file or an option of the command line means. */
struct lv_key_match {
    const struct lv_setting *setting;
    struct lv_bytes pattern;        /* the key of the table that fits */
    char name[LV_CONF_KEY_MAX + 1]; /* what "$x" or "*" stood for, "\." undone; "": the key has none */
};

static inline bool lv_setting_is_text(const struct lv_setting *d)
{
    return d->type <= LV_TYPE_SMAP;
}
static inline bool lv_setting_is_items(const struct lv_setting *d)
{
    return d->type == LV_TYPE_MAP || d->type == LV_TYPE_SMAP;
}
static inline bool lv_setting_is_secret(const struct lv_setting *d)
{
    return d->type == LV_TYPE_SECRET || d->type == LV_TYPE_SMAP;
}

/* False: no setting has such a key. Exact keys come before patterns. */
bool lv_key_find(struct lv_bytes key, struct lv_key_match *out);
/* The setting with the option `name`, or with the key `name`. */
bool lv_key_find_option(struct lv_bytes name, struct lv_key_match *out);
/* Why a key of RabbitMQ has no use here; NULL: it is none of those. */
const char *lv_key_foreign(struct lv_bytes key);
/* The known key, and for `options` the known option, that is nearest to `wrong`; false: none is near. */
bool lv_key_suggest(struct lv_bytes wrong, bool options, char *out, size_t cap);
/* The i-th key of the setting; empty: no more. */
struct lv_bytes lv_setting_key(const struct lv_setting *d, size_t i);
/* How the setting is called in texts: its first key, or "--option". */
void lv_setting_name(const struct lv_setting *d, char *out, size_t cap);
/* `key` with `name` in place of its wildcard, a dot in a single word escaped. */
void lv_key_write(struct lv_bytes key, struct lv_bytes name, char *out, size_t cap);
/* Words of the command line and the environment: "channel-max" gives LEVERET_CHANNEL_MAX. False: it has no option. */
bool lv_setting_variable(const struct lv_setting *d, char *out, size_t cap);

#endif

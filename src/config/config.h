/* config/config.h - the settings of a broker, and where each came from.
 *
 * One table, settings.def. Its values come from, later ones winning: the defaults there, the configuration files
 * (rabbitmq.conf's grammar), the environment, the command line.
 * Owner   the thread that loads; only it reloads. The settings may be read from any thread: what a reload changes is
 *         atomic, and texts live as long as the configuration.
 */
#ifndef LV_CONFIG_CONFIG_H
#define LV_CONFIG_CONFIG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_UNLIMITED UINT32_MAX /* "infinity" of a LIMIT or MS */

/* ---- the settings: a field a row; LIVE ones are atomic, which plain reading makes use of ---- */
#define LV_C_STR LV_C_TEXT
#define LV_C_SECRET LV_C_TEXT
#define LV_C_ENUM LV_C_TEXT
#define LV_C_MARK LV_C_TEXT
#define LV_C_LISTEN LV_C_TEXT
#define LV_C_MAP LV_C_TEXT
#define LV_C_SMAP LV_C_TEXT
#define LV_C_U32 LV_C_WORD
#define LV_C_LIMIT LV_C_WORD
#define LV_C_MS LV_C_WORD
#define LV_C_BYTES LV_C_WORD
#define LV_C_TEXT_RESTART const char *
#define LV_C_TEXT_LIVE const char *_Atomic
#define LV_C_WORD_RESTART uint32_t
#define LV_C_WORD_LIVE _Atomic uint32_t
#define LV_C_SIZE_RESTART uint64_t
#define LV_C_SIZE_LIVE _Atomic uint64_t
#define LV_C_BOOL_RESTART bool
#define LV_C_BOOL_LIVE _Atomic bool
#define LV_C_SIZE LV_C_SIZE
#define LV_C_BOOL LV_C_BOOL
#define LV_C_PASTE(kind, reload) kind##_##reload
#define LV_C_FIELD(kind, reload) LV_C_PASTE(kind, reload)

struct lv_settings {
#define LV_SETTING(type, field, option, def, value, help, keys, reload, section, effect, low, high) \
    LV_C_FIELD(LV_C_##type, reload)                                                                 \
    field;
#include "config/settings.def"
#undef LV_SETTING
};

/* All defaults. */
void lv_settings_init(struct lv_settings *s);

/* ---- values that hold several ---- */
/* MAP: lines "name=value", in order; numbered names by their number. Begin with *at = the setting; false: no more.
 * The views are good as long as the text. */
bool lv_items_next(const char **at, struct lv_bytes *name, struct lv_bytes *value);
/* The value of `name`; false: there is none. */
bool lv_items_get(const char *items, const char *name, struct lv_bytes *value);
/* LISTEN: the next ADDR:PORT, cut to `cap`; false: no more, and for "none" at once. "*" as ADDR is every address. */
bool lv_listen_next(const char **at, char *out, size_t cap);
/* A watermark: a part ("0.6", "1.5") of `total` bytes, or a size ("512MiB", "2GB", "1000000"). LV_EINVAL: neither. */
enum lv_err lv_watermark_parse(const char *text, uint64_t total, uint64_t *bytes) LV_MUST_USE;

/* ---- loading ---- */
struct lv_config_sources {
    int argc;
    char *const *argv; /* argv[1..): "--option value", "--option=value"; borrowed while loading */
    char *const *envp; /* "NAME=value"..., NULL; NULL: no environment; borrowed while loading */
    const char *const *
        etc; /* files to look for when none is named, the first that is there; NULL-terminated; NULL: none */
};
/* Where a packaged broker looks: /etc/leveret, then /etc/rabbitmq. */
extern const char *const lv_config_etc[];

struct lv_config; /* settings, their origins, and what there was to say about them */

/* What there is to say about a value, in order: "rabbitmq.conf:3:1: unknown key 'listner.tcp' (did you mean ...)". */
struct lv_config_note {
    bool is_error; /* else a notice */
    bool is_usage; /* an error of the command line */
    const char *text;
};

/* LV_EINVAL: *out is there to tell the errors, and nothing else. LV_ENOMEM: *out is NULL. */
enum lv_err lv_config_load(const struct lv_config_sources *from, struct lv_config **out) LV_MUST_USE;
/* Checks one file (and no conf.d, environment or command line); the same. */
enum lv_err lv_config_check_file(const char *path, struct lv_config **out) LV_MUST_USE;
/* Checks a text that came from `name`; the same. */
enum lv_err lv_config_check_text(const char *name, struct lv_bytes text,
                                 struct lv_config **out) LV_MUST_USE;
/* Takes `c`; NULL is allowed. */
void lv_config_free(struct lv_config *c);

const struct lv_settings *lv_config_settings(const struct lv_config *c);
/* The i-th note; NULL: no more. */
const struct lv_config_note *lv_config_note(const struct lv_config *c, size_t i);
/* The i-th file that was read; NULL: no more. */
const char *lv_config_file(const struct lv_config *c, size_t i);

/* ---- reloading ---- */
struct lv_config_change {
    const char *key;
    const char *from, *to; /* as in a file, secrets hidden; good during the call */
    bool is_live;          /* in effect now; else after a restart */
};
/* Loads `from` anew and brings what is LIVE into `running`; `each` hears of every difference to what runs. LV_EINVAL:
 * nothing was changed; LV_ENOMEM: what `each` heard of was. *fresh holds the notes; freed by the caller. */
enum lv_err lv_config_reload(struct lv_config *running, const struct lv_config_sources *from,
                             struct lv_config **fresh,
                             void (*each)(void *ctx, const struct lv_config_change *change),
                             void *ctx) LV_MUST_USE;

/* Sets one LIVE key as a file would, until the next reload or restart; of a MAP one item. LV_ENOTFOUND: no such key;
 * LV_EREFUSED: it changes by a restart only; LV_EINVAL: `why` (of `cap` bytes) says what was expected; LV_ENOMEM. Unless LV_OK
 * nothing changed. The thread that reloads. A text that it replaces stays in memory, as others may be reading it. */
enum lv_err lv_config_set(struct lv_config *running, const char *key, const char *value, char *why,
                          size_t cap) LV_MUST_USE;

/* ---- texts; each writes at most `cap` bytes with the closing NUL and returns the bytes it wanted ---- */
/* For --help: the settings that have an option, one line each. */
size_t lv_settings_help(char *out, size_t cap);
/* Everything about a key or option, and about its value in `c` unless that is NULL. 0: no such key; then `out` may
 * hold the nearest one. */
size_t lv_config_explain(const struct lv_config *c, const char *key, char *out, size_t cap);
/* Every setting as a file that sets it; what is not default with its origin, defaults as comments unless `changed_only`
 * leaves them out. Secrets are hidden. */
size_t lv_config_list(const struct lv_config *c, bool changed_only, char *out, size_t cap);

/* ---- the log ---- */
struct lv_log_config;
/* What the log settings of `s` ask for; views `s`. */
void lv_config_log(const struct lv_settings *s, struct lv_log_config *out);

#endif

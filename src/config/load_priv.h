/* config/load_priv.h - a configuration while it is put together. */
#ifndef LV_CONFIG_LOAD_PRIV_H
#define LV_CONFIG_LOAD_PRIV_H
#include "config/keys_priv.h"
#include "config/value_priv.h"

#define LV_CONFIG_FILES_MAX 64u
#define LV_CONFIG_FILE_BYTES_MAX 4194304u
#define LV_CONFIG_NOTES_MAX 256u /* errors and notices that are told */

enum lv_config_layer {
    LV_FROM_DEFAULT,
    LV_FROM_FILE,
    LV_FROM_ENVIRONMENT,
    LV_FROM_COMMAND_LINE,
    LV_FROM_OPERATOR, /* while it runs */
};

/* Where a value stands. */
struct lv_where {
    enum lv_config_layer layer;
    const char *name; /* file, variable or option as given; lives as long as the configuration once kept */
    unsigned line, column; /* of a file */
};

struct lv_text {
    struct lv_text *next;
    char text[];
};

struct lv_config {
    struct lv_settings settings;
    struct lv_where origins[LV_SETTING_COUNT];
    const char *addresses[LV_SETTING_COUNT]; /* of a LISTEN: its items, by the names in keys */
    struct lv_config_note notes[LV_CONFIG_NOTES_MAX];
    size_t note_count;
    const char *files[LV_CONFIG_FILES_MAX];
    size_t file_count;
    struct lv_text *texts; /* everything that settings, origins and notes view */
    bool has_error, no_memory;
    char *const *envp;
};

/* A copy that lives as long as `c`; "" and no_memory when there is none. */
const char *lv_config_keep(struct lv_config *c, const char *text);
/* Tells what is wrong, or worth a notice, at `where` (NULL: nowhere in particular). */
__attribute__((format(printf, 4, 5))) void lv_config_say(struct lv_config *c, bool is_error,
                                                         const struct lv_where *where,
                                                         const char *format, ...);
/* Gives a key its value, or says why not. `name` of `where` is kept already. */
void lv_config_assign(struct lv_config *c, const struct lv_where *where,
                      const struct lv_key_match *key, const char *value);
/* The same for a key that is known to be there. */
void lv_config_assign_key(struct lv_config *c, const struct lv_where *where, const char *key,
                          const char *value);
/* Value of a variable, NULL: not set. */
const char *lv_config_variable(const struct lv_config *c, const char *name);

/* The layers, lowest first. `file`: the command line's --config, or NULL. */
void lv_config_read_files(struct lv_config *c, const char *file, const char *const *etc);
/* One file, without conf.d. */
void lv_config_read_one(struct lv_config *c, const char *path);
void lv_config_read_text(struct lv_config *c, const char *name, struct lv_bytes text);
void lv_config_read_environment(struct lv_config *c);
void lv_config_read_arguments(struct lv_config *c, int argc, char *const *argv);

#endif

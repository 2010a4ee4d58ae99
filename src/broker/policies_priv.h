/* broker/policies_priv.h - what policies.c, policy_keys.c, definitions and the log tell each other. */
#ifndef LV_BROKER_POLICIES_PRIV_H
#define LV_BROKER_POLICIES_PRIV_H
#include <jansson.h>

#include "broker/broker_priv.h"
#include "broker/policies.h"

/* ---- json.c ---- */

#define LV_JSON_DEPTH_MAX 32u

/* NULL: `why` says what is wrong and where. Values of any kind; at most LV_JSON_DEPTH_MAX deep. Freed by json_decref. */
json_t *lv_json_parse(struct lv_bytes text, char *why, size_t cap) LV_MUST_USE;
/* A way through a value without recursion: keep the open arrays and objects, outermost first. */
struct lv_json_level {
    const json_t *value;
    size_t index; /* of arrays: the next one */
    void *member; /* of objects: the next one */
};
struct lv_json_level lv_json_level(const json_t *v);
/* The next child, or NULL at the end; *key is its name in an object, else NULL. */
const json_t *lv_json_next(struct lv_json_level *l, const char **key);
/* Text without blanks; keys stay in their order. */
void lv_json_write(struct lv_wr *w, const json_t *v);
/* Appends a value as RabbitMQ's texts show it, an Erlang term: <<"x">>, [1,2], #{<<"a">> => 1}. What is too long is cut. */
void lv_json_print_term(struct lv_wr *w, const json_t *v);
static inline struct lv_bytes lv_json_str(const json_t *v)
{
    return lv_bytes(json_string_value(v), json_string_length(v));
}

/* ---- policy_keys.c ---- */

/* Lines of a refusal, one behind the other, as RabbitMQ words them. */
struct lv_refused {
    struct lv_wr text;
    bool is_any;
};
void lv_refused_init(struct lv_refused *r, char *why, size_t cap);
/* One line, of printf. */
void lv_refused_line(struct lv_refused *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One line: before, the value as a term, after. */
void lv_refused_value(struct lv_refused *r, const char *before, const json_t *v, const char *after);
/* Closes the text with NUL; was there any? */
bool lv_refused_end(struct lv_refused *r);

/* Checks keys and values of a definition. */
void lv_policy_check(struct lv_refused *r, enum lv_policy_kind kind, const json_t *definition);
/* The kinds of queues that know all keys of a checked definition: bits 1 << enum lv_queue_kind. */
unsigned lv_policy_queue_kinds(const json_t *definition);
/* What is in effect of a key that both have. Borrows one of them. */
const json_t *lv_policy_merge(const char *key, const json_t *user, const json_t *operator_value);

/* ---- policies.c ---- */

struct lv_parameters; /* of one virtual host, or the global ones */

/* The text that is kept of a checked policy. */
void lv_policy_write(struct lv_wr *w, const json_t *value);

/* A put or del read from the log. Nothing is checked that was checked when it was put. LV_ENOMEM. */
enum lv_err lv_parameter_visit(struct lv_broker *b, const struct lv_bytes *vhost, bool is_put,
                               struct lv_bytes component, struct lv_bytes name,
                               struct lv_bytes value) LV_MUST_USE;
/* The same as any of the puts, for definitions: any component is taken. `vhost` empty: global. */
enum lv_err lv_parameter_put(struct lv_broker *b, struct lv_bytes vhost, struct lv_bytes component,
                             struct lv_bytes name, struct lv_bytes json, bool *is_new, char *why,
                             size_t cap) LV_MUST_USE;
/* Is this a value for that component? The same texts; any thread. */
enum lv_err lv_parameter_check(struct lv_bytes component, struct lv_bytes name, const json_t *value,
                               char *why, size_t cap) LV_MUST_USE;
/* Limits from the value of a parameter "vhost-limits". */
enum lv_err lv_limits_parse(const json_t *value, struct lv_bytes name, int64_t *max_connections,
                            int64_t *max_queues, char *why, size_t cap) LV_MUST_USE;
/* No reader may be left. NULL is allowed. */
void lv_parameters_free(struct lv_parameters *p);
/* Gives an exchange what the policies say of it; all exchanges of a virtual host. Registry. LV_ENOMEM: some are missing. */
enum lv_err lv_policies_apply_exchange(struct lv_vhost *v, struct lv_exchange *x) LV_MUST_USE;
enum lv_err lv_policies_apply(struct lv_vhost *v) LV_MUST_USE;

#endif

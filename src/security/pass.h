/* security/pass.h - one client's right to be here: as which user, in which virtual host, counted against whose limits.
 *
 * A session keeps a pass from the end of its login to the end of its connection. The pass remembers which password it came
 * with, so that a change of the password, of the grants, or the end of user or virtual host is seen (lv_pass_standing), and
 * from then on every check with it says no.
 * Owner   its session's loop. The counters behind it are shared; the functions below may run on any registered reader.
 */
#ifndef LV_SECURITY_PASS_H
#define LV_SECURITY_PASS_H
#include "security/access.h"

struct lv_quota;

#define LV_REFUSAL_TEXT_MAX 1200u

/* Why not, in RabbitMQ's words. */
struct lv_refusal {
    uint16_t code; /* AMQP 0-9-1 reply code */
    char text[LV_REFUSAL_TEXT_MAX];
};

struct lv_pass {
    struct lv_access *access;               /* borrows */
    struct lv_bytes user, vhost, client_id; /* in `block` */
    uint8_t *block;
    uint64_t credential, birth;
    struct lv_quota *user_quota, *vhost_quota; /* pins, while inside */
    bool has_client_id, is_inside;
    uint32_t channels;
};

/* A pass for a user who has proved who he is with the password that `credential` names (from the verifier's job, or
 * of the record when no password was asked). Names are copied. LV_EREFUSED: there is no such user (any more), or his
 * password is another one by now; LV_ENOMEM. Zeroed memory is a pass that may nothing. */
enum lv_err lv_pass_init(struct lv_pass *p, struct lv_access *a, struct lv_bytes user,
                         uint64_t credential) LV_MUST_USE;
/* Leaves too, if it is inside. */
void lv_pass_fini(struct lv_pass *p);
/* MQTT: what {client_id} stands for. LV_ENOMEM. */
enum lv_err lv_pass_set_client_id(struct lv_pass *p, struct lv_bytes client_id) LV_MUST_USE;

/* Into a virtual host: limits of node, virtual host and user, then the permission, in RabbitMQ's order. LV_EREFUSED: `why`
 * says which; nothing was counted. LV_ENOMEM. */
enum lv_err lv_pass_enter(struct lv_pass *p, struct lv_bytes vhost,
                          struct lv_refusal *why) LV_MUST_USE;
/* One channel more: limits of user and node. LV_EREFUSED. The limit of the connection is the protocol's own. */
enum lv_err lv_pass_open_channel(struct lv_pass *p, struct lv_refusal *why) LV_MUST_USE;
void lv_pass_close_channel(struct lv_pass *p);
/* Out of it, with all channels. Harmless when it is not inside. */
void lv_pass_leave(struct lv_pass *p);

/* Standing, and its text before and after the name of the user or virtual host. */
#define LV_STANDINGS(X)                                      \
    X(GOOD, "", "")                                          \
    X(USER_GONE, "user ", " is deleted")                     \
    X(PASSWORD_CHANGED, "the password of user ", " changed") \
    X(VHOST_GONE, "vhost ", " is deleted")                   \
    X(REVOKED, "access to vhost ", " revoked")

/* Is it still right that this pass is inside? Else its connection is to be closed: 320, with lv_pass_standing_text. */
enum lv_standing {
#define X(name, before, after) LV_STANDING_##name,
    LV_STANDINGS(X)
#undef X
};
enum lv_standing lv_pass_standing(const struct lv_pass *p);
/* NUL-terminated, into `out` of `cap` bytes. */
void lv_pass_standing_text(const struct lv_pass *p, enum lv_standing standing, char *out,
                           size_t cap);

/* May one more queue come into this virtual host, where there are `count`? LV_EREFUSED: 406. */
enum lv_err lv_pass_may_add_queue(const struct lv_pass *p, struct lv_bytes queue, uint64_t count,
                                  struct lv_refusal *why) LV_MUST_USE;

#endif

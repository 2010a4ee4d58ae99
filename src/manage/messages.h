/* manage/messages.h - a message as JSON. */
#ifndef LV_MANAGE_MESSAGES_H
#define LV_MANAGE_MESSAGES_H
#include "manage/request.h"

struct lv_msg;

struct lv_payload_form {
    bool is_base64;    /* else only what is no UTF-8 */
    uint64_t truncate; /* bytes of the body that are shown */
};
/* "encoding" and "truncate" of a body. False: it was answered. */
bool lv_body_payload_form(struct lv_request *r, struct lv_payload_form *out);
/* Members of an open object: payload_bytes, redelivered, exchange, routing_key, properties, payload, payload_encoding. */
void lv_json_message(struct lv_json *j, const struct lv_msg *msg, bool is_redelivered,
                     const struct lv_payload_form *form);

#endif

/* manage/fields.h - field tables of AMQP 0-9-1 as JSON, and back.
 *
 * Owner   the caller's memory. Any thread. No recursion; nesting at most LV_TABLE_DEPTH_MAX.
 */
#ifndef LV_MANAGE_FIELDS_H
#define LV_MANAGE_FIELDS_H
#include <jansson.h>

#include "base/err.h"
#include "base/table.h"
#include "manage/json.h"

/* A checked table as an object. */
void lv_json_fields(struct lv_json *j, const char *key, struct lv_bytes table);
/* Appends the fields of an object: whole numbers as signed 64 bits, others as doubles, null as void (RabbitMQ). LV_EINVAL: not
 * an object, or a name longer than 255 bytes; LV_EDEPTH; LV_ENOMEM. */
enum lv_err lv_fields_from_json(const json_t *object, struct lv_buf *out) LV_MUST_USE;
/* JSON as text, without blanks. False: no memory. */
bool lv_json_dump(const json_t *json, struct lv_buf *out);

#endif

/* tools/leveret/json.h - strings and argument tables as JSON. */
#ifndef LV_TOOL_JSON_H
#define LV_TOOL_JSON_H
#include <stdio.h>

#include "base/bytes.h"

/* In quotes; what is no UTF-8 is told byte by byte, as \u00XX. */
void lv_json_string(FILE *out, struct lv_bytes text);
/* A field table as an object; what is nested in it only by its kind. */
void lv_json_table(FILE *out, struct lv_bytes table);

#endif

/* manage/members.h - some members of a JSON object that comes in pieces, without ever having all of it.
 *
 * Owner   the caller's memory. Any thread. What comes in is JSON of our own making: it is not checked.
 */
#ifndef LV_MANAGE_MEMBERS_H
#define LV_MANAGE_MEMBERS_H
#include "manage/json.h"

#define LV_MEMBERS_KEY_MAX 64u /* of a member; longer ones are wanted by nobody */

struct lv_members {
    const struct lv_json_columns *wanted; /* of each column the first part; NULL: all of them */
    /* private */
    unsigned depth;
    bool in_text, is_escaped, is_key, wants_key, is_kept, has_member;
    size_t key_len;
    char key[LV_MEMBERS_KEY_MAX];
};

/* Appends to `out` what of the next piece is wanted. `m` is zero but for `wanted` before the first. */
void lv_members_pass(struct lv_members *m, struct lv_bytes piece, struct lv_buf *out);

#endif

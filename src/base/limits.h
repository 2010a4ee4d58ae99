/* base/limits.h - every fixed bound has its name here; what an operator may change is a setting. */
#ifndef LV_BASE_LIMITS_H
#define LV_BASE_LIMITS_H

#define LV_SHORTSTR_MAX 255u              /* bytes; AMQP 0-9-1 §4.2.5.3 */
#define LV_TABLE_DEPTH_MAX 16u            /* nesting of tables and arrays a peer may send */
#define LV_BODY_BYTES_HARD_MAX 536870912u /* RabbitMQ: ?MAX_MSG_SIZE, refused with 501 above */
#define LV_LOOPS_MAX 64u                  /* event loops in one process */
#define LV_FRAME_MIN 4096u /* smallest frame_max accepted (older clients); RabbitMQ 4.1: 8192 */
#define LV_FRAME_INITIAL_MAX 8192u    /* largest frame before tune-ok, RabbitMQ initial_frame_max */
#define LV_BODY_INLINE_MAX 2048u      /* bodies up to here are copied into an output buffer */
#define LV_DEATHS_MAX 255u            /* entries of x-death; the oldest are forgotten first */
#define LV_DEATHS_BYTES_MAX 65536u    /* of x-death as well: a header frame is never cut in two */
#define LV_DEATH_KEYS_BYTES_MAX 4096u /* of CC keys that one entry of x-death repeats */

#endif

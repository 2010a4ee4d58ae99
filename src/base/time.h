/* base/time.h - time as a value: whoever needs `now` is given it. */
#ifndef LV_BASE_TIME_H
#define LV_BASE_TIME_H
#include <stdint.h>

typedef uint64_t lv_time_ms; /* milliseconds of the driver's clock */

#endif

/* store/crc.h - CRC32C, the checksum of everything on disk. Pure; any thread. */
#ifndef LV_STORE_CRC_H
#define LV_STORE_CRC_H
#include "base/bytes.h"

/* Of `b`, going on from `init` (0 at the beginning). */
uint32_t lv_crc32c(struct lv_bytes b, uint32_t init);

#endif

#include "broker/names.h"

#include "base/assert.h"
#include "os/os.h"

void lv_random_name(char out[LV_RANDOM_NAME_LEN])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[17] = { 0 };

    enum lv_err err = lv_os_random(random, 16);
    LV_ASSERT(err == LV_OK); /* a kernel without randomness cannot give unguessable names */
    for (unsigned i = 0; i < LV_RANDOM_NAME_LEN; i++) {
        unsigned bit = i * 6, byte = bit / 8, shift = bit % 8;
        unsigned pair = (unsigned)random[byte] << 8 | random[byte + 1];
        out[i] = digits[pair >> (10 - shift) & 63];
    }
}

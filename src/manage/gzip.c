#include "manage/gzip.h"

#include <isa-l/igzip_lib.h>

#include "base/mem.h"

#define ROOM_BYTES 16384u

struct lv_gzip {
    struct isal_zstream stream;
    uint8_t level[ISAL_DEF_LVL1_DEFAULT];
};

struct lv_gzip *lv_gzip_new(void)
{
    struct lv_gzip *z = lv_mem_alloc(sizeof(*z), LV_TAG_MANAGE);

    if (z == NULL)
        return NULL;
    isal_deflate_init(&z->stream);
    z->stream.level = 1;
    z->stream.level_buf = z->level;
    z->stream.level_buf_size = sizeof(z->level);
    z->stream.gzip_flag = IGZIP_GZIP;
    return z;
}

void lv_gzip_free(struct lv_gzip *z)
{
    lv_mem_free(z, LV_TAG_MANAGE);
}

void lv_gzip_add(struct lv_gzip *z, struct lv_bytes in, bool is_last, struct lv_buf *out)
{
    struct isal_zstream *s = &z->stream;

    s->next_in = (uint8_t *)(uintptr_t)in.ptr;
    s->avail_in = (uint32_t)in.len;
    s->end_of_stream = is_last;
    s->flush = is_last ? NO_FLUSH : SYNC_FLUSH;
    do {
        s->next_out = lv_buf_room(out, ROOM_BYTES);
        if (s->next_out == NULL)
            return;
        s->avail_out = ROOM_BYTES;
        int err = isal_deflate(s);
        LV_ASSERT(err == COMP_OK); /* nothing of it can be wrong but our calls */
        out->len += ROOM_BYTES - s->avail_out;
    } while (s->avail_out == 0);
}

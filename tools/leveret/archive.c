#include "archive.h"

#include "store/crc.h"

static const uint8_t magic[8] = "lvbackup";

void lv_archive_write_head(uint8_t out[LV_ARCHIVE_HEAD])
{
    struct lv_wr w = lv_wr(out, LV_ARCHIVE_HEAD);

    lv_wr_bytes(&w, magic, sizeof(magic));
    lv_wr_u32(&w, LV_ARCHIVE_FORMAT);
    lv_wr_u32(&w, 0);
}

enum lv_err lv_archive_check_head(const uint8_t head[LV_ARCHIVE_HEAD])
{
    if (memcmp(head, magic, sizeof(magic)) != 0)
        return LV_ECORRUPT;
    return lv_be32(head + 8) == LV_ARCHIVE_FORMAT ? LV_OK : LV_EVERSION;
}

static void write_payload(struct lv_wr *w, const struct lv_archive_block *b)
{
    switch (b->kind) {
    case LV_ARCHIVE_BEGIN:
        lv_wr_u64(w, b->id);
        lv_wr_u64(w, b->time_ms);
        lv_wr_u64(w, b->total);
        break;
    case LV_ARCHIVE_FILE:
        lv_wr_u64(w, b->size);
        lv_wr_short(w, b->name);
        break;
    case LV_ARCHIVE_DATA:
        lv_wr_u64(w, b->offset);
        lv_wr_bytes(w, b->data.ptr, b->data.len);
        break;
    case LV_ARCHIVE_END:
        lv_wr_u64(w, b->files);
        lv_wr_u64(w, b->total);
        break;
    }
}

size_t lv_archive_write(uint64_t number, const struct lv_archive_block *block,
                        uint8_t out[LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX])
{
    struct lv_wr payload = lv_wr(out + LV_ARCHIVE_BLOCK_HEAD, LV_ARCHIVE_BLOCK_MAX);
    struct lv_wr head = lv_wr(out, LV_ARCHIVE_BLOCK_HEAD);

    write_payload(&payload, block);
    LV_ASSERT(lv_wr_ok(&payload));
    size_t bytes = LV_ARCHIVE_BLOCK_HEAD + payload.used;
    lv_wr_u32(&head, 0);
    lv_wr_u32(&head, block->kind);
    lv_wr_u64(&head, number);
    lv_wr_u32(&head, (uint32_t)payload.used);
    lv_wr_u32(&head, 0);
    lv_put_be32(out, lv_crc32c(lv_bytes(out + 4, bytes - 4), 0));
    return bytes;
}

enum lv_err lv_archive_payload_bytes(const uint8_t head[LV_ARCHIVE_BLOCK_HEAD], size_t *bytes)
{
    *bytes = lv_be32(head + 16);
    return *bytes <= LV_ARCHIVE_BLOCK_MAX ? LV_OK : LV_ECORRUPT;
}

enum lv_err lv_archive_parse(uint64_t number, struct lv_bytes block, struct lv_archive_block *out)
{
    *out = (struct lv_archive_block){ 0 };
    if (block.len < LV_ARCHIVE_BLOCK_HEAD ||
        lv_be32(block.ptr) != lv_crc32c(lv_bytes(block.ptr + 4, block.len - 4), 0) ||
        lv_be64(block.ptr + 8) != number ||
        lv_be32(block.ptr + 16) != block.len - LV_ARCHIVE_BLOCK_HEAD)
        return LV_ECORRUPT;
    struct lv_rd rd =
        lv_rd(lv_bytes(block.ptr + LV_ARCHIVE_BLOCK_HEAD, block.len - LV_ARCHIVE_BLOCK_HEAD));
    out->kind = lv_be32(block.ptr + 4);
    switch (out->kind) {
    case LV_ARCHIVE_BEGIN:
        out->id = lv_rd_u64(&rd);
        out->time_ms = lv_rd_u64(&rd);
        out->total = lv_rd_u64(&rd);
        break;
    case LV_ARCHIVE_FILE:
        out->size = lv_rd_u64(&rd);
        out->name = lv_rd_short(&rd);
        break;
    case LV_ARCHIVE_DATA:
        out->offset = lv_rd_u64(&rd);
        out->data = lv_rd_bytes(&rd, lv_rd_left(&rd));
        break;
    case LV_ARCHIVE_END:
        out->files = lv_rd_u64(&rd);
        out->total = lv_rd_u64(&rd);
        break;
    default:
        return LV_ECORRUPT;
    }
    return rd.bad || lv_rd_left(&rd) != 0 ? LV_ECORRUPT : LV_OK;
}

bool lv_archive_name_ok(struct lv_bytes name)
{
    static const char *const whole[] = { "store", "checkpoint" };

    for (size_t i = 0; i < LV_ARRAY_LEN(whole); i++)
        if (lv_bytes_eq(name, lv_bytes_str(whole[i])))
            return true;
    /* messages-0123456789.log, topology-0123456789.log */
    if (name.len != 23 || (!lv_bytes_has_prefix(name, LV_BYTES_LIT("messages-")) &&
                           !lv_bytes_has_prefix(name, LV_BYTES_LIT("topology-"))))
        return false;
    for (size_t i = 9; i < 19; i++)
        if (!((name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
              (name.ptr[i] >= 'a' && name.ptr[i] <= 'f')))
            return false;
    return memcmp(name.ptr + 19, ".log", 4) == 0;
}

#include "base/err.h"

#include <stddef.h>

static const struct {
    const char *text;
    int reply_code;
} errors[] = {
#define LV_ERR(code, name, text, reply) [-(code)] = { text, reply },
#include "base/err.def"
#undef LV_ERR
};

static size_t err_index(enum lv_err err)
{
    size_t i = (size_t)(-(int)err);

    return i < sizeof(errors) / sizeof(errors[0]) ? i : (size_t)(-LV_EINVAL);
}

const char *lv_err_text(enum lv_err err)
{
    return errors[err_index(err)].text;
}

int lv_err_reply_code(enum lv_err err)
{
    return errors[err_index(err)].reply_code;
}

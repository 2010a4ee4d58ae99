#include "loop/tickets_priv.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Each use of the secret has a label of its own. */
static enum lv_err derive(const uint8_t secret[LV_TICKET_SECRET], char label, uint8_t out[64])
{
    uint8_t in[LV_TICKET_SECRET + 1];
    unsigned n = 0;

    in[0] = (uint8_t)label;
    memcpy(in + 1, secret, LV_TICKET_SECRET);
    int ok = EVP_Digest(in, sizeof(in), out, &n, EVP_sha512(), NULL);
    OPENSSL_cleanse(in, sizeof(in));
    return ok == 1 && n == 64 ? LV_OK : LV_EIO;
}

static enum lv_err make_keys(struct lv_tickets *t)
{
    uint8_t out[64];
    enum lv_err err = derive(t->secret, 'n', out);

    if (err != LV_OK)
        return err;
    memcpy(t->now.name, out, LV_TICKET_NAME);
    err = derive(t->secret, 'k', out);
    if (err != LV_OK)
        return err;
    memcpy(t->now.aes, out, 32);
    memcpy(t->now.mac, out + 32, 32);
    OPENSSL_cleanse(out, sizeof(out));
    return LV_OK;
}

enum lv_err lv_tickets_init(struct lv_tickets *t, const uint8_t secret[LV_TICKET_SECRET],
                            lv_time_ms began)
{
    *t = (struct lv_tickets){ .due = began + LV_TICKET_ROTATE_MS };
    memcpy(t->secret, secret, LV_TICKET_SECRET);
    return make_keys(t);
}

enum lv_err lv_tickets_advance(struct lv_tickets *t, lv_time_ms now)
{
    while (now >= t->due) {
        uint8_t out[64];
        enum lv_err err = derive(t->secret, 's', out);
        if (err != LV_OK)
            return err;
        memcpy(t->secret, out, LV_TICKET_SECRET);
        OPENSSL_cleanse(out, sizeof(out));
        t->before = t->now;
        t->has_before = true;
        t->due += LV_TICKET_ROTATE_MS;
        err = make_keys(t);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

const struct lv_ticket_keys *lv_tickets_find(const struct lv_tickets *t,
                                             const uint8_t name[LV_TICKET_NAME])
{
    if (memcmp(name, t->now.name, LV_TICKET_NAME) == 0)
        return &t->now;
    if (t->has_before && memcmp(name, t->before.name, LV_TICKET_NAME) == 0)
        return &t->before;
    return NULL;
}

void lv_tickets_fini(struct lv_tickets *t)
{
    OPENSSL_cleanse(t, sizeof(*t));
}

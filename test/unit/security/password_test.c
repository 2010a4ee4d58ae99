/* security/password.h and base64.h: known hashes, round trips, hostile imports. */
#include "security/password.h"

#include "lv_test.h"
#include "security/base64.h"

static struct lv_bytes of(const struct lv_password_hash *h)
{
    return lv_bytes(h->bytes, h->len);
}

static enum lv_err verify(const struct lv_password_hash *h, const char *password)
{
    return lv_password_verify(h->algorithm, of(h), lv_bytes_str(password));
}

/* From outside: RabbitMQ's documentation, and Python's hashlib. */
static const struct {
    const char *algorithm, *text, *password;
} known[] = {
    { "rabbit_password_hashing_sha256", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
      "test12" },
    { "rabbit_password_hashing_sha256", "AQIDBAO9p3dPKhIHOt/iH3FWOTm8ShLDdng5mu4y0QLb6Cq5",
      "test12" },
    { "rabbit_password_hashing_sha512",
      "AQIDBEasi57qQmKrKS3hT/"
      "tToZQTSGe0aIxheFJPzONWfcZLALq7JlkjIrc4zKmzoCl2i5ligSzH2lxUTbywDEUALuc=",
      "test12" },
    { "", "AQIDBDeBuuH8ubD+6IsvjTP2It8=", "test12" },
};

LV_TEST(known_hashes)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++) {
        struct lv_password_hash h;
        char text[LV_HASH_TEXT_MAX];
        CHECK_EQ(lv_password_import(lv_bytes_str(known[i].text), lv_bytes_str(known[i].algorithm),
                                    &h),
                 LV_OK);
        CHECK_EQ(verify(&h, known[i].password), LV_OK);
        CHECK_EQ(verify(&h, "test1"), LV_EREFUSED);
        lv_password_export(h.algorithm, of(&h), text);
        CHECK_STR(text, known[i].text);
    }
}

LV_TEST(every_algorithm_round_trips)
{
    for (unsigned a = LV_HASH_MD5; a < LV_HASH_COUNT; a++) {
        struct lv_password_hash h, again, back;
        char text[LV_HASH_TEXT_MAX];
        enum lv_hash_algorithm algorithm = (enum lv_hash_algorithm)a;
        const char *name = lv_hash_algorithm_name(algorithm);
        CHECK_EQ(lv_password_hash(algorithm, LV_BYTES_LIT("s3cret \xc3\xa9"), &h), LV_OK);
        CHECK_EQ(lv_password_hash(algorithm, LV_BYTES_LIT("s3cret \xc3\xa9"), &again), LV_OK);
        CHECK(!lv_bytes_eq(of(&h), of(&again))); /* salt */
        CHECK(lv_hash_is_sound(algorithm, of(&h)));
        CHECK_EQ(verify(&h, "s3cret \xc3\xa9"), LV_OK);
        CHECK_EQ(verify(&h, "s3cret"), LV_EREFUSED);
        CHECK_EQ(verify(&h, ""), LV_EREFUSED);
        lv_password_export(algorithm, of(&h), text);
        CHECK_EQ(lv_password_import(lv_bytes_str(text), lv_bytes_str(name), &back), LV_OK);
        CHECK(lv_bytes_eq(of(&back), of(&h)));
        CHECK_EQ(back.algorithm, algorithm);
    }
}

LV_TEST(bounds_of_passwords)
{
    static uint8_t big[LV_PASSWORD_BYTES_MAX + 1];
    struct lv_password_hash h;

    CHECK_EQ(lv_password_hash(LV_HASH_SHA512, lv_bytes(big, 0), &h), LV_EINVAL);
    CHECK_EQ(lv_password_hash(LV_HASH_SHA512, lv_bytes(big, sizeof(big)), &h), LV_EINVAL);
    CHECK_EQ(lv_password_hash(LV_HASH_NONE, lv_bytes(big, 1), &h), LV_EINVAL);
    CHECK_EQ(lv_password_hash(LV_HASH_SHA512, lv_bytes(big, LV_PASSWORD_BYTES_MAX), &h), LV_OK);
    CHECK_EQ(lv_password_verify(h.algorithm, of(&h), lv_bytes(big, LV_PASSWORD_BYTES_MAX)), LV_OK);
    CHECK_EQ(lv_password_verify(h.algorithm, of(&h), lv_bytes(big, sizeof(big))), LV_EREFUSED);
    CHECK_EQ(lv_password_verify(LV_HASH_NONE, lv_bytes(big, 0), lv_bytes(big, 1)), LV_EREFUSED);
}

LV_TEST(hostile_imports)
{
    static const struct {
        const char *algorithm, *text;
        enum lv_err err;
    } bad[] = {
        { "rabbit_password_hashing_sha256", "AAAA", LV_EINVAL },
        { "rabbit_password_hashing_sha256", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2PO*",
          LV_EINVAL },
        { "rabbit_password_hashing_sha512", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
          LV_EINVAL },
        { "rabbit_password_hashing_scrypt", "AAAA", LV_ENOTFOUND },
        { "leveret_password_hashing_argon2id",
          "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", LV_EINVAL },
        { "leveret_password_hashing_argon2id",
          "$argon2id$v=19$m=64,t=99,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", LV_EINVAL },
        { "leveret_password_hashing_argon2id",
          "$argon2id$v=19$m=064,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", LV_EINVAL },
        { "leveret_password_hashing_argon2id", "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$",
          LV_EINVAL },
        { "leveret_password_hashing_argon2id",
          "$argon2i$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", LV_EINVAL },
        { "leveret_password_hashing_argon2id",
          "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA$", LV_EINVAL },
        { "leveret_password_hashing_argon2id",
          "$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAA", LV_OK },
    };
    struct lv_password_hash h;

    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++) {
        CHECK_EQ(lv_password_import(lv_bytes_str(bad[i].text), lv_bytes_str(bad[i].algorithm), &h),
                 bad[i].err);
        if (bad[i].err == LV_OK)
            CHECK_EQ(verify(&h, "x"), LV_EREFUSED);
    }
    CHECK_EQ(lv_password_import(lv_bytes(NULL, 0), LV_BYTES_LIT("rabbit_password_hashing_sha256"),
                                &h),
             LV_OK);
    CHECK_EQ(h.algorithm, LV_HASH_NONE); /* RabbitMQ: a user without a password */
}

LV_TEST(base64)
{
    static const char *const pairs[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xff\xfe", "//4=" },
    };
    static const char *const bad[] = { "Z",    "Zg",   "Zg=",      "Zg===", "Zh==",
                                       "Zm9=", "====", "Zg==Zg==", "Zm 9",  "Zm9v\n" };
    uint8_t out[16];

    for (size_t i = 0; i < LV_ARRAY_LEN(pairs); i++) {
        struct lv_wr w = lv_wr(out, sizeof(out));
        lv_base64_encode(&w, lv_bytes_str(pairs[i][0]));
        CHECK(lv_bytes_eq(lv_bytes(out, w.used), lv_bytes_str(pairs[i][1])));
        w = lv_wr(out, sizeof(out));
        CHECK_EQ(lv_base64_decode(&w, lv_bytes_str(pairs[i][1])), LV_OK);
        CHECK(lv_bytes_eq(lv_bytes(out, w.used), lv_bytes_str(pairs[i][0])));
    }
    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++) {
        struct lv_wr w = lv_wr(out, sizeof(out));
        CHECK_EQ(lv_base64_decode(&w, lv_bytes_str(bad[i])), LV_ESYNTAX);
    }
}

/* broker/names.h - names that the server makes up. */
#ifndef LV_BROKER_NAMES_H
#define LV_BROKER_NAMES_H

#define LV_RANDOM_NAME_LEN 22

/* 22 characters of base64url of 16 random bytes (RabbitMQ's rabbit_guid), not terminated. Any thread. */
void lv_random_name(char out[LV_RANDOM_NAME_LEN]);

#endif

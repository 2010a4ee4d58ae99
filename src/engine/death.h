/* engine/death.h - why a message leaves a queue without having been accepted. */
#ifndef LV_ENGINE_DEATH_H
#define LV_ENGINE_DEATH_H

enum lv_death {
    LV_DEATH_REJECTED,       /* a consumer did not want it */
    LV_DEATH_EXPIRED,        /* its time to live, or the queue's, was over */
    LV_DEATH_MAXLEN,         /* the queue was full */
    LV_DEATH_DELIVERY_LIMIT, /* its delivery has failed too often */
    LV_DEATH_COUNT,
};

#endif

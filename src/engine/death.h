/* engine/death.h - why a queue gives a message up. Each makes a dead letter, where the queue has somewhere to send it; a
 * queue that is deleted or purged makes none (RabbitMQ). */
#ifndef LV_ENGINE_DEATH_H
#define LV_ENGINE_DEATH_H

enum lv_death {
    LV_DEATH_REJECTED,       /* a consumer refused it and did not want it back in the queue */
    LV_DEATH_EXPIRED,        /* its time, or its queue's for each message, is over */
    LV_DEATH_MAXLEN,         /* the queue was full */
    LV_DEATH_DELIVERY_LIMIT, /* it came back too often */
};

#endif

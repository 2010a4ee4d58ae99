/* base/reclaim.h - how memory that readers on other threads may still see is given back.
 *
 * Structures with one writer and many readers (ptrmap, the routing tables) never free in place; they
 * retire. The server's door waits until every loop has passed a quiescent turn (loop/rcu.c); a program
 * with one thread frees at once.
 */
#ifndef LV_BASE_RECLAIM_H
#define LV_BASE_RECLAIM_H

struct lv_reclaim {
    /* Takes `ptr`; runs free_fn(ptr) when no reader can hold it any more. Writer's thread. */
    void (*retire)(void *ptr, void (*free_fn)(void *ptr));
};

/* Frees at once: for programs and tests where readers and writer are one thread. */
extern const struct lv_reclaim lv_reclaim_now;

#endif

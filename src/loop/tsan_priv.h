/* loop/tsan_priv.h - tells ThreadSanitizer what it cannot see: ordering made by the inline assembly of Concurrency
 * Kit and liburcu. Nothing in other builds. */
#ifndef LV_LOOP_TSAN_PRIV_H
#define LV_LOOP_TSAN_PRIV_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LV_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define LV_TSAN 1
#endif

#ifdef LV_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

#define lv_tsan_acquire(addr) __tsan_acquire(addr)
#define lv_tsan_release(addr) __tsan_release(addr)
#define lv_tsan_ignore_begin()                         \
    do {                                               \
        AnnotateIgnoreReadsBegin(__FILE__, __LINE__);  \
        AnnotateIgnoreWritesBegin(__FILE__, __LINE__); \
    } while (0)
#define lv_tsan_ignore_end()                         \
    do {                                             \
        AnnotateIgnoreWritesEnd(__FILE__, __LINE__); \
        AnnotateIgnoreReadsEnd(__FILE__, __LINE__);  \
    } while (0)
#else
#define lv_tsan_acquire(addr) ((void)(addr))
#define lv_tsan_release(addr) ((void)(addr))
#define lv_tsan_ignore_begin() ((void)0)
#define lv_tsan_ignore_end() ((void)0)
#endif

#endif

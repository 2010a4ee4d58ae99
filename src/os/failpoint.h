/* os/failpoint.h - named places where a test may end the process, as a power cut or kill -9 would.
 *
 * LEVERET_FAILPOINT=name[:k] in the environment kills the process (SIGKILL) at the k-th visit of that place. Unset, a
 * visit is one load. The list of names is the table below, and nowhere else.
 */
#ifndef LV_OS_FAILPOINT_H
#define LV_OS_FAILPOINT_H
#include <stdatomic.h>
#include <stdbool.h>

#define LV_FAILPOINTS(X)                                                        \
    X("log.written", "written to the log's file, not synced")                   \
    X("log.synced", "synced, nobody told")                                      \
    X("log.file_made", "a log file is reserved, its name not synced")           \
    X("log.told", "the loops know what is stable")                              \
    X("checkpoint.state", "the states of the queues are appended")              \
    X("checkpoint.written", "the new checkpoint is written under another name") \
    X("checkpoint.renamed", "renamed, the directory not synced")                \
    X("checkpoint.done", "the checkpoint stands; old files are still there")    \
    X("log.file_removed", "an old file is removed, the directory not synced")   \
    X("queue.paged", "a page of a queue is appended")                           \
    X("queue.moved", "a message was carried forward")                           \
    X("tx.bodies", "the bodies of a transaction are appended, its record not")  \
    X("tx.part", "some of a transaction's parts are appended, its commit not")  \
    X("tx.commit", "a transaction's record is appended")                        \
    X("meta.put", "a change of the topology is appended")                       \
    X("meta.snapshot", "half of a snapshot of the topology is appended")        \
    X("vhost.removed", "the end of a virtual host is appended, nobody knows")   \
    X("recover.cut", "a torn tail is about to be cut off")

extern atomic_bool lv_failpoint_is_set;
/* Reads the environment. false: it names no fail point. */
bool lv_failpoint_init(void);
void lv_failpoint_visit(const char *name);

static inline void lv_failpoint(const char *name)
{
    if (__builtin_expect(atomic_load_explicit(&lv_failpoint_is_set, memory_order_relaxed), 0))
        lv_failpoint_visit(name);
}

#endif

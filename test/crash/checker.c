/* lv-checker FILE...    judges a history (support/history.h): one line of figures, the first faults, and exit code 65
 *                       when there are any. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "support/history.h"

enum { TOLD_MAX = 40 };

int main(int argc, char **argv)
{
    struct history *h = history_new();
    struct history_verdict v;

    for (int i = 1; i < argc; i++) {
        if (!history_add_file(h, argv[i])) {
            perror(argv[i]);
            return EX_NOINPUT;
        }
    }
    bool is_good = history_check(h, stdout, TOLD_MAX, &v);
    printf("{\"lines\": %" PRIu64 ", \"published\": %" PRIu64 ", \"confirmed\": %" PRIu64
           ", \"delivered\": %" PRIu64 ", \"redelivered\": %" PRIu64 ", \"topology\": %" PRIu64,
           v.lines, v.published, v.confirmed, v.delivered, v.redelivered, v.topology);
    for (unsigned i = 0; i < HISTORY_FAULT_COUNT; i++)
        printf(", \"%s\": %" PRIu64, history_fault_name((enum history_fault)i), v.faults[i]);
    printf("}\n");
    history_free(h);
    return is_good ? EX_OK : EX_DATAERR;
}

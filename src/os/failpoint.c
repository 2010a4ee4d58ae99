#include "os/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

atomic_bool lv_failpoint_is_set;

static const char *const names[] = {
#define X(name, text) name,
    LV_FAILPOINTS(X)
#undef X
};

static const char *chosen;
static _Atomic long left;

bool lv_failpoint_init(void)
{
    const char *text = getenv("LEVERET_FAILPOINT");

    if (text == NULL || text[0] == '\0')
        return true;
    const char *colon = strchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    for (size_t i = 0; i < LV_ARRAY_LEN(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0)
            chosen = names[i];
    if (chosen == NULL)
        return false;
    atomic_store(&left, colon != NULL ? strtol(colon + 1, NULL, 10) : 1);
    atomic_store(&lv_failpoint_is_set, true);
    return true;
}

void lv_failpoint_visit(const char *name)
{
    if (strcmp(name, chosen) != 0 || atomic_fetch_sub(&left, 1) != 1)
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash.h"

enum { START_MS = 30000, STOP_MS = 20000 };

static void sleep_ms(unsigned ms)
{
    usleep(ms * 1000);
}

/* The port in {"amqp": ["127.0.0.1:5672"], ...}; 0: the file is not there yet. */
static int read_port(const char *path)
{
    char text[1000];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return 0;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *at = strstr(text, "\"amqp\"");
    at = at != NULL ? strstr(at, "127.0.0.1:") : NULL;
    return at != NULL ? (int)strtol(at + 10, NULL, 10) : 0;
}

static void run_child(const struct broker *b, const char *ready, const char *failpoint, int log)
{
    char data[600];

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a broken test leaves no broker behind */
    snprintf(data, sizeof(data), "%s/data", b->dir);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (failpoint != NULL)
        setenv("LEVERET_FAILPOINT", failpoint, 1);
    if (b->disk_fault != NULL) {
        setenv("LD_PRELOAD", b->disk_library, 1);
        setenv("LV_DISK_DIR", data, 1);
        setenv("LV_DISK_FAIL", b->disk_fault, 1);
    }
    execl(b->program, b->program, "--data-dir", data, "--amqp-listen", "127.0.0.1:0",
          "--http-listen", "none", "--metrics-listen", "none", "--ready-file", ready,
          /* Small log files, so that checkpoints, removals and carrying forward happen all the time. */
          "--store-file-size", "1048576", (char *)NULL);
    _exit(127);
}

bool broker_ended(struct broker *b, unsigned ms)
{
    for (unsigned waited = 0; b->pid != 0; waited++) {
        if (waitpid(b->pid, &b->status, WNOHANG) == b->pid) {
            b->pid = 0;
            break;
        }
        if (waited >= ms)
            return false;
        sleep_ms(1);
    }
    return true;
}

bool broker_was_killed(const struct broker *b)
{
    return WIFSIGNALED(b->status) && WTERMSIG(b->status) == SIGKILL;
}

int broker_exit_code(const struct broker *b)
{
    return WIFEXITED(b->status) ? WEXITSTATUS(b->status) : -1;
}

enum broker_start broker_start(struct broker *b, const char *failpoint)
{
    char ready[600], log_path[600];

    snprintf(ready, sizeof(ready), "%s/ready.json", b->dir);
    snprintf(log_path, sizeof(log_path), "%s/output.log", b->dir);
    unlink(ready);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    b->pid = fork();
    if (b->pid == 0)
        run_child(b, ready, failpoint, log);
    close(log);
    for (unsigned waited = 0; waited < START_MS; waited++) {
        if (broker_ended(b, 0))
            return BROKER_DIED;
        b->port = read_port(ready);
        if (b->port != 0)
            return BROKER_READY;
        sleep_ms(1);
    }
    return BROKER_HUNG;
}

void broker_kill(struct broker *b)
{
    if (b->pid == 0)
        return;
    kill(b->pid, SIGKILL);
    waitpid(b->pid, NULL, 0);
    b->pid = 0;
}

int broker_stop(struct broker *b)
{
    int status;

    if (b->pid == 0)
        return -1;
    kill(b->pid, SIGTERM);
    for (unsigned waited = 0; waited < STOP_MS; waited++) {
        if (waitpid(b->pid, &status, WNOHANG) == b->pid) {
            b->pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        }
        sleep_ms(1);
    }
    broker_kill(b);
    return -1;
}

bool broker_failpoints(const struct broker *b, char *out, size_t max)
{
    int fds[2], status;
    size_t len = 0;
    ssize_t n;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        execl(b->program, b->program, "--failpoints", (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    while (len + 1 < max && (n = read(fds[0], out + len, max - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fds[0]);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
           len > 0;
}

/* tools/leveret/cli/complete.h - what may come next on a command line, for shells. */
#ifndef LV_CLI_COMPLETE_H
#define LV_CLI_COMPLETE_H

/* `leveret __complete SHELL PROGRAM WORD...`: prints what the last WORD, perhaps empty, may become, a line each; fish and zsh
 * get a description behind a tab. Names of queues, users and so on are asked of the broker, for less than half a second. Never
 * fails: where nothing is known, nothing is printed. */
int lv_cli_complete(int argc, char **argv);

#endif

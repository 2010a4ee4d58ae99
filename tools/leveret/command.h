/* tools/leveret/command.h - the subcommands of `leveret`. */
#ifndef LV_TOOL_COMMAND_H
#define LV_TOOL_COMMAND_H

/* Arguments are those after the subcommand's name; the result is the exit code (sysexits.h). */
int lv_command_backup(int argc, char **argv);
int lv_command_bench(int argc, char **argv);
int lv_command_config(int argc, char **argv);
int lv_command_inspect(int argc, char **argv);
int lv_command_restore(int argc, char **argv);

#endif

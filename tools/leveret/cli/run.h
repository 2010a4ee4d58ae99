/* tools/leveret/cli/run.h - the commands that are more than a row of command.def, by the file that has them.
 *
 * Each prints its result on c->out and returns the exit code; when that is not EX_OK, c->fault has the text, unless it is
 * empty because all is said. The banner, if the row has one, is out already.
 */
#ifndef LV_CLI_RUN_H
#define LV_CLI_RUN_H
#include "cli.h"

/* ---- users.c ---- */
int lv_run_add_user(struct lv_cli *c);
int lv_run_change_password(struct lv_cli *c);
int lv_run_clear_password(struct lv_cli *c);
int lv_run_set_user_tags(struct lv_cli *c);
int lv_run_authenticate_user(struct lv_cli *c);
int lv_run_hash_password(struct lv_cli *c);
int lv_run_clear_topic_permissions(struct lv_cli *c);
/* ---- limits.c ---- */
int lv_run_set_user_limits(struct lv_cli *c);
int lv_run_clear_user_limits(struct lv_cli *c);
int lv_run_list_user_limits(struct lv_cli *c);
int lv_run_set_vhost_limits(struct lv_cli *c);
int lv_run_clear_vhost_limits(struct lv_cli *c);
int lv_run_list_vhost_limits(struct lv_cli *c);
/* ---- vhosts.c ---- */
int lv_run_set_vhost_tags(struct lv_cli *c);
int lv_run_update_vhost_metadata(struct lv_cli *c);
int lv_run_trace_on(struct lv_cli *c);
int lv_run_trace_off(struct lv_cli *c);
/* ---- objects.c ---- */
int lv_run_delete_queue(struct lv_cli *c);
int lv_run_close_connection(struct lv_cli *c);
int lv_run_close_all_connections(struct lv_cli *c);
int lv_run_close_all_user_connections(struct lv_cli *c);
int lv_run_quorum_status(struct lv_cli *c);
int lv_run_peek(struct lv_cli *c);
int lv_run_enable_feature_flag(struct lv_cli *c);
/* ---- messages.c ---- */
int lv_run_publish(struct lv_cli *c);
int lv_run_get(struct lv_cli *c);
/* ---- bulk.c ---- */
int lv_run_delete_multiple(struct lv_cli *c);
int lv_run_purge_multiple(struct lv_cli *c);
/* ---- definitions.c ---- */
int lv_run_export_definitions(struct lv_cli *c);
int lv_run_import_definitions(struct lv_cli *c);
int lv_run_admin_export(struct lv_cli *c);
int lv_run_admin_import(struct lv_cli *c);
/* ---- node.c ---- */
int lv_run_status(struct lv_cli *c);
int lv_run_cluster_status(struct lv_cli *c);
int lv_run_environment(struct lv_cli *c);
int lv_run_listeners(struct lv_cli *c);
int lv_run_memory_breakdown(struct lv_cli *c);
int lv_run_report(struct lv_cli *c);
int lv_run_set_memory_watermark(struct lv_cli *c);
int lv_run_set_disk_limit(struct lv_cli *c);
/* ---- checks.c ---- */
int lv_run_alarms(struct lv_cli *c);
int lv_run_check_alarms(struct lv_cli *c);
int lv_run_check_local_alarms(struct lv_cli *c);
int lv_run_check_port_connectivity(struct lv_cli *c);
int lv_run_check_deprecated(struct lv_cli *c);
int lv_run_await_startup(struct lv_cli *c);
int lv_run_await_online_nodes(struct lv_cli *c);
int lv_run_wait(struct lv_cli *c);
/* ---- plugins.c ---- */
int lv_run_plugins_list(struct lv_cli *c);
int lv_run_plugins_enable(struct lv_cli *c);
int lv_run_plugins_disable(struct lv_cli *c);
int lv_run_plugins_is_enabled(struct lv_cli *c);
int lv_run_plugins_directories(struct lv_cli *c);
/* ---- top.c ---- */
int lv_run_top(struct lv_cli *c);
/* ---- help.c ---- */
int lv_run_help(struct lv_cli *c);
/* ---- complete.c ---- */
int lv_run_completion(struct lv_cli *c);

#endif

/* tools/leveret/cli/node.h - what several pages tell about a node. */
#ifndef LV_CLI_NODE_H
#define LV_CLI_NODE_H
#include "cli.h"

/* The node that is asked, as /nodes/{node} has it; NULL and c->fault. The caller frees. */
json_t *lv_node_get(struct lv_cli *c);
/* Alarms in effect on `nodes` (objects of /nodes), one text each: a new array. */
json_t *lv_node_alarms(const json_t *nodes);
/* The listeners of an overview as RabbitMQ's tools tell them: interface, node, port, protocol, purpose. A new array. */
json_t *lv_node_listeners(const json_t *overview);

#endif

"""The metrics of RabbitMQ 4's prometheus plugin: families, names, labels of single objects, types.

`@4.0`: 3.10 does not have it. What ends in _total is a counter, all else a gauge.
"""

QUEUE, CHANNEL, CHANNEL_QUEUE, CHANNEL_EXCHANGE = "vhost queue", "channel", "channel vhost queue", "channel vhost exchange"

# family -> (labels of one object, names behind the prefix)
FAMILIES = {
    "connection_churn_metrics": ("", "connections_opened_total connections_closed_total channels_opened_total channels_closed_total "
                                 "queues_declared_total queues_created_total queues_deleted_total"),
    "node_coarse_metrics": ("", "process_open_fds process_resident_memory_bytes disk_space_available_bytes erlang_processes_used "
                            "erlang_gc_runs_total erlang_gc_reclaimed_bytes_total erlang_scheduler_context_switches_total"),
    "node_metrics": ("", "process_max_fds resident_memory_limit_bytes disk_space_available_limit_bytes erlang_processes_limit "
                     "erlang_scheduler_run_queue erlang_net_ticktime_seconds erlang_uptime_seconds"),
    "node_persister_metrics": ("", "io_read_ops_total io_read_bytes_total io_write_ops_total io_write_bytes_total "
                               "io_sync_ops_total io_seek_ops_total io_reopen_ops_total schema_db_ram_tx_total "
                               "schema_db_disk_tx_total msg_store_read_total msg_store_write_total queue_index_read_ops_total "
                               "queue_index_write_ops_total io_read_time_seconds_total io_write_time_seconds_total "
                               "io_sync_time_seconds_total io_seek_time_seconds_total"),
    "auth_attempt_metrics": ("protocol", "auth_attempts_total auth_attempts_succeeded_total auth_attempts_failed_total"),
    "queue_coarse_metrics": (QUEUE, "queue_messages_ready queue_messages_unacked queue_messages queue_process_reductions_total"),
    "queue_consumer_count": (QUEUE, "queue_consumers"),
    "queue_metrics": (QUEUE, "queue_consumers queue_consumer_capacity queue_consumer_utilisation queue_process_memory_bytes "
                      "queue_messages_ram queue_messages_ram_bytes queue_messages_ready_ram queue_messages_unacked_ram "
                      "queue_messages_persistent queue_messages_persistent_bytes queue_messages_bytes "
                      "queue_messages_ready_bytes queue_messages_unacked_bytes queue_head_message_timestamp "
                      "queue_disk_reads_total queue_disk_writes_total"),
    "queue_delivery_metrics": (QUEUE, "queue_get_ack_total@4.0 queue_get_total@4.0 queue_messages_delivered_ack_total@4.0 "
                               "queue_messages_delivered_total@4.0 queue_messages_redelivered_total@4.0 "
                               "queue_messages_acked_total@4.0 queue_get_empty_total@4.0"),
    "exchange_metrics": ("vhost exchange", "exchange_messages_published_total@4.0 exchange_messages_confirmed_total@4.0 "
                         "exchange_messages_unroutable_returned_total@4.0 exchange_messages_unroutable_dropped_total@4.0"),
    "queue_exchange_metrics": ("vhost exchange queue", "queue_exchange_messages_published_total@4.0"),
    "channel_metrics": (CHANNEL, "channel_consumers channel_messages_unacked channel_messages_unconfirmed "
                        "channel_messages_uncommitted channel_acks_uncommitted consumer_prefetch channel_prefetch"),
    "channel_exchange_metrics": (CHANNEL_EXCHANGE, "channel_messages_published_total channel_messages_confirmed_total "
                                 "channel_messages_unroutable_returned_total channel_messages_unroutable_dropped_total"),
    "channel_queue_metrics": (CHANNEL_QUEUE, "channel_get_ack_total channel_get_total channel_messages_delivered_ack_total "
                              "channel_messages_delivered_total channel_messages_redelivered_total "
                              "channel_messages_acked_total channel_get_empty_total"),
    "channel_process_metrics": (CHANNEL, "channel_process_reductions_total"),
    "channel_queue_exchange_metrics": ("channel queue_vhost queue exchange_vhost exchange", "queue_messages_published_total"),
    "connection_coarse_metrics": (CHANNEL, "connection_incoming_bytes_total connection_outgoing_bytes_total "
                                  "connection_process_reductions_total"),
    "connection_metrics": (CHANNEL, "connection_incoming_packets_total connection_outgoing_packets_total "
                           "connection_pending_packets connection_channels"),
}
# Those of the whole cluster, for /metrics/detailed only: names are whole.
CLUSTER = {
    "vhost_status": ("vhost", "rabbitmq_cluster_vhost_status"),
    "exchange_bindings": ("vhost exchange type", "rabbitmq_cluster_exchange_bindings"),
    "exchange_names": ("vhost exchange type", "rabbitmq_cluster_exchange_name"),
}
TOTALS = "connections channels consumers queues"
ALARMS = "alarms_file_descriptor_limit alarms_free_disk_space_watermark alarms_memory_used_watermark"

BY_PROTOCOL = ("messages_received_total messages_received_confirm_total messages_routed_total messages_unroutable_dropped_total "
               "messages_unroutable_returned_total messages_confirmed_total publishers consumers")
BY_QUEUE_TYPE = ("messages_delivered_total messages_delivered_consume_auto_ack_total messages_delivered_consume_manual_ack_total "
                 "messages_delivered_get_auto_ack_total messages_delivered_get_manual_ack_total messages_get_empty_total "
                 "messages_redelivered_total messages_acknowledged_total")
DEAD_LETTERED = {
    ("confirmed", "rabbit_quorum_queue"): "at_least_once",
    ("delivery_limit", "rabbit_quorum_queue"): "at_least_once at_most_once disabled",
    ("expired", "rabbit_classic_queue"): "at_most_once disabled",
    ("expired", "rabbit_quorum_queue"): "at_least_once at_most_once disabled",
    ("maxlen", "rabbit_classic_queue"): "at_most_once disabled",
    ("maxlen", "rabbit_quorum_queue"): "at_most_once disabled",
    ("rejected", "rabbit_classic_queue"): "at_most_once disabled",
    ("rejected", "rabbit_quorum_queue"): "at_least_once at_most_once disabled",
}
MESSAGE_SIZES = ("100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf")


def names(text, is_leveret):
    """Names of a list, those that the broker has."""
    return [word.partition("@")[0] for word in text.split() if is_leveret or "@" not in word]


def kind(name):
    return "counter" if name.endswith("_total") else "gauge"

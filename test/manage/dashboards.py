"""What the official dashboards and alert rules ask of Prometheus, as kinds of expressions over the names that they use.

{id} is the join that every panel has: without rabbitmq_identity_info all of them are empty. `@4.0`: 3.10 lacks a metric.
"""

ID = ('on(instance, job) group_left(rabbitmq_cluster, rabbitmq_node) '
      'rabbitmq_identity_info{{rabbitmq_cluster="{cluster}", namespace="", rabbitmq_endpoint="{endpoint}"}}')
OLD_ID = 'on(instance, job) group_left(rabbitmq_cluster, rabbitmq_node) rabbitmq_identity_info{{rabbitmq_cluster="{cluster}"}}'

GAUGES = """rabbitmq_queue_messages_ready rabbitmq_queue_messages_unacked rabbitmq_global_publishers rabbitmq_global_consumers
rabbitmq_connections rabbitmq_queues rabbitmq_channels rabbitmq_erlang_uptime_seconds rabbitmq_resident_memory_limit_bytes
rabbitmq_process_resident_memory_bytes rabbitmq_disk_space_available_bytes rabbitmq_disk_space_available_limit_bytes
rabbitmq_process_max_fds rabbitmq_process_open_fds rabbitmq_build_info rabbitmq_alarms_free_disk_space_watermark
rabbitmq_alarms_memory_used_watermark rabbitmq_alarms_file_descriptor_limit""".split()
RATES = ["rabbitmq_global_messages_" + name + "_total" for name in """delivered received routed confirmed received_confirm unroutable_dropped
unroutable_returned delivered_consume_auto_ack delivered_consume_manual_ack delivered_get_auto_ack delivered_get_manual_ack get_empty
redelivered acknowledged""".split()] + """rabbitmq_queues_declared_total rabbitmq_queues_created_total rabbitmq_queues_deleted_total
rabbitmq_channels_opened_total rabbitmq_channels_closed_total rabbitmq_connections_opened_total
rabbitmq_connections_closed_total""".split()
SIZES = ("100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf")

OVERVIEW = (
    [f"sum({name} * {{id}})" for name in GAUGES] +
    [f"{name} * {{id}}" for name in GAUGES] +
    [f"sum({name} * {{id}}) by(rabbitmq_node)" for name in GAUGES] +
    [f"sum(rate({name}[60s]) * {{id}})" for name in RATES] +
    [f"sum(rate({name}[60s]) * {{id}}) by(rabbitmq_node)" for name in RATES] +
    ["(rabbitmq_resident_memory_limit_bytes * {id}) - (rabbitmq_process_resident_memory_bytes * {id})",
     "(rabbitmq_process_max_fds * {id}) - (rabbitmq_process_open_fds * {id})",
     "rabbitmq_identity_info",
     "count by (rabbitmq_version, erlang_version) (rabbitmq_build_info)"] +
    [f'@4.0 sum(rate(rabbitmq_message_size_bytes_bucket{{{{le="{size}"}}}}[60s]) * {{id}})' for size in SIZES] +
    ["@4.0 sum(rate(rabbitmq_message_size_bytes_sum[60s]) * {id})", "@4.0 sum(rate(rabbitmq_message_size_bytes_count[60s]) * {id})"])

# Job "detailed": the endpoint that a ServiceMonitor scrapes, /metrics/detailed.
QUEUES = [f"sum(rabbitmq_detailed_queue_{name}) by (vhost, queue)" for name in ("messages", "messages_ready", "messages_unacked", "consumers")] + [
    "rabbitmq_detailed_queue_messages * {id}", "rabbitmq_detailed_queue_consumers * {id}"]

ALERTS = [
    # the thresholds are left out: a rule that does not fire is empty
    "max by (rabbitmq_cluster, rabbitmq_node) (max_over_time(rabbitmq_alarms_free_disk_space_watermark[30s]) * {id})",
    "max by (rabbitmq_cluster, rabbitmq_node) (max_over_time(rabbitmq_alarms_memory_used_watermark[30s]) * {id})",
    "sum by (rabbitmq_cluster, instance, rabbitmq_node) (max_over_time(rabbitmq_process_open_fds[30s]) * {id}) / "
    "sum by (rabbitmq_cluster, instance, rabbitmq_node) (rabbitmq_process_max_fds * {id})",
    "sum by (rabbitmq_cluster) (rate(rabbitmq_connections_closed_total[60s]) * {id})",
    "sum by (rabbitmq_cluster) (rate(rabbitmq_connections_opened_total[60s]) * {id})",
    "predict_linear(rabbitmq_disk_space_available_bytes[60s], 86400) * {id}",
    "sum by (rabbitmq_cluster) (increase(rabbitmq_channel_messages_unroutable_dropped_total[60s]) * {id})",
    "sum by (rabbitmq_cluster) (increase(rabbitmq_channel_messages_unroutable_returned_total[60s]) * {id})",
    "sum by (rabbitmq_cluster, queue, vhost) (rabbitmq_detailed_queue_messages * {id})",
    "count by (rabbitmq_cluster) (rabbitmq_build_info * {id})",
]

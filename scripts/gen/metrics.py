#!/usr/bin/env python3
# generates: docs/guide/monitoring.md
"""The guide to monitoring: prose, and the metrics of src/manage/metrics.def and metrics.c."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROW = re.compile(r'^LV_METRIC\((\w+), (\w+), (\w+), (\w+), "([^"]*)"')
OWN = re.compile(r'put_(?:one|times|head|by_loop)\(\s*out,(?: b,)?(?: "",)?\s*"(leveret_\w+)"(?:,\s*"(counter|gauge)")?,\s*"([^"]*)"')
LABELS = {"NODE": "", "PROTOCOL": "protocol", "QUEUE": "vhost, queue", "EXCHANGE": "vhost, exchange", "CHANNEL": "channel",
          "CHANNEL_QUEUE": "channel, vhost, queue", "CHANNEL_EXCHANGE": "channel, vhost, exchange", "CONNECTION": "channel",
          "QUEUE_EXCHANGE": "vhost, exchange, queue",
          "CHANNEL_QUEUE_EXCHANGE": "channel, queue_vhost, queue, exchange_vhost, exchange"}

PROSE = """\
# Monitoring

Leveret shows what it does in three ways, all of them cheap: a message adds to a few words of memory, and nobody waits for whoever
reads them.

| | |
|---|---|
| Prometheus | port 15692: names and labels of RabbitMQ's plugin, so that its dashboards and alert rules work unchanged |
| [HTTP API](http-api.md) | counts, rates and samples of every object, and health checks |
| `leveret top`, `leveret diagnostics` | the same in a terminal ([command line](command-line.md)) |

## Prometheus

```yaml
scrape_configs:
- job_name: leveret
  static_configs: [{targets: ["broker.example.org:15692"]}]
```

| Path | What it tells |
|---|---|
| `/metrics` | sums over all objects, and the node; with `prometheus.return_per_object_metrics = true` as the next |
| `/metrics/per-object` | every queue, exchange, connection and channel |
| `/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&vhost=V&queue=REGEX` | only these families, names `rabbitmq_detailed_...`; also `vhost_status`, `exchange_bindings`, `exchange_names` |
| `/metrics/memory-breakdown` | memory by part |

The same paths are there on the HTTP API's port. Nobody has to log in, unless `prometheus.authentication.enabled = true`: then users with
the tag `monitoring` or `administrator` may.

```ini
prometheus.listener = 127.0.0.1:15692      # or --metrics-listen; none: nowhere
prometheus.tcp.port = 15692                # RabbitMQ's way to say it
prometheus.tcp.ip   = 127.0.0.1

prometheus.ssl.port     = 15691
prometheus.ssl.certfile = /etc/leveret/server.pem
prometheus.ssl.keyfile  = /etc/leveret/server.key
```

A scrape is one look at everything, which is then sent as it is taken and compressed for who accepts gzip: all values are of
the same moment. With a hundred thousand queues `/metrics/per-object` is long, and `/metrics/detailed` with the families that are wanted is
what to scrape.

Grafana's dashboards for RabbitMQ (10991 overview, and those of queues) ask for these names. What only Erlang has is 0.

## Rates

Once each `collect_statistics_interval` (5 s) rates are made of what is counted. The API shows them as `..._details.rate`, and with
`?msg_rates_age=600&msg_rates_incr=5` (likewise `lengths_`, `data_rates_`, `node_stats_`) samples with their average. Samples are kept for ten
minutes and an hour, of virtual hosts and the node also for eight hours and a day; `management.sample_retention_policies` says
otherwise. What is idle keeps none, and all of them together take at most 96 MiB.

`management.disable_stats = true` (or `management_agent.disable_metrics_collector`) ends the counting of publishes, the timing of samples and the
rates; how many messages are in a queue is always told.

## What to watch

| Signal | Metric |
|---|---|
| Publishers wait | `rabbitmq_alarms_memory_used_watermark`, `rabbitmq_alarms_free_disk_space_watermark` |
| Consumers do not keep up | `rabbitmq_detailed_queue_messages_ready` grows, `rabbitmq_queue_consumer_capacity` is 0 |
| Messages get lost on the way | `rabbitmq_global_messages_unroutable_dropped_total` |
| Slow disk | `leveret_store_write_seconds`; confirms wait for it: `leveret_publish_to_confirm_seconds` |
| A loop that is busy | `leveret_loop_busy_seconds_total` near 1 a second, `leveret_loop_slow_turns_total` |
| Connections that come and go | `rate(rabbitmq_connections_opened_total[5m])` |

## Metrics of RabbitMQ's

Behind `rabbitmq_`, or `rabbitmq_detailed_` at `/metrics/detailed`. The labels are those of single objects; sums have none.

| Family | Name | Type | Labels | |
|---|---|---|---|---|
"""

GLOBAL = """
These stand by themselves: `rabbitmq_identity_info`, `rabbitmq_build_info`, `rabbitmq_queue_info`, `rabbitmq_connections`,
`rabbitmq_channels`, `rabbitmq_consumers`, `rabbitmq_queues`, `rabbitmq_alarms_...`, the histogram `rabbitmq_message_size_bytes`,
`rabbitmq_global_...` by protocol and type of queue: messages received, routed, confirmed, unroutable, delivered, fetched,
redelivered, acknowledged, dead-lettered; publishers and consumers.

## Our own

| Name | Type | |
|---|---|---|
"""


def main():
    print(PROSE, end="")
    with open(os.path.join(ROOT, "src", "manage", "metrics.def"), encoding="utf-8") as file:
        rows = [ROW.match(line).groups() for line in file if line.startswith("LV_METRIC(")]
    last = None
    for family, name, kind, objects, help_ in rows:
        print(f"| {'' if family == last else '`' + family + '`'} | `{name}` | {kind} | {LABELS[objects]} | {help_} |")
        last = family
    print(GLOBAL, end="")
    with open(os.path.join(ROOT, "src", "manage", "metrics.c"), encoding="utf-8") as file:
        for name, kind, help_ in OWN.findall(file.read()):
            print(f"| `{name}` | {kind or 'histogram'} | {help_} |")


main()

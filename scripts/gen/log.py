#!/usr/bin/env python3
# generates: docs/guide/log.md
"""The guide to the log, its lines from src/os/log.def."""
import re

ROW = re.compile(r'^LV_LOG\((\w+), (\w+), (\w+), "((?:\\.|[^"\\])*)"((?:, "\w+")*)\)$', re.MULTILINE)

print("""# The log

Without any settings lines go to standard error, as text. Each is one line:

```
2026-11-21 07:00:00.123456+00:00 [info] <loop-0> accepting AMQP connection 127.0.0.1:51234 -> 127.0.0.1:5672 id=7
```

time, level, the thread, what happened, and the facts that the text does not name. Values that come from outside cannot
begin a line: control characters in them are written as `\\x0a`. Texts that people search RabbitMQ's log for are
RabbitMQ's; what RabbitMQ spreads over two lines stands on one.

## Where it goes

| Output | Keys | |
|---|---|---|
| console | `log.console`, `.level`, `.formatter`, `.stdio` | on when there is no other output, or when it is `true` |
| file | `log.file`, `.level`, `.formatter`, `.rotation.size`, `.rotation.date`, `.rotation.count` | `FILE.0` is the newest of those put aside; SIGUSR1 opens it anew for logrotate |
| systemd journal | `log.journald`, `.level` | each fact is a field: `journalctl LEVERET_EVENT=LOGIN_REFUSED LEVERET_USER=guest` |
| syslog | `log.syslog`, `.level`, `.formatter`, `.transport`, `.protocol`, `.host`, `.port`, `.facility`, `.identity` | this machine's, or a server over UDP or TCP, RFC 3164 or RFC 5424 |

[Configuration](configuration.md#logging) has them all; a reload takes up changes of any of them. An output that takes no lines
holds nobody up: after a moment lines for it are dropped, and when it goes on one line tells how many.

A line is shown when its level is at least that of its category (`log.connection.level`, else `log.default.level`) and that of
the output.

## JSON

`formatter = json` gives one object a line, each fact under its own name:

```json
{"time":"2026-11-21 07:00:00.123456+00:00","level":"info","msg":"accepting AMQP connection 127.0.0.1:51234 -> 127.0.0.1:5672","domain":"rabbitmq.connection","pid":"<loop-0>","event":"CONN_ACCEPTED","id":7,"name":"127.0.0.1:51234 -> 127.0.0.1:5672"}
```

## Every line

| Event | Level | Category | Text | Facts |
|---|---|---|---|---|""")
with open("src/os/log.def", encoding="utf-8") as table:
    for event, level, category, text, facts in ROW.findall(table.read()):
        names = ", ".join(f"`{name}`" for name in re.findall(r'"(\w+)"', facts))
        print(f"| `{event}` | {level.lower()} | {category.lower()} | {text} | {names} |")

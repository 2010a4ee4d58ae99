#!/usr/bin/env python3
# generates: docs/guide/command-line.md
"""The page about the command line, its tables from tools/leveret/cli."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import command_table as table  # noqa: E402


def cell(text):
    return text.replace("|", "\\|")


print('''# The command line

`leveret` is one program with the words of RabbitMQ's tools and some of its own. A link to it that is called `rabbitmqctl`,
`rabbitmq-diagnostics`, `rabbitmq-queues`, `rabbitmq-streams`, `rabbitmq-upgrade`, `rabbitmq-plugins` or `rabbitmqadmin` is that tool (build
with `-DLV_COMPAT_NAMES=ON` to install the links); so is `leveret rabbitmqctl ...`. What they print is what RabbitMQ's print, and so are
their exit codes: scripts, probes and charts go on as they are. A call takes milliseconds, since nothing has to be booted.

```sh
leveret status                                    # what it is, has and uses
leveret list_queues name messages consumers      # --formatter json, csv, pretty_table ...; --watch to see it change
leveret top                                       # rates, queues, memory and alarms, live
leveret add_user alice                            # asks for the password
leveret set_permissions alice '.*' '.*' '.*'
leveret set_policy limit '^tmp' '{"max-length":1000}' --apply-to queues
leveret export_definitions broker.json
leveret declare queue name=x durable=true         # or: leveret queues declare --name x --durable true
leveret rabbitmq-diagnostics -q check_running && echo up
```

## Where the broker is

| Told by | What it is |
|---|---|
| `--url http://user:password@host:port` | the HTTP API, also `https` |
| `--socket PATH` | the Unix socket of a data directory, or that directory: no password, who may open it is an administrator |
| `LEVERET_URL`, else `LEVERET_DATA_DIR` | the same from the environment |
| nothing | the socket in `/var/lib/leveret` or `./leveret-data` if somebody listens there, else `http://guest:guest@127.0.0.1:15672` |

`rabbitmqadmin` also has its own `-H -P -u -p -V --ssl` and `~/.rabbitmqadmin.conf`.

## Completion

`leveret completion bash`, `zsh` or `fish` prints what makes the shell complete commands, options, columns and the names of queues, users,
virtual hosts and so on, which are asked of the broker; an installed package has the files where shells look for them.

```sh
source <(leveret completion bash)
leveret completion fish | source
```

## Exit codes

| Code | Meaning |
|---|---|
| 0 | done; a check passed |
| 64 | a wrong command line |
| 65 | bad data; no such virtual host; a password that is wrong |
| 67 | no such user |
| 69 | the broker is not there, or refuses; a check failed |
| 70 | it already exists |
| 75 | not in time (`--timeout`) |
| 77 | login refused |
| 78 | a wrong configuration |

## What differs from RabbitMQ's tools

- A connection, and a channel, goes by its name where RabbitMQ has the id of an Erlang process: columns called `pid` show it, and
  `close_connection` takes it.
- `--formatter erlang` puts a row on a line and breaks no lines; JSON has arguments in the order of the HTTP API, array arguments as
  pairs of type and value, and addresses as text.
- `status` and `cluster_status` have the sections of RabbitMQ 4.
- What only Erlang has a use for (`eval`, `force_gc`, `join_cluster` ...) says so: exit code 0 where nothing had to be done, else 69.
- `rabbitmq-plugins` accepts everything: what is a plugin there is built in here.
- `rabbitmqadmin` ends with the codes above, not with 1, and shows arguments where version 1 shows nothing.

## Commands

Letters tell which tools have a command: C `rabbitmqctl`, D `rabbitmq-diagnostics`, Q `rabbitmq-queues`, S `rabbitmq-streams`, U `rabbitmq-upgrade`,
P `rabbitmq-plugins`, A `rabbitmqadmin`; `leveret` has all but those of P. `leveret help COMMAND` has every option and column.''')
for group, commands in table.groups():
    print(f"\n### {group}\n\n| Command | In | What it does |\n|---|---|---|")
    for c in commands:
        where = c["programs"].replace("L", "")
        print(f"| `{cell(table.synopsis(c))}` | {where} | {cell(c['help'])} |")
print("\n### rabbitmqadmin\n\n| Command | What it does |\n|---|---|")
for c in table.admin_commands():
    print(f"| `{cell((c['name'] + ' ' + table.keys(c)).strip())}` | {cell(c['help'])} |")

#!/usr/bin/env python3
# generates: docs/guide/configuration.md
"""The guide to the settings, from the tables of src/config."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import settings_table as table  # noqa: E402


def cell(text):
    return text.replace("|", "\\|")


def code(text):
    return f"`{cell(text)}`" if text else ""


print("""# Configuration

Leveret starts without any configuration: it listens on port 5672, keeps its data in `./leveret-data`, and lets `guest` in from
the same machine only. What else it should do stands in a file, the environment, or on the command line; a value on the
command line wins over one in the environment, that over one in a file, that over the default.

```ini
# leveret.conf
listeners.tcp.default = 5672
vm_memory_high_watermark.relative = 0.5
log.file = leveret.log
log.file.rotation.size = 100MB
log.file.rotation.count = 5
default_user = $(BROKER_USER)
```

## Files

The file is the one of `--config FILE`, else of `LEVERET_CONFIG_FILE`, else of `RABBITMQ_CONFIG_FILE`, else
`/etc/leveret/leveret.conf`, else `/etc/rabbitmq/rabbitmq.conf`; `--config none` reads none. After it come the files
`conf.d/*.conf` beside it, in the order of their names (or those of `RABBITMQ_CONFIG_FILES`, a folder or a pattern).
Later lines win over earlier ones.

The form is that of rabbitmq.conf, and a rabbitmq.conf may be used as it is:

- `key = value`; `#` begins a comment, also behind a value. A value with a `#` or blanks at its ends stands in `'single quotes'`.
- `$(NAME)` in a value is the environment variable `NAME`; one that is not set is an error.
- Sizes: `1000000`, `512MiB`, `2GB` (`k`, `M`, `G` and `KiB`, `MiB`, `GiB` are powers of 1024, `kB`, `MB`, `GB` of 1000). Times:
  milliseconds, or `10s`, `5m`, `1h`.
- A listener is a port (every address), `ADDRESS:PORT`, or `none`.
- An unknown key is an error, with the nearest known one. A key that [only RabbitMQ has a use for](#keys-without-a-use) is read
  over with a notice. So is advanced.config, which holds Erlang terms.
- `encrypted:` values are refused: take secrets from the environment, or from a file with `RABBITMQ_DEFAULT_PASS_FILE`.

`leveretd --check` and `leveret config check FILE` say whether a configuration is good; `leveret config explain KEY` tells
everything about a key, `leveret config list` what is in effect, `leveret config changed` what is not default and who set it.

## Changing it while it runs

`kill -HUP` reads everything anew and opens the log file anew. The log tells each change, and whether it counts now or after a
restart; with an error in the new configuration nothing changes. Settings marked *live* below change at once; what clients
negotiate counts for new connections. `kill -USR1` only opens the log file anew.

## Settings

Those marked *not yet* are checked and kept, for parts of Leveret that are still to come. Any key is an option too:
`--log.console.level info`; some have a shorter one. An option `--heartbeat` is `LEVERET_HEARTBEAT` in the environment.""")

for title, settings in table.by_section():
    print(f"\n### {title}\n\n| Key | Option | Value | Default | Meaning | |\n|---|---|---|---|---|---|")
    for s in settings:
        keys = "<br>".join(code(key) for key in s["keys"]) or "–"
        option = code("--" + s["option"]) if s["option"] else ""
        marks = ["live"] if s["reload"] == "LIVE" else []
        marks += ["not yet"] if s["effect"] == "LATER" else []
        value = s["value"].replace("|", ", ") if len(s["value"]) > 20 else s["value"]
        print(f"| {keys} | {option} | {cell(value)} | {code(s['shown_default'])} | {cell(s['help'])} | {', '.join(marks)} |")

print("""
## Environment

Variables `LEVERET_...` as told above, and RabbitMQ's:

| Variable | Meaning |
|---|---|""")
for name, kind, what in table.variables():
    meaning = {"SET": f"sets `{what}`", "READ": f"a file whose first line sets `{what}`", "OWN": what,
               "FOREIGN": f"not used: {what}", "QUIET": "not used"}[kind]
    print(f"| `{name}` | {cell(meaning)} |")

print("""
## Keys without a use

| Key of RabbitMQ | Why it is read over |
|---|---|""")
for key, why in table.foreign():
    print(f"| `{key}` | {why} |")

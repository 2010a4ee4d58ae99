#!/usr/bin/env python3
# generates: docs/internals/errors.md
"""The list of error codes, for readers, from base/err.def."""
import re

ERROR = re.compile(r'^LV_ERR\((-?\d+), (\w+), "([^"]*)", (\d+)\)', re.MULTILINE)

print("""# Errors

Every fallible function returns `enum lv_err`. This list is made from `src/base/err.def` by `make gen`.
The reply code is the AMQP 0-9-1 answer when nothing more precise is known.

| Name | Code | Meaning | AMQP reply code |
|---|---|---|---|""")
with open("src/base/err.def", encoding="utf-8") as table:
    for code, name, text, reply in ERROR.findall(table.read()):
        print(f"| `LV_{name}` | {code} | {text} | {reply if reply != '0' else '–'} |")

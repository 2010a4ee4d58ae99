#!/usr/bin/env python3
# generates: docs/man/leveret.conf.5
"""The manual page of the configuration file, from the tables of src/config."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import settings_table as table  # noqa: E402


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


print(r'''.\" Made from src/config/settings.def by make gen.
.TH LEVERET.CONF 5 "" Leveret "Leveret manual"
.SH NAME
leveret.conf \- configuration of the message broker leveretd
.SH DESCRIPTION
A text file of lines
.IR "key = value" ,
in the form of RabbitMQ's rabbitmq.conf, which may be used as it is.
.B #
begins a comment; a value that holds one stands in 'single quotes';
.BI $( NAME )
in a value is an environment variable.
The files
.I conf.d/*.conf
beside it are read after it, in the order of their names. Later lines win; the environment wins over files, the command line
over both.
.PP
Settings marked (live) are taken up by a reload (SIGHUP), others by a restart. Settings marked (no effect yet) are checked and
kept.''')
for title, settings in table.by_section():
    print(f".SH {title.upper()}")
    for s in settings:
        for i, key in enumerate(s["keys"]):
            print(f".TP\n.B {roff(key)}" if i == 0 else f".TQ\n.B {roff(key)}")
        if not s["keys"]:
            continue
        value = s["value"].replace("|", ", ") if len(s["value"]) > 20 else s["value"]
        marks = [m for m, is_so in (("live", s["reload"] == "LIVE"), ("no effect yet", s["effect"] == "LATER")) if is_so]
        default = f" Default: {roff(s['shown_default'])}." if s["shown_default"] else ""
        print(f"{roff(s['help'][0].upper() + s['help'][1:])}. {roff(value)}.{default}"
              + (f" ({', '.join(marks)})" if marks else ""))
print(r'''.SH FILES
.I /etc/leveret/leveret.conf
.br
.I /etc/rabbitmq/rabbitmq.conf
.SH SEE ALSO
.BR leveretd (8)''')

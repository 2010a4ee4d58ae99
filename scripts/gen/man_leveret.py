#!/usr/bin/env python3
# generates: docs/man/leveret.1
"""The manual page of leveret and of the tools of RabbitMQ that it stands for, from tools/leveret/cli."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import command_table as table  # noqa: E402


def roff(text):
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", "\n.br\n")
    return "\n".join("\\&" + line if line[:1] == "'" else line for line in escaped.split("\n"))


def entry(head, text):
    print(f".TP\n.B {roff(head)}\n{roff(text)}.")


print(r'''.\" Made from tools/leveret/cli/command.def by make gen.
.TH LEVERET 1 "" Leveret "Leveret manual"
.SH NAME
leveret, rabbitmqctl, rabbitmq\-diagnostics, rabbitmq\-queues, rabbitmq\-streams, rabbitmq\-upgrade, rabbitmq\-plugins, rabbitmqadmin \- the command line of a broker
.SH SYNOPSIS
.B leveret
.IR command " [" argument " ...]"
.br
.B rabbitmqctl
.IR command " [" argument " ...]"
.br
.B rabbitmqadmin
.RI [ options "] " "verb object" " [" key=value " ...]"
.SH DESCRIPTION
One program. Called by the name of one of RabbitMQ's tools, or with that name as its first word, it takes that tool's words and prints
what it prints; as
.B leveret
it takes the words of all of them, and has tools of its own.
.PP
It asks the broker through its HTTP API. Where that is, is told by
.B \-\-url
or
.BR \-\-socket ,
else by
.B LEVERET_URL
or
.BR LEVERET_DATA_DIR ;
else it is the socket of /var/lib/leveret or ./leveret\-data when somebody listens there, and http://guest:guest@127.0.0.1:15672
otherwise. Who may open the socket of a data directory needs no password.
.SH TOOLS
.TP
.BR backup ", " restore
Copy the data of a broker, stopped or running, to a file; make a data directory of it.
.TP
.B bench
Put load on an AMQP 0\-9\-1 broker and measure it.
.TP
.B config
Explain, list and check the settings of leveretd.
.TP
.B inspect
Tell what is in a data directory, and whether all of it is good.''')
for group, commands in table.groups():
    print(f".SH {group.upper()}")
    for c in commands:
        entry(table.synopsis(c), c["help"])
print(r'''.SH RABBITMQADMIN
Each may be written as
.B declare queue name=x durable=true
or as
.BR "queues declare \-\-name x \-\-durable true" .
Lists take columns behind them.''')
for c in table.admin_commands():
    entry(f"{c['name']} {table.keys(c)}".strip(), c["help"])
for title, scopes in (("OPTIONS", ("ALL", "BOTH")), ("OPTIONS OF COMMANDS", ("ONE",)), ("OPTIONS OF RABBITMQADMIN", ("ADMIN",))):
    print(f".SH {title}")
    for o in table.options():
        if o["scope"] in scopes:
            letter = f"-{o['letter']}, " if o["letter"] != "0" else ""
            default = f" (default: {o['default']})" if o["default"] else ""
            entry(letter + table.option_text(o), o["help"][0].upper() + o["help"][1:] + default)
print(".SH COLUMNS")
for c in table.plain_commands():
    if c["macro"] == "LV_LIST" and "<column>" in c["arguments"]:
        entry(c["name"], ", ".join(table.columns(c["name"])) + "\nWithout any: " + ", ".join(c["columns"].split()))
print(r'''.SH ENVIRONMENT
.TP
.B LEVERET_URL
The broker's HTTP API, as http://user:password@host:port.
.TP
.B LEVERET_DATA_DIR
A data directory, whose socket is used.
.SH EXIT STATUS
That of sysexits.h: 0 done, 64 a wrong command line, 65 bad data or no such virtual host, 67 no such user, 69 the broker is not there, or
refuses, 70 it already exists, 75 not in time, 77 login refused, 78 a wrong configuration.
.SH FILES
.TP
.B ~/.rabbitmqadmin.conf
Where rabbitmqadmin finds brokers.
.SH SEE ALSO
.BR leveretd (8),
.BR leveret.conf (5)''')

#!/usr/bin/env python3
# generates: docs/man/leveretd.8
"""The manual page of leveretd, its options from the tables of src/config."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import settings_table as table  # noqa: E402


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


print(r'''.\" Made from src/config/settings.def by make gen.
.TH LEVERETD 8 "" Leveret "Leveret manual"
.SH NAME
leveretd \- message broker that RabbitMQ clients use unchanged
.SH SYNOPSIS
.B leveretd
.RI [\-\- option " " value ]...
.SH DESCRIPTION
Serves AMQP 0\-9\-1. Without any configuration it listens on port 5672, keeps its data in ./leveret\-data and lets guest in from
this machine only.
.SH OPTIONS
Any key of
.BR leveret.conf (5)
is an option too. An option
.B \-\-heartbeat
may also stand in the environment, as
.BR LEVERET_HEARTBEAT .
.TP
.B \-\-check
Check the configuration and end: 0, or 78 with every error told.
.TP
.B \-\-help
Print the options.
.TP
.B \-\-version
Print the version.''')
for s in table.settings():
    if not s["option"]:
        continue
    value = s["value"] if len(s["value"]) <= 20 else "WORD"
    default = f" Default: {roff(s['shown_default'])}." if s["shown_default"] else ""
    later = " (no effect yet)" if s["effect"] == "LATER" else ""
    print(f".TP\n.BI {roff('--' + s['option'])} \" {roff(value)}\"\n{roff(s['help'][0].upper() + s['help'][1:])}.{default}{later}")
print(r'''.SH ENVIRONMENT
.TP
.B LEVERET_CONFIG_FILE
The configuration file.''')
for name, kind, what in table.variables():
    if kind in ("FOREIGN", "QUIET"):
        continue
    meaning = {"SET": f"Sets {what}.", "READ": f"A file whose first line sets {what}.", "OWN": what[0].upper() + what[1:] + "."}[kind]
    print(f".TP\n.B {name}\n{roff(meaning)}")
print(r'''.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Ask every client to close, and end. The second one ends at once.
.TP
.B SIGHUP
Read the configuration anew, and open the log file anew. The log tells what changed and what needs a restart.
.TP
.B SIGUSR1
Open the log file anew.
.SH EXIT STATUS
That of sysexits.h: 64 a wrong option, 69 cannot listen, 71 no memory or threads, 73 cannot create a file, 78 a wrong
configuration.
.SH SEE ALSO
.BR leveret.conf (5)''')

"""How an answer is written down, so that two brokers' answers can be compared as text.

What a server is free to choose is shown by a placeholder: `<gen1>` for the first generated queue
name, `<ctag1>` for a consumer tag, `<reply1>` for a direct reply-to address. Properties of the
server other than product and capabilities are left out. So are the order of a dead letter's headers,
and the headers of dead letters and quorum queues that 3.10 does not know: test/wire looks at them.
"""

import re
import time

from wire import T, Table

GENERATED = {
    "gen": re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"),
    "ctag": re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"),
    "reply": re.compile(r"amq\.rabbitmq\.reply-to\.[A-Za-z0-9+/=._@-]+"),
}
BODY_SHOWN = 80
START_SHOWN = ("capabilities", "product")
NEWER_HEADERS = ("x-last-death-queue", "x-last-death-reason", "x-last-death-exchange", "x-acquired-count")
DEATH_TIME = re.compile(r"\btime: T:(\d+)\b")
RECENT_S = 300
NOT_YET_RETURNED = ("x-delivery-count", T("l", 0))      # 3.10 says so, to basic.get alone


class Placeholders:
    """Numbers the generated names of one conversation."""

    def __init__(self):
        self.known = {kind: [] for kind in GENERATED}

    def put_in(self, line):
        line = DEATH_TIME.sub(_recent, line)
        for kind, pattern in GENERATED.items():
            line = pattern.sub(lambda m, k=kind: self._name(k, m[0]), line)
        return line

    def _name(self, kind, name):
        if name not in self.known[kind]:
            self.known[kind].append(name)
        return f"<{kind}{self.known[kind].index(name) + 1}>"


def show(peer, message):
    """One line: connection and channel, method, fields, then properties and body of a content."""
    words = [f"{peer}{message.channel or ''}", message.name]
    words += [_show_field(message, field) for field in message.spec.fields if not field.is_reserved]
    if message.body is not None:
        words += [show_headers(value.typed) if name == "headers" else f"{name}={value!r}"
                  for name, value in message.properties.items()]
        words.append(f"body={message.body!r}" if len(message.body) <= BODY_SHOWN
                     else f"body={message.body[:20]!r}..{len(message.body)} bytes")
    return " ".join(filter(None, words))


def _show_field(message, field):
    value = message.values[field.name]
    if field.kind == "bit":
        return field.name if value else ""
    if field.name == "server_properties":
        value = show_table(sorted((k, _sorted(v)) for k, v in value.typed if k in START_SHOWN))
    elif field.name == "mechanisms":
        value = " ".join(sorted(value.decode().split()))
    elif field.kind == "table":
        value = show_table(value.typed)
    elif field.kind in ("shortstr", "longstr"):
        value = repr(value)
    return f"{field.name}={value}"


def _sorted(value):
    return T("F", Table(sorted(value.value.typed))) if value.octet == "F" else value


def _recent(match):
    return "time: T:<now>" if abs(time.time() - int(match[1])) < RECENT_S else match[0]


def show_headers(pairs):
    shown = [(key, value) for key, value in pairs if key not in NEWER_HEADERS and (key, value) != NOT_YET_RETURNED]
    if pairs and not shown:
        return ""
    if any(key == "x-death" for key, _ in pairs):
        shown = [(key, _with_sorted_tables(value) if key == "x-death" else value) for key, value in sorted(shown)]
    return "headers=" + show_table(shown)


def _with_sorted_tables(value):
    return T("A", [_sorted(item) for item in value.value]) if value.octet == "A" else value


def show_table(pairs):
    return "{" + ", ".join(f"{key}: {_show_value(value)}" for key, value in pairs) + "}"


def _show_value(value):
    if value.octet == "F":
        return show_table(value.value.typed)
    if value.octet == "A":
        return "[" + ", ".join(map(_show_value, value.value)) + "]"
    if value.octet == "V":
        return "void"
    return f"{value.octet}:{value.value!r}"

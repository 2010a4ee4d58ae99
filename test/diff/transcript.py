"""How an answer is written down, so that two brokers' answers can be compared as text.

What a server is free to choose is shown by a placeholder: `<gen1>` for the first generated queue
name, `<ctag1>` for a consumer tag, `<reply1>` for a direct reply-to address. Properties of the
server other than product and capabilities are left out.
"""

import re

from wire import T, Table

GENERATED = {
    "gen": re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"),
    "ctag": re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"),
    "reply": re.compile(r"amq\.rabbitmq\.reply-to\.[A-Za-z0-9+/=._@-]+"),
}
BODY_SHOWN = 80
START_SHOWN = ("capabilities", "product")


class Placeholders:
    """Numbers the generated names of one conversation."""

    def __init__(self):
        self.known = {kind: [] for kind in GENERATED}

    def put_in(self, line):
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
        words += [f"{name}={show_table(value.typed) if name == 'headers' else repr(value)}"
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

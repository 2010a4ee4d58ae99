"""The scenario language: what is said to a broker, one step a line.

    ## deleting a queue that does not exist is fine
    a1 queue.delete queue=$q

A file holds scenarios; each begins with `## title`. The lines that follow it:

    ref: 1.4 queue          where the behaviour is described (for the reader)
    differs: some-id        Leveret answers otherwise on purpose: docs/compat/rabbitmq.md, `some-id`
    manual                  nothing is opened or answered by itself
    a1 METHOD field=value   connection a, channel 1: send, then wait for the answer if it has one;
                            both are opened when first used, a closed channel is opened again
    4.x> LINE               what Leveret answers instead of RabbitMQ 3.10 to the step above;
                            `4.x>` alone: nothing

Steps that are not methods:

    a1 expect METHOD [xN]   read until N of these have come, or the channel or connection ended
    a1 until METHOD .. : TEXT   repeat the call until its answer holds TEXT; shows the last answer
    a1 confirms N           read until N publishes are settled; shows which were acked and nacked
    a1 sync                 read all that was said before a flow-ok
    a1 quiet                nothing arrives for a while
    a connect [field=value] log in; fields of start-ok, tune-ok and open may be given
    a tcp                   connect a socket and say nothing
    a raw HEX..             send these bytes ("text" in quotes, FF or 00 as hex)
    a bytes N               read N bytes, shown as they are
    a eof                   the broker closes the socket
    a drop                  close the socket without a word
    wait N                  sleep N milliseconds
    policy queue=$q definition={..} [name= priority= apply_to= operator]
                            a policy for this queue; nothing in the definition takes it away

`$q` is a name that belongs to this scenario alone. `let g=queue` at the end of a call keeps a
field of its answer as `$g`. Values: 5, true, word, "text\\x00", {key: value, ..}, [a, b], void,
and l:5 or x:"ab" for a type octet of choice; body=x*1000 repeats.
"""

import ast
import os
import re
from collections import namedtuple

from wire import T

Step = namedtuple("Step", "line who channel verb words instead")


class Scenario:
    def __init__(self, file, number, title):
        self.file, self.number, self.title = file, number, title
        self.ref = ""
        self.differs = None
        self.manual = False
        self.steps = []

    @property
    def id(self):
        return f"{os.path.splitext(os.path.basename(self.file))[0]}: {self.title}"


def load_folder(folder):
    scenarios = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".txt"):
            _load(os.path.join(folder, name), scenarios)
    return scenarios


def of_lines(lines, number, title):
    """A scenario that is in no file."""
    scenario = Scenario("", number, title)
    for line in lines:
        _add_line(scenario, line)
    return scenario


def _load(path, scenarios):
    current = None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if line.startswith("## "):
                current = Scenario(path, len(scenarios) + 1, line[3:])
                scenarios.append(current)
            elif line and not line.startswith("#"):
                try:
                    _add_line(current, line)
                except (ValueError, SyntaxError, IndexError) as error:
                    raise SyntaxError(f"{path}:{number}: {line}: {error}") from error


def _add_line(scenario, line):
    if line.startswith("4.x>"):
        step = scenario.steps[-1]
        answer = line[4:].strip()
        scenario.steps[-1] = step._replace(instead=(step.instead or []) + [answer] * bool(answer))
    elif line.startswith("ref:"):
        scenario.ref = line[4:].strip()
    elif line.startswith("differs:"):
        scenario.differs = line[8:].strip()
    elif line == "manual":
        scenario.manual = True
    else:
        who, rest = line.split(None, 1)
        name = re.fullmatch(r"([a-z]+)(\d*)", who)
        verb, _, words = rest.partition(" ")
        if who in ("wait", "policy"):
            scenario.steps.append(Step(line, None, None, who, rest, None))
            return
        if not name:
            raise ValueError("a step begins with a connection and a channel, e.g. a1")
        channel = int(name[2]) if name[2] else None
        scenario.steps.append(Step(line, name[1], channel, verb, words.strip(), None))


# --- values ------------------------------------------------------------------------------------

_TOKEN = re.compile(r"""\s*(?: (?P<text>"(?:[^"\\]|\\.)*") | (?P<punct>[{}\[\],:=*])
                          | (?P<word>[^\s{}\[\],=*"]+?(?=\s*:\s|[\s{}\[\],=*"]|$)) )""", re.X)


class _Words:
    """Tokens of a step: names, texts and punctuation."""

    def __init__(self, line):
        self.tokens, at = [], 0
        line = line.strip()
        while at < len(line):
            match = _TOKEN.match(line, at)
            if not match:
                raise ValueError(f"at {line[at:]!r}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, None)

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def skip(self, punct):
        if self.peek() == ("punct", punct):
            self.at += 1
            return True
        return False

    def need(self, punct):
        if not self.skip(punct):
            raise ValueError(f"expected {punct!r} before {self.peek()[1]!r}")


def text(literal):
    """A quoted literal; \\xNN is one byte, other characters are UTF-8."""
    return ast.literal_eval("b" + literal) if literal.isascii() else literal[1:-1].encode()


def fields(line):
    """`name=value ..` as a dict; a name alone is true."""
    words, found = _Words(line), {}
    while words.peek()[0]:
        kind, name = words.next()
        if kind != "word":
            raise ValueError(f"expected a field, got {name!r}")
        found[name] = _value(words) if words.skip("=") else True
    return found


def _value(words):
    kind, token = words.peek()
    if kind is None or kind == "punct" and token not in "{[*":
        return b""
    if kind == "punct" and token == "{":
        return _table(words)
    if kind == "punct" and token == "[":
        return _array(words)
    value = _scalar(words)
    if words.skip("*"):
        if words.peek()[0] == "word" and words.peek()[1].isdigit():
            return _bytes(value) * int(words.next()[1])
        raise ValueError("a count belongs after *")
    return value


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def _scalar(words):
    kind, token = words.next()
    if kind == "text":
        return text(token)
    typed = re.fullmatch(r"([a-zA-Z]):(.*)", token)
    if typed:
        octet, rest = typed.groups()
        if octet == "D":
            scale, digits = rest.split("/")
            return T(octet, (int(scale), int(digits)))
        if rest == "" and words.peek()[0] == "text":
            value = text(words.next()[1])
        elif rest == "" and words.peek() == ("punct", "["):
            value = _array(words)
        else:
            value = _plain(rest)
        if octet in "fd":
            value = float(value)
        return T(octet, value)
    return _plain(token)


def _plain(token):
    if re.fullmatch(r"-?\d+", token):
        return int(token)
    if re.fullmatch(r"-?\d+\.\d+", token):
        return float(token)
    return {"true": True, "false": False, "void": None}.get(token, token)


def _table(words):
    words.need("{")
    pairs = []
    while not words.skip("}"):
        kind, key = words.next()
        words.need(":")
        pairs.append((text(key) if kind == "text" else key, _value(words)))
        words.skip(",")
    return T("F", pairs)


def _array(words):
    words.need("[")
    items = []
    while not words.skip("]"):
        items.append(_value(words))
        words.skip(",")
    return items

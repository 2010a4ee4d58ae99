"""Plays a scenario against a broker and writes down what a client sees.

The result is a list of [step line, [answer line, ..]]. What a server is free to choose is shown by
a placeholder: `<gen1>` for the first generated queue name, `<ctag1>` for a consumer tag,
`<reply1>` for a direct reply-to address.
"""

import re
import time

import scenario as dsl
import wire
from wire import T, Table, Wire

ANSWERS = {"basic.get": ("basic.get-ok", "basic.get-empty")}
TIMEOUT_S = 4.0
QUIET_S = 0.12
GENERATED = (
    (re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "gen"),
    (re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"), "ctag"),
    (re.compile(r"amq\.rabbitmq\.reply-to\.[A-Za-z0-9+/=._@-]+"), "reply"),
)
CONTENT_NAMES = {name for name, _ in wire.PROPERTIES}


def run(scenario, port):
    return _Run(scenario, port).play()


def expected_of(scenario, transcript):
    """What Leveret must answer: RabbitMQ's transcript with the scenario's `4.x>` lines put in."""
    return [[line, answers if step is None or step.instead is None else step.instead]
            for (line, answers), step in zip(transcript, [*scenario.steps, None])]


class _Peer:
    """A connection of the scenario."""

    def __init__(self, name, port):
        self.name, self.wire = name, Wire(port, timeout_s=TIMEOUT_S)
        self.wire.frame_max = 1 << 30
        self.open = set()                   # channels
        self.alive = True                   # the socket
        self.logged_in = False
        self.confirmed = {}                 # channel -> newest settled sequence number


class _Run:
    def __init__(self, scenario, port):
        self.scenario, self.port = scenario, port
        self.peers, self.names, self.generated = {}, {}, {}
        self.answers = None

    def play(self):
        transcript = []
        try:
            for step in self.scenario.steps:
                self.answers = []
                self._step(step)
                transcript.append([step.line, [self._normal(a) for a in self.answers]])
            self.answers = []
            for peer in self.peers.values():
                self._end(peer)
            transcript.append(["end", [self._normal(a) for a in self.answers]])
        finally:
            for peer in self.peers.values():
                peer.wire.close_socket()
        return transcript

    # names

    def _expand(self, words):
        return re.sub(r"\$(\w+)", lambda m: self.names.setdefault(
            m[1], f"{m[1]}~{self.scenario.number}"), words)

    def _keep(self, let, message):
        """`let name=field`: $name stands for that field of the answer from now on."""
        name, field = let.split("=")
        if field in CONTENT_NAMES and message.body is None:
            return                          # get-empty: not there yet
        value = message.properties[field] if field in CONTENT_NAMES else message.values[field]
        self.names[name] = value if value.replace("-", "").isalnum() else f'"{value}"'

    def _normal(self, line):
        line = re.sub(rf"(\w+)~{self.scenario.number}(?!\d)", r"$\1", line)
        for pattern, kind in GENERATED:
            line = pattern.sub(lambda m, k=kind: self._generated(k, m[0]), line)
        return line

    def _generated(self, kind, name):
        known = self.generated.setdefault(kind, [])
        if name not in known:
            known.append(name)
        return f"<{kind}{known.index(name) + 1}>"

    # steps

    def _step(self, step):
        if step.verb == "wait":
            time.sleep(int(step.words) / 1000)
            return
        words = self._expand(step.words)
        if "." in step.verb:
            self._method(step, words)
        else:
            getattr(self, "_do_" + step.verb)(step, words)

    def _peer(self, name):
        if name not in self.peers:
            self._login(name, {})
        return self.peers[name]

    def _channel(self, step):
        peer = self._peer(step.who)
        if step.channel and step.channel not in peer.open and peer.logged_in and peer.alive \
                and not self.scenario.manual and step.verb not in ("channel.open", "channel.close-ok"):
            peer.wire.method(step.channel, "channel.open")
            self._collect(peer, lambda m: m.name == "channel.open-ok" and
                          m.channel == step.channel, hide="channel.open-ok")
            peer.open.add(step.channel)
        return peer

    def _method(self, step, words):
        words, _, let = words.partition(" let ")
        values = dsl.fields(words)
        peer = self._channel(step)
        self._send(peer, step.channel, step.verb, values)
        if step.verb == "channel.open":
            peer.open.add(step.channel)
        wanted = self._answer_of(step.verb, values)
        if wanted:
            got = self._collect(peer, lambda m: m.channel == step.channel and m.name in wanted,
                                channel=step.channel)
            if let and got:
                self._keep(let, got)

    def _send(self, peer, channel, name, values):
        known = {f.name for f in wire.METHODS[name].fields}
        content = {}
        if name in wire.WITH_CONTENT:
            content = {k: v for k, v in values.items()
                       if k not in known and k in CONTENT_NAMES or k == "body"}
        fields = {k: v for k, v in values.items() if k not in content}
        body = content.pop("body", b"")
        if name in wire.WITH_CONTENT:
            body = body if isinstance(body, bytes) else str(body).encode()
            content = {k: str(v) if dict(wire.PROPERTIES)[k] == "shortstr" and isinstance(v, int)
                       else v for k, v in content.items()}
            peer.wire.write(wire.publish(channel, body, content, **_named(fields))
                            if name == "basic.publish" else
                            wire.method(channel, name, **fields)
                            + wire.content(channel, body, wire.properties(**content)))
        else:
            peer.wire.write(wire.method(channel, name, **_named(fields)))

    @staticmethod
    def _answer_of(name, values):
        if values.get("no_wait"):
            return ()
        if name in ANSWERS:
            return ANSWERS[name]
        return (name + "-ok",) if name in wire.HAS_ANSWER else ()

    def _do_expect(self, step, words):
        names, _, times = words.partition(" x")
        left = [int(times or 1)]
        wanted = names.split("|")

        def done(message):
            if message.channel == (step.channel or 0) and message.name in wanted:
                left[0] -= 1
            return left[0] == 0
        self._collect(self._peer(step.who), done, channel=step.channel)

    def _do_confirms(self, step, words):
        """Shows the settled sequence numbers, however the broker packed them into acks."""
        peer, settled = self._peer(step.who), {}
        first = peer.confirmed.get(step.channel, 0)

        def done(message):
            if message.name in ("basic.ack", "basic.nack") and message.channel == step.channel:
                low = first + 1 if message.multiple else message.delivery_tag
                for tag in range(low, message.delivery_tag + 1):
                    settled.setdefault(tag, message.name[6:])
            return len(settled) >= int(words)
        self._collect(peer, done, channel=step.channel, hide=("basic.ack", "basic.nack"))
        peer.confirmed[step.channel] = max([first, *settled])
        if settled:
            self.answers.append(f"{step.who}{step.channel} confirmed " + " ".join(
                f"{tag}:{settled[tag]}" for tag in sorted(settled)))

    def _do_until(self, step, words):
        call, _, wanted = words.rpartition(" : ")
        name, _, words = call.partition(" ")
        deadline, before = time.monotonic() + TIMEOUT_S, self.answers
        while True:
            self.answers = []
            self._method(step._replace(verb=name), words)
            if any(wanted in self._normal(a) for a in self.answers) \
                    or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self.answers = before + self.answers

    def _do_sync(self, step, words):
        del words
        peer = self._channel(step)
        peer.wire.method(step.channel, "channel.flow", active=True)
        self._collect(peer, lambda m: m.name == "channel.flow-ok", channel=step.channel,
                      hide="channel.flow-ok")

    def _do_quiet(self, step, words):
        del words
        self._collect(self._peer(step.who), lambda m: False, timeout_s=QUIET_S)

    def _do_tcp(self, step, words):
        del words
        self.peers[step.who] = _Peer(step.who, self.port)

    def _do_connect(self, step, words):
        self._login(step.who, dsl.fields(words))

    def _do_raw(self, step, words):
        for chunk in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', words):
            self.peers[step.who].wire.write(dsl.text(chunk) if chunk[0] == '"'
                                            else bytes.fromhex(chunk))

    def _do_bytes(self, step, words):
        try:
            self.answers.append(f"{step.who} {self.peers[step.who].wire.read_bytes(int(words))!r}")
        except (wire.Closed, TimeoutError) as error:
            self.answers.append(f"{step.who} ({error})")

    def _do_start(self, step, words):
        del words
        self._collect(self.peers[step.who], lambda m: m.name == "connection.start")

    def _do_tune(self, step, words):
        del words
        self._collect(self.peers[step.who], lambda m: m.name == "connection.tune")

    def _do_eof(self, step, words):
        del words
        self._collect(self._peer(step.who), lambda m: False)

    def _do_drop(self, step, words):
        del words
        peer = self.peers.pop(step.who)
        peer.wire.close_socket()

    # connections

    def _login(self, name, values):
        peer = self.peers[name] = _Peer(name, self.port)
        peer.wire.start()
        known = {n: {f.name for f in wire.METHODS[n].fields}
                 for n in ("connection.start-ok", "connection.tune-ok", "connection.open")}
        start = {k: v for k, v in values.items() if k in known["connection.start-ok"]
                 or k == "capabilities"}
        tune = {k: v for k, v in values.items() if k in known["connection.tune-ok"]}
        if "capabilities" in start:
            start["capabilities"] = dict(start["capabilities"].value)
        peer.wire.start_ok(**start)
        got = self._collect(peer, lambda m: m.name in ("connection.tune", "connection.secure"),
                            hide="connection.tune")
        if got is None:
            return
        peer.wire.method(0, "connection.tune-ok", **{"channel_max": 2047, "frame_max": 131072,
                                                     "heartbeat": 0, **tune})
        peer.wire.method(0, "connection.open", virtual_host=values.get("virtual_host", "/"))
        got = self._collect(peer, lambda m: m.name == "connection.open-ok",
                            hide="connection.open-ok")
        peer.logged_in = got is not None

    def _end(self, peer):
        """Leaves politely; anything that still arrives is part of what the client saw."""
        if peer.alive and peer.logged_in:
            peer.wire.method(0, "connection.close", reply_code=200, reply_text="bye")
            self._collect(peer, lambda m: m.name == "connection.close-ok",
                          hide="connection.close-ok")

    def _collect(self, peer, done, channel=None, hide=(), timeout_s=TIMEOUT_S):
        """Writes down messages until `done(message)`; gives that message, or None."""
        hide = (hide,) if isinstance(hide, str) else hide
        deadline = time.monotonic() + timeout_s
        while peer.alive:
            try:
                message = peer.wire.next_message(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                if timeout_s == TIMEOUT_S:
                    self.answers.append(f"{peer.name} (nothing more)")
                return None
            except wire.Closed:
                peer.alive = False
                self.answers.append(f"{peer.name} (socket closed)")
                return None
            if message.name not in hide:
                self.answers.append(show(peer.name, message))
            finished = done(message)
            if message.name == "channel.close":
                peer.open.discard(message.channel)
                if not self.scenario.manual:
                    peer.wire.method(message.channel, "channel.close-ok")
                if message.channel == channel:
                    return message if finished else None
            elif message.name == "connection.close":
                if self.scenario.manual:
                    return message if finished else None
                peer.wire.method(0, "connection.close-ok")
            elif message.name == "channel.close-ok":
                peer.open.discard(message.channel)
            elif message.name == "connection.close-ok":
                peer.logged_in = False      # whether the broker or we close the socket is all one
            if finished:
                return message
        if not self.answers:
            self.answers.append(f"{peer.name} (socket closed)")
        return None


def _named(fields):
    """Method fields as the codec wants them: names are texts, numbers stay."""
    return {k: str(v) if isinstance(v, int) and not isinstance(v, bool) and k in
            ("exchange", "queue", "routing_key", "consumer_tag", "type", "reply_text") else v
            for k, v in fields.items()}


# --- how a message is written down ---------------------------------------------------------------

START_SHOWN = ("capabilities", "product")


def show(peer, message):
    """One line: connection and channel, method, fields, then properties and body of a content."""
    words = [f"{peer}{message.channel or ''}", message.name]
    for field in message.spec.fields:
        value = message.values[field.name]
        if field.is_reserved:
            continue
        if message.name == "connection.start" and field.name == "server_properties":
            shown = sorted((k, v) for k, v in value.typed if k in START_SHOWN)
            shown = [(k, T("F", Table(sorted(v.value.typed))) if v.octet == "F" else v)
                     for k, v in shown]
            words.append(f"server_properties={show_table(shown)}")
        elif field.name == "mechanisms":
            words.append("mechanisms=" + " ".join(sorted(value.decode().split())))
        elif field.kind == "bit":
            words += [field.name] * value
        elif field.kind == "table":
            words.append(f"{field.name}={show_table(value.typed)}")
        elif isinstance(value, str):
            words.append(f"{field.name}={value!r}")
        else:
            words.append(f"{field.name}={value}")
    if message.body is not None:
        for name, value in message.properties.items():
            words.append(f"{name}={show_table(value.typed) if name == 'headers' else repr(value)}")
        words.append(f"body={message.body!r}" if len(message.body) <= 80
                     else f"body={message.body[:20]!r}..{len(message.body)} bytes")
    return " ".join(words)


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

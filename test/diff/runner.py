"""Plays a scenario against a broker and writes down what a client sees.

The result is a list of [step line, [answer line, ..]].
"""

import re
import time

import scenario as dsl
import transcript
import wire
from support.policies import set_policy
from wire import Wire

ANSWERS = {"basic.get": ("basic.get-ok", "basic.get-empty")}
TIMEOUT_S = 4.0
QUIET_S = 0.12
PROPERTIES = {name for name, _ in wire.PROPERTIES}
HANDSHAKE = {name: {field.name for field in wire.METHODS[name].fields}
             for name in ("connection.start-ok", "connection.tune-ok", "connection.open")}


def run(scenario, broker):
    return _Run(scenario, broker.amqp_port, broker.http_port).play()


def expected_of(scenario, answers_of_rabbitmq):
    """What Leveret must answer: the same, with the scenario's `4.x>` lines put in."""
    return [[line, answers if step is None or step.instead is None else step.instead]
            for (line, answers), step in zip(answers_of_rabbitmq, [*scenario.steps, None])]


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
    def __init__(self, scenario, port, http_port):
        self.scenario, self.port, self.http_port = scenario, port, http_port
        self.peers, self.names = {}, {}
        self.placeholders = transcript.Placeholders()
        self.answers = []                   # to the step that is being played

    def play(self):
        played = []
        try:
            for step in self.scenario.steps:
                self._step(step)
                played.append([step.line, self._taken()])
            for peer in self.peers.values():
                self._end(peer)
            played.append(["end", self._taken()])
        finally:
            for peer in self.peers.values():
                peer.wire.close_socket()
        return played

    # names

    def _expand(self, words):
        return re.sub(r"\$(\w+)", lambda m: self.names.setdefault(
            m[1], f"{m[1]}~{self.scenario.number}"), words)

    def _keep(self, let, message):
        """`let name=field`: $name stands for that field of the answer from now on."""
        name, field = let.split("=")
        if field in PROPERTIES and message.body is None:
            return                          # get-empty: not there yet
        value = message.properties[field] if field in PROPERTIES else message.values[field]
        self.names[name] = value if value.replace("-", "").isalnum() else f'"{value}"'

    def _normal(self, line):
        line = re.sub(rf"(\w+)~{self.scenario.number}(?!\d)", r"$\1", line)
        return self.placeholders.put_in(line)

    def _taken(self):
        answers, self.answers = self.answers, []
        return [self._normal(answer) for answer in answers]

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
        is_closed = step.channel and step.channel not in peer.open and peer.logged_in and peer.alive
        by_hand = self.scenario.manual or step.verb in ("channel.open", "channel.close-ok")
        if is_closed and not by_hand:
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

    @staticmethod
    def _send(peer, channel, name, values):
        content = b""
        if name in wire.WITH_CONTENT:
            fields = {f.name for f in wire.METHODS[name].fields}
            body = wire.to_bytes(values.pop("body", b""))
            props = {key: values.pop(key) for key in set(values) - fields}
            content = wire.content(channel, body, wire.properties(**props))
        peer.wire.write(wire.method(channel, name, **values), content)

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

    def _do_sync(self, step, _words):
        peer = self._channel(step)
        peer.wire.method(step.channel, "channel.flow", active=True)
        self._collect(peer, lambda m: m.name == "channel.flow-ok", channel=step.channel,
                      hide="channel.flow-ok")

    def _do_quiet(self, step, _words):
        self._collect(self._peer(step.who), lambda m: False, timeout_s=QUIET_S)

    def _do_tcp(self, step, _words):
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

    def _do_eof(self, step, _words):
        self._collect(self._peer(step.who), lambda m: False)

    def _do_drop(self, step, _words):
        peer = self.peers.pop(step.who)
        peer.wire.close_socket()

    def _do_policy(self, _step, words):
        values = dsl.fields(words)
        definition = {key: _json(value) for key, value in values.pop("definition").value}
        status = set_policy(self.http_port, values.pop("queue"), definition,
                            is_operator=values.pop("operator", False), **values)
        if status not in (201, 204):
            self.answers.append(f"policy: {status}")

    # connections

    def _login(self, name, values):
        peer = self.peers[name] = _Peer(name, self.port)
        peer.wire.start()
        start, tune, where = ({key: value for key, value in values.items() if key in fields}
                              for fields in HANDSHAKE.values())
        if "capabilities" in values:
            start["capabilities"] = dict(values["capabilities"].value)
        peer.wire.start_ok(**start)
        got = self._collect(peer, lambda m: m.name in ("connection.tune", "connection.secure"),
                            hide="connection.tune")
        if got is None:
            return
        peer.wire.method(0, "connection.tune-ok", **{"channel_max": 2047, "frame_max": 131072,
                                                     "heartbeat": 0, **tune})
        peer.wire.method(0, "connection.open", **{"virtual_host": "/", **where})
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
                self.answers.append(transcript.show(peer.name, message))
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


def _json(value):
    return value.decode() if isinstance(value, bytes) else value

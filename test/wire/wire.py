"""AMQP 0-9-1 spoken by hand: frames, methods, tables, and a connection that does as it is told.

Nothing here is a client library: no state is kept for the caller, nothing is answered on its own,
and every builder can be told to build wrong bytes.

    w = Wire(port)
    w.login().open(1)
    w.call(1, "queue.declare", queue="q", exclusive=True)
    w.publish(1, b"hello", routing_key="q")
    w.call(1, "basic.get", queue="q", answer="basic.get-ok").body
"""

import os
import re
import socket
import struct
import time
from collections import deque, namedtuple

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
FRAME_OVERHEAD = 8
BASIC = 60

METHODS_DEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                           "src", "proto", "amqp091", "methods.def")

# Basic properties, flag bit 15 first.
PROPERTIES = (("content_type", "shortstr"), ("content_encoding", "shortstr"), ("headers", "table"),
              ("delivery_mode", "u8"), ("priority", "u8"), ("correlation_id", "shortstr"),
              ("reply_to", "shortstr"), ("expiration", "shortstr"), ("message_id", "shortstr"),
              ("timestamp", "u64"), ("type", "shortstr"), ("user_id", "shortstr"),
              ("app_id", "shortstr"), ("cluster_id", "shortstr"))

Spec = namedtuple("Spec", "class_id method_id name traits fields")
Field = namedtuple("Field", "name kind is_reserved")


def load_methods(path):
    """The broker's own method table: M(class, id, NAME, name, "spoken name", traits, fields)."""
    with open(path, encoding="utf-8") as file:
        table = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    for entry in re.split(r"^M\(", table, flags=re.M)[1:]:
        class_id, method_id, _, _, name, traits, rest = entry.split(",", 6)
        name = name.strip(' "')
        yield Spec(int(class_id), int(method_id), name,
                   frozenset(traits.replace("|", " ").split()),
                   tuple(Field(field, kind, field.startswith("reserved") or
                               field == "ticket" and not name.startswith("access"))
                         for kind, field in re.findall(r"F\((\w+), (\w+)\)", rest)))


METHODS = {spec.name: spec for spec in load_methods(METHODS_DEF)}
assert all(spec.traits & {"C2S", "S2C"} for spec in METHODS.values()), METHODS_DEF
BY_ID = {(spec.class_id, spec.method_id): spec for spec in METHODS.values()}
WITH_CONTENT = {spec.name for spec in METHODS.values() if "CONTENT" in spec.traits}
HAS_ANSWER = {name for name in METHODS if name + "-ok" in METHODS}


class Malformed(Exception):
    """The broker sent something that is not AMQP 0-9-1."""


class Closed(Exception):
    """The broker closed the socket while something was awaited."""


# --- values ------------------------------------------------------------------------------------

class T(namedtuple("T", "octet value")):
    """A field-table value with its type octet, e.g. T("I", 5)."""


_PACK = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q",
         "f": ">f", "d": ">d", "T": ">Q"}


class Table(dict):
    """A decoded table: plain values by key, and `typed`, the (key, T) pairs in wire order."""

    def __init__(self, typed):
        super().__init__((key, plain(value)) for key, value in typed)
        self.typed = typed


def plain(value):
    if value.octet == "A":
        return [plain(item) for item in value.value]
    return value.value


def _typed(value):
    if isinstance(value, T):
        return value
    for kind, octet in ((bool, "t"), (int, "I"), (float, "d"), (str, "S"), (bytes, "S"),
                        (dict, "F"), (list, "A"), (type(None), "V")):
        if isinstance(value, kind):
            if octet == "I" and not -2**31 <= value < 2**31:
                octet = "l"
            return T(octet, value)
    raise TypeError(f"no field-table type for {value!r}")


def to_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def encode_value(value):
    octet, value = _typed(value)
    if octet in _PACK:
        packed = struct.pack(_PACK[octet], value)
    elif octet == "t":
        packed = bytes([value])
    elif octet == "D":
        packed = struct.pack(">BI", *value)
    elif octet in "Sx":
        packed = longstr(value)
    elif octet == "A":
        packed = longstr(b"".join(map(encode_value, value)))
    elif octet == "F":
        packed = encode_table(value)
    elif octet == "V":
        packed = b""
    else:
        packed = value                      # an octet nobody knows: bytes as given
    return octet.encode("latin-1") + packed


def encode_table(table):
    """`table`: a dict, a list of pairs (for repeated keys), T("F", ..), or bytes as they are."""
    if isinstance(table, T):
        table = table.value
    if isinstance(table, bytes):
        return table
    pairs = table.typed if isinstance(table, Table) else table
    pairs = pairs.items() if isinstance(pairs, dict) else pairs
    return longstr(b"".join(shortstr(k) + encode_value(v) for k, v in pairs))


def shortstr(value):
    value = to_bytes(value)
    return bytes([len(value)]) + value


def longstr(value):
    value = to_bytes(value)
    return struct.pack(">I", len(value)) + value


class Reader:
    """Reads values off a payload."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if self.at + size > len(self.data):
            raise Malformed(f"{size} bytes wanted, {len(self.data) - self.at} left")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def u8(self):
        return self.unpack(">B")[0]

    def u16(self):
        return self.unpack(">H")[0]

    def u32(self):
        return self.unpack(">I")[0]

    def u64(self):
        return self.unpack(">Q")[0]

    def shortstr(self):
        return self.take(self.u8()).decode(errors="backslashreplace")

    def longstr(self):
        return self.take(self.u32())

    def table(self):
        inner, pairs = Reader(self.longstr()), []
        while inner.at < len(inner.data):
            key = inner.shortstr()
            pairs.append((key, inner.value()))
        return Table(pairs)

    def value(self):
        octet = chr(self.u8())
        if octet in _PACK:
            return T(octet, self.unpack(_PACK[octet])[0])
        if octet == "t":
            return T(octet, self.u8() != 0)
        if octet == "D":
            return T(octet, self.unpack(">BI"))
        if octet == "S":
            return T(octet, _text(self.longstr()))
        if octet == "x":
            return T(octet, self.longstr())
        if octet == "F":
            return T(octet, self.table())
        if octet == "V":
            return T(octet, None)
        if octet == "A":
            inner, items = Reader(self.longstr()), []
            while inner.at < len(inner.data):
                items.append(inner.value())
            return T(octet, items)
        raise Malformed(f"field type {octet!r}")


def _text(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _encode_fields(fields, values):
    """Consecutive bits share an octet, first one lowest."""
    out, bits = bytearray(), 0
    for field in fields:
        if field.kind != "bit":
            bits = 0
        if field.kind == "bit":
            if bits % 8 == 0:
                out.append(0)
            out[-1] |= bool(values.get(field.name)) << bits % 8
            bits += 1
        elif field.kind == "table":
            out += encode_table(values.get(field.name, {}))
        elif field.kind == "shortstr":
            out += shortstr(values.get(field.name, b""))
        elif field.kind == "longstr":
            out += longstr(values.get(field.name, b""))
        else:
            out += values.get(field.name, 0).to_bytes(int(field.kind[1:]) // 8, "big")
    return bytes(out)


def _decode_fields(fields, reader):
    values, bits, octet = {}, 0, 0
    for field in fields:
        if field.kind == "bit":
            if bits % 8 == 0:
                octet = reader.u8()
            values[field.name] = bool(octet >> bits % 8 & 1)
            bits += 1
        else:
            bits = 0
            values[field.name] = getattr(reader, field.kind)()
    return values


# --- frames ------------------------------------------------------------------------------------

Frame = namedtuple("Frame", "type channel payload")


def frame(kind, channel, payload=b"", size=None, end=FRAME_END):
    """A frame; `size` and `end` may be told to lie."""
    size = len(payload) if size is None else size
    return struct.pack(">BHI", kind, channel, size) + payload + bytes([end])


def method_payload(name, **values):
    spec = METHODS[name]
    unknown = set(values) - {f.name for f in spec.fields}
    if unknown:
        raise TypeError(f"{name} has no {unknown}")
    return struct.pack(">HH", spec.class_id, spec.method_id) + _encode_fields(spec.fields, values)


def method(channel, name, **values):
    return frame(METHOD, channel, method_payload(name, **values))


def properties(**values):
    """The property flags and list of a content header."""
    flags, out = 0, b""
    for bit, (name, kind) in enumerate(PROPERTIES):
        if name in values:
            flags |= 1 << (15 - bit)
            out += _encode_fields((Field(name, kind, False),), values)
    unknown = set(values) - {name for name, _ in PROPERTIES}
    if unknown:
        raise TypeError(f"no property {unknown}")
    return struct.pack(">H", flags) + out


def decode_properties(blob):
    reader = Reader(blob)
    flags = reader.u16()
    return {name: _decode_fields((Field(name, kind, False),), reader)[name]
            for bit, (name, kind) in enumerate(PROPERTIES) if flags >> (15 - bit) & 1}


def header(channel, size, props=b"\0\0", class_id=BASIC, weight=0):
    return frame(HEADER, channel, struct.pack(">HHQ", class_id, weight, size) + props)


def content(channel, body=b"", props=b"\0\0", frame_max=131072):
    """Content header and as many body frames as `frame_max` asks for."""
    step = frame_max - FRAME_OVERHEAD
    return header(channel, len(body), props) + b"".join(
        frame(BODY, channel, body[at:at + step]) for at in range(0, len(body), step))


def publish(channel, body=b"", props=b"\0\0", frame_max=131072, **values):
    props = props if isinstance(props, bytes) else properties(**props)
    return method(channel, "basic.publish", **values) + content(channel, body, props, frame_max)


class Message:
    """A method as received, with its content where it has one."""

    def __init__(self, channel, spec, values):
        self.channel, self.spec, self.name, self.values = channel, spec, spec.name, values
        self.props = None                   # raw flags and property list
        self.body = None

    def __getattr__(self, name):
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def properties(self):
        return decode_properties(self.props)

    @property
    def headers(self):
        return self.properties.get("headers")

    def __repr__(self):
        shown = " ".join(f"{f.name}={self.values[f.name]!r}" for f in self.spec.fields
                         if not f.is_reserved)
        tail = "" if self.body is None else f" {self.properties} {self.body[:80]!r}"
        return f"<{self.channel} {self.name} {shown}{tail}>"


def decode_method(channel, payload):
    reader = Reader(payload)
    ids = reader.u16(), reader.u16()
    if ids not in BY_ID:
        raise Malformed(f"method {ids}")
    spec = BY_ID[ids]
    message = Message(channel, spec, _decode_fields(spec.fields, reader))
    if reader.at != len(payload):
        raise Malformed(f"{spec.name}: {len(payload) - reader.at} bytes too many")
    return message


# --- a connection ------------------------------------------------------------------------------

CAPABILITIES = {"publisher_confirms": True, "exchange_exchange_bindings": True,
                "basic.nack": True, "consumer_cancel_notify": True, "connection.blocked": True,
                "authentication_failure_close": True}


class Wire:
    """One socket. `sent` and `received` collect the names of all methods."""

    sent, received = set(), set()

    def __init__(self, port, host="127.0.0.1", timeout_s=5.0):
        self.timeout_s = timeout_s
        self.socket = socket.create_connection((host, port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.waiting = {}                   # channel -> deque of messages nobody asked for yet
        self.partial = {}                   # channel -> [message, size] whose content is arriving
        self.heartbeats = 0                 # heartbeat frames received
        self.frame_max = 131072

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    close_socket = __exit__

    # bytes and frames

    def write(self, *chunks):
        try:
            self.socket.sendall(b"".join(chunks))
        except (BrokenPipeError, ConnectionResetError):
            pass                            # what the broker said before it closed is still read

    def write_in_steps(self, data, step=1, pause_s=0.0):
        for at in range(0, len(data), step):
            self.write(data[at:at + step])
            if pause_s:
                time.sleep(pause_s)

    def _fill(self, size, deadline):
        while len(self.buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{size} bytes wanted, have {bytes(self.buffer[:64])!r}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except socket.timeout:
                continue
            except ConnectionResetError:
                data = b""
            finally:
                self.socket.settimeout(self.timeout_s)
            if not data:
                raise Closed(f"socket closed with {bytes(self.buffer[:64])!r} unread")
            self.buffer += data

    def read_bytes(self, size, timeout_s=None):
        self._fill(size, self._deadline(timeout_s))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_frame(self, timeout_s=None):
        deadline = self._deadline(timeout_s)
        self._fill(7, deadline)
        kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
        if kind not in (METHOD, HEADER, BODY, HEARTBEAT):
            raise Malformed(f"not a frame: {bytes(self.buffer[:16])!r}")
        if size + FRAME_OVERHEAD > self.frame_max:
            raise Malformed(f"frame of {size} bytes, frame_max {self.frame_max}")
        self._fill(size + 8, deadline)
        payload = bytes(self.buffer[7:7 + size])
        if self.buffer[7 + size] != FRAME_END:
            raise Malformed("frame end")
        del self.buffer[:size + 8]
        return Frame(kind, channel, payload)

    def _deadline(self, timeout_s):
        return time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)

    # methods and contents

    def next_message(self, timeout_s=None):
        """The next complete method (and content) on any channel, in order of arrival."""
        deadline = self._deadline(timeout_s)
        while True:
            got = self.read_frame(max(0.0, deadline - time.monotonic()))
            message = self._assemble(got)
            if message is not None:
                Wire.received.add(message.name)
                return message

    def _assemble(self, got):
        if got.type == HEARTBEAT:
            if got.channel != 0 or got.payload:
                raise Malformed("heartbeat frame")
            self.heartbeats += 1
            return None
        open_content = self.partial.get(got.channel)
        if got.type == METHOD:
            if open_content:
                raise Malformed("method frame inside a content")
            message = decode_method(got.channel, got.payload)
            if message.name not in WITH_CONTENT:
                return message
            self.partial[got.channel] = [message, None]
            return None
        if not open_content:
            raise Malformed("content frame without its method")
        message, size = open_content
        if got.type == HEADER:
            class_id, weight, size = struct.unpack(">HHQ", got.payload[:12])
            if size is None or class_id != BASIC or weight or message.body is not None:
                raise Malformed("content header")
            message.props, message.body = got.payload[12:], b""
            open_content[1] = size
        else:
            if size is None or not got.payload:
                raise Malformed("body frame")
            message.body += got.payload
        if len(message.body) > open_content[1]:
            raise Malformed("body too long")
        if len(message.body) < open_content[1]:
            return None
        del self.partial[got.channel]
        return message

    def read(self, channel, timeout_s=None):
        """The next message of `channel`; those of other channels are kept for later.

        connection.close is raised as an error when another channel waits for something else.
        """
        kept = self.waiting.get(channel)
        if kept:
            return kept.popleft()
        deadline = self._deadline(timeout_s)
        while True:
            message = self.next_message(max(0.0, deadline - time.monotonic()))
            if message.channel == channel:
                return message
            if message.name == "connection.close":
                raise AssertionError(f"waiting on channel {channel}, got {message}")
            self.waiting.setdefault(message.channel, deque()).append(message)

    def method(self, channel, name, **values):
        Wire.sent.add(name)
        self.write(method(channel, name, **values))

    def publish(self, channel, body=b"", props=b"\0\0", **values):
        Wire.sent.add("basic.publish")
        self.write(publish(channel, body, props, self.frame_max, **values))

    def expect(self, channel, name, timeout_s=None, **values):
        """The next message of `channel`, which must be `name` with these field values."""
        message = self.read(channel, timeout_s)
        assert message.name == name, f"expected {name} {values}, got {message}"
        for key, value in values.items():
            assert message.values[key] == value, f"expected {key}={value!r}, got {message}"
        return message

    def call(self, channel, name, answer=None, **values):
        """Sends a method and gives back its answer."""
        self.method(channel, name, **values)
        return self.expect(channel, answer or name + "-ok")

    def sync(self, channel):
        """Everything the broker had to say about earlier frames of `channel` has arrived."""
        self.call(channel, "channel.flow", active=True)

    def quiet(self, channel, for_s=0.15):
        """Nothing arrives on `channel` for a while."""
        try:
            message = self.read(channel, for_s)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {message}")

    # the usual phases

    def start(self):
        self.write(PROTOCOL_HEADER)
        return self.expect(0, "connection.start")

    def start_ok(self, mechanism="PLAIN", response=b"\0guest\0guest", capabilities=None,
                 locale="en_US", **more):
        client = {"product": "wire", "capabilities": CAPABILITIES if capabilities is None
                  else capabilities, **more}
        self.method(0, "connection.start-ok", client_properties=client, mechanism=mechanism,
                    response=response, locale=locale)

    def login(self, vhost="/", channel_max=2047, frame_max=131072, heartbeat=0, **start_ok):
        """The whole handshake, up to open-ok."""
        self.start()
        self.start_ok(**start_ok)
        self.expect(0, "connection.tune")
        self.method(0, "connection.tune-ok", channel_max=channel_max, frame_max=frame_max,
                    heartbeat=heartbeat)
        self.frame_max = frame_max or 131072
        self.call(0, "connection.open", virtual_host=vhost)
        return self

    def open(self, *channels):
        for channel in channels:
            self.call(channel, "channel.open")
        return self

    def close(self):
        """The close handshake from our side."""
        self.method(0, "connection.close", reply_code=200, reply_text="bye")
        self.expect(0, "connection.close-ok")
        self.socket.shutdown(socket.SHUT_WR)
        self.expect_eof()

    def expect_eof(self, timeout_s=None):
        try:
            got = self.read_frame(timeout_s)
        except Closed:
            assert not self.buffer, f"unread bytes: {bytes(self.buffer)!r}"
            return
        raise AssertionError(f"expected the end of the connection, got {got}")

    def expect_channel_close(self, channel, code, text, culprit=None):
        """channel.close with this code and text, caused by method `culprit`; answered."""
        closed = self._expect_close(channel, "channel.close", code, text, culprit)
        self.method(channel, "channel.close-ok")
        return closed

    def expect_connection_close(self, code, text, culprit=None):
        """connection.close with this code and text; answered, and then the socket ends."""
        closed = self._expect_close(0, "connection.close", code, text, culprit)
        self.method(0, "connection.close-ok")
        self.expect_eof()
        return closed

    def _expect_close(self, channel, name, code, text, culprit):
        closed = self.expect(channel, name)
        assert (closed.reply_code, closed.reply_text) == (code, text) or (
            closed.reply_code == code and hasattr(text, "search")
            and text.search(closed.reply_text)), f"expected {code} {text!r}, got {closed}"
        if culprit is not None:
            spec = METHODS.get(culprit)
            ids = (spec.class_id, spec.method_id) if spec else culprit
            assert (closed.class_id, closed.method_id) == ids, f"expected {ids}, got {closed}"
        return closed

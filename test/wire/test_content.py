"""Contents: bodies of any size, properties forwarded byte for byte, every field type, depth."""

import struct

import pytest

import wire
from wire import BODY, T, encode_table, encode_value, frame, header, method

EVERY_TYPE = {
    "bool": T("t", True), "i8": T("b", -128), "u8": T("B", 255), "i16": T("s", -32768),
    "u16": T("u", 65535), "i32": T("I", -2**31), "u32": T("i", 2**32 - 1), "i64": T("l", -2**63),
    "I64": T("L", 2**63 - 1), "f32": T("f", 0.5), "f64": T("d", -1e300), "dec": T("D", (3, 314)),
    "text": T("S", "höhe"), "raw text": T("S", b"\xff\xfe"), "bytes": T("x", b"\0\1\2"),
    "time": T("T", 2**64 - 1), "void": T("V", None), "array": T("A", [1, "two", T("A", []), {}]),
    "table": T("F", {"in": T("F", {"in": T("F", {})})}), "": T("S", ""),
}
ALL_PROPERTIES = dict(content_type="text/plain", content_encoding="gzip", headers=EVERY_TYPE,
                      delivery_mode=2, priority=9, correlation_id="c", reply_to="r",
                      expiration="60000", message_id="m", timestamp=1700000000, type="t",
                      user_id="guest", app_id="a", cluster_id="k")


def round_trip(w, q, body=b"", props=b"\0\0"):
    w.publish(1, body, props, routing_key=q)
    return w.call(1, "basic.get", answer="basic.get-ok", queue=q, no_ack=True)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 2047, 2048, 2049, 131063, 131064, 131065,
                                  262128, 262129, 1000000])
def test_bodies(w, q, size):
    body = (b"0123456789abcde" * (size // 15 + 1))[:size]
    assert round_trip(w, q, body).body == body


def test_a_body_in_frames_of_one_byte(w, q):
    body = bytes(range(256))
    w.write(method(1, "basic.publish", routing_key=q), header(1, 256),
            *(frame(BODY, 1, bytes([octet])) for octet in body))
    assert w.call(1, "basic.get", answer="basic.get-ok", queue=q).body == body


def test_empty_body_frames_are_skipped(w, q):
    w.write(method(1, "basic.publish", routing_key=q), header(1, 2), frame(BODY, 1),
            frame(BODY, 1, b"a"), frame(BODY, 1), frame(BODY, 1), frame(BODY, 1, b"b"))
    assert w.call(1, "basic.get", answer="basic.get-ok", queue=q).body == b"ab"


def test_a_body_crosses_between_connections_of_different_frame_max(connect, w, q):
    small = connect(frame_max=4096).open(1)
    small.frame_max = 4096                  # read_frame refuses anything larger
    queue = small.call(1, "queue.declare", exclusive=True).queue
    body = bytes(range(256)) * 400
    w.publish(1, body, routing_key=queue)
    w.sync(1)
    small.method(1, "basic.consume", queue=queue, no_ack=True)
    small.expect(1, "basic.consume-ok")
    assert small.expect(1, "basic.deliver").body == body
    small.publish(1, body, routing_key=q)
    small.sync(1)
    assert w.call(1, "basic.get", answer="basic.get-ok", queue=q).body == body


@pytest.mark.parametrize("present", range(15))
def test_each_property_alone_and_all_together(w, q, present):
    names = [name for name, _ in wire.PROPERTIES]
    values = {n: ALL_PROPERTIES[n] for n in (names if present == 14 else [names[present]])}
    blob = wire.properties(**values)
    assert round_trip(w, q, b"x", blob).props == blob


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_each_field_type_alone(w, q, name):
    blob = wire.properties(headers={name: EVERY_TYPE[name]})
    assert round_trip(w, q, b"x", blob).props == blob


@pytest.mark.parametrize("blob", [
    wire.properties(headers=[("k", 1), ("k", 2)]), wire.properties(headers={"z": 1, "a": 2}),
    wire.properties(headers={"t": T("t", 7)}), wire.properties(content_type="", headers={}),
    pytest.param(wire.properties(headers={"nan": T("f", float("nan"))}),
                 marks=pytest.mark.differs("header-check")),
    wire.properties(correlation_id=b"\xff\xfe"), wire.properties(headers={b"\xff": 1})],
    ids=["repeated key", "unsorted", "odd boolean", "empty", "nan", "not UTF-8", "key not UTF-8"])
def test_unusual_properties_are_forwarded_as_they_came(w, q, blob):
    assert round_trip(w, q, b"x", blob).props == blob


def test_properties_travel_untouched_to_consumers_and_returns(w, q):
    blob = wire.properties(**ALL_PROPERTIES)
    w.call(1, "basic.consume", queue=q, no_ack=True)
    w.publish(1, b"x", blob, routing_key=q)
    assert w.expect(1, "basic.deliver").props == blob
    w.publish(1, b"x", blob, routing_key="nowhere", mandatory=True)
    assert w.expect(1, "basic.return").props == blob


def test_headers_of_64_kib(w, q):
    blob = wire.properties(headers={"big": "x" * 65000, "many": list(range(1000))})
    assert round_trip(w, q, b"x", blob).props == blob


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_each_field_type_as_argument(w, name):
    q = w.call(1, "queue.declare", exclusive=True, arguments={"x-own": EVERY_TYPE[name]}).queue
    w.call(1, "queue.bind", queue=q, exchange="amq.headers", arguments={"k": EVERY_TYPE[name]})
    w.publish(1, b"x", dict(headers={"k": EVERY_TYPE[name]}), exchange="amq.headers")
    assert w.call(1, "basic.get", answer="basic.get-ok", queue=q).body == b"x"


def nested(levels, kind):
    """A table of `levels` levels, itself the first."""
    value = T("F", {}) if kind == "F" else T("A", [])
    for _ in range(levels - 2):
        value = T("F", {"k": value}) if kind == "F" else T("A", [value])
    return {"x-deep": value}


@pytest.mark.parametrize("kind", "FA")
def test_sixteen_levels_are_accepted(w, q, kind):
    w.call(1, "queue.declare", exclusive=True, arguments=nested(16, kind))
    blob = wire.properties(headers=nested(16, kind))
    assert round_trip(w, q, b"x", blob).props == blob


@pytest.mark.differs("table-depth")
@pytest.mark.parametrize("levels", [17, 18, 100, 20000])
@pytest.mark.parametrize("kind", "FA")
def test_seventeen_levels_are_refused(connect, kind, levels):
    w = connect().open(1)
    w.method(1, "queue.declare", exclusive=True, arguments=deep_bytes(levels, kind))
    w.expect(0, "connection.close", reply_code=501)
    w = connect().open(1)
    w.publish(1, b"x", b"\x20\x00" + deep_bytes(levels, kind))
    w.expect(0, "connection.close", reply_code=501)


def deep_bytes(levels, kind):
    """The same as `nested`, encoded without recursion."""
    data = b""
    for level in range(levels - 1):
        data = struct.pack(">I", len(data)) + data
        data = b"\1k" + kind.encode() + data if kind == "F" or level == levels - 2 \
            else kind.encode() + data
    return struct.pack(">I", len(data)) + data


def test_deep_bytes_are_what_they_claim():
    for kind in "FA":
        reader = wire.Reader(deep_bytes(5, kind))
        table, depth = reader.table(), 1
        value = table.typed[0][1]
        while True:
            depth += 1
            inner = value.value.typed if value.octet == "F" else value.value
            if not inner:
                break
            value = inner[0][1] if value.octet == "F" else inner[0]
        assert depth == 5


MALFORMED_TABLES = {
    "longer than its frame": b"\0\0\0\x20",
    "four gigabytes": b"\xff\xff\xff\xff",
    "key without a value": encode_table(b"\0\0\0\2\1k"),
    "key cut": b"\0\0\0\2\5k",
    "value cut": b"\0\0\0\4\1kI\0",
    "text of four gigabytes": b"\0\0\0\7\1kS\xff\xff\xff\xff",
    "table longer than the one around": b"\0\0\0\7\1kF\0\0\0\1",
    "array longer than its table": b"\0\0\0\7\1kA\0\0\0\1",
    "half an array value": b"\0\0\0\x0a\1kA\0\0\0\3I\0\0",
    "unknown type": b"\0\0\0\4\1kZ\0",
}


@pytest.mark.differs("header-check")
@pytest.mark.parametrize("what", MALFORMED_TABLES)
def test_malformed_tables_as_arguments(w, what):
    w.method(1, "queue.declare", exclusive=True, arguments=MALFORMED_TABLES[what])
    w.expect(0, "connection.close", reply_code=501, class_id=50, method_id=10)


@pytest.mark.differs("header-check")
@pytest.mark.parametrize("what", MALFORMED_TABLES)
def test_malformed_tables_as_headers(w, what):
    w.publish(1, b"x", b"\x20\x00" + MALFORMED_TABLES[what], routing_key="nowhere")
    w.expect(0, "connection.close", reply_code=501)


@pytest.mark.differs("header-check")
@pytest.mark.parametrize("props", [b"\x80\0", b"\x80\0\5ab", b"\x10\0", b"\x00\x40\0\0",
                                   b"\0\0\0", b"\x80\0\0\0", b"\xff\xfc"])
def test_malformed_properties(w, props):
    w.publish(1, b"x", props, routing_key="nowhere")
    w.expect(0, "connection.close", reply_code=501)


def test_a_value_encodes_and_decodes_to_itself():
    for value in EVERY_TYPE.values():
        decoded = wire.Reader(encode_value(value)).value()
        assert encode_value(decoded) == encode_value(value)

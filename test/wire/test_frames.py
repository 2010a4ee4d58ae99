"""Frames (§4.2.3): cut anywhere, too large, wrongly ended, of unknown type, misplaced."""

import re
import struct

import pytest

import wire
from wire import BODY, HEADER, HEARTBEAT, METHOD, frame, header, method


def conversation():
    """Every kind of frame a client sends in a short life, as separate frames."""
    return [
        wire.PROTOCOL_HEADER,
        method(0, "connection.start-ok", client_properties={"a": 1, "t": {"n": [1, None]}},
               mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US"),
        method(0, "connection.tune-ok", channel_max=10, frame_max=4096, heartbeat=0),
        method(0, "connection.open", virtual_host="/"),
        method(1, "channel.open"),
        method(1, "queue.declare", exclusive=True),
        method(1, "tx.select"),
        method(1, "basic.publish", exchange="", routing_key="nowhere", mandatory=True),
        header(1, 9, wire.properties(headers={"k": "v"}, priority=3)),
        frame(BODY, 1, b"four"),
        frame(HEARTBEAT, 0),
        frame(BODY, 1, b"fives"),
        method(1, "tx.commit"),
        method(0, "connection.close", reply_code=200),
    ]


ANSWERS = ["connection.start", "connection.tune", "connection.open-ok", "channel.open-ok",
           "queue.declare-ok", "tx.select-ok", "basic.return", "tx.commit-ok",
           "connection.close-ok"]


def assert_answers(w):
    answers = [w.next_message() for _ in ANSWERS]
    assert [a.name for a in answers] == ANSWERS
    returned = answers[ANSWERS.index("basic.return")]
    assert returned.body == b"fourfives"
    assert returned.properties == {"headers": {"k": "v"}, "priority": 3}


def test_the_conversation_in_one_write(tcp):
    w = tcp()
    w.write(*conversation())
    assert_answers(w)


def test_the_conversation_byte_by_byte(tcp):
    w = tcp()
    w.write_in_steps(b"".join(conversation()))
    assert_answers(w)


@pytest.mark.parametrize("step", [2, 3, 5, 7, 8, 11])
def test_the_conversation_in_small_pieces(tcp, step):
    w = tcp()
    w.write_in_steps(b"".join(conversation()), step)
    assert_answers(w)


@pytest.mark.parametrize("index", range(len(conversation())))
def test_each_frame_cut_at_every_byte(tcp, index):
    """The frames before arrive whole; this one in two pieces; the rest with the second piece.

    The connections run side by side, so that the pause between the pieces is paid once.
    """
    said = conversation()
    before, cut, after = b"".join(said[:index]), said[index], b"".join(said[index + 1:])
    wires = [tcp() for _ in range(1, len(cut))]
    for at, w in enumerate(wires, 1):
        w.write(before + cut[:at])
    for at, w in enumerate(wires, 1):
        w.write(cut[at:] + after)
    for w in wires:
        assert_answers(w)
        w.close_socket()


def test_frame_max_exactly(connect):
    """Client and server both fill frames to the last byte."""
    w = connect(frame_max=4096).open(1)
    q = w.call(1, "queue.declare", exclusive=True).queue
    for size in (4087, 4088, 4089, 2 * 4088 - 1, 2 * 4088, 2 * 4088 + 1):
        body = bytes(range(256)) * (size // 256 + 1)
        w.publish(1, body[:size], routing_key=q)
        got = w.call(1, "basic.get", answer="basic.get-ok", queue=q, no_ack=True)
        assert got.body == body[:size]


def test_a_payload_may_use_the_eight_bytes_of_slack(connect):
    w = connect(frame_max=4096).open(1)
    w.call(1, "confirm.select")
    w.write(method(1, "basic.publish", routing_key="nowhere"), header(1, 4096),
            frame(BODY, 1, b"x" * 4096))
    w.expect(1, "basic.ack", delivery_tag=1)


@pytest.mark.parametrize("frame_max, size", [(4096, 4097), (4096, 2**32 - 1), (131072, 131073)])
def test_a_frame_above_frame_max(connect, frame_max, size):
    w = connect(frame_max=frame_max).open(1)
    w.write(struct.pack(">BHI", BODY, 1, size), b"x" * 64)
    w.expect_connection_close(501, re.compile(
        r"^FRAME_ERROR - type 3, (all|first 16) octets = <<.*>>: "
        rf"\{{frame_too_large,{size},{frame_max - 8}\}}$"), (0, 0))


def test_a_wrong_frame_end(w):
    w.write(frame(METHOD, 1, wire.method_payload("channel.flow", active=True), end=0xCD))
    w.expect_connection_close(501, "FRAME_ERROR - type 1, all octets = <<0,20,0,20,1>>: "
                                   "{invalid_frame_end_marker,205}", (0, 0))


@pytest.mark.parametrize("kind", [0, 4, 5, 6, 7, 9, 255])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_an_unknown_frame_type(w, kind, channel):
    w.write(frame(kind, channel, b"a"))
    w.expect_connection_close(501, f"FRAME_ERROR - type {kind}, all octets = <<\"a\">>: "
                                   "unknown_frame", (0, 0))


def test_octets_in_an_error_text_are_cut_at_sixteen(w):
    w.write(frame(5, 1, bytes(range(128, 168))))
    octets = r",\s*".join(map(str, range(128, 144)))      # RabbitMQ breaks long lines
    w.expect_connection_close(501, re.compile(
        rf"^FRAME_ERROR - type 5, first 16 octets = <<{octets}>>: unknown_frame$"), (0, 0))


@pytest.mark.parametrize("kind", [HEADER, BODY])
def test_content_frames_on_channel_0(w, kind):
    payload = struct.pack(">HHQH", 60, 0, 1, 0) if kind == HEADER else b"a"
    w.write(frame(kind, 0, payload))
    w.expect_connection_close(505, re.compile(rf"^UNEXPECTED_FRAME - type {kind}, all octets = "),
                              (0, 0))


def test_a_heartbeat_on_a_channel(w):
    w.write(frame(HEARTBEAT, 1))
    w.expect_connection_close(505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", (0, 0))


def test_a_heartbeat_with_a_payload(w):
    w.write(frame(HEARTBEAT, 0, b"a"))
    w.expect_connection_close(501, "FRAME_ERROR - type 8, all octets = <<\"a\">>: unknown_frame",
                              (0, 0))


def test_heartbeats_are_welcome_anywhere_and_are_not_answered(w):
    w.write(frame(HEARTBEAT, 0) * 1000)
    w.sync(1)
    assert w.heartbeats == 0


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\x3c", b"\0\x3c\0"])
def test_a_method_payload_without_a_method(w, channel, payload):
    w.write(frame(METHOD, channel, payload))
    w.expect_connection_close(501, re.compile("^FRAME_ERROR - type 1, .*: unknown_frame$"), (0, 0))


@pytest.mark.differs("unknown-method")
@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("ids", [(0, 0), (10, 99), (60, 200), (60, 250), (85, 11 + 1), (99, 10),
                                 (0xFFFF, 0xFFFF)])
def test_a_method_nobody_knows(w, channel, ids):
    w.write(frame(METHOD, channel, struct.pack(">HH", *ids)))
    closed = w.expect(0, "connection.close")
    assert closed.reply_code in (501, 503, 504, 540)
    w.method(0, "connection.close-ok")
    w.expect_eof()


ARGUMENTS = {name: wire.method_payload(name) for name, spec in wire.METHODS.items()
             if "C2S" in spec.traits and spec.fields and spec.class_id > 10
             and name not in ("channel.open", "channel.flow-ok")}       # refused as they are


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_cut_short_by_one_byte(w, name):
    w.write(frame(METHOD, 1, ARGUMENTS[name][:-1]))
    spec = wire.METHODS[name]
    w.expect_connection_close(501, re.compile("^FRAME_ERROR - cannot decode <<.*>>$"),
                              (spec.class_id, spec.method_id))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_one_byte_too_many_behind_the_arguments(w, name):
    w.write(frame(METHOD, 1, ARGUMENTS[name] + b"\0"))
    spec = wire.METHODS[name]
    w.expect_connection_close(501, re.compile("^FRAME_ERROR - cannot decode <<.*>>$"),
                              (spec.class_id, spec.method_id))


@pytest.mark.parametrize("text", [
    b"\xc3", b"\xc3\x28", b"\xff", b"\xf8\x88\x80", b"\xc0\xaf", b"ok\x80",
    pytest.param(b"\xed\xa0\x80", marks=pytest.mark.differs("utf8-strict")),
    pytest.param(b"\xf4\x90\x80\x80", marks=pytest.mark.differs("utf8-strict"))])
def test_a_short_string_that_is_not_utf8(w, text):
    w.method(1, "queue.declare", queue=text, exclusive=True)
    w.expect_connection_close(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", (0, 0))


def test_reserved_fields_are_not_looked_at(w):
    w.write(method(1, "queue.declare", ticket=0xFFFF, queue="reserved", exclusive=True))
    w.expect(1, "queue.declare-ok")
    w.write(method(2, "channel.open", reserved_1="anything"))
    w.expect(2, "channel.open-ok")


def test_unused_bits_are_not_looked_at(w):
    payload = bytearray(wire.method_payload("confirm.select"))
    payload[-1] = 0xFE
    w.write(frame(METHOD, 1, bytes(payload)))
    w.expect(1, "confirm.select-ok")

"""What may follow what (§4.2.6): every frame in every state of a channel and of a connection."""

import re

import pytest

from wire import (BODY, METHODS, PROTOCOL_HEADER, WITH_CONTENT, Closed, content, frame, header,
                  method)

PUBLISH = method(1, "basic.publish", routing_key="nowhere")
FLOW = method(1, "channel.flow", active=True)
A_BODY = frame(BODY, 1, b"ab")

EXPECTED_METHOD = "UNEXPECTED_FRAME - expected method frame, got non method frame instead"
EXPECTED_HEADER = ("UNEXPECTED_FRAME - expected content header for class 60, got non content "
                   "header frame instead")
EXPECTED_BODY = ("UNEXPECTED_FRAME - expected content body, got non content body frame instead")


@pytest.mark.parametrize("said, text, culprit", [
    ([header(1, 2)], EXPECTED_METHOD, (0, 0)),
    ([A_BODY], EXPECTED_METHOD, (0, 0)),
    ([PUBLISH, FLOW], EXPECTED_HEADER, "basic.publish"),
    ([PUBLISH, PUBLISH], EXPECTED_HEADER, "basic.publish"),
    ([PUBLISH, A_BODY], EXPECTED_HEADER, "basic.publish"),
    ([PUBLISH, method(1, "channel.close")], EXPECTED_HEADER, "basic.publish"),
    ([PUBLISH, header(1, 2, class_id=50)],
     "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
     "basic.publish"),
    ([PUBLISH, header(1, 2), FLOW], EXPECTED_BODY, "basic.publish"),
    ([PUBLISH, header(1, 2), PUBLISH], EXPECTED_BODY, "basic.publish"),
    ([PUBLISH, header(1, 2), header(1, 2)], EXPECTED_BODY, "basic.publish"),
    ([PUBLISH, header(1, 3), A_BODY, FLOW], EXPECTED_BODY, "basic.publish"),
    ([PUBLISH, header(1, 0), A_BODY], EXPECTED_METHOD, (0, 0)),
    ([PUBLISH, header(1, 2), A_BODY, A_BODY], EXPECTED_METHOD, (0, 0)),
    ([PUBLISH, header(1, 2), A_BODY, header(1, 2)], EXPECTED_METHOD, (0, 0)),
    ([frame(BODY, 3, b"ab")], EXPECTED_METHOD, (0, 0)),
    ([header(3, 2)], EXPECTED_METHOD, (0, 0))])
def test_frames_of_a_content_out_of_order(w, said, text, culprit):
    w.write(*said)
    w.expect_connection_close(505, text, culprit)


@pytest.mark.differs("body-too-long")
@pytest.mark.parametrize("said", [
    [PUBLISH, header(1, 1), A_BODY], [PUBLISH, header(1, 3), A_BODY, A_BODY]])
def test_a_body_longer_than_its_header_said(w, said):
    w.write(*said)
    w.expect_connection_close(
        501, "FRAME_ERROR - content body frame exceeds remaining content size")


@pytest.mark.differs("body-size-limit")
@pytest.mark.parametrize("size", [2**29 + 1, 2**32, 2**63, 2**64 - 1])
def test_a_body_of_more_than_512_mib(w, size):
    w.write(PUBLISH, header(1, size))
    w.expect_connection_close(501, f"FRAME_ERROR - content body size {size} exceeds maximum "
                                   "allowed size 536870912")


FROM_CLIENT = sorted(n for n, s in METHODS.items() if "C2S" in s.traits and s.class_id > 10
                     and n != "channel.open")
ONLY_FROM_SERVER = sorted(n for n, s in METHODS.items() if "C2S" not in s.traits
                          and s.class_id > 10)
OF_CONNECTION = sorted(n for n, s in METHODS.items() if s.class_id == 10)
MAY_COME_ANY_TIME = {"connection.close", "connection.update-secret"}


def say(w, channel, name):
    fields = {"queue": "q"} if any(f.name == "queue" for f in METHODS[name].fields) else {}
    w.write(method(channel, name, **fields))
    if name in WITH_CONTENT:
        w.write(content(channel, b"x"))


@pytest.mark.parametrize("name", FROM_CLIENT)
def test_a_method_on_a_channel_that_is_not_open(w, name):
    say(w, 5, name)
    w.expect_connection_close(504, "CHANNEL_ERROR - expected 'channel.open'", name)


@pytest.mark.parametrize("name", FROM_CLIENT)
def test_a_method_on_a_channel_that_was_closed(w, name):
    w.call(1, "channel.close", reply_code=200)
    say(w, 1, name)
    w.expect_connection_close(504, "CHANNEL_ERROR - expected 'channel.open'", name)


@pytest.mark.parametrize("name", ONLY_FROM_SERVER + ["channel.close-ok"])
def test_a_method_of_the_server_from_the_client(w, name):
    say(w, 1, name)
    w.expect_connection_close(503, "COMMAND_INVALID - unimplemented method", name)


@pytest.mark.parametrize("name", OF_CONNECTION)
def test_a_connection_method_on_a_channel(w, name):
    w.method(1, name)
    w.expect_connection_close(503, "COMMAND_INVALID - unimplemented method", name)


@pytest.mark.parametrize("name", sorted(set(OF_CONNECTION) - MAY_COME_ANY_TIME))
def test_a_connection_method_on_an_open_connection(w, name):
    w.method(0, name)
    w.expect_connection_close(
        504, "CHANNEL_ERROR - unexpected method in connection state running", name)


@pytest.mark.parametrize("name", ["queue.declare", "channel.open", "basic.ack", "tx.select"])
def test_a_method_of_a_channel_on_channel_0(w, name):
    w.method(0, name)
    w.expect_connection_close(
        504, "CHANNEL_ERROR - unexpected method in connection state running", name)


def phase_0(w):
    w.start()


def phase_1(w):
    w.start()
    w.start_ok()
    w.expect(0, "connection.tune")


def phase_2(w):
    phase_1(w)
    w.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072)


@pytest.mark.slow
def test_a_handshake_out_of_order_gets_nowhere(tcp):
    """All at the same time: the broker may let strangers wait before it closes."""
    wires = []
    for phase, right in ((phase_0, "connection.start-ok"), (phase_1, "connection.tune-ok")):
        for name in OF_CONNECTION + ["channel.open"]:
            if name == right:
                continue
            w = tcp()
            phase(w)
            w.write(method(1 if name == "channel.open" else 0, name))
            wires.append((phase, name, w))
    for phase, name, w in wires:
        try:
            message = w.read(0, 6)
        except Closed:
            continue
        assert message.name in ("connection.close", "connection.close-ok"), (phase, name, message)


@pytest.mark.parametrize("name", sorted(set(OF_CONNECTION) - {"connection.open"}))
def test_another_method_than_open(tcp, name):
    w = tcp()
    phase_2(w)
    w.method(0, name)
    message = w.read(0, 6)
    assert message.name in ("connection.close", "connection.close-ok")


def test_the_protocol_header_again(w):
    w.write(PROTOCOL_HEADER)
    w.expect_connection_close(501, re.compile("^FRAME_ERROR - type 65, "), (0, 0))


def test_channel_numbers(connect):
    w = connect(channel_max=2047)
    w.open(2047, 1, 1024)
    for channel in (2047, 1, 1024):
        w.sync(channel)


def test_as_many_channels_as_were_agreed(connect):
    w = connect(channel_max=3).open(1, 2, 3)
    w.method(4, "channel.open")
    w.expect_connection_close(530, "NOT_ALLOWED - number of channels opened (3) has reached the "
                                   "negotiated channel_max (3)", (0, 0))


def test_a_channel_number_can_be_used_again_and_again(connect):
    w = connect(channel_max=1)
    for _ in range(200):
        w.open(1)
        w.call(1, "channel.close", reply_code=200)


def test_after_channel_close_everything_is_ignored_until_close_ok(w):
    w.method(1, "queue.purge", queue="never.was")
    w.expect(1, "channel.close", reply_code=404)
    w.method(1, "queue.declare", queue="never.was")
    w.publish(1, b"x" * 10000, exchange="never.was")
    w.method(1, "basic.ack", delivery_tag=77)
    w.method(1, "tx.commit")
    w.method(1, "channel.flow", active=True)
    w.open(2).sync(2)
    w.quiet(1, 0.1)
    w.method(1, "channel.close-ok")
    w.open(1)
    w.method(1, "queue.declare", queue="never.was", passive=True)
    w.expect_channel_close(1, 404, "NOT_FOUND - no queue 'never.was' in vhost '/'")


def test_both_sides_close_the_channel_at_once(w):
    w.method(1, "queue.purge", queue="never.was")
    w.method(1, "channel.close", reply_code=200)
    w.expect(1, "channel.close", reply_code=404)
    w.expect(1, "channel.close-ok")
    w.method(1, "channel.close-ok")
    w.open(1).sync(1)


def test_contents_on_a_closing_channel_are_swallowed(w):
    """The publish that failed was followed by others before the client could know."""
    q = w.call(1, "queue.declare", exclusive=True).queue
    w.publish(1, b"bad", exchange="never.was")
    for _ in range(50):
        w.publish(1, b"late" * 1000, routing_key=q)
    w.expect_channel_close(1, 404, "NOT_FOUND - no exchange 'never.was' in vhost '/'")
    w.open(1)
    assert w.call(1, "queue.declare", queue=q, passive=True).message_count == 0


def test_the_connection_closes_while_the_client_still_talks(w):
    w.method(1, "basic.qos", prefetch_size=1)
    for _ in range(50):
        w.publish(1, b"late" * 1000, routing_key="nowhere")
    w.expect_connection_close(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", "basic.qos")


def test_both_sides_close_the_connection_at_once(w):
    w.method(1, "basic.qos", prefetch_size=1)
    w.method(0, "connection.close", reply_code=200)
    first = w.read(0)
    assert first.name == "connection.close"
    w.method(0, "connection.close-ok")
    try:
        w.expect(0, "connection.close-ok")
        w.expect_eof()
    except Closed:
        pass


def test_interleaved_contents(w):
    """Four channels, frame by frame in turn; each message arrives whole."""
    w.open(2, 3, 4)
    q = w.call(1, "queue.declare", exclusive=True).queue
    bodies = {ch: [bytes([64 + ch]) * 100, bytes([96 + ch]) * (10 * ch)] for ch in (1, 2, 3, 4)}
    w.write(*(method(ch, "basic.publish", routing_key=q) for ch in bodies))
    w.write(*(header(ch, sum(map(len, bodies[ch]))) for ch in bodies))
    for part in (0, 1):
        w.write(*(frame(BODY, ch, bodies[ch][part]) for ch in bodies))
    for ch in bodies:
        w.sync(ch)
    got = {w.call(1, "basic.get", answer="basic.get-ok", queue=q, no_ack=True).body
           for _ in bodies}
    assert got == {b"".join(parts) for parts in bodies.values()}

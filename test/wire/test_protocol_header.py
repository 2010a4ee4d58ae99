"""AMQP 0-9-1 §4.2.2: the eight bytes at the start, and what comes back when they do not fit."""

import pytest

from wire import PROTOCOL_HEADER

ANSWER_091 = PROTOCOL_HEADER
ANSWER_10 = b"AMQP\x03\x01\x00\x00"


def test_the_header_is_answered_with_connection_start(tcp):
    start = tcp().start()
    assert (start.version_major, start.version_minor) == (0, 9)


def test_the_header_of_0_9_is_served_too(tcp):
    w = tcp()
    w.write(b"AMQP\x01\x01\x00\x09")
    w.expect(0, "connection.start")


@pytest.mark.parametrize("header", [
    b"AMQP\x00\x00\x09\x00", b"AMQP\x00\x00\x09\x02", b"AMQP\x00\x00\x0a\x00",
    b"AMQP\x00\x00\xff\xff"])
def test_a_later_0_9_is_answered_with_0_9_1(tcp, header):
    w = tcp()
    w.write(header)
    assert w.read_bytes(8) == ANSWER_091
    w.expect_eof()


@pytest.mark.differs("version-answer")
@pytest.mark.parametrize("header", [
    b"AMQP\x01\x01\x08\x00", b"AMQP\x01\x01\x00\x0a", b"AMQP\x00\x00\x08\x00",
    b"AMQP\x00\x01\x00\x00", b"AMQP\x02\x01\x00\x00", b"AMQPAMQP", b"GET / HT",
    b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x00" * 8, b"\xff" * 8])
def test_everything_else_is_answered_with_1_0(tcp, header):
    w = tcp()
    w.write(header)
    assert w.read_bytes(8) == ANSWER_10
    w.expect_eof()


def test_nothing_is_said_before_eight_bytes(tcp):
    w = tcp()
    w.write(PROTOCOL_HEADER[:7])
    with pytest.raises(TimeoutError):
        w.read_bytes(1, 0.2)
    w.write(PROTOCOL_HEADER[7:])
    w.expect(0, "connection.start")

"""SIGTERM: clients are asked to close, and the broker ends with 0 whatever they were doing."""
import os
import signal

import pytest

from support.broker import Leveret
from wire import Wire, header, method

SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


@pytest.fixture(params=[1, 2], ids=["one loop", "two loops"])
def mine(request):
    with Leveret("--loops", str(request.param), "--stop-grace", "2000") as server:
        yield server


def terminate(server):
    os.kill(server.pid, signal.SIGTERM)


def test_clients_are_told_and_may_answer(mine):
    with Wire(mine.amqp_port) as a, Wire(mine.amqp_port) as b:
        a.login().open(1)
        b.login()
        terminate(mine)
        for w in (a, b):
            w.expect_connection_close(320, SHUTDOWN, (0, 0))
        assert mine.stop() == 0


def test_a_body_that_is_half_read(mine):
    with Wire(mine.amqp_port) as w:
        w.login().open(1)
        size = 100_000
        w.write(method(1, "basic.publish", routing_key="q"), header(1, size),
                b"\3\0\1" + size.to_bytes(4, "big") + bytes(size // 2))
        terminate(mine)
        w.expect_connection_close(320, SHUTDOWN, (0, 0))
        w.write(bytes(size // 2) + b"\xce")
        assert mine.stop() == 0


def test_a_client_that_never_answers_is_left_behind(mine):
    with Wire(mine.amqp_port) as w:
        w.login()
        assert mine.stop() == 0


def test_the_second_signal_ends_it_at_once():
    with Leveret("--stop-grace", "60000") as server, Wire(server.amqp_port) as w:
        w.login()
        terminate(server)
        w.expect_connection_close(320, SHUTDOWN, (0, 0))
        terminate(server)
        w.expect_eof()
        assert server.stop() == 0

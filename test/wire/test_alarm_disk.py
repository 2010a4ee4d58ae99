"""The disk alarm: with less free than disk_free_limit publishers wait, consumers and acknowledgements do not."""
import pytest

from support.broker import Leveret
from wire import Wire


@pytest.fixture
def low():
    """A broker that finds every disk too small."""
    with Leveret("--disk-free-limit", "900000GB") as server:
        yield server


def test_publishers_wait_and_are_told_why(low):
    with Wire(low.amqp_port) as p, Wire(low.amqp_port) as c:
        p.login(capabilities={"connection.blocked": True}).open(1)
        p.call(1, "queue.declare", queue="q", durable=True)
        p.publish(1, b"one", routing_key="q")
        message = p.read(0, 5)
        assert (message.name, message.reason) == ("connection.blocked", "low on disk")
        c.login().open(1)
        got = c.call(1, "basic.get", answer="basic.get-ok", queue="q")
        assert got.body == b"one"
        c.method(1, "basic.ack", delivery_tag=1)
        c.sync(1)

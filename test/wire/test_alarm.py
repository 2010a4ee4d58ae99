"""connection.blocked: above the memory watermark publishers wait, consumers do not."""
import pytest

from support.broker import Leveret
from wire import Wire

BODY = bytes(1 << 20)
BLOCKED = {"connection.blocked": True}


@pytest.fixture
def small():
    """A broker that has had enough at 32 MiB."""
    with Leveret("--memory-high-watermark", "32MiB") as server:
        yield server


def is_blocked(w, for_s=0.0):
    try:
        message = w.read(0, for_s)
    except TimeoutError:
        return False
    assert (message.name, message.reason) == ("connection.blocked", "low on memory")
    return True


def fill(w, queue):
    """Publishes, a little at a time, until the server says that it is blocked."""
    for n in range(1, 401):
        w.publish(1, BODY, routing_key=queue)
        if is_blocked(w, 0.02):
            return n
    raise AssertionError("never blocked")


def test_a_publisher_is_blocked_and_goes_on_when_a_consumer_made_room(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as c:
        p.login(capabilities=BLOCKED).open(1)
        p.call(1, "queue.declare", queue="q")
        published = fill(p, "q")
        c.login().open(1)
        assert c.call(1, "queue.purge", queue="q").message_count == published
        assert p.read(0, 5).name == "connection.unblocked"
        p.publish(1, b"after", routing_key="q")
        p.sync(1)
        assert c.call(1, "basic.get", answer="basic.get-ok", queue="q", no_ack=True).body == b"after"


def test_who_does_not_publish_is_not_blocked(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as c:
        p.login(capabilities=BLOCKED).open(1)
        c.login(capabilities=BLOCKED).open(1)
        p.call(1, "queue.declare", queue="q")
        fill(p, "q")
        assert not is_blocked(c, 0.3)
        c.sync(1)


def test_without_the_capability_the_publisher_just_waits(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as q, Wire(small.amqp_port) as c:
        p.login(capabilities=BLOCKED).open(1)
        p.call(1, "queue.declare", queue="q")
        fill(p, "q")
        q.login(capabilities={}).open(1)
        q.publish(1, b"x", routing_key="q")
        q.write(b"")
        q.quiet(0, 0.3)
        c.login().open(1)
        c.call(1, "queue.purge", queue="q")
        q.sync(1)


def test_a_blocked_broker_stops(small):
    with Wire(small.amqp_port) as p:
        p.login(capabilities=BLOCKED).open(1)
        p.call(1, "queue.declare", queue="q")
        fill(p, "q")
        assert small.stop() == 0

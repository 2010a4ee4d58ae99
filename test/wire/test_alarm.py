"""connection.blocked: above the memory watermark publishers wait, consumers do not."""
import pytest

from support.broker import Leveret
from wire import Wire

BODY = bytes(1 << 20)
BLOCKED = {"connection.blocked": True}


@pytest.fixture
def small():
    """A broker that has had enough at 64 MiB."""
    with Leveret("--memory-high-watermark", "64MiB") as server:
        yield server


class Holder:
    """A consumer that settles nothing until it is told: what waits in a queue could go to the disk, what it holds cannot."""

    def __init__(self, server, queue):
        self.wire = Wire(server.amqp_port)
        self.wire.login().open(1)
        self.wire.call(1, "queue.declare", queue=queue)
        self.wire.call(1, "basic.consume", queue=queue)

    def take(self):
        return self.wire.read(1, 5)

    def settle(self):
        self.wire.method(1, "basic.ack", delivery_tag=0, multiple=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.__exit__()


def is_blocked(w, for_s=0.0):
    try:
        message = w.read(0, for_s)
    except TimeoutError:
        return False
    assert (message.name, message.reason) == ("connection.blocked", "low on memory")
    return True


def fill(w, holder, queue="q"):
    """Publishes, a little at a time, until the server says that it is blocked."""
    for n in range(1, 401):
        w.publish(1, BODY, routing_key=queue)
        holder.take()
        if is_blocked(w, 0.02):
            return n
    raise AssertionError("never blocked")


def test_a_publisher_is_blocked_and_goes_on_when_a_consumer_made_room(small):
    with Wire(small.amqp_port) as p, Holder(small, "q") as holder:
        p.login(capabilities=BLOCKED).open(1)
        fill(p, holder)
        holder.settle()
        assert p.read(0, 5).name == "connection.unblocked"
        p.publish(1, b"after", routing_key="q")
        p.sync(1)
        assert holder.take().body == b"after"


def test_who_does_not_publish_is_not_blocked(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as c, Holder(small, "q") as holder:
        p.login(capabilities=BLOCKED).open(1)
        c.login(capabilities=BLOCKED).open(1)
        fill(p, holder)
        assert not is_blocked(c, 0.3)
        c.sync(1)


def test_without_the_capability_the_publisher_just_waits(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as q, Holder(small, "q") as holder:
        p.login(capabilities=BLOCKED).open(1)
        fill(p, holder)
        q.login(capabilities={}).open(1)
        q.publish(1, b"x", routing_key="q")
        q.write(b"")
        q.quiet(0, 0.3)
        holder.settle()
        q.sync(1)


def test_a_blocked_broker_stops(small):
    with Wire(small.amqp_port) as p, Holder(small, "q") as holder:
        p.login(capabilities=BLOCKED).open(1)
        fill(p, holder)
        assert small.stop() == 0


def test_what_waits_in_a_queue_goes_to_the_disk_and_blocks_nobody(small):
    """Transient messages too, five times what memory may hold; in order, and all there."""
    count = 320
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as c:
        p.login(capabilities=BLOCKED).open(1)
        p.call(1, "queue.declare", queue="q")
        for n in range(count):
            p.publish(1, n.to_bytes(4, "big") + BODY, routing_key="q")
        p.sync(1)
        assert not is_blocked(p, 0.3)
        c.login().open(1)
        c.call(1, "basic.consume", queue="q", no_ack=True)
        for n in range(count):
            assert c.read(1, 5).body == n.to_bytes(4, "big") + BODY

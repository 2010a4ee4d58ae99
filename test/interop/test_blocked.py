"""connection.blocked: publishers are told and held while memory is short; consumers go on."""

import threading
import time

import pika
import pytest
from fixtures import Endpoint
from support.broker import Leveret

BODY = bytes(1 << 20)


@pytest.fixture
def small_broker(broker):
    if not isinstance(broker.process, Leveret):
        pytest.skip("only for a Leveret that this run starts")
    with Leveret("--memory-high-watermark", "48MiB") as process:
        yield Endpoint(process.url, process)


def connect(broker, name, **options):
    return pika.BlockingConnection(pika.ConnectionParameters(
        broker.host, broker.port, client_properties={"connection_name": name}, **options))


class Holder:
    """A consumer that takes messages and settles none: what waits in a queue goes to the disk, what it holds does not."""

    def __init__(self, broker):
        self.connection = connect(broker, "holder")
        self.channel = self.connection.channel()
        self.channel.queue_declare("full")
        self.held = 0

    def take(self):
        if self.channel.basic_get("full")[0] is not None:
            self.held += 1

    def settle(self):
        self.channel.basic_ack(0, multiple=True)
        self.connection.process_data_events(0)


def test_blocked_and_unblocked(small_broker):
    publisher = connect(small_broker, "publisher")
    channel = publisher.channel()
    holder = Holder(small_broker)
    told = []
    publisher.add_on_connection_blocked_callback(
        lambda _, frame: told.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda *_: told.append("unblocked"))
    deadline = time.monotonic() + 15
    while not told:
        assert time.monotonic() < deadline, f"not blocked while {holder.held} MiB were held"
        channel.basic_publish("", "full", BODY)
        publisher.process_data_events(0.01)
        holder.take()
    assert told == ["low on memory"]

    # Whoever only consumes goes on.
    other = connect(small_broker, "consumer")
    assert other.channel().queue_declare("full", passive=True).method.consumer_count == 0
    other.close()
    holder.settle()
    while "unblocked" not in told:
        assert time.monotonic() < deadline, f"still blocked after {holder.held} MiB were settled"
        publisher.process_data_events(0.01)
    channel.basic_publish("", "full", b"after")
    body = None
    while body != b"after":
        assert time.monotonic() < deadline
        body = holder.channel.basic_get("full", auto_ack=True)[2]
        publisher.process_data_events(0)
    publisher.close()
    holder.connection.close()


def test_blocked_connection_timeout(small_broker):
    """A client that gives up when it stays blocked, as pika can."""
    publisher = connect(small_broker, "publisher", blocked_connection_timeout=1)
    channel = publisher.channel()
    holder = Holder(small_broker)
    deadline = time.monotonic() + 15
    with pytest.raises(pika.exceptions.ConnectionBlockedTimeout):
        while time.monotonic() < deadline:
            channel.basic_publish("", "full", BODY)
            publisher.process_data_events(0.01)
            holder.take()
    holder.settle()
    late = connect(small_broker, "late")
    late_channel = late.channel()
    late_channel.confirm_delivery()
    done = threading.Event()
    threading.Timer(10, lambda: done.is_set() or late.add_callback_threadsafe(late.close)).start()
    late_channel.basic_publish("", "full", b"after")
    done.set()
    late.close()
    holder.connection.close()

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


def test_blocked_and_unblocked(small_broker):
    publisher = connect(small_broker, "publisher")
    channel = publisher.channel()
    channel.queue_declare("full")
    told = []
    publisher.add_on_connection_blocked_callback(
        lambda _, frame: told.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda *_: told.append("unblocked"))
    sent = 0
    deadline = time.monotonic() + 15
    while not told:
        assert time.monotonic() < deadline, f"not blocked after {sent} MiB"
        channel.basic_publish("", "full", BODY)
        sent += 1
        publisher.process_data_events(0.01)
    assert told == ["low on memory"]

    consumer = connect(small_broker, "consumer")
    other = consumer.channel()
    assert other.queue_declare("full", passive=True).method.message_count > 0
    got = 0
    while "unblocked" not in told:
        assert time.monotonic() < deadline, f"still blocked after {got} of {sent} MiB were taken"
        if other.basic_get("full", auto_ack=True)[0]:
            got += 1
        publisher.process_data_events(0.001)
    channel.basic_publish("", "full", b"after")
    while got <= sent:
        assert time.monotonic() < deadline, f"{got} of {sent + 1}"
        got += other.basic_get("full", auto_ack=True)[0] is not None
    publisher.close()
    consumer.close()


def test_blocked_connection_timeout(small_broker):
    """A client that gives up when it stays blocked, as pika can."""
    publisher = connect(small_broker, "publisher", blocked_connection_timeout=1)
    channel = publisher.channel()
    channel.queue_declare("full")
    deadline = time.monotonic() + 15
    with pytest.raises(pika.exceptions.ConnectionBlockedTimeout):
        while time.monotonic() < deadline:
            channel.basic_publish("", "full", BODY)
            publisher.process_data_events(0.01)
    consumer = connect(small_broker, "consumer")
    consumer.channel().queue_purge("full")
    late = connect(small_broker, "late")
    late_channel = late.channel()
    late_channel.confirm_delivery()
    done = threading.Event()
    threading.Timer(10, lambda: done.is_set() or late.add_callback_threadsafe(late.close)).start()
    late_channel.basic_publish("", "full", b"after")
    done.set()
    late.close()
    consumer.close()

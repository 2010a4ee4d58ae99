"""Limits of the configuration, as clients meet them; RabbitMQ's codes and words."""

import re
import time

import pytest

from support.broker import Leveret
from wire import Wire

LIMITS = ("--consumer_max_per_channel", "2", "--cluster_queue_limit", "2", "--cluster_exchange_limit", "9",
          "--consumer_timeout", "400")


@pytest.fixture(scope="module")
def limited():
    with Leveret(*LIMITS) as server:
        yield server


@pytest.fixture
def w(limited):
    made = Wire(limited.amqp_port).login().open(1)
    yield made
    made.close()


def consume(w, queue):
    return w.call(1, "basic.consume", queue=queue)


def test_consumers_of_a_channel(limited):
    w = Wire(limited.amqp_port).login().open(1)
    queue = w.call(1, "queue.declare", exclusive=True).queue
    for _ in range(2):
        consume(w, queue)
    w.method(1, "basic.consume", queue=queue)
    w.expect_connection_close(530, re.compile(r"reached maximum \(2\) of consumers per channel"))


def test_queues_of_the_node(w):
    for _ in range(2):
        w.call(1, "queue.declare", exclusive=True)
    w.method(1, "queue.declare", queue="third", exclusive=True)
    w.expect_channel_close(1, 406, re.compile(
        r"cannot declare queue 'third': queue limit in cluster \(2\) is reached"))


def test_exchanges_of_the_node(w):
    """Seven are there from the beginning, and count."""
    for name in ("one", "two"):
        w.call(1, "exchange.declare", exchange=name, type="fanout", auto_delete=True)
    w.call(1, "exchange.declare", exchange="one", type="fanout", auto_delete=True)
    w.method(1, "exchange.declare", exchange="three", type="fanout")
    w.expect_channel_close(1, 406, re.compile("cannot declare exchange 'three': exchange limit of 9 is reached"))


def test_a_delivery_that_is_never_acknowledged_closes_its_channel(w):
    queue = w.call(1, "queue.declare", exclusive=True).queue
    consume(w, queue)
    w.publish(1, b"one", routing_key=queue)
    w.expect(1, "basic.deliver")
    w.expect_channel_close(1, 406, re.compile(
        "delivery acknowledgement on channel 1 timed out. Timeout value used: 400 ms."))
    w.open(2)
    assert w.call(2, "basic.get", answer="basic.get-ok", queue=queue, no_ack=True).redelivered


def test_deliveries_that_are_acknowledged_in_time_close_nothing(w):
    queue = w.call(1, "queue.declare", exclusive=True).queue
    consume(w, queue)
    for _ in range(8):
        w.publish(1, b"one", routing_key=queue)
        tag = w.expect(1, "basic.deliver").delivery_tag
        time.sleep(0.15)
        w.method(1, "basic.ack", delivery_tag=tag)
    w.sync(1)

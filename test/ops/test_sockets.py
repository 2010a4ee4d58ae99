"""tcp_listen_options, as clients see them. What the kernel is told: test/unit/loop/listen_test.c."""
import socket
import time

import pika
import pytest

from support.broker import Leveret
from support.net import PROTOCOL_HEADER, wait_until
from wire import Wire


def deaf_consumer(broker):
    """A client without heartbeats that asked for far more than its socket holds and reads nothing of it."""
    client = Wire(broker.amqp_port).login().open(1)
    client.call(1, "queue.declare", queue="much", exclusive=True)
    client.call(1, "basic.consume", queue="much", no_ack=True)
    for _ in range(20):
        client.publish(1, b"x" * 1_000_000, routing_key="much")
    return client


def test_a_client_that_takes_nothing_is_given_up():
    with Leveret("--tcp_listen_options.send_timeout", "1s") as broker:
        with deaf_consumer(broker), pika.BlockingConnection(pika.URLParameters(broker.url)) as other:
            time.sleep(3)           # one that waits, but has nothing to take, stays
            other.process_data_events()
            other.channel()
            wait_until(lambda: 'why="timed out"' in broker.log_tail(), 10, "the end of the deaf one")
            other.channel().queue_declare("much", exclusive=True)   # its queue went with it


def test_without_a_limit_it_stays():
    with Leveret() as broker, deaf_consumer(broker) as client:
        time.sleep(2)
        got = client.expect(1, "basic.deliver")
        assert len(got.body) == 1_000_000


@pytest.mark.parametrize("options, is_reset", [
    ((), False), (("on", "true"), True), (("on", "true", "timeout", "5"), False), (("on", "false", "timeout", "0"), False)])
def test_linger(options, is_reset):
    args = [f"--tcp_listen_options.linger.{text}" if n % 2 == 0 else text for n, text in enumerate(options)]
    with Leveret(*args) as broker, socket.create_connection(("127.0.0.1", broker.amqp_port), 5) as client:
        client.sendall(PROTOCOL_HEADER)
        assert client.recv(7, socket.MSG_WAITALL)[:3] == b"\1\0\0"
        client.shutdown(socket.SHUT_WR)
        try:
            while client.recv(65536):
                pass
            was_reset = False
        except ConnectionResetError:
            was_reset = True
        assert was_reset == is_reset

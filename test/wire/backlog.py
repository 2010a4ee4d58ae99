"""Steps of the tests that fill queues: publish and be sure of it, count, take, wait."""

import time

import pytest

from support.broker import Leveret
from support.policies import set_policy
from support.rabbitmq import RabbitMQ
from wire import Closed, Wire, properties

WINDOW = 1000
PATIENCE_S = 20


def start(request, *args):
    """A broker of its own, with an HTTP API; of the kind that --broker names. `args` are Leveret's."""
    if request.config.getoption("--broker", "leveret") == "rabbitmq":
        return RabbitMQ(has_http=True)
    return Leveret(*args, http_listen="127.0.0.1:0")


def only_leveret(broker, why):
    if not isinstance(broker, Leveret):
        pytest.skip(why)


def open_wire(broker):
    """A connection with channel 1 open and in confirm mode."""
    w = Wire(broker.amqp_port, timeout_s=PATIENCE_S).login().open(1)
    w.call(1, "confirm.select")
    w.published = w.settled = 0
    w.refused = []                      # numbers of publishes that were nacked
    return w


def publish(w, queue, bodies, exchange="", **props):
    """Publishes and waits until all are settled; returns how many were acked. `props` may be functions of the number."""
    refused = len(w.refused)
    sent = 0
    for sent, body in enumerate(bodies, 1):
        values = {key: value(sent - 1) if callable(value) else value for key, value in props.items()}
        w.publish(1, body, properties(**{"delivery_mode": 2, **values}), exchange=exchange, routing_key=queue)
        w.published += 1
        while w.published - w.settled >= WINDOW:
            _settle(w)
    while w.settled < w.published:
        _settle(w)
    return sent - (len(w.refused) - refused)


def _settle(w):
    m = w.read(1)
    assert m.name in ("basic.ack", "basic.nack"), m
    waiting = w.__dict__.setdefault("early", set())
    numbers = range(w.settled + 1, m.delivery_tag + 1) if m.multiple else (m.delivery_tag,)
    if m.name == "basic.nack":
        w.refused.extend(n for n in numbers if n not in waiting)
    waiting.update(numbers)
    while w.settled + 1 in waiting:
        w.settled += 1
        waiting.discard(w.settled)


def count(w, queue):
    return w.call(1, "queue.declare", queue=queue, passive=True).message_count


def wait_count(w, queue, wanted, patience_s=PATIENCE_S):
    """Until the queue has that many messages."""
    deadline, seen = time.monotonic() + patience_s, None
    while seen != wanted:
        assert time.monotonic() < deadline, f"{queue}: {seen} messages, expected {wanted}"
        if seen is not None:
            time.sleep(0.02)
        seen = count(w, queue)


def get(w, queue, no_ack=True):
    w.method(1, "basic.get", queue=queue, no_ack=no_ack)
    m = w.read(1)
    return m if m.name == "basic.get-ok" else None


def wait_get(w, queue, no_ack=True, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while True:
        m = get(w, queue, no_ack)
        if m:
            return m
        assert time.monotonic() < deadline, f"{queue}: no message"
        time.sleep(0.02)


def drain(w, queue):
    """All messages, taken away."""
    wanted = count(w, queue)
    w.call(1, "basic.consume", queue=queue, consumer_tag="drain", no_ack=True)
    taken = [w.expect(1, "basic.deliver") for _ in range(wanted)]
    w.method(1, "basic.cancel", consumer_tag="drain")
    while (m := w.read(1)).name == "basic.deliver":
        taken.append(m)
    return taken


def bodies(messages):
    return [m.body for m in messages]


def numbers(messages):
    """The number with which each body begins."""
    return [int(m.body.split()[0]) for m in messages]


def is_gone(broker, queue):
    """Asks in a way that does not use the queue: x-expires goes on."""
    with Wire(broker.amqp_port).login().open(1) as w:
        w.method(1, "queue.bind", queue=queue, exchange="amq.direct", routing_key=queue)
        m = w.read(1)
        return m.name == "channel.close" and m.reply_code == 404


def policy(broker, queue, definition):
    assert set_policy(broker.http_port, queue, definition) in (201, 204)


def lost(w):
    """Drops what a killed broker leaves of a connection."""
    try:
        w.close_socket()
    except (OSError, Closed):
        pass

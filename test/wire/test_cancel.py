"""A consumer that is cancelled from both ends at once: its client says basic.cancel while its queue, which lives on another
loop, goes away."""
import pytest

from support.broker import Leveret
from wire import Wire, method, publish

ROUNDS = 300
BUSY = publish(1, b"", routing_key="nobody") * 500     # keeps a loop from its mail for a while


@pytest.fixture
def broker():
    with Leveret("--loops", "4") as server:
        yield server


@pytest.fixture
def two(broker):
    """The connection of the queues' loop, and a consumer's that stays on its own, having a consumer there."""
    with Wire(broker.amqp_port) as owner, Wire(broker.amqp_port) as consumer:
        for w in (owner, consumer):
            w.login(capabilities={"consumer_cancel_notify": True}).open(1)
        consumer.call(1, "queue.declare", queue="anchor", exclusive=True)
        consumer.call(1, "basic.consume", queue="anchor", consumer_tag="anchor")
        yield owner, consumer


def begin(owner, consumer, queue):
    """The queue is made where its first publisher is; then it is consumed from elsewhere."""
    owner.call(1, "queue.declare", queue=queue)
    owner.publish(1, b"", routing_key=queue)
    owner.call(1, "basic.get", answer="basic.get-ok", queue=queue, no_ack=True)
    consumer.call(1, "basic.consume", queue=queue, consumer_tag="c", no_ack=True)


def cancel_ok(consumer):
    """The client's own cancel is agreed to; before that it may hear that the queue went away."""
    m = consumer.read(1)
    if m.name == "basic.cancel":
        m = consumer.read(1)
    assert m.name == "basic.cancel-ok" and m.consumer_tag == "c"


def test_queue_goes_while_its_consumer_is_cancelled(broker, two):
    owner, consumer = two
    for r in range(ROUNDS):
        queue = f"q{r}"
        begin(owner, consumer, queue)
        owner.write(BUSY, method(1, "queue.delete", queue=queue))
        consumer.method(1, "basic.cancel", consumer_tag="c")
        owner.expect(1, "queue.delete-ok")
        cancel_ok(consumer)
    consumer.sync(1)
    assert broker.is_running()

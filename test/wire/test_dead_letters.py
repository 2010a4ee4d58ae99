"""What test/diff leaves out of dead letters, because RabbitMQ 3.10 has it not or in another order: section 1.11."""

import pytest

from backlog import wait_get
from wire import T


@pytest.fixture
def queues(w):
    """An exclusive queue that leads to the next one, for each reason to die."""
    names = {}

    def make(name, to=None, **arguments):
        arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
        if to is not None:
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": names[to]}
        names[name] = w.call(1, "queue.declare", exclusive=True, arguments=arguments).queue
        return names[name]
    return make


def reject(w, queue):
    w.method(1, "basic.reject", delivery_tag=wait_get(w, queue, no_ack=False).delivery_tag)


@pytest.mark.differs("x-death-order")
def test_headers_and_the_order_of_an_entry(w, queues):
    d = queues("d")
    q = queues("q", to="d")
    w.publish(1, b"1", {"headers": {"mine": 5}, "expiration": "60000"}, routing_key=q)
    reject(w, q)
    headers = dict(wait_get(w, d).headers.typed)
    assert headers["mine"] == T("I", 5)
    assert headers.keys() == {"mine", "x-death", "x-first-death-queue", "x-first-death-reason", "x-first-death-exchange",
                              "x-last-death-queue", "x-last-death-reason", "x-last-death-exchange"}
    entry, = headers["x-death"].value
    assert [key for key, _ in entry.value.typed] == ["original-expiration", "count", "reason", "queue", "time", "exchange",
                                                     "routing-keys"]
    assert [value.octet for _, value in entry.value.typed] == list("SlSSTSA")


@pytest.mark.differs("x-death-order")
def test_the_last_death_moves_and_the_first_stays(w, queues):
    d = queues("d")
    r = queues("r", to="d")
    q = queues("q", to="r")
    p = queues("p", to="q", x_message_ttl=20)
    w.publish(1, b"1", routing_key=p)
    reject(w, q)
    reject(w, r)
    headers = wait_get(w, d).headers
    assert [(death["queue"], death["reason"]) for death in headers["x-death"]] == [
        (r, "rejected"), (q, "rejected"), (p, "expired")]
    assert [headers[f"x-first-death-{what}"] for what in ("queue", "reason", "exchange")] == [p, "expired", ""]
    assert [headers[f"x-last-death-{what}"] for what in ("queue", "reason", "exchange")] == [r, "rejected", ""]


@pytest.mark.differs("x-death-order")
def test_a_death_that_comes_again_moves_to_the_front(w):
    """Three queues in a circle of rejections: after a second round in the first one."""
    names = [f"circle-{n}" for n in range(3)]
    for n, name in enumerate(names):
        w.call(1, "queue.declare", queue=name, exclusive=True, arguments={
            "x-dead-letter-exchange": "", "x-dead-letter-routing-key": names[(n + 1) % 3]})
    w.publish(1, b"1", routing_key=names[0])
    for n in range(4):
        reject(w, names[n % 3])
    deaths = wait_get(w, names[1]).headers["x-death"]
    assert [(death["queue"], death["count"]) for death in deaths] == [(names[0], 2), (names[2], 1), (names[1], 1)]


@pytest.mark.differs("dead-letter-forged")
def test_x_death_from_a_publisher_does_not_stop_a_circle(w):
    """Were it believed, the message would be taken for one that has been here before, and be dropped."""
    d = w.call(1, "queue.declare", exclusive=True).queue
    q = w.call(1, "queue.declare", exclusive=True, arguments={"x-message-ttl": 20, "x-dead-letter-exchange": "",
                                                              "x-dead-letter-routing-key": d}).queue
    forged = {"count": T("l", 1), "reason": "expired", "queue": d, "time": T("T", 5), "exchange": "", "routing-keys": [d]}
    w.publish(1, b"1", {"headers": {"x-death": [forged]}}, routing_key=q)
    deaths = wait_get(w, d).headers["x-death"]
    assert [(death["queue"], death["count"]) for death in deaths] == [(q, 1)]

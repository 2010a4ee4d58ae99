"""Looking at messages in a queue: they stay as they are, wherever they lie."""

import base64

import pika
import pytest

from brokers import wait_for
from client import Client
from world import PASSWORD


@pytest.fixture(autouse=True)
def leveret_only(target):
    if not target.is_leveret:
        pytest.skip("RabbitMQ cannot look without taking")


@pytest.fixture
def channel(target):
    connection = pika.BlockingConnection(pika.URLParameters(target.url))
    channel = connection.channel()
    channel.confirm_delivery()
    yield channel
    connection.close()


@pytest.fixture
def queue(channel, name):
    channel.queue_declare(name, durable=True)
    yield name
    channel.queue_delete(name)


def peek(admin, queue, **body):
    return admin.ok("POST", f"/api/x/queues/%2F/{queue}/peek", body).json


def walk(admin, queue, **body):
    """All that the cursor shows."""
    seen, position = [], 0
    while position is not None:
        page = peek(admin, queue, **{"from": position, **body})
        seen += page["messages"]
        assert page["next"] is None or page["next"] > position
        position = page["next"]
    return seen


def counts(admin, queue):
    row = admin.fetch(f"/api/queues/%2F/{queue}")
    totals = {key: n for key, n in row.get("message_stats", {}).items() if isinstance(n, int)}
    return row["messages_ready"], row["messages_unacknowledged"], totals


def test_what_a_message_looks_like(admin, channel, queue):
    channel.basic_publish("", queue, b"text", pika.BasicProperties(headers={"n": 1}, content_type="text/plain"))
    channel.basic_publish("", queue, b"\xff\x00")
    page = peek(admin, queue)
    assert page["next"] is None
    first, second = page["messages"]
    assert first == {"position": first["position"], "state": "ready", "payload_bytes": 4, "redelivered": False, "exchange": "",
                     "routing_key": queue, "properties": {"headers": {"n": 1}, "content_type": "text/plain"},
                     "payload": "text", "payload_encoding": "string"}
    assert second["payload_encoding"] == "base64"
    assert base64.b64decode(second["payload"]) == b"\xff\x00"
    cut = peek(admin, queue, count=1, truncate=2, encoding="base64")
    assert (cut["messages"][0]["payload"], cut["messages"][0]["payload_bytes"]) == ("dGU=", 4)
    assert cut["next"] == second["position"]


def test_unacked_messages_are_shown_when_asked_for(admin, channel, queue):
    for number in range(4):
        channel.basic_publish("", queue, str(number))
    tags = [channel.basic_get(queue)[0].delivery_tag for _ in range(3)]
    channel.basic_nack(tags[1])
    wait_for("the message that comes back", lambda: counts(admin, queue)[:2] == (2, 2))

    def shown(**body):
        return [(m["payload"], m["state"], m["redelivered"]) for m in peek(admin, queue, **body)["messages"]]
    assert shown() == [("1", "ready", True), ("3", "ready", False)]
    assert shown(state="unacked") == [("0", "unacked", False), ("2", "unacked", False)]
    assert [row[0] for row in shown(state="all")] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("count,size", [(9000, 10), (7000, 1000)], ids=["small", "large"])
def test_a_long_queue_is_shown_as_it_is(target, admin, channel, queue, count, size):
    """Most of it is on the disk only, in pages."""
    persistent = pika.BasicProperties(delivery_mode=2)
    bodies = [f"{number:06}".ljust(size, ".") for number in range(count)]
    connection = pika.BlockingConnection(pika.URLParameters(target.url))    # one that waits for no confirm
    publisher = connection.channel()
    for body in bodies:
        publisher.basic_publish("", queue, body, persistent)
    connection.close()
    wait_for("the messages", lambda: counts(admin, queue)[0] == count)
    before = counts(admin, queue)
    seen = walk(admin, queue, count=500)
    assert [m["payload"] for m in seen] == bodies
    assert not any(m["redelivered"] for m in seen)
    middle = seen[count // 2]["position"]
    assert [m["payload"] for m in peek(admin, queue, **{"from": middle, "count": 3})["messages"]] == bodies[
        count // 2:count // 2 + 3]
    assert counts(admin, queue) == before
    for body in bodies[:50]:
        method, _, got = channel.basic_get(queue, auto_ack=True)
        assert (got.decode(), method.redelivered) == (body, False)
    assert peek(admin, queue, count=1)["messages"][0]["payload"] == bodies[50]


def test_what_is_asked_for_must_make_sense(admin, queue):
    for wrong in ({"count": 0}, {"count": 501}, {"count": "x"}, {"from": -1}, {"state": "nosuch"}, {"encoding": "nosuch"},
                  {"truncate": -1}):
        assert admin.post(f"/api/x/queues/%2F/{queue}/peek", wrong).status == 400, wrong
    assert admin.post("/api/x/queues/%2F/nosuch/peek").status == 404
    assert peek(admin, queue) == {"messages": [], "next": None}


def test_who_may_not_read_may_not_look(target, admin, channel, queue, name):
    admin.ok("PUT", f"/api/users/{name}", {"password": PASSWORD, "tags": "management"})
    client = Client(target.http_port, name, PASSWORD)
    path = f"/api/x/queues/%2F/{queue}/peek"
    try:
        assert client.post(path).status in (401, 404)
        admin.ok("PUT", f"/api/permissions/%2F/{name}", {"configure": ".*", "write": ".*", "read": "^$"})
        assert client.post(path).status == 401
        admin.ok("PUT", f"/api/permissions/%2F/{name}", {"configure": "", "write": "", "read": ".*"})
        assert client.post(path).status == 200
    finally:
        client.close()
        admin.delete(f"/api/users/{name}")


def test_an_exclusive_queue_is_nobodys_business(admin, channel):
    mine = channel.queue_declare("", exclusive=True).method.queue
    assert admin.post(f"/api/x/queues/%2F/{mine}/peek").status == 400

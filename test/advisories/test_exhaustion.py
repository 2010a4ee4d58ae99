"""Resource exhaustion: every length is checked before anything is kept for it, and work is bounded for each frame."""

import threading

import pika
import pytest

import wire
from client import Client
from wire import Wire

KIB = 1024


def test_body_frames_beyond_what_the_header_announced(broker):
    """RabbitMQ kept whatever came."""
    with Wire(broker.amqp_port) as client:
        client.login()
        client.open(1)
        client.write(wire.method(1, "basic.publish", routing_key="x"), wire.header(1, 10),
                     wire.frame(3, 1, b"x" * 10_000))
        closed = client.expect(0, "connection.close")
        assert closed.reply_code == 501


def test_announced_body_costs_nothing_before_it_comes(broker):
    before = broker.rss_bytes()
    clients = []
    for _ in range(50):
        client = Wire(broker.amqp_port)
        client.login()
        client.open(1)
        client.write(wire.method(1, "basic.publish", routing_key="x"), wire.header(1, 16 * 1024 * KIB))
        clients.append(client)
    assert broker.rss_bytes() - before <= 50 * 256 * KIB
    for client in clients:
        client.close_socket()


def test_sockets_before_a_login(broker):
    """Mosquitto 2017-7651, 2023-0809: memory before CONNECT."""
    before = broker.rss_bytes()
    sockets = []
    for _ in range(300):
        client = Wire(broker.amqp_port)
        client.write(b"AMQP\0\0\x09\x01")
        sockets.append(client)
    with Wire(broker.amqp_port) as client:
        client.login()
    assert (broker.rss_bytes() - before) / 300 <= 64 * KIB
    for client in sockets:
        client.close_socket()


def test_frame_larger_than_allowed_before_tune(broker):
    with Wire(broker.amqp_port) as client:
        client.start()
        client.write(b"\1\0\0" + (1 << 30).to_bytes(4, "big") + b"x" * 70_000)
        with pytest.raises((wire.Closed, ConnectionError)):
            while True:                     # whatever it says before
                client.read(0)


@pytest.mark.parametrize("key", ("#.#.#.#.#.#.#.#.#", "#.a.#.b.#.c.#.d.#"))
def test_topic_patterns_that_multiply_work(broker, key):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    channel.queue_declare("multiply", auto_delete=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_bind("multiply", "amq.topic", key)
    assert closed.value.reply_code == 406
    connection.close()


def test_keys_of_nothing_but_dots(broker):
    """Mosquitto: topics of many levels. 255 words meet a hundred patterns with two wildcards each."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    channel.queue_declare("dots", auto_delete=True)
    for number in range(100):
        channel.queue_bind("dots", "amq.topic", "#." + "*." * number + "#.x")
    channel.confirm_delivery()
    for _ in range(200):
        channel.basic_publish("amq.topic", "." * 255, b"")
    connection.close()


PATTERNS = ("(a+)+$", "(a|aa)+$", "(.*)*x", "((a*)*)*$", "(a?){40}a{40}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_that_run_away(broker, admin, name, pattern):
    """As a permission, a policy, and a filter. Whatever comes of it, it comes soon, and others are served meanwhile."""
    victim = "a" * 200 + "!"
    admin.put(f"/api/vhosts/{name}")
    admin.put(f"/api/users/{name}", {"password": "x", "tags": "management"})
    rights = admin.put(f"/api/permissions/{name}/{name}", {"configure": pattern, "write": pattern, "read": pattern})
    policy = admin.put(f"/api/policies/{name}/p", {"pattern": pattern, "definition": {"max-length": 1}})
    assert {rights.status, policy.status} <= {201, 204, 400}
    admin.put(f"/api/queues/{name}/{victim}", {})
    answers = []

    def evil():
        client = Client(broker.http_port, name, "x")
        answers.append(client.put(f"/api/queues/{name}/{victim}x").status)
        answers.append(client.get(f"/api/queues/{name}?page=1&use_regex=true&name={pattern.replace('+', '%2B')}").status)
        client.close()
    threads = [threading.Thread(target=evil) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert Client(broker.http_port).get("/api/whoami").status == 200
    pika.BlockingConnection(pika.URLParameters(broker.url)).close()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
    assert len(answers) == 8 and set(answers) <= {200, 201, 204, 400, 401}
    admin.delete(f"/api/users/{name}")
    admin.delete(f"/api/vhosts/{name}")


def test_names_are_not_kept_for_ever(broker):
    """Erlang's atoms: names from outside that are never given back."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()

    def churn(count, word):
        for number in range(count):
            queue = f"{word}-{number}-" + "n" * 150
            channel.queue_declare(queue, arguments={f"x-{word}-{number}": 1})
            channel.exchange_declare(queue, "direct")
            channel.queue_bind(queue, queue, queue)
            channel.queue_delete(queue)
            channel.exchange_delete(queue)
    churn(1000, "warm")
    before = broker.rss_bytes()
    churn(4000, "then")
    assert broker.rss_bytes() - before <= 4000 * 256
    connection.close()


def test_policies_change_while_messages_flow(broker, admin):
    """LavinMQ: a crash by concurrent changes of policies."""
    is_over, problems = threading.Event(), []

    def publish():
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        for number in range(10):
            channel.queue_declare(f"changed-{number}", auto_delete=True)
            channel.basic_consume(f"changed-{number}", lambda *_: None, auto_ack=True)
        while not is_over.is_set():
            for number in range(10):
                channel.basic_publish("", f"changed-{number}", b"x")
            connection.process_data_events(0)
        connection.close()
    threads = [threading.Thread(target=publish) for _ in range(2)]
    for thread in threads:
        thread.start()
    for round_ in range(100):
        answer = admin.put(f"/api/policies/%2F/p{round_ % 5}", {
            "pattern": f"^changed-{round_ % 10}", "definition": {"max-length": 1 + round_, "message-ttl": 1000}, "priority": round_ % 7})
        if answer.status not in (201, 204):
            problems.append(answer)
        if round_ % 3 == 0:
            admin.delete(f"/api/policies/%2F/p{(round_ + 2) % 5}")
    is_over.set()
    for thread in threads:
        thread.join()
    for number in range(5):
        admin.delete(f"/api/policies/%2F/p{number}")
    assert not problems

"""kombu: entities, pools, retries and its own request-reply on top of py-amqp."""

import socket
import time

import pytest
from amqp.exceptions import AccessRefused, NotAllowed
from kombu import Connection, Consumer, Exchange, Producer, Queue, binding
from kombu.exceptions import ChannelError
from kombu.mixins import ConsumerProducerMixin
from kombu.pools import producers, reset


@pytest.fixture
def connection(broker):
    with Connection(broker.url_with(), connect_timeout=5) as connection:
        yield connection
    reset()


def drain(connection, got, count, seconds=5):
    deadline = time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        try:
            connection.drain_events(timeout=0.1)
        except socket.timeout:
            pass
    assert len(got) >= count, f"{len(got)} of {count}"


def test_prefetch_is_used_as_with_rabbitmq(broker, connection):
    """From version 4 on kombu limits each consumer, before the channel (global=true)."""
    connection.connect()
    assert connection.qos_semantics_matches_spec is not broker.is_old_rabbitmq


def test_wrong_password(broker):
    with Connection(broker.url_with(password="wrong"), connect_timeout=5) as connection:
        with pytest.raises(AccessRefused):
            connection.connect()


def test_missing_vhost(broker):
    with Connection(broker.url_with(vhost="nowhere"), connect_timeout=5) as connection:
        with pytest.raises(NotAllowed):
            connection.connect()


def test_topic_exchange_with_serialised_bodies(connection, name):
    exchange = Exchange(name("x"), "topic", auto_delete=True, durable=False)
    queue = Queue(name(), exchange, exclusive=True, durable=False, auto_delete=True, bindings=[
        binding(exchange, "order.*"), binding(exchange, "refund.#")])
    got = []
    with connection.channel() as channel, Consumer(channel, queue, accept=["json", "pickle"]) as c:
        c.register_callback(lambda body, message: (got.append((body, message)), message.ack()))
        producer = Producer(channel, exchange, serializer="json")
        producer.publish({"id": 1}, routing_key="order.new", headers={"who": "me"})
        producer.publish([1, 2], routing_key="refund", compression="zlib")
        producer.publish((3, 4), routing_key="refund.a.b", serializer="pickle", declare=[exchange])
        producer.publish("lost", routing_key="other")
        drain(connection, got, 3)
    assert [body for body, _ in got] == [{"id": 1}, [1, 2], (3, 4)]
    assert got[0][1].headers["who"] == "me"
    assert got[0][1].delivery_info["routing_key"] == "order.new"


def test_ack_reject_requeue(connection, name):
    queue = Queue(name(), durable=True)
    got = []
    with connection.channel() as channel:
        queue(channel).declare()
        with Consumer(channel, queue, on_message=got.append, prefetch_count=1):
            Producer(channel).publish("one", routing_key=queue.name)
            Producer(channel).publish("two", routing_key=queue.name)
            drain(connection, got, 1)
            got[0].requeue()
            drain(connection, got, 2)
            assert got[1].payload == "one" and got[1].delivery_info["redelivered"]
            got[1].reject()
            drain(connection, got, 3)
            assert got[2].payload == "two"
            got[2].ack()
        assert queue(channel).delete() == 0


def test_qos_changes_while_consuming(connection, name):
    queue = Queue(name(), exclusive=True, durable=False)
    got = []
    with connection.channel() as channel:
        with Consumer(channel, queue, on_message=got.append) as consumer:
            consumer.qos(prefetch_count=1, apply_global=True)
            for i in range(3):
                Producer(channel).publish(i, routing_key=queue.name)
            drain(connection, got, 1)
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.2)
            consumer.qos(prefetch_count=3, apply_global=True)
            drain(connection, got, 3)


def test_simple_queue(connection, name):
    queue = connection.SimpleQueue(name(), queue_opts={"durable": False, "auto_delete": False})
    for i in range(3):
        queue.put({"n": i})
    assert [queue.get(timeout=5).payload["n"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(queue.Empty):
        queue.get(block=False)
    queue.close()
    queue.queue(connection.channel()).delete()


def test_publishing_with_retry_from_a_pool(broker, name):
    queue = Queue(name(), durable=True)
    with Connection(broker.url_with(), transport_options={"confirm_publish": True}) as connection:
        with producers[connection].acquire(block=True) as producer:
            producer.publish("x", routing_key=queue.name, declare=[queue], retry=True,
                             retry_policy={"max_retries": 2}, mandatory=True)
            bound = queue(producer.channel)
            assert bound.get(no_ack=True).payload == "x"
            bound.delete()
    reset()


def test_errors_keep_their_codes(connection, name):
    with pytest.raises(ChannelError) as raised:
        Queue("interop.missing")(connection.channel()).queue_declare(passive=True)
    assert raised.value.reply_code == 404
    exchange = name("x")
    Exchange(exchange, "direct", auto_delete=True)(connection.channel()).declare()
    with pytest.raises(ChannelError) as raised:
        Exchange(exchange, "topic", auto_delete=True)(connection.channel()).declare()
    assert raised.value.reply_code == 406


def test_exchange_to_exchange(connection, name):
    with connection.channel() as channel:
        source = Exchange(name("source"), "fanout", auto_delete=True, durable=False)(channel)
        target = Exchange(name("target"), "fanout", auto_delete=True, durable=False)(channel)
        source.declare()
        target.declare()
        target.bind_to(source)
        queue = Queue(name(), target, exclusive=True, durable=False)(channel)
        queue.declare()
        Producer(channel, source).publish("through")
        assert queue.get(no_ack=True).payload == "through"


def test_connection_heartbeat_check(broker):
    with Connection(broker.url_with(), heartbeat=2) as connection:
        connection.connect()
        for _ in range(8):
            time.sleep(0.4)
            connection.heartbeat_check(rate=4)
        assert connection.connected


class Doubler(ConsumerProducerMixin):
    """A server: doubles what it is sent and answers to the asker."""

    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue

    def get_consumers(self, consumer_class, channel):
        return [consumer_class(self.queue, on_message=self.answer, prefetch_count=1)]

    def answer(self, message):
        self.producer.publish(message.payload * 2, routing_key=message.properties["reply_to"],
                              correlation_id=message.properties["correlation_id"])
        message.ack()
        self.should_stop = True


def test_request_and_reply_with_mixin(broker, connection, name):
    requests = Queue(name(), auto_delete=True, durable=False)
    replies = Queue(name("reply"), exclusive=True, durable=False)
    with connection.channel() as channel:
        requests(channel).declare()
        replies(channel).declare()
        Producer(channel).publish(21, routing_key=requests.name, reply_to=replies.name,
                                  correlation_id="c-1")
        server = Doubler(Connection(broker.url_with()), requests)
        server.run()
        server.connection.release()
        message = replies(channel).get(no_ack=True)
        assert message.payload == 42 and message.properties["correlation_id"] == "c-1"

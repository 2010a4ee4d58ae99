"""A broker that is stopped, or killed, and comes back on the same port."""

import asyncio
import threading

import aio_pika
import pika
import pytest
from fixtures import Endpoint
from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin
from support.broker import Leveret
from support.net import free_ports


class Restartable:
    def __init__(self):
        self.port = free_ports()[0]
        self.process = None
        self.start()

    def start(self):
        self.process = Leveret(amqp_listen=f"127.0.0.1:{self.port}").start()

    def stop(self, kill=False):
        if kill:
            self.process.kill()
        return self.process.stop()

    @property
    def url(self):
        return Endpoint(self.process.url).url_with()


@pytest.fixture
def own_broker(broker):
    if not isinstance(broker.process, Leveret):
        pytest.skip("only for a Leveret that this run starts")
    restartable = Restartable()
    yield restartable
    restartable.stop()


def test_graceful_stop_says_why(own_broker):
    """connection.close with 320, an answer taken, and a clean end."""
    connection = pika.BlockingConnection(pika.URLParameters(own_broker.url))
    channel = connection.channel()
    code = []
    stopping = threading.Thread(target=lambda: code.append(own_broker.process.stop()))
    stopping.start()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as raised:
        while True:
            connection.process_data_events(0.1)
            assert channel.is_open
    stopping.join(10)
    own_broker.start()
    assert raised.value.reply_code == 320
    assert raised.value.reply_text == (
        "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
    assert code == [0]


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_robust_connection_survives(own_broker, name, kill):
    async def scenario():
        connection = await aio_pika.connect_robust(own_broker.url, reconnect_interval=0.1)
        async with connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(name("x"), "topic", auto_delete=True)
            queue = await channel.declare_queue(name(), auto_delete=True)
            await queue.bind(exchange, "a.*")
            got = asyncio.Queue()
            await queue.consume(got.put, no_ack=True)
            back = asyncio.Event()
            connection.reconnect_callbacks.add(lambda *_: back.set())
            await asyncio.to_thread(own_broker.stop, kill)
            await asyncio.to_thread(own_broker.start)
            await back.wait()
            await exchange.publish(aio_pika.Message(b"after"), "a.b")
            assert (await got.get()).body == b"after"
    asyncio.run(asyncio.wait_for(scenario(), 15))


class Listener(ConsumerMixin):
    """A kombu consumer that connects again by itself."""

    def __init__(self, connection, queue):
        self.connection = connection
        self.queue = queue
        self.got = []
        self.consuming = threading.Event()
        self.received = threading.Event()

    def get_consumers(self, consumer_class, channel):
        return [consumer_class(self.queue, on_message=self.on_message)]

    def on_consume_ready(self, connection, channel, consumers, **_):
        self.consuming.set()

    def on_message(self, message):
        message.ack()
        self.got.append(message.payload)
        self.received.set()


def test_kombu_consumer_survives(own_broker, name):
    queue = Queue(name(), Exchange(name("x"), durable=True), routing_key="key", durable=True)
    with Connection(own_broker.url) as connection:
        listener = Listener(connection, queue)
        thread = threading.Thread(target=listener.run, daemon=True)
        thread.start()
        assert listener.consuming.wait(5)
        listener.consuming.clear()
        own_broker.stop()
        own_broker.start()
        assert listener.consuming.wait(10)
        with Connection(own_broker.url) as other:
            other.Producer().publish("after", exchange=queue.exchange, routing_key="key", retry=True)
        assert listener.received.wait(5)
        listener.should_stop = True
        thread.join(5)
        assert listener.got == ["after"]

"""aio-pika: the robust connection of asyncio programs."""

import asyncio
import datetime
import functools

import aio_pika
import pytest
from aio_pika.exceptions import (AMQPConnectionError, AMQPError, ChannelClosed,
                                 ChannelNotFoundEntity, ChannelPreconditionFailed, DeliveryError,
                                 ProbableAuthenticationError)
from aio_pika.patterns import RPC, Master


def run(test):
    """Runs a coroutine test in a loop of its own; ten seconds at most."""
    @functools.wraps(test)
    def wrapper(*args, **options):
        asyncio.run(asyncio.wait_for(test(*args, **options), 10))
    return wrapper


def connect(broker, **options):
    return aio_pika.connect_robust(broker.url_with(), timeout=5, **options)


@run
async def test_work_queue(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue(name(), auto_delete=True)
        for i in range(20):
            await channel.default_exchange.publish(aio_pika.Message(str(i).encode()), queue.name)
        got = []
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    got.append(int(message.body))
                if len(got) == 20:
                    break
        assert got == list(range(20))


@run
async def test_wrong_password(broker):
    with pytest.raises(ProbableAuthenticationError):
        await aio_pika.connect(broker.url_with(password="wrong"), timeout=5)


@run
async def test_missing_vhost(broker):
    with pytest.raises(AMQPError):
        await aio_pika.connect(broker.url_with(vhost="nowhere"), timeout=5)


@run
async def test_errors_close_only_their_channel(broker, name):
    async with await aio_pika.connect(broker.url_with(), timeout=5) as connection:
        good = await connection.channel()
        queue = await good.declare_queue(name(), exclusive=True)
        with pytest.raises(ChannelNotFoundEntity):
            await (await connection.channel()).declare_queue("interop.missing", passive=True)
        with pytest.raises(ChannelPreconditionFailed):
            await (await connection.channel()).declare_queue(queue.name, exclusive=True,
                                                             auto_delete=True)
        with pytest.raises(ChannelClosed):
            await (await connection.channel()).default_exchange.delete()
        await good.default_exchange.publish(aio_pika.Message(b"x"), queue.name)
        assert (await queue.get(timeout=5, no_ack=True)).body == b"x"


@run
async def test_message_round_trips(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        headers = {"bool": True, "int": -5, "big": 2**40, "float": 1.5, "text": "ß", "none": None,
                   "list": [1, "a", {"b": 2}], "table": {"x": {"y": "z"}},
                   "time": datetime.datetime(2026, 3, 4, tzinfo=datetime.timezone.utc)}
        sent = aio_pika.Message(
            b"body", headers=headers, content_type="text/x", content_encoding="none",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT, priority=5, correlation_id="c",
            reply_to="r", expiration=30, message_id="m", type="t", user_id="guest", app_id="a",
            timestamp=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc))
        await channel.default_exchange.publish(sent, queue.name)
        got = await queue.get(timeout=5, no_ack=True)
        ours, theirs = sent.info(), got.info()
        for key in ("content_type", "content_encoding", "delivery_mode", "priority", "type",
                    "correlation_id", "reply_to", "expiration", "message_id", "timestamp",
                    "user_id", "app_id"):
            assert theirs[key] == ours[key], key
        assert got.headers == headers and got.body == b"body"


@run
async def test_settling(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        for body in b"abc":
            await channel.default_exchange.publish(aio_pika.Message(bytes([body])), queue.name)
        first = await queue.get(timeout=5)
        await first.reject(requeue=True)
        again = await queue.get(timeout=5)
        assert again.body == b"a" and again.redelivered
        await again.nack(requeue=False)
        second = await queue.get(timeout=5)
        await second.ack()
        third = await queue.get(timeout=5)
        assert (second.body, third.body) == (b"b", b"c")
        await third.ack()
        assert await queue.get(timeout=5, fail=False) is None


@run
async def test_unroutable_is_returned(broker):
    async with await connect(broker) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("amq.direct")
        with pytest.raises(DeliveryError):
            await exchange.publish(aio_pika.Message(b"lost"), "nobody", mandatory=True)


@run
async def test_concurrent_confirms(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        await asyncio.gather(*(
            channel.default_exchange.publish(aio_pika.Message(str(i).encode()), queue.name)
            for i in range(500)))
        for i in range(500):
            assert (await queue.get(timeout=5, no_ack=True)).body == str(i).encode()


@run
async def test_topic_and_exchange_binding(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        topic = await channel.declare_exchange(name("t"), "topic", auto_delete=True)
        fan = await channel.declare_exchange(name("f"), "fanout", auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(fan)
        await fan.bind(topic, "log.#")
        await topic.publish(aio_pika.Message(b"1"), "log")
        await topic.publish(aio_pika.Message(b"2"), "other")
        await topic.publish(aio_pika.Message(b"3"), "log.a.b")
        assert [(await queue.get(timeout=5, no_ack=True)).body for _ in range(2)] == [b"1", b"3"]
        assert await queue.get(no_ack=True, fail=False) is None


@run
async def test_transaction(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel(publisher_confirms=False)
        queue = await channel.declare_queue(name(), exclusive=True)
        with pytest.raises(KeyError):
            async with channel.transaction():
                await channel.default_exchange.publish(aio_pika.Message(b"no"), queue.name)
                raise KeyError
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"yes"), queue.name)
        assert (await queue.get(timeout=5)).body == b"yes"


@run
async def test_rpc_pattern(broker, name):
    method = name("rpc")
    async with await connect(broker) as connection:
        server = await RPC.create(await connection.channel())
        client = await RPC.create(await connection.channel())

        async def double(number):
            return 2 * number
        await server.register(method, double, auto_delete=True)
        assert await asyncio.gather(*(client.call(method, {"number": n}) for n in range(10))) == [
            2 * n for n in range(10)]
        await client.close()
        await server.close()


@run
async def test_direct_reply_to(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        replies = await channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
        answer = asyncio.get_running_loop().create_future()

        async def on_reply(message):
            answer.set_result(message)
        await replies.consume(on_reply, no_ack=True)
        await channel.default_exchange.publish(
            aio_pika.Message(b"ping", reply_to="amq.rabbitmq.reply-to"), queue.name)
        asked = await queue.get(timeout=5, no_ack=True)
        other = await connection.channel()
        await other.default_exchange.publish(aio_pika.Message(b"pong"), asked.reply_to)
        assert (await answer).body == b"pong"


@run
async def test_master_worker_pattern(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        master = Master(channel)
        done = asyncio.Queue()

        async def work(*, n):
            await done.put(n)
        worker = await master.create_worker(name(), work, auto_delete=True)
        for n in range(5):
            await master.create_task(worker.queue.name, {"n": n})
        assert sorted([await done.get() for _ in range(5)]) == list(range(5))
        await worker.close()


class Cable:
    """A relay to the broker that can be pulled."""

    def __init__(self, broker):
        self.broker = broker
        self.writers = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._plug, "127.0.0.1", 0)
        self.url = "amqp://{0.user}:{0.password}@127.0.0.1:{1}/".format(
            self.broker, self.server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.pull()

    def pull(self):
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def _plug(self, reader, writer):
        there, back = await asyncio.open_connection(self.broker.host, self.broker.port)
        self.writers += [writer, back]
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    @staticmethod
    async def _copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        writer.close()


@run
async def test_robust_connection_comes_back(broker, name):
    """Its socket is cut; queue, binding and consumer must be there again by themselves."""
    async with Cable(broker) as cable:
        async with await aio_pika.connect_robust(cable.url, reconnect_interval=0.1) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(name("x"), "fanout", auto_delete=True)
            queue = await channel.declare_queue(name(), exclusive=True)
            await queue.bind(exchange)
            got = asyncio.Queue()
            await queue.consume(got.put, no_ack=True)
            await exchange.publish(aio_pika.Message(b"before"), "")
            assert (await got.get()).body == b"before"
            back = asyncio.Event()
            connection.reconnect_callbacks.add(lambda *_: back.set())
            cable.pull()
            await back.wait()
            await exchange.publish(aio_pika.Message(b"after"), "")
            assert (await got.get()).body == b"after"


@run
async def test_consumer_hears_of_its_queues_deletion(broker, name):
    async with await aio_pika.connect(broker.url_with(), timeout=5) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name())

        async def ignore(message):
            pass
        tag = await queue.consume(ignore)
        consumers = (await channel.get_underlay_channel()).consumers
        assert tag in consumers
        await (await connection.channel()).queue_delete(queue.name)
        while tag in consumers:
            await asyncio.sleep(0.02)


@run
async def test_heartbeats(broker):
    connection = await aio_pika.connect(broker.url_with() + "?heartbeat=1", timeout=5)
    async with connection:
        await asyncio.sleep(2.5)
        assert not connection.is_closed
        await (await connection.channel()).declare_queue(exclusive=True)


@run
async def test_large_body(broker, name):
    async with await connect(broker) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        for size in (1 << 20, (16 << 20) - 1):
            await channel.default_exchange.publish(aio_pika.Message(b"z" * size), queue.name)
            assert len((await queue.get(timeout=5, no_ack=True)).body) == size

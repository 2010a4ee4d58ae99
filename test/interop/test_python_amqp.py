"""py-amqp, the client below kombu and Celery."""

import socket
import time
from datetime import datetime, timezone
from decimal import Decimal

import amqp
import pytest
from amqp import exceptions


@pytest.fixture
def connect(broker):
    opened = []

    def make(**options):
        options = {"userid": broker.user, "password": broker.password,
                   "virtual_host": broker.vhost, "connect_timeout": 5, "read_timeout": 10,
                   **options}
        connection = amqp.Connection(f"{broker.host}:{broker.port}", **options)
        opened.append(connection)
        connection.connect()
        return connection
    yield make
    for connection in opened:
        connection.collect() if not connection.connected else connection.close()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()


@pytest.fixture
def queue(channel, name):
    return channel.queue_declare(name(), exclusive=True, auto_delete=False).queue


def take(channel, queue, no_ack=True, seconds=5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = channel.basic_get(queue, no_ack=no_ack)
        if message:
            return message
        time.sleep(0.01)
    raise TimeoutError(queue)


def drain(connection, got, count, seconds=5):
    deadline = time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        try:
            connection.drain_events(timeout=0.1)
        except socket.timeout:
            pass
    assert len(got) >= count, f"{len(got)} of {count}"


def test_capabilities_are_taken_up(connection):
    wanted = connection.client_properties["capabilities"]
    assert wanted["consumer_cancel_notify"] and wanted["connection.blocked"]
    assert connection.server_properties["product"] == "RabbitMQ"


@pytest.mark.parametrize("method", ["PLAIN", "AMQPLAIN"])
def test_login(connect, method):
    assert connect(login_method=method).connected


@pytest.mark.parametrize("method", ["PLAIN", "AMQPLAIN"])
def test_wrong_password_is_403(connect, method):
    with pytest.raises(exceptions.AccessRefused) as raised:
        connect(password="wrong", login_method=method)
    assert raised.value.reply_text == (
        f"ACCESS_REFUSED - Login was refused using authentication mechanism {method}. "
        "For details see the broker logfile.") or raised.value.code == 403


def test_missing_vhost_is_530(connect):
    with pytest.raises(exceptions.NotAllowed) as raised:
        connect(virtual_host="nowhere")
    assert "vhost nowhere not found" in raised.value.reply_text


def test_errors_carry_method_and_text(connection):
    channel = connection.channel()
    with pytest.raises(exceptions.NotFound) as raised:
        channel.queue_declare("interop.missing", passive=True)
    assert raised.value.method_sig == (50, 10)
    assert raised.value.reply_text == "NOT_FOUND - no queue 'interop.missing' in vhost '/'"
    with pytest.raises(exceptions.AccessRefused) as raised:
        connection.channel().exchange_delete("")
    assert raised.value.method_sig == (40, 20)
    assert connection.channel().is_open


def test_inequivalent_is_406(connection, channel, name):
    queue = channel.queue_declare(name(), durable=True).queue
    with pytest.raises(exceptions.PreconditionFailed) as raised:
        connection.channel().queue_declare(queue, durable=False, auto_delete=False)
    assert "inequivalent arg 'durable'" in raised.value.reply_text
    connection.channel().queue_delete(queue)


def test_locked_is_405(connect, queue):
    with pytest.raises(exceptions.ResourceLocked):
        connect().channel().queue_declare(queue, passive=True)


def test_declares_with_arguments(channel, name):
    queue = channel.queue_declare(name(), exclusive=True, arguments={
        "x-message-ttl": 60000, "x-max-length": 10, "x-dead-letter-exchange": "amq.fanout"})
    assert (queue.message_count, queue.consumer_count) == (0, 0)
    assert channel.queue_purge(queue.queue) == 0
    assert channel.queue_delete(queue.queue) == 0


def test_nowait_operations(channel, name):
    queue, exchange = name(), name("x")
    channel.exchange_declare(exchange, "fanout", auto_delete=True, nowait=True)
    channel.queue_declare(queue, exclusive=True, nowait=True)
    channel.queue_bind(queue, exchange, nowait=True)
    channel.basic_publish(amqp.Message("x"), exchange)
    assert take(channel, queue).body == "x"
    channel.queue_delete(queue, nowait=True)
    with pytest.raises(exceptions.NotFound):
        channel.queue_declare(queue, passive=True)


def test_message_round_trips(channel, queue):
    headers = {"bool": False, "int": 2**31 - 1, "long": -2**62, "string": "ü", "float": 0.5,
               "decimal": Decimal("1.25"), "none": None, "list": [1, [2, {"x": "y"}], "z"],
               "table": {"a": {"b": "c"}}, "time": datetime(2026, 5, 6, 7, 8, 9)}
    sent = dict(content_type="application/json", content_encoding="utf-8", priority=3,
                delivery_mode=1, correlation_id="c", reply_to="r", expiration="9000",
                message_id="m", timestamp=1767225600, type="t", user_id="guest",
                app_id="a", application_headers=headers)
    channel.basic_publish(amqp.Message("{}", **sent), routing_key=queue)
    message = take(channel, queue)
    assert message.body == "{}"
    got = message.properties
    got_headers = got.pop("application_headers")
    sent.pop("application_headers")
    assert {k: _naive(v) for k, v in got.items()} == sent
    assert {k: _naive(v) for k, v in got_headers.items()} == headers


def _naive(value):
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(timezone.utc).replace(tzinfo=None)
    return value


def test_consume_ack_and_prefetch(connection, channel, queue):
    got = []
    for i in range(5):
        channel.basic_publish(amqp.Message(str(i)), routing_key=queue)
    channel.basic_qos(0, 2, False)
    channel.basic_consume(queue, callback=got.append)
    drain(connection, got, 2)
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=0.1)
    channel.basic_ack(got[-1].delivery_tag, multiple=True)
    drain(connection, got, 4)
    channel.basic_reject(got[2].delivery_tag, requeue=True)
    drain(connection, got, 5)
    assert [message.body for message in got] == ["0", "1", "2", "3", "2"]
    assert got[4].delivery_info["redelivered"]


def test_recover(connection, channel, queue):
    got = []
    channel.basic_publish(amqp.Message("x"), routing_key=queue)
    channel.basic_consume(queue, callback=got.append)
    drain(connection, got, 1)
    channel.basic_recover(requeue=True)
    drain(connection, got, 2)
    assert got[1].delivery_info["redelivered"]


def test_recover_async(connection, channel, queue):
    got = []
    channel.basic_publish(amqp.Message("x"), routing_key=queue)
    channel.basic_consume(queue, callback=got.append)
    drain(connection, got, 1)
    channel.basic_recover_async(requeue=True)
    drain(connection, got, 2)
    assert got[1].delivery_info["redelivered"]


def test_confirmed_publish(connect, name):
    channel = connect(confirm_publish=True).channel()
    queue = channel.queue_declare(name(), exclusive=True).queue
    for i in range(50):
        channel.basic_publish(amqp.Message(str(i)), routing_key=queue)
    assert channel.queue_declare(queue, passive=True).message_count == 50


def test_mandatory_is_returned(connection, channel):
    returned = []
    channel.events["basic_return"].add(lambda *a: returned.append(a))
    channel.basic_publish(amqp.Message("x"), "amq.direct", "nobody", mandatory=True)
    drain(connection, returned, 1)
    error, exchange, key, message = returned[0]
    assert (error.reply_code, error.reply_text) == (312, "NO_ROUTE")
    assert (exchange, key, message.body) == ("amq.direct", "nobody", "x")


def test_consumer_hears_of_its_queues_deletion(connection, channel, name):
    queue = channel.queue_declare(name(), auto_delete=False).queue
    told = []
    tag = channel.basic_consume(queue, callback=print, on_cancel=told.append)
    connection.channel().queue_delete(queue)
    drain(connection, told, 1)
    assert told == [tag] or told == [tag.encode()]


def test_transactions(connection, channel, queue):
    watcher = connection.channel()
    channel.tx_select()
    channel.basic_publish(amqp.Message("no"), routing_key=queue)
    channel.tx_rollback()
    channel.basic_publish(amqp.Message("yes"), routing_key=queue)
    assert watcher.basic_get(queue) is None
    channel.tx_commit()
    assert take(watcher, queue).body == "yes"


def test_flow(channel):
    channel.flow(True)
    assert channel.active


def test_heartbeats(connect):
    connection = connect(heartbeat=1)
    assert connection.heartbeat == 1
    for _ in range(8):
        time.sleep(0.4)
        try:
            connection.drain_events(timeout=0.01)
        except socket.timeout:
            pass
        connection.heartbeat_tick()
    assert connection.connected


@pytest.mark.parametrize("size", [1 << 20, (16 << 20) - 1])
def test_body_of_size(channel, queue, size):
    body = b"\xfe" * size
    channel.basic_publish(amqp.Message(body), routing_key=queue)
    assert take(channel, queue, seconds=10).body == body


def test_many_channels(connection, name):
    channels = [connection.channel() for _ in range(200)]
    queue = channels[0].queue_declare(name(), exclusive=True).queue
    for channel in channels:
        channel.basic_publish(amqp.Message(str(channel.channel_id)), routing_key=queue)
    assert len({take(channels[-1], queue).body for _ in channels}) == 200
    for channel in channels:
        channel.close()

"""pika: the blocking client in depth, the asynchronous one where order on the wire matters."""

import datetime
import threading
import time
from decimal import Decimal

import pika
import pytest
from pika.exceptions import (AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker,
                             DuplicateConsumerTag, ProbableAccessDeniedError,
                             ProbableAuthenticationError, UnroutableError)

HEADERS = {
    "bool": True, "int": 7, "negative": -3, "long": 2**40, "string": "håre",
    "bytes": b"\x00\xff", "decimal": Decimal("3.14"), "none": None, "array": [1, "two", [3]],
    "table": {"inner": {"deep": True}},
    "time": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
}


@pytest.fixture
def connect(broker):
    opened = []

    def make(user=None, password=None, vhost=None, **options):
        options.setdefault("blocked_connection_timeout", 10)
        options.setdefault("socket_timeout", 5)
        connection = pika.BlockingConnection(pika.ConnectionParameters(
            broker.host, broker.port, vhost or broker.vhost,
            pika.PlainCredentials(user or broker.user, password or broker.password), **options))
        opened.append(connection)
        return connection
    yield make
    for connection in opened:
        if connection.is_open:
            connection.close()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def channel(connection):
    return connection.channel()


@pytest.fixture
def queue(channel, name):
    return channel.queue_declare(name(), exclusive=True).method.queue


def send(channel, queue, *bodies):
    for body in bodies:
        channel.basic_publish("", queue, body)


def take(channel, queue, auto_ack=True, seconds=5):
    """The next message of `queue`: (method, properties, body)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        method, properties, body = channel.basic_get(queue, auto_ack)
        if method:
            return method, properties, body
        time.sleep(0.01)
    raise TimeoutError(f"nothing in {queue}")


def consume(connection, channel, queue, count, seconds=5, **options):
    """Consumes until `count` messages came, then 50 ms more: [(method, body)], and the tag."""
    got = []
    tag = channel.basic_consume(queue, lambda ch, m, p, b: got.append((m, b)), **options)
    wait(connection, lambda: len(got) >= count, seconds)
    connection.process_data_events(0.05)
    return got, tag


def wait(connection, done, seconds=5):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "timed out"
        connection.process_data_events(0.02)


def refused(code, call, *args, **options):
    """The call must close the channel with this code; gives the reply text."""
    with pytest.raises(ChannelClosedByBroker) as raised:
        call(*args, **options)
    assert raised.value.reply_code == code, raised.value.reply_text
    return raised.value.reply_text


# Connection

def test_server_announces_itself_as_rabbitmq(connection):
    properties = connection._impl.server_properties
    assert properties["product"] == "RabbitMQ"
    for capability in ("publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                       "consumer_cancel_notify", "connection.blocked", "consumer_priorities",
                       "authentication_failure_close", "per_consumer_qos", "direct_reply_to"):
        assert properties["capabilities"][capability] is True


def test_wrong_password(connect):
    with pytest.raises(ProbableAuthenticationError) as raised:
        connect(password="wrong")
    assert "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN" in str(
        raised.value)


def test_missing_vhost(connect):
    with pytest.raises(ProbableAccessDeniedError) as raised:
        connect(vhost="nowhere")
    assert "530" in str(raised.value)
    assert "vhost nowhere not found" in str(raised.value)


def test_other_connections_survive_a_refused_one(connect, channel, queue):
    with pytest.raises(AMQPConnectionError):
        connect(password="wrong")
    send(channel, queue, b"still here")
    assert take(channel, queue)[2] == b"still here"


def test_tune_offers_rabbitmqs_limits(connection):
    assert connection._impl.params.channel_max == 2047
    assert connection._impl.params.frame_max == 131072


def test_small_frames(connect, name):
    connection = connect(frame_max=8192, channel_max=3)
    channel = connection.channel()
    queue = channel.queue_declare(name(), exclusive=True).method.queue
    body = bytes(range(256)) * 400
    send(channel, queue, body)
    assert take(channel, queue)[2] == body


def test_connection_name_and_clean_close(connect):
    connection = connect(client_properties={"connection_name": "interop"})
    connection.channel()
    connection.close()
    assert connection.is_closed


def test_heartbeats_keep_an_idle_connection(connect):
    connection = connect(heartbeat=1)
    received = connection._impl.bytes_received
    deadline = time.monotonic() + 3.5
    while time.monotonic() < deadline:
        connection.process_data_events(0.2)
    assert connection.is_open
    assert connection._impl.bytes_received > received, "the broker sent no heartbeat"


def test_silent_client_is_dropped(connect):
    connection = connect(heartbeat=1)
    time.sleep(4.5)
    with pytest.raises(AMQPConnectionError):
        connection.process_data_events(0.2)
        connection.channel()


def test_many_channels(connection, name):
    channels = [connection.channel() for _ in range(300)]
    queue = channels[0].queue_declare(name(), exclusive=True).method.queue
    for channel in channels:
        send(channel, queue, str(channel.channel_number).encode())
    got = {take(channel, queue)[2] for channel in channels}
    assert got == {str(channel.channel_number).encode() for channel in channels}
    for channel in channels[1:]:
        channel.close()
    again = [connection.channel().channel_number for _ in range(5)]
    assert len(set(again)) == 5


def test_channel_flow(channel):
    assert channel.flow(True) is True


# Declaring

def test_declares_every_kind_of_exchange(channel, name):
    for kind in ("direct", "fanout", "topic", "headers"):
        exchange = name(kind)
        channel.exchange_declare(exchange, kind)
        channel.exchange_declare(exchange, kind)
        channel.exchange_declare(exchange, passive=True)
        channel.exchange_delete(exchange)
    for exchange in ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"):
        channel.exchange_declare(exchange, passive=True)


@pytest.mark.parametrize("flags", [
    {}, {"durable": True}, {"auto_delete": True}, {"exclusive": True},
    {"durable": True, "auto_delete": True}, {"arguments": {"x-queue-type": "classic"}},
], ids=str)
def test_declares_every_kind_of_queue(channel, name, flags):
    queue = name()
    ok = channel.queue_declare(queue, **flags).method
    assert (ok.queue, ok.message_count, ok.consumer_count) == (queue, 0, 0)
    send(channel, queue, b"one", b"two")
    wait(channel.connection, lambda: channel.queue_declare(
        queue, passive=True).method.message_count == 2)
    assert channel.queue_declare(queue, **flags).method.message_count == 2
    assert channel.queue_delete(queue).method.message_count == 2


def test_server_names_the_queue(channel):
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first.startswith("amq.gen-") and len(first) == len("amq.gen-") + 22
    assert first != second


def test_last_declared_queue_is_meant_by_an_empty_name(channel, name):
    queue = channel.queue_declare(name(), exclusive=True).method.queue
    channel.queue_bind("", "amq.direct")
    channel.basic_publish("amq.direct", queue, b"by its name")
    assert take(channel, "")[2] == b"by its name"


def test_missing_queue_is_404(channel):
    text = refused(404, channel.queue_declare, "interop.missing", passive=True)
    assert text == "NOT_FOUND - no queue 'interop.missing' in vhost '/'"


def test_missing_exchange_is_404(channel):
    text = refused(404, channel.exchange_declare, "interop.missing", passive=True)
    assert text == "NOT_FOUND - no exchange 'interop.missing' in vhost '/'"


def test_binding_to_a_missing_exchange_is_404(channel, queue):
    text = refused(404, channel.queue_bind, queue, "interop.missing")
    assert text == "NOT_FOUND - no exchange 'interop.missing' in vhost '/'"


def test_inequivalent_queue_is_406(connection, channel, name):
    queue = name()
    channel.queue_declare(queue, auto_delete=True)
    text = refused(406, channel.queue_declare, queue, durable=True, auto_delete=True)
    assert text == (f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{queue}' in "
                    "vhost '/': received 'true' but current is 'false'")
    text = refused(406, connection.channel().queue_declare, queue, auto_delete=True,
                   arguments={"x-message-ttl": 1000})
    assert text == (f"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '{queue}' "
                    "in vhost '/': received the value '1000' of type 'signedint' but current is "
                    "none")
    connection.channel().queue_delete(queue)


def test_inequivalent_exchange_is_406(channel, name):
    exchange = name("x")
    channel.exchange_declare(exchange, "topic", auto_delete=True)
    text = refused(406, channel.exchange_declare, exchange, "direct", auto_delete=True)
    assert text == (f"PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{exchange}' in "
                    "vhost '/': received 'direct' but current is 'topic'")


def test_unknown_exchange_type_is_406(broker, channel, name):
    if broker.is_old_rabbitmq:
        pytest.skip("a 503 of the connection before RabbitMQ 4")
    text = refused(406, channel.exchange_declare, name("x"), "x-no-such-type")
    assert text == "PRECONDITION_FAILED - unknown exchange type 'x-no-such-type'"


def test_default_exchange_is_403(connection):
    for call in (lambda ch: ch.exchange_declare("", "direct"),
                 lambda ch: ch.exchange_delete(""),
                 lambda ch: ch.queue_bind(ch.queue_declare("", exclusive=True).method.queue,
                                          "", "key")):
        text = refused(403, call, connection.channel())
        assert text == "ACCESS_REFUSED - operation not permitted on the default exchange"


def test_reserved_names_are_403(connection):
    assert "contains reserved prefix 'amq.*'" in refused(
        403, connection.channel().queue_declare, "amq.mine")
    assert "contains reserved prefix 'amq.*'" in refused(
        403, connection.channel().exchange_declare, "amq.mine")
    assert "deletion of system exchange 'amq.fanout' in vhost '/' not allowed" in refused(
        403, connection.channel().exchange_delete, "amq.fanout")


def test_exclusive_queue_of_another_connection_is_405(connect, queue):
    other = connect()
    for call in (lambda ch: ch.queue_declare(queue, exclusive=True),
                 lambda ch: ch.queue_declare(queue, passive=True),
                 lambda ch: ch.basic_get(queue),
                 lambda ch: ch.basic_consume(queue, print),
                 lambda ch: ch.queue_purge(queue),
                 lambda ch: ch.queue_delete(queue)):
        text = refused(405, call, other.channel())
        assert text.startswith("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue "
                               f"'{queue}' in vhost '/'")


def test_exclusive_queue_goes_with_its_connection(connect, name):
    queue = name()
    owner = connect()
    owner.channel().queue_declare(queue, exclusive=True)
    owner.close()
    refused(404, connect().channel().queue_declare, queue, passive=True)


def test_auto_delete_queue_goes_with_its_last_consumer(connection, channel, name):
    queue = name()
    channel.queue_declare(queue, auto_delete=True)
    tags = [channel.basic_consume(queue, print) for _ in range(2)]
    channel.basic_cancel(tags[0])
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel(tags[1])
    refused(404, connection.channel().queue_declare, queue, passive=True)


def test_auto_delete_exchange_goes_with_its_last_binding(connection, channel, queue, name):
    exchange = name("x")
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    channel.queue_bind(queue, exchange, "a")
    channel.queue_bind(queue, exchange, "b")
    channel.queue_unbind(queue, exchange, "a")
    channel.exchange_declare(exchange, passive=True)
    channel.queue_unbind(queue, exchange, "b")
    refused(404, connection.channel().exchange_declare, exchange, passive=True)


def test_delete_conditions_are_406(connection, channel, name):
    queue = name()
    channel.queue_declare(queue, auto_delete=True)
    send(channel, queue, b"x")
    text = refused(406, connection.channel().queue_delete, queue, if_empty=True)
    assert text == f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty"
    channel.basic_consume(queue, lambda *_: None)
    text = refused(406, connection.channel().queue_delete, queue, if_unused=True)
    assert text == f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use"
    exchange = name("x")
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.queue_bind(queue, exchange)
    text = refused(406, connection.channel().exchange_delete, exchange, if_unused=True)
    assert text == f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"


def test_deleting_what_is_not_there_is_fine(channel, queue):
    assert channel.queue_delete("interop.missing").method.message_count == 0
    channel.exchange_delete("interop.missing")
    channel.queue_unbind(queue, "amq.direct", "never bound")


def test_purge_counts_ready_messages(channel, queue):
    send(channel, queue, b"1", b"2", b"3")
    take(channel, queue, auto_ack=False)
    assert channel.queue_purge(queue).method.message_count == 2


def test_channel_error_leaves_other_channels_alone(connection, channel, queue):
    other = connection.channel()
    refused(404, other.queue_declare, "interop.missing", passive=True)
    send(channel, queue, b"alive")
    assert take(channel, queue)[2] == b"alive"
    reused = connection.channel()
    assert reused.channel_number == other.channel_number
    assert reused.queue_declare(queue, passive=True).method.queue == queue


# Routing

def bound(channel, exchange, *keys, arguments=None):
    queue = channel.queue_declare("", exclusive=True).method.queue
    for key in keys:
        channel.queue_bind(queue, exchange, key, arguments)
    return queue


def bodies(channel, queue):
    """Everything ready in `queue`."""
    out = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return sorted(out)
        out.append(body)


def test_direct_fanout_and_topic(connection, channel, name):
    channel.confirm_delivery()
    direct, fanout, topic = (name(kind) for kind in ("direct", "fanout", "topic"))
    for exchange in (direct, fanout, topic):
        channel.exchange_declare(exchange, exchange.split(".")[0], auto_delete=True)
    error, both = bound(channel, direct, "error"), bound(channel, direct, "error", "info")
    first, second = bound(channel, fanout, ""), bound(channel, fanout, "ignored")
    orange, lazy = bound(channel, topic, "*.orange.*"), bound(channel, topic, "lazy.#", "#.lazy")
    for key in ("error", "info", "debug"):
        channel.basic_publish(direct, key, key.encode())
    channel.basic_publish(fanout, "any", b"all")
    for key in ("quick.orange.rabbit", "lazy", "lazy.orange.male.hare", "a.b", "orange", "x.lazy"):
        channel.basic_publish(topic, key, key.encode())
    assert bodies(channel, error) == [b"error"]
    assert bodies(channel, both) == [b"error", b"info"]
    assert bodies(channel, first) == bodies(channel, second) == [b"all"]
    assert bodies(channel, orange) == [b"quick.orange.rabbit"]
    assert bodies(channel, lazy) == [b"lazy", b"lazy.orange.male.hare", b"x.lazy"]


def test_headers_exchange(channel, name):
    exchange = name("headers")
    channel.confirm_delivery()
    channel.exchange_declare(exchange, "headers", auto_delete=True)
    every = bound(channel, exchange, "", arguments={"x-match": "all", "format": "pdf", "pages": 3})
    some = bound(channel, exchange, "", arguments={"x-match": "any", "format": "pdf", "pages": 3})
    for body, headers in ((b"both", {"format": "pdf", "pages": 3, "more": 1}),
                          (b"one", {"format": "pdf"}), (b"none", {"format": "txt"})):
        channel.basic_publish(exchange, "", body, pika.BasicProperties(headers=headers))
    assert bodies(channel, every) == [b"both"]
    assert bodies(channel, some) == [b"both", b"one"]


def test_exchange_to_exchange_and_alternate(channel, name):
    source, middle, fallback = name("source"), name("middle"), name("fallback")
    channel.confirm_delivery()
    channel.exchange_declare(fallback, "fanout", auto_delete=True)
    channel.exchange_declare(source, "direct", arguments={"alternate-exchange": fallback})
    channel.exchange_declare(middle, "fanout", auto_delete=True, internal=True)
    channel.exchange_bind(middle, source, "in")
    inside, lost = bound(channel, middle, ""), bound(channel, fallback, "")
    channel.basic_publish(source, "in", b"in")
    channel.basic_publish(source, "elsewhere", b"lost", mandatory=True)
    assert bodies(channel, inside) == [b"in"]
    assert bodies(channel, lost) == [b"lost"]
    channel.exchange_unbind(middle, source, "in")
    channel.basic_publish(source, "in", b"lost too")
    assert bodies(channel, lost) == [b"lost too"]
    channel.exchange_delete(source)


def test_one_copy_however_many_bindings(channel):
    channel.confirm_delivery()
    queue = bound(channel, "amq.topic", "#", "*.b", "a.*", "a.b")
    channel.basic_publish("amq.topic", "a.b", b"once",
                          pika.BasicProperties(headers={"CC": ["a.b", "a.c"], "BCC": ["x.b"]}))
    method, properties, _ = take(channel, queue)
    assert method.routing_key == "a.b"
    assert properties.headers == {"CC": ["a.b", "a.c"]}
    assert bodies(channel, queue) == []


def test_publishing_to_a_missing_exchange_is_404(channel, connection):
    channel.basic_publish("interop.missing", "key", b"")
    text = refused(404, lambda: [channel.queue_declare("", exclusive=True) for _ in range(50)])
    assert text == "NOT_FOUND - no exchange 'interop.missing' in vhost '/'"
    assert connection.is_open


# Messages

def test_every_property_round_trips(channel, queue):
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="gzip", headers={"a": 1}, delivery_mode=2,
        priority=9, correlation_id="corr", reply_to="reply", expiration="60000",
        message_id="id-1", timestamp=1_700_000_000, type="kind", user_id="guest",
        app_id="app", cluster_id="cluster")
    channel.basic_publish("", queue, b"body", sent)
    method, got, body = take(channel, queue)
    assert got == sent and body == b"body"
    assert (method.exchange, method.routing_key, method.redelivered) == ("", queue, False)


@pytest.mark.parametrize("key", HEADERS)
def test_header_type_round_trips(channel, queue, key):
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers={key: HEADERS[key]}))
    assert take(channel, queue)[1].headers == {key: HEADERS[key]}


def test_no_properties_at_all(channel, queue):
    channel.basic_publish("", queue, b"")
    method, properties, body = take(channel, queue)
    assert body == b"" and properties == pika.BasicProperties()


@pytest.mark.parametrize("size", [1, 131064, 131065, 1 << 20, (16 << 20) - 1])
def test_body_of_size(connection, channel, queue, size):
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    channel.confirm_delivery()
    send(channel, queue, body)
    got, _ = consume(connection, channel, queue, 1, auto_ack=True)
    assert got[0][1] == body


def test_body_over_the_limit_is_406(broker, channel, queue):
    if broker.is_old_rabbitmq:
        pytest.skip("the limit was 128 MiB before RabbitMQ 4")
    channel.confirm_delivery()
    text = refused(406, send, channel, queue, bytes((16 << 20) + 1))
    assert text == ("PRECONDITION_FAILED - message size 16777217 is larger than configured max "
                    "size 16777216")


@pytest.mark.parametrize("properties, code, start", [
    ({"expiration": "soon"}, 406, "PRECONDITION_FAILED - invalid expiration 'soon'"),
    ({"user_id": "eve"}, 406, "PRECONDITION_FAILED - user_id property set to 'eve' but "
                              "authenticated user was 'guest'"),
    ({"headers": {"CC": "not a list"}}, 406, "PRECONDITION_FAILED - invalid message"),
], ids=["expiration", "user-id", "CC"])
def test_refused_properties(channel, queue, properties, code, start):
    channel.confirm_delivery()
    text = refused(code, channel.basic_publish, "", queue, b"",
                   pika.BasicProperties(**properties))
    assert text.startswith(start)


# Consuming

def test_consumes_in_order(connection, channel, queue):
    sent = [str(i).encode() for i in range(1000)]
    send(channel, queue, *sent)
    got, tag = consume(connection, channel, queue, 1000, auto_ack=True)
    assert [body for _, body in got] == sent
    assert [method.delivery_tag for method, _ in got] == list(range(1, 1001))
    assert {method.consumer_tag for method, _ in got} == {tag}


def test_consumers_take_turns(connection, channel, queue):
    got = {"a": [], "b": []}
    for tag, bodies_got in got.items():
        channel.basic_consume(queue, lambda c, m, p, b, to=bodies_got: to.append(int(b)),
                              auto_ack=True, consumer_tag=tag)
    send(channel, queue, *(str(i).encode() for i in range(10)))
    wait(connection, lambda: len(got["a"]) + len(got["b"]) == 10)
    assert sorted(got.values()) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def test_prefetch_holds_back(connection, channel, queue):
    send(channel, queue, b"1", b"2", b"3", b"4", b"5")
    channel.basic_qos(prefetch_count=2)
    got, _ = consume(connection, channel, queue, 2)
    assert [body for _, body in got] == [b"1", b"2"]
    channel.basic_ack(got[0][0].delivery_tag)
    wait(connection, lambda: len(got) == 3)
    channel.basic_ack(got[2][0].delivery_tag, multiple=True)
    wait(connection, lambda: len(got) == 5)


def test_prefetch_of_the_channel_is_shared(connection, channel, queue, name):
    other = channel.queue_declare(name("other"), exclusive=True).method.queue
    send(channel, queue, b"1", b"2", b"3")
    send(channel, other, b"1", b"2", b"3")
    channel.basic_qos(prefetch_count=2, global_qos=True)
    got, _ = consume(connection, channel, queue, 2)
    more, _ = consume(connection, channel, other, 0)
    assert (len(got), len(more)) == (2, 0)
    channel.basic_ack(0, multiple=True)
    wait(connection, lambda: len(got) + len(more) == 4)


def test_unacked_come_back_when_the_channel_closes(connection, channel, queue):
    other = connection.channel()
    send(other, queue, b"1", b"2", b"3")
    assert [take(other, queue, auto_ack=False)[2] for _ in range(2)] == [b"1", b"2"]
    other.close()
    got = [take(channel, queue) for _ in range(3)]
    assert [body for *_, body in got] == [b"1", b"2", b"3"]
    assert [method.redelivered for method, *_ in got] == [True, True, False]


def test_ack_nack_and_reject(channel, queue):
    send(channel, queue, *b"123456".split(), b"a", b"b", b"c", b"d")
    tags = [take(channel, queue, auto_ack=False)[0].delivery_tag for _ in range(5)]
    channel.basic_ack(tags[0])
    channel.basic_reject(tags[1], requeue=False)
    channel.basic_nack(tags[3], multiple=True, requeue=True)
    method, _, body = take(channel, queue)
    assert body == b"b" and method.redelivered
    method, _, body = take(channel, queue)
    assert body == b"c" and method.redelivered
    channel.basic_reject(tags[4], requeue=True)
    assert take(channel, queue)[2] == b"d"
    assert channel.basic_get(queue)[0] is None


def test_requeue_goes_to_its_old_place(channel, queue):
    send(channel, queue, b"1", b"2", b"3")
    first = take(channel, queue, auto_ack=False)[0].delivery_tag
    second = take(channel, queue, auto_ack=False)[0].delivery_tag
    channel.basic_nack(second, requeue=True)
    channel.basic_nack(first, requeue=True)
    assert [take(channel, queue)[2] for _ in range(3)] == [b"1", b"2", b"3"]


def test_recover_redelivers(connection, channel, queue):
    send(channel, queue, b"1", b"2")
    got, _ = consume(connection, channel, queue, 2)
    channel.basic_recover(requeue=True)
    wait(connection, lambda: len(got) == 4)
    assert [body for _, body in got[2:]] == [b"1", b"2"]
    assert all(method.redelivered for method, _ in got[2:])


@pytest.mark.parametrize("settle", [
    lambda ch: ch.basic_ack(7), lambda ch: ch.basic_nack(7), lambda ch: ch.basic_reject(7),
    lambda ch: ch.basic_ack(7, multiple=True),
], ids=["ack", "nack", "reject", "multiple"])
def test_unknown_delivery_tag_is_406(channel, settle):
    settle(channel)
    text = refused(406, lambda: [channel.queue_declare("", exclusive=True) for _ in range(50)])
    assert text == "PRECONDITION_FAILED - unknown delivery tag 7"


def test_acking_twice_is_406(channel, queue):
    send(channel, queue, b"1")
    tag = take(channel, queue, auto_ack=False)[0].delivery_tag
    channel.basic_ack(tag)
    channel.basic_ack(tag)
    text = refused(406, lambda: [channel.queue_declare("", exclusive=True) for _ in range(50)])
    assert text == "PRECONDITION_FAILED - unknown delivery tag 1"


def test_get_counts_what_is_left(channel, queue):
    assert channel.basic_get(queue) == (None, None, None)
    send(channel, queue, b"1", b"2", b"3")
    assert [take(channel, queue)[0].message_count for _ in range(3)] == [2, 1, 0]


def test_cancel_keeps_unacked_and_stops_deliveries(connection, channel, queue):
    send(channel, queue, b"1")
    got, tag = consume(connection, channel, queue, 1)
    channel.basic_cancel(tag)
    send(channel, queue, b"2")
    connection.process_data_events(0.1)
    assert len(got) == 1
    channel.basic_ack(got[0][0].delivery_tag)
    assert take(channel, queue)[2] == b"2"


def test_exclusive_consumer_is_403(connection, channel, queue):
    channel.basic_consume(queue, print, exclusive=True)
    text = refused(403, connection.channel().basic_consume, queue, print)
    assert text == f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"


def test_consumer_tag_twice(channel, queue):
    channel.basic_consume(queue, print, consumer_tag="same")
    with pytest.raises(DuplicateConsumerTag):
        channel.basic_consume(queue, print, consumer_tag="same")


def test_consumer_tag_twice_on_the_wire_is_530(connection, channel, queue):
    channel.basic_consume(queue, print, consumer_tag="same")
    channel._consumer_infos.clear()         # pika would refuse by itself
    channel._impl._consumers.clear()
    with pytest.raises(ConnectionClosedByBroker) as raised:
        channel.basic_consume(queue, print, consumer_tag="same")
    assert raised.value.reply_code == 530
    assert raised.value.reply_text == "NOT_ALLOWED - attempt to reuse consumer tag 'same'"


def test_consuming_a_missing_queue_is_404(channel):
    text = refused(404, channel.basic_consume, "interop.missing", print)
    assert text == "NOT_FOUND - no queue 'interop.missing' in vhost '/'"


def test_consumer_hears_of_its_queues_deletion(connection, channel, name):
    queue = name()
    channel.queue_declare(queue)
    told = []
    channel.add_on_cancel_callback(told.append)
    tag = channel.basic_consume(queue, print)
    connection.channel().queue_delete(queue)
    wait(connection, lambda: told)
    assert told[0].method.consumer_tag == tag
    assert channel.is_open


def test_consumer_priority(connection, channel, queue):
    got = {"low": [], "high": []}
    for tag, priority in (("low", 0), ("high", 10)):
        channel.basic_consume(queue, lambda c, m, p, b, to=got[tag]: to.append(b), auto_ack=True,
                              consumer_tag=tag, arguments={"x-priority": priority})
    send(channel, queue, *[b"x"] * 10)
    wait(connection, lambda: len(got["high"]) == 10)
    assert got["low"] == []


def test_consume_generator_with_timeout(channel, queue):
    send(channel, queue, b"1", b"2")
    got = []
    for method, _, body in channel.consume(queue, inactivity_timeout=0.2):
        if method is None:
            break
        got.append(body)
        channel.basic_ack(method.delivery_tag)
    assert got == [b"1", b"2"]
    assert channel.cancel() == 0


# Guarantees for publishers

def test_confirms(channel, queue):
    channel.confirm_delivery()
    for i in range(200):
        channel.basic_publish("", queue, str(i).encode(), mandatory=True)
    assert channel.queue_declare(queue, passive=True).method.message_count == 200


def test_unroutable_mandatory_is_returned(channel):
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as raised:
        channel.basic_publish("amq.direct", "nobody", b"lost",
                              pika.BasicProperties(message_id="m"), mandatory=True)
    returned, = raised.value.messages
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.exchange, returned.method.routing_key) == ("amq.direct", "nobody")
    assert returned.body == b"lost" and returned.properties.message_id == "m"


def test_unroutable_without_mandatory_is_confirmed(channel):
    channel.confirm_delivery()
    channel.basic_publish("amq.direct", "nobody", b"gone")


def test_immediate_is_540(channel, queue):
    # The facade has no such flag any more.
    method = pika.spec.Basic.Publish(exchange="", routing_key=queue, immediate=True)
    channel._impl._send_method(method, (pika.BasicProperties(), b"now"))
    with pytest.raises(ConnectionClosedByBroker) as raised:
        channel.queue_declare(queue, passive=True)
    assert raised.value.reply_code == 540
    assert raised.value.reply_text == "NOT_IMPLEMENTED - immediate=true"


def test_transactions(connection, channel, queue):
    watcher = connection.channel()
    channel.tx_select()
    send(channel, queue, b"rolled back")
    channel.tx_rollback()
    send(channel, queue, b"kept")
    assert watcher.basic_get(queue)[0] is None
    channel.tx_commit()
    assert take(watcher, queue)[2] == b"kept"


def test_transaction_covers_acks(connection, channel, queue):
    send(channel, queue, b"1")
    worker = connection.channel()
    worker.tx_select()
    method, _, _ = take(worker, queue, auto_ack=False)
    worker.basic_ack(method.delivery_tag)
    worker.tx_rollback()
    worker.close()
    assert take(channel, queue)[2] == b"1"


def test_confirm_and_tx_exclude_each_other(connection):
    channel = connection.channel()
    channel.confirm_delivery()
    assert refused(406, channel.tx_select) == (
        "PRECONDITION_FAILED - cannot switch from confirm to tx mode")
    channel = connection.channel()
    channel.tx_select()
    assert refused(406, channel.confirm_delivery) == (
        "PRECONDITION_FAILED - cannot switch from tx to confirm mode")
    assert refused(406, connection.channel().tx_commit) == (
        "PRECONDITION_FAILED - channel is not transactional")


# Request and reply

def test_direct_reply_to(connect, connection, channel, queue):
    replies = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda c, m, p, b: replies.append((p, b)),
                          auto_ack=True)
    channel.basic_publish("", queue, b"ping", pika.BasicProperties(
        reply_to="amq.rabbitmq.reply-to", correlation_id="7"))
    server = connection.channel()
    _, asked, body = take(server, queue)
    assert asked.reply_to.startswith("amq.rabbitmq.reply-to.")
    other = connect().channel()
    assert other.queue_declare(asked.reply_to, passive=True).method.consumer_count == 1
    other.basic_publish("", asked.reply_to, body + b" pong",
                        pika.BasicProperties(correlation_id=asked.correlation_id))
    wait(connection, lambda: replies)
    properties, body = replies[0]
    assert body == b"ping pong" and properties.correlation_id == "7"


def test_direct_reply_to_refusals(connection, queue):
    assert refused(406, connection.channel().basic_consume, "amq.rabbitmq.reply-to", print) == (
        "PRECONDITION_FAILED - reply consumer cannot acknowledge")
    channel = connection.channel()
    channel.confirm_delivery()
    assert refused(406, channel.basic_publish, "", queue, b"",
                   pika.BasicProperties(reply_to="amq.rabbitmq.reply-to")) == (
        "PRECONDITION_FAILED - fast reply consumer does not exist")
    assert refused(404, connection.channel().queue_declare,
                   "amq.rabbitmq.reply-to.g2dkAAR1c2Vy", passive=True).startswith("NOT_FOUND")


# Threads and the asynchronous client

def test_connections_in_parallel(connect, broker, name):
    queue = name()
    connect().channel().queue_declare(queue)
    done = []

    def publish(i):
        connection = connect()
        channel = connection.channel()
        channel.confirm_delivery()
        for j in range(50):
            channel.basic_publish("", queue, f"{i}.{j}".encode())
        connection.close()
        done.append(i)
    threads = [threading.Thread(target=publish, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == list(range(8))
    connection = connect()
    channel = connection.channel()
    got, _ = consume(connection, channel, queue, 400, auto_ack=True)
    by_publisher = {}
    for _, body in got:
        i, j = body.decode().split(".")
        by_publisher.setdefault(i, []).append(int(j))
    assert by_publisher == {str(i): list(range(50)) for i in range(8)}
    channel.queue_delete(queue)


def test_return_comes_before_its_confirm(broker):
    """On the wire: confirm.select, three publishes of which the second is unroutable."""
    events = []

    def on_open(connection):
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel):
        channel.add_on_return_callback(lambda ch, m, p, b: events.append(("return", b)))
        channel.confirm_delivery(on_confirm, callback=lambda _: publish(channel))

    def publish(channel):
        for key, body in (("", b"1"), ("nobody", b"2"), ("", b"3")):
            channel.basic_publish("amq.fanout" if not key else "amq.direct", key, body,
                                  mandatory=bool(key))

    def on_confirm(frame):
        tag, multiple = frame.method.delivery_tag, frame.method.multiple
        events.append((type(frame.method).__name__, tag, multiple))
        if tag == 3:
            connection.close()

    parameters = pika.ConnectionParameters(
        broker.host, broker.port, broker.vhost,
        pika.PlainCredentials(broker.user, broker.password))
    connection = pika.SelectConnection(
        parameters, on_open_callback=on_open,
        on_open_error_callback=lambda c, e: c.ioloop.stop(),
        on_close_callback=lambda c, e: c.ioloop.stop())
    connection.ioloop.call_later(5, connection.ioloop.stop)
    connection.ioloop.start()
    returned = events.index(("return", b"2"))
    covering = [e for e in events if e[0] == "Ack" and (e[1] == 2 or (e[2] and e[1] > 2))]
    assert covering and returned < events.index(covering[0])
    assert not [e for e in events if e[0] == "Nack"]
    assert max(e[1] for e in events if e[0] == "Ack") == 3



"""Every method of the table once in its plain form, in both directions."""

import wire
from wire import METHODS, Wire

# What a server sends only when it is short of memory, must ask for a secret, or lost a message.
NOT_PROVOKED = {"connection.blocked", "connection.unblocked", "connection.secure",
                "channel.flow", "basic.nack"}


def test_every_method_in_both_directions(connect):
    Wire.sent.clear()
    Wire.received.clear()
    w = connect().open(1, 2)

    w.call(0, "connection.update-secret", new_secret=b"s", reason="r")
    assert w.call(1, "channel.flow", active=True).active
    assert w.call(1, "access.request", realm="/", active=True).ticket == 1
    w.call(1, "exchange.declare", exchange="wire.a", type="topic")
    w.call(1, "exchange.declare", exchange="wire.b", type="fanout", auto_delete=True)
    w.call(1, "exchange.bind", source="wire.a", destination="wire.b", routing_key="a.#")
    declared = w.call(1, "queue.declare", exclusive=True)
    q = declared.queue
    assert q.startswith("amq.gen-") and len(q) == len("amq.gen-") + 22
    assert (declared.message_count, declared.consumer_count) == (0, 0)
    w.call(1, "queue.bind", queue=q, exchange="wire.b")
    w.publish(1, b"one", exchange="wire.a", routing_key="a.b")
    w.sync(1)

    w.call(1, "basic.qos", prefetch_count=10)
    got = w.call(1, "basic.get", answer="basic.get-ok", queue=q)
    assert (got.delivery_tag, got.redelivered, got.exchange, got.routing_key,
            got.message_count, got.body) == (1, False, "wire.a", "a.b", 0, b"one")
    w.call(1, "basic.get", answer="basic.get-empty", queue=q)
    w.call(1, "basic.recover", requeue=True)
    tag = w.call(1, "basic.consume", queue=q).consumer_tag
    assert tag.startswith("amq.ctag-") and len(tag) == len("amq.ctag-") + 22
    w.expect(1, "basic.deliver", consumer_tag=tag, delivery_tag=2, redelivered=True)
    w.method(1, "basic.recover-async", requeue=True)
    w.expect(1, "basic.deliver", delivery_tag=3)
    w.method(1, "basic.reject", delivery_tag=3, requeue=True)
    w.expect(1, "basic.deliver", delivery_tag=4)
    w.method(1, "basic.nack", delivery_tag=4, requeue=True)
    w.expect(1, "basic.deliver", delivery_tag=5)
    w.method(1, "basic.ack", delivery_tag=5)
    assert w.call(1, "basic.cancel", consumer_tag=tag).consumer_tag == tag

    w.call(1, "basic.consume", queue=q, consumer_tag="c")
    w.method(2, "queue.delete", queue=q)
    w.expect(1, "basic.cancel", consumer_tag="c", no_wait=True)
    w.expect(2, "queue.delete-ok", message_count=0)

    q = w.call(1, "queue.declare", exclusive=True).queue
    assert w.call(1, "queue.purge", queue=q).message_count == 0
    w.call(1, "queue.bind", queue=q, exchange="wire.a", routing_key="k")
    w.call(1, "queue.unbind", queue=q, exchange="wire.a", routing_key="k")
    w.call(1, "exchange.unbind", source="wire.a", destination="wire.b", routing_key="a.#")
    w.call(1, "exchange.delete", exchange="wire.a")
    w.call(1, "exchange.delete", exchange="wire.b")

    w.call(1, "confirm.select")
    w.publish(1, b"", mandatory=True, routing_key="nowhere")
    w.expect(1, "basic.return", reply_code=312, reply_text="NO_ROUTE")
    w.expect(1, "basic.ack", delivery_tag=1)
    w.call(2, "tx.select")
    w.call(2, "tx.commit")
    w.call(2, "tx.rollback")

    w.method(1, "queue.purge", queue="never.was")
    w.expect_channel_close(1, 404, "NOT_FOUND - no queue 'never.was' in vhost '/'", "queue.purge")
    w.call(2, "channel.close", reply_code=200)
    w.close()
    w = connect()
    w.method(0, "tx.select")
    w.expect_connection_close(504, "CHANNEL_ERROR - unexpected method in connection state running")
    w = connect()
    w.method(0, "connection.secure-ok")
    w.expect_connection_close(504, "CHANNEL_ERROR - unexpected method in connection state running")
    w = connect().open(1)
    w.method(1, "channel.flow-ok", active=True)
    w.expect_connection_close(503, "COMMAND_INVALID - unimplemented method", "channel.flow-ok")

    client = {name for name, spec in METHODS.items() if "C2S" in spec.traits}
    server = {name for name, spec in METHODS.items() if "S2C" in spec.traits}
    assert client - Wire.sent == {"basic.cancel-ok"}
    assert server - Wire.received - NOT_PROVOKED <= {"channel.flow-ok", "basic.cancel-ok"}


def test_the_table_is_complete():
    assert len(METHODS) == 66
    assert METHODS["exchange.unbind-ok"].method_id == 51
    assert wire.WITH_CONTENT == {"basic.publish", "basic.return", "basic.deliver", "basic.get-ok"}


def test_client_properties_of_any_kind(tcp):
    w = tcp()
    w.start()
    w.start_ok(connection_name="named", platform=["Python", 3], nested={"a": {"b": None}})
    w.expect(0, "connection.tune")

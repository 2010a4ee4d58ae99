"""What an operator sets, seen by clients: limits of virtual hosts and users, topic permissions, the default type of queues,
and the alternate exchange that a policy gives. All of it comes from a file of definitions."""

import json

import pytest

from support.broker import Leveret
from wire import Wire, properties

SHA256 = "rabbit_password_hashing_sha256"
TEST12 = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"      # the password is test12


def user(name, **more):
    return dict(name=name, password_hash=TEST12, hashing_algorithm=SHA256, tags=[], **more)


def permission(name, vhost, configure=".*", write=".*", read=".*"):
    return dict(user=name, vhost=vhost, configure=configure, write=write, read=read)


DEFINITIONS = {
    "users": [user("ann", limits={}), user("few", limits={"max-connections": 1, "max-channels": 2}), user("none")],
    "vhosts": [{"name": "/"}, {"name": "small", "limits": {"max-connections": 2, "max-queues": 2}},
               {"name": "closed", "limits": {"max-connections": 0}},
               {"name": "quorums", "metadata": {"default_queue_type": "quorum"}}],
    "permissions": [permission(name, vhost) for name in ("ann", "few") for vhost in ("/", "small", "closed", "quorums")],
    "topic_permissions": [
        dict(user="ann", vhost="/", exchange="topics", write=r"^{username}\.", read="^(#|ann)"),
        dict(user="ann", vhost="/", exchange="amq.topic", write="", read="")],
    "exchanges": [dict(name="topics", vhost="/", type="topic", durable=True, auto_delete=False, arguments={}),
                  dict(name="direct", vhost="/", type="direct", durable=True, auto_delete=False, arguments={}),
                  dict(name="own", vhost="/", type="direct", durable=True, auto_delete=False,
                       arguments={"alternate-exchange": "topics"})],
    "queues": [dict(name=name, vhost="/", durable=True, auto_delete=False, arguments={}) for name in ("q", "rest")],
    "bindings": [dict(source=source, vhost="/", destination=queue, destination_type="queue", routing_key=key, arguments={})
                 for source, queue, key in (("topics", "q", "#"), ("direct", "q", "k"), ("amq.fanout", "rest", ""))],
    "policies": [dict(vhost="/", name="ae", pattern="^(direct|own)$", priority=0, definition={"alternate-exchange": "amq.fanout"},
                      **{"apply-to": "exchanges"})],
}


@pytest.fixture(scope="module", params=[1, 2], ids=["one-loop", "two-loops"])
def operated(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("definitions") / "all.json"
    path.write_text(json.dumps(DEFINITIONS), encoding="utf-8")
    with Leveret("--loops", str(request.param), "--load-definitions", str(path)) as server:
        yield server


def login(name):
    return dict(mechanism="PLAIN", response=f"\0{name}\0test12".encode())


@pytest.fixture
def enter(operated):
    opened = []

    def connect(name, vhost="/"):
        opened.append(Wire(operated.amqp_port).login(vhost=vhost, **login(name)).open(1))
        return opened[-1]
    yield connect
    for w in opened:
        w.close()


def refused(server, name, vhost, text):
    w = Wire(server.amqp_port)
    w.start()
    w.start_ok(**login(name))
    w.expect(0, "connection.tune")
    w.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072)
    w.method(0, "connection.open", virtual_host=vhost)
    w.expect_connection_close(530, text, "connection.open")


def test_connections_of_a_virtual_host(operated, enter):
    enter("ann", "small")
    enter("ann", "small")
    refused(operated, "ann", "small", "NOT_ALLOWED - access to vhost 'small' refused for user 'ann': "
                                      "connection limit (2) is reached")
    refused(operated, "ann", "closed", "NOT_ALLOWED - access to vhost 'closed' refused for user 'ann': "
                                       "connection limit (0) is reached")


def test_a_connection_that_ends_makes_room(operated, enter):
    enter("ann", "small")
    for _ in range(3):
        Wire(operated.amqp_port).login(vhost="small", **login("ann")).close()


def test_queues_of_a_virtual_host(enter):
    w = enter("ann", "small")
    for name in "ab":
        w.call(1, "queue.declare", queue=name)
    w.call(1, "queue.declare", queue="a")
    w.method(1, "queue.declare", queue="c")
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost 'small' (2) is "
                                   "reached", "queue.declare")
    w.open(1)
    for name in "ab":
        w.call(1, "queue.delete", queue=name)
    w.call(1, "queue.declare", queue="c", auto_delete=True)
    w.call(1, "queue.delete", queue="c")


def test_connections_of_a_user(operated, enter):
    enter("few")
    refused(operated, "few", "/", "NOT_ALLOWED - connection refused for user 'few': user connection limit (1) is reached")


def test_channels_of_a_user(operated):
    w = Wire(operated.amqp_port).login(**login("few")).open(1, 2)
    w.method(3, "channel.open")
    w.expect_connection_close(530, "NOT_ALLOWED - number of channels opened for user 'few' has reached the maximum "
                                   "allowed user limit of (2)", "channel.open")


def test_no_permission(operated):
    refused(operated, "none", "/", "NOT_ALLOWED - access to vhost '/' refused for user 'none'")


def test_a_topic_that_may_be_written(enter):
    w = enter("ann")
    w.call(1, "queue.purge", queue="q")
    for key in ("ann.a", "ann."):
        w.publish(1, key.encode(), exchange="topics", routing_key=key)
        w.sync(1)
    assert w.call(1, "queue.purge", queue="q").message_count == 2


@pytest.mark.parametrize("exchange, key, cc", [
    ("topics", "bob.a", []), ("topics", "x.ann.a", []), ("topics", "ann.a", ["ann.b", "bob.c"]), ("amq.topic", "ann.a", [])])
def test_a_topic_that_may_not(enter, exchange, key, cc):
    w = enter("ann")
    w.publish(1, b"x", exchange=exchange, routing_key=key, props=properties(**({"headers": {"CC": cc}} if cc else {})))
    bad = cc[-1] if cc else key
    w.expect_channel_close(1, 403, f"ACCESS_REFUSED - write access to topic '{bad}' in exchange '{exchange}' in vhost "
                                   "'/' refused for user 'ann'", "basic.publish")
    w.open(1)


def test_bindings_to_a_topic_exchange(enter):
    w = enter("ann")
    w.call(1, "queue.bind", queue="q", exchange="topics", routing_key="ann.*")
    w.call(1, "queue.unbind", queue="q", exchange="topics", routing_key="ann.*")
    w.method(1, "queue.bind", queue="q", exchange="topics", routing_key="*.a")
    w.expect_channel_close(1, 403, "ACCESS_REFUSED - read access to topic '*.a' in exchange 'topics' in vhost '/' refused "
                                   "for user 'ann'", "queue.bind")
    w.open(1)


def test_no_topic_permission_is_none_needed(enter):
    w = enter("ann")
    w.call(1, "exchange.declare", exchange="free", type="topic", auto_delete=True)
    w.call(1, "queue.bind", queue="q", exchange="free", routing_key="k")
    w.publish(1, b"x", exchange="free", routing_key="any")
    w.sync(1)
    w.call(1, "queue.unbind", queue="q", exchange="free", routing_key="k")


def test_the_default_type_of_queues(enter):
    w = enter("ann", "quorums")
    w.call(1, "queue.declare", queue="q", durable=True)
    w.call(1, "queue.declare", queue="q", durable=True, arguments={"x-queue-type": "quorum"})
    w.call(1, "queue.declare", queue="q", durable=True)
    w.call(1, "queue.declare", queue="own", exclusive=True)
    w.call(1, "queue.declare", queue="", durable=True)
    w.method(1, "queue.declare", queue="q", durable=True, arguments={"x-queue-type": "classic"})
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost 'quorums': "
                                   "received 'classic' but current is 'quorum'", "queue.declare")
    w.open(1)
    w.method(1, "queue.declare", queue="p", durable=True, arguments={"x-queue-mode": "lazy"})
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - invalid arg 'x-queue-mode' for queue 'p' in vhost 'quorums' of "
                                   "queue type rabbit_quorum_queue", "queue.declare")
    w.open(1)


def test_the_alternate_exchange_of_a_policy(enter):
    w = enter("ann")
    for queue in ("q", "rest"):
        w.call(1, "queue.purge", queue=queue)
    for key in ("k", "other", "k", "other"):
        w.publish(1, key.encode(), exchange="direct", routing_key=key)
    w.publish(1, b"own", exchange="own", routing_key="ann.x")      # its own comes before the policy's
    w.sync(1)
    assert w.call(1, "queue.purge", queue="q").message_count == 3
    assert w.call(1, "queue.purge", queue="rest").message_count == 2

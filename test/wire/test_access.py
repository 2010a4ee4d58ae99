"""Who may come in, and what each method needs: a broker with users who may little."""

import pytest

from support.broker import Leveret
from wire import Wire, properties

# ann may everything that begins with her letter; bob only reads, eve only writes, dan has no permission at all.
USERS = {
    "ann": dict(configure="^a", write="^a", read="^a"),
    "bob": dict(configure="^$", write="^$", read="^[ab]"),
    "eve": dict(configure="^$", write="^a", read="^$"),
    "cat": dict(configure="^c", write="^$", read="^$"),
    "imp": dict(tags="impersonator"),
    "dan": dict(vhost_pattern="^nowhere$"),
}


def arguments():
    out = ["--max_connections", "60"]
    for name, user in USERS.items():
        for key, value in dict(password=f"pw-{name}", **user).items():
            out += [f"--default_users.{name}.{key}", value]
    return out


@pytest.fixture(scope="module", params=[1, 2], ids=["one-loop", "two-loops"])
def guarded(request):
    with Leveret("--loops", str(request.param), *arguments()) as server:
        w = Wire(server.amqp_port).login().open(1)
        for name in "ab":
            w.call(1, "queue.declare", queue=f"{name}-queue", durable=True)
            w.call(1, "exchange.declare", exchange=f"{name}-exchange", type="topic")
            w.call(1, "queue.bind", queue=f"{name}-queue", exchange=f"{name}-exchange", routing_key="#")
        yield server
        w.close()


def plain(name, password=None):
    return dict(mechanism="PLAIN", response=f"\0{name}\0{password or 'pw-' + name}".encode())


@pytest.fixture
def enter(guarded):
    """enter(user): a connection of this user with channel 1 open."""
    opened = []

    def connect(name):
        opened.append(Wire(guarded.amqp_port).login(**plain(name)).open(1))
        return opened[-1]
    yield connect
    for w in opened:
        w.close_socket()


def m(name, **fields):
    return name, fields


def no(verb, thing, name, user):
    return (f"ACCESS_REFUSED - {verb + ' ' if verb else ''}access to {thing} '{name}' in vhost '/' "
            f"refused for user '{user}'")


DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"
AQ, AX, BQ, BX = "a-queue", "a-exchange", "b-queue", "b-exchange"

REFUSED = [
    ("ann", m("exchange.declare", exchange="x", type="direct"), no("configure", "exchange", "x", "ann")),
    ("ann", m("exchange.declare", exchange="", type="direct"), DEFAULT),
    ("ann", m("exchange.declare", exchange="amq.x", type="direct"),
     "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"),
    ("ann", m("exchange.declare", exchange="a-new", type="direct", arguments={"alternate-exchange": BX}),
     no("write", "exchange", BX, "ann")),
    ("cat", m("exchange.declare", exchange="c-new", type="direct", arguments={"alternate-exchange": "c"}),
     no("read", "exchange", "c-new", "cat")),
    ("ann", m("exchange.declare", exchange=BX, passive=True), no("", "exchange", BX, "ann")),
    ("ann", m("exchange.declare", exchange="x", passive=True), no("", "exchange", "x", "ann")),
    ("bob", m("exchange.delete", exchange=AX), no("configure", "exchange", AX, "bob")),
    ("bob", m("exchange.delete", exchange="x"), no("configure", "exchange", "x", "bob")),
    ("ann", m("exchange.delete", exchange="amq.topic"),
     "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed"),
    ("ann", m("exchange.bind", destination=BX, source=AX), no("write", "exchange", BX, "ann")),
    ("ann", m("exchange.bind", destination=AX, source=BX), no("read", "exchange", BX, "ann")),
    ("eve", m("exchange.bind", destination=AX, source=AX), no("read", "exchange", AX, "eve")),
    ("ann", m("exchange.unbind", destination=BX, source=AX), no("write", "exchange", BX, "ann")),
    ("ann", m("exchange.unbind", destination=AX, source=BX), no("read", "exchange", BX, "ann")),
    ("ann", m("queue.declare", queue="x"), no("configure", "queue", "x", "ann")),
    ("bob", m("queue.declare", queue=AQ, durable=True), no("configure", "queue", AQ, "bob")),
    ("ann", m("queue.declare", queue="amq.x"),
     "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'"),
    ("ann", m("queue.declare", queue="a-new", arguments={"x-dead-letter-exchange": BX}),
     no("write", "exchange", BX, "ann")),
    ("cat", m("queue.declare", queue="c-new", arguments={"x-dead-letter-exchange": BX}),
     no("read", "queue", "c-new", "cat")),
    ("ann", m("queue.declare", queue=BQ, passive=True), no("", "queue", BQ, "ann")),
    ("ann", m("queue.declare", queue="x", passive=True), no("", "queue", "x", "ann")),
    ("bob", m("queue.delete", queue=AQ), no("configure", "queue", AQ, "bob")),
    ("bob", m("queue.delete", queue="x"), no("configure", "queue", "x", "bob")),
    ("bob", m("queue.bind", queue=AQ, exchange=AX), no("write", "queue", AQ, "bob")),
    ("ann", m("queue.bind", queue=AQ, exchange=BX), no("read", "exchange", BX, "ann")),
    ("ann", m("queue.bind", queue=AQ, exchange=""), DEFAULT),
    ("bob", m("queue.bind", queue=AQ, exchange=""), no("write", "queue", AQ, "bob")),
    ("bob", m("queue.unbind", queue=AQ, exchange=AX), no("write", "queue", AQ, "bob")),
    ("ann", m("queue.unbind", queue=AQ, exchange=BX), no("read", "exchange", BX, "ann")),
    ("eve", m("queue.purge", queue=AQ), no("read", "queue", AQ, "eve")),
    ("eve", m("basic.get", queue=AQ), no("read", "queue", AQ, "eve")),
    ("eve", m("basic.get", queue="x"), no("read", "queue", "x", "eve")),
    ("eve", m("basic.consume", queue=AQ), no("read", "queue", AQ, "eve")),
]


@pytest.mark.parametrize("user, method, text", REFUSED,
                         ids=[f"{user}-{method[0]}-{n}" for n, (user, method, _) in enumerate(REFUSED)])
def test_refused(enter, user, method, text):
    w = enter(user)
    w.method(1, method[0], **method[1])
    w.expect_channel_close(1, 403, text, method[0])
    w.open(1)


@pytest.mark.parametrize("user, exchange, shown", [
    ("bob", AX, AX), ("bob", "", "amq.default"), ("ann", BX, BX), ("ann", "x", "x")])
@pytest.mark.parametrize("props", [dict(), dict(headers={"CC": ["k"]}), dict(reply_to="amq.rabbitmq.reply-to")],
                         ids=["bare", "cc", "reply-to"])
def test_publish_refused(enter, user, exchange, shown, props):
    w = enter(user)
    w.publish(1, b"x", exchange=exchange, routing_key="k", props=properties(**props))
    w.expect_channel_close(1, 403, no("write", "exchange", shown, user), "basic.publish")


def test_a_reply_is_a_publish_too(enter):
    w = enter("bob")
    w.publish(1, b"x", exchange="", routing_key="amq.rabbitmq.reply-to." + "0" * 32)
    w.expect_channel_close(1, 403, no("write", "exchange", "amq.default", "bob"), "basic.publish")


def test_what_is_allowed(enter):
    ann, bob, eve = enter("ann"), enter("bob"), enter("eve")
    ann.call(1, "queue.declare", queue="a-own", exclusive=True)
    ann.call(1, "queue.declare", queue="", exclusive=True)      # amq.gen-..., and ^a
    ann.call(1, "exchange.declare", exchange="a-own", type="fanout", auto_delete=True)
    ann.call(1, "queue.bind", queue="a-own", exchange="a-own")
    ann.call(1, "exchange.bind", destination="a-own", source=AX, routing_key="none")
    ann.call(1, "exchange.unbind", destination="a-own", source=AX, routing_key="none")
    bob.call(1, "queue.declare", queue=AQ, passive=True)
    bob.call(1, "exchange.declare", exchange=AX, passive=True)
    bob.call(1, "queue.purge", queue=AQ)
    for n in range(3):      # the second and third are remembered
        eve.publish(1, b"%d" % n, exchange=AX, routing_key="k")
        eve.sync(1)
        assert bob.call(1, "basic.get", queue=AQ, no_ack=True, answer="basic.get-ok").body == b"%d" % n
    tag = bob.call(1, "basic.consume", queue=AQ).consumer_tag
    eve.publish(1, b"x", exchange=AX, routing_key="k", props=properties(headers={"CC": ["m"]}))
    got = bob.expect(1, "basic.deliver")
    bob.method(1, "basic.ack", delivery_tag=got.delivery_tag)
    bob.call(1, "basic.cancel", consumer_tag=tag)
    eve.publish(1, b"", exchange="amq.fanout", routing_key="k")
    eve.sync(1)


def test_another_exchange_is_asked_for_anew(enter):
    """What is remembered of one exchange does not open the next one."""
    w = enter("eve")
    for _ in range(3):
        w.publish(1, b"x", exchange=AX, routing_key="k")
    w.publish(1, b"x", exchange=BX, routing_key="k")
    w.expect_channel_close(1, 403, no("write", "exchange", BX, "eve"), "basic.publish")


def test_user_id(enter):
    w = enter("ann")
    w.publish(1, b"x", exchange=AX, props=properties(user_id="ann"))
    w.sync(1)
    w.publish(1, b"x", exchange=AX, props=properties(user_id="bob"))
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated "
                                   "user was 'ann'", "basic.publish")
    w = enter("imp")
    w.publish(1, b"x", exchange=AX, props=properties(user_id="bob"))
    w.sync(1)


@pytest.mark.parametrize("login", [plain("ann", "wrong"), plain("nobody"), plain("ann", "pw-ann "), plain("dan", "x")])
def test_login_refused(guarded, login):
    w = Wire(guarded.amqp_port)
    w.start()
    w.start_ok(**login)
    w.expect_connection_close(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                                   "For details see the broker logfile.")


@pytest.mark.parametrize("user, vhost, text", [
    ("ann", "nowhere", "NOT_ALLOWED - vhost nowhere not found"),
    ("dan", "nowhere", "NOT_ALLOWED - vhost nowhere not found"),
    ("dan", "/", "NOT_ALLOWED - access to vhost '/' refused for user 'dan'")])
def test_virtual_host_refused(guarded, user, vhost, text):
    w = Wire(guarded.amqp_port)
    w.start()
    w.start_ok(**plain(user))
    w.expect(0, "connection.tune")
    w.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072)
    w.method(0, "connection.open", virtual_host=vhost)
    w.expect_connection_close(530, text, "connection.open")


def test_many_refused_logins_from_this_machine_are_not_slowed(guarded):
    for _ in range(25):
        test_login_refused(guarded, plain("ann", "wrong"))
    Wire(guarded.amqp_port).login(**plain("ann")).close()


def test_more_logins_at_once_than_may_wait(guarded):
    """Those that find the queue full come again."""
    wires = [Wire(guarded.amqp_port, timeout_s=15.0) for _ in range(40)]
    for n, w in enumerate(wires):
        w.start()
        w.start_ok(**plain("eve" if n % 2 else "cat", "wrong" if n % 4 == 0 else None))
    for n, w in enumerate(wires):
        if n % 4 == 0:
            w.expect_connection_close(403, "ACCESS_REFUSED - Login was refused using authentication mechanism "
                                           "PLAIN. For details see the broker logfile.")
        else:
            w.expect(0, "connection.tune")
        w.close_socket()


def test_a_client_that_leaves_during_its_login(guarded):
    for _ in range(10):
        w = Wire(guarded.amqp_port)
        w.start()
        w.start_ok(**plain("ann", "wrong"))
        w.close_socket()
    Wire(guarded.amqp_port).login(**plain("bob")).close()


def test_the_limit_of_the_node():
    with Leveret("--max_connections", "2", "--channel_max_per_node", "3") as server:
        first = Wire(server.amqp_port).login().open(1, 2)
        second = Wire(server.amqp_port).login().open(1)
        second.method(2, "channel.open")
        second.expect_connection_close(530, "NOT_ALLOWED - number of channels opened on this node has reached "
                                            "the maximum allowed limit of (3)", "channel.open")
        second = Wire(server.amqp_port).login()
        w = Wire(server.amqp_port)
        w.start()
        w.start_ok()
        w.expect(0, "connection.tune")
        w.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072)
        w.method(0, "connection.open", virtual_host="/")
        w.expect_connection_close(530, "NOT_ALLOWED - connection refused: node connection limit (2) is reached",
                                  "connection.open")
        first.close()
        Wire(server.amqp_port).login().close()
        second.close()


def test_users_survive_a_restart_and_the_settings_do_not_come_back():
    with Leveret("--default-user", "root", "--default-pass", "secret", "--default-vhost", "main",
                 *arguments()) as server:
        w = Wire(server.amqp_port).login(vhost="main", **plain("root", "secret")).open(1)
        w.call(1, "queue.declare", queue="q", durable=True)
        w.close()
        server.args = ("--default-pass", "other")
        server.restart()
        w = Wire(server.amqp_port).login(vhost="main", **plain("root", "secret")).open(1)
        w.call(1, "queue.declare", queue="q", passive=True)
        w.close()
        w = Wire(server.amqp_port).login(vhost="main", **plain("ann")).open(1)
        w.method(1, "queue.purge", queue="q")
        w.expect_channel_close(1, 403, "ACCESS_REFUSED - read access to queue 'q' in vhost 'main' refused for user "
                                       "'ann'", "queue.purge")
        test_login_refused(server, plain("root", "other"))
        test_login_refused(server, plain("guest", "guest"))

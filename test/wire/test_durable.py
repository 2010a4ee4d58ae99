"""What survives a restart, a kill, and what does not; and what a confirm and a commit promise."""
import pytest

from support.broker import Leveret
from wire import Wire, properties

PERSISTENT = properties(delivery_mode=2)
KILL = pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])


@pytest.fixture
def broker():
    """A broker of its own with small log files, so that they fill, are given up and are carried forward."""
    with Leveret("--store-file-size", "65536", "--stop-grace", "100") as server:
        yield server


@pytest.fixture
def open_wire(broker):
    wires = []

    def make(confirm=False):
        w = Wire(broker.amqp_port)
        w.login().open(1)
        if confirm:
            w.call(1, "confirm.select")
        wires.append(w)
        return w
    yield make
    for w in wires:
        w.close_socket()


def publish(w, queue, *bodies, exchange="", props=PERSISTENT):
    """Publishes and waits until all are confirmed. Returns nothing: what is confirmed is there."""
    for body in bodies:
        w.publish(1, body, props, exchange=exchange, routing_key=queue)
    w.confirmed = getattr(w, "confirmed", 0)
    wanted = getattr(w, "published", 0) + len(bodies)
    w.published = wanted
    while w.confirmed < wanted:
        m = w.read(1, 10)
        assert m.name == "basic.ack"
        w.confirmed = m.delivery_tag


def count(w, queue):
    return w.call(1, "queue.declare", queue=queue, passive=True).message_count


def take(w, queue, ack=True):
    w.method(1, "basic.get", queue=queue)
    m = w.read(1, 10)
    if m.name == "basic.get-empty":
        return None
    if ack:
        w.method(1, "basic.ack", delivery_tag=m.delivery_tag)
    return m


@KILL
def test_confirmed_messages_are_there_in_order(broker, open_wire, kill):
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    bodies = [b"%d " % n + b"x" * (n % 700) for n in range(1000)]
    publish(w, "q", *bodies)
    broker.restart(kill=kill)
    w = open_wire()
    assert count(w, "q") == 1000
    for body in bodies:
        got = take(w, "q")
        assert (got.body, got.redelivered) == (body, False)
    assert take(w, "q") is None


@KILL
def test_properties_and_large_bodies_come_back_as_they_were(broker, open_wire, kill):
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    props = properties(delivery_mode=2, content_type="a/b", priority=7, message_id="m", expiration="86400000",
                       headers={"k": "v", "n": 5})
    body = bytes(range(256)) * 4000         # a megabyte: many records of such small files
    publish(w, "q", body, b"", props=props)
    broker.restart(kill=kill)
    w = open_wire()
    got = take(w, "q")
    assert got.body == body
    assert (got.properties["content_type"], got.properties["priority"], got.properties["message_id"]) == ("a/b", 7, "m")
    assert got.headers == {"k": "v", "n": 5}
    assert take(w, "q").body == b""


@KILL
def test_topology_survives_what_is_durable(broker, open_wire, kill):
    w = open_wire()
    w.call(1, "exchange.declare", exchange="x", type="topic", durable=True)
    w.call(1, "exchange.declare", exchange="y", type="fanout", durable=True, arguments={"alternate-exchange": "x"})
    w.call(1, "exchange.declare", exchange="gone", type="fanout")
    w.call(1, "queue.declare", queue="q", durable=True, arguments={"x-max-length": 10})
    w.call(1, "queue.declare", queue="deleted", durable=True)
    w.call(1, "queue.declare", queue="transient")
    w.call(1, "queue.bind", queue="q", exchange="x", routing_key="a.#")
    w.call(1, "queue.bind", queue="q", exchange="x", routing_key="unbound")
    w.call(1, "queue.unbind", queue="q", exchange="x", routing_key="unbound")
    w.call(1, "exchange.bind", destination="x", source="y", routing_key="")
    w.call(1, "queue.delete", queue="deleted")
    broker.restart(kill=kill)
    w = open_wire()
    w.call(1, "exchange.declare", exchange="x", type="topic", durable=True)
    w.call(1, "exchange.declare", exchange="y", type="fanout", durable=True, arguments={"alternate-exchange": "x"})
    w.call(1, "queue.declare", queue="q", durable=True, arguments={"x-max-length": 10})
    w.publish(1, b"1", exchange="x", routing_key="a.b")
    w.publish(1, b"2", exchange="x", routing_key="unbound")
    w.publish(1, b"3", exchange="y", routing_key="a.c")
    w.sync(1)
    assert count(w, "q") == 2
    for missing in ("deleted", "transient"):
        w.open(2)
        w.method(2, "queue.declare", queue=missing, passive=True)
        assert w.read(2, 5).reply_code == 404
        w.method(2, "channel.close-ok")
    w.open(2)
    w.method(2, "exchange.declare", exchange="gone", type="fanout", passive=True)
    assert w.read(2, 5).reply_code == 404


@KILL
def test_transient_messages_are_dropped(broker, open_wire, kill):
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    publish(w, "q", b"t1", props=b"\0\0")
    publish(w, "q", b"p1")
    publish(w, "q", b"t2", props=b"\0\0")
    publish(w, "q", b"p2")
    broker.restart(kill=kill)
    w = open_wire()
    assert [take(w, "q").body, take(w, "q").body, take(w, "q")] == [b"p1", b"p2", None]


@KILL
def test_what_was_handed_out_comes_again_marked(broker, open_wire, kill):
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    publish(w, "q", *[b"%d" % n for n in range(10)])
    for n in range(4):
        take(w, "q", ack=n < 2)
    w.sync(1)
    broker.restart(kill=kill)
    w = open_wire()
    got = [take(w, "q") for _ in range(count(w, "q"))]
    bodies = [m.body for m in got]
    assert bodies[-8:] == [b"%d" % n for n in range(2, 10)]
    assert all(m.redelivered for m in got if m.body in (b"2", b"3"))
    if not kill:                            # after an orderly stop it is known exactly
        assert bodies == [b"%d" % n for n in range(2, 10)]
        assert [m.redelivered for m in got] == [True, True] + [False] * 6


@KILL
def test_a_commit_is_all_of_it(broker, open_wire, kill):
    w = open_wire(confirm=True)
    for queue in ("a", "b", "c"):
        w.call(1, "queue.declare", queue=queue, durable=True)
    publish(w, "a", b"old 1", b"old 2")
    t = open_wire()
    t.call(1, "tx.select")
    first = take(t, "a", ack=True)
    assert first.body == b"old 1"
    for n in range(50):
        t.publish(1, b"new %d" % n, PERSISTENT, routing_key=("b", "c")[n % 2])
    t.call(1, "tx.commit")
    t.publish(1, b"never", PERSISTENT, routing_key="b")     # of a transaction that was not committed
    t.sync(1)
    broker.restart(kill=kill)
    w = open_wire()
    assert [count(w, q) for q in ("a", "b", "c")] == [1, 25, 25]
    assert take(w, "a").body == b"old 2"
    assert take(w, "b").body == b"new 0"


@KILL
def test_purged_and_deleted_stay_so(broker, open_wire, kill):
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    w.call(1, "queue.declare", queue="d", durable=True)
    publish(w, "q", *[b"x" * 500] * 300)
    publish(w, "d", *[b"x" * 500] * 300)
    take(w, "q", ack=False)
    assert w.call(1, "queue.purge", queue="q").message_count == 299
    w.call(1, "queue.delete", queue="d")
    w.call(1, "queue.declare", queue="d", durable=True)     # another one of that name
    publish(w, "q", b"after")
    broker.restart(kill=kill)
    w = open_wire()
    assert count(w, "d") == 0
    assert [take(w, "q").body for _ in range(2)] == [b"x" * 500, b"after"]
    assert take(w, "q") is None


def test_generations_of_restarts_lose_nothing(broker, open_wire):
    """Each life leaves something in the queue, takes something out, and the log's files come and go."""
    expected = []
    w = open_wire(confirm=True)
    w.call(1, "queue.declare", queue="q", durable=True)
    w.call(1, "queue.declare", queue="idle", durable=True)
    publish(w, "idle", b"few", b"old", b"messages")
    for life in range(12):
        w = open_wire(confirm=True)
        bodies = [b"%d-%d " % (life, n) + b"y" * 300 for n in range(400)]
        publish(w, "q", *bodies)
        expected += bodies
        for _ in range(350):
            assert take(w, "q").body == expected.pop(0)
        w.sync(1)
        publish(w, "idle", b"%d" % life)
        broker.restart(kill=life % 2 == 0)
    w = open_wire()
    assert count(w, "q") == len(expected)
    assert [take(w, "q").body for _ in expected] == expected
    assert [take(w, "idle").body for _ in range(15)] == [b"few", b"old", b"messages"] + [b"%d" % n for n in range(12)]


def test_a_second_broker_does_not_take_the_directory(broker):
    import subprocess
    from support.broker import leveretd_path
    run = subprocess.run([leveretd_path(), "--data-dir", broker.dir + "/data", "--amqp-listen", "127.0.0.1:0",
                          "--http-listen", "none", "--metrics-listen", "none"], capture_output=True, text=True, timeout=10, check=False)
    assert run.returncode == 75
    assert "another process is using this data directory" in run.stderr

"""Bad input in quantity: the broker lives, its memory stays flat, and others do not notice.

HOSTILE_ROUNDS sets how many malformed conversations are held (5,000 in a usual run), HOSTILE_SILENT
how many connections say nothing (1,000).
"""

import os
import random
import resource
import struct
import time

import pytest

import wire
from wire import BODY, HEADER, HEARTBEAT, METHOD, Closed, Malformed, Wire, frame, header, method

ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "5000"))
SILENT = int(os.environ.get("HOSTILE_SILENT", "1000"))
SEED = int(os.environ.get("HOSTILE_SEED", "0")) or random.randrange(2**32)
FLAT_BYTES = 16 << 20       # what a long attack may add to resident memory

LOGIN = b"".join([
    wire.PROTOCOL_HEADER,
    method(0, "connection.start-ok", client_properties={"capabilities": wire.CAPABILITIES},
           mechanism="PLAIN", response=b"\0guest\0guest", locale="en_US"),
    method(0, "connection.tune-ok", channel_max=100, frame_max=4096, heartbeat=0),
    method(0, "connection.open", virtual_host="/")])
OPEN = LOGIN + method(1, "channel.open")
PUBLISH = method(1, "basic.publish", routing_key="nowhere")
DECLARE = method(1, "queue.declare", exclusive=True, arguments={"x-a": [1, {"b": "c"}]})


def some_bytes(rng):
    return rng.randbytes(rng.choice((1, 7, 8, 9, 64, 1000)))


def flipped(rng):
    """A good conversation with a few octets changed."""
    data = bytearray(OPEN + DECLARE + PUBLISH + header(1, 4, wire.properties(
        headers={"k": [1, 2]}, expiration="5")) + frame(BODY, 1, b"four"))
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(8, len(data))] = rng.randrange(256)
    return bytes(data)


ATTACKS = {
    "noise": some_bytes,
    "noise after the header": lambda r: wire.PROTOCOL_HEADER + some_bytes(r),
    "noise after login": lambda r: LOGIN + some_bytes(r),
    "noise on a channel": lambda r: OPEN + frame(METHOD, 1, some_bytes(r)),
    "flipped octets": flipped,
    "cut": lambda r: (OPEN + DECLARE)[:r.randrange(len(OPEN + DECLARE))],
    "huge frame": lambda r: OPEN + struct.pack(">BHI", r.choice((1, 2, 3, 8)), 1, 2**32 - 1),
    "huge frame before login": lambda r: wire.PROTOCOL_HEADER + struct.pack(
        ">BHI", 1, 0, r.choice((8193, 2**20, 2**32 - 1))),
    "huge body": lambda r: OPEN + PUBLISH + header(1, r.choice((2**29 + 1, 2**40, 2**64 - 1))),
    "promised body": lambda r: OPEN + PUBLISH + header(1, r.choice((2**24, 2**28, 2**29))),
    "huge table": lambda r: OPEN + frame(METHOD, 1, struct.pack(">HHHBBI", 50, 10, 0, 0, 2,
                                                                2**32 - 1)),
    "huge text in a table": lambda r: OPEN + method(
        1, "queue.declare", arguments=b"\0\0\0\7\1kS\xff\xff\xff\xff"),
    "deep table": lambda r: OPEN + method(
        1, "queue.declare", arguments=struct.pack(">I", 2000) + (b"\1kF" + b"\0\0\7\0") * 285
        + b"\0" * 5),
    "wrong order": lambda r: OPEN + r.choice((
        header(1, 5), frame(BODY, 1, b"x"), PUBLISH + PUBLISH, PUBLISH + frame(BODY, 1, b"x"),
        PUBLISH + header(1, 1) + frame(BODY, 1, b"xx"), method(1, "channel.open"),
        method(0, "connection.open", virtual_host="/"), frame(HEARTBEAT, 1))),
    "channel errors": lambda r: OPEN + b"".join(
        method(1, "queue.purge", queue="never.was") + method(1, "channel.close-ok")
        + method(1, "channel.open") for _ in range(r.randint(1, 5))),
    "many channels": lambda r: LOGIN + b"".join(method(c, "channel.open") for c in range(1, 102)),
    "wrong password": lambda r: OPEN.replace(b"\0guest\0guest", b"\0guest\0wrong"),
    "left in the middle of a body": lambda r: OPEN + PUBLISH + header(1, 4000)
    + frame(BODY, 1, b"x" * r.randrange(4000)),
    "left with messages": lambda r: OPEN + method(1, "queue.declare", queue="hostile",
                                                  auto_delete=True)
    + method(1, "basic.consume", queue="hostile")
    + wire.publish(1, b"x" * 500, routing_key="hostile"),
}


def attack(port, data):
    """Says it, listens a moment or not at all, and leaves."""
    try:
        with Wire(port, timeout_s=2) as w:
            w.write(data)
            try:
                w.read_bytes(1, 0.01)
            except (TimeoutError, Closed):
                pass
    except ConnectionError:
        pass


def assert_serves(port):
    w = Wire(port).login().open(1)
    q = w.call(1, "queue.declare", exclusive=True).queue
    w.publish(1, b"alive", routing_key=q)
    assert w.call(1, "basic.get", answer="basic.get-ok", queue=q).body == b"alive"
    w.close()


def assert_flat(broker, before):
    for _ in range(100):                    # connections that were left are noticed soon
        grown = broker.rss_bytes() - before
        if grown < FLAT_BYTES:
            return
        time.sleep(0.1)
    raise AssertionError(f"memory grew by {grown >> 10} KiB")


@pytest.mark.parametrize("what", ATTACKS)
def test_each_attack_a_few_times(broker, what):
    rng = random.Random(SEED)
    for _ in range(10):
        attack(broker.amqp_port, ATTACKS[what](rng))
    assert_serves(broker.amqp_port)


def test_thousands_of_malformed_conversations_leave_memory_flat(broker):
    rng = random.Random(SEED)
    attacks = list(ATTACKS.values())

    def hold(rounds):
        for _ in range(rounds):
            attack(broker.amqp_port, rng.choice(attacks)(rng))
    hold(300)                               # caches and pools find their size
    assert_serves(broker.amqp_port)
    before = broker.rss_bytes()
    hold(ROUNDS)
    assert broker.is_running(), f"HOSTILE_SEED={SEED}"
    assert_serves(broker.amqp_port)
    assert_flat(broker, before)


def test_claimed_lengths_cost_nothing(broker, connect, tcp):
    """Four gigabytes in a frame, a table, a text, and 16 MiB of body that never come."""
    before = broker.rss_bytes()
    for _ in range(50):
        tcp().write(wire.PROTOCOL_HEADER + struct.pack(">BHI", 1, 0, 2**32 - 1))
        w = tcp()
        w.write(OPEN + PUBLISH + header(1, 2**29))
        v = tcp()
        v.write(OPEN + frame(METHOD, 1, struct.pack(">HHHBBI", 50, 10, 0, 0, 2, 2**32 - 1)))
    connect().open(1).sync(1)
    assert_flat(broker, before)


def test_a_socket_before_login_may_not_send_more_than_a_frame(tcp):
    w = tcp()
    w.start()
    w.write(struct.pack(">BHI", METHOD, 0, 8192 - 8 + 9))
    w.write(b"x" * 100000)
    try:
        assert w.next_message(16).name == "connection.close"
    except (Closed, Malformed):
        pass


def test_silent_and_slow_connections(broker, tcp, connect):
    """Another client's round trips go on, and all strangers are turned out in time."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = broker.rss_bytes()
    silent = [tcp() for _ in range(SILENT)]
    slow = [tcp() for _ in range(100)]
    slow_bytes = iter(LOGIN[:-1])
    w = connect().open(1)
    q = w.call(1, "queue.declare", exclusive=True).queue
    cost = (broker.rss_bytes() - before) // (SILENT + 100)
    assert cost < 64 << 10, f"{cost} bytes each"
    began, trips, slowest = time.monotonic(), 0, 0.0
    while time.monotonic() - began < 3:
        octet = bytes([next(slow_bytes, 0)])
        for s in slow:
            s.write(octet)
        for _ in range(20):
            start = time.monotonic()
            w.publish(1, b"x", routing_key=q)
            w.call(1, "basic.get", answer="basic.get-ok", queue=q, no_ack=True)
            slowest = max(slowest, time.monotonic() - start)
            trips += 1
    assert trips >= 60 and slowest < 2
    for s in silent:
        s.expect_eof(max(0.1, began + 30 - time.monotonic()))


def test_half_open_and_reset_connections(broker):
    for n in range(200):
        w = Wire(broker.amqp_port)
        w.write(OPEN[:n * len(OPEN) // 200] + DECLARE * (n % 2))
        if n % 3 == 0:
            w.socket.setsockopt(wire.socket.SOL_SOCKET, wire.socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
        if n % 3 == 1:
            w.socket.shutdown(wire.socket.SHUT_WR)
        w.close_socket()
    assert_serves(broker.amqp_port)


def test_a_client_that_does_not_read_does_not_stop_others(broker, connect):
    """Its deliveries wait; the queue of another client moves on."""
    deaf = connect().open(1)
    q = deaf.call(1, "queue.declare", exclusive=True).queue
    deaf.call(1, "basic.consume", queue=q, no_ack=True)
    busy = connect().open(1)
    for _ in range(200):
        busy.publish(1, b"x" * 100000, routing_key=q)
    busy.sync(1)
    for _ in range(20):
        assert_serves(broker.amqp_port)
    deaf.close_socket()
    busy.sync(1)


def test_a_consumer_that_leaves_in_one_breath_with_its_socket(broker):
    """Its exclusive queue goes by itself, as an auto-delete queue, just before it goes with its owner."""
    for number in range(100):
        clients = []
        for n in range(4):                  # on every loop
            w = Wire(broker.amqp_port)
            w.login()
            w.open(1)
            w.call(1, "queue.declare", queue=f"breath-{number}-{n}", exclusive=True, auto_delete=True)
            w.call(1, "basic.consume", queue=f"breath-{number}-{n}", consumer_tag="t")
            clients.append(w)
        for w in clients:
            w.write(method(1, "basic.cancel", consumer_tag="t", no_wait=True))
            w.close_socket()
    with Wire(broker.amqp_port) as w:
        w.login()

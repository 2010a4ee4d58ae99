"""Long queues that expire, have limits, priorities and dead letters: 30,000 messages of 1 KiB, most of which are in no memory.

    pytest test/wire/test_long_queues.py
    pytest test/wire/test_long_queues.py --broker=rabbitmq
"""

import os
import time

import pytest

import backlog
from backlog import count, drain, get, numbers, only_leveret, open_wire, policy, publish, wait_count
from support.net import wait_until

MANY = 30000
LONG_S = 90
TO_D = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "d"}
BODY = b" " + b"x" * 1000


@pytest.fixture(scope="module")
def broker(request):
    with backlog.start(request, "--store-file-size", "1048576") as server:
        yield server


@pytest.fixture
def w(broker):
    wire = open_wire(broker)
    yield wire
    for queue in ("q", "d"):
        wire.call(1, "queue.delete", queue=queue)
    wire.close_socket()


def declare(w, queue, **arguments):
    w.call(1, "queue.declare", queue=queue, durable=True,
           arguments={key.replace("_", "-"): value for key, value in arguments.items()})


def many(first=0, last=MANY):
    return (b"%d" % n + BODY for n in range(first, last))


def stored_bytes(broker):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(os.path.join(broker.dir, "data"))
               for name in names if os.path.exists(os.path.join(folder, name)))


# --- lengths -----------------------------------------------------------------------------------

def test_drop_head(w):
    declare(w, "q", x_max_length=1000)
    assert publish(w, "q", many()) == MANY
    assert count(w, "q") == 1000
    assert numbers(drain(w, "q")) == list(range(MANY - 1000, MANY))


def test_drop_head_of_a_long_queue(w):
    """Every publish drops the oldest, far away from the newest."""
    declare(w, "q", x_max_length=20000)
    assert publish(w, "q", many()) == MANY
    assert count(w, "q") == 20000
    assert numbers(drain(w, "q")) == list(range(MANY - 20000, MANY))


def test_drop_head_by_bytes(w):
    declare(w, "q", x_max_length_bytes=1000000)
    assert publish(w, "q", (b"%-1000d" % n for n in range(MANY))) == MANY
    assert count(w, "q") == 1000
    assert numbers(drain(w, "q")) == list(range(MANY - 1000, MANY))


def test_drop_head_to_dead_letters(w):
    declare(w, "d")
    declare(w, "q", x_max_length=1000, **TO_D)
    assert publish(w, "q", many()) == MANY
    wait_count(w, "d", MANY - 1000, LONG_S)
    dead = drain(w, "d")
    assert numbers(dead) == list(range(MANY - 1000))
    assert {m.headers["x-death"][0]["reason"] for m in dead[::500]} == {"maxlen"}
    assert numbers(drain(w, "q")) == list(range(MANY - 1000, MANY))


def test_what_was_dropped_takes_no_room(broker, w):
    only_leveret(broker, "looks into the data directory")
    declare(w, "q", x_max_length=100)
    before = stored_bytes(broker)
    publish(w, "q", many())
    wait_until(lambda: stored_bytes(broker) < before + MANY * 1000 // 4, LONG_S, "the files stay")
    assert numbers(drain(w, "q")) == list(range(MANY - 100, MANY))


def test_reject_publish(w):
    declare(w, "q", x_max_length=20000, x_overflow="reject-publish")
    assert publish(w, "q", many()) == 20000
    assert numbers(drain(w, "q")) == list(range(20000))
    assert publish(w, "q", many(0, 10)) == 10


def test_a_limit_by_policy_comes_to_a_long_queue(broker, w):
    declare(w, "q")
    publish(w, "q", many())
    policy(broker, "q", {"max-length": 1000})
    try:
        wait_count(w, "q", 1000, LONG_S)
        assert publish(w, "q", many(MANY, MANY + 10)) == 10
    finally:
        policy(broker, "q", {})
    assert numbers(drain(w, "q")) == list(range(MANY - 990, MANY + 10))


def test_a_limit_by_policy_with_dead_letters(broker, w):
    declare(w, "d")
    declare(w, "q")
    publish(w, "q", many())
    policy(broker, "q", {"max-length": 1000, "dead-letter-exchange": "", "dead-letter-routing-key": "d"})
    try:
        wait_count(w, "d", MANY - 1000, LONG_S)
    finally:
        policy(broker, "q", {})
    assert numbers(drain(w, "d")) == list(range(MANY - 1000))
    assert numbers(drain(w, "q")) == list(range(MANY - 1000, MANY))


# --- expiry ------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["expiration", "x-message-ttl", "policy"])
def test_all_of_a_long_queue_expires(broker, w, how):
    declare(w, "q", **({"x-message-ttl": 1000} if how == "x-message-ttl" else {}))
    if how == "policy":
        policy(broker, "q", {"message-ttl": 1000})
    try:
        assert publish(w, "q", many(), **({"expiration": "1000"} if how == "expiration" else {})) == MANY
        wait_count(w, "q", 0, LONG_S)
    finally:
        if how == "policy":
            policy(broker, "q", {})
    assert publish(w, "q", [b"1"]) == 1
    assert numbers(drain(w, "q")) == [1]


def test_a_long_queue_expires_to_dead_letters(w):
    declare(w, "d")
    declare(w, "q", x_message_ttl=1000, **TO_D)
    assert publish(w, "q", many()) == MANY
    wait_count(w, "d", MANY, LONG_S)
    dead = drain(w, "d")
    assert numbers(dead) == list(range(MANY))
    assert {m.headers["x-death"][0]["reason"] for m in dead[::500]} == {"expired"}
    assert count(w, "q") == 0


def test_many_expired_messages_behind_one_that_lives(w):
    declare(w, "q")
    publish(w, "q", [b"0"])
    publish(w, "q", many(1), expiration="200")
    publish(w, "q", [b"%d" % MANY])
    assert count(w, "q") == MANY + 1
    assert numbers([get(w, "q")]) == [0]
    wait_count(w, "q", 1, LONG_S)
    assert numbers(drain(w, "q")) == [MANY]


def test_a_consumer_behind_many_expired_messages(w):
    declare(w, "q")
    publish(w, "q", [b"0"])
    publish(w, "q", many(1), expiration="200")
    publish(w, "q", [b"%d" % MANY])
    time.sleep(0.3)
    w.call(1, "basic.qos", prefetch_count=1)
    w.call(1, "basic.consume", queue="q", consumer_tag="c")
    for expected in (0, MANY):
        m = w.expect(1, "basic.deliver", timeout_s=LONG_S)
        assert numbers([m]) == [expected]
        w.method(1, "basic.ack", delivery_tag=m.delivery_tag)
    w.call(1, "basic.cancel", consumer_tag="c")


def test_many_different_times(w):
    """Times fall and rise: a message goes when all before it have gone."""
    declare(w, "d")
    declare(w, "q", **TO_D)
    publish(w, "q", many(), expiration=lambda n: str(200 + n * 7919 % 3000))
    wait_count(w, "d", MANY, LONG_S)
    assert numbers(drain(w, "d")) == list(range(MANY))
    assert count(w, "q") == 0


def test_an_unused_long_queue_goes(broker, w):
    declare(w, "q", x_expires=1000)
    publish(w, "q", many())
    wait_until(lambda: backlog.is_gone(broker, "q"), LONG_S, "q is still there")
    declare(w, "q")
    assert count(w, "q") == 0


# --- priorities --------------------------------------------------------------------------------

def test_priorities(w):
    declare(w, "q", x_max_priority=9)
    publish(w, "q", many(), priority=lambda n: n * 7919 % 10)
    assert numbers(drain(w, "q")) == sorted(range(MANY), key=lambda n: (-(n * 7919 % 10), n))


def test_one_high_message_overtakes_a_long_queue(w):
    declare(w, "q", x_max_priority=9)
    publish(w, "q", many(), priority=1)
    publish(w, "q", [b"-1"], priority=9)
    assert numbers([get(w, "q"), get(w, "q")]) == [-1, 0]
    publish(w, "q", [b"-2"], priority=2)
    assert numbers([get(w, "q"), get(w, "q")]) == [-2, 1]


def test_priorities_and_a_limit(w):
    """The head is dropped, that is the oldest of the highest priority."""
    declare(w, "q", x_max_priority=2, x_max_length=1000)
    publish(w, "q", many(0, 500), priority=0)
    publish(w, "q", many(500), priority=lambda n: 1 + n % 2)
    left = numbers(drain(w, "q"))
    assert len(left) == 1000
    assert left[-500:] == list(range(500))
    assert left[:500] == sorted(left[:500])


# --- dead letters ------------------------------------------------------------------------------

def test_all_of_a_long_queue_is_rejected(w):
    declare(w, "d")
    declare(w, "q", **TO_D)
    publish(w, "q", many())
    w.call(1, "basic.consume", queue="q", consumer_tag="c")
    last = [w.expect(1, "basic.deliver") for _ in range(MANY)][-1]
    w.method(1, "basic.nack", delivery_tag=last.delivery_tag, multiple=True, requeue=False)
    wait_count(w, "d", MANY, LONG_S)
    w.call(1, "basic.cancel", consumer_tag="c")
    assert numbers(drain(w, "d")) == list(range(MANY))

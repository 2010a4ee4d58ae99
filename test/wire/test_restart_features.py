"""What queues can do besides holding messages, over a clean stop and over a kill: expiry, dead letters, priorities, lengths,
counts of deliveries, policies.

    pytest test/wire/test_restart_features.py
    pytest test/wire/test_restart_features.py --broker=rabbitmq     minutes
"""

import time

import pytest

import backlog
from backlog import bodies, count, drain, get, is_gone, numbers, only_leveret, open_wire, policy, publish, wait_count, wait_get
from support.broker import Leveret
from support.net import wait_until

KILL = pytest.mark.parametrize("kill", [False, True], ids=["stop", "kill"])
TO_D = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "d"}


@pytest.fixture
def broker(request):
    """Small log files, so that they fill, are given up and are carried forward."""
    with backlog.start(request, "--store-file-size", "65536", "--stop-grace", "100") as server:
        yield server


@pytest.fixture
def w(broker):
    wire = open_wire(broker)
    yield wire
    wire.close_socket()


def declare(w, queue, **arguments):
    return w.call(1, "queue.declare", queue=queue, durable=True,
                  arguments={key.replace("_", "-"): value for key, value in arguments.items()})


def again(broker, w, kill):
    w.close_socket()
    broker.restart(kill=kill)
    return open_wire(broker)


def death(message):
    return {key: message.headers["x-death"][0][key] for key in ("count", "reason", "queue")}


# --- priorities --------------------------------------------------------------------------------

@KILL
def test_priorities(broker, w, kill):
    declare(w, "q", x_max_priority=5)
    publish(w, "q", [b"%d" % n for n in range(300)], priority=lambda n: n % 7)      # 6 counts as 5
    w = again(broker, w, kill)
    assert count(w, "q") == 300
    assert numbers(drain(w, "q")) == sorted(range(300), key=lambda n: (-min(n % 7, 5), n))


@KILL
def test_priorities_of_what_was_unacknowledged(broker, w, kill):
    declare(w, "q", x_max_priority=5)
    publish(w, "q", [b"%d" % n for n in range(30)], priority=lambda n: n % 3)
    for _ in range(15):
        assert get(w, "q", no_ack=False)
    w = again(broker, w, kill)
    wait_count(w, "q", 30)
    assert numbers(drain(w, "q")) == sorted(range(30), key=lambda n: (-(n % 3), n))


@KILL
def test_new_messages_find_their_place_among_old_ones(broker, w, kill):
    declare(w, "q", x_max_priority=5)
    publish(w, "q", [b"0", b"1", b"2"], priority=lambda n: (1, 3, 5)[n])
    w = again(broker, w, kill)
    publish(w, "q", [b"3", b"4", b"5"], priority=lambda n: (5, 3, 2)[n])
    assert numbers(drain(w, "q")) == [2, 3, 1, 4, 5, 0]


# --- expiry ------------------------------------------------------------------------------------

@KILL
def test_expired_while_nobody_ran(broker, w, kill):
    declare(w, "d")
    declare(w, "q", **TO_D)
    publish(w, "q", [b"%d" % n for n in range(50)], expiration="700")
    publish(w, "q", [b"50"], expiration="600000")
    w.close_socket()
    if kill:
        broker.kill()
    else:
        broker.process.terminate()
        broker.process.wait(30)
    time.sleep(1.0)
    broker.restart()
    w = open_wire(broker)
    wait_count(w, "d", 50)
    dead = drain(w, "d")
    assert numbers(dead) == list(range(50))
    assert death(dead[0]) == {"count": 1, "reason": "expired", "queue": "q"}
    if isinstance(broker, Leveret):             # RabbitMQ 3.10 forgets it for messages that it reads from its disk
        assert dead[0].headers["x-death"][0]["original-expiration"] == "700"
    assert numbers(drain(w, "q")) == [50]


@KILL
@pytest.mark.parametrize("how", ["expiration", "x-message-ttl"])
def test_the_time_that_is_left_is_not_longer_after_a_restart(broker, w, kill, how):
    """A second message with less time than the first one had at first, and more than it has now, expires after it."""
    only_leveret(broker, "takes seconds to start")
    declare(w, "d")
    declare(w, "q", **TO_D, **({} if how == "expiration" else {"x-message-ttl": 4500}))
    declare(w, "r", **TO_D)
    publish(w, "q", [b"first"], **({"expiration": "4500"} if how == "expiration" else {}))
    time.sleep(2.5)
    w = again(broker, w, kill)
    publish(w, "r", [b"second"], expiration="3200")
    assert [wait_get(w, "d").body for _ in range(2)] == [b"first", b"second"]


@KILL
def test_nothing_expires_because_of_a_restart(broker, w, kill):
    declare(w, "q", x_message_ttl=600000)
    publish(w, "q", [b"%d" % n for n in range(100)], expiration=lambda n: str(500000 + n))
    w = again(broker, w, kill)
    assert numbers(drain(w, "q")) == list(range(100))


@KILL
def test_what_has_expired_does_not_come_back(broker, w, kill):
    declare(w, "d")
    declare(w, "q", x_message_ttl=100, **TO_D)
    publish(w, "q", [b"%d x" % n + b"x" * 500 for n in range(200)])
    wait_count(w, "q", 0)
    wait_count(w, "d", 200)
    publish(w, "d", [b"200 last"])
    w = again(broker, w, kill)
    wait_count(w, "q", 0)
    assert numbers(drain(w, "d")) == list(range(201))


@KILL
def test_an_unused_queue_goes_after_a_restart(broker, w, kill):
    declare(w, "q", x_expires=1500)
    declare(w, "stays", x_expires=600000)
    publish(w, "q", [b"1"])
    w = again(broker, w, kill)
    wait_until(lambda: is_gone(broker, "q"), 30, "q is still there")
    assert count(w, "stays") == 0


@KILL
def test_the_end_of_an_unused_queue_is_for_good(broker, w, kill):
    declare(w, "q", x_expires=200)
    publish(w, "q", [b"1"])
    wait_until(lambda: is_gone(broker, "q"), 30, "q is still there")
    w = again(broker, w, kill)
    assert is_gone(broker, "q")
    declare(w, "q")
    assert count(w, "q") == 0


# --- dead letters ------------------------------------------------------------------------------

@KILL
def test_dead_letters_keep_their_history(broker, w, kill):
    if kill:
        only_leveret(broker, "loses the dead letter")
    declare(w, "q", x_dead_letter_exchange="", x_dead_letter_routing_key="q")
    publish(w, "q", [b"1"], headers={"mine": 5})
    for _ in range(2):
        m = wait_get(w, "q", no_ack=False)
        w.method(1, "basic.reject", delivery_tag=m.delivery_tag)
    wait_count(w, "q", 1)
    declare(w, "other")
    publish(w, "other", [b"a message that is on the disk after it"])
    w = again(broker, w, kill)
    m = wait_get(w, "q", no_ack=False)
    assert death(m) == {"count": 2, "reason": "rejected", "queue": "q"}
    assert (m.headers["mine"], m.headers["x-first-death-queue"]) == (5, "q")
    w.method(1, "basic.reject", delivery_tag=m.delivery_tag)
    assert death(wait_get(w, "q")) == {"count": 3, "reason": "rejected", "queue": "q"}


@pytest.mark.parametrize("after", [1, 150, 450])
def test_a_kill_among_rejections_loses_and_doubles_nothing(broker, w, after):
    only_leveret(broker, "promises less")
    declare(w, "d")
    declare(w, "q", **TO_D)
    publish(w, "q", [b"%d " % n + b"x" * 300 for n in range(500)])
    w.call(1, "basic.consume", queue="q", consumer_tag="c")
    tags = [w.expect(1, "basic.deliver").delivery_tag for _ in range(500)]
    watcher = open_wire(broker)
    for tag in tags:
        w.method(1, "basic.reject", delivery_tag=tag)
    wait_until(lambda: count(watcher, "d") >= after, 30, "no dead letters", interval_s=0.0)
    broker.kill()
    for wire in (w, watcher):
        backlog.lost(wire)
    broker.restart()
    w = open_wire(broker)
    dead, alive = numbers(drain(w, "d")), numbers(drain(w, "q"))
    assert dead == sorted(dead)
    assert sorted(dead + alive) == list(range(500))


@pytest.mark.parametrize("after", [1, 150, 450])
def test_a_kill_among_expiries_loses_and_doubles_nothing(broker, w, after):
    only_leveret(broker, "promises less")
    declare(w, "d")
    declare(w, "q", **TO_D)
    publish(w, "q", [b"%d " % n + b"x" * 300 for n in range(500)], expiration="1000")
    wait_until(lambda: count(w, "d") >= after, 30, "no dead letters", interval_s=0.0)
    broker.kill()
    backlog.lost(w)
    broker.restart()
    w = open_wire(broker)
    wait_count(w, "q", 0)
    assert numbers(drain(w, "d")) == list(range(500))


@pytest.mark.parametrize("after", [1, 300, 1500])
def test_a_kill_among_messages_that_are_too_many(broker, w, after):
    """What was published last may be missing; nothing before it, and what was confirmed is there."""
    only_leveret(broker, "promises less")
    declare(w, "d")
    declare(w, "q", x_max_length=100, **TO_D)
    publish(w, "q", [b"%d " % n + b"x" * 300 for n in range(100 + after)])
    for n in range(100 + after, 2500):
        w.publish(1, b"%d " % n + b"x" * 300, backlog.properties(delivery_mode=2), routing_key="q")
    broker.kill()
    backlog.lost(w)
    broker.restart()
    w = open_wire(broker)
    dead, alive = numbers(drain(w, "d")), numbers(drain(w, "q"))
    assert len(dead) >= after and len(alive) == 100
    assert dead + alive == list(range(len(dead) + 100))


# --- lengths -----------------------------------------------------------------------------------

@KILL
def test_max_length(broker, w, kill):
    declare(w, "q", x_max_length=10)
    publish(w, "q", [b"%d" % n for n in range(300)])
    w = again(broker, w, kill)
    assert count(w, "q") == 10
    publish(w, "q", [b"%d" % n for n in range(300, 305)])
    assert numbers(drain(w, "q")) == list(range(295, 305))


@KILL
def test_max_length_bytes(broker, w, kill):
    declare(w, "q", x_max_length_bytes=1000)
    publish(w, "q", [b"%-100d" % n for n in range(50)])
    w = again(broker, w, kill)
    assert count(w, "q") == 10
    publish(w, "q", [b"%-101d" % 50])
    assert numbers(drain(w, "q")) == list(range(42, 51))


@KILL
def test_reject_publish(broker, w, kill):
    declare(w, "q", x_max_length=3, x_overflow="reject-publish")
    assert publish(w, "q", [b"0", b"1", b"2", b"3"]) == 3
    w = again(broker, w, kill)
    assert publish(w, "q", [b"4"]) == 0
    assert get(w, "q").body == b"0"
    assert publish(w, "q", [b"5", b"6"]) == 1
    assert numbers(drain(w, "q")) == [1, 2, 5]


@KILL
def test_what_was_unacknowledged_comes_back_into_a_full_queue(broker, w, kill):
    declare(w, "q", x_max_length=3)
    publish(w, "q", [b"0", b"1", b"2"])
    assert get(w, "q", no_ack=False).body == b"0"
    publish(w, "q", [b"3"])
    w = again(broker, w, kill)
    wait_count(w, "q", 3)
    assert numbers(drain(w, "q")) == [1, 2, 3]


# --- quorum queues -----------------------------------------------------------------------------

@KILL
def test_counts_of_deliveries(broker, w, kill):
    if kill:
        only_leveret(broker, "does not serve the queue soon enough after a kill")
    declare(w, "d")
    declare(w, "q", x_queue_type="quorum", x_delivery_limit=3, **TO_D)
    publish(w, "q", [b"1"])
    for expected in (0, 1):
        m = wait_get(w, "q", no_ack=False)
        assert (m.headers or {}).get("x-delivery-count", 0) == expected
        w.method(1, "basic.reject", delivery_tag=m.delivery_tag, requeue=True)
    publish(w, "d", [b"a message that is on the disk after it"])
    drain(w, "d")
    w = again(broker, w, kill)
    for expected in (2, 3):
        m = wait_get(w, "q", no_ack=False)
        assert (m.redelivered, m.headers["x-delivery-count"]) == (True, expected)
        w.method(1, "basic.reject", delivery_tag=m.delivery_tag, requeue=True)
    assert death(wait_get(w, "d")) == {"count": 1, "reason": "delivery_limit", "queue": "q"}
    wait_count(w, "q", 0)


@KILL
def test_all_of_a_quorum_queue_is_kept(broker, w, kill):
    """Whatever the delivery mode; it is shown as it was sent. So are dead letters."""
    if kill:
        only_leveret(broker, "does not serve the queue soon enough after a kill")
    declare(w, "q", x_queue_type="quorum")
    declare(w, "r", **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
    publish(w, "q", [b"1"], delivery_mode=1)
    publish(w, "r", [b"2"], delivery_mode=1)
    m = wait_get(w, "r", no_ack=False)
    w.method(1, "basic.reject", delivery_tag=m.delivery_tag, requeue=False)
    wait_count(w, "q", 2)
    publish(w, "r", [b"a message that is on the disk after them"])
    w = again(broker, w, kill)
    wait_count(w, "q", 2)
    got = drain(w, "q")
    assert numbers(got) == [1, 2]
    assert [m.properties["delivery_mode"] for m in got] == [1, 1]


@KILL
@pytest.mark.differs("quorum-priority")
def test_priorities_of_a_quorum_queue(broker, w, kill):
    declare(w, "q", x_queue_type="quorum")
    publish(w, "q", [b"%d" % n for n in range(200)], priority=lambda n: n % 40)
    publish(w, "q", [b"200"])
    w = again(broker, w, kill)
    w.call(1, "basic.consume", queue="q", consumer_tag="c")
    expected = sorted(range(201), key=lambda n: (-(4 if n == 200 else min(n % 40, 31)), n))
    assert numbers([w.expect(1, "basic.deliver") for _ in range(201)]) == expected


# --- others ------------------------------------------------------------------------------------

@KILL
def test_single_active_consumer(broker, w, kill):
    declare(w, "q", x_single_active_consumer=True)
    w = again(broker, w, kill)
    w.open(2, 3)
    w.call(2, "basic.consume", queue="q", consumer_tag="first")
    w.call(3, "basic.consume", queue="q", consumer_tag="second")
    publish(w, "q", [b"1", b"2"])
    assert [w.expect(2, "basic.deliver").body for _ in range(2)] == [b"1", b"2"]
    w.quiet(3)


@KILL
def test_policies(broker, w, kill):
    declare(w, "q")
    declare(w, "d")
    policy(broker, "q", {"max-length": 5, "dead-letter-exchange": "", "dead-letter-routing-key": "d"})
    publish(w, "q", [b"%d" % n for n in range(10)])
    w = again(broker, w, kill)
    assert count(w, "q") == 5
    publish(w, "q", [b"10"])
    assert numbers(drain(w, "q")) == list(range(6, 11))
    wait_count(w, "d", 6)
    assert numbers(drain(w, "d")) == list(range(6))
    policy(broker, "q", {})
    publish(w, "q", [b"%d" % n for n in range(10)])
    assert bodies(drain(w, "q")) == [b"%d" % n for n in range(10)]

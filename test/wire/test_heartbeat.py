"""Heartbeats (§4.2.7) both ways; RabbitMQ's rules where the spec is open."""

import time

import pytest

from wire import HEARTBEAT, Closed, frame, method

pytestmark = pytest.mark.slow


def beat(w, for_s, every_s=0.4, data=frame(HEARTBEAT, 0)):
    """Says `data` now and then; true when the broker kept the connection."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        w.write(data)
        try:
            w.next_message(every_s)
        except TimeoutError:
            continue
        except Closed:
            return False
    return True


def test_the_broker_sends_heartbeats_when_it_has_nothing_to_say(connect):
    w = connect(heartbeat=1)
    assert beat(w, 3.2)
    assert w.heartbeats >= 2


def test_two_seconds_are_two_seconds(connect):
    w = connect(heartbeat=2)
    assert beat(w, 5.2)
    assert 1 <= w.heartbeats <= 6


def test_a_silent_client_is_dropped_after_two_to_three_intervals_without_a_word(connect):
    """TCP is closed; there is no connection.close."""
    w = connect(heartbeat=1)
    began = time.monotonic()
    with pytest.raises(Closed):
        w.next_message(6)
    assert 1.5 < time.monotonic() - began < 5
    assert not w.buffer


def test_any_traffic_of_the_client_counts(connect):
    w = connect(heartbeat=1).open(1)
    assert beat(w, 4, data=method(1, "channel.flow", active=True))
    v = connect(heartbeat=1).open(1)
    body = iter(method(1, "channel.flow", active=True) * 3)
    end = time.monotonic() + 4
    while time.monotonic() < end:           # one byte at a time, never a whole frame in an interval
        v.write(bytes([next(body)]))
        time.sleep(0.4)
    v.write(bytes(body))
    v.expect(1, "channel.flow-ok")


def test_zero_means_no_heartbeats(connect):
    w = connect(heartbeat=0).open(1)
    time.sleep(3.5)
    w.sync(1)
    assert w.heartbeats == 0


def test_the_clients_value_is_taken_even_above_the_offer(connect):
    w = connect(heartbeat=600).open(1)
    time.sleep(2.5)
    w.sync(1)
    assert w.heartbeats == 0


def test_the_queues_of_a_dropped_client_go(connect):
    w = connect(heartbeat=1).open(1)
    q = w.call(1, "queue.declare", exclusive=True).queue
    with pytest.raises(Closed):
        w.next_message(6)
    other = connect().open(1)
    other.method(1, "queue.declare", queue=q, passive=True)
    other.expect(1, "channel.close", reply_code=404)

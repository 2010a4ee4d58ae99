"""Rates and samples: traffic with a known count, and what the API makes of it."""

import time

import pika
import pytest

from brokers import HttpLeveret, wait_for
from client import Client

INTERVAL_MS = 200
COUNT = 300


@pytest.fixture(scope="module")
def broker():
    with HttpLeveret("--collect_statistics_interval", str(INTERVAL_MS)) as broker:
        yield broker


@pytest.fixture(scope="module")
def api(broker):
    client = Client(broker.http_port)
    yield client
    client.close()


@pytest.fixture(scope="module")
def channel(broker):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    yield connection.channel()
    connection.close()


def rate(stats, name):
    return stats.get("message_stats", {}).get(f"{name}_details", {}).get("rate", 0)


def burst(channel, queue, exchange=""):
    for _ in range(COUNT):
        channel.basic_publish(exchange, queue, b"x")
    channel.connection.process_data_events(0)


def seen(fetch, *names):
    """The first answer in which all these rates are above zero."""
    best = {}

    def look():
        answer = fetch()
        for name in names:
            best[name] = max(best.get(name, 0), rate(answer, name))
        return all(best.values()) and answer
    wait_for(f"rates of {names}", look)
    return best


def test_queue_overview_and_vhost(api, channel):
    channel.queue_declare("q", auto_delete=True)
    channel.basic_consume("q", lambda *_: None, auto_ack=True)
    for path in ("/api/queues/%2F/q", "/api/overview", "/api/vhosts/%2F"):
        burst(channel, "q")
        rates = seen(lambda path=path: api.fetch(path), "publish", "deliver_no_ack", "deliver_get")
        # No more than all of them in one interval, which may be cut short by a quarter when the last one came late.
        assert all(0 < r <= COUNT * 1000 / INTERVAL_MS * 1.34 for r in rates.values()), rates
        wait_for("rest", lambda path=path: rate(api.fetch(path), "publish") == 0)


def test_exchange(api, channel):
    channel.exchange_declare("x", "fanout", auto_delete=True)
    for name in ("a", "b"):
        channel.queue_declare(name, auto_delete=True)
        channel.queue_bind(name, "x")
    burst(channel, "", exchange="x")
    seen(lambda: api.fetch("/api/exchanges/%2F/x"), "publish_in", "publish_out")
    stats = api.fetch("/api/exchanges/%2F/x")["message_stats"]
    assert (stats["publish_in"], stats["publish_out"]) == (COUNT, 2 * COUNT)


def test_samples(api, channel):
    channel.queue_declare("sampled")
    burst(channel, "sampled")
    path = "/api/queues/%2F/sampled?msg_rates_age=60&msg_rates_incr=5&lengths_age=60&lengths_incr=5"
    wait_for("a sample", lambda: api.fetch(path).get("message_stats", {}).get("publish_details", {}).get("samples"))
    wait_for("the newest sample", lambda: api.fetch(path)["messages_details"]["samples"][0]["sample"] == COUNT)
    queue = api.fetch(path)
    for details, value in ((queue["message_stats"]["publish_details"], COUNT), (queue["messages_details"], COUNT)):
        samples = details["samples"]
        assert len(samples) == 13
        values = [sample["sample"] for sample in samples]
        assert values == sorted(values, reverse=True) and values[0] == value and values[-1] == 0
        times = [sample["timestamp"] for sample in samples]
        assert {a - b for a, b in zip(times, times[1:])} == {5000}
        assert abs(times[0] / 1000 - time.time()) < 30
        assert details["avg_rate"] == pytest.approx(COUNT / 60)
        assert details["avg"] == pytest.approx(sum(values) / 13)
    channel.queue_delete("sampled")


def test_no_samples_without_asking(api, channel):
    channel.queue_declare("plain")
    burst(channel, "plain")
    wait_for("a count", lambda: api.fetch("/api/queues/%2F/plain").get("message_stats"))
    assert set(api.fetch("/api/queues/%2F/plain")["messages_details"]) == {"rate"}
    channel.queue_delete("plain")


@pytest.mark.parametrize("query", ("msg_rates_age=10000&msg_rates_incr=1", "lengths_age=60", "data_rates_age=x&data_rates_incr=5"))
def test_wrong_ranges(api, query):
    answer = api.get(f"/api/overview?{query}")
    assert answer.status == 400 and answer.json["error"] == "invalid_range_parameters"


def test_a_length_that_falls_has_a_negative_rate(api, channel):
    channel.queue_declare("falling")
    burst(channel, "falling")
    wait_for("messages", lambda: api.fetch("/api/queues/%2F/falling")["messages"] == COUNT)
    time.sleep(3 * INTERVAL_MS / 1000)
    channel.queue_purge("falling")
    wait_for("a rate below zero", lambda: api.fetch("/api/queues/%2F/falling")["messages_details"]["rate"] < 0)
    channel.queue_delete("falling")


def test_connection_and_channel(api, broker):
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    channel = connection.channel()
    channel.queue_declare("own", exclusive=True)
    name = next(row["name"] for row in api.fetch("/api/connections") if row["channels"] == 1 and row["connected_at"] and any(
        ch["connection_details"]["name"] == row["name"] and ch.get("message_stats") is None for ch in api.fetch("/api/channels")))
    quoted = name.replace(" ", "%20").replace(">", "%3E")
    best = {"octets": 0, "publish": 0}

    def look():
        burst(channel, "own")
        best["octets"] = max(best["octets"], api.fetch(f"/api/connections/{quoted}")["recv_oct_details"]["rate"])
        best["publish"] = max(best["publish"], rate(api.fetch(f"/api/channels/{quoted}%20(1)"), "publish"))
        return all(best.values())
    wait_for("rates of the connection and its channel", look)
    connection.close()

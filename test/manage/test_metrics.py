"""Metrics: names, labels, types and values of every endpoint, beside RabbitMQ's plugin."""

import gzip
import json
import os
import re
import shutil

import pika
import pytest

import brokers
import tools
from client import Client
from exposition import Metrics
from families import (ALARMS, BY_PROTOCOL, BY_QUEUE_TYPE, CLUSTER, DEAD_LETTERED, FAMILIES, MESSAGE_SIZES, TOTALS, kind, names)
from support.rabbitmq import is_installed
from test_side_by_side import listed
from world import V, VHOST, World

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden-metrics.json")
ENDPOINTS = ("/metrics", "/metrics/per-object", "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics")


@pytest.fixture(scope="module")
def scraper(target, world):
    if target.metrics_port is None:
        pytest.skip("this leveretd has no metrics")
    client = Client(target.metrics_port, user=None)
    yield client
    client.close()


@pytest.fixture(scope="module")
def scrape(scraper):
    def get(path):
        answer = scraper.get(path)
        assert answer.status == 200, answer
        return Metrics(answer.text)
    return get


@pytest.fixture(scope="module")
def whole(scrape):
    return scrape("/metrics")


@pytest.fixture(scope="module")
def objects(scrape):
    return scrape("/metrics/per-object")


# ---- HTTP ----

@pytest.mark.parametrize("path", ENDPOINTS)
def test_content_type_and_compression(scraper, path):
    answer = scraper.get(path, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["content-encoding"] == "gzip"
    Metrics(gzip.decompress(answer.body).decode())
    plain = scraper.get(path)
    assert plain.headers.get("content-encoding", "identity") == "identity"


def test_other_paths(target, scraper):
    assert scraper.get("/metrics/nosuch").status == 404
    assert scraper.get("/nosuch").status == 404
    assert scraper.get("/metrics/").status == 200
    if target.is_leveret:
        assert scraper.request("POST", "/metrics").status == 405
        assert Client(target.http_port).get("/metrics").status == 200


def test_memory_breakdown(target, scrape):
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 has no such endpoint")
    metrics = scrape("/metrics/memory-breakdown")
    assert len({name for name in metrics.names if name.startswith("rabbitmq_memory_") and name.endswith("_bytes")}) >= 26
    assert metrics.rows("rabbitmq_identity_info", rabbitmq_endpoint="memory-breakdown")


@pytest.mark.parametrize("path", ENDPOINTS)
def test_format(scraper, path):
    """Every metric has its type and help once, before its samples, which stand together and differ in their labels."""
    text = scraper.get(path).text
    metrics = Metrics(text)
    assert text.endswith("\n")
    order = [re.match(r"[\w:]+", line)[0] for line in text.splitlines() if line and not line.startswith("#")]
    families = [re.sub(r"_(bucket|sum|count)$", "", name) if metrics.types.get(name) is None else name for name in order]
    starts = [name for at, name in enumerate(families) if at == 0 or families[at - 1] != name]
    assert len(starts) == len(set(starts)), "samples of one metric stand apart"
    assert set(starts) <= set(metrics.types)
    assert set(metrics.types) <= set(metrics.helps)
    seen = [(name, tuple(sorted(labels.items()))) for name, labels, _ in metrics.samples]
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("path", ENDPOINTS)
def test_promtool(scraper, path):
    if not shutil.which("promtool"):
        pytest.skip("prometheus is not installed")
    text = "\n".join(line for line in scraper.get(path).text.splitlines() if "rabbitmq_" in line or "leveret_" in line) + "\n"
    done = tools.run("promtool", "check", "metrics", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")


# ---- names, labels and types ----

# RabbitMQ has no sum of these: adding them up would mean nothing.
NOT_ADDED_UP = ("queue_consumer_capacity", "queue_consumer_utilisation", "queue_head_message_timestamp", "queue_messages_persistent_bytes")


def check(metrics, prefix, family, labels, target):
    for name in names(FAMILIES[family][1], target.is_leveret):
        if not labels and name in NOT_ADDED_UP and prefix + name not in metrics.names:
            continue
        assert prefix + name in metrics.names, name
        assert metrics.labels_of(prefix + name) == {tuple(labels.split())}, name
        assert metrics.types[prefix + name] == kind(name), name


# Sums of which there are none without their object, or for which 3.10 has nothing to add up.
SUMMED = [family for family in FAMILIES if family not in ("queue_delivery_metrics",)]


@pytest.mark.parametrize("family", SUMMED)
def test_aggregated_family(target, whole, family):
    check(whole, "rabbitmq_", family, "protocol" if family == "auth_attempt_metrics" else "", target)


@pytest.mark.parametrize("family", FAMILIES)
def test_family_of_objects(target, objects, family):
    check(objects, "rabbitmq_", family, FAMILIES[family][0], target)


@pytest.mark.parametrize("family", FAMILIES)
def test_detailed_family(target, scrape, family):
    """A family that was asked for, and no other."""
    metrics = scrape(f"/metrics/detailed?family={family}")
    check(metrics, "rabbitmq_detailed_", family, FAMILIES[family][0], target)
    have = {name.removeprefix("rabbitmq_detailed_") for name in metrics.names if name.startswith("rabbitmq_detailed_")}
    wanted = set(names(FAMILIES[family][1], True))
    if target.is_leveret:
        assert have <= wanted | {"stream_segments"}


@pytest.mark.parametrize("family", CLUSTER)
def test_cluster_family(scrape, family):
    labels, name = CLUSTER[family]
    metrics = scrape(f"/metrics/detailed?family={family}")
    assert metrics.labels_of(name) == {tuple(labels.split())}


def test_totals_and_alarms(whole):
    for name in TOTALS.split():
        assert whole.types[f"rabbitmq_{name}"] == "gauge"
        assert whole.labels_of(f"rabbitmq_{name}") == {()}
    for name in ALARMS.split():
        assert whole.value(f"rabbitmq_{name}") == 0


def test_global_counters_are_there_before_anything_happened(target, whole):
    for name in BY_PROTOCOL.split():
        rows = whole.rows(f"rabbitmq_global_{name}", protocol="amqp091")
        assert [list(labels) for labels, _ in rows] == [["protocol"]], name
        assert whole.types[f"rabbitmq_global_{name}"] == kind(name)
    for name in BY_QUEUE_TYPE.split():
        rows = whole.rows(f"rabbitmq_global_{name}", protocol="amqp091")
        types = {labels["queue_type"] for labels, _ in rows}
        assert {"rabbit_classic_queue", "rabbit_quorum_queue", "rabbit_stream_queue"} <= types, name
        assert whole.types[f"rabbitmq_global_{name}"] == "counter"
    for (reason, queue_type), strategies in DEAD_LETTERED.items():
        for strategy in strategies.split():
            whole.value(f"rabbitmq_global_messages_dead_lettered_{reason}_total", queue_type=queue_type, dead_letter_strategy=strategy)


@pytest.mark.parametrize("path,endpoint", (("/metrics", "aggregated"), ("/metrics/per-object", "per-object"), ("/metrics/detailed", "detailed")))
def test_identity(target, admin, scrape, path, endpoint):
    overview = admin.fetch("/api/overview")
    metrics = scrape(path)
    (labels, value), = metrics.rows("rabbitmq_identity_info")
    assert value == 1
    assert labels.pop("rabbitmq_cluster_permanent_id")
    assert labels.pop("rabbitmq_endpoint", None) == (endpoint if target.is_leveret else None)
    assert labels == {"rabbitmq_node": overview["node"], "rabbitmq_cluster": overview["cluster_name"]}
    (labels, value), = metrics.rows("rabbitmq_build_info")
    assert value == 1
    assert labels["rabbitmq_version"] == overview["rabbitmq_version"]
    assert labels["erlang_version"] and labels["prometheus_plugin_version"] and labels["prometheus_client_version"]


def test_message_sizes(target, whole):
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 has no such metric")
    assert whole.types["rabbitmq_message_size_bytes"] == "histogram"
    buckets = [(labels["le"], value) for labels, value in whole.rows("rabbitmq_message_size_bytes_bucket", protocol="amqp091")]
    assert tuple(size for size, _ in buckets) == MESSAGE_SIZES
    counts = [value for _, value in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == whole.value("rabbitmq_message_size_bytes_count", protocol="amqp091") > 0
    assert whole.value("rabbitmq_message_size_bytes_sum", protocol="amqp091") > 0


def test_queue_info(target, objects):
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 has no such metric")
    (labels, value), = objects.rows("rabbitmq_queue_info", vhost=VHOST, queue=World.queue)
    assert (labels["queue_type"], value) == ("rabbit_classic_queue", 1)
    assert "membership" in labels


# ---- values ----

def test_values_of_a_queue(scrape):
    """The world's queue: six published, one acknowledged, two held."""
    def read():
        metrics = scrape("/metrics/per-object")
        return {name: metrics.rows("rabbitmq_" + name, vhost=VHOST, queue=World.queue)[0][1]
                for name in ("queue_messages", "queue_messages_ready", "queue_messages_unacked", "queue_consumers",
                             "queue_messages_persistent")}
    wanted = {"queue_messages": 5, "queue_messages_ready": 3, "queue_messages_unacked": 2, "queue_consumers": 1,
              "queue_messages_persistent": 5}
    brokers.wait_for("the values", lambda: read() == wanted)


def test_values_of_the_broker(target, admin, whole):
    totals = admin.fetch("/api/overview")["object_totals"]
    for name in TOTALS.split():
        assert whole.value(f"rabbitmq_{name}") <= totals[name] + 5
    assert whole.value("rabbitmq_process_open_fds") > 0
    assert whole.value("rabbitmq_process_max_fds") > whole.value("rabbitmq_process_open_fds")
    assert whole.value("rabbitmq_process_resident_memory_bytes") > 1_000_000
    assert whole.value("rabbitmq_resident_memory_limit_bytes") > whole.value("rabbitmq_process_resident_memory_bytes")
    assert whole.value("rabbitmq_disk_space_available_bytes") > 0
    assert whole.value("rabbitmq_erlang_uptime_seconds") > 0
    assert whole.value("rabbitmq_global_messages_received_total", protocol="amqp091") >= World.message_count
    assert whole.value("rabbitmq_global_messages_acknowledged_total", protocol="amqp091", queue_type="rabbit_classic_queue") >= 1


def test_filters(scrape, admin):
    """vhost by name, queue by pattern."""
    path = "/metrics/detailed?family=queue_coarse_metrics"
    both = scrape(f"{path}&vhost={V}")
    assert {labels["queue"] for labels, _ in both.rows("rabbitmq_detailed_queue_messages")} == {World.queue, World.idle_queue}
    assert not scrape(f"{path}&vhost=nosuch").rows("rabbitmq_detailed_queue_messages")


def test_filter_by_pattern(target, scrape):
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 does not know the parameter")
    one = scrape(f"/metrics/detailed?family=queue_coarse_metrics&vhost={V}&queue=%5Ein")
    assert {labels["queue"] for labels, _ in one.rows("rabbitmq_detailed_queue_messages")} == {World.queue}


def test_labels_are_escaped(target, admin, scrape, name):
    """A queue's name may hold what the format has a meaning for."""
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 escapes nothing")
    odd = 'a"b\\c\nd' + name
    admin.put(f"/api/vhosts/{name}")
    path = f"/api/queues/{name}/" + "".join(f"%{byte:02X}" for byte in odd.encode())
    admin.put(path, {"durable": True})
    try:
        brokers.wait_for("its metrics", lambda: scrape("/metrics/per-object").rows("rabbitmq_queue_messages", queue=odd))
    finally:
        admin.delete(f"/api/vhosts/{name}")


# ---- beside RabbitMQ ----

def described(scrape_at):
    """name -> [type, labels of a sum, labels of an object] of what a RabbitMQ shows, without its Erlang."""
    known = {}
    for place, path in enumerate(("/metrics", "/metrics/per-object")):
        metrics = scrape_at(path)
        for name in metrics.names:
            if name.startswith("rabbitmq_"):
                entry = known.setdefault(name, [metrics.type_of(name), None, None])
                entry[1 + place] = sorted(" ".join(labels) for labels in metrics.labels_of(name))
    return known


def test_beside_rabbitmq(request, target, scrape):
    with open(GOLDEN, encoding="utf-8") as file:
        recorded = json.load(file)
    if not target.is_leveret:
        live = described(scrape)
        if request.config.getoption("--record"):
            with open(GOLDEN, "w", encoding="utf-8") as file:
                json.dump(dict(sorted(live.items())), file, indent=1)
                file.write("\n")
        else:
            assert live == recorded
        return
    ours, gone, wrong = described(scrape), set(listed("Metrics")), []
    for name, (type_, whole, objects) in recorded.items():
        if name in gone:
            continue
        if name not in ours:
            wrong.append(f"{name} is missing")
            continue
        have = ours[name]
        if type_ not in ("untyped", "unknown", have[0]):
            wrong.append(f"{name} is a {have[0]}, not a {type_}")
        for what, theirs, mine in (("/metrics", whole, have[1]), ("/metrics/per-object", objects, have[2])):
            if theirs is not None and (mine is None or not all(
                    any(set(labels.split()) <= set(other.split()) for other in mine) for labels in theirs)):
                wrong.append(f"{name} at {what}: labels {mine}, not {theirs}")
    assert not wrong, "\n".join(wrong)


def test_metrics_without_a_counterpart_are_of_rabbitmq():
    with open(GOLDEN, encoding="utf-8") as file:
        assert set(listed("Metrics")) <= set(json.load(file))


def test_own_metrics_have_their_own_prefix(target, whole):
    if target.is_leveret:
        assert {name for name in whole.names if not name.startswith(("rabbitmq_", "leveret_", "telemetry_", "process_"))} == set()


def test_messages_that_died(target, scrape):
    """By reason, and by whether anybody wanted dead letters."""
    def died():
        rows = scrape("/metrics")
        return [sum(v for _, v in rows.rows(f"rabbitmq_global_messages_dead_lettered_{reason}_total",
                                            queue_type="rabbit_classic_queue", dead_letter_strategy=strategy))
                for reason, strategy in (("rejected", "at_most_once"), ("expired", "at_most_once"), ("maxlen", "disabled"))]
    before = died()
    with pika.BlockingConnection(pika.URLParameters(target.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("died", exclusive=True, arguments={"x-dead-letter-exchange": "amq.fanout"})
        channel.queue_declare("short", exclusive=True, arguments={"x-max-length": 1})
        for _ in range(2):
            channel.basic_publish("", "died", b"")
            channel.basic_publish("", "short", b"")
        for _ in range(2):
            method, _, _ = brokers.wait_for("a message", lambda: (got := channel.basic_get("died"))[0] and got)
            channel.basic_reject(method.delivery_tag, requeue=False)
        channel.basic_publish("", "died", b"", pika.BasicProperties(expiration="0"))
        wanted = [a + b for a, b in zip(before, (2, 1, 1))]
        brokers.wait_for("the counters", lambda: died() == wanted)

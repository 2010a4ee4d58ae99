"""Tools that look: probes of Kubernetes, KEDA, telegraf, exporters, Nagios, NServiceBus, Spring."""

import shutil

import pika
import pytest

import brokers
import tools
from brokers import wait_for
from client import Client
from world import V, VHOST, World

UNAUTHENTICATED = ("is-in-service", "below-node-connection-limit", "ready-to-serve-clients", "reached-target-cluster-size")


@pytest.mark.parametrize("probe", UNAUTHENTICATED)
def test_kubernetes_probes_have_no_password(target, probe):
    if not target.is_leveret:
        pytest.skip("RabbitMQ 3.10 has no such route")
    kubelet = Client(target.http_port, user=None)
    for path in (f"/api/health/checks/{probe}", f"/api/health/checks/{probe}/"):
        answer = kubelet.get(path)
        assert (answer.status, answer.json["status"]) == (200, "ok"), answer
    assert kubelet.get("/api/health/checks/alarms").status == 401


def test_cluster_operator(admin):
    """It copies both versions into annotations."""
    overview = admin.fetch("/api/overview")
    assert overview["rabbitmq_version"] and overview["erlang_version"]


def test_keda_one_queue(admin, world):
    """Rates are there as soon as there was traffic; the virtual host / is written %2F."""
    queue = admin.fetch(f"/api/queues/{V}/{World.queue}")
    assert (queue["messages"], queue["messages_ready"], queue["messages_unacknowledged"]) == (5, 3, 2)
    for rate in ("publish_details", "deliver_get_details"):
        assert isinstance(queue["message_stats"][rate]["rate"], (int, float))


def test_keda_by_pattern(admin, world):
    page = admin.fetch(f"/api/queues/{V}?page=1&use_regex=true&pagination=false&name=%5Ein&page_size=100")
    assert page["page_count"] == 1
    assert [row["name"] for row in page["items"]] == [World.queue]
    assert page["items"][0]["messages"] == 5


def test_keda_without_a_match(admin, world):
    page = admin.fetch(f"/api/queues/{V}?page=1&use_regex=true&pagination=false&name=%5Enosuch&page_size=100")
    assert page["items"] == []


TELEGRAF = {
    "/api/overview": ("message_stats", "object_totals", "queue_totals", "listeners"),
    "/api/nodes": ("name", "disk_free", "disk_free_alarm", "disk_free_limit", "fd_total", "fd_used", "mem_limit", "mem_used", "mem_alarm",
                   "proc_total", "proc_used", "run_queue", "sockets_total", "sockets_used", "running", "uptime",
                   "mnesia_disk_tx_count", "mnesia_ram_tx_count", "gc_num", "gc_bytes_reclaimed", "io_read_avg_time",
                   "io_read_bytes", "io_write_avg_time", "io_write_bytes", "gc_num_details", "gc_bytes_reclaimed_details",
                   "io_read_avg_time_details", "io_write_avg_time_details"),
    f"/api/queues/{V}": ("name", "node", "vhost", "durable", "auto_delete", "consumers", "consumer_utilisation", "memory", "message_bytes",
                         "message_bytes_ready", "message_bytes_unacknowledged", "message_bytes_ram", "message_bytes_persistent",
                         "messages", "messages_ready", "messages_unacknowledged", "idle_since"),
    "/api/exchanges": ("name", "vhost", "type", "internal", "durable", "auto_delete"),
}


@pytest.mark.parametrize("path", TELEGRAF)
def test_telegraf_takes_no_null(admin, world, path):
    rows = admin.fetch(path)
    for row in rows if isinstance(rows, list) else [rows]:
        missing = [name for name in TELEGRAF[path] if row.get(name) is None]
        # RabbitMQ says since when a queue is idle; one that is not, is not.
        assert [name for name in missing if name not in ("idle_since", "consumer_utilisation")] == [], row


def test_telegraf_takes_no_null_from_a_broker_without_traffic(target):
    if not target.is_leveret:
        pytest.skip("would need a second rabbitmq-server")
    with brokers.make("leveret") as broker:
        overview = Client(broker.http_port).fetch("/api/overview")
    for name in TELEGRAF["/api/overview"]:
        assert overview[name] is not None, name
    assert overview["message_stats"] == {} or overview["message_stats"]["publish"] == 0
    assert overview["queue_totals"]["messages"] == 0


def test_telegraf_node_memory_and_health(admin):
    node = admin.fetch("/api/overview")["node"]
    for name in ("connection_readers", "connection_writers", "connection_channels", "connection_other", "queue_procs",
                 "plugins", "other_proc", "metrics", "mgmt_db", "mnesia", "other_ets", "binary", "msg_index", "code", "atom",
                 "other_system", "allocated_unused", "reserved_unallocated", "total"):
        assert admin.fetch(f"/api/nodes/{node}/memory")["memory"][name] is not None, name
    assert admin.fetch("/api/healthchecks/node")["status"] == "ok"


def test_exporter_may_ask_for_erlang_terms(admin):
    """kbudde's exporter prefers application/bert, and takes JSON when it gets that."""
    answer = admin.get("/api/overview", headers={"accept": "application/bert, application/json;q=0.1"})
    assert answer.status == 200
    assert answer.headers["content-type"] in ("application/json", "application/bert")


NAGIOS = {
    "aliveness": (), "connections": ("-w", "50000,50000,50000,50000", "-c", "60000,60000,60000,60000"),
    "objects": (),
    "overview": ("-w", "50000,50000,50000", "-c", "60000,60000,60000"), "partition": ("--node",), "server": ("--node",),
    "queue": ("--queue", World.queue, "-w", "50,50,50,50", "-c", "60,60,60,60"), "watermark": ("--node",),
}


@pytest.mark.parametrize("check", NAGIOS)
def test_nagios(target, admin, world, check):
    """Debian's nagios-plugins-rabbitmq."""
    program = shutil.which(f"check_rabbitmq_{check}")
    if program is None:
        pytest.skip("nagios-plugins-rabbitmq is not installed")
    more = NAGIOS[check]
    if more == ("--node",):
        service, _, host = admin.fetch("/api/overview")["node"].partition("@")
        if service != "rabbit":
            pytest.skip("this check looks for nodes called rabbit@HOST")
        more = ("--node", host)
    if check in ("aliveness", "queue"):
        more += ("--vhost", VHOST)
    done = tools.run(program, "-H", "127.0.0.1", "--port", str(target.http_port), "--username", "guest", "--password", "guest", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK" in done.stdout


def test_spring_finds_the_node_of_a_queue(admin, world):
    node = admin.fetch("/api/overview")["node"]
    assert admin.fetch(f"/api/queues/{V}/{World.queue}")["node"] == node
    assert admin.fetch("/api/aliveness-test/%2F") == {"status": "ok"}


class TestNServiceBus:
    """The transport refuses to start when one of these is not as it expects."""

    def test_the_broker(self, target, admin):
        overview = admin.fetch("/api/overview")
        version = tuple(map(int, overview["rabbitmq_version"].split(".")[:2]))
        assert version >= (3, 10)
        assert overview["disable_stats"] is False
        assert not target.is_leveret or version >= (4, 0)

    def test_a_queue(self, admin, name):
        path = f"/api/queues/{V}/{name}"
        admin.put(path, {"durable": True, "arguments": {"x-queue-type": "classic"}})
        queue = wait_for("its numbers", lambda: "messages" in admin.fetch(path) and admin.fetch(path))
        assert (queue["name"], queue["type"], queue["arguments"]["x-queue-type"]) == (name, "classic", "classic")
        assert isinstance(queue.get("delivery_limit", "unlimited"), (int, str))
        assert queue["effective_policy_definition"] == {}
        assert queue["policy"] is None
        admin.delete(path)

    def test_a_policy_for_the_delivery_limit(self, admin, world, name):
        path = f"/api/policies/{V}/nsb.{name}.delivery-limit"
        body = {"pattern": f"^{name}$", "definition": {"delivery-limit": 5}, "priority": 0, "apply-to": "queues"}
        assert admin.put(path, body).status == 201
        assert admin.fetch(path)["definition"] == {"delivery-limit": 5}
        assert admin.delete(path).status == 204

    def test_bindings(self, admin, world):
        rows = admin.fetch(f"/api/queues/{V}/{World.queue}/bindings")
        assert {row["properties_key"] for row in rows if row["source"] == ""} == {World.queue}
        for row in rows + admin.fetch(f"/api/exchanges/{V}/copies/bindings/destination"):
            assert {"source", "destination", "destination_type", "routing_key", "properties_key"} <= set(row)

    def test_pages_of_queues(self, admin, world):
        page = admin.fetch(f"/api/queues/{V}/?page=1&page_size=500")
        assert {World.queue, World.idle_queue} <= {row["name"] for row in page["items"]}
        assert page["page_count"] == 1


def test_rates_follow_the_traffic(target, admin, name):
    """Counters count, and rates come down to 0 again."""
    connection = pika.BlockingConnection(pika.URLParameters(target.url))
    channel = connection.channel()
    channel.queue_declare(name)
    for _ in range(50):
        channel.basic_publish("", name, b"0123456789")
    path = f"/api/queues/%2F/{name}"
    queue = wait_for("50 messages", lambda: admin.fetch(path).get("message_stats", {}).get("publish") == 50 and admin.fetch(path))
    wait_for("them in the queue", lambda: admin.fetch(path).get("messages") == 50)
    for _ in range(20):
        channel.basic_get(name, auto_ack=True)
    queue = wait_for("20 of them gone", lambda: admin.fetch(path).get("messages") == 30 and admin.fetch(path))
    assert queue["message_stats"]["publish"] == 50
    wait_for("20 gets", lambda: admin.fetch(path)["message_stats"].get("get_no_ack") == 20)
    wait_for("no rate", lambda: admin.fetch(path)["message_stats"]["publish_details"]["rate"] == 0, timeout_s=30)
    channel.queue_delete(name)
    connection.close()

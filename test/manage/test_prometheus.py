"""A real Prometheus scrapes the broker, and answers what the official dashboards ask: nothing may be empty."""

import json
import shutil
import urllib.parse
import urllib.request

import pika
import pytest

from brokers import wait_for
from dashboards import ALERTS, ID, OLD_ID, OVERVIEW, QUEUES
from support.net import free_ports
from support.process import ServerProcess

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
scrape_configs:
- {{job_name: whole, metrics_path: /metrics, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
- job_name: detailed
  metrics_path: /metrics/detailed
  params: {{family: [queue_coarse_metrics, queue_metrics]}}
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
- {{job_name: objects, metrics_path: /metrics/per-object, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


class Prometheus(ServerProcess):
    name = "prometheus"

    def __init__(self, metrics_port):
        super().__init__()
        self.metrics_port = metrics_port
        self.port, = free_ports()

    def _launch(self):
        with open(f"{self.dir}/prometheus.yml", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(port=self.metrics_port))
        self.process = self._spawn(["prometheus", f"--config.file={self.dir}/prometheus.yml", f"--storage.tsdb.path={self.dir}/data",
                                    f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"])

    def _wait_ready(self):
        wait_for("Prometheus", lambda: self._is_up(), timeout_s=30)

    def _is_up(self):
        assert self.is_running(), self.log_tail()
        try:
            return self.fetch("/api/v1/query", query="1")
        except OSError:
            return None

    def fetch(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.fetch("/api/v1/query", query=expression)["result"]


@pytest.fixture(scope="module")
def prometheus(target, world):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    if target.metrics_port is None:
        pytest.skip("this leveretd has no metrics")
    with Prometheus(target.metrics_port) as server:
        def is_scraped():
            targets = server.fetch("/api/v1/targets")["activeTargets"]
            for one in targets:
                assert not one["lastError"], one["lastError"]
            return len(targets) == 3 and all(one["health"] == "up" for one in targets)
        wait_for("scrapes", is_scraped, timeout_s=30)
        _traffic(target)
        for job in ("whole", "objects"):        # each is scraped at a time of its own
            wait_for("rates", lambda job=job: server.query(f'rate(rabbitmq_connections_opened_total{{job="{job}"}}[60s]) > 0'),
                     timeout_s=30)
        yield server


def _traffic(target):
    connection = pika.BlockingConnection(pika.URLParameters(target.url))
    channel = connection.channel()
    channel.queue_declare("for-prometheus", auto_delete=True)
    for _ in range(10):
        channel.basic_publish("", "for-prometheus", b"text")
    for _ in range(10):
        channel.basic_get("for-prometheus", auto_ack=True)
    channel.queue_delete("for-prometheus")
    connection.close()


def missing(target, admin, prometheus, expressions, endpoint):
    cluster = admin.fetch("/api/overview")["cluster_name"]
    join = (ID if target.is_leveret else OLD_ID).format(cluster=cluster, endpoint=endpoint)
    empty = []
    for expression in expressions:
        is_newer, _, text = expression.partition("@4.0 ")
        text = (text if "@4.0 " in expression else is_newer).format(id=join)
        if "@4.0 " in expression and not target.is_leveret:
            continue
        if not prometheus.query(text):
            empty.append(text)
    return empty


def test_overview_dashboard(target, admin, prometheus):
    assert missing(target, admin, prometheus, OVERVIEW, "aggregated") == []


def test_queue_dashboard(target, admin, prometheus):
    assert missing(target, admin, prometheus, QUEUES, "detailed") == []


def test_alert_rules(target, admin, prometheus):
    detailed = [rule for rule in ALERTS if "detailed_" in rule]
    others = [rule for rule in ALERTS if "detailed_" not in rule]
    assert missing(target, admin, prometheus, others, "aggregated") == []
    assert missing(target, admin, prometheus, detailed, "detailed") == []


def test_nothing_was_dropped_or_out_of_order(prometheus):
    for name in ("out_of_order", "out_of_bounds", "duplicate_timestamp", "exceeded_sample_limit"):
        url = f"http://127.0.0.1:{prometheus.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        for line in text.splitlines():
            if line.startswith("prometheus_target_scrapes") and name in line:
                assert line.endswith(" 0"), line

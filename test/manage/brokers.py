"""Brokers with an HTTP API, as the tests see them."""

import os
import re
import subprocess

import pytest

from support import rabbitmq
from support.broker import Leveret, leveretd_path
from support.net import free_ports, wait_until
from client import Client

STATISTICS_MS = 1000


def simple(text):
    return re.sub(r"\W+", "-", text).strip("-")


class HttpRabbitMQ(rabbitmq.RabbitMQ):
    """Debian's rabbitmq-server with its management and prometheus plugins."""

    version = (3, 10, 8)
    is_leveret = False
    start_timeout_s = 90.0

    def __init__(self):
        self.metrics_port, = free_ports()
        super().__init__(has_http=True, plugins=("rabbitmq_prometheus",), config="\n".join((
            f"prometheus.tcp.port = {self.metrics_port}", "prometheus.tcp.ip = 127.0.0.1",
            f"collect_statistics_interval = {STATISTICS_MS}")))


class HttpLeveret(Leveret):
    """leveretd with its HTTP API and metrics."""

    version = None
    is_leveret = True

    def __init__(self, *args, config="", http_listen="127.0.0.1:0"):
        """`config`: lines of leveret.conf."""
        metrics = ("--metrics-listen", "127.0.0.1:0") if has_option("--metrics-listen") else ()
        super().__init__(*metrics, *args, http_listen=http_listen)
        self.config = config
        self.metrics_port = None

    def _command(self):
        if not self.config:
            return super()._command()
        path = os.path.join(self.dir, "leveret.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config)
        command = super()._command()
        command[command.index("--config") + 1] = path
        return command

    def _wait_ready(self):
        super()._wait_ready()
        metrics = self._read_ready().get("metrics")
        self.metrics_port = int(metrics[0].rsplit(":", 1)[1]) if metrics else None


def has_option(name):
    return name in subprocess.run([leveretd_path(), "--help"], capture_output=True, text=True, check=True).stdout


def answers_http(port):
    client = Client(port)
    try:
        return client.get("/api/overview").status == 200
    except OSError:
        return False
    finally:
        client.close()


def make(which, *args):
    """A broker that is not started, or a skip that says why not."""
    if which == "rabbitmq":
        if not rabbitmq.is_installed():
            pytest.skip("rabbitmq-server is not installed")
        return HttpRabbitMQ()
    if not os.path.exists(leveretd_path()):
        pytest.fail(f"{leveretd_path()} is missing: run `make build` first", pytrace=False)
    return HttpLeveret(*args)


def run(which):
    """For a fixture: the broker, which must be alive at the end and stop when it is asked to."""
    broker = make(which)
    broker.start()
    if broker.http_port is None:
        broker.stop()
        pytest.skip("this leveretd has no HTTP API")
    try:
        yield broker
        assert broker.is_running(), broker.log_tail()
    finally:
        code = broker.stop()
    assert code == 0 or not broker.is_leveret, f"after SIGTERM the broker ended with code {code}"


def wait_for(what, ready, timeout_s=15):
    return wait_until(ready, timeout_s, what, interval_s=0.1)

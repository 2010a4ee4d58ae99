"""Leveret, started for a test.

    with Leveret() as broker:
        pika.BlockingConnection(pika.URLParameters(broker.url))

The binary is $LEVERETD, or build/release/leveretd.
"""

import json
import os
import time

from .net import wait_until
from .process import ServerProcess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def leveretd_path():
    return os.environ.get("LEVERETD") or os.path.join(ROOT, "build", "release", "leveretd")


class Leveret(ServerProcess):
    name = "leveret"
    start_timeout_s = 20.0

    def __init__(self, *args, amqp_listen="127.0.0.1:0", http_listen="none", metrics_listen="none"):
        """`args` are further command-line arguments."""
        super().__init__()
        self.args = args
        self.amqp_listen = amqp_listen
        self.http_listen = http_listen
        self.metrics_listen = metrics_listen
        self.http_port = None
        self.amqps_port = None
        self.start_s = None

    @property
    def ready_path(self):
        return os.path.join(self.dir, "ready.json")

    def _command(self):
        return [leveretd_path(), "--config", "none", "--data-dir", os.path.join(self.dir, "data"),
                "--amqp-listen", self.amqp_listen, "--http-listen", self.http_listen,
                "--metrics-listen", self.metrics_listen, "--ready-file", self.ready_path, *self.args]

    def _launch(self):
        started = time.monotonic()
        self.process = self._spawn(self._command())
        wait_until(self._is_ready, self.start_timeout_s, "leveretd ready file", interval_s=0.0005)
        self.start_s = time.monotonic() - started

    def _relaunch(self):
        if os.path.exists(self.ready_path):
            os.remove(self.ready_path)
        self._launch()

    def _is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"leveretd ended with code {self.process.returncode}")
        return self._read_ready() is not None

    def _read_ready(self):
        try:
            with open(self.ready_path, encoding="utf-8") as ready:
                return json.load(ready)
        except (OSError, ValueError):       # not there yet, or half written
            return None

    def _wait_ready(self):
        ready = self._read_ready()
        self.amqp_port = _port(ready["amqp"][0])
        self.amqps_port = _port(ready["amqps"][0]) if ready.get("amqps") else None
        self.http_port = _port(ready["http"][0]) if ready.get("http") else None


def _port(address):
    """None: a Unix socket."""
    return None if address.startswith("unix:") else int(address.rsplit(":", 1)[1])

"""Real Python tools: pyrabbit, and Flower beside a live Celery worker."""

import json
import os
import sys
import urllib.request

import pytest
from pyrabbit.api import Client as PyRabbit
from pyrabbit.http import HTTPError

from brokers import wait_for
from support.net import free_ports
from support.process import ServerProcess
from world import VHOST, World


@pytest.fixture(scope="module")
def pyrabbit(target):
    client = PyRabbit(f"127.0.0.1:{target.http_port}", "guest", "guest")
    client.is_admin = True              # it would look for a string of tags, as before RabbitMQ 3.9
    return client


class TestPyRabbit:
    def test_overview(self, pyrabbit):
        assert pyrabbit.is_alive()
        assert pyrabbit.get_whoami()["name"] == "guest"
        assert pyrabbit.get_overview()["rabbitmq_version"]
        assert pyrabbit.get_nodes()[0]["running"] is True

    def test_lists(self, pyrabbit, world):
        assert VHOST in pyrabbit.get_vhost_names()
        assert World.queue in {queue["name"] for queue in pyrabbit.get_queues()}
        assert pyrabbit.get_connections() and pyrabbit.get_channels()
        assert pyrabbit.get_users() and pyrabbit.get_all_vhosts()
        name = pyrabbit.get_connections()[0]["name"]
        assert pyrabbit.get_connection(name)["name"] == name
        assert pyrabbit.get_channel(pyrabbit.get_channels()[0]["name"])["number"]

    def test_life_of_a_queue(self, pyrabbit, name):
        pyrabbit.create_vhost(name)
        pyrabbit.create_user(f"u.{name}", "x", "management")
        pyrabbit.set_vhost_permissions(name, f"u.{name}", ".*", ".*", ".*")
        assert pyrabbit.get_vhost_permissions(name)
        assert pyrabbit.get_user_permissions(f"u.{name}")[0]["vhost"] == name
        pyrabbit.create_exchange(name, "x", "direct")
        assert pyrabbit.get_exchange(name, "x")["type"] == "direct"
        pyrabbit.create_queue(name, "q", durable=True)
        pyrabbit.create_binding(name, "x", "q", "k")
        assert {binding["routing_key"] for binding in pyrabbit.get_queue_bindings(name, "q")} == {"q", "k"}
        assert pyrabbit.publish(name, "x", "k", "hello") is True
        assert pyrabbit.publish(name, "x", "nosuch", "hello") is False
        wait_for("the depth", lambda: pyrabbit.get_queue(name, "q").get("messages") == 1)
        pyrabbit.purge_queue(name, "q")
        pyrabbit.delete_binding(name, "x", "q", "k")
        pyrabbit.delete_queue(name, "q")
        pyrabbit.delete_exchange(name, "x")
        pyrabbit.delete_user(f"u.{name}")
        pyrabbit.delete_vhost(name)
        with pytest.raises(HTTPError):
            pyrabbit.get_queue(name, "q")


class Celery(ServerProcess):
    """A worker, or Flower: a program that celery starts."""

    name = "celery"

    def __init__(self, *args):
        super().__init__()
        self.args = args

    def _launch(self):
        with open(os.path.join(self.dir, "tasks.py"), "w", encoding="utf-8") as file:
            file.write("import celery, os\napp = celery.Celery('tasks', broker=os.environ['AMQP_URL'])\n"
                       "app.conf.task_default_queue = os.environ['QUEUE']\n"
                       "@app.task\ndef nothing():\n    pass\n")
        self.process = self._spawn([sys.executable, "-m", "celery", "-A", "tasks", *self.args], self.env)

    def _wait_ready(self):
        pass


@pytest.mark.timeout(90)
def test_flower(target, name):
    """Its page of the broker and /api/queues/length are what it reads from the HTTP API, once each request."""
    port, = free_ports()
    env = {**os.environ, "AMQP_URL": target.url, "QUEUE": name, "FLOWER_UNAUTHENTICATED_API": "1"}
    worker = Celery("worker", "-P", "solo", "-c", "1", "-Q", name, "-n", f"w.{name}@test", "-l", "warning")
    flower = Celery(f"--broker={target.url}", "flower", f"--port={port}", "--address=127.0.0.1",
                    f"--broker_api=http://guest:guest@127.0.0.1:{target.http_port}/api/")
    worker.env = flower.env = env

    def lengths():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/queues/length", timeout=5) as answer:
                return {queue["name"]: queue.get("messages") for queue in json.load(answer)["active_queues"]}
        except OSError:
            assert flower.is_running(), flower.log_tail()
            return {}
    with worker, flower:
        wait_for("the worker's queue in Flower", lambda: lengths().get(name) == 0, timeout_s=60)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/broker", timeout=5) as page:
            assert name in page.read().decode()
        assert "Unable to get" not in flower.log_tail() and "error" not in flower.log_tail().lower(), flower.log_tail()

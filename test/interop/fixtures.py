"""The broker that a test run talks to, as pytest fixtures.

Leveret by default (LEVERETD names another binary); LV_BROKER=rabbitmq starts a real RabbitMQ
instead; LV_URL=amqp://user:password@host:port/vhost takes one that is already running.
"""

import itertools
import os
import re
from urllib.parse import unquote, urlsplit

import pytest

from support import rabbitmq
from support.broker import Leveret, leveretd_path

counter = itertools.count(1)


class Endpoint:
    """Where a client connects, and the process behind it when this run started it."""

    def __init__(self, url, process=None):
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or 5672
        self.user = parts.username or "guest"
        self.password = parts.password or "guest"
        self.vhost = unquote(parts.path[1:]) or "/"
        self.process = process

    @property
    def is_old_rabbitmq(self):
        """The packaged RabbitMQ is of the 3.x line; a few answers changed with 4.0."""
        return isinstance(self.process, rabbitmq.RabbitMQ)

    def url_with(self, user=None, password=None, vhost=None):
        vhost = "%2f" if vhost is None else vhost
        return (f"amqp://{user or self.user}:{password or self.password}"
                f"@{self.host}:{self.port}/{vhost}")

    def env(self):
        """For client programs in other languages, and for the examples."""
        return {**os.environ, "AMQP_URL": self.url_with(), "AMQP_HOST": self.host,
                "AMQP_PORT": str(self.port)}


@pytest.fixture(scope="session")
def broker_of_session():
    if "LV_URL" in os.environ:
        yield Endpoint(os.environ["LV_URL"])
        return
    if os.environ.get("LV_BROKER", "leveret") == "rabbitmq":
        if not rabbitmq.is_installed():
            pytest.skip("rabbitmq-server is not installed")
        process = rabbitmq.RabbitMQ()
    else:
        if not os.path.exists(leveretd_path()):
            pytest.fail(f"{leveretd_path()} is missing: run `make build` first", pytrace=False)
        process = Leveret()
    process.start()
    try:
        yield Endpoint(process.url, process)
    finally:
        code = process.stop()
    assert code == 0 or isinstance(process, rabbitmq.RabbitMQ), (
        f"after SIGTERM the broker ended with code {code}")


@pytest.fixture
def broker(broker_of_session):
    """The broker; a crash is laid at the door of the test that saw it, and the next has a new one."""
    yield broker_of_session
    process = broker_of_session.process
    if process is not None and not process.is_running():
        log = process.log_tail()
        process.stop()
        process.start()
        broker_of_session.__init__(process.url, process)
        pytest.fail(f"the broker died during this test:\n{log}", pytrace=False)


@pytest.fixture
def name(request):
    """Gives names for queues and exchanges that no other test has."""
    test = re.sub(r"\W+", "-", request.node.name)

    def make(what="q"):
        return f"{what}.{test}.{os.getpid()}.{next(counter)}"
    return make

"""The broker whose HTTP API is tested: Leveret, or RabbitMQ to prove the tests (--against rabbitmq)."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import brokers                                          # noqa: E402
import openapi                                          # noqa: E402
from client import Client                               # noqa: E402
from world import World                                 # noqa: E402


def pytest_addoption(parser):
    group = parser.getgroup("management tests")
    group.addoption("--against", choices=("leveret", "rabbitmq"), default="leveret", help="which broker is tested")
    group.addoption("--record", action="store_true", help="write golden.json from rabbitmq-server")


def pytest_collection_modifyitems(items):
    """A broker that hangs must fail its test in seconds."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(scope="session")
def target(request):
    """The broker that is tested."""
    yield from brokers.run(request.config.getoption("--against", "leveret"))


@pytest.fixture(scope="session")
def document(target):
    """docs/openapi.json, as far as it holds for the broker."""
    return openapi.Document(target.version)


@pytest.fixture(scope="session")
def as_described(document):
    """Called with an answer: it must be as described."""
    def watch(answer):
        if answer.path.startswith("/api/") and answer.status < 300 and answer.method not in ("HEAD", "OPTIONS"):
            complaint = document.complaint(answer)
            assert complaint is None, complaint
    return watch


@pytest.fixture(scope="session")
def admin(target, as_described):
    """The administrator; every answer of Leveret must be as described. RabbitMQ shows little of what is young."""
    client = Client(target.http_port, watch=as_described if target.is_leveret else None)
    yield client
    client.close()


@pytest.fixture(scope="session")
def world(target, admin):
    """A populated broker: see world.py."""
    with World(target, admin) as world:
        yield world


@pytest.fixture
def name(request):
    """A name that no other test has."""
    return f"{brokers.simple(request.node.name)}.{os.getpid()}"

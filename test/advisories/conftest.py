"""A Leveret with its HTTP API for every test file; what one test breaks, the next must not feel."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TEST, "manage"), os.path.join(TEST, "wire"), TEST]

import brokers                                          # noqa: E402
from client import Client                               # noqa: E402


def pytest_collection_modifyitems(items):
    """A broker that hangs must fail its test in seconds."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(scope="module")
def broker():
    yield from brokers.run("leveret")


@pytest.fixture(scope="module")
def admin(broker):
    client = Client(broker.http_port)
    yield client
    client.close()


@pytest.fixture
def name(request):
    return f"{brokers.simple(request.node.name)}.{os.getpid()}"

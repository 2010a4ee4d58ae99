"""The command line, and the brokers that it is used on."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TEST = os.path.dirname(HERE)
sys.path[:0] = [HERE, TEST, os.path.join(TEST, "manage")]

import brokers                                          # noqa: E402
from program import Program, program_path               # noqa: E402
from support.broker import Leveret                      # noqa: E402


def pytest_collection_modifyitems(items):
    """A program that hangs must fail its test in seconds."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(60))


@pytest.fixture(scope="session", autouse=True)
def built():
    if not os.path.exists(program_path()):
        pytest.fail(f"{program_path()} is missing: run `make build` first", pytrace=False)


@pytest.fixture(scope="session")
def rabbitmq():
    """Debian's rabbitmq-server with its management plugin."""
    yield from brokers.run("rabbitmq")


@pytest.fixture(scope="session")
def leveretd():
    broker = Leveret(http_listen="127.0.0.1:0").start()
    yield broker
    code = broker.stop()
    assert code == 0, f"after SIGTERM the broker ended with code {code}"


@pytest.fixture
def alone(tmp_path):
    """The program where no broker is: nothing in its environment, an empty directory."""
    return Program(cwd=tmp_path)


@pytest.fixture(scope="session")
def leveret(leveretd):
    """The program with the broker's data directory in its environment."""
    return Program(LEVERET_DATA_DIR=os.path.join(leveretd.dir, "data"))

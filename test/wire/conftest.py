"""One broker for all wire tests: Leveret, or with --broker=rabbitmq the real one.

    pytest test/wire
    pytest test/wire --broker=rabbitmq      what the tests expect, checked against RabbitMQ 3.10
"""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]

from support.broker import Leveret      # noqa: E402
from support.rabbitmq import RabbitMQ   # noqa: E402
from wire import Wire                   # noqa: E402


def pytest_addoption(parser):
    parser.getgroup("wire tests").addoption("--broker", default="leveret",
                                            choices=("leveret", "rabbitmq"))


def pytest_configure(config):
    config.addinivalue_line("markers", "differs(id): RabbitMQ 3.10 answers otherwise, see "
                                       "docs/compat/rabbitmq.md; skipped with --broker=rabbitmq")
    config.addinivalue_line("markers", "slow: waits for seconds")


def pytest_runtest_setup(item):
    if item.get_closest_marker("differs") and item.config.getoption("--broker", "") == "rabbitmq":
        pytest.skip("RabbitMQ 3.10 differs")


@pytest.fixture(scope="session")
def broker(request):
    kind = RabbitMQ if request.config.getoption("--broker", "leveret") == "rabbitmq" else Leveret
    server = kind().start()
    yield server
    code = server.stop()
    assert code == 0 or kind is RabbitMQ, f"after SIGTERM the broker ended with code {code}"


@pytest.fixture(autouse=True)
def broker_survives(broker):
    yield
    assert broker.is_running(), "the broker died:\n" + broker.log_tail()


@pytest.fixture
def tcp(broker):
    """Sockets on which nothing has been said yet."""
    opened = []

    def connect(**options):
        opened.append(Wire(broker.amqp_port, **options))
        return opened[-1]
    yield connect
    for wire in opened:
        wire.close_socket()


@pytest.fixture
def connect(tcp):
    """Connections after open-ok; the arguments are those of Wire.login."""
    return lambda **options: tcp().login(**options)


@pytest.fixture
def w(connect):
    """A connection with channel 1 open."""
    return connect().open(1)


@pytest.fixture
def q(w):
    """An exclusive queue of `w`."""
    return w.call(1, "queue.declare", exclusive=True).queue

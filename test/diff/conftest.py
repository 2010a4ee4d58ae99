"""The two brokers of the differential tests, started once."""

import json
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire")]

import scenario                                         # noqa: E402
from support.broker import Leveret                      # noqa: E402
from support.rabbitmq import RabbitMQ, is_installed     # noqa: E402

SCENARIOS = os.path.join(HERE, "scenarios")
GOLDEN = os.path.join(HERE, "golden.json")


def pytest_addoption(parser):
    group = parser.getgroup("differential tests")
    group.addoption("--record", action="store_true", help="write golden.json from rabbitmq-server")
    group.addoption("--oracle-only", action="store_true", help="leave Leveret out")


def pytest_report_header(config):
    if not is_installed():
        return "rabbitmq-server is not installed: differential tests compare with golden.json"
    return None


@pytest.fixture(scope="session")
def oracle(request):
    """A rabbitmq-server, or None where there is none."""
    if not is_installed():
        if request.config.getoption("--record", False):
            pytest.exit("--record needs rabbitmq-server")
        yield None
        return
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope="session")
def leveret_port(request):
    if request.config.getoption("--oracle-only", False):
        yield None
        return
    with Leveret() as broker:
        yield broker.amqp_port


class Golden:
    """RabbitMQ's answers on file."""

    def __init__(self, recording):
        self.recording, self.known = recording, {}
        if os.path.exists(GOLDEN):
            with open(GOLDEN, encoding="utf-8") as file:
                self.known = json.load(file)
        self.fresh = {}

    def record(self, name, transcript):
        self.fresh[name] = transcript

    def save(self):
        """What was not played again (-k) is kept as it was."""
        answers = {**self.known, **self.fresh}
        answers = {s.id: answers[s.id] for s in scenario.load_folder(SCENARIOS) if s.id in answers}
        with open(GOLDEN, "w", encoding="utf-8") as file:
            json.dump(answers, file, indent=1, ensure_ascii=False)
            file.write("\n")


@pytest.fixture(scope="session")
def golden(request):
    book = Golden(request.config.getoption("--record", False))
    yield book
    if book.recording:
        book.save()

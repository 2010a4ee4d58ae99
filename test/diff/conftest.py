"""The two brokers of the differential tests, started once."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire")]

import runner                                           # noqa: E402
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
    """RabbitMQ's answer to a scenario, or None where there is no rabbitmq-server."""
    if is_installed():
        with RabbitMQ(has_http=True) as broker:
            yield _player(request, broker)
    elif request.config.getoption("--record", False):
        pytest.exit("--record needs rabbitmq-server")
    else:
        yield None


@pytest.fixture(scope="session")
def leveret(request):
    """Leveret's answer to a scenario, or None when it is left out."""
    if request.config.getoption("--oracle-only", False):
        yield None
    else:
        broker = Leveret(http_listen="127.0.0.1:0").start()
        yield _player(request, broker)
        code = broker.stop()
        assert code == 0, f"after SIGTERM the broker ended with code {code}"


def _player(request, broker):
    """Plays the selected scenarios ahead, a few at a time: most of their time is waiting."""
    pool = ThreadPoolExecutor(4)
    request.addfinalizer(lambda: pool.shutdown(cancel_futures=True))
    selected = [item.callspec.params["scenario"] for item in request.session.items
                if "scenario" in getattr(item, "fixturenames", ())]
    running = {s.id: pool.submit(runner.run, s, broker) for s in selected}

    def play(scenario):
        future = running.get(scenario.id)
        return future.result() if future else runner.run(scenario, broker)
    return play


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

"""The guide docs/guide/first-message.md keeps its word: its programs run and print what it shows."""

import os
import re
import sys

import pika
import pytest
from running import Program

GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "guide",
                     "first-message.md")


@pytest.fixture(scope="module")
def guide():
    with open(GUIDE, encoding="utf-8") as text:
        return text.read()


class Session:
    """The guide's programs in a folder, with the broker's port, and what is running of them."""

    def __init__(self, guide, broker, folder):
        self.folder = folder
        self.running = []
        self.connection = pika.BlockingConnection(pika.URLParameters(broker.url_with()))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        for queue in ("hello", "tasks", "square"):
            self.channel.queue_delete(queue)
        self.channel.exchange_delete("events")
        for program in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
            name = re.match(r"# (\w+\.py)\n", program)[1]
            assert '("localhost")' in program
            (folder / name).write_text(
                program.replace('("localhost")', f'("localhost", {broker.port})'))

    def start(self, name, *args):
        self.running.append(Program([sys.executable, str(self.folder / name), *args]))
        return self.running[-1]

    def run(self, name, *args):
        return self.start(name, *args).finish()

    def probe(self, exchange, key):
        """Sends as soon as a queue is bound by this key."""
        while True:
            try:
                self.channel.basic_publish(exchange, key, b"probe", mandatory=True)
                return
            except pika.exceptions.UnroutableError:
                self.connection.process_data_events(0.02)

    def end(self):
        for program in self.running:
            if program.is_running():
                program.kill()
        self.connection.close()


@pytest.fixture
def session(guide, broker, tmp_path):
    if broker.host not in ("127.0.0.1", "localhost"):
        pytest.skip("the guide connects to localhost")
    session = Session(guide, broker, tmp_path)
    yield session
    session.end()


def shown(guide):
    """The outputs in the guide, in order."""
    return [block.splitlines() for block in re.findall(r"```text\n(.*?)```", guide, re.DOTALL)]


def test_one_message(session, guide):
    assert session.run("send.py") == []
    session.start("receive.py").expect(*shown(guide)[0])


def test_work_queue(session):
    session.run("new_task.py", "first.")
    session.run("new_task.py", "second")
    dies = session.start("worker.py")
    dies.expect("working on first.")
    dies.kill()
    session.start("worker.py").expect("working on first.", "done", "working on second", "done")


def test_publish_and_subscribe(session, guide):
    session.channel.exchange_declare("events", "topic")
    subscriber = session.start("subscribe.py", "order.*", "#.failed")
    session.probe("events", "order.probe")
    session.probe("events", "probe.failed")
    subscriber.expect("order.probe probe", "probe.failed probe")
    session.run("publish.py", "order.new", "number 7")
    session.run("publish.py", "payment.card.failed", "number 8")
    session.run("publish.py", "payment.card.done", "number 9")
    subscriber.expect(*shown(guide)[1])
    subscriber.quiet()


def test_asking_and_answering(session, guide):
    session.start("server.py")
    assert session.run("client.py") == shown(guide)[2]

"""Every program of examples/ runs and prints what its README says."""

import os
import re
import subprocess
import sys
import time

import pika
import pytest
from running import Program

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXAMPLES = os.path.join(ROOT, "examples")
WAITING = re.compile(r" \[[*x]\] (Waiting|Awaiting)")


class Runner:
    def __init__(self, python, folder, **env):
        self.python = python
        self.folder = folder
        self.env = env
        self.running = []

    @property
    def is_classic(self):
        return self.folder == "python-classic"

    def shown(self, text):
        """How the programs print a body: the classic ones as it comes, in bytes."""
        return repr(text.encode() if self.is_classic else text)

    def start(self, name, *args):
        program = Program([self.python, os.path.join(EXAMPLES, self.folder, name), *args],
                          **self.env)
        self.running.append(program)
        return program

    def receive(self, name, *args):
        """Starts a receiver and waits until it listens."""
        program = self.start(name, *args)
        self.wait_until_waiting(program)
        time.sleep(0.3)     # some say that they wait just before they do
        return program

    @staticmethod
    def wait_until_waiting(program):
        while not WAITING.match(line := program.line() or "it ended"):
            assert line != "it ended", program.process.args

    def run(self, name, *args):
        return self.start(name, *args).finish()

    def stop_all(self):
        for program in self.running:
            if program.is_running():
                code = program.stop()
                assert code == 0 or self.is_classic, program.process.args


@pytest.fixture(scope="session")
def classic_python():
    venv = os.path.join(ROOT, "build", "venv-classic")
    python = os.path.join(venv, "bin", "python")
    wanted = os.path.join(HERE, "requirements-classic.txt")
    stamp = os.path.join(venv, ".installed")
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < os.path.getmtime(wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                        "-r", wanted], check=True, timeout=120)
        with open(stamp, "w", encoding="ascii"):
            pass
    return python


@pytest.fixture
def port(broker):
    if broker.host not in ("127.0.0.1", "localhost"):
        pytest.skip("the examples connect to localhost")
    connection = pika.BlockingConnection(pika.URLParameters(broker.url_with()))
    channel = connection.channel()
    for name in ("hello", "work", "task_queue", "rpc_queue", "test"):
        channel.queue_delete(name)
    for name in ("logs", "direct_logs", "topic_logs", "documents", "test"):
        channel.exchange_delete(name)
    connection.close()
    return broker.port


def runner(python, folder, **env):
    examples = Runner(python, folder, **env)
    yield examples
    examples.stop_all()


@pytest.fixture
def modern(port):
    yield from runner(sys.executable, "python", AMQP_PORT=str(port))


@pytest.fixture
def classic(classic_python, port):
    yield from runner(classic_python, "python-classic", AMQP_PORT=str(port),
                      PYTHONPATH=os.path.join(HERE, "classic"))


@pytest.fixture(params=["modern", "classic"])
def examples(request):
    return request.getfixturevalue(request.param)


def test_hello(examples):
    assert examples.run("hello_send.py") == [" [x] Sent 'Hello World!'"]
    receiver = examples.start("hello_receive.py")
    examples.wait_until_waiting(receiver)
    receiver.expect(f" [x] Received {examples.shown('Hello World!')}")


def test_hello_with_acknowledgement(classic):
    classic.run("hello_send.py")
    dies = classic.receive("hello_receive_ack.py")
    dies.expect(" [x] Received b'Hello World!'")
    dies.kill()
    lives = classic.receive("hello_receive_fair.py")
    lives.expect(" [x] Received b'Hello World!'", "ok")


def test_work_queue_takes_turns_and_loses_nothing(modern):
    workers = [modern.receive("work_receive.py") for _ in range(2)]
    for number in range(4):
        modern.run("work_send.py", f"task {number}")
    for number, worker in enumerate(workers):
        worker.expect(f" [x] Received 'task {number}'", " [x] Done",
                      f" [x] Received 'task {number + 2}'", " [x] Done")
    modern.run("work_send.py", "long task ....")
    workers[0].expect(" [x] Received 'long task ....'")
    workers[0].kill()
    workers[1].expect(" [x] Received 'long task ....'")


def test_durable_work_queue_gives_to_the_free_one(examples):
    busy, free = (examples.receive("task_receive.py") for _ in range(2))
    examples.run("task_send.py", "slow ...")
    busy.expect(f" [x] Received {examples.shown('slow ...')}")
    for number in range(3):
        assert examples.run("task_send.py", f"quick {number}") == [f" [x] Sent 'quick {number}'"]
        free.expect(f" [x] Received {examples.shown(f'quick {number}')}", " [x] Done")
    busy.expect(" [x] Done")


def test_fanout(examples):
    subscribers = [examples.receive("fanout_subscribe.py") for _ in range(2)]
    examples.run("fanout_publish.py")
    examples.run("fanout_publish.py", "warning:", "hot")
    for subscriber in subscribers:
        subscriber.expect(f" [x] {examples.shown('info: Hello World!')}",
                          f" [x] {examples.shown('warning: hot')}")


def test_direct(examples):
    everything = examples.receive("direct_subscribe.py", "info", "warning", "error")
    errors = examples.receive("direct_subscribe.py", "error")
    assert examples.run("direct_publish.py") == [
        " [x] Sent 'error':'this is error'", " [x] Sent 'info':'hello'"]
    everything.expect(f" [x] 'error':{examples.shown('this is error')}",
                      f" [x] 'info':{examples.shown('hello')}")
    errors.expect(f" [x] 'error':{examples.shown('this is error')}")
    errors.quiet()


def test_direct_with_arguments(modern):
    warnings = modern.receive("direct_subscribe.py", "warning")
    modern.run("direct_publish.py", "warning", "getting", "full")
    warnings.expect(" [x] 'warning':'getting full'")


def test_topic(examples):
    one_word = examples.receive("topic_subscribe.py", "old.*")
    any_words = examples.receive("topic_subscribe.py", "old.#")
    for key in ("old.boy.python", "old.boy", "old", "new.boy"):
        examples.run("topic_publish.py", key, "text")
    text = examples.shown("text")
    one_word.expect(f" [x] 'old.boy':{text}")
    any_words.expect(f" [x] 'old.boy.python':{text}", f" [x] 'old.boy':{text}",
                     f" [x] 'old':{text}")
    one_word.quiet()
    any_words.quiet()


def test_headers(examples):
    both = examples.receive("headers_subscribe.py", "all", "format=pdf", "type=report")
    either = examples.receive("headers_subscribe.py", "any", "format=pdf", "type=report")
    examples.run("headers_publish.py", "one", "format=pdf", "type=report", "pages=3")
    examples.run("headers_publish.py", "two", "format=zip", "type=report")
    examples.run("headers_publish.py", "three", "format=zip")
    first = {"format": "pdf", "type": "report", "pages": "3"}
    second = {"format": "zip", "type": "report"}
    both.expect(f" [x] {first}:{examples.shown('one')}")
    either.expect(f" [x] {first}:{examples.shown('one')}",
                  f" [x] {second}:{examples.shown('two')}")
    both.quiet()
    either.quiet()


@pytest.mark.parametrize("name", ["direct_subscribe.py", "topic_subscribe.py",
                                  "headers_subscribe.py"])
def test_usage(examples, name):
    program = examples.start(name)
    assert "Usage: " in program.line()
    assert program.process.wait(5) == 1


def test_rpc(examples):
    server = examples.receive("rpc_server.py")
    answer = "832040"
    assert examples.run("rpc_client.py") == [" [x] Requesting fib(30)", f" [.] Got {answer}"]
    server.expect(" [.] fib(30)")


def test_confirms(modern):
    assert modern.run("confirm_send.py") == [
        " [x] Message 'first' is with the broker", " [!] Message 'second' has no queue to go to",
        " [x] Got 'first'"]


def test_transactions(modern):
    assert modern.run("transaction_send.py") == [
        " [x] Rolled back: 0 messages", " [x] Before the commit: 0 messages",
        " [x] Committed: 'debit 20'", " [x] Committed: 'credit 20'"]


def thread_lines(name):
    program = Program([sys.executable, os.path.join(EXAMPLES, "threads", name)])
    return program.finish()


def test_thread_numbers():
    *numbers, elapsed = thread_lines("numbers.py")
    assert sorted(numbers) == [f"i'm num {n}" for n in range(10)]
    assert elapsed.startswith("Elapsed Time: ")


def test_thread_pipeline():
    *loves, elapsed = thread_lines("pipeline.py")
    assert [line.rsplit(" ", 1)[0] for line in loves[:5]] == [f"I love {n}" for n in range(5)]
    assert sorted(line.rsplit(" ", 1)[0] for line in loves) == [f"I love {n}" for n in range(10)]
    assert elapsed.startswith("Elapsed Time: ")


def test_thread_callbacks():
    assert thread_lines("callbacks.py") == [
        "int 3", "NoneType None", "tuple (1, 2, 3)",
        "TypeError three() takes 3 positional arguments but 4 were given"]


def test_thread_list_queue():
    assert thread_lines("list_queue.py") == [
        *(f"received message {n}" for n in range(4)), "received debit 10", "received credit 10",
        "every message came once, in order"]


def test_every_program_is_mentioned():
    """In the README, and above."""
    with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as readme:
        text = readme.read()
    with open(__file__, encoding="utf-8") as source:
        tests = source.read()
    for folder in ("python", "python-classic", "threads"):
        for name in os.listdir(os.path.join(EXAMPLES, folder)):
            if name.endswith(".py"):
                assert name in text and f'"{name}"' in tests, name

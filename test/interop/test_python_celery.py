"""Celery: a real worker process, results over rpc://, retries, ETA, remote control and events."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from kombu import pools

WORKER_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "celery_worker")


class Worker:
    def __init__(self, broker, queue, backend, log):
        self.queue = queue
        self.log = log
        self.env = {**broker.env(), "INTEROP_QUEUE": queue, "INTEROP_BACKEND": backend}
        os.environ.update({key: self.env[key]
                           for key in ("AMQP_URL", "INTEROP_QUEUE", "INTEROP_BACKEND")})
        sys.path.insert(0, WORKER_DIR)
        sys.modules.pop("tasks", None)
        self.tasks = importlib.import_module("tasks")
        sys.path.remove(WORKER_DIR)
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency=2",
                 "--loglevel=INFO", f"--hostname={queue}@here", "--without-mingle"],
                cwd=WORKER_DIR, env=self.env, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True)

    def wait(self):
        deadline = time.monotonic() + 15
        while "ready." not in self.text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture(scope="module")
def start_worker(broker_of_session, tmp_path_factory):
    started = []

    def start(backend):
        folder = tmp_path_factory.mktemp("celery")
        worker = Worker(broker_of_session, f"celery.{os.getpid()}.{len(started)}",
                        backend or f"file://{folder}", folder / "worker.log")
        started.append(worker)
        worker.wait()
        return worker
    yield start
    for worker in started:
        code = worker.stop()
        with worker.tasks.app.connection_for_write() as connection:
            connection.default_channel.queue_delete(worker.queue)
        if hasattr(worker.tasks.app.backend, "result_consumer"):
            worker.tasks.app.backend.result_consumer.stop()
        worker.tasks.app.close()
        pools.reset()
        assert code == 0, worker.text()


@pytest.fixture(scope="module")
def worker(start_worker):
    return start_worker("rpc://")


@pytest.fixture
def tasks(broker, worker):
    return worker.tasks


def test_result_comes_back(tasks):
    assert tasks.add.delay(2, 3).get(timeout=5) == 5


def test_many_tasks(tasks):
    results = [tasks.add.delay(i, i) for i in range(100)]
    assert [result.get(timeout=10) for result in results] == [2 * i for i in range(100)]


def test_failure_is_raised(tasks):
    with pytest.raises(ValueError, match="as asked"):
        tasks.fail.delay("as asked").get(timeout=5)


def test_retries(tasks):
    assert tasks.succeed_at.delay(3).get(timeout=10) == 2


def test_retries_are_limited(tasks):
    with pytest.raises(Exception, match="succeed_at"):
        tasks.succeed_at.delay(9).get(timeout=10)


def test_countdown(tasks):
    due = time.time() + 1
    assert tasks.now.apply_async(countdown=1).get(timeout=10) >= due - 0.05


def test_eta_does_not_hold_back_others(tasks):
    """One delayed task of the two that the worker may hold; more would, as with RabbitMQ 4."""
    later = tasks.now.apply_async(countdown=1.5)
    assert tasks.add.delay(1, 1).get(timeout=1.2) == 2
    later.get(timeout=10)


def test_chain_and_group(tasks):
    assert chain(tasks.add.s(1, 2), tasks.add.s(10))().get(timeout=10) == 13
    assert group(tasks.add.s(i, 1) for i in range(5))().get(timeout=10) == [1, 2, 3, 4, 5]


def test_ping_and_inspect(worker, tasks):
    node = f"{worker.queue}@here"
    assert tasks.app.control.ping(timeout=2, limit=1) == [{node: {"ok": "pong"}}]
    queues = tasks.app.control.inspect(timeout=2, limit=1).active_queues()
    assert [queue["name"] for queue in queues[node]] == [worker.queue]


def test_revoked_task_does_not_run(tasks):
    result = tasks.now.apply_async(countdown=1.5)
    tasks.app.control.revoke(result.id, reply=True, timeout=2, limit=1)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


def test_events(tasks):
    seen = []
    done = threading.Event()

    def listen():
        with tasks.app.connection_for_read() as connection:
            receiver = tasks.app.events.Receiver(connection, handlers={
                "task-succeeded": lambda event: (seen.append(event["uuid"]), done.set())})
            for _ in receiver.itercapture(limit=None, timeout=5, wakeup=False):
                if done.is_set():
                    return
    threading.Thread(target=listen, daemon=True).start()
    time.sleep(0.5)
    result = tasks.add.delay(4, 4)
    assert result.get(timeout=5) == 8
    assert done.wait(5) and result.id in seen


def test_lost_child_process_gives_its_task_back(tasks):
    assert tasks.die_once.delay().get(timeout=10) == "redelivered"


def test_task_to_a_queue_added_later(worker, tasks, name):
    queue = name()
    tasks.app.control.add_consumer(queue, reply=True, timeout=2, limit=1)
    assert tasks.add.apply_async((1, 2), queue=queue).get(timeout=5) == 3
    tasks.app.control.cancel_consumer(queue, reply=True, timeout=2, limit=1)
    with tasks.app.connection_for_write() as connection:
        connection.default_channel.queue_delete(queue)


@pytest.mark.timeout(60)
def test_chord_and_warm_shutdown(broker, start_worker):
    """Chords need a result backend of their own; only their messages go through the broker."""
    worker = start_worker(None)
    tasks = worker.tasks
    assert chord(tasks.add.s(i, i) for i in range(4))(tasks.total.s()).get(timeout=15) == 12
    slow = tasks.nap.delay(1.0)
    time.sleep(0.3)
    worker.process.terminate()
    assert worker.process.wait(10) == 0
    assert slow.get(timeout=2) == 1.0

"""The Celery application that test_python_celery.py drives: imported by the worker and by the test."""

import functools
import os
import time

from celery import Celery

QUEUE = os.environ["INTEROP_QUEUE"]

app = Celery("interop", broker=os.environ["AMQP_URL"], backend=os.environ["INTEROP_BACKEND"])
app.conf.update(
    task_default_queue=QUEUE,
    task_send_sent_event=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=1,
    result_expires=60,
    broker_connection_retry_on_startup=False,
    control_exchange=QUEUE + ".control",
    event_exchange=QUEUE + ".events",
    result_chord_retry_interval=0.1,
)
task = functools.partial(app.task, shared=False)    # a test may import this once for each worker


@task
def add(x, y):
    return x + y


@task
def total(numbers):
    return sum(numbers)


@task
def fail(text):
    raise ValueError(text)


@task(bind=True, max_retries=3, default_retry_delay=0.1)
def succeed_at(self, attempt):
    """Retries until it has been tried `attempt` times."""
    if self.request.retries + 1 < attempt:
        raise self.retry()
    return self.request.retries


@task
def now():
    return time.time()


@task(acks_late=True)
def nap(seconds):
    time.sleep(seconds)
    return seconds


@task(bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self):
    """Ends its own worker process at the first attempt; the message must come again."""
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), 9)
    return "redelivered"

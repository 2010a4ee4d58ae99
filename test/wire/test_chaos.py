"""Many clients that do anything at any time, on shared names, and hang up in the middle.

Nothing is expected of the answers; the broker must live, end with code 0, and be one in which the next client finds
everything working. CHAOS_S and CHAOS_SEED choose how long and which.
"""
import os
import random
import threading
import time

import pytest

from support.broker import Leveret
from wire import Closed, Wire

CLIENTS = 8
SECONDS = float(os.environ.get("CHAOS_S", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(1, 1 << 32)


def queue(r):
    return f"q{r.randrange(6)}"


def publish(r, w, ch):
    for _ in range(r.randrange(1, 30)):
        size = r.choice((0, 5, 3000, 20000)) if r.random() < 0.98 else 300000
        w.publish(ch, bytes(size), routing_key=queue(r), mandatory=r.random() < 0.2)


def declare_and_bind(r, w, ch):
    x = f"x{r.randrange(3)}"
    w.method(ch, "exchange.declare", exchange=x, type=r.choice(("fanout", "topic")),
             auto_delete=r.random() < 0.3)
    w.method(ch, "queue.bind", queue=queue(r), exchange=x, routing_key="#")


STEPS = (
    lambda r, w, ch: w.method(ch, "queue.declare", queue=queue(r), auto_delete=r.random() < 0.2),
    lambda r, w, ch: w.method(ch, "queue.declare", exclusive=True),
    lambda r, w, ch: w.method(ch, "queue.delete", queue=queue(r)),
    lambda r, w, ch: w.method(ch, "queue.purge", queue=queue(r)),
    lambda r, w, ch: w.method(ch, "basic.consume", queue=queue(r), no_ack=r.random() < 0.3,
                              consumer_tag=r.choice(("", "a", "b", "c")), exclusive=r.random() < 0.1),
    lambda r, w, ch: w.method(ch, "basic.cancel", consumer_tag=r.choice("abc")),
    lambda r, w, ch: w.method(ch, "basic.get", queue=queue(r), no_ack=r.random() < 0.5),
    lambda r, w, ch: w.method(ch, "basic.ack", delivery_tag=0, multiple=True),
    lambda r, w, ch: w.method(ch, "basic.nack", delivery_tag=0, multiple=True,
                              requeue=r.random() < 0.5),
    lambda r, w, ch: w.method(ch, "basic.qos", prefetch_count=r.choice((0, 1, 5)),
                              **{"global": r.random() < 0.4}),
    lambda r, w, ch: w.method(ch, "basic.recover", requeue=True),
    lambda r, w, ch: w.method(ch, r.choice(("confirm.select", "tx.select"))),
    lambda r, w, ch: w.method(ch, r.choice(("tx.commit", "tx.rollback"))),
    publish, publish, publish,
    declare_and_bind,
)


def live(port, r):
    """One connection's life: some steps on two channels, then a polite end or none."""
    with Wire(port, timeout_s=5) as w:
        w.login().open(1, 2)
        for _ in range(r.randrange(1, 80)):
            r.choice(STEPS)(r, w, r.choice((1, 2)))
        if r.random() < 0.5:
            w.method(0, "connection.close", reply_code=200)
            while w.read(0).name != "connection.close-ok":
                pass


def client(port, n, until):
    r = random.Random(SEED * 1000 + n)
    while time.monotonic() < until:
        try:
            live(port, r)
        except (OSError, Closed):   # closed for what it did
            pass


@pytest.mark.parametrize("loops", [1, 4])
def test_clients_that_do_anything(loops):
    print(f"CHAOS_SEED={SEED}")
    with Leveret("--loops", str(loops)) as server:
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=client, args=(server.amqp_port, n, until))
                   for n in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert server.is_running(), server.log_tail()
        with Wire(server.amqp_port) as w:
            w.login().open(1)
            w.call(1, "queue.declare", queue="after", exclusive=True)
            w.publish(1, b"still here", routing_key="after")
            got = w.call(1, "basic.get", answer="basic.get-ok", queue="after", no_ack=True)
            assert got.body == b"still here"
            w.close()
        assert server.stop() == 0

"""A disk that is full to the last byte: publishers wait, nothing confirmed is lost, consumers make room, and it goes on."""
import os
import subprocess
import sys

import pytest

from support.broker import Leveret

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "wire"))
from wire import Wire, properties  # noqa: E402

BODY = b"z" * 60000
PERSISTENT = properties(delivery_mode=2)


class SmallDisk(Leveret):
    """Its data directory is a file system of 64 MiB."""

    def _launch(self):
        os.makedirs(self.dir + "/data", exist_ok=True)
        if os.path.ismount(self.dir + "/data"):     # started again
            super()._launch()
            return
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", self.dir + "/data"],
                               capture_output=True, check=False)
        if mount.returncode != 0:
            pytest.skip("no file system can be mounted here")
        super()._launch()

    def stop(self):
        if self.is_running():
            self.kill()
        if self.dir is not None:
            subprocess.run(["umount", "-l", self.dir + "/data"], capture_output=True, check=False)
        return super().stop()


@pytest.fixture
def small():
    with SmallDisk("--store-file-size", "1048576", "--disk-free-limit", "0") as server:
        yield server


def read_any(w, timeout_s):
    """The next message of channel 0 or 1."""
    return w.next_message(timeout_s)


def test_full_and_free_again(small):
    with Wire(small.amqp_port) as p, Wire(small.amqp_port) as c:
        p.login(capabilities={"connection.blocked": True}).open(1)
        p.call(1, "queue.declare", queue="q", durable=True)
        p.call(1, "confirm.select")
        confirmed = sent = 0
        blocked = False
        while not blocked and sent < 2000:
            p.publish(1, BODY + b"%d" % sent, PERSISTENT, routing_key="q")
            sent += 1
            while confirmed < sent:
                try:
                    m = read_any(p, 1.0)
                except TimeoutError:
                    break
                if m.name == "connection.blocked":
                    assert m.reason == "low on disk"
                    blocked = True
                    break
                confirmed = m.delivery_tag
        assert blocked
        assert confirmed > 100
        # Consumers and acknowledgements go on, and make room.
        c.login().open(1)
        taken = []
        for _ in range(confirmed - 20):
            c.method(1, "basic.get", queue="q")
            m = c.read(1, 5)
            taken.append(m.body)
            c.method(1, "basic.ack", delivery_tag=m.delivery_tag)
        assert taken == [BODY + b"%d" % n for n in range(confirmed - 20)]
        for _ in range(30):
            m = read_any(p, 10)
            if m.name == "connection.unblocked":
                break
            assert m.name == "basic.ack"
        else:
            raise AssertionError("not unblocked")
        p.publish(1, b"after", PERSISTENT, routing_key="q")
        wanted = sent + 1
        while confirmed < wanted:
            m = read_any(p, 10)
            confirmed = m.delivery_tag
    small.restart(kill=True)
    with Wire(small.amqp_port) as w:
        w.login().open(1)
        got = []
        while True:
            w.method(1, "basic.get", queue="q", no_ack=True)
            m = w.read(1, 5)
            if m.name == "basic.get-empty":
                break
            got.append(m.body)
        assert got[-1] == b"after"
        assert got[-1 - (sent - len(taken)):-1] == [BODY + b"%d" % n for n in range(len(taken), sent)]

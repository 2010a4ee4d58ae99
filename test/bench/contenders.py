"""Who is compared: each gives .start(), .stop(), .url, .pid, .rss_bytes() as in test/support."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support.broker import ROOT, Leveret, leveretd_path  # noqa: E402
from support.rabbitmq import RabbitMQ, is_installed  # noqa: E402


def built(name, variable):
    """A program of the release build, or what the environment names instead."""
    return os.environ.get(variable) or os.path.join(ROOT, "build", "release", name)


class Relay(Leveret):
    """The relay reads the same two options and writes the same ready file."""

    name = "relay"

    def _command(self):
        return [built("lv-relay", "LV_RELAY"), "--amqp-listen", self.amqp_listen,
                "--ready-file", self.ready_path]


class Floor:
    """Not a broker: what the disk allows one that syncs before it confirms."""

    url = None

    def start(self):
        return self

    def stop(self):
        pass

    def measure(self, args, seconds):
        with tempfile.TemporaryDirectory(prefix="floor-") as folder:
            command = [built("lv-floor", "LV_FLOOR"), "--dir", folder, "--seconds", str(seconds), *args]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


class Elsewhere:
    """A broker that somebody else started."""

    name = "url"
    pid = None
    start_s = None

    def __init__(self, name, url):
        self.name = name
        self.url = url

    def start(self):
        return self

    def stop(self):
        pass

    def rss_bytes(self):
        return None


class TimedRabbitMQ(RabbitMQ):
    start_s = None

    def start(self):
        began = time.monotonic()
        super().start()
        self.start_s = time.monotonic() - began
        return self


class Contender:
    """Makes servers. One that starts slowly is started once and sleeps while others are measured."""

    def __init__(self, name, make, is_kept=False):
        self.name = name
        self.make = make
        self.is_kept = is_kept
        self.server = None

    def __enter__(self):
        if self.server is None:
            self.server = self.make().start()
        elif self.is_kept:
            self._signal(signal.SIGCONT)
            time.sleep(0.5)
        return self.server

    def __exit__(self, *_):
        if self.is_kept:
            self._signal(signal.SIGSTOP)
        else:
            self.close()

    def close(self):
        if self.server is not None:
            if self.is_kept:
                self._signal(signal.SIGCONT)
            self.server.stop()
            self.server = None

    def _signal(self, number):
        if self.server.pid is not None:
            os.kill(self.server.pid, number)


def find(names, urls):
    """The contenders by name; those that are not there are told and left out."""
    known = {
        "leveret": (lambda: Contender("leveret", Leveret), leveretd_path()),
        "leveret-1-loop": (lambda: Contender("leveret-1-loop", lambda: Leveret("--loops", "1")),
                           leveretd_path()),
        "relay": (lambda: Contender("relay", Relay), built("lv-relay", "LV_RELAY")),
        "floor": (lambda: Contender("floor", Floor), built("lv-floor", "LV_FLOOR")),
        "rabbitmq": (lambda: Contender("rabbitmq", TimedRabbitMQ, is_kept=True), None),
    }
    found = []
    for name in names:
        make, path = known[name]
        is_there = os.path.exists(path) if path else is_installed()
        if is_there:
            found.append(make())
        else:
            print(f"{name}: not found, left out", file=sys.stderr)
    for spec in urls:
        name, url = spec.split("=", 1)
        found.append(Contender(name, lambda name=name, url=url: Elsewhere(name, url), is_kept=True))
    return found

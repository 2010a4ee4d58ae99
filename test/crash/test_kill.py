"""A broker that is killed under load, started again and killed again: nothing confirmed is lost, nothing comes twice
unmarked, order and topology stay. The work is done by lv-crash, the judgement by lv-checker; see test/crash/driver.c
and test/support/history.h.

LV_CRASH_ITERATIONS: kills in all (200). LV_CRASH_SEED: of the first instance; a failure prints how to run it again.
"""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.broker import ROOT, leveretd_path

ITERATIONS = int(os.environ.get("LV_CRASH_ITERATIONS", "200"))
SEED = int(os.environ.get("LV_CRASH_SEED", str(time.time_ns() // 1_000_000)))
INSTANCES = 4       # at once; each waits for its disk most of the time
ROUNDS_MAX = 1000   # of one instance: clients are numbered with 16 bits, and histories grow
NO_FAILPOINTS = 77


def tool(name):
    return os.path.join(os.path.dirname(leveretd_path()), name)


pytestmark = pytest.mark.skipif(not os.path.exists(tool("lv-crash")), reason="no lv-crash built (librabbitmq-dev)")


def preload_env():
    """A sanitizer's library need not be the first one."""
    return {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


class Outcome:
    """One instance: what its driver printed, and what the checker found."""

    def __init__(self, folder, mode, seed, rounds):
        self.command = [tool("lv-crash"), "--leveretd", leveretd_path(), "--dir", str(folder), "--mode", mode,
                        "--seed", str(seed), "--rounds", str(rounds), "--disk", tool("lv-failing-disk.so")]
        run = subprocess.run(self.command, capture_output=True, text=True, timeout=120 + 4 * rounds, check=False,
                             env=preload_env())
        self.code = run.returncode
        self.output = run.stdout + run.stderr
        self.figures = last_json(run.stdout)
        with open(folder / "output.log", encoding="utf-8", errors="replace") as log:
            self.log = log.read()
        histories = sorted(str(path) for path in folder.glob("history-*.txt"))
        check = subprocess.run([tool("lv-checker"), *histories], capture_output=True, text=True, check=False)
        self.output += check.stdout + check.stderr
        self.found = last_json(check.stdout)
        self.is_good = self.code == 0 and check.returncode == 0

    def story(self):
        return f"{' '.join(self.command)}\n{self.output}"


def last_json(text):
    lines = text.strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def crash(tmp_path, mode, rounds):
    """`rounds` in all, spread over instances that run side by side."""
    shares = max(min(INSTANCES, rounds), -(-rounds // ROUNDS_MAX))

    def one(index):
        folder = tmp_path / str(index)
        folder.mkdir()
        return Outcome(folder, mode, SEED + index, -(-rounds // shares))

    with ThreadPoolExecutor(INSTANCES) as pool:
        outcomes = list(pool.map(one, range(shares)))
    print(*(outcome.figures for outcome in outcomes), sep="\n")
    return outcomes


def check_good(outcomes):
    bad = [outcome.story() for outcome in outcomes if not outcome.is_good]
    assert not bad, "\n".join(bad)
    for outcome in outcomes:
        assert outcome.found["confirmed"] > 0 and outcome.found["delivered"] > 0, outcome.story()


def test_the_clients_alone(tmp_path):
    """Without an end of the broker there is nothing to find."""
    check_good(crash(tmp_path, "steady", 8))


def test_a_broker_that_forgets_is_found_out(tmp_path):
    """A test of the test: with its data put aside, the broker has lost everything."""
    outcomes = crash(tmp_path, "forget", 8)
    for outcome in outcomes:
        assert outcome.code == 0, outcome.story()
    for fault in ("lost", "vanished", "forgotten"):
        assert sum(outcome.found[fault] for outcome in outcomes) > 0, fault


def test_killed(tmp_path):
    check_good(crash(tmp_path, "kill", ITERATIONS))


def test_stopped_under_load(tmp_path):
    check_good(crash(tmp_path, "stop", max(8, ITERATIONS // 10)))


def test_killed_at_every_fail_point(tmp_path):
    """Each named place several times: at its first visit, and at later ones."""
    names = subprocess.run([leveretd_path(), "--failpoints"], capture_output=True, text=True, check=False)
    if names.returncode != 0:
        pytest.skip("this leveretd has no fail points")
    count = len(names.stdout.split("\n")) - 1
    outcomes = crash(tmp_path, "failpoints", max(4 * count, ITERATIONS // 2))
    check_good(outcomes)
    hits = {}
    for outcome in outcomes:
        for name, hit in outcome.figures["failpoints"].items():
            hits[name] = hits.get(name, 0) + hit
    del hits["vhost.removed"]           # no virtual host is deleted here: test/unit/broker/vhost_test.c kills there
    print(hits)
    assert sum(1 for hit in hits.values() if hit > 0) >= 0.8 * len(hits), hits

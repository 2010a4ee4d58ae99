"""A disk that fails under a broker and under `leveret backup` (failing_disk.c): the broker ends with status 74 and says why, and what it
had confirmed is there again; what the tool cannot read is no backup."""

import os
import shutil
import subprocess

import pytest

from support.broker import ROOT, Leveret
from test_kill import ITERATIONS, check_good, crash, preload_env, tool

DISK = tool("lv-failing-disk.so")
LEVERET = os.environ.get("LEVERET") or os.path.join(ROOT, "build", "release", "leveret")

pytestmark = pytest.mark.skipif(not os.path.exists(DISK), reason="no lv-failing-disk.so built (librabbitmq-dev)")


def test_a_broker_whose_disk_fails(tmp_path):
    """One call after the other, and all that come after it too: see disk_faults in driver.c."""
    outcomes = crash(tmp_path, "disk", max(56, ITERATIONS // 4))
    check_good(outcomes)
    for outcome in outcomes:
        ends, starts = outcome.figures["disk_ends"], outcome.figures["disk_starts"]
        assert ends > 0, outcome.story()
        assert outcome.log.count("LV-0001") >= ends, outcome.log[-3000:]
        assert outcome.log.count("LV-0001") + outcome.log.count("leveretd: /") == ends + starts, outcome.log[-3000:]


@pytest.fixture(scope="module", name="data")
def stopped_data(tmp_path_factory):
    """The directory of a broker that was stopped, without its socket."""
    with Leveret("--store-file-size", "65536") as server:
        server.restart()
        folder = tmp_path_factory.mktemp("stopped") / "data"
        server.process.terminate()
        server.process.wait(10)
        shutil.copytree(os.path.join(server.dir, "data"), folder, ignore=shutil.ignore_patterns("*.sock"))
    return folder


def run(*args, env=None):
    return subprocess.run([LEVERET, *map(str, args)], capture_output=True, text=True, timeout=60, check=False,
                          env=env or preload_env())


@pytest.mark.parametrize("fault", ["open:EIO", "open:EMFILE", "read:EIO", "read:EIO:sticky", "read:EINTR"])
def test_a_backup_of_what_cannot_be_read(data, tmp_path, fault):
    """Whole, or none."""
    call, error, *sticky = fault.split(":")
    failed = 0
    for n in range(1, 40):
        spec = ":".join([call, error, str(n), *sticky])
        target = tmp_path / f"{n}.backup"
        done = run("backup", "--data-dir", data, "--to", target,
                   env={**preload_env(), "LD_PRELOAD": DISK, "LV_DISK_DIR": str(data), "LV_DISK_FAIL": spec})
        if done.returncode == 0:
            assert run("restore", target, "--to", tmp_path / f"{n}.data").returncode == 0, spec
            continue
        failed += 1
        assert done.stderr.strip(), spec
        assert not target.exists() or run("restore", target, "--to", tmp_path / f"{n}.data").returncode != 0, spec
    assert (failed > 0) == (error != "EINTR")

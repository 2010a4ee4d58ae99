"""librabbitmq, the C client."""

import os
import shlex
import shutil
import subprocess

import pytest
from program import BUILD, HERE, Report, build, check_names

SOURCE = "c/librabbitmq.c"


def flags():
    return shlex.split(subprocess.run(
        ["pkg-config", "--cflags", "--libs", "librabbitmq"], capture_output=True, text=True,
        check=True).stdout)


@pytest.fixture(scope="module")
def report(broker_of_session):
    for tool in ("gcc", "pkg-config"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    if subprocess.run(["pkg-config", "--exists", "librabbitmq"], check=False).returncode:
        pytest.skip("librabbitmq-dev is not installed")
    os.makedirs(BUILD, exist_ok=True)
    program = os.path.join(BUILD, "librabbitmq")
    build(["gcc", "-std=gnu17", "-g", "-O1", "-Wall", "-Wextra", "-Werror",
           "-Wno-deprecated-declarations", os.path.join(HERE, SOURCE), "-o", program, *flags()],
          HERE, timeout_s=60)
    return Report([program], broker_of_session)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("check", check_names(SOURCE))
def test_librabbitmq(broker, report, check):
    report.verify(check)

"""amqp091-go, the Go client."""

import os
import re
import shutil
import subprocess

import pytest
from program import BUILD, HERE, Report, build, check_names

SOURCE = "go/main.go"
OLDEST = (1, 21)


@pytest.fixture(scope="module")
def report(broker_of_session):
    if not shutil.which("go"):
        pytest.skip("no go")
    version = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.search(r"go(\d+)\.(\d+)", version).groups())) < OLDEST:
        pytest.skip("the client needs go 1.21")
    program = os.path.join(BUILD, "amqp091-go")
    build(["go", "build", "-mod=readonly", "-o", program, "."], os.path.join(HERE, "go"),
          timeout_s=180, GOFLAGS="", CGO_ENABLED="0")
    return Report([program], broker_of_session)


@pytest.mark.timeout(260)
@pytest.mark.parametrize("check", check_names(SOURCE))
def test_amqp091_go(broker, report, check):
    report.verify(check)

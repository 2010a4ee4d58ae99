"""lapin, the Rust client."""

import os
import re
import shutil
import subprocess

import pytest
from program import BUILD, HERE, Report, build, check_names

SOURCE = "rust/src/main.rs"
OLDEST = (1, 88)


@pytest.fixture(scope="module")
def report(broker_of_session):
    if not shutil.which("cargo"):
        pytest.skip("no cargo")
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True,
                             check=True).stdout
    if tuple(map(int, re.search(r"(\d+)\.(\d+)", version).groups())) < OLDEST:
        pytest.skip("the client needs rust 1.88")
    target = os.path.join(BUILD, "rust")
    build(["cargo", "build", "--locked", "--quiet", "--target-dir", target],
          os.path.join(HERE, "rust"), timeout_s=300)
    return Report([os.path.join(target, "debug", "interop")], broker_of_session)


@pytest.mark.timeout(380)
@pytest.mark.parametrize("check", check_names(SOURCE))
def test_lapin(broker, report, check):
    report.verify(check)

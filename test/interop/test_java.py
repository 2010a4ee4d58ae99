"""The RabbitMQ Java client."""

import os
import shutil

import pytest
from program import BUILD, HERE, Report, build, check_names

SOURCE = "java/src/main/java/interop/Interop.java"


@pytest.fixture(scope="module")
def report(broker_of_session):
    for tool in ("javac", "mvn"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    target = os.path.join(BUILD, "java")
    build(["mvn", "-q", "-B", f"-Dbuild.dir={target}", "process-classes"],
          os.path.join(HERE, "java"), timeout_s=240)
    classes = f"{target}/classes:{target}/lib/*"
    return Report(["java", "-cp", classes, "interop.Interop"], broker_of_session, timeout_s=90)


@pytest.mark.timeout(350)
@pytest.mark.parametrize("check", check_names(SOURCE))
def test_java(broker, report, check):
    report.verify(check)

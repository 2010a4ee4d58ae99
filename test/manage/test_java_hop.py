"""The Java HTTP client (hop), which most JVM tools use."""

import os
import shutil

import pytest

import tools
from world import VHOST, World

SOURCE = "java/src/main/java/manage/Manage.java"


@pytest.fixture(scope="module")
def report(target, world):
    for tool in ("javac", "mvn"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    folder = os.path.join(tools.BUILD, "manage-java")
    tools.build(["mvn", "-q", "-B", f"-Dbuild.dir={folder}", "process-classes"], os.path.join(tools.HERE, "java"), 300)
    return tools.Report(["java", "-cp", f"{folder}/classes:{folder}/lib/*", "manage.Manage"], 90,
                        HTTP_URL=f"http://guest:guest@127.0.0.1:{target.http_port}/api/", VHOST=VHOST, QUEUE=World.queue,
                        EXCHANGE=World.exchange)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("check", tools.check_names(SOURCE))
def test_hop(report, check):
    report.verify(check)

"""rabbit-hole, the Go client that Terraform's provider and the Kubernetes operators are made with."""

import os

import pytest

import tools
from world import VHOST, World

SOURCE = "go/main.go"


@pytest.fixture(scope="module")
def report(target, world):
    version = tools.version_of("go", "version")
    if version is None:
        pytest.skip("no go")
    if version < (1, 21):
        pytest.skip("the client needs go 1.21")
    program = os.path.join(tools.BUILD, "rabbit-hole")
    tools.build(["go", "build", "-mod=readonly", "-o", program, "."], os.path.join(tools.HERE, "go"), 180, GOFLAGS="", CGO_ENABLED="0")
    return tools.Report([program], 60, HTTP_URL=f"http://127.0.0.1:{target.http_port}", VHOST=VHOST, QUEUE=World.queue,
                        EXCHANGE=World.exchange, AMQP_PORT=str(target.amqp_port))


@pytest.mark.timeout(260)
@pytest.mark.parametrize("check", tools.check_names(SOURCE))
def test_rabbit_hole(report, check):
    report.verify(check)

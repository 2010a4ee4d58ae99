"""rabbitmq-client for Node."""

import pytest
from node_program import run_node
from program import check_names

SOURCE = "node/rabbitmq_client.js"


@pytest.fixture(scope="module")
def report(broker_of_session):
    return run_node(broker_of_session, SOURCE)


@pytest.mark.timeout(70)
@pytest.mark.parametrize("check", check_names(SOURCE))
def test_rabbitmq_client(broker, report, check):
    report.verify(check)

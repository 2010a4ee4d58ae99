"""rabbitmqadmin v2, the real one (Rust; from crates.io)."""

import json
import os
import shutil

import pika
import pytest

import tools
from brokers import wait_for
from world import PASSWORD, VHOST, World

VERSION = "2.35.0"
OLDEST_RUST = (1, 94)
# RabbitMQ 3.10 lacks a field or a route that it asks for.
NOT_IN_3_10 = {
    "list nodes", "nodes list", "list consumers", "list deprecated_features", "deprecated_features list", "show memory_breakdown_in_bytes",
    "show memory_breakdown_in_percent", "vhosts enable_deletion_protection",
    "list deprecated_features_in_use", "plugins list_all", "plugins list_on_node", "auth_attempts stats", "shovels list_all",
    "streams list",
}


@pytest.fixture(scope="module")
def program():
    version = tools.version_of("rustc", "--version")
    if version is None or not shutil.which("cargo"):
        pytest.skip("no cargo")
    if version < OLDEST_RUST:
        pytest.skip("rabbitmqadmin needs rust 1.94")
    root = os.path.join(tools.BUILD, "rabbitmqadmin")
    binary = os.path.join(root, "bin", "rabbitmqadmin")
    if not os.path.exists(binary) or VERSION not in tools.run(binary, "--version").stdout:
        tools.build(["cargo", "install", "rabbitmqadmin", "--version", VERSION, "--locked", "--quiet", "--root", root,
                     "--target-dir", root + "-target"], tools.ROOT, timeout_s=1500)
    return binary


@pytest.fixture(scope="module")
def admin_v2(program, target, tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))         # without a ~/.rabbitmqadmin.conf

    def call(*args, fails=False, vhost=None):
        name = " ".join(args[:2])
        if not target.is_leveret and name in NOT_IN_3_10:
            pytest.skip("RabbitMQ 3.10 lacks what this command needs")
        done = tools.run(program, "-H", "127.0.0.1", "-P", str(target.http_port), "-u", "guest", "-p", "guest",
                         *(("-V", vhost) if vhost else ()), "--non-interactive", *args, env={"HOME": home})
        assert (done.returncode != 0) == fails, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr
    return call


@pytest.mark.timeout(1600)
@pytest.mark.parametrize("command", (
    "list nodes", "list users", "list vhosts", "list permissions", "list connections", "list channels", "list queues",
    "list exchanges", "list bindings", "list consumers", "list parameters --component operator_policy", "list policies",
    "list operator_policies", "list vhost_limits", "list user_limits", "list feature_flags", "list deprecated_features",
    "list deprecated_features_in_use", "list user_connections --username guest",
    "show overview", "show churn", "show endpoint", "health_check local_alarms", "health_check cluster_wide_alarms",
    "health_check node_is_quorum_critical",
    "nodes list", "queues list", "vhosts list", "users list", "users connections --username guest", "users permissions", "users limits --username manager", "bindings list",
    "exchanges list", "connections list", "connections list_of_user --username guest", "channels list", "policies list",
    "operator_policies list", "parameters list_all", "parameters list --component operator_policy",
    "global_parameters list", "feature_flags list", "deprecated_features list",
    "user_limits list", "vhost_limits list", "permissions list", "plugins list_all", "definitions export", "rebalance queues", "shovels list_all",
    "federation list_all_links", "streams list"))
def test_command(admin_v2, world, command):
    admin_v2(*command.split(), vhost=VHOST)


@pytest.mark.parametrize("command", ("show memory_breakdown_in_bytes", "show memory_breakdown_in_percent", "auth_attempts stats",
                                     "plugins list_on_node"))
def test_command_for_a_node(admin_v2, admin, command):
    admin_v2(*command.split(), "--node", admin.fetch("/api/overview")["node"])


def test_health_of_listeners(admin_v2, target):
    admin_v2("health_check", "port_listener", "--port", str(target.amqp_port))
    admin_v2("health_check", "port_listener", "--port", "1", fails=True)
    admin_v2("health_check", "protocol_listener", "--protocol", "amqp")


def test_declare_use_delete(admin_v2, admin, name):
    vhost, user = f"v.{name}", f"u.{name}"

    def call(*args, **more):
        return admin_v2(*args, vhost=vhost, **more)
    admin_v2("declare", "vhost", "--name", vhost, "--description", "of a test")
    admin_v2("declare", "user", "--name", user, "--password", PASSWORD, "--tags", "management,policymaker")
    call("declare", "permissions", "--user", user, "--configure", ".*", "--read", ".*", "--write", ".*")
    call("declare", "exchange", "--name", "x", "--type", "topic", "--durable", "true")
    call("declare", "queue", "--name", "q", "--type", "classic", "--durable", "true", "--arguments", '{"x-max-length": 7}')
    call("declare", "binding", "--source", "x", "--destination-type", "queue", "--destination", "q", "--routing-key", "a.#")
    call("publish", "message", "--exchange", "x", "--routing-key", "a.b", "--payload", "hello",
         "--properties", '{"delivery_mode": 2}')
    assert "hello" in call("get", "messages", "--queue", "q", "--count", "1", "--ack-mode", "ack_requeue_false")
    call("queues", "purge", "--name", "q")
    call("declare", "policy", "--name", "p", "--pattern", "^q", "--apply-to", "queues", "--priority", "3",
         "--definition", '{"max-length": 5}')
    call("declare", "operator_policy", "--name", "p", "--pattern", "^q", "--apply-to", "queues", "--priority", "3",
         "--definition", '{"max-length": 4}')
    assert admin.fetch(f"/api/queues/{vhost}/q")["arguments"]["x-max-length"] == 7
    call("declare", "vhost_limit", "--name", "max-queues", "--value", "9")
    admin_v2("declare", "user_limit", "--user", user, "--name", "max-channels", "--value", "9")
    exported = json.loads(call("definitions", "export_from_vhost", "--stdout"))
    assert {queue["name"] for queue in exported["queues"]} == {"q"}
    call("delete", "vhost_limit", "--name", "max-queues")
    admin_v2("delete", "user_limit", "--user", user, "--name", "max-channels")
    call("delete", "operator_policy", "--name", "p")
    call("delete", "policy", "--name", "p")
    call("delete", "binding", "--source", "x", "--destination-type", "queue", "--destination", "q", "--routing-key", "a.#")
    call("queues", "delete_multiple", "--name-pattern", "^q", "--approve")
    call("delete", "queue", "--name", "q", fails=True)
    call("delete", "queue", "--name", "q", "--idempotently")
    call("delete", "exchange", "--name", "x")
    call("delete", "permissions", "--user", user)
    admin_v2("delete", "user", "--name", user)
    admin_v2("delete", "vhost", "--name", vhost)


def test_protection(admin_v2, admin, name):
    admin.put(f"/api/vhosts/{name}")
    admin_v2("vhosts", "enable_deletion_protection", "--name", name)
    admin_v2("delete", "vhost", "--name", name, fails=True)
    admin_v2("vhosts", "disable_deletion_protection", "--name", name)
    admin_v2("delete", "vhost", "--name", name)


def test_export_and_import(admin_v2, world, tmp_path):
    file = str(tmp_path / "definitions.json")
    admin_v2("definitions", "export", "--file", file)
    with open(file, encoding="utf-8") as exported:
        assert World.queue in {queue["name"] for queue in json.load(exported)["queues"]}
    admin_v2("definitions", "import", "--file", file)


def test_close_connection(admin_v2, target, admin):
    connection = pika.BlockingConnection(pika.URLParameters(target.url))
    port = connection._impl._transport._sock.getsockname()[1]
    row = wait_for("the connection", lambda: next(
        (r for r in admin.fetch("/api/connections") if r.get("peer_port") == port), None))
    admin_v2("close", "connection", "--name", row["name"])
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
        while True:
            connection.process_data_events(1)

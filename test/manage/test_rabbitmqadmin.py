"""rabbitmqadmin v1, the script that RabbitMQ's management plugin served at /cli/rabbitmqadmin."""

import glob
import json
import sys

import pytest

import tools
from brokers import wait_for
from world import PASSWORD, VHOST, World

PLACES = ("/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/rabbitmq_management-*/priv/www/cli/rabbitmqadmin",)
LISTS = ("connections", "channels", "consumers", "exchanges", "queues", "bindings", "users", "vhosts", "permissions", "nodes",
         "parameters", "policies", "operator_policies", "vhost_limits")
FORMATS = ("table", "long", "tsv", "kvp", "raw_json", "pretty_json", "bash")


@pytest.fixture(scope="module")
def admin_v1(target, tmp_path_factory):
    found = next((path for place in PLACES for path in glob.glob(place)), None)
    if not found:
        pytest.skip("no rabbitmqadmin on this machine")

    home = str(tmp_path_factory.mktemp("home"))         # without a ~/.rabbitmqadmin.conf

    def call(*args, user="guest", password="guest", fails=False):
        done = tools.run(sys.executable, "-W", "ignore", found, "-H", "127.0.0.1", "-P", str(target.http_port),
                         "-u", user, "-p", password, *args, env={"HOME": home})
        assert (done.returncode != 0) == fails, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")
    return call


@pytest.mark.parametrize("what", LISTS)
def test_list(admin_v1, world, what):
    rows = json.loads(admin_v1("-f", "raw_json", "list", what))
    assert isinstance(rows, list)
    table = admin_v1("list", what)
    assert "No items" in table if not rows else table.startswith("+")


@pytest.mark.parametrize("layout", FORMATS)
def test_format(admin_v1, world, layout):
    out = admin_v1("-V", VHOST, "-f", layout, "list", "queues")
    assert World.queue in out
    admin_v1("-f", layout, "show", "overview")


def test_list_with_everything(admin_v1, world):
    """-d looks for columns deeper and deeper in the answer."""
    for depth in ("1", "2", "3", "4"):
        assert World.queue in admin_v1("-d", depth, "-f", "long", "list", "queues")
    out = admin_v1("--sort", "messages", "--sort-reverse", "-f", "tsv", "list", "queues", "name", "messages", "consumers")
    assert out.splitlines()[0].split("\t") == ["name", "messages", "consumers"]
    assert out.splitlines()[1].startswith(World.queue)


def test_show_overview(admin_v1, world):
    out = admin_v1("-f", "kvp", "show", "overview")
    for column in ("rabbitmq_version", "cluster_name", "queue_totals.messages", "object_totals.queues"):
        assert f'{column}="' in out


def test_declare_use_delete(admin_v1, world, admin, name):
    vhost, user = f"v.{name}", f"u.{name}"
    admin_v1("declare", "vhost", f"name={vhost}")
    admin_v1("declare", "user", f"name={user}", f"password={PASSWORD}", "tags=management")
    admin_v1("declare", "permission", f"vhost={vhost}", f"user={user}", "configure=.*", "write=.*", "read=.*")

    def call(*args, **more):
        return admin_v1("-V", vhost, *args, user=user, password=PASSWORD, **more)
    call("declare", "exchange", "name=x", "type=topic", "durable=false", "auto_delete=true", "internal=false")
    call("declare", "queue", "name=q", "durable=true", "auto_delete=false", 'arguments={"x-max-length": 10, "x-note": "n"}')
    call("declare", "binding", "source=x", "destination=q", "routing_key=a.#", 'arguments={"k": 1}')
    row = json.loads(call("-f", "raw_json", "list", "queues", "name", "durable", "auto_delete", "arguments"))[0]
    assert row == {"name": "q", "durable": True, "auto_delete": False, "arguments": {"x-max-length": 10, "x-note": "n"}}
    assert call("publish", "exchange=x", "routing_key=a.b", "payload=hello",
                'properties={"delivery_mode": 2}') == "Message published\n"
    assert "NOT routed" in call("publish", "exchange=x", "routing_key=z", "payload=hello")
    got = json.loads(call("-f", "raw_json", "get", "queue=q", "ackmode=ack_requeue_true"))[0]
    assert (got["payload"], got["properties"], got["redelivered"]) == ("hello", {"delivery_mode": 2}, False)
    got = json.loads(call("-f", "raw_json", "get", "queue=q", "count=3", "ackmode=ack_requeue_false"))[0]
    assert got["redelivered"] is True
    call("publish", "routing_key=q", "payload=again")
    call("purge", "queue", "name=q")
    assert json.loads(call("-f", "raw_json", "get", "queue=q")) == []
    bindings = json.loads(call("-f", "raw_json", "list", "bindings", "source", "properties_key"))
    key = next(b["properties_key"] for b in bindings if b["source"] == "x")
    call("delete", "binding", "source=x", "destination=q", "destination_type=queue", f"properties_key={key}")
    call("delete", "queue", "name=q")
    assert "not found" in call("delete", "queue", "name=q", fails=True).lower()
    admin_v1("-V", vhost, "declare", "policy", "name=p", "pattern=^q", 'definition={"max-length": 3}', "apply-to=queues",
             "priority=2")
    assert json.loads(admin_v1("-f", "raw_json", "list", "policies"))
    admin_v1("-V", vhost, "delete", "policy", "name=p")
    admin_v1("-V", vhost, "declare", "operator_policy", "name=p", "pattern=^q", 'definition={"max-length": 3}')
    admin_v1("-V", vhost, "delete", "operator_policy", "name=p")
    admin_v1("declare", "vhost_limit", f"vhost={vhost}", "name=max-queues", "value=5")
    admin_v1("delete", "vhost_limit", f"vhost={vhost}", "name=max-queues")
    admin_v1("delete", "permission", f"vhost={vhost}", f"user={user}")
    admin_v1("delete", "user", f"name={user}")
    admin_v1("delete", "vhost", f"name={vhost}")


def test_export_and_import(admin_v1, world, admin, tmp_path):
    file = str(tmp_path / "definitions.json")
    admin_v1("export", file)
    with open(file, encoding="utf-8") as exported:
        definitions = json.load(exported)
    assert World.queue in {queue["name"] for queue in definitions["queues"]}
    admin_v1("import", file)
    admin_v1("-V", VHOST, "export", file)
    admin_v1("-V", VHOST, "import", file)


def test_what_it_says_when_it_fails(admin_v1, world):
    assert "Access refused" in admin_v1("list", "queues", password="wrong", fails=True)
    assert "Access refused" in admin_v1("list", "users", user="manager", password=PASSWORD, fails=True)
    assert "inequivalent arg" in admin_v1("-V", VHOST, "declare", "queue", f"name={World.queue}", "durable=false", fails=True)
    admin_v1("-V", "nosuch", "declare", "queue", "name=q", fails=True)


def test_close_connection(admin_v1, target, admin):
    import pika
    connection = pika.BlockingConnection(pika.URLParameters(target.url))
    port = connection._impl._transport._sock.getsockname()[1]
    row = wait_for("the connection", lambda: next(
        (r for r in admin.fetch("/api/connections") if r.get("peer_port") == port), None))
    admin_v1("close", "connection", f"name={row['name']}")
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
        while True:
            connection.process_data_events(1)

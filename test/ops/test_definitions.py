"""Definitions at the start of a real leveretd, and those of a real RabbitMQ taken over: what it exported is what is exported after
the import, order aside."""

import base64
import copy
import json
import os
import subprocess
import urllib.error
import urllib.request

import pytest

from support.broker import Leveret, leveretd_path
from support.net import free_ports
from support.rabbitmq import RabbitMQ, is_installed
from wire import Wire

EX_CONFIG = 78
TEST12 = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
ANN = dict(name="ann", password_hash=TEST12, hashing_algorithm="rabbit_password_hashing_sha256", tags=["administrator"])


def login(name, password):
    return dict(mechanism="PLAIN", response=f"\0{name}\0{password}".encode())


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return str(path)


def run(*args):
    return subprocess.run([leveretd_path(), "--config", "none", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


class Http:
    """The management API of a broker."""

    def __init__(self, port, user="guest", password="guest"):
        self.base = f"http://127.0.0.1:{port}/api"
        self.auth = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": self.auth, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()


# ---- at the start ----

def test_check_reads_the_definitions(tmp_path):
    good = write(tmp_path / "good.json", {"queues": [{"name": "q", "vhost": "/"}], "users": [ANN]})
    ran = run("--check", "--load-definitions", good)
    assert ran.returncode == 0, ran.stderr
    assert f"{good}: definitions of 2 items\n" in ran.stdout
    bad = write(tmp_path / "bad.json", {"queues": [{"name": "q", "vhost": "/", "arguments": {"x-expires": 0}}]})
    ran = run("--check", "--load-definitions", bad)
    assert ran.returncode == EX_CONFIG
    assert ran.stderr == (f"leveretd: load_definitions: {bad}: queues[0] 'q' in vhost '/': invalid arg 'x-expires' for queue "
                          "'q' in vhost '/': {value_zero,0}\n")


@pytest.mark.parametrize("text, reason", [
    ("{", "not JSON: string or '}' expected near end of file at line 1, column 1"),
    ('{"users":[{"name":"a"}]}', "users[0] 'a': password_hash is missing"),
    ('{"permissions":[{"user":"x","vhost":"/","configure":"","write":"","read":""}]}',
     "permissions[0] 'x' in vhost '/': there is no user 'x'")])
def test_a_start_with_bad_definitions_is_refused(tmp_path, text, reason):
    path = write(tmp_path / "bad.json", text)
    ran = run("--data-dir", str(tmp_path / "data"), "--amqp-listen", "127.0.0.1:0", "--http-listen", "none",
              "--load-definitions", path)
    assert ran.returncode == EX_CONFIG
    assert ran.stderr.endswith(f"leveretd: load_definitions: {path}: {reason}\n")


def test_a_file_that_is_not_there(tmp_path):
    ran = run("--check", "--load-definitions", str(tmp_path / "none.json"))
    assert ran.returncode == EX_CONFIG
    assert "none.json: not found" in ran.stderr


def test_users_of_definitions_replace_the_default_one(tmp_path):
    path = write(tmp_path / "all.json", {
        "users": [ANN], "vhosts": [{"name": "v"}],
        "permissions": [dict(user="ann", vhost="v", configure=".*", write=".*", read=".*")],
        "queues": [{"name": "q", "vhost": "v", "durable": True}]})
    with Leveret("--load-definitions", path) as server:
        w = Wire(server.amqp_port).login(vhost="v", **login("ann", "test12")).open(1)
        assert w.call(1, "queue.declare", queue="q", passive=True).queue == "q"
        w.close()
        w = Wire(server.amqp_port)
        w.start()
        w.start_ok()
        w.expect_connection_close(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                                       "For details see the broker logfile.")


def test_without_users_the_default_one_is_there(tmp_path):
    path = write(tmp_path / "all.json", {"queues": [{"name": "q", "vhost": "/", "durable": True}]})
    with Leveret("--load-definitions", path) as server:
        w = Wire(server.amqp_port).login().open(1)
        w.call(1, "queue.declare", queue="q", passive=True)
        w.close()


def test_a_folder_is_read_in_order(tmp_path):
    write(tmp_path / "10-queues.json", {"queues": [{"name": "a", "vhost": "v"}]})
    write(tmp_path / "05-vhosts.json", {"vhosts": [{"name": "v"}]})
    write(tmp_path / "20-more.json", {
        "permissions": [dict(user="guest", vhost="v", configure=".*", write=".*", read=".*")],
        "bindings": [dict(source="amq.fanout", vhost="v", destination="a", destination_type="queue", routing_key="")]})
    write(tmp_path / "note.txt", "no JSON")
    with Leveret("--load-definitions", str(tmp_path)) as server:
        w = Wire(server.amqp_port).login(vhost="v").open(1)
        w.publish(1, b"x", exchange="amq.fanout", routing_key="")
        w.sync(1)
        assert w.call(1, "queue.purge", queue="a").message_count == 1
        w.close()


def test_definitions_are_read_at_every_start_or_when_they_changed(tmp_path):
    path = tmp_path / "all.json"
    write(path, {"queues": [{"name": "q", "vhost": "/", "durable": True}]})

    def has(server, queue):
        w = Wire(server.amqp_port).login().open(1)
        w.method(1, "queue.declare", queue=queue, passive=True)
        found = w.read(1).name == "queue.declare-ok"
        w.close_socket()
        return found

    def delete(server, queue):
        w = Wire(server.amqp_port).login().open(1)
        w.call(1, "queue.delete", queue=queue)
        w.close()

    with Leveret("--load-definitions", str(path), "--definitions.skip_if_unchanged", "true") as server:
        delete(server, "q")
        server.restart()
        assert not has(server, "q")
        write(path, {"queues": [{"name": name, "vhost": "/", "durable": True} for name in ("q", "r")]})
        server.restart()
        assert has(server, "q") and has(server, "r")
    with Leveret("--load-definitions", str(path)) as server:
        delete(server, "q")
        server.restart()
        assert has(server, "q")


# ---- from RabbitMQ ----

def through(tmp_path, text, *vhost):
    """What a broker that has imported `text` exports."""
    ran = subprocess.run([os.path.join(os.path.dirname(leveretd_path()), "lv-definitions"), str(tmp_path / "data"),
                          write(tmp_path / "in.json", text), *vhost], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def fill(api):
    for vhost, body in (("other", {"description": "d", "tags": "a,b"}), ("plain", {})):
        api.ask("PUT", f"/vhosts/{vhost}", body)
    for name, value in (("max-connections", 50), ("max-queues", 500)):
        api.ask("PUT", f"/vhost-limits/other/{name}", {"value": value})
    api.ask("PUT", "/users/ann", {"password": "test12", "tags": "monitoring,custom"})
    api.ask("PUT", "/users/nobody", {"password_hash": "", "tags": ""})
    api.ask("PUT", "/user-limits/ann/max-channels", {"value": 9})
    api.ask("PUT", "/permissions/other/ann", {"configure": "^a", "write": ".*", "read": ""})
    api.ask("PUT", "/topic-permissions/other/ann", {"exchange": "amq.topic", "write": "^a", "read": ".*"})
    api.ask("PUT", "/policies/%2F/p", {"pattern": "^\u00fc", "definition": {"max-length": 10, "overflow": "reject-publish"},
                                       "priority": 7, "apply-to": "queues"})
    api.ask("PUT", "/policies/other/ae", {"pattern": "", "definition": {"alternate-exchange": "x"}, "apply-to": "exchanges"})
    api.ask("PUT", "/operator-policies/other/o", {"pattern": ".*", "definition": {"max-length": 9}})
    api.ask("PUT", "/global-parameters/mine", {"value": {"a": [1, 2.5, {"b": None}]}})
    api.ask("PUT", "/cluster-name", {"name": "\u00fcn\u00ef"})
    exchanges = {"x": dict(type="topic", durable=True, arguments={"alternate-exchange": "amq.fanout"}),
                 "inside": dict(type="headers", durable=False, internal=True),
                 "gone%20soon": dict(type="direct", durable=True, auto_delete=True)}
    for name, body in exchanges.items():
        api.ask("PUT", f"/exchanges/other/{name}", body)
    nested = {"a": [1, 2.5, True, "s", {"b": "c", "big": 9007199254740993}], "e": []}
    queues = {"q": dict(durable=True, arguments={"x-message-ttl": 1000, "nested": nested, "x-queue-type": "classic"}),
              "qq": dict(durable=True, arguments={"x-queue-type": "quorum"}),
              "t": dict(durable=False, auto_delete=True),
              "%C3%BC%22%5C": dict(durable=True)}
    for name, body in queues.items():
        api.ask("PUT", f"/queues/other/{name}", body)
    for path, body in (("x/q/q", dict(routing_key="a.#", arguments={"m": 1, "f": 1.5, "n": nested})), ("x/q/q", dict(routing_key="b")),
                       ("inside/q/qq", dict(arguments={"x-match": "any", "h": "v", "n": 5})),
                       ("x/e/amq.fanout", dict(routing_key="z"))):
        api.ask("POST", f"/bindings/other/e/{path}", body)


def normal(definitions):
    """Without order, and without what is told otherwise: 3.10 exports nothing but the names of virtual hosts, writes no
    types of queues, shows numbers of its own cluster, and the virtual host where the file is of one."""
    out = {}
    for key in ("users", "vhosts", "permissions", "topic_permissions", "parameters", "global_parameters", "policies", "queues",
                "exchanges", "bindings"):
        items = copy.deepcopy(definitions.get(key, []))
        for item in items:
            if not definitions.get("vhosts"):
                item.pop("vhost", None)
            if key == "vhosts":
                item.pop("metadata", None), item.pop("limits", None)
            if key == "queues":
                item.pop("type", None)
        if key == "global_parameters":
            items = [item for item in items if not item["name"].startswith("internal_")]
        out[key] = sorted(json.dumps(item, sort_keys=True) for item in items)
    return out


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What a real RabbitMQ exports: a file of all, and one of a virtual host."""
    if not is_installed():
        pytest.skip("no rabbitmq-server")
    port, = free_ports(1)
    server = RabbitMQ(f"management.tcp.port = {port}\nmanagement.tcp.ip = 127.0.0.1\n", ["rabbitmq_management"])
    try:
        server.start()
        api = Http(port)
        fill(api)
        whole, one = api.ask("GET", "/definitions"), api.ask("GET", "/definitions/other")
        assert len(json.loads(whole)["bindings"]) == 4
        return whole, one
    finally:
        server.stop()


@pytest.mark.timeout(180)
def test_what_rabbitmq_exported_is_exported_again(exported, tmp_path):
    whole, _ = exported
    again = through(tmp_path, whole)
    assert normal(json.loads(again)) == normal(json.loads(whole))
    assert through(tmp_path, again) == again


@pytest.mark.timeout(180)
def test_a_virtual_host_is_exported_again(exported, tmp_path):
    whole, one = exported
    through(tmp_path, whole)
    again = through(tmp_path, one, "plain")
    assert normal(json.loads(again)) == normal(json.loads(one))


@pytest.mark.timeout(180)
def test_its_users_log_in(exported, tmp_path):
    path = write(tmp_path / "rabbitmq.json", exported[0])
    with Leveret("--load-definitions", path) as server:
        w = Wire(server.amqp_port).login(vhost="other", **login("ann", "test12")).open(1)
        w.close()
        w = Wire(server.amqp_port).login(vhost="other", **login("guest", "guest")).open(1)
        w.call(1, "queue.declare", queue="t", passive=True)
        w.publish(1, b"x", exchange="x", routing_key="nothing")
        w.sync(1)
        w.close()

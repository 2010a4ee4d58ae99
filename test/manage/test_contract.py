"""Every route of docs/openapi.json is called, and every answer must be as it says."""

import json
import re
from urllib.parse import quote

import pika
import pytest

import brokers
import openapi
from brokers import wait_for
from client import Client
from world import PASSWORD, USERS, V, World

DOCUMENT = openapi.Document()
# RabbitMQ 3.10 differs here from 4.x, and the description is that of 4.x.
OLD_ACCESS = {
    ("get", "/api/vhosts/{vhost}"): "administrators only",
    ("get", "/api/feature-flags"): "administrators only",
    ("get", "/api/user-limits"): "monitoring is enough",
    ("get", "/api/user-limits/{user}"): "monitoring is enough",
    ("get", "/api/connections/username/{user}"): "500 for whoever may not",
    ("delete", "/api/connections/username/{user}"): "500 for whoever may not",
    ("delete", "/api/auth/attempts/{node}"): "monitoring is enough to reset counters",
    ("delete", "/api/auth/attempts/{node}/source"): "monitoring is enough to reset counters",
}
OLD_WITHOUT_HEAD = ("/api/user-limits", "/api/user-limits/{user}", "/api/vhost-limits", "/api/vhost-limits/{vhost}")
READING = sorted(path for path, operations in DOCUMENT.paths.items() if "get" in operations)
EVERY = sorted((path, method) for path, operations in DOCUMENT.paths.items() for method in operations)


@pytest.fixture(scope="module", autouse=True)
def every_answer_is_as_described(admin, as_described):
    before, admin.watch = admin.watch, as_described
    yield
    admin.watch = before


@pytest.fixture(scope="module")
def values(target, admin, world):
    """What the parameters in paths stand for."""
    node = admin.fetch("/api/overview")["node"]
    return {
        "vhost": V, "node": node, "user": "manager", "password": "abc", "exchange": World.exchange, "queue": World.queue,
        "source": World.exchange, "component": "operator_policy", "port": str(target.amqp_port), "protocols": "amqp",
        "within": "1", "unit": "weeks", "pattern": "^a",
        "/api/connections/username/{user}": "guest",
        "/api/connections/{name}": quote(world.connection_name, safe=""),
        "/api/channels/{name}": quote(world.connection_name + " (1)", safe=""),
        "/api/policies/{vhost}/{name}": "short",
        "/api/operator-policies/{vhost}/{name}": "bounds",
        "/api/parameters/{component}/{vhost}/{name}": "bounds",
        "/api/vhost-limits/{vhost}/{name}": "max-queues",
        "/api/user-limits/{user}/{name}": "max-channels",
        "/api/global-parameters/{name}": "contact",
        "/api/feature-flags/{name}/enable": "quorum_queue",
        "q": World.queue, "e": "copies", "properties:q": "eu.%2A", "properties:e": "%23",
    }


def path_of(template, values):
    kind = "e" if "/e/{destination}" in template else "q"

    def value(match):
        name = match[1]
        if name == "name" or template == "/api/connections/username/{user}":
            return next(values[key] for key in values if template.startswith(key))
        if name == "destination":
            return values[kind]
        return values[f"properties:{kind}"] if name == "properties" else values[name]
    return re.sub(r"{(\w+)}", value, template)


@pytest.fixture(autouse=True)
def not_yet(request, target):
    """Peeking comes with the queues' part of it; until then its route is not there, and the skip says so."""
    template = getattr(request.node, "callspec", None) and request.node.callspec.params.get("template", "")
    if template and template.endswith("/peek") and target.is_leveret:
        if Client(target.http_port).request("OPTIONS", "/api/x/queues/%2F/q/peek").status == 404:
            pytest.skip("there is no peek yet")


def skip_unless_there(document, path, method="get"):
    if (method, path) not in {(m, p) for m, p, _ in document.operations()}:
        pytest.skip("RabbitMQ of this version has no such route")


@pytest.mark.parametrize("template", READING)
def test_get(target, admin, document, values, template):
    skip_unless_there(document, template)
    path = path_of(template, values)
    if template == "/api/x/live":
        pytest.skip("a stream without an end: test_live.py")
    if not target.is_leveret:
        admin.delete(f"/api/queues/{V}/aliveness-test")     # RabbitMQ 3.10 leaves one behind
    answer = admin.get(path)
    assert answer.status == 200, answer
    assert admin.get(path + "/").status == 200, "one slash at the end is ignored"
    if template in OLD_WITHOUT_HEAD and not target.is_leveret:
        return
    head = admin.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers.get("content-type") == answer.headers["content-type"]


@pytest.mark.parametrize("template", sorted(DOCUMENT.paths))
def test_options_tells_the_methods(target, document, values, template):
    """OPTIONS needs no login. 405 says the same."""
    described = {method.upper() for method, path, _ in document.operations() if path == template}
    if not described:
        pytest.skip("RabbitMQ of this version has no such route")
    if "GET" in described and (target.is_leveret or template not in OLD_WITHOUT_HEAD):
        described.add("HEAD")
    path = path_of(template, values)
    nobody = Client(target.http_port, user=None)
    answer = nobody.request("OPTIONS", path)
    assert answer.status == 200, answer
    assert set(re.split(", *", answer.headers["allow"])) == described | {"OPTIONS"}
    refused = nobody.request("PATCH", path)
    assert refused.status == 405
    assert set(re.split(", *", refused.headers["allow"])) == described | {"OPTIONS"}
    nobody.close()


# Who is let in. Users of the world; nobody: without a login; wrong: with a wrong password.
WHO = {
    "anyone": {"nobody", "stranger", "outsider", "manager", "maker", "watcher", "admin2"},
    "management": {"outsider", "manager", "maker", "watcher", "admin2"},
    "virtual host": {"manager", "maker", "watcher", "admin2"},
    "monitoring": {"watcher", "admin2"},
    "policymaker": {"maker", "admin2"},
    "owner": {"watcher", "admin2"},     # what it is asked about belongs to guest
    "administrator": {"admin2"},
}


@pytest.fixture(scope="module")
def people(target, world):
    clients = {user: Client(target.http_port, user, PASSWORD) for user in USERS}
    clients["nobody"] = Client(target.http_port, user=None)
    clients["wrong"] = Client(target.http_port, "admin2", "wrong")
    yield clients
    for client in clients.values():
        client.close()


@pytest.mark.parametrize("template,method", EVERY, ids=lambda value: value)
def test_access(target, document, values, people, template, method):
    """401 for everybody who may not, something else for who may read. Nobody who may not changes anything."""
    skip_unless_there(document, template, method)
    if (method, template) in OLD_ACCESS and not target.is_leveret:
        pytest.skip(f"RabbitMQ 3.10: {OLD_ACCESS[method, template]}")
    operation = document.paths[template][method]
    allowed = WHO[operation["x-access"]]
    path = path_of(template, values)
    if template == "/api/login":
        pytest.skip("the login itself")
    for user, client in people.items():
        if user in allowed:
            if method == "get" and not template.startswith("/api/x/live"):
                assert client.get(path).status in (200, 404), user
            continue
        if operation["x-access"] == "anyone":
            continue
        answer = client.request(method.upper(), path, {} if method in ("put", "post") else None)
        assert answer.status in ((401,) if user != "outsider" else (401, 404)), (user, answer)
        if user in ("nobody", "wrong"):
            assert answer.headers["www-authenticate"].startswith("Basic realm=")




# What writes: every route once with success, in an order that makes sense. {v} is a virtual host of its own.
WRITES = """
put    /api/vhosts/{v}                              201 {"description": "to be written to", "tags": "x,y"}
put    /api/vhosts/{v}                              204 {"description": "changed", "tags": ["x"]}
put    /api/permissions/{v}/guest                   204 {"configure": ".*", "write": ".*", "read": ".*"}
put    /api/exchanges/{v}/x1                        201 {"type": "direct", "durable": true}
put    /api/exchanges/{v}/x1                        204 {"type": "direct", "durable": true}
put    /api/exchanges/{v}/x2                        201 {"type": "fanout", "durable": "false", "internal": "true"}
put    /api/queues/{v}/q1                           201 {"durable": "true", "auto_delete": "false", "arguments": {}}
put    /api/queues/{v}/q1                           204 {"durable": true}
post   /api/bindings/{v}/e/x1/q/q1                  201 {"routing_key": "k1", "arguments": {}}
post   /api/bindings/{v}/e/x1/e/x2                  201 {"routing_key": "k1"}
post   /api/exchanges/{v}/x1/publish                200 {"properties": {"delivery_mode": 2, "headers": {"a": 1}}, "routing_key": "k1", "payload": "p", "payload_encoding": "string"}
post   /api/queues/{v}/q1/get                       200 {"count": 2, "ackmode": "ack_requeue_true", "encoding": "auto"}
post   /api/x/queues/{v}/q1/peek                    200 {"count": 10}
post   /api/x/route/{v}                             200 {"exchange": "x1", "routing_key": "k1"}
delete /api/queues/{v}/q1/contents                  204
post   /api/rebalance/queues                        204
delete /api/bindings/{v}/e/x1/q/q1/k1               204
delete /api/bindings/{v}/e/x1/e/x2/k1               204
put    /api/policies/{v}/p                          201 {"pattern": "^q", "definition": {"max-length": 5}, "priority": 1, "apply-to": "queues"}
put    /api/policies/{v}/p                          204 {"pattern": "^q", "definition": {"max-length": 6}}
delete /api/policies/{v}/p                          204
put    /api/operator-policies/{v}/p                 201 {"pattern": "^q", "definition": {"max-length": 5}}
put    /api/operator-policies/{v}/p                 204 {"pattern": "^q", "definition": {"max-length": 7}}
delete /api/operator-policies/{v}/p                 204
put    /api/vhost-limits/{v}/max-queues             204 {"value": 9}
delete /api/vhost-limits/{v}/max-queues             204
put    /api/global-parameters/g                     201 {"value": [1, {"a": "b"}]}
put    /api/global-parameters/g                     204 {"value": "text"}
delete /api/global-parameters/g                     204
put    /api/cluster-name                            204 {"name": "tests"}
put    /api/users/u1                                201 {"password": "p", "tags": "management"}
put    /api/users/u1                                204 {"password": "p", "tags": ["monitoring", "policymaker"]}
put    /api/user-limits/u1/max-channels             204 {"value": 9}
delete /api/user-limits/u1/max-channels             204
put    /api/permissions/{v}/u1                      201 {"configure": "", "write": "^q", "read": ".*"}
put    /api/topic-permissions/{v}/u1                201 {"exchange": "amq.topic", "write": "^a", "read": "^b"}
put    /api/topic-permissions/{v}/u1                204 {"exchange": "amq.topic", "write": "^a", "read": "^c"}
delete /api/topic-permissions/{v}/u1/amq.topic      204
put    /api/topic-permissions/{v}/u1/amq.topic      201 {"exchange": "amq.topic", "write": "^a", "read": "^c"}
delete /api/topic-permissions/{v}/u1                204
delete /api/permissions/{v}/u1                      204
delete /api/users/u1                                204
put    /api/users/u2                                201 {"password_hash": "", "tags": ""}
post   /api/users/bulk-delete                       204 {"users": ["u2"]}
put    /api/feature-flags/quorum_queue/enable       204 {}
post   /api/definitions                             204 {"queues": [{"name": "q3", "vhost": "{vhost}", "durable": true, "auto_delete": false, "arguments": {}}]}
post   /api/definitions/{v}                         204 {"queues": [{"name": "q4", "durable": true, "auto_delete": false, "arguments": {}}]}
delete /api/queues/{v}/q4?if-empty=true             204
delete /api/exchanges/{v}/x2                        204
delete /api/exchanges/{v}/x1?if-unused=true         204
delete /api/auth/attempts/{node}                    204
delete /api/auth/attempts/{node}/source             204
delete /api/reset                                   204
delete /api/reset/{node}                            204
post   /api/vhosts/{v}/deletion/protection          204
delete /api/vhosts/{v}                              412
delete /api/vhosts/{v}/deletion/protection          204
post   /api/vhosts/{v}/start/{node}                 204
put    /api/x/node/log-level                        204 {"level": "info"}
put    /api/x/node/memory-high-watermark            204 {"fraction": 0.6}
put    /api/x/node/disk-free-limit                  204 {"absolute": "50MB"}
post   /api/x/node/rotate-logs                      204
post   /api/x/node/reload                           200|204
delete /api/vhosts/{v}                              204
"""
# Tested elsewhere: they end what other tests need, want another body, or set what no component of ours takes.
WRITTEN_ELSEWHERE = {
    ("post", "/api/login"), ("delete", "/api/login"), ("post", "/api/queues/{vhost}/{queue}/actions"),
    ("delete", "/api/connections/{name}"), ("delete", "/api/connections/username/{user}"), ("post", "/api/x/node/stop"),
    ("put", "/api/parameters/{component}/{vhost}/{name}"), ("delete", "/api/parameters/{component}/{vhost}/{name}"),
}


def test_every_writing_route(target, admin, document, name):
    vhost = f"writes {name}"
    node = admin.fetch("/api/overview")["node"]
    admin.put("/api/feature-flags/quorum_queue/enable", {"name": "quorum_queue"})
    called, wrong = set(), []
    for line in WRITES.strip().splitlines():
        method, path, status, body = (line.split(None, 3) + [None])[:4]
        path = path.replace("{v}", quote(vhost)).replace("{node}", node)
        called.add((method, DOCUMENT.template_of(path)))
        if document.operation(method, path) is None or (method, document.template_of(path)) not in {
                (m, p) for m, p, _ in document.operations()}:
            continue
        if (method, status) == ("delete", "412") and not target.is_leveret:
            continue                        # RabbitMQ 3.10 knows no protection
        if path.endswith("/peek") and admin.request("OPTIONS", path).status == 404:
            continue                        # not_yet
        answer = admin.request(method.upper(), path, body and json.loads(body.replace("{vhost}", vhost)))
        if str(answer.status) not in status.split("|"):
            wrong.append(f"{status} expected: {answer}")
    assert not wrong, "\n".join(wrong)
    assert called | WRITTEN_ELSEWHERE == {(method, path) for path, method in EVERY if method != "get"}


def test_login(target, document):
    nobody = Client(target.http_port, user=None)
    form = {"content-type": "application/x-www-form-urlencoded"}
    good = nobody.request("POST", "/api/login", "username=guest&password=guest", form)
    assert document.complaint(good) is None
    assert good.status == 200
    bad = nobody.request("POST", "/api/login", "username=guest&password=wrong", form)
    assert (bad.status, bad.json["error"]) == (401, "not_authorized")


def test_a_connection_can_be_closed(target, admin):
    connection = pika.BlockingConnection(pika.URLParameters(target.url))

    def row():
        return next((r for r in admin.fetch("/api/connections") if r.get("peer_port") == port), None)
    port = connection._impl._transport._sock.getsockname()[1]
    found = wait_for("the connection", row)
    path = "/api/connections/" + quote(found["name"], safe="")
    assert admin.delete(path, headers={"X-Reason": "tests are over"}).status == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        while True:
            connection.process_data_events(1)
    assert closed.value.reply_code == 320
    assert "tests are over" in closed.value.reply_text
    wait_for("its end", lambda: admin.get(path).status == 404)


def test_connections_of_a_user_can_be_closed(target, admin, world):
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", target.amqp_port, "w/1", pika.PlainCredentials("manager", PASSWORD)))
    wait_for("the connection", lambda: admin.fetch("/api/connections/username/manager"))
    assert admin.delete("/api/connections/username/manager").status == 204
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        while True:
            connection.process_data_events(1)
    assert closed.value.reply_code == 320
    wait_for("its end", lambda: admin.get("/api/connections/username/manager").json == [])


def test_node_operations_stop_the_broker(target):
    if not target.is_leveret:
        pytest.skip("RabbitMQ has no such route")
    broker = brokers.make("leveret").start()
    try:
        client = Client(broker.http_port)
        assert client.post("/api/x/node/stop").status in (202, 204)
        client.close()
        assert broker.process.wait(10) == 0
    finally:
        broker.stop()


def test_one_active_consumer(target, admin):
    """Of the consumers of a queue that serves one only that one is active; then the next."""
    def active():
        return sorted((c["consumer_tag"], c["active"], c["activity_status"])
                      for c in admin.fetch("/api/consumers/%2F") if c["queue"]["name"] == "served")
    parameters = pika.URLParameters(target.url)
    with pika.BlockingConnection(parameters) as one, pika.BlockingConnection(parameters) as other:
        one.channel().queue_declare("served", auto_delete=True, arguments={"x-single-active-consumer": True})
        first, second = one.channel(), other.channel()
        first.basic_consume("served", lambda *_: None, consumer_tag="a")
        second.basic_consume("served", lambda *_: None, consumer_tag="b")
        wait_for("a waiting consumer", lambda: active() == [("a", True, "single_active"), ("b", False, "waiting")])
        first.basic_cancel("a")
        wait_for("another active consumer", lambda: active() == [("b", True, "single_active")])

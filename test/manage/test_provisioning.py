"""Tools that declare what should be: Terraform, the Kubernetes operators, hutch. Their sequences of requests."""

import json
from urllib.parse import quote, unquote, urljoin

import pytest

from client import Client
from world import V, World


@pytest.fixture
def vhost(admin, name):
    path = f"/api/vhosts/{name}"
    admin.ok("PUT", path, {})
    yield name
    admin.delete(path)


@pytest.fixture(scope="module")
def hole(target):
    """As rabbit-hole, which Terraform and the operators are made with: one request a connection, JSON both ways."""
    class Hole(Client):
        def request(self, method, path, body=None, headers=None):
            answer = super().request(method, path, body, {"content-type": "application/json", "connection": "close",
                                                          **(headers or {})})
            self.close()
            return answer
    return Hole(target.http_port)


def test_terraform_begins_with_the_overview(hole):
    overview = hole.fetch("/api/overview")
    assert isinstance(overview["rabbitmq_version"], str) and overview["cluster_name"]


def test_terraform_vhost(hole, name):
    path = f"/api/vhosts/{name}"
    assert hole.put(path, {"description": "one", "default_queue_type": "classic", "tracing": False}).status == 201
    assert hole.put(path, {"description": "two", "default_queue_type": "classic", "tracing": False}).status == 204
    read = hole.fetch(path)
    assert (read["name"], read["description"], read["tracing"]) == (name, "two", False)
    assert name in {row["name"] for row in hole.fetch("/api/vhosts")}
    assert hole.delete(path).status == 204
    assert hole.get(path).status == 404


def test_terraform_user(hole, vhost, name):
    path = f"/api/users/{name}"
    body = {"name": name, "password": "secret", "tags": "administrator,management"}
    assert hole.put(path, body).status == 201
    assert hole.put(path, body).status == 204
    assert hole.fetch(path)["tags"] == ["administrator", "management"]
    assert name in {row["name"] for row in hole.fetch("/api/users/")}
    rights = f"/api/permissions/{vhost}/{name}"
    assert hole.put(rights, {"configure": ".*", "write": "", "read": "^a"}).status == 201
    assert hole.put(rights, {"configure": ".*", "write": "", "read": "^b"}).status == 204
    assert hole.fetch(rights) == {"user": name, "vhost": vhost, "configure": ".*", "write": "", "read": "^b"}
    topics = f"/api/topic-permissions/{vhost}/{name}"
    assert hole.put(topics, {"exchange": "amq.topic", "write": "^w", "read": "^r"}).status == 201
    assert hole.fetch(topics) == [{"user": name, "vhost": vhost, "exchange": "amq.topic", "write": "^w", "read": "^r"}]
    assert hole.delete(topics).status == 204
    assert hole.delete(rights).status == 204
    assert hole.get(rights).status == 404
    assert hole.delete(path).status == 204
    assert hole.delete(path).status == 404          # rabbit-hole takes that for success


ARGUMENTS = {"x-max-length": 10, "x-expires": 86400000, "x-overflow": "reject-publish", "x-single-active-consumer": True,
             "x-big": 9007199254740993, "x-negative": -5, "x-half": 0.5, "x-list": [1, "two", False], "x-object": {"a": {"b": 1}}}


def test_terraform_queue(hole, vhost):
    path = f"/api/queues/{vhost}/{quote('a queue/of it', safe='')}"
    body = {"durable": True, "auto_delete": False, "arguments": ARGUMENTS}
    assert hole.put(path, body).status == 201
    assert hole.put(path, body).status == 204
    read = hole.fetch(path)
    assert (read["durable"], read["auto_delete"]) == (True, False)
    assert {k: v for k, v in read["arguments"].items() if k != "x-queue-type"} == ARGUMENTS
    assert json.dumps(read["arguments"]["x-big"]) == "9007199254740993"
    refused = hole.put(path, {**body, "arguments": {**ARGUMENTS, "x-max-length": 11}})
    assert refused.status == 400
    assert "inequivalent arg 'x-max-length' for queue 'a queue/of it'" in refused.json["reason"]
    assert hole.delete(path).status == 204
    assert hole.get(path).status == 404


def test_terraform_exchange(hole, vhost):
    path = f"/api/exchanges/{vhost}/x"
    body = {"type": "headers", "durable": True, "auto_delete": False, "arguments": {"alternate-exchange": "amq.fanout"}}
    assert hole.put(path, body).status == 201
    assert hole.put(path, body).status == 204
    read = hole.fetch(path)
    assert {key: read[key] for key in body} == body
    assert "x" in {row["name"] for row in hole.fetch(f"/api/exchanges/{vhost}")}
    assert hole.delete(path).status == 204
    assert hole.get(path).status == 404


@pytest.mark.parametrize("key,arguments", (("k", {}), ("", {}), ("a.b.#", {}), ("a b/c~d%e+f", {}), ("k", {"x-match": "all", "n": 1}),
                                           ("", {"x-match": "any", "t": {"u": [1, 2]}}), ("ключ", {})))
@pytest.mark.parametrize("kind", ("queue", "exchange"))
def test_terraform_binding(hole, vhost, kind, key, arguments):
    """Location is relative; its last part names the binding in listings and in paths."""
    hole.put(f"/api/exchanges/{vhost}/src", {"type": "headers"})
    hole.put(f"/api/{kind}s/{vhost}/dst", {"type": "fanout"} if kind == "exchange" else {})
    path = f"/api/bindings/{vhost}/e/src/{kind[0]}/dst"
    made = hole.post(path, {"routing_key": key, "arguments": arguments})
    assert made.status == 201, made
    location = made.headers["location"]
    assert not location.startswith(("/", "http"))
    assert urljoin(path, location).rpartition("/")[0] == path
    name = unquote(location.split("/")[-1])
    again = hole.post(path, {"routing_key": key, "arguments": arguments})
    assert (again.status, again.headers["location"]) == (201, location)
    rows = [row for row in hole.fetch(f"/api/bindings/{vhost}") if row["source"] == "src"]
    assert rows == [{"source": "src", "vhost": vhost, "destination": "dst", "destination_type": kind, "routing_key": key,
                     "arguments": arguments, "properties_key": name}]
    one = f"{path}/{quote(name, safe='')}"
    assert hole.fetch(one) == rows[0]
    assert hole.fetch(path) == rows                   # the operator asks for those between the two
    assert hole.delete(one).status == 204
    assert hole.fetch(path) == []
    assert hole.delete(one).status == 404


@pytest.mark.parametrize("kind", ("policies", "operator-policies"))
def test_terraform_policy(hole, vhost, kind):
    path = f"/api/{kind}/{vhost}/p"
    definition = {"max-length": 5, "message-ttl": 1000}
    body = {"pattern": "^q", "priority": 2, "apply-to": "queues", "definition": definition}
    assert hole.put(path, body).status == 201
    assert hole.fetch(path) == {"vhost": vhost, "name": "p", **body}
    assert hole.put(path, {**body, "priority": 3}).status == 204
    assert hole.fetch(path)["priority"] == 3
    assert "p" in {row["name"] for row in hole.fetch(f"/api/{kind}/{vhost}")}
    assert hole.delete(path).status == 204
    assert hole.delete(path).status == 404


def test_operator_limits(hole, vhost, name):
    hole.put(f"/api/users/{name}", {"password": "x", "tags": ""})
    assert hole.put(f"/api/vhost-limits/{vhost}/max-queues", {"value": 5}).status == 204
    assert hole.put(f"/api/vhost-limits/{vhost}/max-connections", {"value": 6}).status == 204
    assert hole.fetch(f"/api/vhost-limits/{vhost}") == [
        {"vhost": vhost, "value": {"max-queues": 5, "max-connections": 6}}]
    assert hole.delete(f"/api/vhost-limits/{vhost}/max-queues").status == 204
    assert hole.put(f"/api/user-limits/{name}/max-channels", {"value": 7}).status == 204
    assert hole.fetch(f"/api/user-limits/{name}") == [{"user": name, "value": {"max-channels": 7}}]
    assert hole.delete(f"/api/user-limits/{name}/max-channels").status == 204
    assert hole.fetch(f"/api/user-limits/{name}") == []
    hole.delete(f"/api/users/{name}")


def test_operator_shows_the_reason_of_an_error(hole, vhost):
    answers = [hole.put(f"/api/queues/{vhost}/q", {"arguments": {"x-message-ttl": "soon"}}),
               hole.put(f"/api/exchanges/{vhost}/x", {"type": "nosuch"}),
               hole.put(f"/api/policies/{vhost}/p", {"pattern": "(", "definition": {"max-length": 1}}),
               hole.post(f"/api/bindings/{vhost}/e/nosuch/q/nosuch", {})]
    for answer in answers:
        assert answer.status in (400, 404)
        assert set(answer.json) == {"error", "reason"}
        assert isinstance(answer.json["error"], str) and len(answer.json["reason"]) > 5


def test_hutch_reads_exchanges_and_bindings_at_its_start(admin, world):
    exchanges = admin.fetch("/api/exchanges")
    assert (World.exchange, "topic") in {(row["name"], row["type"]) for row in exchanges}
    bindings = [row for row in admin.fetch("/api/bindings") if row["destination"] == World.queue and row["vhost"] == "w/1"]
    assert {"", "orders"} == {row["source"] for row in bindings}
    assert {"incoming", "eu.*", "us.#"} == {row["routing_key"] for row in bindings}


def test_ruby_client_moves_definitions(admin, vhost):
    admin.put(f"/api/queues/{vhost}/kept", {"durable": True})
    definitions = admin.fetch("/api/definitions")
    assert admin.post("/api/definitions", definitions).status in (201, 204)
    admin.delete(f"/api/queues/{vhost}/kept")
    admin.post("/api/definitions", definitions)
    assert admin.get(f"/api/queues/{vhost}/kept").status == 200


def test_definitions_as_a_file_of_a_form(target, admin, vhost):
    """What a browser sends from the import page."""
    content = json.dumps({"queues": [{"name": "of-a-form", "vhost": vhost, "durable": True, "auto_delete": False, "arguments": {}}]})
    body = ("--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n"
            f"Content-Type: application/json\r\n\r\n{content}\r\n--edge--\r\n")
    answer = admin.request("POST", "/api/definitions", body, {"content-type": "multipart/form-data; boundary=edge"})
    assert answer.status in (200, 201, 204), answer
    assert admin.get(f"/api/queues/{vhost}/of-a-form").status == 200
    download = admin.get("/api/definitions?download=broker.json")
    assert "broker.json" in download.headers["content-disposition"]


def test_header_x_vhost(admin, world):
    """The header X-Vhost narrows lists, as the user interface asks."""
    rows = admin.get("/api/queues", headers={"X-Vhost": "/"}).json
    assert World.queue not in {row["name"] for row in rows}
    assert World.queue in {row["name"] for row in admin.get(f"/api/queues/{V}").json}

"""Definitions by HTTP: out, and in as JSON or as a form."""

import http.client
import json
import threading

import pytest

import brokers
from client import Client

QUEUE = {"durable": True, "auto_delete": False, "arguments": {}}


@pytest.fixture
def vhost(admin, name):
    admin.ok("PUT", f"/api/vhosts/{name}")
    yield name
    admin.delete(f"/api/vhosts/{name}")


def queue(name, **more):
    return {"name": name, **QUEUE, **more}


def names_of(admin, vhost):
    return [row["name"] for row in admin.fetch(f"/api/queues/{vhost}?columns=name")]


def form(file, *fields):
    """A multipart/form-data body, as browsers make it."""
    parts = [f'--b0undary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    parts.append('--b0undary\r\nContent-Disposition: form-data; name="file"; filename="d.json"\r\n'
                 f"Content-Type: application/json\r\n\r\n{file}\r\n--b0undary--\r\n")
    return "".join(parts), {"content-type": "multipart/form-data; boundary=b0undary"}


def test_what_goes_out_comes_in(admin, vhost):
    admin.put(f"/api/queues/{vhost}/q", {"durable": True, "arguments": {"x-max-length": 5}})
    admin.put(f"/api/exchanges/{vhost}/x", {"type": "topic", "durable": True})
    admin.post(f"/api/bindings/{vhost}/e/x/q/q", {"routing_key": "a.#", "arguments": {"k": 1}})
    admin.put(f"/api/policies/{vhost}/p", {"pattern": "^q", "definition": {"max-length": 3}, "apply-to": "queues"})
    out = admin.fetch(f"/api/definitions/{vhost}")
    assert "vhost" not in out["queues"][0]
    other = vhost + "-2"
    admin.ok("PUT", f"/api/vhosts/{other}")
    try:
        assert admin.post(f"/api/definitions/{other}", out).status == 204
        again = admin.fetch(f"/api/definitions/{other}")
        for key in ("queues", "exchanges", "bindings", "policies"):
            assert again[key] == out[key], key
    finally:
        admin.delete(f"/api/vhosts/{other}")


def test_an_unchanged_export_is_not_sent_again(target, admin, vhost):
    if not target.is_leveret:
        pytest.skip("new in RabbitMQ 4.3")
    tag = admin.get("/api/definitions").headers["etag"]
    for header in (tag, f'W/"x", {tag}', "*"):
        answer = admin.get("/api/definitions", headers={"If-None-Match": header})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
    admin.put(f"/api/queues/{vhost}/q", {"durable": True})
    answer = admin.get("/api/definitions", headers={"If-None-Match": tag})
    assert answer.status == 200
    assert answer.headers["etag"] != tag


def test_a_browser_saves_it_under_a_name(admin):
    assert admin.get("/api/definitions").headers.get("content-disposition") is None
    header = admin.get("/api/definitions?download=my.json").headers["content-disposition"]
    assert header.replace('"', "") == "attachment; filename=my.json"


def test_columns_choose_what_is_in_it(admin, vhost):
    assert set(admin.fetch(f"/api/definitions/{vhost}?columns=queues,policies")) == {"queues", "policies"}


def test_a_form_brings_a_file(target, admin, vhost):
    body, headers = form(json.dumps({"queues": [queue("f", vhost=vhost)]}))
    assert admin.request("POST", "/api/definitions", body, headers).status == 204
    assert names_of(admin, vhost) == ["f"]
    if not target.is_leveret:
        return
    body, headers = form("{}", ("redirect", "../#/import-succeeded"))
    answer = admin.request("POST", "/api/definitions", body, headers)
    assert (answer.status, answer.headers["location"]) == (303, "../#/import-succeeded")
    for elsewhere in ("https://example.com/", "//example.com", "javascript:alert(1)"):
        body, headers = form("{}", ("redirect", elsewhere))
        assert admin.request("POST", "/api/definitions", body, headers).status == 204
    for wrong in ("", "--b0undary", "--other\r\n", body[:-20]):
        assert admin.request("POST", "/api/definitions", wrong or "x", headers).status == 400


def test_nothing_is_changed_by_what_cannot_be(target, admin, vhost):
    if not target.is_leveret:
        pytest.skip("RabbitMQ imports what comes before")
    for wrong in (queue("b", vhost="nosuch"), queue("b", vhost=vhost, arguments={"x-expires": 0}), {"name": "b"}):
        answer = admin.post("/api/definitions", {"queues": [queue("a", vhost=vhost), wrong]})
        assert answer.status == 400
        assert "queues[1] 'b'" in answer.json["reason"]
        assert names_of(admin, vhost) == []


def test_a_dry_run_tells_and_changes_nothing(target, admin, vhost):
    if not target.is_leveret:
        pytest.skip("RabbitMQ has none")
    admin.put(f"/api/queues/{vhost}/here", {"durable": True})
    file = {"queues": [queue("here", vhost=vhost), queue("there", vhost=vhost)],
            "vhosts": [{"name": vhost, "description": "changed"}],
            "exchanges": [{"name": "amq.direct", "vhost": vhost, "type": "direct", **QUEUE}]}
    report = admin.ok("POST", "/api/definitions?dry_run=true", file).json
    assert {item["list"]: item["outcome"] for item in report["items"]} == {
        "vhosts": "changed", "queues": "new", "exchanges": "ignored"}
    assert [report[key] for key in ("total", "new", "changed", "same", "ignored")] == [4, 1, 1, 1, 1]
    assert names_of(admin, vhost) == ["here"]
    assert admin.fetch(f"/api/vhosts/{vhost}")["description"] == ""


def test_a_large_import_lets_others_pass(target, admin, vhost):
    if not target.is_leveret:
        pytest.skip("RabbitMQ takes minutes")
    file = json.dumps({"queues": [queue(f"q{i}", vhost=vhost) for i in range(30000)]})
    answers, seen = [], []

    def post():
        client = Client(target.http_port)
        answers.append(client.request("POST", "/api/definitions", file, {"content-type": "application/json"}).status)
        client.close()
    thread = threading.Thread(target=post)
    thread.start()
    while thread.is_alive():
        seen += admin.fetch("/api/x/imports")
    thread.join()
    assert answers == [204]
    assert seen and all(row["user"] == "guest" and row["done"] <= row["total"] or row["state"] == "reading" for row in seen)
    assert admin.fetch("/api/x/imports") == []
    assert admin.fetch(f"/api/queues/{vhost}?page=1&page_size=1")["total_count"] == 30000


def test_a_client_that_leaves_harms_nobody(target, admin, vhost):
    """What it began is done all the same."""
    if not target.is_leveret:
        pytest.skip("Leveret's own care")
    file = json.dumps({"queues": [queue(f"q{i}", vhost=vhost) for i in range(20000)]}).encode()
    headers = {"content-type": "application/json", "authorization": admin.authorization}
    for method, body in (("POST", file), ("GET", None)):
        connection = http.client.HTTPConnection("127.0.0.1", target.http_port)
        connection.request(method, "/api/definitions", body, headers)
        if body:
            # A fast one is over before it was seen.
            brokers.wait_for("the import", lambda: admin.fetch("/api/x/imports") or admin.fetch(f"/api/queues/{vhost}"))
        connection.close()
    brokers.wait_for("its end", lambda: admin.fetch("/api/x/imports") == [])
    assert admin.fetch(f"/api/queues/{vhost}?page=1&page_size=1")["total_count"] == 20000

"""Who may what: operations that a broker forgot to ask about. The whole matrix of routes and roles is test/manage/test_contract.py."""

from urllib.parse import quote

import pika
import pytest

from client import Client

PASSWORD = "secret-1"


@pytest.fixture
def person(broker, admin, name):
    """A user with a virtual host, who may do nothing in it until somebody says so."""
    class Person:
        user = vhost = name

        def may(self, configure="", write="", read=""):
            admin.ok("PUT", f"/api/permissions/{name}/{name}", {"configure": configure, "write": write, "read": read})

        def channel(self):
            connection = pika.BlockingConnection(pika.ConnectionParameters(
                "127.0.0.1", broker.amqp_port, name, pika.PlainCredentials(name, PASSWORD)))
            return connection.channel()

        def http(self):
            return Client(broker.http_port, name, PASSWORD)
    admin.ok("PUT", f"/api/vhosts/{name}", {})
    admin.ok("PUT", f"/api/users/{name}", {"password": PASSWORD, "tags": "management"})
    someone = Person()
    someone.may()
    yield someone
    admin.delete(f"/api/users/{name}")
    admin.delete(f"/api/vhosts/{name}")


def refused(call, code=403):
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        call()
    assert closed.value.reply_code == code


def test_passive_declare_tells_nothing(person, admin):
    """57221: a passive declare said whether a queue is there, and how much is in it."""
    admin.put(f"/api/queues/{person.vhost}/secret", {})
    admin.put(f"/api/exchanges/{person.vhost}/secret", {"type": "direct"})
    refused(lambda: person.channel().queue_declare("secret", passive=True))
    refused(lambda: person.channel().exchange_declare("secret", passive=True))
    person.may(read="^secret$")
    person.channel().queue_declare("secret", passive=True)


def test_http_delete_asks_for_permission(person, admin):
    """2024-51988: deleting a queue over HTTP asked for none."""
    admin.put(f"/api/queues/{person.vhost}/kept", {"durable": True})
    admin.put(f"/api/exchanges/{person.vhost}/kept", {"type": "direct"})
    admin.post(f"/api/bindings/{person.vhost}/e/kept/q/kept", {"routing_key": "k"})
    client = person.http()
    has_peek = admin.request("OPTIONS", "/api/x/queues/%2F/q/peek").status == 200
    base = f"/api/queues/{person.vhost}/kept"
    for method, path, body in (
            ("DELETE", base, None), ("DELETE", f"{base}/contents", None), ("DELETE", f"/api/exchanges/{person.vhost}/kept", None),
            ("PUT", f"/api/queues/{person.vhost}/new", {}), ("PUT", f"/api/exchanges/{person.vhost}/new", {"type": "direct"}),
            ("POST", f"{base}/get", {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}),
            *([("POST", f"/api/x/queues/{person.vhost}/kept/peek", {"count": 1})] * has_peek),
            ("POST", f"/api/exchanges/{person.vhost}/kept/publish",
             {"properties": {}, "routing_key": "k", "payload": "x", "payload_encoding": "string"}),
            ("POST", f"/api/bindings/{person.vhost}/e/kept/q/kept", {"routing_key": "other"}),
            ("DELETE", f"/api/bindings/{person.vhost}/e/kept/q/kept/k", None)):
        answer = client.request(method, path, body)
        assert answer.status in (400, 401, 403), (method, path, answer)
        assert "access" in answer.text.lower() or "authoris" in answer.text.lower(), answer
    assert admin.get(base).status == 200
    assert len(admin.fetch(f"{base}/bindings")) == 2


def test_alternate_and_dead_letter_exchanges_are_asked_about(person):
    """67241: an exchange that a user may not write to, reached through one that he may configure."""
    person.may(configure="^mine", read="^mine", write="^mine")
    refused(lambda: person.channel().exchange_declare("mine", "fanout", arguments={"alternate-exchange": "amq.fanout"}))
    refused(lambda: person.channel().queue_declare("mine", arguments={"x-dead-letter-exchange": "amq.fanout"}))
    person.channel().exchange_declare("mine", "fanout", arguments={"alternate-exchange": "mine-too"})


def test_a_virtual_host_of_others(broker, admin, person):
    """67412: across virtual hosts. What is said about one tells nothing of another."""
    admin.put(f"/api/queues/%2F/{person.vhost}-elsewhere", {})
    client = person.http()
    for path in ("/api/queues/%2F", f"/api/queues/%2F/{person.vhost}-elsewhere", "/api/exchanges/%2F", "/api/bindings/%2F"):
        assert client.get(path).status in (401, 404), path
    for path in ("/api/queues", "/api/exchanges", "/api/bindings", "/api/connections", "/api/channels", "/api/consumers", "/api/vhosts"):
        for row in client.fetch(path):
            assert row.get("vhost", row["name"]) == person.vhost, path
    admin.delete(f"/api/queues/%2F/{person.vhost}-elsewhere")


def test_nobody_gives_himself_more(person, admin, broker):
    """Management tags do not reach users, permissions, definitions, parameters or the node."""
    for tags in ("management", "policymaker", "monitoring"):
        admin.ok("PUT", f"/api/users/{person.user}", {"password": PASSWORD, "tags": tags})
        client = person.http()
        for method, path, body in (
                ("PUT", f"/api/users/{person.user}", {"password": PASSWORD, "tags": "administrator"}),
                ("PUT", f"/api/permissions/{person.vhost}/{person.user}", {"configure": ".*", "write": ".*", "read": ".*"}),
                ("POST", "/api/definitions", {"users": []}), ("PUT", "/api/cluster-name", {"name": "mine"}),
                ("POST", "/api/users/bulk-delete", {"users": ["guest"]}), ("DELETE", "/api/users/guest", None),
                ("DELETE", "/api/reset", None), ("PUT", "/api/vhosts/new-one", {}), ("POST", "/api/x/node/stop", {})):
            assert client.request(method, path, body).status == 401, (tags, method, path)
    assert admin.fetch(f"/api/users/{person.user}")["tags"] == ["monitoring"]


def test_rights_that_are_taken_away_end(person, admin):
    """57218, Mosquitto 2021-34434: a consumer outlived what allowed it."""
    person.may(configure=".*", write=".*", read=".*")
    channel = person.channel()
    channel.queue_declare("watched")
    ended = []
    channel.add_on_cancel_callback(ended.append)
    channel.basic_consume("watched", lambda *_: None)
    person.may()
    while not ended:
        channel.connection.process_data_events(1)
    refused(lambda: channel.basic_get("watched"))


def test_deleted_users_and_old_passwords_are_out(person, admin):
    person.may(configure=".*", write=".*", read=".*")
    channel = person.channel()
    admin.ok("PUT", f"/api/users/{person.user}", {"password": "another", "tags": "management"})
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        while True:
            channel.connection.process_data_events(1)
    assert person.http().get("/api/whoami").status == 401


@pytest.mark.parametrize("user", (".*", "a|b", "[a-z]+", "x}{y", "{username}", "{vhost}"))
def test_a_name_is_not_a_pattern(broker, admin, name, user):
    """44838, 67407: a name with a meaning in patterns, put into a topic permission unescaped."""
    vhost = f"/api/vhosts/{name}"
    admin.ok("PUT", vhost, {})
    admin.ok("PUT", f"/api/users/{quote(user, safe='')}", {"password": PASSWORD, "tags": ""})
    admin.ok("PUT", f"/api/permissions/{name}/{quote(user, safe='')}", {"configure": ".*", "write": ".*", "read": ".*"})
    admin.ok("PUT", f"/api/topic-permissions/{name}/{quote(user, safe='')}", {
        "exchange": "amq.topic", "write": "^{username}-own$", "read": ".*"})
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", broker.amqp_port, name, pika.PlainCredentials(user, PASSWORD)))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("amq.topic", f"{user}-own", b"")
    refused(lambda: channel.basic_publish("amq.topic", "somebody-own", b""))
    connection.close()
    admin.delete(f"/api/users/{quote(user, safe='')}")
    admin.delete(vhost)


def test_an_empty_pattern_matches_nothing(person):
    """Mosquitto 2018-12550: an empty list of rights was taken for all of them."""
    refused(lambda: person.channel().queue_declare("any"))
    channel = person.channel()
    channel.confirm_delivery()
    refused(lambda: channel.basic_publish("amq.direct", "k", b""))


def test_a_user_without_a_password_hash_cannot_log_in(broker, admin, name):
    admin.ok("PUT", f"/api/users/{name}", {"password_hash": "", "tags": "administrator"})
    for password in ("", "x"):
        assert Client(broker.http_port, name, password).get("/api/whoami").status == 401
    admin.delete(f"/api/users/{name}")

"""rabbitmqadmin v2 decodes strictly: one missing or wrong field fails the whole command. These are the fields.

The real one runs in test_rust_rabbitmqadmin.py.
"""

import openapi
import pytest
from world import V, World

# path -> fields that must be there, with their types (letters of scripts/gen/openapi.py)
NEEDED = {
    "/api/nodes": "name:s uptime:i run_queue:i processors:i os_pid:s fd_total:i proc_total:i mem_limit:i mem_alarm:b "
                  "disk_free_limit:i disk_free_alarm:b rates_mode:s enabled_plugins:a being_drained:b@4.0",
    "/api/overview#listeners": "node:s protocol:s port:i ip_address:s",
    "/api/channels": "number:i name:s connection_details:o vhost:s state:s consumer_count:i confirm:b prefetch_count:i "
                     "messages_unacknowledged:i messages_unconfirmed:i",
    "/api/channels#connection_details": "name:s peer_host:s peer_port:i",
    "/api/connections": "name:s node:s protocol:s user:s connected_at:i client_properties:o",
    "/api/consumers": "consumer_tag:s active:b ack_required:b prefetch_count:i exclusive:b arguments:o consumer_timeout:x@4.2 queue:o "
                      "channel_details:o",
    "/api/consumers#queue": "name:s vhost:s",
    "/api/consumers#channel_details": "number:i name:s connection_name:s node:s peer_host:s peer_port:i user:s",
    "/api/queues": "name:s vhost:s type:s durable:b auto_delete:b exclusive:b arguments:o",
    f"/api/queues/{V}/{World.queue}": "name:s vhost:s type:s durable:b auto_delete:b exclusive:b arguments:o",
    "/api/queues?page=1#items": "name:s vhost:s type:s durable:b auto_delete:b exclusive:b arguments:o",
    "/api/queues?page=1": "total_count:i item_count:i filtered_count:i page:i page_size:i page_count:i items:a",
    "/api/exchanges": "name:s vhost:s type:s durable:b auto_delete:b arguments:o",
    "/api/bindings": "vhost:s source:s destination:s destination_type:s routing_key:s arguments:o",
    "/api/policies": "name:s vhost:s pattern:s apply-to:s priority:i definition:o",
    "/api/operator-policies": "name:s vhost:s pattern:s apply-to:s priority:i definition:o",
    "/api/users": "name:s tags:a password_hash:s",
    "/api/permissions": "user:s vhost:s configure:s read:s write:s",
    "/api/vhosts": "name:s",
    "/api/feature-flags": "name:s state:s desc:s doc_url:s stability:s provided_by:s",
    "/api/definitions": "users:a vhosts:a permissions:a parameters:a policies:a queues:a exchanges:a bindings:a "
                        "rabbitmq_version:s",
    "/api/overview#churn_rates": "connection_created:i connection_closed:i channel_created:i channel_closed:i queue_declared:i "
                                 "queue_created:i queue_deleted:i",
    "/api/whoami": "name:s tags:a",
}
TYPES = {"s": str, "i": int, "b": bool, "o": dict, "a": list, "x": object}


def rows_of(value, part):
    """The objects that a line of the table speaks of."""
    for name in filter(None, part.split("/")):
        value = [row[name] for row in value] if isinstance(value, list) else value[name]
    rows = value if isinstance(value, list) else [value]
    assert rows, "nothing to look at"
    return rows


@pytest.mark.parametrize("where", sorted(NEEDED))
def test_fields(target, admin, world, where):
    path, _, part = where.partition("#")
    wrong = []
    for row in rows_of(admin.fetch(path), part):
        for field in NEEDED[where].split():
            name, letter = field.split(":")
            letter, _, since = letter.partition("@")
            if since and not target.is_leveret:
                continue
            value = row.get(name)
            if name not in row or not isinstance(value, TYPES[letter]) or (letter == "i" and isinstance(value, bool)):
                wrong.append(f"{name} of {row.get('name')}: {value!r}")
    assert not wrong, wrong


def test_os_pid_is_a_string_of_digits(target, admin):
    for node in admin.fetch("/api/nodes"):
        assert node["os_pid"] == str(target.pid)


def test_memory_has_every_part(admin, document):
    node = admin.fetch("/api/overview")["node"]
    memory = admin.fetch(f"/api/nodes/{node}/memory")["memory"]
    assert document.mismatch(memory, "Memory", "memory") is None
    assert memory["total"]["rss"] > 0
    assert sum(value for name, value in memory.items() if isinstance(value, int)) > 0


def test_message_that_was_got(admin, world, name):
    admin.put(f"/api/queues/{V}/{name}", {"auto_delete": True})
    admin.post(f"/api/exchanges/{V}/amq.default/publish", {
        "properties": {"headers": {"a": 1}}, "routing_key": name, "payload": "text", "payload_encoding": "string"})
    message = admin.post(f"/api/queues/{V}/{name}/get", {
        "count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}).json[0]
    assert message == {"payload_bytes": 4, "redelivered": False, "exchange": "", "routing_key": name, "message_count": 0,
                       "properties": {"headers": {"a": 1}}, "payload": "text", "payload_encoding": "string"}
    admin.delete(f"/api/queues/{V}/{name}")     # nobody ever consumed from it: it would stay for the others


def test_the_description_asks_for_the_same():
    """Whoever changes docs/openapi.json learns what rabbitmqadmin needs."""
    document = openapi.Document()
    schemas = document.document["components"]["schemas"]
    for where, schema in {"/api/nodes": "Node", "/api/connections": "Connection", "/api/consumers": "Consumer",
                          "/api/queues": "Queue", "/api/channels": "Channel", "/api/policies": "Policy"}.items():
        needed = {field.split(":")[0] for field in NEEDED[where].split()}
        assert needed <= set(schemas[schema]["required"]), where

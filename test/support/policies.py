"""Policies of the virtual host /, set and taken away through a broker's HTTP API."""

import base64
import http.client
import json
from urllib.parse import quote

HEADERS = {"Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(), "Content-Type": "application/json"}


def set_policy(port, queue, definition, name=None, priority=0, apply_to="queues", is_operator=False):
    """A policy for the queue of this name; without a definition it is taken away. Returns the HTTP status."""
    kind = "operator-policies" if is_operator else "policies"
    body = {"pattern": f"^{queue}$", "definition": definition, "priority": priority, "apply-to": apply_to}
    return _request(port, "PUT" if definition else "DELETE", f"/api/{kind}/%2F/{quote(name or queue)}", body)


def answers_http(port):
    try:
        return _request(port, "GET", "/api/overview") == 200
    except OSError:
        return False


def _request(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body), HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()

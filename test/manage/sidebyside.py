"""Lists of requests, what a broker answers to them, and how two answers are compared.

A file of requests/ is a list of scenarios. Every scenario has a virtual host of its own, {v} in paths and bodies, and
{node} is the name of the node.

    = a title
    PUT /api/queues/{v}/q {"durable": true}     a body follows the path as it is; behind " with " stand headers
    as manager GET /api/whoami                  a user of world.py, or `none`: no Authorization header
    GET= /api/whoami                            the whole answer is compared, not only its shape
        await "messages"                        the request is repeated until the answer holds this
        4.x> 404 {"error": "not_found"}         what Leveret answers instead; `*` for the body: anything
        differs: id                             and why: an entry of docs/compat/management.md

An error without a body in RabbitMQ may have one in Leveret.

An answer is [status, headers, body]. The body of a success is a shape: objects and lists with the names of types in place of
values, unless it was asked for with `=`. Of an error `error` counts, with `=` also `reason`, unless that is Erlang's.
"""

import glob
import json
import os
import re
import shlex
from urllib.parse import quote, urljoin

from brokers import wait_for
from client import Client
from world import PASSWORD

HEADERS = ("allow", "content-type", "location", "www-authenticate", "cache-control")
ERLANG = re.compile(r"[a-z_]+|.*(<<|&lt;&lt;|key_missing|{\"|undefined|no_such).*", re.S)
# Objects whose keys are names that users or clients chose, or that are RabbitMQ's own business.
FREE = {"arguments", "client_properties", "cluster_state", "definition", "value", "effective_policy_definition", "limits",
        "headers", "metrics_gc_queue_length", "socket_opts", "ssl_opts", "properties", "capabilities", "cowboy_opts",
        "garbage_collection", "backing_queue_status", "permissions"}
METHOD = re.compile(r"(?:as (\S+) )?([A-Z]+)(=?) (\S+)(?: (.*))?")


class Step:
    def __init__(self, line, where):
        match = METHOD.fullmatch(line)
        assert match, f"{where}: {line!r}"
        self.line = line
        self.user, self.method, exact, self.path, rest = match.groups()
        self.is_exact = bool(exact)
        self.body, _, headers = (rest or "").partition("with ") if " with " in f" {rest}" else (rest or "", "", "")
        self.body = self.body.strip() or None
        self.headers = dict(part.split(": ", 1) for part in shlex.split(headers)) if headers else {}
        self.wanted = self.instead = self.differs = None

    def detail(self, line, where):
        if line.startswith("await "):
            self.wanted = line[6:]
        elif line.startswith("4.x> "):
            status, _, body = line[5:].partition(" ")
            self.instead = [int(status), body]
        elif line.startswith("differs: "):
            self.differs = line[9:]
        else:
            raise ValueError(f"{where}: {line!r}")


class Scenario:
    def __init__(self, file, title):
        self.id = f"{file}/{title}"
        self.vhost = "v-" + re.sub(r"\W+", "-", title)
        self.steps = []


def load(folder):
    scenarios = []
    for path in sorted(glob.glob(os.path.join(folder, "*.txt"))):
        file = os.path.basename(path)[:-4]
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text, where = line.strip(), f"{file}:{number}"
                if not text or text.startswith("#"):
                    continue
                if text.startswith("= "):
                    scenarios.append(Scenario(file, text[2:]))
                elif line.startswith(" "):
                    scenarios[-1].steps[-1].detail(text, where)
                else:
                    scenarios[-1].steps.append(Step(text, where))
    return scenarios


# ---- playing ----

class Player:
    """Plays scenarios against one broker."""

    def __init__(self, broker):
        self.broker, self.admin = broker, Client(broker.http_port)
        self.node = self.admin.fetch("/api/overview")["node"]
        self.clients = {None: self.admin, "none": Client(broker.http_port, user=None)}

    def play(self, scenario):
        vhost = quote(scenario.vhost)
        self.admin.ok("PUT", f"/api/vhosts/{vhost}", {})
        try:
            return [[step.line, self._answer(step, scenario.vhost)] for step in scenario.steps]
        finally:
            self.admin.delete(f"/api/vhosts/{vhost}")

    def _client(self, user):
        if user not in self.clients:
            self.clients[user] = Client(self.broker.http_port, user, PASSWORD)
        return self.clients[user]

    def _answer(self, step, vhost):
        path = (step.path.replace("{v}", quote(vhost)).replace("{node}", self.node)
                .replace("{amqp}", str(self.broker.amqp_port)))
        body = step.body and step.body.replace("{v}", vhost).replace("{node}", self.node)
        headers = dict(step.headers)
        if body and not any(name.lower() == "content-type" for name in headers):
            headers["content-type"] = "application/json"
        client = self._client(step.user)

        def ask():
            answer = client.request(step.method, path, body, headers)
            return answer if step.wanted is None or step.wanted in answer.text else None
        answer = wait_for(f"{step.wanted} in the answer to {step.line}", ask)
        return self._written(answer, step, vhost)

    def _written(self, answer, step, vhost):
        headers = {name: self._plain(answer.headers[name], vhost) for name in HEADERS if name in answer.headers}
        if "allow" in headers:
            headers["allow"] = ", ".join(sorted(re.split(", *", headers["allow"])))
        if "location" in headers:           # relative to whichever part of the path
            headers["location"] = urljoin(step.path, headers["location"])
        try:
            body = self._plain(answer.json, vhost) if answer.body else ""
        except ValueError:
            body = "text" if answer.status < 300 else self._plain(answer.text, vhost)
        is_error = isinstance(body, dict) and "error" in body
        if not step.is_exact and not is_error and isinstance(body, (dict, list)):
            body = shape(body)
        return [answer.status, headers, body]

    def _field(self, key, part, vhost):
        if key == "properties" and part == []:
            return {}                       # Erlang's empty object is a list
        if key == "properties_key":         # any hash of the arguments will do
            part = re.sub(r"~[\w-]{5,10}$", "~{hash}", part)
        return self._plain(part, vhost)

    def _plain(self, value, vhost):
        """Without what differs from run to run."""
        if isinstance(value, dict):
            return {self._plain(key, vhost): self._field(key, part, vhost) for key, part in value.items()}
        if isinstance(value, list):
            return [self._plain(part, vhost) for part in value]
        if value == self.broker.amqp_port and value is not True:
            return "{amqp}"
        return value.replace(self.node, "{node}").replace(vhost, "{v}") if isinstance(value, str) else value


def shape(value):
    if isinstance(value, dict):
        return {key: shape(part) for key, part in sorted(value.items())}
    if isinstance(value, list):
        merged = None
        for part in value:
            merged = merge(merged, shape(part))
        return [] if merged is None else [merged]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else "string"


def merge(one, other):
    if one is None or one == other:
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merge(one.get(key), other[key]) if key in other else one[key]
                for key in sorted({**one, **other})}
    if isinstance(one, (dict, list)) and kind(one) != kind(other):
        return one if isinstance(one, dict) else other      # Erlang's empty object is a list
    if isinstance(one, list) and isinstance(other, list):
        return [merge(*one, *other)] if one and other else one or other
    if isinstance(one, str) and isinstance(other, str):
        return "|".join(sorted({*one.split("|"), *other.split("|")}))
    return f"{kind(one)}|{kind(other)}"


def kind(part):
    return part if isinstance(part, str) else "object" if isinstance(part, dict) else "array"


# ---- comparing ----

def compare(step, expected, got, ignored):
    """What is different, as lines. `expected` comes from RabbitMQ; `ignored`: fields that Leveret does not have."""
    status, headers, body = expected
    ignored = {name.rpartition(" ")[2] for name in ignored if step.path.startswith(name.rpartition(" ")[0])}
    if step.instead:
        status, text = step.instead
        if got[0] != status:
            return [f"status {got[0]}, not {status}: {got[2]}"]
        if text == "*":
            return []
        body = json.loads(text) if text else ""
        return _differ(body, got[2], step.is_exact)
    if got[0] != status:
        return [f"status {got[0]}, not {status}: {got[2]}"]
    lines = [f"header {name}: {got[1].get(name)}, not {headers[name]}" for name in headers
             if got[1].get(name) != headers[name]]
    if status >= 300 or step.is_exact:
        return lines + _differ(body, got[2], step.is_exact)
    return lines + _shapes("", body, got[2], ignored)


def _differ(expected, got, is_exact):
    if expected == "" and isinstance(got, dict) and set(got) == {"error", "reason"}:
        return []                           # an error that RabbitMQ has no words for
    if isinstance(expected, dict) and isinstance(got, dict) and _error(expected, is_exact) != expected:
        got = {**got, "reason": None}       # the reason of one is not compared: nor is the other's
        expected = {**expected, "reason": None}
    return [] if expected == got else [f"{got}, not {expected}"]


def _error(body, is_exact):
    if not isinstance(body, dict) or "error" not in body:
        return body
    is_loose = not is_exact or not isinstance(body["reason"], str) or ERLANG.fullmatch(body["reason"])
    return {**body, "reason": None} if is_loose else body


def _shapes(where, expected, got, ignored):
    if isinstance(expected, dict) and isinstance(got, dict):
        lines = []
        for key, part in expected.items():
            if key in ignored:
                continue
            if key in got and key in FREE:
                lines += [] if kind(got[key]) == kind(part) else [f"{where}/{key} is {kind(got[key])}"]
            elif key not in got:
                lines.append(f"{where}/{key} is missing ({kind(part)})")
            else:
                lines += _shapes(f"{where}/{key}", part, got[key], ignored)
        return lines
    if isinstance(expected, list) and isinstance(got, list):
        return _shapes(f"{where}/*", expected[0], got[0], ignored) if expected and got else []
    if isinstance(expected, str) and isinstance(got, str):
        return [] if set(got.split("|")) <= set(expected.split("|")) or "bytes" in expected else [
            f"{where} is {got}, not {expected}"]
    return [f"{where} is {kind(got)}, not {kind(expected)}"]

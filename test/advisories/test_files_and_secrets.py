"""Paths, files, logs and passwords."""

import os
import resource
import signal
import stat
import subprocess
import threading
from urllib.parse import quote

import pika
import pytest

import brokers
from client import Client

PATHS = ("../../outside", "..", "/etc/passwd", "a/../../b", "C:\\x", ".hidden", "%2e%2e%2fx", "\u2024\u2024/x", "con", "-rf", "$(touch x)")


@pytest.fixture
def own():
    broker = brokers.make("leveret")
    broker.start()
    yield broker
    if broker.process is not None:
        broker.stop()


def tree(folder):
    return {os.path.relpath(os.path.join(root, name), folder) for root, folders, files in os.walk(folder) for name in folders + files}


def test_names_never_become_paths(own):
    """67224: a name with dots and slashes wrote where it liked."""
    admin = Client(own.http_port)
    before = tree(own.dir)
    for path in PATHS:
        name = quote(path, safe="")
        admin.put(f"/api/vhosts/{name}")
        admin.put(f"/api/users/{name}", {"password": "x", "tags": ""})
        admin.put(f"/api/permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        admin.put(f"/api/queues/{name}/{name}", {"durable": True})
        admin.put(f"/api/exchanges/{name}/{name}", {"type": "direct", "durable": True})
        admin.post(f"/api/exchanges/{name}/amq.default/publish", {
            "properties": {"delivery_mode": 2}, "routing_key": path, "payload": "x", "payload_encoding": "string"})
    for name in tree(own.dir) - before:
        assert not any(word in name for word in ("outside", "passwd", "hidden", "..", "touch", "C:")), name
    own.restart()
    admin = Client(own.http_port)
    for path in PATHS:
        assert admin.get(f"/api/queues/{quote(path, safe='')}/{quote(path, safe='')}").status == 200, path


def test_nobody_else_reads_the_data(own):
    """Mosquitto 2017-9868: the data file was readable for all."""
    data = os.path.join(own.dir, "data")
    assert stat.S_IMODE(os.stat(data).st_mode) == 0o700
    for root, folders, files in os.walk(data):
        for name in folders + files:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                assert os.lstat(path).st_mode & 0o077 == 0, path


CANARY = "canary-7f3a9c"


def test_no_password_in_logs_or_files(own):
    """50200, 67406: Basic headers, URIs and crash reports in the log. What is kept of a password is its hash."""
    admin = Client(own.http_port)
    admin.put(f"/api/users/u-{CANARY[-4:]}", {"password": f"{CANARY}-set", "tags": "administrator"})
    admin.post("/api/definitions", {"users": [{"name": "d", "password": f"{CANARY}-defined", "tags": ""}]})
    for user, password in ((f"u-{CANARY[-4:]}", f"{CANARY}-set"), ("guest", f"{CANARY}-wrong"), (f"{CANARY}-user", "x")):
        client = Client(own.http_port, user, password)
        client.get("/api/whoami")
        client.request("PUT", "/api/vhosts/%2F", f"{{{CANARY}-broken", {"content-type": "application/json"})
    Client(own.http_port, user=None).request("POST", "/api/login", f"username=guest&password={CANARY}-form",
                                             {"content-type": "application/x-www-form-urlencoded"})
    Client(own.http_port, user=None).get("/api/whoami", headers={"authorization": f"Bearer {CANARY}-token"})
    with pytest.raises(pika.exceptions.AMQPError):
        pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", own.amqp_port, "/", pika.PlainCredentials("guest", f"{CANARY}-amqp"), connection_attempts=1))
    found = []
    for root, _, files in os.walk(own.dir):
        for file in files:
            path = os.path.join(root, file)
            if os.path.isfile(path):
                with open(path, "rb") as content:
                    data = content.read()
                found += [f"{word} in {path}" for word in ("set", "defined", "wrong", "form", "token", "amqp", "broken")
                          if f"{CANARY}-{word}".encode() in data]
    assert not found


def test_what_was_deleted_stays_deleted(own):
    """LavinMQ: deleted queues came back after a restart."""
    admin = Client(own.http_port)
    for number in range(20):
        admin.ok("PUT", f"/api/queues/%2F/gone-{number}", {"durable": True})
        admin.ok("PUT", f"/api/exchanges/%2F/gone-{number}", {"type": "direct", "durable": True})
        admin.ok("POST", f"/api/bindings/%2F/e/gone-{number}/q/gone-{number}", {"routing_key": "k"})
    admin.ok("PUT", "/api/users/gone", {"password": "x", "tags": "administrator"})
    admin.ok("PUT", "/api/policies/%2F/gone", {"pattern": "x", "definition": {"max-length": 1}})
    for number in range(20):
        admin.ok("DELETE", f"/api/queues/%2F/gone-{number}")
        admin.ok("DELETE", f"/api/exchanges/%2F/gone-{number}")
    admin.ok("DELETE", "/api/users/gone")
    admin.ok("DELETE", "/api/policies/%2F/gone")
    own.restart(kill=True)
    admin = Client(own.http_port)
    assert not [row for row in admin.fetch("/api/queues") if row["name"].startswith("gone")]
    assert not [row for row in admin.fetch("/api/exchanges") if row["name"].startswith("gone")]
    assert admin.get("/api/users/gone").status == 404
    assert admin.get("/api/policies/%2F/gone").status == 404
    assert Client(own.http_port, "gone", "x").get("/api/whoami").status == 401


def test_configuration_that_cannot_be_read(tmp_path):
    """Mosquitto 2018-12551: a broken file of passwords let everybody in. Here the broker does not start."""
    for text in ("listeners.tcp.1 = nonsense\n", "loopback_users.guest = perhaps\n", "\0\0\0\0", "default_user\n"):
        path = tmp_path / "broken.conf"
        path.write_text(text)
        done = subprocess.run([brokers.leveretd_path(), "--config", str(path), "--data-dir", str(tmp_path / "data"), "--amqp-listen",
                               "127.0.0.1:0", "--http-listen", "127.0.0.1:0"], capture_output=True, timeout=20, check=False)
        assert done.returncode == 78, (text, done)


def test_reload_without_descriptors(own):
    """Mosquitto 2017-7652: a reload that could open no file went back to defaults."""
    admin = Client(own.http_port)
    admin.ok("PUT", "/api/users/kept", {"password": "x", "tags": "administrator"})
    admin.close()
    soft, hard = resource.prlimit(own.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(own.pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{own.pid}/fd")), hard))
    os.kill(own.pid, signal.SIGHUP)
    brokers.wait_for("the reload", lambda: own.is_running())
    threading.Event().wait(0.5)
    resource.prlimit(own.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert own.is_running(), own.log_tail()
    brokers.wait_for("answers", lambda: brokers.answers_http(own.http_port))
    assert Client(own.http_port, "kept", "x").get("/api/whoami").status == 200
    assert Client(own.http_port, "kept", "wrong").get("/api/whoami").status == 401

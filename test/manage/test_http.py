"""What the HTTP server itself promises, whatever is asked: connections, bodies, lists, logins, clients that leave."""

import gzip
import json
import os
import re
import socket
import threading
from urllib.parse import quote

import pika
import pytest

import brokers
from brokers import wait_for
from client import Client, basic

LEVERET_ONLY = "RabbitMQ does it in its own way"


@pytest.fixture(autouse=True)
def leveret_only(target):
    if not target.is_leveret:
        pytest.skip(LEVERET_ONLY)


class Raw:
    """A socket on which bytes are sent as they are."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")

    @classmethod
    def as_operator(cls, broker):
        """Through the socket of the data directory."""
        one = cls.__new__(cls)
        one.socket = socket.socket(socket.AF_UNIX)
        one.socket.connect(os.path.join(broker.dir, "data", "leveret.sock"))
        one.file = one.socket.makefile("rb")
        return one

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def answer(self):
        """(status, headers, body) of the next answer."""
        line = self.file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        headers = {}
        while (header := self.file.readline().strip()):
            name, value = header.decode().split(": ", 1)
            headers[name] = value
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while (size := int(self.file.readline(), 16)):
                body += self.file.read(size)
                assert self.file.readline() == b"\r\n"
            assert self.file.readline() == b"\r\n"
        else:
            body = self.file.read(int(headers.get("content-length", 0)))
        return int(line.split()[1]), headers, body

    def is_closed(self):
        return self.file.read(1) == b""

    def close(self):
        self.file.close()
        self.socket.close()


@pytest.fixture
def raw(target):
    made = []

    def make():
        made.append(Raw(target.http_port))
        return made[-1]
    yield make
    for one in made:
        one.close()


GUEST = f"authorization: {basic('guest', 'guest')}\r\n"


def get(path, *headers):
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{GUEST}" + "".join(h + "\r\n" for h in headers) + "\r\n"


# ---- connections ----

def test_requests_sent_ahead_are_answered_in_order(raw):
    one = raw().send(get("/api/whoami") + get("/api/version") + get("/api/nothing") + get("/api/vhosts?columns=name"))
    assert one.answer()[2].startswith(b'{"name":"guest"')
    assert json.loads(one.answer()[2]) == "4.2.0"
    assert one.answer()[0] == 404
    assert {"name": "/"} in json.loads(one.answer()[2])


def test_a_request_may_come_byte_by_byte(raw):
    one = raw()
    for byte in get("/api/whoami").encode():
        one.send(bytes([byte]))
    assert one.answer()[0] == 200


def test_a_connection_ends_when_it_is_asked_to(raw):
    for headers, version in (("connection: close\r\n", "1.1"), ("", "1.0")):
        one = raw().send(f"GET /api/version HTTP/{version}\r\nhost: x\r\n{headers}\r\n")
        assert one.answer()[0] == 200
        assert one.is_closed()


@pytest.mark.parametrize("text,status", [
    ("nonsense\r\n\r\n", 400), ("GET / HTTP/3.0\r\n\r\n", 505), ("GET /%zz HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nx: " + "y" * 20000, 431), ("GET / HTTP/1.1\r\n" + "a: b\r\n" * 100 + "\r\n", 431),
    ("POST /api/login HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 501),
    ("POST /api/login HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
    ("POST /api/login HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n", 400),
])
def test_what_is_malformed_is_refused(raw, target, text, status):
    one = raw().send(text)
    assert one.answer()[0] == status
    Client(target.http_port).get("/api/whoami")


def test_a_method_that_nobody_knows(raw):
    assert raw().send(f"BREW /api/whoami HTTP/1.1\r\n{GUEST}\r\n").answer()[0] == 405


# ---- bodies ----

def test_a_body_may_come_in_chunks(raw, admin):
    body = json.dumps({"durable": True}).encode()
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\n\r\n"
    one = raw().send(f"PUT /api/queues/%2F/chunked HTTP/1.1\r\n{GUEST}transfer-encoding: chunked\r\n\r\n".encode() + chunks)
    assert one.answer()[0] == 201
    assert admin.fetch("/api/queues/%2F/chunked")["durable"] is True
    admin.delete("/api/queues/%2F/chunked")


def test_who_asks_before_sending_is_told_to_go_on(raw, admin):
    one = raw().send(f"PUT /api/queues/%2F/expected HTTP/1.1\r\n{GUEST}expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert one.file.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert one.file.readline() == b"\r\n"
    assert one.send("{}").answer()[0] == 201
    admin.delete("/api/queues/%2F/expected")


def test_a_body_that_is_too_large_is_refused(raw):
    one = raw().send(f"PUT /api/queues/%2F/q HTTP/1.1\r\n{GUEST}content-length: 10000001\r\n\r\n")
    status, _, body = one.answer()
    assert (status, json.loads(body)["reason"]) == (400, "Exceeded HTTP request body size limit")


def test_nobody_sends_a_body_without_a_login(raw):
    """The answer comes before the body is there."""
    one = raw().send("PUT /api/queues/%2F/q HTTP/1.1\r\ncontent-length: 9000000\r\n\r\n")
    assert one.answer()[0] == 401


@pytest.mark.parametrize("body", ["", "null", "undefined", "{}", ' {"unknown": [1, {"a": null}]} '])
def test_what_counts_as_nothing(admin, body):
    assert admin.request("PUT", "/api/queues/%2F/nothing", body).status in (201, 204)
    admin.delete("/api/queues/%2F/nothing")


@pytest.mark.parametrize("body", ["{", "[]", "7", '"text"', '{"durable": "maybe"}', '{"arguments": 1}', b"\xff\xfe",
                                  '"{\\"durable\\": true}"'])
def test_what_cannot_be_a_body(admin, body):
    answer = admin.request("PUT", "/api/queues/%2F/nothing", body)
    assert (answer.status, answer.json["error"]) == (400, "bad_request")


# ---- names ----

@pytest.mark.parametrize("name", ["a/b", "..", "a b+c%d", "ключ", "q?x=1#y", "-", "~", "a" * 255])
def test_any_name_has_a_path(admin, name):
    path = "/api/queues/%2F/" + quote(name, safe="")
    assert admin.put(path).status == 201
    assert admin.fetch(path)["name"] == name
    assert name in [queue["name"] for queue in admin.fetch("/api/queues/%2F")]
    assert admin.delete(path).status == 204


def test_names_that_are_no_utf8_are_refused(admin):
    """As by AMQP: nobody could name them there."""
    assert admin.put("/api/exchanges/%2F/" + "%ff%c3%bc", {"type": "fanout"}).status == 400
    assert "ÿÃ¼" not in [row["name"] for row in admin.fetch("/api/exchanges/%2F")]


# ---- lists ----

@pytest.fixture(scope="module")
def many(target, admin):
    """Queues with messages: list-000 has none, list-001 one ..."""
    admin.put("/api/vhosts/lists")
    for number in range(30):
        admin.put(f"/api/queues/lists/list-{number:03}", {"durable": number % 2 == 0})
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", target.amqp_port, "lists"))
    channel = connection.channel()
    channel.confirm_delivery()
    for number in range(30):
        for _ in range(number % 5):
            channel.basic_publish("", f"list-{number:03}", b"x")
    connection.close()
    yield "/api/queues/lists"
    admin.delete("/api/vhosts/lists")


def names(rows):
    return [row["name"] for row in rows]


def test_lists_are_sorted(admin, many):
    every = [f"list-{number:03}" for number in range(30)]
    assert names(admin.fetch(many)) == every
    assert names(admin.fetch(many + "?sort_reverse=true")) == every[::-1]
    by_messages = admin.fetch(many + "?sort=messages&columns=name,messages")
    assert [(row["messages"], row["name"]) for row in by_messages] == \
        sorted((int(name[-3:]) % 5, name) for name in every)
    assert names(admin.fetch(many + "?sort=message_stats.publish&sort_reverse=true")) == names(by_messages)[::-1]
    assert names(admin.fetch(many + "?sort=nothing.at.all")) == every


def test_pages(admin, many):
    every = [f"list-{number:03}" for number in range(30)]
    for size in (1, 7, 30, 500):
        got, page, count = [], 1, 1
        while page <= count:
            answer = admin.fetch(f"{many}?page={page}&page_size={size}")
            assert (answer["total_count"], answer["filtered_count"], answer["page"]) == (30, 30, page)
            assert answer["item_count"] == len(answer["items"])
            got, page, count = got + names(answer["items"]), page + 1, answer["page_count"]
        assert got == every
    page = admin.fetch(many + "?page=2&page_size=4&sort=messages&sort_reverse=true&name=LIST-01")
    assert (page["filtered_count"], page["page_count"]) == (10, 3)
    assert [row["messages"] for row in page["items"]] == [2, 2, 1, 1]
    assert names(admin.fetch(many + "?page=1&use_regex=true&name=^LIST-0.(1|2)$")["items"]) == \
        [f"list-0{ten}{one}" for ten in range(3) for one in (1, 2)]


@pytest.mark.parametrize("query,error", [
    ("page=0", "invalid_pagination_parameters"), ("page=x", "bad_request"),
    ("page=1&page_size=501", "invalid_pagination_parameters"), ("page=1&page_size=0", "invalid_pagination_parameters"),
    ("page=3", "page_out_of_range"), ("page=1&use_regex=true&name=(", "bad_request"),
    ("msg_rates_age=1000&msg_rates_incr=1", "invalid_range_parameters"),
])
def test_pages_that_cannot_be(admin, many, query, error):
    answer = admin.get(f"{many}?{query}")
    assert (answer.status, answer.json["error"]) == (400, error)


def test_columns(admin, many):
    row = admin.fetch(many + "?columns=name,message_stats.publish_details.rate,arguments,nothing&page=1&page_size=2")["items"][1]
    assert set(row) == {"name", "arguments", "message_stats"}
    assert set(row["message_stats"]) == {"publish_details"}
    assert set(row["message_stats"]["publish_details"]) == {"rate"}


# ---- logins ----

def test_wrong_passwords_do_not_slow_others(target):
    wrong = Client(target.http_port, "guest", "wrong")
    for _ in range(30):
        assert wrong.get("/api/whoami").status == 401
    right = Client(target.http_port)
    assert right.get("/api/whoami").status == 200
    wrong.close()
    right.close()


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Basic Z3Vlc3Q=", "Bearer abc", "basic Z3Vlc3Q6Z3Vlc3Q=x", ""])
def test_logins_that_are_none(target, header):
    nobody = Client(target.http_port, user=None)
    answer = nobody.get("/api/whoami", headers={"authorization": header})
    assert (answer.status, answer.json["error"]) == (401, "not_authorized")
    nobody.close()


def test_a_changed_password_counts_at_once(target, admin):
    admin.put("/api/users/changing", {"password": "one", "tags": "management"})
    client = Client(target.http_port, "changing", "one")
    assert client.get("/api/whoami").status == 200
    admin.put("/api/users/changing", {"password": "two", "tags": "management"})
    assert client.get("/api/whoami").status == 401
    admin.delete("/api/users/changing")
    client.close()


def test_the_socket_of_the_data_directory_asks_no_login(target):
    path = os.path.join(target.dir, "data", "leveret.sock")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        one.sendall(b"GET /api/whoami HTTP/1.0\r\n\r\n")
        answer = one.makefile("rb").read()
    assert b'"tags":["administrator"]' in answer


# ---- clients that leave ----

def test_clients_that_leave_in_the_middle(target, admin, many):
    """Whatever was asked: the broker lives, and answers others."""
    requests = [get("/api/queues"), get("/api/bindings"), get("/api/connections"), get("/api/x/live"),
                get("/api/queues?sort=messages"),
                f"POST /api/queues/lists/list-004/get HTTP/1.1\r\n{GUEST}content-length: 70\r\n\r\n"
                '{"count":100,"ackmode":"ack_requeue_true","encoding":"auto"}          ',
                f"PUT /api/users/leaving HTTP/1.1\r\n{GUEST}content-length: 30\r\n\r\n" + '{"password":"p","tags":"x"}   ']
    for request in requests:
        for cut in (10, 60, len(request)):
            one = Raw(target.http_port).send(request[:cut])
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
    assert admin.get("/api/overview").status == 200
    admin.delete("/api/users/leaving")


def test_who_does_not_read_holds_nobody_up(target, admin, many):
    one = Raw(target.http_port)
    for _ in range(200):
        one.socket.settimeout(0.05)
        try:
            one.send(get("/api/queues/lists?sort=name"))
        except (TimeoutError, OSError):
            break
    assert admin.get("/api/queues/lists?page=1").status == 200
    one.close()


def test_a_virtual_host_ends_under_connections_with_exclusive_queues(target, admin):
    for _ in range(5):
        admin.put("/api/vhosts/ending")
        connections = []
        for _ in range(4):
            connections.append(pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", target.amqp_port, "ending")))
            for _ in range(3):
                connections[-1].channel().queue_declare("", exclusive=True)
        assert admin.delete("/api/vhosts/ending").status == 204
        for connection in connections:
            with pytest.raises(pika.exceptions.AMQPConnectionError):
                while True:
                    connection.process_data_events(1)
    assert admin.get("/api/overview").status == 200


def test_it_stops_with_clients_of_all_kinds(tmp_path):
    broker = brokers.make("leveret").start()
    idle, asking, live = (Raw(broker.http_port) for _ in range(3))
    asking.send("PUT /api/queues/%2F/q HTTP/1.1\r\n" + GUEST + "content-length: 100\r\n\r\n{")
    live.send(get("/api/x/live?topics=overview"))
    threads = [threading.Thread(target=lambda: Client(broker.http_port).get("/api/queues")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broker.stop() in (None, 0)
    for one in (idle, asking, live):
        one.close()


# ---- forms of answers ----

def test_answers_are_compressed_for_who_wants_it(target, raw, many):
    plain = raw().send(get(many)).answer()
    packed = raw().send(get(many, "accept-encoding: deflate, gzip;q=0.8")).answer()
    assert packed[1]["content-encoding"] == "gzip"
    assert len(packed[2]) < len(plain[2]) / 2
    assert names(json.loads(gzip.decompress(packed[2]))) == names(json.loads(plain[2]))
    assert "content-encoding" not in raw().send(get(many, "accept-encoding: gzip;q=0")).answer()[1]
    assert "content-encoding" not in raw().send(get("/api/whoami", "accept-encoding: gzip")).answer()[1], "too short"


def test_headers_of_every_answer(raw):
    _, headers, _ = raw().send(get("/api/overview")).answer()
    assert headers["cache-control"] == "no-cache"
    assert headers["vary"] == "accept, accept-encoding, origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "script-src 'self'; object-src 'self'"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])


@pytest.mark.parametrize("path,to", [("/", "/api/index.html"), ("/api", "/api/index.html"), ("/api/", "/api/index.html"),
                                     ("/cli", "/cli/index.html"), ("/mgmt", "/")])
def test_redirections(raw, path, to):
    status, headers, _ = raw().send(get(path)).answer()
    assert (status, headers["location"]) in ((301, to), (301, "/api/index.html"))


def test_pages_for_people(raw):
    page = raw().send(get("/api/index.html")).answer()[2]
    assert b"<td>GET<td><code>/api/queues/:vhost/:name</code><td>user</tr>" in page
    assert b"<td>PUT<td><code>/api/operator-policies/:vhost/:name</code><td>administrator</tr>" in page
    assert b"rabbitmqadmin" in raw().send(get("/cli/rabbitmqadmin")).answer()[2]
    assert json.loads(raw().send(get("/api/openapi.json")).answer()[2])["openapi"].startswith("3.")


# ---- settings ----

def test_settings_of_the_server(tmp_path):
    broker = brokers.make("leveret", "--management.path_prefix", "/broker", "--management.http.hide_allow_header", "true",
                          "--management.cors.allow_origins.1", "http://here", "--management.tcp.max_keepalive", "2",
                          "--management.http.max_body_size", "1000", "--management.headers.x-test", "yes",
                          "--node-name", "rabbit@tests").start()
    try:
        one = Raw(broker.http_port).send(get("/broker/api/overview", "origin: http://here"))
        status, headers, body = one.answer()
        assert status == 200 and json.loads(body)["node"] == "rabbit@tests"
        assert headers["access-control-allow-origin"] == "http://here"
        assert headers["x-test"] == "yes"
        assert "connection" not in headers
        assert one.send(get("/api/whoami", "origin: http://there")).answer()[1]["connection"] == "close", "the second"
        one = Raw(broker.http_port).send(f"PATCH /api/whoami HTTP/1.1\r\n{GUEST}\r\n")
        status, headers, _ = one.answer()
        assert status == 405 and "allow" not in headers
        one = Raw(broker.http_port).send(f"PUT /api/queues/%2F/q HTTP/1.1\r\n{GUEST}content-length: 1001\r\n\r\n")
        assert one.answer()[0] == 400
    finally:
        broker.stop()


@pytest.mark.parametrize("prefix", ["/broker", "/broker/"])
def test_a_prefix_ends_where_a_word_ends(prefix):
    with brokers.make("leveret", "--management.path_prefix", prefix) as broker:
        def status(path):
            return Raw(broker.http_port).send(get(path)).answer()[0]

        assert status("/broker/api/whoami") == status("/broker/api/whoami?a=b") == 200
        for path in ("/broker", "/broker/", "/broker/api"):
            code, headers, _ = Raw(broker.http_port).send(get(path)).answer()
            assert (code, headers["location"]) == (301, "/broker/api/index.html")
        assert status("/brokers/api/whoami") == 404


@pytest.mark.parametrize("path, base", [("/somewhere/else", "/somewhere/else"), ("/", "")])
def test_the_path_of_the_metrics(path, base):
    with brokers.make("leveret", "--prometheus.path", path) as broker:
        def scrape(path):
            return Raw(broker.metrics_port).send(get(path)).answer()

        for there in (path, f"{base}/", f"{base}/per-object", f"{base}/detailed?family=queue_coarse_metrics"):
            status, _, body = scrape(there)
            assert status == 200 and b"rabbitmq_identity_info" in body, there
        assert scrape("/metrics")[0] == 404
        assert scrape("/api/whoami")[0] == 404
        assert scrape(f"{base}/else")[0] == 404
        assert Raw(broker.http_port).send(get("/metrics")).answer()[0] == 200


def body_of(method, path, body):
    return f"{method} {path} HTTP/1.1\r\n{GUEST}content-length: {len(body)}\r\n\r\n{body}"


def test_headers_have_words_of_their_own():
    with brokers.make("leveret", "--management.headers.frame_options", "DENY", "--management.headers.xss_protection", "1",
                      "--management.headers.x-test", "yes") as broker:
        head = Raw(broker.http_port).send(get("/api/version")).socket.recv(65536).decode().split("\r\n\r\n")[0].lower()
    lines = head.split("\r\n")
    for line in ("x-frame-options: deny", "x-xss-protection: 1", "x-test: yes", "x-content-type-options: nosniff"):
        assert lines.count(line) == 1, lines
    assert head.count("frame-options") == 1 and "frame_options" not in head


def test_operator_policies_can_be_fixed():
    policy = body_of("PUT", "/api/operator-policies/%2F/p", '{"pattern":"a","definition":{"max-length":5}}')
    with brokers.make("leveret", "--management.restrictions.operator_policy_changes.disabled", "true") as broker:
        status, headers, _ = Raw(broker.http_port).send(policy).answer()
        assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        overview = json.loads(Raw(broker.http_port).send(get("/api/overview")).answer()[2])
        assert overview["is_op_policy_updating_enabled"] is False
        assert Raw.as_operator(broker).send(policy.replace(GUEST, "host: x\r\n")).answer()[0] == 201
        assert Raw(broker.http_port).send(get("/api/operator-policies/%2F/p")).answer()[0] == 200
    with brokers.make("leveret") as broker:
        assert Raw(broker.http_port).send(policy).answer()[0] == 201


def test_passwords_can_be_switched_off():
    with brokers.make("leveret", "--management.disable_basic_auth", "true") as broker:
        for request in (get("/api/whoami"), body_of("POST", "/api/login", "username=guest&password=guest")):
            status, _, body = Raw(broker.http_port).send(request).answer()
            assert status == 401
            assert json.loads(body) == {"error": "not_authorized", "reason": "HTTP access denied: basic auth disabled"}
        assert Raw.as_operator(broker).send("GET /api/whoami HTTP/1.1\r\nhost: x\r\n\r\n").answer()[0] == 200


def test_the_access_log(tmp_path):
    folder = tmp_path / "http"
    with brokers.make("leveret", "--management.http_log_dir", str(folder)) as broker:
        agent = 'user-agent: a "quoted" one\r\nreferer: http://here/\r\n'
        raw = Raw(broker.http_port)
        length = len(raw.send(f"GET /api/whoami?secret=1 HTTP/1.1\r\n{GUEST}{agent}\r\n").answer()[2])
        assert raw.send(get("/api/auth/hash_password/topsecret")).answer()[0] == 200
        assert raw.send("GET /api/nothing HTTP/1.1\r\nhost: x\r\n\r\n").answer()[0] == 404
        lines = [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
        assert re.fullmatch(rf'127\.0\.0\.1 - guest \[\d\d/\w{{3}}/\d{{4}}:\d\d:\d\d:\d\d \+0000\] "GET /api/whoami HTTP/1\.1" '
                            rf'200 {length} "http://here/" "a \\x22quoted\\x22 one"', lines[0])
        assert '"GET /api/auth/hash_password/:password HTTP/1.1" 200' in lines[1]
        assert re.search(r' - - \[.*"GET /api/nothing HTTP/1\.1" 404 \d+ "-" "-"$', lines[2])
        assert re.fullmatch(r"access\.log\.\d{4}_\d\d_\d\d_\d\d", next(folder.iterdir()).name)
        assert len(lines) == 3 and "secret" not in "".join(lines)


def test_slow_clients_are_let_go():
    broker = brokers.make("leveret", "--management.tcp.request_timeout", "300", "--management.tcp.idle_timeout", "300").start()
    try:
        silent, slow, idle = (Raw(broker.http_port) for _ in range(3))
        slow.send("GET /api/version HT")
        assert idle.send(get("/api/version")).answer()[0] == 200
        for one in (silent, slow, idle):
            assert one.is_closed()
    finally:
        broker.stop()


def test_https(tmp_path):
    ssl = pytest.importorskip("ssl")
    certificates = pytest.importorskip("ops.certificates") if False else None
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    import subprocess
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True)
    port = brokers.free_ports(1)[0]
    broker = brokers.make("leveret", "--management.ssl.port", str(port), "--management.ssl.ip", "127.0.0.1",
                          "--management.ssl.certfile", str(cert), "--management.ssl.keyfile", str(key)).start()
    try:
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 10)) as one:
            one.sendall(get("/api/overview", "connection: close").encode())
            answer = b"".join(iter(lambda: one.recv(65536), b""))
        head, body = answer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert ("https", port) in [(row["protocol"], row["port"]) for row in json.loads(body)["listeners"]]
        assert Client(broker.http_port).get("/api/health/checks/certificate-expiration/1/weeks").status == 503
        assert Client(broker.http_port).get("/api/health/checks/certificate-expiration/1/days").status == 200
    finally:
        broker.stop()
    assert certificates is None


# ---- live ----

def test_live(target, admin, many):
    one = Raw(target.http_port)
    one.send(get("/api/x/live?topics=overview,queues&vhost=lists&name=list-00&page_size=5&columns=name,messages"))
    assert one.file.readline() == b"HTTP/1.1 200 OK\r\n"
    headers = b"".join(iter(one.file.readline, b"\r\n"))
    assert b"content-type: text/event-stream" in headers

    def event():
        lines = []
        while True:
            size = int(one.file.readline(), 16)
            text = one.file.read(size).decode()
            one.file.readline()
            lines.append(text)
            if text.endswith("\n\n"):
                break
        return {part.split("\n")[0].removeprefix("event: "): json.loads(part.split("\ndata: ")[1])
                for part in "".join(lines).strip().split("\n\n") if part.startswith("event: ")}
    first = event()
    assert "object_totals" in first["overview"]
    assert names(first["queues"]["rows"]) == [f"list-00{number}" for number in range(5)]
    admin.delete("/api/queues/lists/list-004/contents")
    changed = wait_for("the change", lambda: event().get("queues"))
    assert changed["rows"] == [{"name": "list-004", "messages": 0}]
    one.close()


def test_live_topics_that_are_not_there(admin):
    assert admin.get("/api/x/live?topics=nonsense").status == 400


# ---- operations ----

def test_route_says_what_publishing_does(admin):
    admin.put("/api/vhosts/routes")
    for exchange, kind, arguments in (("t", "topic", {"alternate-exchange": "f"}), ("f", "fanout", {}), ("h", "headers", {}),
                                      ("d", "direct", {})):
        admin.put(f"/api/exchanges/routes/{exchange}", {"type": kind, "arguments": arguments})
    for queue in ("a", "b", "c"):
        admin.put(f"/api/queues/routes/{queue}")
    admin.post("/api/bindings/routes/e/t/q/a", {"routing_key": "x.*"})
    admin.post("/api/bindings/routes/e/t/e/d", {"routing_key": "#.y"})
    admin.post("/api/bindings/routes/e/d/q/b", {"routing_key": "x.y"})
    admin.post("/api/bindings/routes/e/f/q/c")
    admin.post("/api/bindings/routes/e/h/q/b", {"arguments": {"x-match": "any", "n": 1}})
    for exchange, key, headers in (("t", "x.y", {}), ("t", "x.z", {}), ("t", "q", {}), ("t", "z.y", {}), ("h", "", {"n": 1}),
                                   ("h", "", {"n": 2}), ("f", "", {}), ("d", "x.y", {}), ("amq.default", "a", {}),
                                   ("amq.default", "none", {}), ("", "b", {})):
        told = admin.post("/api/x/route/routes", {"exchange": exchange, "routing_key": key, "headers": headers}).json
        admin.post(f"/api/exchanges/routes/{exchange or 'amq.default'}/publish",
                   {"routing_key": key, "payload": "x", "payload_encoding": "string", "properties": {"headers": headers}})
        got = [q for q in "abc" if admin.fetch(f"/api/queues/routes/{q}")["messages"]]
        assert sorted(told["queues"]) == got, (exchange, key, headers)
        assert told["routed"] == bool(got)
        for queue in "abc":
            admin.delete(f"/api/queues/routes/{queue}/contents")
    assert admin.post("/api/x/route/routes", {"exchange": "nothing"}).status == 404
    admin.delete("/api/vhosts/routes")


def test_topology(admin, world):
    graph = admin.fetch("/api/x/topology/w%2F1")
    kinds = {node["id"]: node["kind"] for node in graph["nodes"]}
    assert kinds["queue:incoming"] == "queue" and kinds["exchange:orders"] == "exchange"
    edges = {(edge["from"], edge["to"], edge["kind"]) for edge in graph["edges"]}
    assert ("exchange:orders", "queue:incoming", "binding") in edges
    assert ("exchange:orders", "exchange:copies", "binding") in edges
    assert any(kind == "consumer" and begin == "queue:incoming" for begin, _, kind in edges)
    assert all(begin in kinds and end in kinds for begin, end, _ in edges)


def test_settings_at_run_time(admin):
    assert admin.put("/api/x/node/log-level", {"level": "debug", "category": "connection"}).status == 204
    assert admin.put("/api/x/node/log-level", {"level": "loud"}).status == 400
    assert admin.put("/api/x/node/log-level", {"level": "info", "category": "nothing"}).status == 400
    assert admin.put("/api/x/node/memory-high-watermark", {"absolute": "1GB"}).status == 204
    wait_for("the limit", lambda: admin.fetch("/api/nodes")[0]["mem_limit"] == 1000000000)
    assert admin.put("/api/x/node/memory-high-watermark", {"fraction": 0.6}).status == 204
    assert admin.put("/api/x/node/memory-high-watermark", {}).status == 400
    assert admin.put("/api/x/node/disk-free-limit", {"absolute": 60000000}).status == 204
    wait_for("the limit", lambda: admin.fetch("/api/nodes")[0]["disk_free_limit"] == 60000000)
    assert admin.put("/api/x/node/disk-free-limit", {"absolute": "50MB"}).status == 204
    assert admin.post("/api/x/node/reload").json["errors"] == []

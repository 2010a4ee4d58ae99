"""Clients that mean ill, or know no better. Leveret only: what is bounded here is not in RabbitMQ."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pika
import pytest

import brokers
from client import Client, basic
from raw import Raw, request

KIB = 1024


@pytest.fixture(scope="module")
def target(request):
    """A broker of these tests' own, with short patience."""
    if request.config.getoption("--against", "leveret") != "leveret":
        pytest.skip("Leveret only")
    broker = brokers.HttpLeveret(config="management.tcp.idle_timeout = 3000\nmanagement.tcp.request_timeout = 3000\n"
                                        "management.tcp.inactivity_timeout = 10000\n")
    broker.start()
    yield broker
    assert broker.is_running(), broker.log_tail()
    assert broker.stop() == 0


@pytest.fixture
def is_well(target):
    """Asks whether the broker still serves others: HTTP and AMQP."""
    def ask():
        client = Client(target.http_port)
        assert client.get("/api/whoami").status == 200
        client.close()
        connection = pika.BlockingConnection(pika.URLParameters(target.url))
        connection.close()
    yield ask
    ask()


def resident(target):
    return target.rss_bytes()


# ---- many, and slow ----

def test_a_thousand_clients_that_send_nothing(target, is_well):
    before = resident(target)
    silent = [socket.create_connection(("127.0.0.1", target.http_port), 10) for _ in range(1000)]
    is_well()
    assert (resident(target) - before) / 1000 <= 64 * KIB
    deadline = time.monotonic() + 20
    try:
        for one in silent:                  # the broker ends them all by itself
            one.settimeout(max(0.1, deadline - time.monotonic()))
            assert one.recv(1000) is not None
    finally:
        for one in silent:
            one.close()


def test_more_clients_than_there_is_room_for(target, is_well):
    """Those that are too many are refused; the room is there again when the silent are sent away."""
    silent = [socket.create_connection(("127.0.0.1", target.http_port), 10) for _ in range(1400)]
    pika.BlockingConnection(pika.URLParameters(target.url)).close()
    for one in silent:
        one.close()
    brokers.wait_for("room", lambda: brokers.answers_http(target.http_port), timeout_s=20)


def trickle(port, data, pause_s=0.2):
    """Sends byte after byte until the peer closes; gives whether it did."""
    with Raw(port, timeout_s=1) as client:
        for byte in data:
            if not client.send(bytes([byte])):
                return True
            client.socket.setblocking(False)
            try:
                if client.socket.recv(1000) == b"":
                    return True
            except BlockingIOError:
                pass
            except ConnectionError:
                return True
            client.socket.settimeout(1)
            time.sleep(pause_s)
    return False


def test_slow_head(target, is_well):
    assert trickle(target.http_port, request(headers=("X-Filler: " + "x" * 2000,)))


def test_slow_body(target, is_well):
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/slow", length=100000))
        for _ in range(100):
            if not client.send(b" "):
                break
            time.sleep(0.1)
        assert client.is_closed()


def test_client_that_reads_nothing(target, is_well):
    """It asks for much, again and again, and takes none of it: it costs a bounded amount, and not for ever."""
    admin = Client(target.http_port)
    for number in range(300):
        assert admin.put(f"/api/queues/%2F/{'long-name-' * 10}{number}").status in (201, 204)
    before = resident(target)
    deaf = []
    for _ in range(20):
        client = Raw(target.http_port, receive_bytes=4096)
        client.send(b"".join(request(path="/api/queues") for _ in range(50)))
        deaf.append(client)
    is_well()
    assert resident(target) - before <= 20 * 1024 * KIB
    brokers.wait_for("their end", lambda: all(_is_reset(client) for client in deaf), timeout_s=30)
    for client in deaf:
        client.close()
    for number in range(300):
        admin.delete(f"/api/queues/%2F/{'long-name-' * 10}{number}")


def _is_reset(client):
    try:
        client.socket.settimeout(5)
        return not client.send(b"GET / HTTP/1.1\r\n" * 1000) or client.is_closed(5)
    except OSError:
        return True


def test_clients_that_leave_in_the_middle(target, is_well):
    whole = request("PUT", "/api/queues/%2F/left", b'{"durable": true}')
    for cut in range(1, len(whole), 7):
        with Raw(target.http_port) as client:
            client.send(whole[:cut])
    for _ in range(50):                     # and without a word, while an answer is under way
        client = Raw(target.http_port)
        client.send(request(path="/api/overview") * 3)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    Client(target.http_port).delete("/api/queues/%2F/left")


# ---- too much ----

@pytest.mark.parametrize("head", (
    request(headers=("X-Long: " + "x" * 20000,)),
    request(path="/api/queues/%2F/" + "x" * 20000),
    request(headers=tuple(f"X-{number}: 1" for number in range(500))),
    b"GET " + b"/" * 100000,
    b"x" * 1000000,
), ids=("header", "path", "headers", "path without an end", "no end at all"))
def test_head_that_is_too_long(target, is_well, head):
    with Raw(target.http_port) as client:
        client.send(head)
        answer = client.reply()
        assert answer is None or 400 <= answer.status < 500, answer
        assert client.is_closed()


def test_body_that_is_too_long(target, is_well):
    """It is refused by what its head says, and not read."""
    before = resident(target)
    with Raw(target.http_port) as client:
        client.send(request("POST", "/api/definitions", length=10_000_001, headers=("Content-Type: application/json",)))
        answer = client.reply()
        assert answer.status == 400, answer
        assert "body size limit" in json.loads(answer.body)["reason"]
    with Raw(target.http_port) as client:
        client.send(request("POST", "/api/definitions", length=1 << 62, headers=("Content-Type: application/json",)))
        assert client.reply().status in (400, 413)
    with Raw(target.http_port) as client:   # the same without saying so
        client.send(request("POST", "/api/definitions", headers=("Transfer-Encoding: chunked", "Content-Type: application/json")))
        sent = 0
        while sent < 40_000_000 and client.send(b"10000\r\n" + b" " * 65536 + b"\r\n"):
            sent += 65536
        assert sent < 40_000_000
    assert resident(target) - before <= 40 * 1024 * KIB


def test_body_of_somebody_who_may_not(target, is_well):
    """Without a login nothing of a body is kept."""
    before = resident(target)
    with Raw(target.http_port) as client:
        client.send(request("POST", "/api/definitions", length=9_000_000, authorization=None))
        assert client.reply().status == 401
    assert resident(target) - before <= 4 * 1024 * KIB


DEEP = 100_000
BODIES = {
    "deep lists": b'{"arguments": {"x": ' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "deep objects": b'{"arguments": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "deep and never closed": b"[" * 1_000_000,
    "many arguments": b'{"arguments": {' + b",".join(b'"x-%d": 1' % n for n in range(200_000)) + b"}}",
    "long list": b'{"arguments": {"x-list": [' + b",".join([b"0"] * 500_000) + b"]}}",
    "long name": b'{"arguments": {"' + b"x" * 100_000 + b'": 1}}',
    "long text": b'{"arguments": {"x": "' + b"x" * 5_000_000 + b'"}}',
    "number without an end": b'{"arguments": {"x": ' + b"9" * 100_000 + b"}}",
    "exponent": b'{"arguments": {"x": 1e999999999}}',
    "negative exponent": b'{"arguments": {"x": 1e-999999999}}',
    "not a number": b'{"arguments": {"x": NaN}}',
    "half a surrogate": b'{"arguments": {"x": "\\ud800"}}',
    "zero byte": b'{"arguments": {"x\\u0000y": "a\\u0000b"}}',
    "not UTF-8": b'{"arguments": {"x": "\xff\xfe"}}',
    "overlong UTF-8": b'{"arguments": {"x": "\xc0\xaf"}}',
    "raw control": b'{"arguments": {"x": "a\nb"}}',
    "the same name twice": b'{"durable": true, "durable": false}',
    "two values": b'{"durable": true}{"durable": true}',
    "comment": b'{"durable": true /* no */}',
    "comma too many": b'{"durable": true,}',
    "no value": b'{"durable": }',
    "half": b'{"durable": tr',
    "wrong type": b'{"durable": {"a": 1}, "arguments": 7, "auto_delete": [true]}',
    "UTF-16": '{"durable": true}'.encode("utf-16"),
    "nothing but blanks": b"   \n\t ",
}


@pytest.mark.parametrize("what", BODIES)
def test_body_that_makes_no_sense(target, is_well, what):
    """400 and the reason, or the queue is there: never a 500, a crash or a wait."""
    client = Client(target.http_port)
    began = resident(target)
    answer = client.request("PUT", "/api/queues/%2F/odd", BODIES[what], {"content-type": "application/json"})
    assert answer.status in (201, 204, 400, 413), answer
    if answer.status == 400:
        assert set(answer.json) == {"error", "reason"}
    else:
        assert client.get("/api/queues/%2F/odd").status == 200
    client.delete("/api/queues/%2F/odd")
    assert resident(target) - began <= 200 * 1024 * KIB


# ---- what is no HTTP, or two kinds of it ----

@pytest.mark.parametrize("data", (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300,
    b"AMQP\0\0\x09\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 5000, b"\r\n\r\n\r\nGET", b"GET\r\n\r\n", b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", b"GET /\x7f\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", b"G\xffT / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
), ids=lambda data: repr(data[:24]))
def test_what_is_not_http(target, is_well, data):
    with Raw(target.http_port) as client:
        client.send(data)
        answer = client.reply()
        assert answer is None or answer.status < 600


@pytest.mark.parametrize("headers", (
    ("Content-Length: 5", "Content-Length: 6"), ("Content-Length: 5, 6",), ("Content-Length: -1",), ("Content-Length: +5",),
    ("Content-Length: 0x5",), ("Content-Length: 5 5",), ("Content-Length: 99999999999999999999999",),
    ("Content-Length: 5", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: xchunked",), ("Transfer-Encoding : chunked",), ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Content-Length:\x0b5",),
))
def test_two_readings_of_where_a_request_ends(target, is_well, headers):
    """What follows such a head is not taken for a request of its own."""
    hidden = request("PUT", "/api/queues/%2F/smuggled", b"{}")
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/first", headers=headers) + b"0\r\n\r\n" + hidden)
        answer = client.reply()
        assert answer is None or answer.status in (400, 413, 501), answer
        assert client.is_closed()
    assert Client(target.http_port).get("/api/queues/%2F/smuggled").status == 404


@pytest.mark.parametrize("chunks", (
    b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffff1\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"2\n{}\n0\n\n",
    b"2;" + b"x" * 100000 + b"\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\n" + b"X-Trailer: " + b"y" * 100000 + b"\r\n\r\n",
), ids=lambda data: repr(data[:16]))
def test_chunks_that_make_no_sense(target, is_well, chunks):
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/chunked", headers=("Transfer-Encoding: chunked",)) + chunks)
        answer = client.reply()
        assert answer is None or 400 <= answer.status < 500, answer
        assert client.is_closed()


def test_good_chunks(target):
    body = b"5\r\n{\"dur\r\n6;x=y\r\nable\":\r\n5\r\ntrue}\r\n0\r\nX-Trailer: 1\r\n\r\n"
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/chunked", headers=("Transfer-Encoding: chunked",)) + body + request())
        assert client.reply().status == 201
        assert client.reply().status == 200
    admin = Client(target.http_port)
    assert admin.fetch("/api/queues/%2F/chunked")["durable"] is True
    admin.delete("/api/queues/%2F/chunked")


PATHS = ("/api/queues/%", "/api/queues/%2", "/api/queues/%zz/q", "/api/queues/%2F/%ff%fe", "/api/queues/%2F/%c0%af", "/api/queues/%2F/a%00b",
         "/api/queues/%2F/..%2f..%2fetc%2fpasswd", "/../../../etc/passwd", "/api/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
         "/api/queues/%252F", "//", "/api//", "/?" + "&" * 5000, "/api/queues?" + "page=1&" * 500, "/api/queues?columns=" + "a." * 2000,
         "/api/queues?sort=" + "a." * 2000, "/api/queues?page=99999999999999999999", "/api/queues?page=1&page_size=-1",
         "/api/queues?page=1&use_regex=true&name=(a%2B)%2B%24", "/api/queues?page=1&use_regex=true&name=" + "(" * 1000,
         "/api/queues?page=1&use_regex=true&name=" + "x" * 1100, "/api/queues?lengths_age=1000000000&lengths_incr=1",
         "/api/queues?lengths_age=-1&lengths_incr=0", "/api/queues?%", "/api/queues?=&==&a=%zz", "/api/definitions/%2F?download=%0d%0aX-Evil: 1",
         "/api/definitions?download=../../x%22%0d%0aSet-Cookie: a=b")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_path_that_makes_no_sense(target, is_well, path):
    with Raw(target.http_port) as client:
        client.send(request(path=path.replace(" ", "%20")))
        answer = client.reply()
        assert answer.status in (200, 301, 400, 404, 405, 414, 431), answer
        assert b"root:" not in answer.body
        assert "x-evil" not in answer.headers and "set-cookie" not in answer.headers


# ---- many requests on one connection ----

def test_pipelining(target, is_well):
    """Answers come in the order of the requests, whatever takes how long."""
    paths = ["/api/whoami", "/api/overview", "/api/queues/%2F/nosuch", "/api/vhosts", "/api/nosuch"] * 8
    with Raw(target.http_port) as client:
        client.send(b"".join(request(path=path) for path in paths))
        statuses = [client.reply().status for _ in paths]
    assert statuses == [200, 200, 404, 200, 404] * 8


def test_pipelined_writes_and_bodies(target, is_well):
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/p1", b'{"durable": true}') + request("GET", "/api/queues/%2F/p1") +
                    request("DELETE", "/api/queues/%2F/p1") + request("GET", "/api/queues/%2F/p1"))
        assert [client.reply().status for _ in range(4)] == [201, 200, 204, 404]


def test_keep_alive(target, is_well):
    """One connection serves many requests; when it has served enough it says so and ends."""
    with Raw(target.http_port) as client:
        served = 0
        while served < 1000:
            client.send(request())
            answer = client.reply()
            assert answer.status == 200
            served += 1
            if answer.headers.get("connection", "").lower() == "close":
                assert client.is_closed()
                break
    assert served >= 50


def test_head_keeps_the_connection_in_step(target):
    with Raw(target.http_port) as client:
        client.send(request("HEAD", "/api/overview") + request())
        head = client.reply(has_body=False)
        assert head.status == 200
        answer = client.reply()
        assert answer.status == 200 and json.loads(answer.body)["name"] == "guest"


def test_old_http_and_upgrades(target):
    with Raw(target.http_port) as client:
        client.send(b"GET /api/version HTTP/1.0\r\n\r\n")
        answer = client.reply()
        assert answer.status == 200
        assert client.is_closed()
    with Raw(target.http_port) as client:   # as Java's client asks first
        client.send(request(headers=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")))
        assert client.reply().status == 200


def test_expect_continue(target):
    with Raw(target.http_port) as client:
        client.send(request("PUT", "/api/queues/%2F/expected", length=2, headers=("Expect: 100-continue",)))
        time.sleep(0.2)
        client.send(b"{}")
        assert client.reply().status == 201
    Client(target.http_port).delete("/api/queues/%2F/expected")


# ---- under load ----

def test_lists_under_load(target, is_well):
    """Eight clients list and page two thousand queues while messages flow and queues come and go."""
    admin = Client(target.http_port)
    admin.put("/api/vhosts/load")
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", target.amqp_port, "load"))
    channel = connection.channel()
    for number in range(2000):
        channel.queue_declare(f"q{number:04d}")
    fixed = {f"q{number:04d}" for number in range(2000)}
    is_over, problems = threading.Event(), []

    def churn():
        own = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", target.amqp_port, "load"))
        own_channel, number = own.channel(), 0
        while not is_over.is_set():
            own_channel.queue_declare(f"z{number % 50}", auto_delete=True)
            own_channel.basic_publish("", f"q{number % 2000:04d}", b"x" * 100)
            own_channel.queue_delete(f"z{(number - 20) % 50}")
            number += 1
        own.close()

    def read(way):
        client = Client(target.http_port)
        try:
            for _ in range(6):
                if way % 2:
                    names = [row["name"] for row in client.fetch("/api/queues/load")]
                else:
                    names = []
                    for page in range(1, 6):
                        names += [row["name"] for row in client.fetch(
                            f"/api/queues/load?page={page}&page_size=500&name=q&sort=name&columns=name")["items"]] if page < 5 else []
                if set(names) & fixed != fixed or len([n for n in names if n in fixed]) != 2000:
                    problems.append(f"{len(names)} names")
        except Exception as error:          # pylint: disable=broad-except
            problems.append(repr(error))
        client.close()
    churner = threading.Thread(target=churn)
    readers = [threading.Thread(target=read, args=(way,)) for way in range(8)]
    churner.start()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    is_over.set()
    churner.join()
    connection.close()
    admin.delete("/api/vhosts/load")
    assert not problems, problems[:3]


# ---- passwords ----

def test_who_is_unknown_and_who_is_wrong_look_the_same(target):
    answers = []
    for user in ("guest", "nobody-of-this-name"):
        client = Client(target.http_port, user, "wrong")
        answer = client.get("/api/whoami")
        answers.append((answer.status, {k: v for k, v in answer.headers.items() if k != "date"}, answer.body))
        client.close()
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize("authorization", (
    "Basic", "Basic ", "Basic " + "A" * 9000, "Basic Z3Vlc3Q=", "Basic Og==", "Basic !!!!", "Basic Z3Vlc3Q6Z3Vlc3Q", "Bearer", "Bearer " + "x" * 5000,
    "Digest a=b", "Basic AGd1ZXN0AGd1ZXN0", "Basic /////w==", "Negotiate", "\tBasic Z3Vlc3Q6eA=="), ids=lambda text: repr(text[:24]))
def test_authorization_that_makes_no_sense(target, is_well, authorization):
    with Raw(target.http_port) as client:
        client.send(request(authorization=authorization))
        answer = client.reply()
        assert answer.status in (400, 401), answer


def test_storm_of_wrong_passwords(target, is_well):
    """Many at a time; who knows the password gets in meanwhile. Who is on this machine is not made to wait."""
    statuses = []

    def storm(number):
        client = Client(target.http_port, f"guest{number % 3 or ''}", f"wrong {number}")
        for _ in range(15):
            statuses.append(client.get("/api/whoami").status)
        client.close()
    threads = [threading.Thread(target=storm, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        is_well()
    for thread in threads:
        thread.join()
    assert set(statuses) == {401} and len(statuses) == 90


STORM = """
import http.client, sys, time
host, port, authorization = sys.argv[1], int(sys.argv[2]), sys.argv[3]
began = time.monotonic()
for _ in range(int(sys.argv[4])):
    c = http.client.HTTPConnection(host, port, timeout=20)
    c.request("GET", "/api/whoami", headers={"Authorization": authorization})
    print(c.getresponse().status)
    c.close()
print(time.monotonic() - began)
"""


@pytest.fixture
def elsewhere():
    """Runs a Python program at two other addresses; gives how to reach this machine from there."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network of its own")
    space, link = f"lv{os.getpid()}", f"lv{os.getpid() % 100000}"

    def ip(*args):
        return subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if ip("netns", "add", space).returncode != 0:
        pytest.skip("no network namespaces")
    try:
        made = [ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p", "netns", space),
                ip("addr", "add", "10.0.0.1/24", "dev", link), ip("link", "set", link, "up"),
                ip("-n", space, "addr", "add", "10.0.0.2/24", "dev", f"{link}p"),
                ip("-n", space, "link", "set", f"{link}p", "up"), ip("-n", space, "link", "set", "lo", "up")]
        if any(done.returncode for done in made):
            pytest.skip("no virtual Ethernet: " + "".join(done.stderr for done in made))

        def run(*args):
            return subprocess.run(["ip", "netns", "exec", space, sys.executable, "-c", STORM, "10.0.0.1", *map(str, args)],
                                  capture_output=True, text=True, timeout=50, check=True).stdout.split()
        yield run
    finally:
        ip("link", "del", link)
        ip("netns", "del", space)


def test_an_address_that_guesses_has_to_wait(elsewhere):
    """Ten may fail; the next has to wait a second, and others are not held up."""
    broker = brokers.HttpLeveret(http_listen="10.0.0.1:0")
    with broker:
        first = elsewhere(broker.http_port, basic("guest", "wrong"), 10)
        assert first[:-1] == ["401"] * 10
        more = elsewhere(broker.http_port, basic("guest", "wrong"), 2)
        assert more[:-1] == ["401"] * 2
        assert float(more[-1]) >= 0.9       # the least that it was told to wait


def test_guest_from_elsewhere(elsewhere):
    """guest is for this machine only: 401 with the right password, and the reason."""
    broker = brokers.HttpLeveret(http_listen="10.0.0.1:0")
    with broker:
        assert elsewhere(broker.http_port, basic("guest", "guest"), 1)[0] == "401"

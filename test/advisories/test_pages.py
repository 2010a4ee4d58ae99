"""What browsers are given: scripts in names, other sites, cookies, headers."""

from urllib.parse import quote

import pika
import pytest

import brokers
from client import Client

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
ORIGIN = "https://evil.example"


@pytest.fixture(scope="module")
def hostile(broker, admin):
    """Everything that has a name is called like a script."""
    name = quote(EVIL, safe="")
    admin.put(f"/api/vhosts/{name}", {"description": EVIL})
    admin.put(f"/api/users/{name}", {"password": "x", "tags": EVIL})
    admin.put(f"/api/permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
    admin.put(f"/api/queues/{name}/{name}", {"arguments": {EVIL: EVIL}})
    admin.put(f"/api/exchanges/{name}/{name}", {"type": "direct"})
    admin.put(f"/api/policies/{name}/{name}", {"pattern": "x", "definition": {"max-length": 1}})
    connection = pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", broker.amqp_port, EVIL, client_properties={"connection_name": EVIL, EVIL: EVIL}))
    channel = connection.channel()
    channel.basic_consume(EVIL, lambda *_: None, consumer_tag=EVIL)
    yield name
    connection.close()
    admin.delete(f"/api/vhosts/{name}")
    admin.delete(f"/api/users/{name}")


LISTS = ("/api/queues", "/api/exchanges", "/api/bindings", "/api/vhosts", "/api/users", "/api/policies", "/api/connections", "/api/consumers",
         "/api/definitions", "/api/overview", "/api/whoami")


@pytest.mark.parametrize("path", LISTS)
def test_names_leave_as_data(admin, hostile, path):
    """67239, 66077, 44839: JSON that no browser takes for a page."""
    answer = admin.get(path)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", (f"/{EVIL}", f"/api/{EVIL}", f"/api/queues/%2F/{EVIL}", f"/api/queues?page={EVIL}", f"/api/vhosts/{EVIL}",
                                  f"/api/index.html?{EVIL}", f"/?{EVIL}", f"/cli/{EVIL}"))
def test_what_was_asked_for_is_not_shown_as_a_page(admin, path):
    answer = admin.get(quote(path, safe="/?=&%"))
    if "<script>alert(1)" in answer.text:
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ("/", "/api/index.html", "/api/overview", "/cli/index.html"))
def test_headers_that_protect(admin, path):
    headers = admin.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    policy = headers["content-security-policy"]
    assert "unsafe-inline" not in policy.split("style-src")[0] and "unsafe-eval" not in policy
    assert "x-frame-options" in headers or "frame-ancestors" in policy


@pytest.mark.parametrize("method", ("GET", "OPTIONS"))
def test_other_sites_get_nothing(admin, method):
    """66070: by default no site may read answers, least of all with the user's login."""
    answer = admin.request(method, "/api/whoami", headers={"origin": ORIGIN, "access-control-request-method": "PUT"})
    assert "access-control-allow-origin" not in answer.headers and "access-control-allow-credentials" not in answer.headers


def test_a_site_that_may_is_named(broker):
    """With `*` answers carry no credentials; a listed site is named, another is not."""
    with brokers.HttpLeveret(config="management.cors.allow_origins.1 = https://good.example\n") as listed:
        client = Client(listed.http_port)
        good = client.get("/api/whoami", headers={"origin": "https://good.example"}).headers
        assert good["access-control-allow-origin"] == "https://good.example"
        for origin in (ORIGIN, "https://good.example.evil.example", "http://good.example", "null", "https://good.example\t"):
            headers = client.get("/api/whoami", headers={"origin": origin}).headers
            assert headers.get("access-control-allow-origin") in (None, "https://good.example"), origin
            if origin.strip() != "https://good.example":
                assert "access-control-allow-origin" not in headers, origin
    with brokers.HttpLeveret(config="management.cors.allow_origins.1 = *\n") as every:
        headers = Client(every.http_port).get("/api/whoami", headers={"origin": ORIGIN}).headers
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers


def test_no_password_in_cookies(broker):
    """67236: cookies held the password."""
    client = Client(broker.http_port)
    for answer in (client.get("/api/whoami"), client.request("POST", "/api/login", "username=guest&password=guest",
                                                             {"content-type": "application/x-www-form-urlencoded"})):
        cookie = answer.headers.get("set-cookie", "")
        assert "guest" not in cookie and "Z3Vlc3Q" not in cookie
        if cookie:
            assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()


def test_a_form_of_another_site_changes_nothing(admin):
    """A browser can send text/plain and forms without asking: without a login they are nobody's."""
    nobody = Client(admin.port, user=None)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = nobody.request("POST", "/api/definitions", "{}", {"content-type": kind, "origin": ORIGIN})
        assert answer.status == 401


def test_names_end_no_header(admin, hostile):
    answer = admin.get("/api/definitions?download=" + quote("a\"\r\nSet-Cookie: a=b\r\n.json", safe=""))
    assert "set-cookie" not in answer.headers

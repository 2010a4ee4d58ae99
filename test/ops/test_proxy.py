"""Behind a load balancer that speaks the PROXY protocol: clients are who it says they are."""

import re
import socket
import ssl
import struct

import pytest

from certificates import Certificates
from support.broker import Leveret
from support.net import PROTOCOL_HEADER, wait_until
from wire import Closed, Wire

V1 = b"PROXY TCP4 %s 198.51.100.1 56324 5672\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(peer, command=0x21):
    addresses = socket.inet_aton(peer) + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 56324, 5672)
    return SIGNATURE + bytes([command, 0x11]) + struct.pack(">H", len(addresses)) + addresses


@pytest.fixture(scope="module")
def broker():
    with Leveret("--proxy_protocol", "true", "--log-level", "info") as server:
        yield server
        assert server.is_running()


def opened(port, header):
    w = Wire(port)
    w.write(header)
    return w


@pytest.mark.parametrize("header", [V1 % b"127.0.0.7", v2("127.0.0.7")], ids=["v1", "v2"])
def test_the_client_is_who_the_proxy_says(broker, header):
    w = opened(broker.amqp_port, header).login().open(1)
    wait_until(lambda: "127.0.0.7:56324 -> 198.51.100.1:5672" in broker.log_tail(), 5, "its name")
    w.close()


@pytest.mark.parametrize("header", [V1 % b"192.0.2.9", v2("192.0.2.9")], ids=["v1", "v2"])
def test_a_loopback_user_is_judged_by_that(broker, header):
    w = opened(broker.amqp_port, header)
    w.start()
    w.start_ok(capabilities={"authentication_failure_close": True})
    w.expect_connection_close(403, re.compile("Login was refused"))


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2("192.0.2.9", command=0x20)], ids=["v1", "v2"])
def test_the_proxy_speaks_for_itself(broker, header):
    opened(broker.amqp_port, header).login().open(1).close()


def test_a_header_byte_by_byte(broker):
    w = Wire(broker.amqp_port)
    w.write_in_steps(v2("127.0.0.8") + PROTOCOL_HEADER, pause_s=0.002)
    w.expect(0, "connection.start")


@pytest.mark.parametrize("bytes_in", [PROTOCOL_HEADER, b"PROXY TCP4 nonsense\r\n", SIGNATURE + b"\x21\x11\xff\xff"],
                         ids=["none", "v1", "v2"])
def test_without_a_header_nobody_gets_in(broker, bytes_in):
    w = opened(broker.amqp_port, bytes_in)
    with pytest.raises(Closed):
        w.read_bytes(1)
    wait_until(lambda: "does not begin with a PROXY protocol header" in broker.log_tail(), 5, "the reason")


def test_before_tls(tmp_path):
    certs = Certificates(tmp_path)
    certs.issue("server", common_name="localhost")
    with Leveret("--proxy_protocol", "true", "--amqps-listen", "127.0.0.1:0", "--tls-certfile", certs.path("server.pem"),
                 "--tls-keyfile", certs.path("server.key")) as server:
        with socket.create_connection(("127.0.0.1", server.amqps_port), timeout=5) as plain:
            plain.sendall(V1 % b"127.0.0.7")
            context = ssl.create_default_context(cafile=certs.path("ca.pem"))
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(PROTOCOL_HEADER)
                assert secure.recv(1) == b"\x01"

"""TLS and Unix sockets from outside: clients that people use, openssl's own, and the signals of an operator."""

import os
import signal
import socket
import ssl
import stat
import subprocess

import pika
import pytest

from certificates import Certificates
from support.broker import Leveret, leveretd_path
from support.net import PROTOCOL_HEADER, wait_until

# What pika makes of a handshake that fails depends on the moment at which it does.
REFUSED = (pika.exceptions.AMQPConnectionError, ssl.SSLError, ConnectionError)


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certs"))
    made.issue("server", common_name="localhost")
    made.issue("client")
    made.authority("other")
    made.issue("stranger", ca="other")
    made.issue("late", days=-1)
    return made


def tls_args(certs, *more, cert="server"):
    return ("--amqps-listen", "127.0.0.1:0", "--tls-certfile", certs.path(f"{cert}.pem"),
            "--tls-keyfile", certs.path(f"{cert}.key"), *more)


def verifying(certs, must_have=True):
    return ("--tls-cacertfile", certs.path("ca.pem"), "--tls-verify", "verify_peer",
            "--tls-fail-if-no-peer-cert", "true" if must_have else "false")


@pytest.fixture(scope="module")
def broker(certs):
    with Leveret(*tls_args(certs)) as server:
        yield server
        assert server.is_running()


@pytest.fixture(scope="module")
def strict(certs):
    with Leveret(*tls_args(certs), *verifying(certs)) as server:
        yield server
        assert server.is_running()


def context(certs, client=None, ca="ca", version=None):
    made = ssl.create_default_context(cafile=certs.path(f"{ca}.pem"))
    if client:
        made.load_cert_chain(certs.path(f"{client}.pem"), certs.path(f"{client}.key"))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def parameters(port, tls):
    return pika.ConnectionParameters("localhost", port, ssl_options=pika.SSLOptions(tls, "localhost"),
                                     connection_attempts=1, socket_timeout=10, blocked_connection_timeout=10)


def send_and_get(port, tls, body):
    with pika.BlockingConnection(parameters(port, tls)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, body)
        return channel.basic_get(queue, auto_ack=True)[2]


def s_client(broker, *args, say=b""):
    """What openssl prints when it connects, says something and leaves."""
    port = broker.amqps_port
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *args], input=say, check=False,
                          capture_output=True, timeout=20)


def shown_name(port, ca):
    """Common name of the certificate that a new client is shown."""
    with socket.create_connection(("127.0.0.1", port), 10) as s, \
            ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname="localhost") as tls:
        subject = dict(pair for rdn in tls.getpeercert()["subject"] for pair in rdn)
        return subject["commonName"]


# ---- speaking ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [0, 1, 5000, 16384, 3_000_000])
def test_a_message_there_and_back(broker, certs, version, size):
    body = os.urandom(size)
    assert send_and_get(broker.amqps_port, context(certs, version=version), body) == body


def test_many_messages_with_acknowledgements(broker, certs):
    with pika.BlockingConnection(parameters(broker.amqps_port, context(certs))) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_qos(prefetch_count=50)
        bodies = [bytes([n % 256]) * (n * 37 % 3000) for n in range(2000)]
        for body in bodies:
            channel.basic_publish("", queue, body)
        got = []
        for method, _, body in channel.consume(queue, inactivity_timeout=10):
            got.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(got) == len(bodies):
                break
        assert got == bodies


def test_plain_and_tls_serve_the_same_queues(broker, certs):
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as plain, \
            pika.BlockingConnection(parameters(broker.amqps_port, context(certs))) as secret:
        queue = plain.channel().queue_declare("shared", auto_delete=True).method.queue
        channel = secret.channel()
        channel.confirm_delivery()
        channel.basic_publish("", queue, b"across")
        assert plain.channel().basic_get(queue, auto_ack=True)[2] == b"across"


def test_the_certificate_is_checked_by_the_client(broker, certs):
    with pytest.raises(REFUSED):
        pika.BlockingConnection(parameters(broker.amqps_port, context(certs, ca="other")))
    wait_until(lambda: "the client gives up: unknown CA" in broker.log_tail(), 5, "line in the log")


# ---- refusing ----

def test_openssl_gets_what_it_should(broker):
    answer = s_client(broker, "-tls1_3", say=PROTOCOL_HEADER)
    assert b"TLS_AES_256_GCM_SHA384" in answer.stdout
    answer = s_client(broker, "-tls1_2")
    assert b"ECDHE-ECDSA-AES256-GCM-SHA384" in answer.stdout
    assert b"Compression: NONE" in answer.stdout
    assert b"Secure Renegotiation IS supported" in answer.stdout


@pytest.mark.parametrize("args", [
    ("-tls1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "AES128-SHA"), ("-tls1_2", "-cipher", "NULL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256")])
def test_what_is_old_or_weak_is_refused(broker, args):
    answer = s_client(broker, *args)
    assert answer.returncode != 0
    assert b"Cipher is (NONE)" in answer.stdout


def test_renegotiation_is_refused(broker):
    answer = s_client(broker, "-tls1_2", say=b"R\n")
    assert b"no renegotiation" in answer.stderr


def test_an_amqp_client_without_tls_is_told_in_the_log(broker):
    with socket.create_connection(("127.0.0.1", broker.amqps_port), 5) as s:
        s.sendall(PROTOCOL_HEADER)
        while s.recv(100):
            pass
    wait_until(lambda: "not TLS: a client without it on a TLS port" in broker.log_tail(), 5, "line in the log")


def test_clients_are_verified(strict, certs):
    assert send_and_get(strict.amqps_port, context(certs, "client"), b"welcome") == b"welcome"
    for client, why in ((None, "the client shows no certificate"),
                        ("stranger", "unable to get local issuer certificate"),
                        ("late", "certificate has expired")):
        with pytest.raises(REFUSED):
            pika.BlockingConnection(parameters(strict.amqps_port, context(certs, client)))
        wait_until(lambda why=why: why in strict.log_tail(), 5, why)


RULES = (
    ((), "CN=client,O=Test"),
    (("--ssl_cert_login_from", "common_name"), "client"),
    (("--ssl_cert_login_from", "subject_alternative_name"), "localhost"),
    (("--ssl_cert_login_from", "subject_alternative_name", "--ssl_cert_login_san_type", "ip"), "127.0.0.1"),
)


def external(port, tls):
    made = parameters(port, tls)
    made.credentials = pika.credentials.ExternalCredentials()
    return made


@pytest.mark.parametrize("rule, user", RULES)
def test_a_certificate_is_a_login(certs, rule, user):
    """SASL EXTERNAL: the name in a verified certificate, by the rule of the settings, must be a user's."""
    with Leveret(*tls_args(certs), *verifying(certs, must_have=False), *rule, "--default-user", user,
                 "--auth_mechanisms.1", "EXTERNAL", "--auth_mechanisms.2", "PLAIN") as server:
        with pika.BlockingConnection(external(server.amqps_port, context(certs, "client"))) as connection:
            connection.channel().queue_declare("", exclusive=True)
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(external(server.amqps_port, context(certs)))
        wait_until(lambda: "presented no TLS (x.509) certificate" in server.log_tail(), 5, "the reason")


def test_a_certificate_of_nobody_is_no_login(certs):
    with Leveret(*tls_args(certs), *verifying(certs), "--auth_mechanisms.1", "EXTERNAL") as server:
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(external(server.amqps_port, context(certs, "client")))


def test_an_unverified_certificate_is_no_login(certs):
    with Leveret(*tls_args(certs), "--auth_mechanisms.1", "EXTERNAL") as server:
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(external(server.amqps_port, context(certs, "client")))
        wait_until(lambda: "TLS configuration is unsafe" in server.log_tail(), 5, "the reason")


def test_a_silent_client_is_cut_off_after_five_seconds(broker):
    with socket.create_connection(("127.0.0.1", broker.amqps_port), 8) as s:
        assert s.recv(1) == b""
    assert "the handshake took too long" in broker.log_tail()


# ---- reload ----

def test_new_certificates_without_a_restart(certs):
    certs.issue("changing", common_name="before")
    with Leveret(*tls_args(certs, cert="changing")) as server:
        tls = context(certs)
        ca = certs.path("ca.pem")
        with pika.BlockingConnection(parameters(server.amqps_port, tls)) as old:
            channel = old.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            assert shown_name(server.amqps_port, ca) == "before"

            certs.issue("changing", common_name="after")
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda: "TLS certificates read again" in server.log_tail(), 5, "reload")
            assert shown_name(server.amqps_port, ca) == "after"

            _, key = certs.issue("changing", common_name="broken")
            with open(key, "w", encoding="ascii") as file:
                file.write("nothing")
            os.kill(server.pid, signal.SIGHUP)
            wait_until(lambda: "the old ones stay" in server.log_tail(), 5, "refusal")
            assert f"{key}: no private key in it" in server.log_tail()
            assert shown_name(server.amqps_port, ca) == "after"

            channel.basic_publish("", queue, b"still here")
            assert channel.basic_get(queue, auto_ack=True)[2] == b"still here"
        assert server.is_running()


@pytest.mark.parametrize("cert, key, why", [
    ("none.pem", "server.key", "none.pem: No such file or directory"),
    ("server.pem", "client.key", "client.key: the key does not belong to the certificate in "),
    ("late.pem", "late.key", "late.pem: the certificate expired on ")])
def test_a_broker_with_wrong_files_does_not_start_and_says_why(certs, tmp_path, cert, key, why):
    end = subprocess.run([leveretd_path(), "--data-dir", tmp_path / "data", "--amqp-listen", "127.0.0.1:0",
                          "--http-listen", "none", "--metrics-listen", "none", "--amqps-listen", "127.0.0.1:0", "--tls-certfile", certs.path(cert),
                          "--tls-keyfile", certs.path(key)], check=False, capture_output=True, text=True, timeout=20)
    assert end.returncode == 78
    assert end.stderr.startswith("leveretd: ")
    assert why in end.stderr


# ---- Unix sockets ----

def greet(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(str(path))
        s.sendall(PROTOCOL_HEADER)
        head = s.recv(7, socket.MSG_WAITALL)
        assert head[:3] == b"\x01\x00\x00"                      # a method on channel 0
        rest = s.recv(int.from_bytes(head[3:7], "big") + 1, socket.MSG_WAITALL)
        assert rest[:4] == b"\x00\x0a\x00\x0a" and rest[-1] == 0xce     # connection.start
        return rest


def test_a_unix_socket_beside_a_port(certs, tmp_path):
    path = tmp_path / "mq.sock"
    with UnixLeveret(path, *tls_args(certs)) as server:
        assert b"publisher_confirms" in greet(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        assert send_and_get(server.amqps_port, context(certs), b"both") == b"both"
    assert not path.exists()


def test_the_mode_of_a_unix_socket(tmp_path):
    path = tmp_path / "mq.sock"
    with UnixLeveret(f"{path}?mode=600"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_socket_left_behind_is_replaced(tmp_path):
    path = tmp_path / "mq.sock"
    server = UnixLeveret(path).start()
    server.kill()
    assert path.exists()
    with UnixLeveret(path):
        greet(path)
    server.stop()


def test_a_socket_in_use_and_other_files_are_left_alone(tmp_path):
    path = tmp_path / "mq.sock"
    with UnixLeveret(path):
        with pytest.raises(RuntimeError, match="Address already in use"):
            UnixLeveret(path).start()
        greet(path)
    path.write_text("precious")
    with pytest.raises(RuntimeError, match="File exists"):
        UnixLeveret(path).start()
    assert path.read_text() == "precious"


class UnixLeveret(Leveret):
    def __init__(self, path, *args):
        super().__init__(*args, amqp_listen=f"unix:{path}")

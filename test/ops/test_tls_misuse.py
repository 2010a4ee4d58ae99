"""TLS as it should not be: certificates, protocols, handshakes and files that are wrong, on every listener with TLS.

What a client with good intentions does: test_tls.py. Single functions, byte by byte: test/unit/loop/tls_test.c."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Certificates
from support.broker import Leveret, _port, leveretd_path
from support.net import PROTOCOL_HEADER, free_ports, wait_until

SCRAPE = b"GET /metrics HTTP/1.0\r\n\r\n"
VERSION = b"GET /api/version HTTP/1.0\r\n\r\n"
LISTENERS = {"amqps": (PROTOCOL_HEADER, b"\x01"), "https": (VERSION, b"H"), "metrics_tls": (SCRAPE, b"H")}


class TlsLeveret(Leveret):
    """One that speaks TLS on three listeners, and without it on three others."""

    def __init__(self, certs, *args, cert="server", verify=False):
        super().__init__(http_listen="127.0.0.1:0", metrics_listen="127.0.0.1:0")
        self.make_args = lambda: (*self._tls(certs, cert, verify), *args)
        self.ports = {}

    def start(self):
        for tries_left in (4, 3, 2, 1, 0):      # a port that was free may be somebody's a moment later
            self.args = self.make_args()
            try:
                return super().start()
            except RuntimeError as error:
                if "Address already in use" not in str(error) or tries_left == 0:
                    raise
        return None

    @staticmethod
    def _tls(certs, cert, verify):
        args = ["--amqps-listen", "127.0.0.1:0"]
        for family in ("ssl_options", "management.ssl", "prometheus.ssl"):
            args += [f"--{family}.certfile", certs.path(f"{cert}.pem"), f"--{family}.keyfile", certs.path(f"{cert}.key")]
            if verify:
                args += [f"--{family}.cacertfile", certs.path("ca.pem"), f"--{family}.verify", "verify_peer",
                         f"--{family}.fail_if_no_peer_cert", "true"]
        https, metrics = free_ports(2)
        return (*args, "--management.ssl.port", str(https), "--management.ssl.ip", "127.0.0.1",
                "--prometheus.ssl.port", str(metrics), "--prometheus.ssl.ip", "127.0.0.1")

    def _wait_ready(self):
        super()._wait_ready()
        self.ports = {name: _port(at[0]) for name, at in self._read_ready().items() if isinstance(at, list) and at}

    def wait_for(self, line, count=1):
        wait_until(lambda: self.log().count(line) >= count, 10, line)

    def log(self):
        with open(os.path.join(self.dir, "output.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def reload(self, line):
        count = self.log().count(line)
        os.kill(self.pid, signal.SIGHUP)
        self.wait_for(line, count + 3)      # one for each listener


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certs"))
    made.issue("server")
    made.issue("client")
    made.issue("expired", days=-1)
    made.issue("early", starts="20990101000000Z")
    made.issue("self-signed", ca=None)
    made.authority("other")
    made.issue("stranger", ca="other")
    made.authority("twin", common_name="Authority ca")      # the same name, another key
    made.issue("forged", ca="twin")
    made.issue("sha1", digest="sha1")
    made.issue("short", key="1024")
    made.issue("servers-only", more="extendedKeyUsage=serverAuth")
    made.issue("middle", more="basicConstraints=CA:TRUE")
    made.issue("middle2", ca="middle", more="basicConstraints=CA:TRUE")
    made.issue("deep", ca="middle2")
    made.write("deep.pem", "".join(made.read(f"{name}.pem") for name in ("deep", "middle2", "middle")))
    made.write("crowd.pem", made.read("client.pem") + 200 * made.read("other.pem"))
    shutil.copy(made.path("client.key"), made.path("crowd.key"))
    return made


@pytest.fixture(scope="module")
def broker(certs):
    with TlsLeveret(certs, "--ssl_handshake_timeout", "1s") as server:
        yield server
        assert server.is_running()


@pytest.fixture(scope="module")
def strict(certs):
    with TlsLeveret(certs, verify=True) as server:
        yield server
        assert server.is_running()


def context(certs, client=None, version=None):
    made = ssl.create_default_context(cafile=certs.path("ca.pem"))
    made.set_ciphers("DEFAULT@SECLEVEL=0")      # ours does not have to be the one that objects
    if client:
        made.load_cert_chain(certs.path(f"{client}.pem"), certs.path(f"{client}.key"))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def converse(port, tls, listener):
    """Whether the listener's protocol is spoken to who comes like this."""
    say, expect = LISTENERS[listener]
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s, tls.wrap_socket(s, server_hostname="localhost") as secret:
            secret.sendall(say)
            return secret.recv(1) == expect
    except (ssl.SSLError, ConnectionError):
        return False


def answer_of(port, say):
    """What comes back until the peer closes."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(say)
        try:
            while piece := s.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    return got


# ---- certificates of clients ----

BAD_CLIENTS = {
    None: "the client shows no certificate",
    "expired": "certificate has expired",
    "early": "certificate is not yet valid",
    "self-signed": "self-signed certificate",
    "stranger": "unable to get local issuer certificate",
    "forged": "certificate signature failure|unable to get local issuer certificate",
    "sha1": "EE certificate key too weak|CA signature digest algorithm too weak",
    "short": "EE certificate key too weak",
    "servers-only": "unsuitable certificate purpose|unsupported certificate purpose",
    "deep": "certificate chain too long|unable to get issuer certificate",
    "crowd": "the client sends more certificates than are looked at",
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("client", BAD_CLIENTS)
def test_a_bad_certificate_is_refused(strict, certs, client, listener, version):
    port, reasons = strict.ports[listener], BAD_CLIENTS[client].split("|")
    before = {why: strict.log().count(why) for why in reasons}
    assert not converse(port, context(certs, client, version), listener)
    wait_until(lambda: any(strict.log().count(why) > before[why] for why in reasons), 5, f"{client}: {reasons}\n{strict.log()[-600:]}")
    assert converse(port, context(certs, "client", version), listener)


# ---- certificates of servers ----

@pytest.mark.parametrize("cert, why", [("expired", "the certificate expired on "), ("early", "the certificate is not valid before 2099-01-01")])
def test_a_certificate_out_of_its_time_is_not_shown(certs, tmp_path, cert, why):
    end = subprocess.run([leveretd_path(), "--data-dir", tmp_path / "data", "--amqp-listen", "127.0.0.1:0",
                          "--http-listen", "none", "--metrics-listen", "none", "--amqps-listen", "127.0.0.1:0",
                          "--tls-certfile", certs.path(f"{cert}.pem"), "--tls-keyfile", certs.path(f"{cert}.key")],
                         check=False, capture_output=True, text=True, timeout=20)
    assert end.returncode == 78
    assert f"{cert}.pem: {why}" in end.stderr


def test_a_client_that_looks_for_another_host_leaves(broker, certs):
    with socket.create_connection(("127.0.0.1", broker.ports["amqps"]), 5) as s:
        with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
            context(certs).wrap_socket(s, server_hostname="elsewhere")
    broker.wait_for("the client gives up: ")
    assert converse(broker.ports["amqps"], context(certs), "amqps")


# ---- protocols ----

@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(broker, certs, listener, version):
    assert not converse(broker.ports[listener], context(certs, version=version), listener)


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("say", [PROTOCOL_HEADER, VERSION, b"\x80\x2e\x01\x00\x02", os.urandom(4096), b"\x16\x03\x01\xff\xff" + bytes(70000)],
                         ids=["amqp", "http", "ssl2", "noise", "too-long"])
def test_what_is_not_tls_is_not_answered(broker, certs, listener, say):
    """No more than an alert comes back, and at once."""
    began = time.monotonic()
    assert answer_of(broker.ports[listener], say)[:1] in (b"", b"\x15")
    assert time.monotonic() - began < 3
    assert converse(broker.ports[listener], context(certs), listener)


@pytest.mark.parametrize("listener, plain", [("amqps", "amqp"), ("https", "http"), ("metrics_tls", "metrics")])
def test_tls_on_a_port_without_it(broker, certs, listener, plain):
    began = time.monotonic()
    assert not converse(broker.ports[plain], context(certs), listener)
    assert time.monotonic() - began < 3, "no client waits"


# ---- Diffie-Hellman ----

DHE = ("--ssl_options.ciphers.1", "DHE-RSA-AES128-GCM-SHA256", "--amqps-listen", "127.0.0.1:0")


def agreed_on(port):
    end = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", "-cipher", "DHE"],
                         stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=20)
    return [line for line in end.stdout.splitlines() if "Server Temp Key" in line]


@pytest.mark.parametrize("group, shown", [(None, "DH, 2048 bits"), ("ffdhe3072", "DH, 3072 bits")])
def test_parameters_of_diffie_hellman(certs, group, shown):
    certs.issue("rsa", key="2048")
    given = ("--ssl_options.dhfile", certs.group("dh.pem", group)) if group else ()
    with Leveret(*DHE, *given, "--tls-certfile", certs.path("rsa.pem"), "--tls-keyfile", certs.path("rsa.key")) as server:
        assert agreed_on(server.amqps_port) == [f"Server Temp Key: {shown}"]


@pytest.mark.parametrize("name, why", [("none.pem", "No such file"), ("server.pem", "no Diffie-Hellman parameters in it")])
def test_parameters_that_are_none(certs, name, why):
    with pytest.raises(RuntimeError, match=f"{name}: {why}"):
        Leveret(*DHE, "--ssl_options.dhfile", certs.path(name), "--tls-certfile", certs.path("server.pem"),
                "--tls-keyfile", certs.path("server.key")).start()


# ---- handshakes ----

def client_hello(certs):
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context(certs).wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("part", ["nothing", "half", "all", "drip"])
def test_a_handshake_that_stops_is_cut_off(broker, certs, listener, part):
    hello = client_hello(certs)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", broker.ports[listener]), 10) as s:
        if part in ("half", "all"):
            s.sendall(hello[:len(hello) // 2] if part == "half" else hello)
        ended = False
        while not ended and time.monotonic() - began < 5:
            s.settimeout(0.1)
            try:
                if part == "drip":
                    s.sendall(hello[:1])
                    hello = hello[1:]
                ended = s.recv(65536) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                ended = True
    assert ended and 0.9 < time.monotonic() - began < 3


def test_many_that_stop_do_not_keep_others_out(broker, certs):
    hello = client_hello(certs)
    stuck = []
    try:
        for _ in range(300):
            s = socket.create_connection(("127.0.0.1", broker.ports["amqps"]), 5)
            s.sendall(hello)
            stuck.append(s)
        began = time.monotonic()
        for _ in range(20):
            assert converse(broker.ports["amqps"], context(certs), "amqps")
        assert time.monotonic() - began < 5
    finally:
        for s in stuck:
            s.close()


@pytest.mark.parametrize("listener", LISTENERS)
def test_renegotiation_again_and_again(broker, certs, listener):
    """Each wish is declined, and costs its client the connection at most."""
    for _ in range(5):
        end = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{broker.ports[listener]}", "-tls1_2"],
                             input=b"R\n" * 20, check=False, capture_output=True, timeout=20)
        assert b"no renegotiation" in end.stderr
    assert converse(broker.ports[listener], context(certs), listener)


# ---- files that change ----

class Visitors:
    """Clients that come all the time, and look at the certificate they are shown."""

    def __init__(self, server, certs, count=3):
        self.server, self.tls = server, context(certs)
        self.names, self.failures, self.visits = set(), [], 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(listener,)) for listener in LISTENERS for _ in range(count)]

    def _run(self, listener):
        say, expect = LISTENERS[listener]
        while not self.stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.server.ports[listener]), 10) as s, \
                        self.tls.wrap_socket(s, server_hostname="localhost") as secret:
                    subject = dict(pair for rdn in secret.getpeercert()["subject"] for pair in rdn)
                    secret.sendall(say)
                    assert secret.recv(1) == expect
                self.names.add(subject["commonName"])
                self.visits += 1
            except (OSError, AssertionError) as error:
                self.failures.append((listener, repr(error)))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)


@pytest.fixture
def changing(certs):
    """A server whose files are `now.pem` and `now.key`, and ways to change them."""
    for name in ("one", "two"):
        if not os.path.exists(certs.path(f"{name}.pem")):
            certs.issue(name, key="ec" if name == "one" else "2048")
    put(certs, "one", "one")
    with TlsLeveret(certs, cert="now") as server:
        yield server
        assert server.is_running()


def put(certs, cert, key):
    shutil.copy(certs.path(f"{cert}.pem"), certs.path("now.pem"))
    shutil.copy(certs.path(f"{key}.key"), certs.path("now.key"))


GOOD, BAD = "TLS certificates read again", "the old ones stay"


def test_files_change_while_clients_come(changing, certs):
    """Not one is turned away, and none sees the certificate of one pair with the key of the other: it could not go on."""
    with Visitors(changing, certs) as visitors:
        for n in range(20):
            new, old = ("two", "one") if n % 2 == 0 else ("one", "two")
            put(certs, new, old)            # half done, as a copy is for a moment
            changing.reload(BAD)
            put(certs, new, new)
            changing.reload(GOOD)
        wait_until(lambda: visitors.visits > 100, 20, "visits")
    assert not visitors.failures, visitors.failures[:5]
    assert visitors.names == {"one", "two"}
    assert "now.key: the key does not belong to the certificate in " in changing.log()


def cut(text, part):
    return text[:int(len(text) * part)]


@pytest.mark.parametrize("name", ["now.key", "now.pem"])
@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9])
def test_a_file_that_was_cut_short(changing, certs, name, part):
    put(certs, "two", "two")
    certs.write(name, cut(certs.read(name), part))
    changing.reload(BAD)
    told = [line for line in changing.log().splitlines() if BAD in line]
    assert all(f"{certs.path(name)}: " in line for line in told), told
    with Visitors(changing, certs, 1) as visitors:
        wait_until(lambda: visitors.visits > 10, 10, "visits")
    assert (visitors.names, visitors.failures) == ({"one"}, [])
    put(certs, "two", "two")
    changing.reload(GOOD)


@pytest.mark.parametrize("why, spoil", [
    ("No such file or directory", lambda path: os.remove(path)),
    ("not a regular file", lambda path: (os.remove(path), os.mkdir(path))),
])
def test_a_file_that_is_gone(changing, certs, why, spoil):
    path = certs.path("now.key")
    spoil(path)
    try:
        changing.reload(BAD)
        assert f"{path}: {why}" in changing.log()
        assert converse(changing.ports["amqps"], context(certs), "amqps")
    finally:
        if os.path.isdir(path):
            os.rmdir(path)


def test_an_expired_certificate_does_not_replace_a_good_one(changing, certs):
    put(certs, "expired", "expired")
    changing.reload(BAD)
    assert "now.pem: the certificate expired on " in changing.log()
    assert converse(changing.ports["https"], context(certs), "https")

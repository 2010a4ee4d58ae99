"""connection.start to open-ok: properties, mechanisms, tuning, virtual hosts, time limits."""

import time

import pytest

from wire import CAPABILITIES, Closed, encode_table

ALL_CAPABILITIES = {
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
    "connection.blocked", "consumer_priorities", "authentication_failure_close",
    "per_consumer_qos", "direct_reply_to"}
SILENT_CLOSE_S = 6          # RabbitMQ waits three seconds before it closes on a stranger


def amqplain(**fields):
    return encode_table(fields)[4:]


def refused(w, code, text, culprit=None):
    """The handshake ends with connection.close."""
    w.expect_connection_close(code, text, culprit)


def turned_away(w):
    """The handshake ends without a word, or with a connection.close; the socket is closed."""
    try:
        message = w.read(0, SILENT_CLOSE_S)
    except Closed:
        return
    assert message.name == "connection.close", message
    w.method(0, "connection.close-ok")
    w.expect_eof(SILENT_CLOSE_S)


def test_start_announces_what_clients_look_for(tcp):
    start = tcp().start()
    properties = start.server_properties
    assert properties["product"] == "RabbitMQ"
    assert set(properties["capabilities"]) == ALL_CAPABILITIES
    assert all(value is True for value in properties["capabilities"].values())
    assert {"version", "platform", "copyright", "information", "cluster_name"} <= set(properties)
    assert {b"PLAIN", b"AMQPLAIN"} <= set(start.mechanisms.split())
    assert start.locales == b"en_US"


@pytest.mark.differs("anonymous-mechanism")
def test_start_announces_anonymous_and_version_4_2(tcp):
    start = tcp().start()
    assert b"ANONYMOUS" in start.mechanisms.split()
    assert start.server_properties["version"] == "4.2.0"


@pytest.mark.parametrize("mechanism, response", [
    ("PLAIN", b"\0guest\0guest"),
    ("AMQPLAIN", amqplain(LOGIN="guest", PASSWORD="guest")),
    ("AMQPLAIN", amqplain(OTHER=5, PASSWORD="guest", LOGIN="guest")),
    pytest.param("PLAIN", b"whoever\0guest\0guest", marks=pytest.mark.differs("plain-authzid")),
    pytest.param("ANONYMOUS", b"", marks=pytest.mark.differs("anonymous-mechanism")),
    pytest.param("ANONYMOUS", b"trace", marks=pytest.mark.differs("anonymous-mechanism"))])
def test_mechanisms(connect, mechanism, response):
    w = connect(mechanism=mechanism, response=response)
    w.open(1)
    w.close()


@pytest.mark.parametrize("mechanism, response", [
    ("PLAIN", b"\0guest\0wrong"), ("PLAIN", b"\0nobody\0guest"), ("PLAIN", b"\0\0"),
    ("PLAIN", b"\0guest\0"), ("AMQPLAIN", amqplain(LOGIN="guest", PASSWORD="wrong"))])
def test_refused_login(tcp, mechanism, response):
    w = tcp()
    w.start()
    w.start_ok(mechanism=mechanism, response=response)
    refused(w, 403, f"ACCESS_REFUSED - Login was refused using authentication mechanism "
                    f"{mechanism}. For details see the broker logfile.")


@pytest.mark.slow
def test_refused_login_without_the_capability_ends_in_silence(tcp):
    w = tcp()
    w.start()
    w.start_ok(response=b"\0guest\0wrong", capabilities={})
    w.expect_eof(SILENT_CLOSE_S)


NO_WAY_IN = [
    ("EXTERNAL", b""), ("", b""), ("plain", b"\0guest\0guest"), ("X" * 255, b""),
    ("PLAIN", b""), ("PLAIN", b"guest"), ("PLAIN", b"\0guest"), ("PLAIN", b"\0a\0b\0c"),
    ("AMQPLAIN", b""), ("AMQPLAIN", b"\x05LOGIN"), ("AMQPLAIN", b"\xff" * 40),
    ("AMQPLAIN", amqplain(LOGIN="guest")), ("AMQPLAIN", amqplain(LOGIN=5, PASSWORD="guest")),
    ("AMQPLAIN", amqplain(LOGIN={}, PASSWORD=["guest"]))]


@pytest.mark.slow
def test_no_way_in_with_a_wrong_mechanism_or_a_malformed_response(tcp):
    """All at the same time: the broker may let strangers wait before it closes."""
    wires = []
    for mechanism, response in NO_WAY_IN:
        w = tcp()
        w.start()
        w.start_ok(mechanism=mechanism, response=response)
        wires.append(w)
    for w in wires:
        turned_away(w)


def test_locale_and_client_properties_do_not_matter(tcp):
    w = tcp()
    w.start()
    w.method(0, "connection.start-ok", client_properties=b"\0\0\0\0", mechanism="PLAIN",
             response=b"\0guest\0guest", locale="xx")
    w.expect(0, "connection.tune")


def test_the_tune_that_is_offered(tcp):
    w = tcp()
    w.start()
    w.start_ok()
    w.expect(0, "connection.tune", channel_max=2047, frame_max=131072, heartbeat=60)


@pytest.mark.parametrize("tune", [
    dict(frame_max=4096), dict(frame_max=8192), dict(frame_max=131071), dict(frame_max=131072),
    dict(channel_max=1), dict(channel_max=2046), dict(heartbeat=0), dict(heartbeat=1),
    dict(heartbeat=65535)])
def test_tune_ok_that_is_accepted(connect, tune):
    connect(**tune).open(1).sync(1)


@pytest.mark.differs("negotiation-refused")
@pytest.mark.parametrize("tune, text", [
    (dict(frame_max=1), "frame_max = 1 is lower than the minimum allowed value (4096)"),
    (dict(frame_max=4095), "frame_max = 4095 is lower than the minimum allowed value (4096)"),
    (dict(frame_max=0),
     "frame_max = 0 (no limit) is higher than the maximum allowed value (131072)"),
    (dict(frame_max=131073),
     "frame_max = 131073 is higher than the maximum allowed value (131072)"),
    (dict(frame_max=2**32 - 1),
     "frame_max = 4294967295 is higher than the maximum allowed value (131072)"),
    (dict(channel_max=0),
     "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
    (dict(channel_max=2048), "channel_max = 2048 is higher than the maximum allowed value (2047)"),
    (dict(channel_max=65535),
     "channel_max = 65535 is higher than the maximum allowed value (2047)")])
def test_tune_ok_that_is_refused(tcp, tune, text):
    w = tcp()
    w.start()
    w.start_ok()
    w.expect(0, "connection.tune")
    w.method(0, "connection.tune-ok", **{"channel_max": 2047, "frame_max": 131072, **tune})
    refused(w, 530, "NOT_ALLOWED - negotiated " + text, "connection.tune")


@pytest.mark.parametrize("vhost", ["nowhere", "", "//", "guest"])
def test_a_virtual_host_that_does_not_exist(tcp, vhost):
    w = tcp()
    w.start()
    w.start_ok()
    w.expect(0, "connection.tune")
    w.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072)
    w.method(0, "connection.open", virtual_host=vhost)
    refused(w, 530, f"NOT_ALLOWED - vhost {vhost} not found", "connection.open")


@pytest.mark.slow
def test_the_handshake_has_ten_seconds(connect, tcp):
    """For all of it, not for each byte; afterwards there is no limit."""
    began = time.monotonic()
    logged_in = connect().open(1)
    silent = [tcp() for _ in range(4)]
    silent[1].write(b"AMQP")
    silent[2].start()
    silent[3].start()
    silent[3].write(b"\x01\x00\x00\x00\x00\x10")
    dripping = tcp()
    dripping.start()
    dripping.write(b"\x01\x00\x00\x00\x00\x10\x00")
    while time.monotonic() - began < 16:
        dripping.write(b"\0")
        try:
            dripping.read_bytes(1, 0.25)
        except TimeoutError:
            continue
        except Closed:
            break
    assert 8 < time.monotonic() - began < 16
    for w in silent:
        w.expect_eof(5)
    logged_in.sync(1)


def test_capabilities_of_the_client_may_be_of_any_type(tcp):
    w = tcp()
    w.start()
    w.start_ok(capabilities=dict(CAPABILITIES, consumer_cancel_notify="yes", more=[1, {}]))
    w.expect(0, "connection.tune")

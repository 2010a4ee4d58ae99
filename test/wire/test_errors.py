"""The error table: what a client does wrong, and which channel.close or connection.close it gets.

Texts are those of RabbitMQ 4. One row: situation, methods that go well, the method that fails, and
the close. Q, X and R stand for names of this test alone.
"""

import pytest

from wire import METHODS, WITH_CONTENT

LOCKED = ("RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'Q' in vhost '/'. It "
          "could be originally declared on another connection or the exclusive property value does "
          "not match that of the original declaration.")
DEFAULT = "ACCESS_REFUSED - operation not permitted on the default exchange"
TAG = "PRECONDITION_FAILED - unknown delivery tag 1"


def m(name, **fields):
    return name, fields


def differing(exchange, current, again, text):
    """A second exchange.declare that is not equivalent."""
    return ([m("exchange.declare", exchange="X", **current)],
            m("exchange.declare", exchange="X", **again), 406,
            f"PRECONDITION_FAILED - inequivalent arg {text}") if exchange else (
        [m("queue.declare", queue="Q", **current)], m("queue.declare", queue="Q", **again), 406,
        f"PRECONDITION_FAILED - inequivalent arg {text}")


def bad_argument(text, **arguments):
    arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
    key = list(arguments)[-1]
    return ([], m("queue.declare", queue="Q", arguments=arguments), 406,
            f"PRECONDITION_FAILED - invalid arg '{key}' for queue 'Q' in vhost '/': {text}")


QUEUE = m("queue.declare", queue="Q")
EXCLUSIVE = m("queue.declare", queue="Q", exclusive=True)
EXCHANGE = m("exchange.declare", exchange="X", type="direct")

CHANNEL_ERRORS = {
    # exchange
    "declare the default exchange": ([], m("exchange.declare", exchange="", type="direct"), 403,
                                     DEFAULT),
    "delete the default exchange": ([], m("exchange.delete", exchange=""), 403, DEFAULT),
    "bind from the default exchange": (
        [EXCHANGE], m("exchange.bind", source="", destination="X"), 403, DEFAULT),
    "bind to the default exchange": (
        [EXCHANGE], m("exchange.bind", source="X", destination=""), 403, DEFAULT),
    "unbind from the default exchange": (
        [], m("exchange.unbind", source="", destination="X"), 403, DEFAULT),
    "queue.bind to the default exchange": (
        [QUEUE], m("queue.bind", queue="Q", exchange=""), 403, DEFAULT),
    "queue.unbind from the default exchange": (
        [QUEUE], m("queue.unbind", queue="Q", exchange=""), 403, DEFAULT),
    "create amq.foo": ([], m("exchange.declare", exchange="amq.foo", type="direct"), 403,
                       "ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'"),
    "delete amq.direct": ([], m("exchange.delete", exchange="amq.direct"), 403,
                          "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' "
                          "not allowed"),
    "other type": differing(True, dict(type="direct"), dict(type="topic"),
                            "'type' for exchange 'X' in vhost '/': received 'topic' but current "
                            "is 'direct'"),
    "other durable": differing(True, dict(type="direct"), dict(type="direct", durable=True),
                               "'durable' for exchange 'X' in vhost '/': received 'true' but "
                               "current is 'false'"),
    "other auto_delete": differing(True, dict(type="direct"),
                                   dict(type="direct", auto_delete=True),
                                   "'auto_delete' for exchange 'X' in vhost '/': received 'true' "
                                   "but current is 'false'"),
    "other internal": differing(True, dict(type="direct"), dict(type="direct", internal=True),
                                "'internal' for exchange 'X' in vhost '/': received 'true' but "
                                "current is 'false'"),
    "other alternate": differing(
        True, dict(type="direct", arguments={"alternate-exchange": "a"}),
        dict(type="direct", arguments={"alternate-exchange": "b"}),
        "'alternate-exchange' for exchange 'X' in vhost '/': received 'b' but current is 'a'"),
    "alternate is a number": (
        [], m("exchange.declare", exchange="X", type="direct",
              arguments={"alternate-exchange": 5}), 406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange "
        "'X' in vhost '/'"),
    "no such exchange": ([], m("exchange.declare", exchange="X", passive=True), 404,
                         "NOT_FOUND - no exchange 'X' in vhost '/'"),
    "bind, no source": ([EXCHANGE], m("exchange.bind", source="R", destination="X"), 404,
                        "NOT_FOUND - no exchange 'R' in vhost '/'"),
    "bind, no destination": ([EXCHANGE], m("exchange.bind", source="X", destination="R"), 404,
                             "NOT_FOUND - no exchange 'R' in vhost '/'"),
    "exchange in use": ([EXCHANGE, QUEUE, m("queue.bind", queue="Q", exchange="X")],
                        m("exchange.delete", exchange="X", if_unused=True), 406,
                        "PRECONDITION_FAILED - exchange 'X' in vhost '/' in use"),
    "x-match value": ([QUEUE], m("queue.bind", queue="Q", exchange="amq.headers",
                                 arguments={"x-match": "foo"}), 406,
                      "PRECONDITION_FAILED - Invalid x-match field value <<\"foo\">>; expected "
                      "all, any, all-with-x, or any-with-x"),
    "x-match type": ([QUEUE], m("queue.bind", queue="Q", exchange="amq.headers",
                                arguments={"x-match": 1}), 406,
                     "PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); "
                     "expected longstr"),
    # queue
    "declare amq.foo": ([], m("queue.declare", queue="amq.foo"), 403,
                        "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'"),
    "other queue durable": differing(False, dict(durable=True), dict(),
                                     "'durable' for queue 'Q' in vhost '/': received 'false' but "
                                     "current is 'true'"),
    "other queue auto_delete": differing(False, dict(auto_delete=True), dict(),
                                         "'auto_delete' for queue 'Q' in vhost '/': received "
                                         "'false' but current is 'true'"),
    "argument too many": differing(False, dict(), dict(arguments={"x-message-ttl": 10}),
                                   "'x-message-ttl' for queue 'Q' in vhost '/': received the "
                                   "value '10' of type 'signedint' but current is none"),
    "argument missing": differing(False, dict(arguments={"x-message-ttl": 10}), dict(),
                                  "'x-message-ttl' for queue 'Q' in vhost '/': received none but "
                                  "current is the value '10' of type 'signedint'"),
    "argument differs": differing(False, dict(arguments={"x-max-length": 10}),
                                  dict(arguments={"x-max-length": 11}),
                                  "'x-max-length' for queue 'Q' in vhost '/': received '11' but "
                                  "current is '10'"),
    "exclusive or not": ([QUEUE], EXCLUSIVE, 405, LOCKED),
    "no such queue": ([], m("queue.declare", queue="Q", passive=True), 404,
                      "NOT_FOUND - no queue 'Q' in vhost '/'"),
    "no last queue": ([], m("queue.purge", queue=""), 404,
                      "NOT_FOUND - no previously declared queue"),
    "bind, no queue": ([], m("queue.bind", queue="Q", exchange="amq.direct"), 404,
                       "NOT_FOUND - no queue 'Q' in vhost '/'"),
    "bind, no exchange": ([QUEUE], m("queue.bind", queue="Q", exchange="X"), 404,
                          "NOT_FOUND - no exchange 'X' in vhost '/'"),
    "purge, no queue": ([], m("queue.purge", queue="Q"), 404,
                        "NOT_FOUND - no queue 'Q' in vhost '/'"),
    "ttl negative": bad_argument("{value_negative,-1}", x_message_ttl=-1),
    "ttl too large": bad_argument("{value_too_large,315360000001}", x_message_ttl=315360000001),
    "ttl text": bad_argument('"expected integer, got longstr"', x_message_ttl="1"),
    "expires zero": bad_argument("{value_zero,0}", x_expires=0),
    "priority too large": bad_argument("{max_value_exceeded,256}", x_max_priority=256),
    "overflow": bad_argument("invalid_overflow", x_overflow="foo"),
    "queue type": bad_argument('"unsupported queue type \'foo\'"', x_queue_type="foo"),
    "queue type number": bad_argument("{unacceptable_type,signedint}", x_queue_type=1),
    "single active text": bad_argument("{unacceptable_type,longstr}",
                                       x_single_active_consumer="yes"),
    "dead letter key alone": bad_argument("routing_key_but_no_dlx_defined",
                                          x_dead_letter_routing_key="k"),
    "dead letter number": (
        [], m("queue.declare", queue="Q", arguments={"x-dead-letter-exchange": 1}), 406,
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue "
        "'Q' in vhost '/'"),
    "queue in use": ([QUEUE, m("basic.consume", queue="Q")],
                     m("queue.delete", queue="Q", if_unused=True), 406,
                     "PRECONDITION_FAILED - queue 'Q' in vhost '/' in use"),
    "queue not empty": ([QUEUE, m("basic.publish", routing_key="Q")],
                        m("queue.delete", queue="Q", if_empty=True), 406,
                        "PRECONDITION_FAILED - queue 'Q' in vhost '/' not empty"),
    # basic
    "publish, no exchange": ([], m("basic.publish", exchange="X"), 404,
                             "NOT_FOUND - no exchange 'X' in vhost '/'"),
    "publish, internal exchange": (
        [m("exchange.declare", exchange="X", type="fanout", internal=True)],
        m("basic.publish", exchange="X"), 403,
        "ACCESS_REFUSED - cannot publish to internal exchange 'X' in vhost '/'"),
    "expiration": ([], m("basic.publish", props=dict(expiration="abc")), 406,
                   "PRECONDITION_FAILED - invalid expiration 'abc': no_integer"),
    "expiration unit": ([], m("basic.publish", props=dict(expiration="5ms")), 406,
                        "PRECONDITION_FAILED - invalid expiration '5ms': {leftover_string,\"ms\"}"),
    "user-id": ([], m("basic.publish", props=dict(user_id="a")), 406,
                "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was "
                "'guest'"),
    "ack": ([], m("basic.ack", delivery_tag=1), 406, TAG),
    "ack multiple": ([], m("basic.ack", delivery_tag=1, multiple=True), 406, TAG),
    "ack zero": ([], m("basic.ack", delivery_tag=0), 406, TAG.replace("1", "0")),
    "nack": ([], m("basic.nack", delivery_tag=1, requeue=True), 406, TAG),
    "reject": ([], m("basic.reject", delivery_tag=1, requeue=True), 406, TAG),
    "get, no queue": ([], m("basic.get", queue="Q"), 404, "NOT_FOUND - no queue 'Q' in vhost '/'"),
    "consume, no queue": ([], m("basic.consume", queue="Q"), 404,
                          "NOT_FOUND - no queue 'Q' in vhost '/'"),
    "exclusive consumer there": (
        [QUEUE, m("basic.consume", queue="Q", exclusive=True)], m("basic.consume", queue="Q"), 403,
        "ACCESS_REFUSED - queue 'Q' in vhost '/' in exclusive use"),
    "exclusive consumer late": (
        [QUEUE, m("basic.consume", queue="Q")], m("basic.consume", queue="Q", exclusive=True), 403,
        "ACCESS_REFUSED - queue 'Q' in vhost '/' in exclusive use"),
    "reply consumer with acks": (
        [], m("basic.consume", queue="amq.rabbitmq.reply-to"), 406,
        "PRECONDITION_FAILED - reply consumer cannot acknowledge"),
    "reply consumer twice": (
        [m("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)],
        m("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True), 406,
        "PRECONDITION_FAILED - reply consumer already set"),
    "no reply consumer": ([], m("basic.publish", props=dict(reply_to="amq.rabbitmq.reply-to")),
                          406, "PRECONDITION_FAILED - fast reply consumer does not exist"),
    # confirm, tx
    "tx on a confirm channel": ([m("confirm.select")], m("tx.select"), 406,
                                "PRECONDITION_FAILED - cannot switch from confirm to tx mode"),
    "confirm on a tx channel": ([m("tx.select")], m("confirm.select"), 406,
                                "PRECONDITION_FAILED - cannot switch from tx to confirm mode"),
    "commit": ([], m("tx.commit"), 406, "PRECONDITION_FAILED - channel is not transactional"),
    "rollback": ([], m("tx.rollback"), 406, "PRECONDITION_FAILED - channel is not transactional"),
}

# Where RabbitMQ 3.10 still answered otherwise, by the ids of docs/compat/rabbitmq.md.
CHANNEL_ERRORS_OF_4 = {
    "exchange-type": ([], m("exchange.declare", exchange="X", type="foo-bar-3"), 406,
                      "PRECONDITION_FAILED - unknown exchange type 'foo-bar-3'"),
    "topic-hash-limit": ([QUEUE], m("queue.bind", queue="Q", exchange="amq.topic",
                                routing_key="#.a.#.b.#"), 406,
                     "PRECONDITION_FAILED - Topic binding key '#.a.#.b.#' uses 3 '#' wildcards, "
                     "at most 2 are allowed"),
    "cc-error-text": ([], m("basic.publish", props=dict(headers={"CC": "a"})), 406,
           "PRECONDITION_FAILED - invalid message: "
           "{unacceptable_type_in_header,<<\"CC\">>,longstr}"),
    "reply-to-bind": ([], m("queue.bind", queue="amq.rabbitmq.reply-to", exchange="amq.direct"),
                      403, "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) "
                           "queue"),
    "max-message-size": ([], m("basic.publish", body=b"x" * (16777216 + 1)), 406,
                        "PRECONDITION_FAILED - message size 16777217 is larger than configured "
                        "max size 16777216"),
}

CONNECTION_ERRORS = {
    "flow off": ([], m("channel.flow", active=False), 540, "NOT_IMPLEMENTED - active=false"),
    "prefetch size": ([], m("basic.qos", prefetch_size=7), 540,
                      "NOT_IMPLEMENTED - prefetch_size!=0 (7)"),
    "immediate": ([], m("basic.publish", immediate=True), 540, "NOT_IMPLEMENTED - immediate=true"),
    "recover without requeue": ([], m("basic.recover"), 540, "NOT_IMPLEMENTED - requeue=false"),
    "recover-async without requeue": ([], m("basic.recover-async"), 540,
                                      "NOT_IMPLEMENTED - requeue=false"),
    "consumer tag twice": (
        [QUEUE, m("basic.consume", queue="Q", consumer_tag="t")],
        m("basic.consume", queue="Q", consumer_tag="t"), 530,
        "NOT_ALLOWED - attempt to reuse consumer tag 't'"),
    "channel twice": ([], m("channel.open"), 504, "CHANNEL_ERROR - second 'channel.open' seen"),
}


@pytest.fixture
def names(connect, request):
    """Makes Q, X and R unique, and takes them away again."""
    unique = {letter: f"{letter}.{abs(hash(request.node.name)) % 10**8}" for letter in "QXR"}

    def rename(value):
        if isinstance(value, str):
            for letter, name in unique.items():
                value = name if value == letter else value.replace(f"'{letter}'", f"'{name}'")
        return value
    yield rename
    w = connect().open(1)
    w.call(1, "queue.delete", queue=unique["Q"])
    w.call(1, "exchange.delete", exchange=unique["X"])


def say(w, call, rename):
    name, fields = call
    fields = {key: rename(value) for key, value in fields.items()}
    if name in WITH_CONTENT:
        w.publish(1, fields.pop("body", b""), fields.pop("props", b"\0\0"), **fields)
        return
    w.method(1, name, **fields)


def play(w, row, rename):
    before, failing, code, text = row
    for call in before:
        say(w, call, rename)
        if call[0] + "-ok" in METHODS:
            w.expect(1, call[0] + "-ok")
    say(w, failing, rename)
    return code, rename(text), failing[0]


@pytest.mark.parametrize("situation", CHANNEL_ERRORS)
def test_channel_error(w, names, situation):
    """The channel is closed; its connection and its other channels live, and so may it again."""
    w.open(2)
    w.expect_channel_close(1, *play(w, CHANNEL_ERRORS[situation], names))
    w.sync(2)
    w.open(1).sync(1)


@pytest.mark.parametrize("difference", [pytest.param(i, marks=pytest.mark.differs(i))
                                        for i in CHANNEL_ERRORS_OF_4])
def test_channel_error_of_4(w, names, difference):
    w.expect_channel_close(1, *play(w, CHANNEL_ERRORS_OF_4[difference], names))
    w.open(1).sync(1)


@pytest.mark.parametrize("situation", CONNECTION_ERRORS)
def test_connection_error(w, names, situation):
    w.expect_connection_close(*play(w, CONNECTION_ERRORS[situation], names))


@pytest.mark.parametrize("name, fields, culprit", [
    ("queue.declare", {"passive": True}, "queue.declare"), ("queue.bind", {}, "queue.bind"),
    ("queue.unbind", {}, "queue.unbind"), ("queue.purge", {}, "queue.purge"),
    ("queue.delete", {}, "queue.delete"), ("basic.consume", {}, "basic.consume"),
    ("basic.get", {}, "basic.get")])
def test_an_exclusive_queue_of_another_connection(w, q, connect, name, fields, culprit):
    w.call(1, "queue.bind", queue=q, exchange="amq.direct")
    other = connect().open(1)
    more = {"exchange": "amq.direct"} if "bind" in name else {}
    other.method(1, name, queue=q, **fields, **more)
    other.expect_channel_close(1, 405, LOCKED.replace("'Q'", f"'{q}'"), culprit)


@pytest.mark.parametrize("name, fields", [
    ("queue.delete", {"queue": "never.was"}), ("exchange.delete", {"exchange": "never.was"}),
    ("queue.unbind", {"queue": "never.was", "exchange": "never.was"}),
    ("exchange.unbind", {"source": "never.was", "destination": "never.was"}),
    ("basic.cancel", {"consumer_tag": "never.was"}),
    ("queue.delete", {"queue": "never.was", "if_unused": True, "if_empty": True})])
def test_taking_away_what_is_not_there_is_no_error(w, name, fields):
    w.call(1, name, **fields)


@pytest.mark.parametrize("name, fields, failing", [
    ("queue.declare", {"passive": True}, True), ("queue.bind", {"exchange": "amq.direct"}, True),
    ("queue.purge", {}, True), ("queue.delete", {}, False), ("basic.consume", {}, True)])
def test_no_wait_is_silent_unless_it_fails(w, name, fields, failing):
    w.method(1, name, queue="never.was", no_wait=True, **fields)
    if failing:
        w.expect_channel_close(1, 404, "NOT_FOUND - no queue 'never.was' in vhost '/'", name)
    else:
        w.sync(1)

"""Who gets which message when: consumers, acknowledgements, requeueing, confirms, transactions."""

import pytest



@pytest.fixture
def other(connect):
    return connect().open(1)


def fill(w, q, *bodies):
    for body in bodies:
        w.publish(1, body, routing_key=q)
    w.sync(1)


def get(w, q, channel=1, **fields):
    return w.call(channel, "basic.get", answer="basic.get-ok", queue=q, **fields)


def ready(w, q):
    return w.call(1, "queue.declare", queue=q, passive=True).message_count


def until(check):
    """Repeats a call until it is true; the broker settles some things after its answer."""
    for _ in range(400):
        if check():
            return
    raise AssertionError("never became true")


def settled(w, channel, count):
    """Sequence numbers acked, in the order they became so."""
    tags = []
    while len(tags) < count:
        ack = w.expect(channel, "basic.ack")
        low = (max(tags, default=0) + 1) if ack.multiple else ack.delivery_tag
        tags += [t for t in range(low, ack.delivery_tag + 1) if t not in tags]
    return tags


# consumers

def test_consume_ok_comes_before_the_first_delivery(w, q):
    fill(w, q, b"1", b"2", b"3")
    w.method(1, "basic.consume", queue=q, consumer_tag="c", no_ack=True)
    w.expect(1, "basic.consume-ok", consumer_tag="c")
    for tag, body in ((1, b"1"), (2, b"2"), (3, b"3")):
        assert w.expect(1, "basic.deliver", delivery_tag=tag, consumer_tag="c",
                        redelivered=False, exchange="", routing_key=q).body == body


def test_nothing_is_delivered_after_cancel_ok(w, q):
    w.call(1, "basic.consume", queue=q, consumer_tag="c", no_ack=True)
    w.call(1, "basic.cancel", consumer_tag="c")
    fill(w, q, b"1")
    w.quiet(1)
    assert ready(w, q) == 1


def test_deliveries_of_a_thousand_messages_keep_their_order(w, q, other):
    w.call(1, "basic.consume", queue=q, no_ack=True)
    for n in range(1000):
        other.publish(1, str(n).encode(), routing_key=q)
    assert [int(w.expect(1, "basic.deliver").body) for _ in range(1000)] == list(range(1000))


def test_round_robin(w, q, other):
    for tag in ("a", "b", "c"):
        w.call(1, "basic.consume", queue=q, consumer_tag=tag, no_ack=True)
    tags = []
    for _ in range(6):
        fill(other, q, b"x")
        tags.append(w.expect(1, "basic.deliver").consumer_tag)
    assert tags == tags[:3] * 2 and set(tags) == {"a", "b", "c"}


def test_prefetch(w, q):
    fill(w, q, b"1", b"2", b"3", b"4")
    w.call(1, "basic.qos", prefetch_count=2)
    w.call(1, "basic.consume", queue=q)
    w.expect(1, "basic.deliver", delivery_tag=1)
    w.expect(1, "basic.deliver", delivery_tag=2)
    w.quiet(1)
    w.method(1, "basic.ack", delivery_tag=2, multiple=True)
    w.expect(1, "basic.deliver", delivery_tag=3)
    w.expect(1, "basic.deliver", delivery_tag=4)


def test_a_deleted_queue_cancels_its_consumers(w, other):
    q = other.call(1, "queue.declare").queue
    w.call(1, "basic.consume", queue=q, consumer_tag="c")
    assert other.call(1, "queue.delete", queue=q).message_count == 0
    w.expect(1, "basic.cancel", consumer_tag="c", no_wait=True)


@pytest.mark.differs("cancel-ok")
def test_cancel_ok_from_the_client_is_welcome(w):
    w.method(1, "basic.cancel-ok", consumer_tag="c")
    w.sync(1)


def test_a_client_that_does_not_know_consumer_cancel_is_not_told(connect, other):
    w = connect(capabilities={}).open(1)
    q = other.call(1, "queue.declare").queue
    w.call(1, "basic.consume", queue=q)
    other.call(1, "queue.delete", queue=q)
    w.quiet(1)
    w.sync(1)


def test_connection_blocked_is_not_sent_without_a_reason(w, q):
    for _ in range(2000):
        w.publish(1, b"x" * 1000, routing_key=q)
    w.sync(1)
    w.quiet(0, 0.05)


# the exact-tag rule

def test_acks_must_name_a_tag_that_is_still_open(w, q):
    fill(w, q, b"1", b"2", b"3")
    for _ in range(3):
        get(w, q)
    w.method(1, "basic.ack", delivery_tag=2)
    w.method(1, "basic.ack", delivery_tag=2, multiple=True)
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2", "basic.ack")
    w.open(1)
    until(lambda: ready(w, q) == 2)         # nothing was settled by the ack that failed
    assert [get(w, q).body for _ in range(2)] == [b"1", b"3"]


def test_ack_beyond_the_newest_tag_settles_nothing(w, q):
    fill(w, q, b"1")
    get(w, q)
    w.method(1, "basic.ack", delivery_tag=2, multiple=True)
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 2", "basic.ack")
    w.open(1)
    until(lambda: ready(w, q) == 1)


def test_tag_zero_with_multiple_is_everything_and_never_an_error(w, q):
    w.method(1, "basic.ack", delivery_tag=0, multiple=True)
    w.method(1, "basic.nack", delivery_tag=0, multiple=True, requeue=True)
    fill(w, q, b"1", b"2")
    get(w, q)
    get(w, q)
    w.method(1, "basic.ack", delivery_tag=0, multiple=True)
    w.call(1, "channel.close", reply_code=200)
    w.open(1)
    assert ready(w, q) == 0


def test_a_no_ack_delivery_cannot_be_acked(w, q):
    fill(w, q, b"1")
    get(w, q, no_ack=True)
    w.method(1, "basic.ack", delivery_tag=1)
    w.expect_channel_close(1, 406, "PRECONDITION_FAILED - unknown delivery tag 1", "basic.ack")


def test_tags_belong_to_their_channel(w, q):
    fill(w, q, b"1")
    get(w, q)
    w.open(2)
    w.method(2, "basic.ack", delivery_tag=1)
    w.expect_channel_close(2, 406, "PRECONDITION_FAILED - unknown delivery tag 1", "basic.ack")
    w.method(1, "basic.ack", delivery_tag=1)
    w.sync(1)


# coming back

@pytest.mark.parametrize("give_back", [
    lambda w: [w.method(1, "basic.reject", delivery_tag=t, requeue=True) for t in (3, 1, 2)],
    lambda w: [w.method(1, "basic.nack", delivery_tag=t, requeue=True) for t in (2, 3, 1)],
    lambda w: w.method(1, "basic.nack", delivery_tag=3, multiple=True, requeue=True),
    lambda w: w.method(1, "basic.nack", delivery_tag=0, multiple=True, requeue=True),
    lambda w: w.call(1, "basic.recover", requeue=True),
    lambda w: w.method(1, "basic.recover-async", requeue=True),
    lambda w: (w.call(1, "channel.close", reply_code=200), w.open(1))],
    ids=["reject", "nack", "nack multiple", "nack all", "recover", "recover-async", "close"])
def test_requeued_messages_go_to_their_old_place(w, q, give_back):
    fill(w, q, b"1", b"2", b"3", b"4")
    for _ in range(3):
        get(w, q)
    give_back(w)
    until(lambda: ready(w, q) == 4)
    got = [get(w, q, no_ack=True) for _ in range(4)]
    assert [g.body for g in got] == [b"1", b"2", b"3", b"4"]
    assert [g.redelivered for g in got] == [True, True, True, False]


def test_a_lost_connection_gives_its_messages_back(connect, other):
    w = connect().open(1)
    q = w.call(1, "queue.declare").queue
    fill(w, q, b"1", b"2")
    get(w, q)
    w.close_socket()
    until(lambda: ready(other, q) == 2)
    assert [get(other, q).redelivered for _ in range(2)] == [True, False]
    other.call(1, "queue.delete", queue=q)


# queues that end

def test_an_exclusive_queue_is_gone_before_close_ok(w, q, other):
    w.method(0, "connection.close", reply_code=200)
    w.expect(0, "connection.close-ok")
    other.method(1, "queue.declare", queue=q, passive=True)
    other.expect_channel_close(1, 404, f"NOT_FOUND - no queue '{q}' in vhost '/'", "queue.declare")


@pytest.mark.parametrize("end", [
    lambda w: w.call(1, "basic.cancel", consumer_tag="c"),
    lambda w: w.call(1, "channel.close", reply_code=200),
    lambda w: w.close(), lambda w: w.close_socket()],
    ids=["cancel", "channel.close", "connection.close", "lost"])
def test_an_auto_delete_queue_goes_with_its_last_consumer(connect, other, end):
    w = connect().open(1)
    q = other.call(1, "queue.declare", auto_delete=True).queue
    w.call(1, "basic.consume", queue=q, consumer_tag="c")
    end(w)

    def is_gone():
        other.method(1, "queue.declare", queue=q, passive=True)
        answer = other.read(1)
        if answer.name == "channel.close":
            other.method(1, "channel.close-ok")
        return answer.name == "channel.close"
    until(is_gone)


def test_an_auto_delete_queue_without_a_past_consumer_stays(w):
    q = w.call(1, "queue.declare", auto_delete=True).queue
    w.call(1, "basic.get", answer="basic.get-empty", queue=q)
    w.call(1, "channel.close", reply_code=200)
    w.open(1)
    w.call(1, "queue.delete", queue=q)


# confirms and transactions

def test_confirms_count_from_one_and_cover_everything(w, q):
    w.publish(1, b"before", routing_key=q)
    w.call(1, "confirm.select")
    for _ in range(500):
        w.publish(1, b"x", routing_key=q)
    assert sorted(settled(w, 1, 500)) == list(range(1, 501))


def test_return_comes_before_ack(w):
    w.call(1, "confirm.select")
    w.publish(1, b"back", routing_key="nowhere", mandatory=True)
    assert w.expect(1, "basic.return", reply_code=312, reply_text="NO_ROUTE", exchange="",
                    routing_key="nowhere").body == b"back"
    w.expect(1, "basic.ack", delivery_tag=1)


def test_returns_and_acks_of_many_keep_their_order(w, q):
    w.call(1, "confirm.select")
    for n in range(100):
        w.publish(1, str(n).encode(), mandatory=True, routing_key=q if n % 3 else "nowhere")
    returned, acked, oldest = set(), set(), 1
    while len(acked) < 100:
        message = w.read(1)
        if message.name == "basic.return":
            returned.add(int(message.body))
            continue
        low = oldest if message.multiple else message.delivery_tag
        acked |= set(range(low, message.delivery_tag + 1))
        while oldest in acked:
            oldest += 1
        assert all(tag - 1 in returned for tag in acked if (tag - 1) % 3 == 0), message
    assert len(returned) == 34


def test_tx(w, q, other):
    w.call(1, "tx.select")
    w.publish(1, b"1", routing_key=q)
    w.publish(1, b"2", routing_key=q)
    assert ready(w, q) == 0
    w.call(1, "tx.commit")
    assert ready(w, q) == 2
    w.publish(1, b"3", routing_key=q)
    w.call(1, "tx.rollback")
    assert ready(w, q) == 2
    get(w, q)
    w.method(1, "basic.ack", delivery_tag=1)
    w.call(1, "tx.rollback")
    w.quiet(1)
    w.method(1, "basic.ack", delivery_tag=1)
    w.call(1, "tx.commit")
    assert get(w, q).body == b"2"
    del other


def test_a_mandatory_message_in_a_transaction_returns_before_commit_ok(w):
    w.call(1, "tx.select")
    w.publish(1, b"x", routing_key="nowhere", mandatory=True)
    w.method(1, "tx.commit")
    w.expect(1, "basic.return")
    w.expect(1, "tx.commit-ok")


# direct reply-to

def test_direct_reply_to(w, q, other):
    w.call(1, "basic.consume", queue="amq.rabbitmq.reply-to", consumer_tag="r", no_ack=True)
    w.publish(1, b"question", dict(reply_to="amq.rabbitmq.reply-to", correlation_id="7"),
              routing_key=q)
    w.sync(1)
    address = get(w, q).properties["reply_to"]
    assert address.startswith("amq.rabbitmq.reply-to.") and len(address) > 30
    assert other.call(1, "queue.declare", queue=address, passive=True).consumer_count == 1
    other.publish(1, b"answer", dict(correlation_id="7"), routing_key=address)
    answer = w.expect(1, "basic.deliver", consumer_tag="r", exchange="", routing_key=address)
    assert (answer.body, answer.properties) == (b"answer", {"correlation_id": "7"})


def test_direct_reply_to_somebody_who_left(connect, other):
    w = connect().open(1)
    q = other.call(1, "queue.declare", exclusive=True).queue
    w.call(1, "basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)
    w.publish(1, b"", dict(reply_to="amq.rabbitmq.reply-to"), routing_key=q)
    w.sync(1)
    address = get(other, q).properties["reply_to"]
    w.close()
    other.call(1, "confirm.select")
    other.publish(1, b"late", routing_key=address, mandatory=True)
    assert other.expect(1, "basic.return").body == b"late"
    other.expect(1, "basic.ack", delivery_tag=1)


@pytest.mark.parametrize("address", ["amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.x",
                                     "amq.rabbitmq.reply-to." + "A" * 200])
def test_made_up_reply_addresses_reach_nobody(w, address):
    w.publish(1, b"x", routing_key=address, mandatory=True)
    w.expect(1, "basic.return", reply_code=312)



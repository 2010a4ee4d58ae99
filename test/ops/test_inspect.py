"""`leveret inspect` on what a real leveretd left behind: the whole of it told, damage found and located, nothing changed."""
import glob
import hashlib
import json
import os
import shutil
import subprocess

import pika
import pytest

from support.broker import ROOT, Leveret
from support.net import wait_until

LEVERET = os.environ.get("LEVERET") or os.path.join(ROOT, "build", "release", "leveret")
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_TEMPFAIL = 64, 65, 66, 75
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def inspect(*args):
    return subprocess.run([LEVERET, "inspect", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)


def facts(path, code=0):
    done = inspect("--json", "--queues", path)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def sums(path):
    return {name: hashlib.sha256(open(name, "rb").read()).hexdigest() for name in sorted(glob.glob(f"{path}/*"))}


def queue_of(found, name):
    return next(q for q in found["queue_list"] if q["name"] == name)


@pytest.fixture(scope="module", name="left", params=["stopped", "killed"])
def left_behind(request, tmp_path_factory):
    """The data of a broker that had some of everything: (its folder, how it ended)."""
    kept = str(tmp_path_factory.mktemp("kept") / "data")
    with Leveret() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("x", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
        for name in ("held", "taken", "gone"):
            channel.queue_declare(name, durable=True, arguments={"x-max-length": 9000})
            channel.queue_bind(name, "x", f"{name}.#")
        channel.exchange_declare("passing", "fanout")
        channel.queue_delete("gone")
        channel.queue_declare("gone", durable=True)         # without its binding
        for i in range(300):
            channel.basic_publish("x", "held.a", b"%03d" % i + b"b" * 97, PERSISTENT)
        channel.basic_publish("", "held", b"L" * 3_000_000, PERSISTENT)     # in parts
        for i in range(10):
            channel.basic_publish("", "taken", b"t", PERSISTENT)
        for _ in range(4):
            method, _, _ = channel.basic_get("taken")
            channel.basic_ack(method.delivery_tag)
        channel.basic_get("taken")                          # handed out, never settled
        channel.basic_publish("", "taken", b"last", PERSISTENT)
        data = os.path.join(broker.dir, "data")
        busy = inspect(data)
        assert busy.returncode == EX_TEMPFAIL and "a broker has it" in busy.stderr
        assert facts_of_live(data)["live"]
        if request.param == "killed":
            broker.process.kill()
            broker.process.wait()
        else:
            connection.close()
            broker.process.terminate()
            broker.process.wait()
        shutil.copytree(data, kept, ignore=shutil.ignore_patterns("*.sock"))
    return kept, request.param


def facts_of_live(path):
    done = inspect("--force", "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_everything_is_told(left):
    path, how = left
    before = sums(path)
    found = facts(path)
    assert sums(path) == before
    assert found["good"] and not found["live"] and (found["queues"], found["exchanges"], found["bindings"]) == (3, 1, 2)
    held, taken, gone = (queue_of(found, name) for name in ("held", "taken", "gone"))
    assert held["messages"] == 301 and held["bytes"] == 300 * 100 + 3_000_000 and held["redelivered"] == 0
    assert held["arguments"] == {"x-max-length": 9000}
    assert taken["messages"] == 7 and taken["redelivered"] >= 1 and gone["messages"] == 0
    assert found["messages"]["files"][0]["records"]["part"] >= 3
    assert sum(file["alive"] for file in found["messages"]["files"]) >= 308
    assert found["stopped"] == (how == "stopped") and (found["checkpoint"] is not None or how == "killed")


def test_as_text(left):
    path, _ = left
    done = inspect("--queues", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'queue "held" in "/": id ' in done.stdout and ", 301 messages, " in done.stdout
    assert 'exchange "x" in "/": topic, alternate "amq.fanout"' in done.stdout
    assert 'binding "x" to queue "held", key "held.#"' in done.stdout
    assert done.stdout.endswith("all is good\n")
    quiet = inspect("--verify", path)
    assert quiet.returncode == 0 and "DAMAGED" not in quiet.stdout


def test_records(left):
    path, _ = left
    lines = [json.loads(line) for line in inspect("--records", "--json", path).stdout.splitlines()]
    assert "good" in lines[-1]
    kinds = {(line["log"], line["type"]) for line in lines[:-1]}
    assert {("topology", "put"), ("topology", "del"), ("messages", "message"), ("messages", "part"),
            ("messages", "drop"), ("messages", "mark")} <= kinds
    assert all(line["bytes"] < 1 << 24 and line["offset"] >= 64 for line in lines[:-1])


def flip(path, file, offset):
    with open(os.path.join(path, file), "r+b") as data:
        data.seek(offset)
        byte = data.read(1)[0]
        data.seek(offset)
        data.write(bytes([byte ^ 4]))


@pytest.fixture(name="copy")
def copy_of_left(left, tmp_path):
    return shutil.copytree(left[0], str(tmp_path / "data"))


def test_flipped_bit_in_a_message(copy):
    lines = [json.loads(line) for line in inspect("--records", "--json", copy).stdout.splitlines()]
    hit = [line for line in lines[:-1] if line["type"] == "message" and line["body_bytes"] == 100][150]
    flip(copy, hit["file"], hit["offset"] + 80)
    found = facts(copy, EX_DATAERR)
    assert not found["good"]
    [damage] = found["messages"]["damage"]
    assert damage["from"]["file"] == hit["file"] and damage["from"]["offset"] == hit["offset"]
    assert damage["to"]["offset"] > hit["offset"] and damage["to"]["offset"] < hit["offset"] + 500
    done = inspect("--verify", copy)
    assert done.returncode == EX_DATAERR
    assert f"DAMAGED messages from {hit['lsn']} ({hit['file']} at {hit['offset']})" in done.stdout


def test_flipped_bit_in_a_part(copy):
    lines = [json.loads(line) for line in inspect("--records", "--json", copy).stdout.splitlines()]
    hit = [line for line in lines[:-1] if line["type"] == "part"][1]
    flip(copy, hit["file"], hit["offset"] + 1000)
    found = facts(copy, EX_DATAERR)
    assert found["unreadable"] == 1 and found["unreadable_list"][0]["queue"] == "held"
    assert found["unreadable_list"][0]["lsn"] == hit["lsn"]
    assert queue_of(found, "held")["unreadable"] == 1


def test_damage_in_the_topology_and_the_checkpoint(copy, left):
    lines = [json.loads(line) for line in inspect("--records", "--json", copy).stdout.splitlines()]
    hit = next(line for line in lines if line["log"] == "topology" and line.get("kind") == "exchange")
    flip(copy, hit["file"], hit["offset"] + 12)
    if left[1] == "stopped":
        flip(copy, "checkpoint", 30)
    found = facts(copy, EX_DATAERR)
    [damage] = found["topology"]["damage"]
    assert damage["from"]["offset"] == hit["offset"] and found["exchanges"] == 0
    assert left[1] != "stopped" or found["checkpoint"] == "damaged"
    assert queue_of(found, "held")["messages"] == 301          # the whole log tells it too


def test_torn_tail_is_no_damage(copy, left):
    if left[1] != "killed":
        pytest.skip("a clean stop says where the log ended")
    end = facts(copy)["messages"]["end"]
    with open(os.path.join(copy, end["file"]), "r+b") as data:
        data.seek(end["offset"])
        data.write(b"half a record that was never synced")
    found = facts(copy)
    assert found["good"] and found["messages"]["torn_bytes"] > 0 and found["messages"]["end"] == end
    assert "torn tail of messages" in inspect(copy).stdout


def test_missing_file_is_damage(copy):
    name = facts(copy)["messages"]["files"][0]["name"]
    os.remove(os.path.join(copy, name))
    assert not facts(copy, EX_DATAERR)["good"]


def test_not_a_data_directory(tmp_path, copy):
    assert inspect(str(tmp_path / "none")).returncode == EX_NOINPUT
    (tmp_path / "empty").mkdir()
    assert inspect(str(tmp_path / "empty")).returncode == EX_NOINPUT
    assert inspect().returncode == EX_USAGE
    assert inspect("--wrong", copy).returncode == EX_USAGE
    flip(copy, "store", 20)
    assert inspect(copy).returncode == EX_DATAERR


def test_records_of_queue_features(tmp_path):
    """How often a delivery has failed; of a message its priority, its time to live, and that it has died."""
    with Leveret() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("d", durable=True)
        channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum", "x-dead-letter-exchange": "",
                                                            "x-dead-letter-routing-key": "d"})
        for expiration in ("60000", "315360000000"):
            channel.basic_publish("", "q", b"1", pika.BasicProperties(delivery_mode=2, priority=7, expiration=expiration))
        for requeue in (True, True, False):
            method, _, _ = channel.basic_get("q")
            channel.basic_reject(method.delivery_tag, requeue=requeue)
        wait_until(lambda: channel.queue_declare("d", passive=True).method.message_count == 1, 30, "no dead letter")
        channel.basic_publish("", "d", b"what is before it is on the disk", PERSISTENT)
        broker.process.kill()
        broker.process.wait()
        data = os.path.join(broker.dir, "data")
        done = inspect("--records", "--json", data)
        text = inspect(data)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    messages = [line for line in lines if line["type"] == "message"]
    first = messages[0]
    assert [(m.get("priority"), m.get("ttl_ms"), m["died"]) for m in messages] == [
        (7, 60000, False), (7, 315360000000, False), (7, None, True), (None, None, False)]
    assert first["seq"] >> 53 == 31 - 7
    assert [(line["queue"], line["seq"], line["failures"]) for line in lines if line["type"] == "count"] == [
        (first["queue"], first["seq"], failures) for failures in (1, 2)]
    assert "count 2" in text.stdout

"""`leveret backup` of a real leveretd, running under load or stopped, and `leveret restore` of what it wrote."""
import json
import os
import pty
import shutil
import subprocess
import threading
import time

import pika
import pytest

from support.broker import ROOT, Leveret

LEVERET = os.environ.get("LEVERET") or os.path.join(ROOT, "build", "release", "leveret")
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_CANTCREAT = 64, 65, 66, 73
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def leveret(*args):
    return subprocess.run([LEVERET, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          check=False)


def well(*args):
    done = leveret(*args)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class On(Leveret):
    """A broker on a data directory that is there already."""

    def __init__(self, data, *args):
        super().__init__(*args)
        self.data = data

    def _command(self):
        command = super()._command()
        command[command.index("--data-dir") + 1] = self.data
        return command


class Load:
    """Publishes numbered messages with confirms into `kept`, and into `passing`, which a consumer empties; declares and
    deletes queues besides. What was confirmed is in `confirmed`, what was sent in `sent`."""

    def __init__(self, url, body=b""):
        self.url, self.body = url, body
        self.sent, self.confirmed = 0, 0
        self.is_stopping = False
        self.threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                        for work in (self._publish, self._consume, self._churn)]

    def __enter__(self):
        self._channel().queue_declare("kept", durable=True)
        self._channel().queue_declare("passing", durable=True)
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_stopping = True
        for thread in self.threads:
            thread.join(30)

    def _channel(self):
        return pika.BlockingConnection(pika.URLParameters(self.url)).channel()

    def _guard(self, work):
        try:
            work(self._channel())
        except (pika.exceptions.AMQPError, OSError):
            pass                            # the broker was killed

    def _publish(self, channel):
        channel.confirm_delivery()
        while not self.is_stopping:
            number = self.sent
            self.sent += 1
            channel.basic_publish("", "passing", self.body, PERSISTENT)
            channel.basic_publish("", "kept", b"%d " % number + self.body, PERSISTENT)
            self.confirmed = number + 1

    def _consume(self, channel):
        while not self.is_stopping:
            method, _, _ = channel.basic_get("passing")
            if method:
                channel.basic_ack(method.delivery_tag)

    def _churn(self, channel):
        channel.confirm_delivery()
        for i in range(1_000_000):
            if self.is_stopping:
                break
            channel.queue_declare(f"churn{i}", durable=True)
            channel.basic_publish("", f"churn{i}", b"x", PERSISTENT)
            if i >= 5:
                channel.queue_delete(f"churn{i - 5}")

    def wait(self, confirmed):
        deadline = time.monotonic() + 60
        while self.confirmed < confirmed:
            assert time.monotonic() < deadline and all(thread.is_alive() for thread in self.threads)
            time.sleep(0.01)


def drain(url, queue):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    numbers = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            break
        numbers.append(int(body.split()[0]))
    connection.close()
    return numbers


def facts(data):
    return json.loads(well("inspect", "--json", "--queues", data))


@pytest.mark.parametrize("body", [b"", b"b" * 3000], ids=["small", "large"])
def test_of_a_running_broker(tmp_path, body):
    took = []
    with Leveret("--store-file-size", "64KiB") as broker:
        data = os.path.join(broker.dir, "data")
        with Load(broker.url, body) as load:
            load.wait(100)
            for i in range(8):
                before = load.confirmed
                told = json.loads(well("backup", "--data-dir", data, "--to", str(tmp_path / f"{i}.backup"), "--json"))
                assert told["damaged"] == 0 and told["bytes"] == os.path.getsize(told["file"])
                took.append((told["file"], before, load.sent))
                load.wait(load.confirmed + 100)
            broker.process.kill()
            broker.process.wait()
    for i, (file, before, after) in enumerate(took):
        data = str(tmp_path / f"data{i}")
        well("restore", file, "--to", data)
        found = facts(data)
        assert found["good"] and found["messages"]["torn_bytes"] == 0 and found["topology"]["torn_bytes"] == 0
        with On(data, "--store-file-size", "64KiB") as broker:
            numbers = drain(broker.url, "kept")
            assert numbers == list(range(len(numbers)))         # nothing lost, twice, out of order or made up
            assert before <= len(numbers) <= after
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))
            channel = connection.channel()
            for k in range(20):                                 # no queue gets what another one left
                assert channel.queue_declare(f"fresh{k}", durable=True).method.message_count == 0
            connection.close()
            broker.restart()
            connection = pika.BlockingConnection(pika.URLParameters(broker.url))
            channel = connection.channel()
            for k in range(20):
                assert channel.queue_declare(f"fresh{k}", passive=True).method.message_count == 0
            connection.close()


@pytest.fixture(scope="module", name="stopped")
def data_of_a_stopped_broker(tmp_path_factory):
    kept = str(tmp_path_factory.mktemp("kept") / "data")
    with Leveret() as broker:
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True)
        for i in range(500):
            channel.basic_publish("", "kept", b"%d " % i + b"b" * 5000, PERSISTENT)
        channel.basic_publish("", "kept", b"500 " + b"L" * 3_000_000, PERSISTENT)
        connection.close()
        broker.process.terminate()
        broker.process.wait()
        shutil.copytree(os.path.join(broker.dir, "data"), kept)
    return kept


@pytest.fixture(scope="module", name="backup")
def backup_of_it(stopped, tmp_path_factory):
    file = str(tmp_path_factory.mktemp("backup") / "one.backup")
    well("backup", "--data-dir", stopped, "--to", file)
    return file


def test_of_a_stopped_broker(stopped, backup, tmp_path):
    assert os.path.getsize(backup) < 7_000_000                  # no reserved zeros
    data = str(tmp_path / "data")
    well("restore", backup, "--to", data)
    was, now = facts(stopped), facts(data)
    assert now["queue_list"] == was["queue_list"] and now["messages"]["end"] == was["messages"]["end"]
    assert now["messages"]["files"][0]["bytes"] == was["messages"]["files"][0]["bytes"]
    with On(data) as broker:
        assert drain(broker.url, "kept") == list(range(501))
    again = str(tmp_path / "again")
    os.mkdir(again)
    well("restore", backup, "--to", again)                      # an empty one is fine
    assert facts(again)["good"]


def test_to_and_from_a_folder(stopped, tmp_path):
    told = json.loads(well("backup", "--data-dir", stopped, "--to", str(tmp_path), "--json"))
    name = os.path.basename(told["file"])
    assert os.listdir(tmp_path) == [name] and name.startswith("leveret-") and name.endswith("Z.backup")
    data = str(tmp_path / "data")
    assert json.loads(well("restore", str(tmp_path), "--to", data, "--json"))["file"] == told["file"]
    assert facts(data)["messages_held"] == 501


def refused(file, tmp_path):
    data = str(tmp_path / "refused")
    done = leveret("restore", str(file), "--to", data)
    assert done.returncode == EX_DATAERR, done.stdout + done.stderr
    assert "damaged, cut short, or no backup" in done.stderr
    assert os.listdir(data) == []


@pytest.mark.parametrize("share", [0, 0.0001, 0.3, 0.9, 1])
def test_cut_short_is_refused(backup, tmp_path, share):
    with open(backup, "rb") as file:
        whole = file.read()
    cut = tmp_path / "cut"
    cut.write_bytes(whole[:min(int(len(whole) * share), len(whole) - 1)])
    refused(cut, tmp_path)


def test_damaged_is_refused(backup, tmp_path):
    with open(backup, "rb") as file:
        whole = bytearray(file.read())
    for at in (3, 20, len(whole) // 2, len(whole) - 10):
        whole[at] ^= 1
        (tmp_path / "bad").write_bytes(whole)
        refused(tmp_path / "bad", tmp_path)
        whole[at] ^= 1
    (tmp_path / "bad").write_bytes(whole + b"more")
    refused(tmp_path / "bad", tmp_path)


def test_nothing_is_overwritten(stopped, backup, tmp_path):
    assert leveret("backup", "--data-dir", stopped, "--to", backup).returncode == EX_CANTCREAT
    (tmp_path / "something").write_text("mine")
    assert leveret("restore", backup, "--to", str(tmp_path)).returncode == EX_CANTCREAT
    assert (tmp_path / "something").read_text() == "mine"


def test_words_of_the_command(stopped, backup, tmp_path):
    assert leveret("backup", "--to", "x").returncode == EX_USAGE
    assert leveret("restore", backup).returncode == EX_USAGE
    assert leveret("backup", "--data-dir", str(tmp_path / "none"), "--to", str(tmp_path / "x")).returncode == EX_NOINPUT
    assert leveret("restore", str(tmp_path / "none"), "--to", str(tmp_path / "x")).returncode == EX_NOINPUT
    assert well("backup", "--data-dir", stopped, "--to", str(tmp_path / "quiet"), "--quiet") == ""


def test_damage_in_the_data_is_told_and_copied(stopped, tmp_path):
    data = shutil.copytree(stopped, str(tmp_path / "data"))
    lines = [json.loads(line) for line in well("inspect", "--records", "--json", data).splitlines()]
    hit = [line for line in lines[:-1] if line["type"] == "message"][100]
    with open(os.path.join(data, hit["file"]), "r+b") as file:
        file.seek(hit["offset"] + 90)
        file.write(b"?")
    done = leveret("backup", "--data-dir", data, "--to", str(tmp_path / "b"))
    assert done.returncode == EX_DATAERR and "are damaged" in done.stderr
    well("restore", str(tmp_path / "b"), "--to", str(tmp_path / "again"))
    found = json.loads(leveret("inspect", "--json", str(tmp_path / "again")).stdout)
    assert [d["from"]["lsn"] for d in found["messages"]["damage"]] == [hit["lsn"]]


def test_progress_on_a_terminal(stopped, tmp_path):
    leader, follower = pty.openpty()
    done = subprocess.run([LEVERET, "backup", "--data-dir", stopped, "--to", str(tmp_path / "b")], stderr=follower,
                          stdin=subprocess.DEVNULL, capture_output=False, stdout=subprocess.DEVNULL, timeout=60, check=False)
    os.close(follower)
    told = os.read(leader, 4096).decode()
    os.close(leader)
    assert done.returncode == 0 and "backup: " in told and "MiB/s" in told and "s left" in told

"""`leveret bench` end to end: every mode against Leveret, checked message by message, and its errors.

Runs are a fraction of a second; nothing here looks at a speed.
"""

import json
import os
import subprocess
import time

import pytest

from contenders import Floor, Relay, built
from support.broker import Leveret

QUICK = ("--duration", "0.2", "--warmup", "0")
NOTHING_WRONG = {"lost": 0, "duplicate": 0, "out_of_order": 0, "corrupt": 0}


@pytest.fixture(scope="module")
def broker():
    with Leveret() as server:
        yield server


def command(url, *args):
    return [built("leveret", "LEVERET"), "bench", "--url", url, *args]


def bench(url, *args):
    done = subprocess.run(command(url, *args), capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def measure(url, *args):
    code, out, err = bench(url, "--json", *args)
    assert code == 0, err
    return json.loads(out)


LOADS = {
    "throughput": "throughput",
    "many to many": "throughput --producers 3 --consumers 5 --queues 2 --threads 2",
    "acks and confirms": "throughput --prefetch 100 --ack 10 --confirm 50",
    "one at a time": "throughput --in-flight 1",
    "large bodies": "throughput --size 1M --count 50",
    "persistent": "throughput --durable --persistent --count 1000",
    "fixed rate": "throughput --rate 2000 --producers 3",
    "fanout": "fanout --size 100",
    "topic": "topic --bindings 30 --queues 4 --consumers 2",
    "headers": "headers --bindings 30 --queues 4",
    "queues": "queues --queues 50 --producers 2 --consumers 3",
    "drain": "drain --count 5000",
    "latency": "latency --rate 1000 --size 64",
    "idle company": "throughput --idle-connections 50",
}


@pytest.mark.parametrize("line", LOADS.values(), ids=LOADS.keys())
def test_every_message_arrives_once_and_in_order(broker, line):
    args = line.split()
    limits = () if "--count" in args else QUICK
    result = measure(broker.url, *args, *limits, "--verify")
    assert result["verify"] == NOTHING_WRONG
    copies = 10 if args[0] == "fanout" else 1
    assert result["published"] > 0
    assert result["delivered"] == result["published"] * copies


def test_empty_bodies(broker):
    assert measure(broker.url, "throughput", "--size", "0", "--count", "1000")["delivered"] == 1000


def test_fill_reaches_the_queue(broker):
    result = measure(broker.url, "fill", "--count", "5000")
    assert (result["published"], result["delivered"]) == (5000, 0)


def test_latency_tells_percentiles(broker):
    latency = measure(broker.url, "latency", *QUICK)["latency_us"]
    assert latency["count"] > 0
    assert latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]


@pytest.mark.parametrize("mode,noun", [("churn-connection", "connections"), ("churn-channel", "channels"),
                                       ("churn-queue", "queues")])
def test_churn(broker, mode, noun):
    assert measure(broker.url, mode, *QUICK)[noun] > 0


@pytest.mark.parametrize("mode,noun", [("connections", "connections"), ("declare", "queues")])
def test_census(broker, mode, noun):
    result = measure(broker.url, mode, "--count", "200", "--pid", str(broker.pid))
    assert result[noun] == 200
    assert result["rss_after"] > 0


def test_a_run_removes_what_it_declared(broker):
    pika = pytest.importorskip("pika")
    with subprocess.Popen(command(broker.url, "fanout", *QUICK), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as run:
        prefix = f"lv{run.pid:x}"
        assert run.wait(30) == 0
    connection = pika.BlockingConnection(pika.URLParameters(broker.url))
    for look in (lambda channel: channel.queue_declare(f"{prefix}.9", passive=True),
                 lambda channel: channel.exchange_declare(f"{prefix}.x", passive=True)):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="404"):
            look(connection.channel())
    connection.close()


@pytest.mark.skipif(not os.path.exists(built("lv-relay", "LV_RELAY")), reason="no lv-relay built")
@pytest.mark.parametrize("line", ["throughput", "throughput --size 300K --producers 2", "fanout",
                                  "throughput --ack 10 --confirm 100"])
def test_the_relay_loses_nothing(line):
    with Relay() as relay:
        assert measure(relay.url, *line.split(), *QUICK, "--verify")["verify"] == NOTHING_WRONG


def test_what_is_kept_is_there_for_another_run(broker):
    name = ("--name", "kept", "--durable")
    measure(broker.url, "fill", "--count", "300", "--keep", "--persistent", *name)
    assert measure(broker.url, "drain", "--count", "300", "--producers", "0", *name)["delivered"] == 300


@pytest.mark.skipif(not os.path.exists(built("lv-floor", "LV_FLOOR")), reason="no lv-floor built")
def test_the_floor_syncs():
    assert Floor().measure(["--window", "10", "--producers", "2"], 0.1)["syncs_per_s"] > 0


# ---- errors ----

def test_nobody_listens():
    code, _, err = bench("amqp://127.0.0.1:1", "throughput")
    assert code == 69 and "Connection refused" in err


def test_wrong_password(broker):
    code, _, err = bench(broker.url.replace("guest@", "wrong@"), "throughput")
    assert code == 77 and "403 ACCESS_REFUSED" in err


def test_no_such_vhost(broker):
    code, _, err = bench(broker.url.replace("%2f", "nowhere"), "throughput")
    assert code == 76 and "530 NOT_ALLOWED - vhost nowhere not found" in err


def test_usage():
    assert bench("amqp://h", "sideways")[0] == 64


def test_the_broker_dies():
    with Leveret() as victim, subprocess.Popen(command(victim.url, "throughput"), stdout=subprocess.PIPE,
                                               stderr=subprocess.PIPE, text=True) as run:
        time.sleep(0.3)
        victim.kill()
        assert "leveret: " in run.communicate(timeout=30)[1]
        assert run.returncode in (69, 74)


def test_the_broker_is_stopped():
    with Leveret() as victim, subprocess.Popen(command(victim.url, "throughput"), stdout=subprocess.PIPE,
                                               stderr=subprocess.PIPE, text=True) as run:
        time.sleep(0.3)
        assert victim.stop() == 0
        assert "320 CONNECTION_FORCED" in run.communicate(timeout=30)[1]
        assert run.returncode == 69

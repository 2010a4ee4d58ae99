#!/usr/bin/env python3
"""Figures that are no rows of the table: figures.py [fanout-bytes] [statistics] [command-line]

fanout-bytes   bytes written for persistent messages of 1 KiB to one durable queue, and to ten
statistics     throughput with the numbers that the API shows, and without (management.disable_stats)
command-line   how long one call of `leveret` takes
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import pika  # noqa: E402
from support.broker import ROOT, Leveret  # noqa: E402

LEVERET = os.path.join(ROOT, "build", "release", "leveret")
COUNT, BATCH, BODY = 20000, 1000, os.urandom(1024)
ROUNDS, SECONDS = 7, 3
MODES = ("throughput", "throughput --confirm 1000", "throughput --prefetch 1000 --ack 100")


def written(queues):
    with Leveret() as broker, pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("f", "fanout", durable=True)
        for i in range(queues):
            channel.queue_declare(f"q{i}", durable=True)
            channel.queue_bind(f"q{i}", "f")
        before = broker.written_bytes()
        channel.tx_select()
        for i in range(COUNT):
            channel.basic_publish("f", "", BODY, pika.BasicProperties(delivery_mode=2))
            if i % BATCH == BATCH - 1:
                channel.tx_commit()
        return broker.written_bytes() - before


def fanout_bytes():
    one, ten = written(1), written(10)
    print(f"fan-out of {COUNT} messages: {one:,} bytes to one queue, {ten:,} to ten: {ten / one:.2f} times")


def rate(mode, *args):
    with Leveret(*args, http_listen="127.0.0.1:0") as broker:
        out = subprocess.run([LEVERET, "bench", *mode.split(), "--url", broker.url, "--duration", str(SECONDS), "--json"],
                             capture_output=True, check=True)
    return json.loads(out.stdout)["delivered_per_s"]


def cost_of_statistics():
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write("management.disable_stats = true\n")
        conf.flush()
        for mode in MODES:
            rates = {"on": [], "off": []}
            for i in range(ROUNDS):
                for which in ("on", "off") if i % 2 == 0 else ("off", "on"):
                    rates[which].append(rate(mode, *["--config", conf.name] * (which == "off")))
            on, off = (statistics.median(rates[which]) for which in ("on", "off"))
            print(f"{mode}: {on:,.0f}/s with statistics, {off:,.0f}/s without: {100 * (off / on - 1):+.1f} %", flush=True)


def command_line():
    with Leveret() as broker:
        took = []
        for _ in range(100):
            began = time.perf_counter()
            subprocess.run([LEVERET, "--socket", os.path.join(broker.dir, "data", "leveret.sock"), "list_queues"],
                           stdout=subprocess.DEVNULL, check=True)
            took.append(1000 * (time.perf_counter() - began))
    print(f"a call of the command line: median {statistics.median(took):.1f} ms, of 100 the slowest {max(took):.1f} ms")


FIGURES = {"fanout-bytes": fanout_bytes, "statistics": cost_of_statistics, "command-line": command_line}

if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        FIGURES[name]()

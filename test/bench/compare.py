#!/usr/bin/env python3
"""Leveret, the relay and RabbitMQ side by side: alternating runs, medians, ratios.

    compare.py [--runs 5] [--duration 5] [--only 16,fanout,footprint] [--contenders ...]
               [--url name=amqp://...] [--out build/bench] [--doc docs/performance.md]

Prints a table in Markdown and leaves it with every single figure in OUT/comparison.{md,json}.
--doc also puts the table between the two marks of that page.
Only one server works at a time: Leveret and the relay start anew for each run, RabbitMQ is stopped
by signal while another is measured.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

from cases import CASES, FOOTPRINT
from contenders import ROOT, built, find
from table import markdown

CONTENDERS = ("leveret", "relay", "rabbitmq", "floor")
CONNECTIONS = 2000
QUEUES = 10000


def bench(url, args):
    """Runs `leveret bench` and gives its JSON."""
    command = [built("leveret", "LEVERET"), "bench", "--url", url, "--json", *args]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip().splitlines()[-1:]}")
    return json.loads(result.stdout)


def value_at(result, path):
    for part in path.split("."):
        result = result[part]
    return result


class Results:
    """row -> contender -> values, in the order of the rows' first appearance."""

    def __init__(self):
        self.rows = {}

    def add(self, metric, contender, value):
        values = self.rows.setdefault(metric.row, (metric, {}))[1]
        values.setdefault(contender, []).append(value)
        print(f"  {metric.row}: {contender} {value:,.1f} {metric.unit}", file=sys.stderr)

    def contenders(self):
        """Names in the order of their first figure."""
        return list(dict.fromkeys(name for _, values in self.rows.values() for name in values))

    def medians(self):
        return [(metric, {name: statistics.median(values) for name, values in by_name.items()})
                for metric, by_name in self.rows.values()]


def run_bench(server, args):
    result = bench(server.url, [str(server.pid) if arg == "{pid}" else arg for arg in args])
    if "rss_bytes" in result:
        result["rss_mib"] = result["rss_bytes"] / 2**20
    return result


def run_with_bytes_written(server, args):
    before = server.written_bytes()
    result = bench(server.url, args)
    result["written_each"] = (server.written_bytes() - before) / result["published"]
    return result


def run_restart(server, args, kill=False):
    """Fills, restarts, and drains what must be there again: fails when something is missing."""
    bench(server.url, [*args, "--name", "kept", "--keep"])
    start_s = server.restart(kill)
    drain = ["drain", "--producers", "0", "--durable", "--prefetch", "1000", "--ack", "100", "--name", "kept"]
    result = bench(server.url, [*drain, "--count", args[args.index("--count") + 1]])
    return {**result, "start_ms": start_s * 1000}


# What is done for a case; the flag: on a server of its own, which others would feel.
HOW = {
    "bench": (run_bench, False),
    "with bytes written": (run_with_bytes_written, False),
    "restart": (run_restart, True),
    "restart after a kill": (lambda server, args: run_restart(server, args, kill=True), True),
}


def figures_of(case, contender, duration):
    if case.floor and contender.name == "floor":
        with contender as disk:
            return disk.measure(case.floor.split(), duration)
    args = case.args.split() + (["--duration", str(duration)] if case.is_timed else [])
    run, is_alone = HOW[case.how]
    if is_alone:
        return fresh(contender, lambda server: run(server, args))
    with contender as server:
        return run(server, args)


def run_case(case, contender, duration, results):
    try:
        result = figures_of(case, contender, duration)
    except RuntimeError as error:
        print(f"  {case.name}: {contender.name}: {error}", file=sys.stderr)
        return
    for metric in case.metrics:
        results.add(metric, contender.name, value_at(result, metric.path))


def fresh(contender, look):
    """What `look` sees of a server that has just come to rest."""
    contender.close()
    server = contender.make().start()
    try:
        time.sleep(1)
        return look(server)
    finally:
        server.stop()


def rss_each(server, mode, count):
    return bench(server.url, [mode, "--count", str(count), "--pid", str(server.pid)])["rss_each"]


def footprint(contender):
    """Figures by metric path. Each on a server of its own: freed memory would hide what comes after."""
    start_s, idle = fresh(contender, lambda server: (server.start_s, server.rss_bytes()))
    return {
        "start_ms": start_s * 1000,
        "idle_kib": idle / 1024,
        "connection_kib": fresh(contender, lambda s: rss_each(s, "connections", CONNECTIONS)) / 1024,
        "queue_bytes": fresh(contender, lambda s: rss_each(s, "declare", QUEUES)),
    }


def run_footprint(contender, results):
    try:
        figures = footprint(contender)
    except RuntimeError as error:
        print(f"  footprint: {contender.name}: {error}", file=sys.stderr)
        return
    for metric in FOOTPRINT:
        results.add(metric, contender.name, figures[metric.path])


def measure(options, usual, special, results):
    wanted = options.only.split(",") if options.only else None
    for case in CASES:
        if wanted and case.name not in wanted:
            continue
        taking_part = [c for c in usual if c.name not in case.without and (case.floor or c.name != "floor")]
        taking_part += [c for c in special if c.name in case.only]
        print(f"{case.name}: leveret bench {case.args}", file=sys.stderr)
        for _ in range(options.runs):
            for contender in taking_part:
                run_case(case, contender, options.duration, results)
    if wanted and "footprint" not in wanted:
        return
    for _ in range(options.runs):
        for contender in usual:
            if contender.name in CONTENDERS and contender.name != "floor":
                run_footprint(contender, results)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")),
                     platform.machine())
    with open("/proc/meminfo", encoding="ascii") as info:
        memory_gib = int(info.readline().split()[1]) / 2**20
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} × {model}, {memory_gib:.0f} GiB, Linux {kernel}"


MARKS = ("<!-- figures: test/bench/compare.py --doc -->\n", "<!-- end of figures -->\n")


def put_into(path, text):
    """Replaces what stands between the marks of a page."""
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + MARKS[0] + "\n" + text + "\n" + MARKS[1] + after)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--duration", type=float, default=5)
    parser.add_argument("--only", help="cases by name, and footprint")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--url", action="append", default=[], metavar="NAME=URL",
                        help="another broker that is already running")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench"))
    parser.add_argument("--doc", metavar="FILE", help="page to put the table into")
    return parser.parse_args()


def main():
    options = arguments()
    usual = find(options.contenders.split(","), options.url)
    special = find(["leveret-1-loop"], []) if "leveret" in options.contenders.split(",") else []
    results = Results()
    try:
        measure(options, usual, special, results)
    finally:
        for contender in usual + special:
            contender.close()

    text = (f"{machine()}; medians of {options.runs} alternating runs of {options.duration:g} s.\n\n"
            + markdown(results.medians(), results.contenders()))
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "comparison.md"), "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(options.out, "comparison.json"), "w", encoding="utf-8") as file:
        json.dump({"machine": machine(), "runs": options.runs, "duration_s": options.duration,
                   "rows": {row: {"unit": metric.unit, "values": values}
                            for row, (metric, values) in results.rows.items()}}, file, indent=1)
    if options.doc:
        put_into(options.doc, text)
    print(text, end="")


if __name__ == "__main__":
    main()

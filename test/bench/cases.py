"""What is measured, and what is wanted of Leveret. One row of the table is one metric."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Leveret's median against another's (or against its own in another row), or against a figure."""

    at_least: float = None
    at_most: float = None
    of: str = None      # a contender; None: the value itself
    row: str = None     # the row compared with, if not the same one

    def describe(self):
        sign, bound = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        if self.of is None:
            return f"{sign} {bound:,}"
        return f"{sign} {bound:g} × {self.of}" + (f" ({self.row})" if self.row else "")


@dataclass(frozen=True)
class Metric:
    row: str            # name of the row
    path: str           # in the JSON of `leveret bench`, parts joined by dots
    unit: str
    targets: tuple = ()
    is_lower_better: bool = False


@dataclass(frozen=True)
class Case:
    name: str           # for --only
    args: str           # of `leveret bench`; {pid} is the server's process
    metrics: tuple
    is_timed: bool = True               # takes --duration
    without: tuple = ()                 # contenders that cannot
    only: tuple = field(default=())     # contenders beyond the usual ones
    how: str = "bench"                  # what is done with it: see HOW in compare.py
    floor: str = None                   # arguments of lv-floor, where the disk alone has a figure


def delivered(row, *targets):
    return (Metric(row, "delivered_per_s", "msg/s", targets),)


def per_second(row, unit, *targets):
    return (Metric(row, "per_s", unit, targets),)


CASES = (
    Case("16", "throughput", delivered(
        "16 B, auto-ack",
        Target(30, of="rabbitmq"), Target(0.25, of="relay"), Target(4_000_000))),
    Case("1k", "throughput --size 1K", delivered(
        "1 KiB, auto-ack", Target(10, of="rabbitmq"), Target(0.6, of="relay"))),
    Case("16k", "throughput --size 16K", delivered("16 KiB, auto-ack", Target(0.75, of="relay"))),
    Case("1m", "throughput --size 1M", delivered("1 MiB, auto-ack", Target(0.75, of="relay"))),
    Case("ack", "throughput --prefetch 1000 --ack 100", delivered(
        "16 B, prefetch 1000, ack every 100",
        Target(0.8, of="leveret", row="16 B, auto-ack"))),
    Case("confirm", "throughput --confirm 1000", delivered(
        "16 B, confirm window 1000", Target(13, of="rabbitmq"))),
    Case("fanout", "fanout", delivered(
        "16 B, fan-out to 10 queues", Target(5_000_000), Target(45, of="rabbitmq"))),
    Case("topic", "topic", delivered("16 B, topic, 1,000 bindings", Target(70, of="rabbitmq"))),
    Case("headers", "headers", delivered("16 B, headers, 100 bindings", Target(40, of="rabbitmq"))),
    Case("queues", "queues", delivered(
        "16 B, 1,000 queues", Target(0.75, of="leveret", row="16 B, auto-ack"))),
    Case("four", "throughput --producers 4 --consumers 4 --queues 4", delivered(
        "16 B, 4 producers, consumers, queues", Target(1, of="leveret-1-loop")),
        only=("leveret-1-loop",)),
    Case("idle", "throughput --idle-connections 1000", delivered(
        "16 B beside 1,000 idle connections", Target(0.95, of="leveret", row="16 B, auto-ack"))),
    Case("fill", "fill", (Metric("16 B, fill", "confirmed_per_s", "msg/s"),), is_timed=False),
    Case("drain", "drain", delivered("16 B, drain"), is_timed=False, without=("relay",)),
    Case("latency", "latency --rate 5000", (
        Metric("latency at 5,000/s, median", "latency_us.p50", "us",
               (Target(at_most=1.2, of="relay"),), True),
        Metric("latency at 5,000/s, p99", "latency_us.p99", "us",
               (Target(at_most=1.5, of="relay"),), True))),
    Case("churn-connection", "churn-connection --clients 4", per_second(
        "connections opened and closed, 4 clients", "/s", Target(6, of="rabbitmq"))),
    Case("churn-channel", "churn-channel --clients 4", per_second(
        "channels opened and closed, 4 clients", "/s")),
    Case("churn-queue", "churn-queue --clients 4", per_second(
        "queues declared and deleted, 4 clients", "/s", Target(15, of="rabbitmq"))),
)

# Durable queues, persistent messages of 1 KiB, confirmed. Nobody consumes where the disk is meant: a message that is
# delivered and settled at once need not be written.
DURABLE = "--durable --persistent --size 1K"
MILLION = f"--count 1000000 --confirm 1000 {DURABLE}"


def confirmed(row, *targets):
    return (Metric(row, "confirmed_per_s", "msg/s", targets),)


def durable(name, args, metrics, **more):
    return Case(name, f"{args} {DURABLE}", metrics, without=("relay",), **more)


CASES += (
    durable("durable-w1", "throughput --consumers 0 --confirm 1", confirmed(
        "durable 1 KiB, window 1", Target(0.9, of="floor"), Target(2, of="rabbitmq")), floor="--window 1"),
    durable("durable-w100", "throughput --consumers 0 --confirm 100", confirmed(
        "durable 1 KiB, window 100", Target(0.8, of="floor"), Target(4, of="rabbitmq")), floor="--window 100"),
    durable("durable-w1000", "throughput --consumers 0 --confirm 1000", confirmed(
        "durable 1 KiB, window 1000", Target(0.6, of="floor"), Target(4, of="rabbitmq")), floor="--window 1000"),
    durable("durable-8x1000", "throughput --consumers 0 --producers 8 --queues 8 --confirm 1000", confirmed(
        "durable 1 KiB, 8 producers and queues, window 1000", Target(0.6, of="floor"), Target(4, of="rabbitmq")),
        floor="--window 1000 --producers 8"),
    durable("durable-flow", "throughput --confirm 1000 --prefetch 1000 --ack 100", delivered(
        "durable 1 KiB, window 1000, consumed, ack every 100", Target(4, of="rabbitmq"))),
    durable("durable-quorum", "throughput --consumers 0 --confirm 1000 --queue-type quorum", confirmed(
        "quorum queue 1 KiB, window 1000", Target(4, of="rabbitmq"))),
    Case("durable-fill", f"fill {MILLION} --pid {{pid}}", (
        Metric("durable 1 KiB, fill 1 M", "confirmed_per_s", "msg/s", (Target(4, of="rabbitmq"),)),
        Metric("resident with 1 M durable 1 KiB waiting", "rss_mib", "MiB", (Target(at_most=256),), True)),
        is_timed=False, without=("relay",)),
    Case("durable-drain", f"drain {MILLION} --prefetch 1000 --ack 100", delivered(
        "durable 1 KiB, drain 1 M, ack every 100", Target(4, of="rabbitmq")), is_timed=False, without=("relay",)),
    Case("durable-restart-clean", f"fill {MILLION}", (
        Metric("stopped with 1 M durable 1 KiB, start to serving", "start_ms", "ms", (Target(at_most=1000),), True),
        Metric("drain after that", "delivered_per_s", "msg/s")),
        is_timed=False, without=("relay",), how="restart"),
    Case("durable-restart-kill", f"fill {MILLION}", (
        Metric("killed with 1 M durable 1 KiB, start to serving", "start_ms", "ms", (Target(at_most=5000),), True),
        Metric("drain after that kill", "delivered_per_s", "msg/s")),
        is_timed=False, without=("relay",), how="restart after a kill"),
    Case("durable-declare-delete", "churn-queue --clients 4 --durable", per_second(
        "durable queues declared and deleted, 4 clients", "/s", Target(4, of="rabbitmq")), without=("relay",)),
    Case("durable-fanout", f"fanout --count 50000 --confirm 1000 --consumers 0 {DURABLE}", (
        Metric("durable 1 KiB, fan-out to 10 queues", "confirmed_per_s", "msg/s", (Target(4, of="rabbitmq"),)),
        Metric("bytes written for each of them", "written_each", "B", (Target(at_most=2048),), True)),
        is_timed=False, without=("relay",), how="with bytes written"),
)

# Measured on a server that has just started.
FOOTPRINT = (
    Metric("start to serving", "start_ms", "ms", (Target(at_most=10),), True),
    Metric("resident when idle", "idle_kib", "KiB", (Target(at_most=8 * 1024),), True),
    Metric("resident per idle connection with a channel", "connection_kib", "KiB",
           (Target(at_most=10),), True),
    Metric("resident per empty queue", "queue_bytes", "B", (Target(at_most=1024),), True),
)

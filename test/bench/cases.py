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
    args: str           # of `leveret bench`
    metrics: tuple
    is_timed: bool = True               # takes --duration
    without: tuple = ()                 # contenders that cannot
    only: tuple = field(default=())     # contenders beyond the usual ones


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

# Measured on a server that has just started.
FOOTPRINT = (
    Metric("start to serving", "start_ms", "ms", (Target(at_most=10),), True),
    Metric("resident when idle", "idle_kib", "KiB", (Target(at_most=8 * 1024),), True),
    Metric("resident per idle connection with a channel", "connection_kib", "KiB",
           (Target(at_most=10),), True),
    Metric("resident per empty queue", "queue_bytes", "B", (Target(at_most=1024),), True),
)

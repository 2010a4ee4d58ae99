"""Random walks: the same random steps against both brokers must be answered in the same way.

    WALKS=500 pytest test/diff/test_walk.py
    WALK_SEED=17 WALKS=1 pytest test/diff/test_walk.py      replays one

A walk that ends in different answers is shortened and printed as a scenario.
"""

import difflib
import itertools
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import scenario as dsl

WALKS = int(os.environ.get("WALKS", "24"))
FIRST_SEED = int(os.environ.get("WALK_SEED", "1"))
STEPS = 50
PAUSE_MS, LONG_PAUSE_MS = 25, 150       # for what a step causes elsewhere
SHORTEN_S = 40

QUEUES = ("$q", "$r", "$s")
EXCHANGES = ("$d", "$f", "$t", "$h")
TYPES = {"$d": "direct", "$f": "fanout", "$t": "topic", "$h": "headers"}
KEYS = ("a", "a.b", "a.b.c", '""', "b", ".")
PATTERNS = KEYS + ('"*"', "#", '"*.b"', "a.#", '"#.c"', '"a.*.c"')
HEADERS = ("{x: 1}", "{x: 1, y: two}", "{y: two}", "{x: l:1}", "{z: void}", "{}")
BINDING_ARGS = HEADERS + ("{x-match: any, x: 1, y: two}", "{x-match: all-with-x, x: 1}")
GROUP_END = "b9 sync"
NUMBERS = itertools.count(10000)        # every play has names of its own


class Walk:
    """Writes the lines of one walk. Errors are welcome: names and tags are drawn blindly."""

    STEPS = [("publish", 16), ("get", 6), ("settle", 8), ("consume", 4), ("cancel", 2),
             ("bind", 4), ("unbind", 2), ("bind_exchange", 2), ("qos", 4), ("recover", 1),
             ("declare", 2), ("declare_exchange", 1), ("purge", 1), ("delete", 1),
             ("delete_exchange", 1), ("count", 3), ("tx", 1), ("close", 1)]

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.body = 0

    def groups(self):
        """Lists of lines; each group is over, with all that it caused, before the next begins."""
        yield ["a1 queue.declare queue=$q", "a1 queue.declare queue=$r"]
        yield [f"a1 exchange.declare exchange={x} type={TYPES[x]}" for x in EXCHANGES[:3]]
        kinds, weights = zip(*self.STEPS)
        for _ in range(STEPS):
            yield getattr(self, self.rng.choices(kinds, weights)[0])()
        for who in ("a1", "a2", "b1"):
            yield [f"{who} channel.close reply_code=200"]
        yield [f"z1 queue.delete queue={q}" for q in QUEUES]
        yield [f"z1 exchange.delete exchange={x}" for x in EXCHANGES]

    def pick(self, values):
        return self.rng.choice(values)

    def maybe(self, word, chance=0.3):
        return " " + word if self.rng.random() < chance else ""

    def who(self):
        return self.pick(("a1", "a1", "a2", "b1"))

    def publish(self):
        self.body += 1
        to = self.pick(('exchange="" routing_key=' + self.pick(QUEUES),
                        f"exchange={self.pick(EXCHANGES)} routing_key={self.pick(KEYS)}"))
        return [f"{self.who()} basic.publish {to} body=m{self.body}" + self.maybe("mandatory")
                + self.pick(("", "", f" headers={self.pick(HEADERS)}",
                             f" headers={{CC: [{self.pick(QUEUES)}, a]}}"))]

    def get(self):
        return [f"{self.who()} basic.get queue={self.pick(QUEUES)}" + self.maybe("no_ack")]

    def settle(self):
        tag, many = self.rng.randint(0, 6), self.maybe("multiple", 0.4)
        return [f"{self.who()} " + self.pick((
            f"basic.ack delivery_tag={tag}{many}",
            f"basic.nack delivery_tag={tag}{many}{self.maybe('requeue', 0.7)}",
            f"basic.reject delivery_tag={tag}{self.maybe('requeue', 0.7)}"))]

    def consume(self):
        return [f"{self.who()} basic.consume queue={self.pick(QUEUES)} consumer_tag=c{self.body}"
                + self.maybe("no_ack") + self.maybe("exclusive", 0.1)
                + self.maybe("arguments={x-priority: 3}", 0.2)]

    def cancel(self):
        return [f"{self.who()} basic.cancel consumer_tag=c{self.rng.randint(0, self.body)}"]

    def bind(self):
        exchange = self.pick(EXCHANGES)
        args = self.pick(BINDING_ARGS) if exchange == "$h" else "{}"
        return [f"{self.who()} queue.bind queue={self.pick(QUEUES)} exchange={exchange} "
                f"routing_key={self.pick(PATTERNS)} arguments={args}"]

    def unbind(self):
        return [f"{self.who()} queue.unbind queue={self.pick(QUEUES)} "
                f"exchange={self.pick(EXCHANGES)} routing_key={self.pick(PATTERNS)}"]

    def bind_exchange(self):
        return [f"{self.who()} exchange.{self.pick(('bind', 'bind', 'unbind'))} "
                f"source={self.pick(EXCHANGES)} destination={self.pick(EXCHANGES)} "
                f"routing_key={self.pick(PATTERNS)}"]

    def qos(self):
        return [f"{self.who()} basic.qos prefetch_count={self.rng.randint(0, 3)}"
                + self.maybe("global")]

    def recover(self):
        return [f"{self.who()} basic.recover requeue"]

    def declare(self):
        return [f"{self.who()} queue.declare queue={self.pick(QUEUES)}"
                + self.maybe("durable", 0.1) + self.maybe("auto_delete", 0.2)
                + self.maybe("arguments={x-max-length: 100}", 0.1)]

    def declare_exchange(self):
        exchange = self.pick(EXCHANGES)
        return [f"{self.who()} exchange.declare exchange={exchange} type={TYPES[exchange]}"
                + self.maybe("auto_delete")
                + self.maybe(f"arguments={{alternate-exchange: {self.pick(EXCHANGES)}}}")]

    def purge(self):
        return [f"{self.who()} queue.purge queue={self.pick(QUEUES)}"]

    def delete(self):
        return [f"{self.who()} queue.delete queue={self.pick(QUEUES)}" + self.maybe("if_unused")
                + self.maybe("if_empty")]

    def delete_exchange(self):
        return [f"{self.who()} exchange.delete exchange={self.pick(EXCHANGES)}"
                + self.maybe("if_unused")]

    def count(self):
        return [f"{self.who()} queue.declare queue={self.pick(QUEUES)} passive"]

    def tx(self):
        return [f"b2 {self.pick(('tx.select', 'tx.select', 'tx.commit', 'tx.rollback'))}",
                f"b2 basic.publish routing_key={self.pick(QUEUES)} body=tx"]

    def close(self):
        return [f"{self.who()} channel.close reply_code=200"]


def to_scenario(groups, title, pause_ms=PAUSE_MS):
    lines = []
    for group in groups:
        last = group[-1].split()[0]
        lines += [*group, f"{last} sync", f"wait {pause_ms}", "a9 sync", GROUP_END]
    return dsl.of_lines(lines, next(NUMBERS), title)


def seen(played):
    """What each channel saw in each group.

    The order between channels is nobody's promise, and a consumer's end may be told before or after
    the answer to the method that ended it.
    """
    out, saw = [], {}
    for line, answers in played:
        for answer in answers:
            saw.setdefault(answer.split()[0], []).append(answer)
        if line == GROUP_END:
            out += [f"    {answer}" for who in sorted(saw)
                    for answer in sorted(saw[who], key=lambda a: "basic.cancel " not in a)]
            saw = {}
        elif not line.endswith(" sync") and not line.startswith("wait"):
            out.append(line)
    return out


def difference(groups, brokers, pause_ms=LONG_PAUSE_MS):
    """Both brokers' answers where they differ; None where not."""
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(
            lambda play: seen(play(to_scenario(groups, "again", pause_ms))), brokers)
    return None if theirs == ours else (theirs, ours)


def shorten(groups, brokers):
    """Leaves out what is not needed for the answers to differ, for as long as a test may take."""
    size, deadline = len(groups) // 2, time.monotonic() + SHORTEN_S
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(groups):
            fewer = groups[:at] + groups[at + size:]
            if difference(fewer, brokers, PAUSE_MS):
                groups = fewer
            else:
                at += size
        size //= 2
    return groups


WALKED = {f"walk {seed}": list(Walk(seed).groups())
          for seed in range(FIRST_SEED, FIRST_SEED + WALKS)}


@pytest.mark.parametrize("scenario", [to_scenario(*walk[::-1]) for walk in WALKED.items()],
                         ids=lambda s: s.title)
def test_walk(scenario, oracle, leveret):
    if not oracle or not leveret:
        pytest.skip("needs both brokers")
    brokers, groups = (oracle, leveret), WALKED[scenario.title]
    if seen(oracle(scenario)) == seen(leveret(scenario)) or not difference(groups, brokers):
        return
    groups = shorten(groups, brokers)
    theirs, ours = difference(groups, brokers) or ([], ["no longer, with longer pauses"])
    pytest.fail("\n".join([f"## found by {scenario.title}", *itertools.chain(*groups), "",
                           *difflib.unified_diff(theirs, ours, "RabbitMQ", "Leveret", lineterm="",
                                                 n=2)]), pytrace=False)

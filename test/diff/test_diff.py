"""One test a scenario: RabbitMQ's answers, as they are today and as recorded, and Leveret's.

    pytest test/diff                    both brokers, or Leveret against golden.json
    pytest test/diff --record           writes golden.json anew from rabbitmq-server
    pytest test/diff --oracle-only      RabbitMQ against golden.json, without Leveret
"""

import difflib
import glob
import os
import re

import pytest

import runner
import scenario as dsl

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = dsl.load_folder(os.path.join(HERE, "scenarios"))
COMPAT = os.path.join(HERE, "..", "..", "docs", "compat", "rabbitmq.md")


def text(transcript):
    return [line for step, answers in transcript
            for line in (step, *(f"    {answer}" for answer in answers))]


def same(expected, got, names):
    if expected != got:
        pytest.fail("\n".join(difflib.unified_diff(text(expected), text(got), *names,
                                                   lineterm="", n=3)), pytrace=False)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_scenario(scenario, oracle, leveret, golden):
    transcript = golden.known.get(scenario.id)
    if oracle:
        live = oracle(scenario)
        if golden.recording:
            golden.record(scenario.id, live)
        else:
            assert transcript is not None, "not in golden.json: run with --record"
            same(transcript, live, ("golden.json", "RabbitMQ"))
        transcript = live
    assert transcript is not None, "not in golden.json, and no rabbitmq-server to ask"

    expected = runner.expected_of(scenario, transcript)
    if (expected != transcript) != bool(scenario.differs):
        pytest.fail("`4.x>` without `differs:`" if scenario.differs is None else
                    f"{scenario.differs}: listed, but RabbitMQ answers the same", pytrace=False)
    if leveret:
        same(expected, leveret(scenario), ("expected", "Leveret"))


def test_every_difference_is_explained():
    """The ids that scenarios use are those of docs/compat/rabbitmq.md, no more and no fewer."""
    with open(COMPAT, encoding="utf-8") as file:
        listed = re.findall(r"^\| `([a-z0-9-]+)` \|", file.read(), re.M)
    assert len(listed) == len(set(listed))
    assert set(listed) == {s.differs for s in SCENARIOS if s.differs}
    for name in glob.glob(os.path.join(HERE, "..", "wire", "test_*.py")):
        with open(name, encoding="utf-8") as file:
            assert set(re.findall(r'differs\("([a-z0-9-]+)"\)', file.read())) <= set(listed), name


def test_enough_scenarios_with_titles_of_their_own():
    ids = [s.id for s in SCENARIOS]
    assert len(ids) == len(set(ids))
    assert len(ids) >= 150

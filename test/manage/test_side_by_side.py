"""The same requests to RabbitMQ and to Leveret.

    pytest test/manage/test_side_by_side.py                     Leveret, beside rabbitmq-server or golden.json
    pytest test/manage/test_side_by_side.py --record            writes golden.json anew from rabbitmq-server
    pytest test/manage/test_side_by_side.py --against rabbitmq  RabbitMQ beside golden.json
"""

import json
import os
import re

import pytest

import brokers
import sidebyside
from client import Client
from support.rabbitmq import is_installed
from world import World

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden.json")
COMPAT = os.path.join(HERE, "..", "..", "docs", "compat", "management.md")
SCENARIOS = sidebyside.load(os.path.join(HERE, "requests"))


def listed(heading):
    """The first cells of the table below a heading of docs/compat/management.md."""
    with open(COMPAT, encoding="utf-8") as file:
        section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", file.read(), re.M | re.S)[1]
    return re.findall(r"^\| `([^`]+)` \|", section, re.M)


@pytest.fixture(scope="module")
def tested(target, world):
    return sidebyside.Player(target)


@pytest.fixture(scope="module")
def oracle(request, target, tested):
    """Plays against rabbitmq-server; None where there is none."""
    if not target.is_leveret:
        yield tested
    elif is_installed():
        with brokers.HttpRabbitMQ() as broker, World(broker, Client(broker.http_port)):
            yield sidebyside.Player(broker)
    else:
        if request.config.getoption("--record", False):
            pytest.exit("--record needs rabbitmq-server")
        yield None


@pytest.fixture(scope="module")
def golden(request):
    known, fresh = {}, {}
    if os.path.exists(GOLDEN):
        with open(GOLDEN, encoding="utf-8") as file:
            known = json.load(file)
    is_recording = request.config.getoption("--record", False)
    yield known, fresh, is_recording
    if is_recording:
        answers = {s.id: fresh.get(s.id) or known.get(s.id) for s in SCENARIOS}
        with open(GOLDEN, "w", encoding="utf-8") as file:
            json.dump({key: value for key, value in answers.items() if value}, file, indent=1, ensure_ascii=False)
            file.write("\n")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_scenario(scenario, target, oracle, tested, golden):
    known, fresh, is_recording = golden
    answers = known.get(scenario.id)
    if oracle:
        live = oracle.play(scenario)
        if is_recording:
            fresh[scenario.id] = live
        else:
            assert answers == live, "RabbitMQ answers not as recorded (--record)"
        answers = live
    assert answers, "not in golden.json, and no rabbitmq-server to ask"
    assert [step.line for step in scenario.steps] == [line for line, _ in answers], "golden.json is of another list"
    if not target.is_leveret:
        return
    ignored, wrong = set(listed("Fields")), []
    for step, (_, expected), (_, got) in zip(scenario.steps, answers, tested.play(scenario)):
        wrong += [f"{step.line}\n    {line}" for line in sidebyside.compare(step, expected, got, ignored)]
    assert not wrong, "\n".join(wrong)


def test_every_difference_is_explained():
    used = {step.differs for scenario in SCENARIOS for step in scenario.steps if step.differs}
    assert used == set(listed("Differences"))
    for scenario in SCENARIOS:
        for step in scenario.steps:
            assert bool(step.instead) == bool(step.differs), f"{scenario.id}: {step.line}"


def test_every_difference_is_one(golden):
    """What Leveret answers instead is something else than RabbitMQ's answer."""
    for scenario in SCENARIOS:
        for step, (_, expected) in zip(scenario.steps, golden[0].get(scenario.id, [])):
            if step.instead and step.instead[1] != "*":
                body = json.loads(step.instead[1]) if step.instead[1] else ""
                assert [step.instead[0], body] != [expected[0], expected[2]], step.line


def test_fields_without_a_counterpart_are_listed(document, golden):
    """Every field that RabbitMQ 3.10 shows is described in docs/openapi.json, or stands in the list with a reason."""
    described = set()

    def gather(schema):
        if isinstance(schema, dict):
            described.update(schema.get("properties", {}))
            for part in schema.values():
                gather(part)
        elif isinstance(schema, list):
            for part in schema:
                gather(part)
    gather(document.document)
    shown = set()

    def walk(value):
        if isinstance(value, dict):
            shown.update(value)
            for key, part in value.items():
                if key not in sidebyside.FREE:
                    walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)
    for scenario in SCENARIOS:
        for step, (_, answer) in zip(scenario.steps, golden[0].get(scenario.id, [])):
            if answer[0] < 300 and not step.is_exact:
                walk(answer[2])
    assert shown - described <= {name.rpartition(" ")[2] for name in listed("Fields")} <= shown


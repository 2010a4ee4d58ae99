"""RabbitMQ's own tools and ours, on the same rabbitmq-server: what they print, byte for byte, and their exit codes.

The HTTP API tells lists in another order than the node: rows are compared sorted. What is an Erlang process there has a
name here, and is masked. What differs on purpose is in docs/guide/command-line.md.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from types import SimpleNamespace

import oracle
import pika
import pytest
from client import Client
from program import Program, Result
from support.broker import Leveret

NODE = re.compile(r"(?:test\d+|rabbit)@[\w.-]+")
PORT = re.compile(r"\t\d{5}\t")
PROCESS = re.compile(r'<[^<> ]+@localhost\.[\d.]+>|"#PID<[^>]*>"|"?127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+(?: \(\d+\))?"?')

READS = """
rabbitmqctl list_queues
rabbitmqctl -q list_queues name messages durable policy type arguments state
rabbitmqctl -s list_queues
rabbitmqctl --no-table-headers list_queues -p other
rabbitmqctl list_queues -p other --formatter json name durable messages exclusive
rabbitmqctl list_queues --formatter csv name arguments durable
rabbitmqctl list_queues -p other --formatter pretty_table name durable
rabbitmqctl list_queues --formatter json_stream name durable
rabbitmqctl list_exchanges name type durable auto_delete internal arguments policy
rabbitmqctl list_exchanges -p other --formatter json
rabbitmqctl list_bindings
rabbitmqctl list_bindings --formatter json source_name routing_key arguments
rabbitmqctl list_connections
rabbitmqctl list_connections user vhost state protocol channels ssl auth_mechanism timeout frame_max peer_host
rabbitmqctl list_channels
rabbitmqctl list_channels number user vhost confirm prefetch_count messages_unconfirmed transactional connection
rabbitmqctl list_consumers
rabbitmqctl list_consumers --formatter json
rabbitmqctl list_vhosts name description tags tracing cluster_state
rabbitmqctl list_users
rabbitmqctl list_users --formatter json
rabbitmqctl list_permissions
rabbitmqctl list_user_permissions alice
rabbitmqctl list_topic_permissions
rabbitmqctl list_user_topic_permissions alice
rabbitmqctl list_policies
rabbitmqctl list_policies --formatter json
rabbitmqctl list_operator_policies
rabbitmqctl list_parameters
rabbitmqctl list_global_parameters
rabbitmqctl list_vhost_limits -p other
rabbitmqctl list_vhost_limits --global
rabbitmqctl list_user_limits --user alice --formatter json
rabbitmqctl list_feature_flags name state desc
rabbitmqctl ping
rabbitmq-diagnostics -q ping
rabbitmq-diagnostics ping --formatter json
rabbitmqctl await_startup
rabbitmq-diagnostics alarms
rabbitmq-diagnostics listeners
rabbitmq-diagnostics check_running
rabbitmq-diagnostics -q check_running
rabbitmq-diagnostics check_local_alarms --formatter json
rabbitmq-diagnostics -s check_local_alarms
rabbitmq-diagnostics check_port_connectivity
rabbitmq-diagnostics check_port_listener 5
rabbitmq-diagnostics check_protocol_listener amqp
rabbitmq-diagnostics check_protocol_listener mqtt
rabbitmq-diagnostics check_virtual_hosts
rabbitmq-diagnostics check_certificate_expiration --unit days --within 30
rabbitmq-diagnostics check_if_node_is_quorum_critical
rabbitmq-diagnostics server_version
rabbitmq-diagnostics erlang_version
rabbitmq-diagnostics log_location
rabbitmq-upgrade await_online_quorum_plus_one
rabbitmqctl list_queue
""".strip().splitlines()

PAGES = """
rabbitmqctl status
rabbitmqctl cluster_status
rabbitmqctl status --formatter json
rabbitmqctl cluster_status --formatter json
""".strip().splitlines()

# What a broker is itself, which no two are the same in; the default virtual host, whose description not all have; and operator
# policies, which RabbitMQ has among the parameters.
OWN = ("list_feature_flags", "listeners", "check_port_connectivity", "check_port_listener", "check_protocol_listener mqtt",
       "server_version", "erlang_version", "log_location", "list_global_parameters", "list_vhosts name description",
       "list_parameters")

# In this order, by one tool and then by the other: what the last line leaves is what the first finds.
WRITES = """
rabbitmqctl add_user carol pw
rabbitmqctl add_user carol pw
rabbitmqctl set_user_tags carol administrator monitoring
rabbitmqctl set_user_tags nobody administrator
rabbitmqctl set_permissions -p / carol .* .* .*
rabbitmqctl set_permissions -p /nope carol .* .* .*
rabbitmqctl set_permissions nobody .* .* .*
rabbitmqctl change_password nobody x
rabbitmqctl authenticate_user carol pw
rabbitmqctl authenticate_user carol wrong
rabbitmqctl clear_permissions carol
rabbitmqctl set_topic_permissions carol amq.topic a b
rabbitmqctl clear_topic_permissions carol amq.topic
rabbitmqctl delete_user carol
rabbitmqctl delete_user carol
rabbitmqctl add_vhost v9
rabbitmqctl delete_vhost v9
rabbitmqctl delete_vhost v9
rabbitmqctl set_policy p2 ^x '{"max-length":5}' --priority 2 --apply-to queues
rabbitmqctl set_policy p3 '*' '{"max-length":1}'
rabbitmqctl set_policy -p /nope p3 x '{"max-length":1}'
rabbitmqctl clear_policy p2
rabbitmqctl clear_policy p2
rabbitmqctl set_operator_policy o2 ^x '{"max-length":5}'
rabbitmqctl clear_operator_policy o2
rabbitmqctl set_parameter nosuch up2 '{"uri":"amqp://h"}'
rabbitmqctl set_global_parameter g2 '{"a":1}'
rabbitmqctl clear_global_parameter g2
rabbitmqctl set_vhost_limits '{"max-connections": 10}'
rabbitmqctl clear_vhost_limits
rabbitmqctl set_user_limits alice '{"max-channels": 10}'
rabbitmqctl clear_user_limits alice max-channels
rabbitmqctl purge_queue idle
rabbitmqctl purge_queue nosuch
rabbitmqctl delete_queue nosuch
rabbitmqctl trace_on
rabbitmqctl trace_off
rabbitmqctl close_all_connections -p nowhere reason
""".strip().splitlines()

ADMIN_READS = """
list queues
list queues name messages
-f kvp list queues name messages
-f tsv list queues name messages
-f long list queues name messages
-f bash list queues
-f raw_json list queues name messages
-f pretty_json list queues name messages
-S messages -R list queues
-V other list queues
list exchanges
list bindings
list connections
list channels
list consumers
list users
list vhosts name
list permissions
list parameters
list policies
list operator_policies
list vhost_limits
show overview rabbitmq_version cluster_name
list nonsense
nonsense
-u guest -p wrong list queues
""".strip().splitlines()

ADMIN_WRITES = """
declare queue name=aq durable=false
declare queue name=aq durable=true
declare queue durable=true
declare queue name=aq nosuch=1
declare queue name=aq2 arguments='{"x-max-length":5}'
declare queue name=aq3 queue_type=quorum
declare exchange name=ax type=fanout
declare binding source=ax destination=aq routing_key=rk
declare binding source=ax destination=nosuch routing_key=rk
declare vhost name=av
declare user name=au password=p tags=
declare permission vhost=/ user=au configure=.* write=.* read=.*
declare policy name=ap pattern=^x definition='{"max-length":3}'
declare vhost_limit vhost=av name=max-queues value=4
publish routing_key=aq payload=hello
publish exchange=ax routing_key=nokey payload=hello
get queue=aq
get queue=aq ackmode=ack_requeue_false count=5
-f tsv get queue=aq
purge queue name=aq
delete queue name=aq
delete queue name=aq
delete queue name=aq2
delete queue name=aq3
delete exchange name=ax
delete vhost name=av
delete user name=au
delete policy name=ap
close connection name=nosuch
""".strip().splitlines()


# ---- the state that is looked at ----

def make_state(client, amqp_port):
    """Something of everything, put by the API and by a client that stays; arguments in the order of the alphabet."""
    for path, body in (
        ("/api/vhosts/other", {"description": "another", "tags": "a,b"}),
        ("/api/vhosts/a%2Fb", {}),
        ("/api/users/alice", {"password": "secret", "tags": "monitoring,policymaker"}),
        ("/api/users/b%C3%B6b", {"password": "x", "tags": ""}),
        ("/api/permissions/%2F/alice", {"configure": "^a", "write": ".*", "read": "x\\ty\\\\"}),
        ("/api/permissions/other/guest", {"configure": ".*", "write": ".*", "read": ".*"}),
        ("/api/topic-permissions/%2F/alice", {"exchange": "amq.topic", "write": "^w", "read": "^r"}),
        ("/api/policies/%2F/p1", {"pattern": "^b", "definition": {"max-length": 1000}, "priority": 3, "apply-to": "queues"}),
        ("/api/operator-policies/%2F/op1", {"pattern": "^op", "definition": {"max-length": 10}, "apply-to": "queues"}),
        ("/api/vhost-limits/other/max-queues", {"value": 100}),
        ("/api/user-limits/alice/max-connections", {"value": 5}),
        ("/api/global-parameters/gp", {"name": "gp", "value": {"a": 1, "b": [1, 2, "x"]}}),
    ):
        assert client.put(path, body).status in (201, 204), path
    one = pika.BlockingConnection(pika.ConnectionParameters(port=amqp_port, heartbeat=0))
    channel = one.channel()
    channel.queue_declare("busy", durable=True, arguments={"x-max-length": 50, "x-overflow": "reject-publish"})
    channel.queue_declare("idle")
    channel.queue_declare("tab\tname", durable=True)
    channel.queue_declare("\u00fcn\u00ef", durable=True)
    channel.exchange_declare("topics", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.exchange_declare("inside", "headers", internal=True)
    channel.queue_bind("busy", "topics", "a.*.b")
    channel.queue_bind("idle", "inside", "", arguments={"h": 1, "x-match": "all"})
    channel.exchange_bind("inside", "topics", "#")
    for i in range(7):
        channel.basic_publish("", "busy", b"hello", pika.BasicProperties(delivery_mode=2))
    channel.basic_qos(prefetch_count=5)
    channel.basic_consume("busy", lambda *_: None, consumer_tag="ct1")
    two = pika.BlockingConnection(pika.ConnectionParameters(port=amqp_port, virtual_host="other", heartbeat=0))
    other = two.channel()
    other.queue_declare("alone", exclusive=True)
    other.confirm_delivery()
    return one, two


@pytest.fixture(scope="module")
def state(rabbitmq):
    client = Client(rabbitmq.http_port)
    connections = make_state(client, rabbitmq.amqp_port)
    time.sleep(3)           # statistics of the plugin are up to a second old, and kept for five times as long as they took
    yield rabbitmq
    for connection in connections:
        connection.close()
    client.close()


# ---- the tools ----

def ours(broker, line):
    program, *args = shlex.split(line)
    return Program(cwd=broker.dir, LEVERET_URL=f"http://guest:guest@127.0.0.1:{broker.http_port}")(*args, name=program)


@pytest.fixture(scope="module")
def old_admin(rabbitmq):
    """rabbitmqadmin as the broker serves it."""
    client = Client(rabbitmq.http_port)
    path = os.path.join(rabbitmq.dir, "rabbitmqadmin")
    with open(path, "wb") as file:
        file.write(client.get("/cli/rabbitmqadmin").body)
    client.close()

    def run(line):
        return Result(subprocess.run([sys.executable, path, "-P", str(rabbitmq.http_port), *shlex.split(line)],
                                     env={"PATH": os.environ["PATH"], "HOME": rabbitmq.dir, "PYTHONIOENCODING": "utf-8"},
                                     cwd=rabbitmq.dir, stdin=subprocess.DEVNULL, capture_output=True, check=False))
    return run


def our_admin(broker, line):
    return ours(broker, f"rabbitmqadmin -P {broker.http_port} {line}")


# ---- the comparison ----

def rows(text):
    """Lines without what no two tools agree on, sorted; of a JSON list, an object is a line."""
    return sorted(PROCESS.sub("PROCESS", line.removeprefix(",")) for line in text.splitlines())


def check(line, wanted, got):
    assert (rows(got.out), got.err, got.code) == (rows(wanted.out), wanted.err, wanted.code), line


@pytest.fixture(scope="module")
def answers(state):
    """What RabbitMQ's tools say to every line that only reads."""
    lines = READS + PAGES
    return dict(zip(lines, oracle.ask(state, lines)))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("line", READS)
def test_reads(state, answers, line):
    check(line, answers[line], ours(state, line))


@pytest.mark.timeout(180)
def test_writes(state):
    for line, one in zip(WRITES, oracle.ask(state, WRITES)):
        check(line, one, ours(state, line))


@pytest.fixture(scope="module")
def same_state():
    """A broker of ours that holds the same."""
    with Leveret(http_listen="127.0.0.1:0") as broker:
        client = Client(broker.http_port)
        connections = make_state(client, broker.amqp_port)
        yield broker
        for connection in connections:
            connection.close()
        client.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("line", [line for line in READS if not any(own in line for own in OWN)])
def test_reads_of_leveretd(same_state, answers, line):
    """RabbitMQ's tools on RabbitMQ, and ours on ours."""
    def bare(text):
        return PORT.sub("\tPORT\t", NODE.sub("NODE", PROCESS.sub("PROCESS", text)))
    both = (answers[line], ours(same_state, line))
    check(line, *(SimpleNamespace(out=bare(a.out), err=bare(a.err), code=a.code) for a in both))


@pytest.mark.parametrize("line", ADMIN_READS)
def test_admin_reads(state, old_admin, line):
    wanted, got = old_admin(line), our_admin(state, line)
    assert (got.out, got.err, got.code != 0) == (wanted.out, wanted.err, wanted.code != 0)


def test_admin_writes(state, old_admin):
    wanted = [old_admin(line) for line in ADMIN_WRITES]
    for line, one in zip(ADMIN_WRITES, wanted):
        got = our_admin(state, line)
        assert (got.out, got.err, got.code != 0) == (one.out, one.err, one.code != 0), line


SECTIONS = re.compile(r"\x1b\[1m([^\x1b]*)\x1b\[0m\n\n(.*?)(?=\n\x1b\[1m|\Z)", re.DOTALL)


@pytest.mark.parametrize("line, same", [
    ("rabbitmqctl status", ("Config files", "Log file(s)", "Alarms", "Totals", "Listeners")),
    ("rabbitmqctl cluster_status", ("Disk Nodes", "Running Nodes", "Versions", "Maintenance status", "Alarms",
                                    "Network Partitions", "Listeners", "Feature flags")),
])
def test_pages(state, answers, line, same):
    """Sections that do not change while one looks; ours has those of RabbitMQ 4 besides."""
    wanted, got = (dict(SECTIONS.findall(text)) for text in (answers[line].out, ours(state, line).out))
    for section in same:
        assert sorted(got[section].split("\n")) == sorted(wanted[section].split("\n")), section


@pytest.mark.parametrize("line", ["rabbitmqctl status --formatter json", "rabbitmqctl cluster_status --formatter json"])
def test_pages_as_json(state, answers, line):
    wanted, got = json.loads(answers[line].out), json.loads(ours(state, line).out)
    gone = {"file_descriptors", "release_series_support_status", "vm_memory_high_watermark_setting"}
    assert set(wanted) - gone <= set(got)


def test_definitions_go_round(state, tmp_path):
    """What one tool exports, the other imports."""
    path = str(tmp_path / "ours.json")
    assert ours(state, f"rabbitmqctl export_definitions {path}").code == 0
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"
    assert ours(state, f"rabbitmqctl import_definitions {path}").code == 0
    wanted = oracle.ask(state, [f"rabbitmqctl export_definitions {path}.theirs"])[0]
    got = ours(state, f"rabbitmqctl export_definitions {path}.theirs")
    assert (got.out, got.code) == (wanted.out, wanted.code)

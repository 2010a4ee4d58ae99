"""The program itself: words, help, completion, exit codes; and a broker of ours."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from program import Program, program_path
from support.broker import Leveret

TOOLS = ("rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-streams", "rabbitmq-upgrade",
         "rabbitmq-plugins", "rabbitmqadmin")


# ---- words ----

@pytest.mark.parametrize("tool", TOOLS)
def test_every_command_has_a_page(alone, tool):
    listed = re.findall(r"^   (\S+(?: \S+)?)  ", alone.good("help", name=tool), re.MULTILINE)
    assert listed
    for command in listed:
        page = alone.good(*command.split(), "--help", name=tool)
        assert command in page and "Usage" in page
        assert alone.good("help", *command.split(), name=tool) == page
        assert alone.good(tool, *command.split(), "--help") == page


@pytest.mark.parametrize("words, near", [(("list_queue",), "list_queues"), (("lsit_users",), "list_users"),
                                         (("stauts",), "status"), (("ad_vhost",), "add_vhost")])
def test_did_you_mean(alone, words, near):
    result = alone(*words, name="rabbitmqctl")
    assert result.code == 64 and f"Did you mean '{near}'?" in result.err


@pytest.mark.parametrize("line, text", [
    ("add_user", "not enough arguments."),
    ("delete_user a b", "too many arguments."),
    ("list_queues --nosuch", "--nosuch"),
    ("list_queues --formatter nosuch", "nosuch"),
    ("list_queues -t x", "x"),
    ("list_queues nosuch", "Info key(s) nosuch are not supported"),
    ("delete_queue q -p", "-p needs a value"),
])
def test_wrong_usage(alone, line, text):
    result = alone(*line.split(), name="rabbitmqctl")
    assert result.code == 64 and text in result.err


def test_options_stand_anywhere(alone):
    for line in ("-p v --dry-run delete_queue q", "delete_queue -p v q --dry-run", "delete_queue q --vhost=v --dry-run",
                 "--dry-run -pv -n node purge_queue q", "-q purge_queue --dry-run -p v -- q"):
        result = alone("--url", "http://127.0.0.1:1", *line.split(), name="rabbitmqctl")
        if "purge" in line:
            assert result.out.endswith("DELETE /api/queues/v/q/contents\n"), result


def test_paths_are_encoded(alone):
    out = alone.good("-q", "--dry-run", "purge_queue", "-p", "/", "a/b %ü", name="rabbitmqctl")
    assert out == "DELETE /api/queues/%2F/a%2Fb%20%25%C3%BC/contents\n"


def test_version(alone):
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", alone.good("--version", name="rabbitmqctl"))
    assert alone.good("--version").startswith("leveret ")


def test_what_is_built_in_is_accepted(alone):
    for line in ("enable rabbitmq_management", "enable --offline rabbitmq_mqtt rabbitmq_stomp", "disable rabbitmq_mqtt",
                 "set rabbitmq_prometheus", "is_enabled rabbitmq_management", "list", "-q list -e -m", "directories"):
        alone.good(*line.split(), name="rabbitmq-plugins")
    assert json.loads(alone.good("list", "--formatter", "json", name="rabbitmq-plugins"))["plugins"]


@pytest.mark.parametrize("line, code", [("eval 1.", 69), ("force_gc", 0), ("join_cluster rabbit@a", 69), ("start_app", 0)])
def test_what_only_erlang_has(alone, line, code):
    result = alone(*line.split(), name="rabbitmqctl")
    assert result.code == code and (result.out + result.err).strip()


def test_hash_password(alone):
    import base64
    import hashlib
    raw = base64.b64decode(alone.good("-q", "hash_password", "test12"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"test12").digest()


# ---- completion ----

def complete(program, *words):
    return program.good("__complete", *words).splitlines()


def test_completion_of_words(alone):
    assert complete(alone, "bash", "rabbitmqctl", "list_q") == ["list_queues"]
    assert "messages_ready" in complete(alone, "bash", "rabbitmqctl", "list_queues", "name", "mess")
    assert complete(alone, "bash", "leveret", "list_queues", "--formatter", "pre") == ["pretty_table"]
    assert complete(alone, "bash", "rabbitmqadmin", "decl") == ["declare"]
    assert "queue" in complete(alone, "bash", "rabbitmqadmin", "declare", "")
    assert complete(alone, "bash", "rabbitmqadmin", "declare", "queue", "durable", "=", "t") == ["true"]
    assert complete(alone, "fish", "leveret", "rabbitmqctl", "list_vh")[0].startswith("list_vhosts\t")
    assert complete(alone, "bash", "nosuch", "") == []


def test_completion_of_names(leveret):
    assert "/" in complete(leveret, "bash", "rabbitmqctl", "delete_vhost", "")
    assert "amq.topic" in complete(leveret, "bash", "leveret", "delete", "exchange", "name", "=", "amq.t")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(alone, shell):
    assert "__complete" in alone.good("completion", shell)


SHELLS = {
    "bash": "source <(leveret completion bash); COMP_WORDS=(rabbitmqctl list_user_l); COMP_CWORD=1; _leveret; "
            "printf '%s\\n' \"${COMPREPLY[@]}\"",
    "zsh": "autoload -Uz compinit; compinit -u -D; source <(leveret completion zsh); _describe() { print -l -- \"${(@P)4}\" }; "
           "words=(rabbitmqctl list_user_l); CURRENT=2; _leveret",
    "fish": "leveret completion fish | source; complete -C 'rabbitmqctl list_user_l'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_complete(alone, tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    os.symlink(program_path(), tmp_path / "leveret")
    done = subprocess.run([shell, "-c", SHELLS[shell]], cwd=tmp_path, capture_output=True, text=True, check=False,
                          env={**alone.env, "PATH": f"{tmp_path}:{alone.env['PATH']}"})
    assert done.stdout.startswith("list_user_limits"), done


# ---- where the broker is ----

def test_nobody_there(alone):
    result = alone("--url", "http://127.0.0.1:1", "list_queues")
    assert result.code == 69 and "unable to reach the broker" in result.err
    assert alone("--socket", "/nowhere.sock", "list_queues").code == 69
    assert alone("--url", "nonsense", "list_queues").code == 64


def test_ways_to_the_broker(leveretd, tmp_path):
    data = os.path.join(leveretd.dir, "data")
    url = f"http://guest:guest@localhost:{leveretd.http_port}"
    nowhere = Program(cwd=tmp_path, LEVERET_URL="http://127.0.0.1:1")
    assert Program(LEVERET_DATA_DIR=data).good("-q", "ping") == "Ping succeeded\n"
    assert Program(LEVERET_URL=url, LEVERET_DATA_DIR="/nowhere").good("-q", "ping")
    assert nowhere.good("--url", url, "-q", "ping")
    assert nowhere.good("--socket", data, "-q", "ping")
    assert nowhere.good("--socket", os.path.join(data, "leveret.sock"), "-q", "ping")
    assert nowhere("-q", "ping").code == 69
    os.symlink(data, tmp_path / "leveret-data")
    assert Program(cwd=tmp_path).good("-q", "ping")


def test_wrong_password(leveretd):
    result = Program(LEVERET_URL=f"http://guest:wrong@127.0.0.1:{leveretd.http_port}")("list_queues")
    assert result.code == 77


def test_admin_config_file(leveretd, tmp_path):
    (tmp_path / ".rabbitmqadmin.conf").write_text(
        f"[default]\nhostname = 127.0.0.1\nport = 1\n\n[here]\nhostname = \"127.0.0.1\"  # a host\n"
        f"port = {leveretd.http_port}\nusername = guest\npassword = guest\nvhost = /\n")
    program = Program(cwd=tmp_path)
    assert program("list", "exchanges", name="rabbitmqadmin").code == 69
    assert "amq.topic" in program.good("-N", "here", "list", "exchanges", name="rabbitmqadmin")
    assert "amq.topic" in program.good("--node", "here", "exchanges", "list", name="rabbitmqadmin")
    assert program("-N", "nosuch", "list", "exchanges", name="rabbitmqadmin").code == 78


# ---- a broker that misbehaves ----

class Handler(BaseHTTPRequestHandler):
    """Answers as the path says: /api/queues/%2F/... of nothing but a virtual host named CODE-BODY."""

    def do_GET(self):
        name = self.path.split("/")[3].split("?")[0]
        if name == "slow":
            time.sleep(5)
        status, _, body = name.partition("-")
        body = {"junk": b"<html>", "half": b"[{\"name\":", "list": b"[]", "number": b"7", "none": b"",
                "error": b'{"error":"x","reason":"because"}', "deep": b"[" * 100000,
                "odd": b'[7,null,{"name":["x",{}],"messages":"7"},{"name":"esc\\u001b[31m\\u0000"}]'}.get(body, b"[]")
        self.send_response(int(status) if status.isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def strange():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Program(LEVERET_URL=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()


@pytest.mark.parametrize("vhost, code", [("200-junk", 76), ("200-half", 76), ("200-number", 76), ("200-none", 76),
                                         ("200-deep", 76), ("200-list", 0), ("500-none", 69), ("500-error", 69),
                                         ("401-error", 77), ("404-error", 65), ("200-odd", 0)])
def test_strange_answers(strange, vhost, code):
    result = strange("list_queues", "-p", vhost)
    assert result.code == code, result
    assert "\x1b" not in result.out and "\0" not in result.out


def test_timeout(strange):
    result = strange("list_queues", "-p", "slow", "-t", "1")
    assert result.code == 75, result


def test_a_failed_export_keeps_the_old_file(strange, tmp_path):
    path = tmp_path / "definitions.json"
    path.write_text("old")
    program = Program(cwd=tmp_path, LEVERET_URL="http://127.0.0.1:1")
    assert program("export_definitions", str(path)).code == 69
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["definitions.json"]


def test_no_http_at_all():
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            peer, _ = server.accept()
            peer.recv(100)
            peer.sendall(b"SSH-2.0-nonsense\r\n\r\n")
            peer.close()
        threading.Thread(target=answer, daemon=True).start()
        result = Program(LEVERET_URL=f"http://127.0.0.1:{server.getsockname()[1]}")("list_queues")
    assert result.code in (69, 76), result


def test_await_startup_waits(tmp_path):
    """Nobody there, then somebody."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    program = Program(LEVERET_URL=f"http://127.0.0.1:{port}")
    assert program("await_startup", "-t", "1").code == 75
    assert program("wait", str(tmp_path / "pid"), "-t", "1").code == 75


# ---- a broker of ours ----

def test_lists(leveret):
    assert leveret.good("list_exchanges", "-q", "name", "type").splitlines()[0] == "name\ttype"
    assert {"name": "amq.topic", "type": "topic"} in json.loads(leveret.good("list_exchanges", "--formatter", "json"))
    assert "amq.topic" in leveret.good("exchanges", "list")
    assert "amq.topic" in leveret.good("list", "exchanges")
    assert leveret.good("-s", "list_vhosts") == "/\n"


VERSION_2 = """
vhosts declare --name v2 --description text --default-queue-type quorum
--vhost v2 permissions declare --user guest --configure .* --write .* --read .*
--vhost v2 queues declare --name q --type classic --durable true --auto-delete false
--vhost v2 exchanges declare --name x --type topic --durable true
--vhost v2 bindings declare --source x --destination-type queue --destination q --routing-key a.b
--vhost v2 bindings delete --source x --destination-type queue --destination q --routing-key a.b
--vhost v2 exchanges bind --source x --destination-type queue --destination q --routing-key #
--vhost v2 exchanges unbind --source x --destination-type queue --destination q --routing-key #
--vhost v2 queues show --name q
--vhost v2 queues list
--vhost v2 queues list --columns name,type
--vhost v2 queues purge --name q
--vhost v2 publish message --routing-key q --payload hello
--vhost v2 get messages --queue q --count 2 --ack-mode ack_requeue_false
--vhost v2 queues delete --name q
--vhost v2 queues delete --name q --idempotently
--vhost v2 exchanges delete --name x
users declare --name u --password secret --tags monitoring,management
--vhost v2 permissions declare --user u --configure .* --write .* --read .*
--vhost v2 permissions delete --user u
--vhost v2 policies declare --name p --pattern ^x --definition {"max-length":5} --priority 1 --apply-to queues
policies list
--vhost v2 policies delete --name p
--vhost v2 vhost_limits declare --name max-queues --value 5
vhost_limits list
--vhost v2 vhost_limits delete --name max-queues
user_limits declare --user u --name max-channels --value 5
user_limits list
user_limits delete --user u --name max-channels
global_parameters set --name g --value {"a":1}
global_parameters list
global_parameters clear --name g
parameters list_all
feature_flags list
deprecated_features list_used
users list
permissions list
connections list
channels list
consumers list
nodes list
bindings list
show overview
show churn
health_check local_alarms
health_check cluster_wide_alarms
--non-interactive --quiet vhosts list
rebalance queues
passwords salt_and_hash --password secret
vhosts delete --name v2
vhosts delete --name v2 --idempotently
users delete --name u
""".strip().splitlines()


def test_settings_of_the_node():
    with Leveret() as server:
        leveret = Program(LEVERET_DATA_DIR=os.path.join(server.dir, "data"))
        leveret.good("set_log_level", "warning")
        leveret.good("set_vm_memory_high_watermark", "0.5")
        leveret.good("set_disk_free_limit", "60MB")
        told = leveret.good("environment")
        for line in ("log.default.level = warning", "vm_memory_high_watermark.relative = 0.5",
                     "disk_free_limit.absolute = 60MB"):
            assert line in told
        assert leveret("set_log_level", "loud").code != 0
        leveret.good("rotate_logs")
        leveret.good("stop")
        server.process.wait(10)


def test_the_second_grammar(leveret):
    """What the pages of rabbitmqadmin's second version tell people to write."""
    for line in VERSION_2:
        leveret.good(*line.split(" "), name="rabbitmqadmin")
    assert leveret("vhosts", "delete", "--name", "v2", name="rabbitmqadmin").code == 69


def test_many_queues_at_once(leveret):
    for i in range(12):
        leveret.good("declare", "queue", f"name=many.{i}")
    leveret.good("declare", "queue", "name=one")
    assert leveret("queues", "delete_multiple", "--name-pattern", "^many").code == 64
    listed = leveret.good("queues", "delete_multiple", "--name-pattern", "^many", "--dry-run", "--format", "tsv")
    assert len(listed.splitlines()) == 13
    table = leveret.good("queues", "list", "--columns", "name,queue_type,durable")
    assert table.startswith("╭") and "│ one     │ classic    │ true    │" in table
    assert leveret.good("queues", "purge_multiple", "--name-pattern", "^many", "--approve") == ""
    assert leveret.good("queues", "delete_multiple", "--name-pattern", "^many", "--approve") == ""
    assert leveret.good("-s", "list_queues", "name") == "one\n"
    leveret.good("delete", "queue", "name=one")


@pytest.mark.parametrize("style, line", [("modern", "├"), ("ascii", "| name"), ("psql", " name"),
                                         ("markdown", "| name"), ("borderless", " name"), ("dots", ": name"),
                                         ("sharp", "│ name")])
def test_table_styles(leveret, style, line):
    assert line in leveret.good("rabbitmqadmin", "--table-style", style, "exchanges", "list")


def test_names_of_links(leveret, tmp_path):
    """A link with a tool's name is that tool, wherever it lies."""
    os.symlink(program_path(), tmp_path / "rabbitmq-diagnostics")
    out = leveret.good("-q", "check_running", name=str(tmp_path / "rabbitmq-diagnostics"))
    assert out.endswith("is fully booted and running\n")


# ---- the terminal ----

def on_terminal(program, args, keys, until=b""):
    """Output and exit code of a call on a terminal of 30 lines; `keys` are (pause, bytes or signal)."""
    pid, master = pty.fork()
    if pid == 0:
        os.execve(program_path(), ["leveret", *args], {**program.env, "TERM": "xterm"})
    out = b""

    def read(seconds):
        nonlocal out
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    got = os.read(master, 65536)
                except OSError:
                    return
                if not got:
                    return
                out += got
    for pause, key in keys:
        read(pause)
        if isinstance(key, bytes):
            os.write(master, key)
        else:
            os.kill(pid, key)
    read(3)
    status = os.waitpid(pid, 0)[1]
    os.close(master)
    return out.decode(errors="replace"), os.waitstatus_to_exitcode(status)


@pytest.fixture
def seen(leveret):
    """leveret top needs more of the API than lists."""
    if leveret("top").code != 0:
        pytest.skip("the broker's API does not have all that top shows")
    return leveret


def test_top_without_terminal(seen):
    out = seen.good("top")
    assert out.startswith("leveret top") and "\x1b" not in out and "QUEUE" in out


@pytest.mark.parametrize("end, code", [(b"q", 0), (signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_top_leaves_the_terminal_as_it_was(seen, end, code):
    out, got = on_terminal(seen, ["top"], [(1.0, b"r"), (0.3, b"/x\n"), (0.3, b" "), (0.3, b"\x1b[B"), (0.3, end)])
    assert got == code
    assert out.count("\x1b[?1049h") == 1 and out.endswith("\x1b[?25h\x1b[?1049l")
    assert "(paused)" in out and "filter x" in out


def test_watch(leveret):
    out, code = on_terminal(leveret, ["list_vhosts", "--help"], [])
    assert code == 0
    out, code = on_terminal(leveret, ["list_exchanges", "--watch=1"], [(2.5, signal.SIGTERM)])
    assert out.count("\x1b[H") >= 2

"""A real leveretd and its configuration: files, environment, --check, reload by SIGHUP, and every output of the log."""
import glob
import json
import os
import re
import signal
import socket
import subprocess

import pika
import pytest

from support.broker import ROOT, Leveret, leveretd_path
from support.net import wait_until
from wire import Wire

HERE = os.path.dirname(os.path.abspath(__file__))
LEVERET = os.environ.get("LEVERET") or os.path.join(ROOT, "build", "release", "leveret")
EX_USAGE, EX_DATAERR, EX_CONFIG = 64, 65, 78
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "LEVERET_"))}


def run(program, *args, **env):
    return subprocess.run([program, *args], env={**CLEAN, **env}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


def check(*args, **env):
    return run(leveretd_path(), "--check", *args, **env)


class Configured(Leveret):
    """Started from files alone: name -> text, the first is the one to read."""

    def __init__(self, files, *args, env=None):
        super().__init__(*args)
        self.files = files
        self.env = {**CLEAN, **(env or {})}

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text.replace("DIR", self.dir))

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _command(self):
        return [leveretd_path(), "--config", self.path(next(iter(self.files))), "--ready-file", self.ready_path, *self.args]

    def _spawn(self, argv, env=None):
        for name, text in self.files.items():
            self.write(name, text)
        return super()._spawn(argv, self.env)

    def output(self):
        return self.read("output.log")

    def signal(self, number, expect):
        """Sends a signal and waits for a line of the output that was not there before."""
        before = len(re.findall(expect, self.output()))
        os.kill(self.pid, number)
        wait_until(lambda: len(re.findall(expect, self.output())) > before, 10, expect)

    def end(self, log):
        """Ends the broker, not its folder; its log files and their sizes."""
        os.kill(self.pid, signal.SIGTERM)
        assert self.process.wait(10) == 0
        return {os.path.basename(path): os.path.getsize(path) for path in sorted(glob.glob(self.path(log) + "*"))}

    def reload(self, expect="configuration reloaded"):
        self.signal(signal.SIGHUP, expect)


BASE = "data_dir = DIR/data\nlisteners.tcp.1 = 127.0.0.1:0\nmanagement.tcp.port = 0\nprometheus.tcp.port = 0\n"


def connect(broker, port=None, user="guest", password="guest"):
    parameters = pika.ConnectionParameters("127.0.0.1", port or broker.amqp_port,
                                           credentials=pika.PlainCredentials(user, password), connection_attempts=1)
    return pika.BlockingConnection(parameters)


# ---- what is read ----

def test_a_configuration_of_many_years_is_good(tmp_path):
    result = check("--config", os.path.join(HERE, "rabbitmq.conf"))
    assert result.returncode == EX_CONFIG       # it names definitions that are not here
    assert "leveretd: load_definitions: /etc/rabbitmq/definitions.json: not found\n" in result.stderr
    definitions = tmp_path / "definitions.json"
    definitions.write_text("{}", encoding="utf-8")
    result = check("--config", os.path.join(HERE, "rabbitmq.conf"), "--load-definitions", str(definitions))
    assert result.returncode == 0, result.stderr
    assert "configuration is good (1 file read)" in result.stdout
    assert "rabbitmq.conf:100:1: net_ticktime is not used" in result.stderr
    assert len(re.findall("cluster_formation.peer_discovery_backend", result.stderr)) == 1


def test_errors_have_file_line_and_column(tmp_path):
    file = tmp_path / "rabbitmq.conf"
    file.write_text("heartbeat = 60\nlistner.tcp.default = 5672\n  channel_max = many\n")
    result = check("--config", str(file))
    assert result.returncode == EX_CONFIG
    assert result.stderr == (
        f"leveretd: {file}:2:1: unknown key 'listner.tcp.default' (did you mean 'listeners.tcp.default'?)\n"
        f"leveretd: {file}:3:17: expected a number, from 0 to 65535, not 'many'\n")


def test_a_wrong_configuration_does_not_start(tmp_path):
    file = tmp_path / "rabbitmq.conf"
    file.write_text("nothing.of.the.kind = 1\n")
    result = run(leveretd_path(), "--config", str(file), "--data-dir", str(tmp_path / "data"))
    assert result.returncode == EX_CONFIG
    assert "unknown key" in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_wrong_option_is_a_usage_error():
    result = run(leveretd_path(), "--config", "none", "--hartbeat", "5")
    assert (result.returncode, result.stdout) == (EX_USAGE, "")
    assert "did you mean '--heartbeat'?" in result.stderr


@pytest.mark.parametrize("name", ["LEVERET_CONFIG_FILE", "RABBITMQ_CONFIG_FILE"])
def test_the_environment_names_the_file(tmp_path, name):
    (tmp_path / "a.conf").write_text("heartbeat = 5\n")
    result = check(**{name: str(tmp_path / "a.conf")})
    assert result.stdout.startswith(f"{tmp_path}/a.conf\n")
    if name == "RABBITMQ_CONFIG_FILE":      # RabbitMQ lets the ending be left out
        assert check(**{name: str(tmp_path / "a")}).stdout.startswith(f"{tmp_path}/a.conf\n")
    assert check(**{name: str(tmp_path / "b.conf")}).returncode == EX_CONFIG


def test_conf_d_in_order_of_names(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "a.conf").write_text("heartbeat = 1\nchannel_max = 1\n")
    (tmp_path / "conf.d" / "20-b.conf").write_text("heartbeat = 3\n")
    (tmp_path / "conf.d" / "10-a.conf").write_text("heartbeat = 2\nframe_max = 8192\n")
    (tmp_path / "conf.d" / "readme.txt").write_text("not read")
    result = run(LEVERET, "config", "changed", str(tmp_path / "a.conf"))
    assert result.stdout == (f"channel_max = 1   # {tmp_path}/a.conf:2\n"
                             f"frame_max = 8192   # {tmp_path}/conf.d/10-a.conf:2\n"
                             f"heartbeat = 3   # {tmp_path}/conf.d/20-b.conf:1\n")
    more = tmp_path / "more"
    more.mkdir()
    (more / "x.conf").write_text("heartbeat = 4\n")
    for given in (str(more), f"{more}/*.conf"):
        result = run(LEVERET, "config", "changed", str(tmp_path / "a.conf"), RABBITMQ_CONFIG_FILES=given)
        assert f"heartbeat = 4   # {more}/x.conf:1\n" in result.stdout


def test_variables_in_values(tmp_path):
    file = tmp_path / "a.conf"
    file.write_text("default_user = $(NAME)-user\ndefault_vhost = 'a $(NAME)'\n")
    result = run(LEVERET, "config", "changed", str(file), NAME="ann # x")
    assert "default_user = 'ann # x-user'" in result.stdout
    assert "default_vhost = 'a ann # x'" in result.stdout
    result = run(LEVERET, "config", "check", str(file))
    assert (result.returncode, result.stdout) == (EX_CONFIG, "")
    assert f"{file}:1:16: environment variable 'NAME' is not set" in result.stderr


def test_a_password_from_a_file(tmp_path):
    (tmp_path / "password").write_text("from-a-file\n")
    with Configured({"a.conf": BASE}, env={"RABBITMQ_DEFAULT_USER": "ann",
                                           "RABBITMQ_DEFAULT_PASS_FILE": str(tmp_path / "password")}) as broker:
        connect(broker, user="ann", password="from-a-file").close()


def test_what_is_not_read_is_told(tmp_path):
    (tmp_path / "rabbitmq.conf").write_text("heartbeat = 5\n")
    (tmp_path / "advanced.config").write_text("[].\n")
    (tmp_path / "rabbitmq-env.conf").write_text("NODENAME=a\n")
    result = check("--config", str(tmp_path / "rabbitmq.conf"), RABBITMQ_DIST_PORT="1", RABBITMQ_ANYTHING="1")
    assert result.returncode == 0
    assert f"{tmp_path}/advanced.config is not read: it holds Erlang terms" in result.stderr
    assert f"{tmp_path}/rabbitmq-env.conf is not read" in result.stderr
    assert "RABBITMQ_DIST_PORT: not used" in result.stderr
    assert "RABBITMQ_ANYTHING is not used" in result.stderr


# ---- leveret config ----

def test_explain():
    result = run(LEVERET, "config", "explain", "vm_memory_high_watermark.relative", "none")
    assert result.returncode == 0
    for part in ("--memory-high-watermark", "LEVERET_MEMORY_HIGH_WATERMARK", "0.6", "reload", "(default)"):
        assert part in result.stdout
    result = run(LEVERET, "config", "explain", "heartbeet", "none")
    assert (result.returncode, result.stdout) == (EX_DATAERR, "")
    assert "did you mean 'heartbeat'?" in result.stderr
    assert run(LEVERET, "config", "explain").returncode == EX_USAGE


def test_the_list_of_everything_can_be_read_back(tmp_path):
    listed = run(LEVERET, "config", "list", "none").stdout
    file = tmp_path / "all.conf"
    file.write_text(re.sub("^# ", "", listed, flags=re.MULTILINE))
    result = run(LEVERET, "config", "check", str(file))
    assert result.returncode == 0, result.stderr
    assert run(LEVERET, "config", "check", os.path.join(HERE, "rabbitmq.conf")).returncode == 0


# ---- what runs ----

def test_several_listeners():
    with Configured({"a.conf": BASE + "listeners.tcp.2 = 0\npid_file = DIR/pid\n"}) as broker:
        assert broker.read("pid") == f"{broker.pid}\n"
        with open(broker.ready_path, encoding="utf-8") as file:
            addresses = json.load(file)["amqp"]
        assert len(addresses) == 2
        for address in addresses:
            connect(broker, int(address.rsplit(":", 1)[1])).close()
        assert broker.stop() == 0


def test_no_configuration_says_what_it_did():
    with Leveret() as broker:
        text = broker.log_tail()
        assert "no configuration file: defaults are in effect, guest logs in from this machine only data_dir=" in text
        assert "Server startup complete; 0 plugins started." in text


def test_reload_takes_up_what_is_live_and_tells_the_rest():
    with Configured({"a.conf": BASE + "heartbeat = 60\n"}) as broker:
        with connect(broker) as c:
            broker.write("a.conf", BASE + "heartbeat = 17\nlog.default.level = debug\nloops = 2\n")
            broker.reload()
            text = broker.output()
            assert "setting changed key=heartbeat from=60 to=17 effect=now" in text
            assert "setting changed key=loops from=0 to=2 effect=\"after a restart\"" in text
            assert "configuration reloaded changed=3 need_restart=1" in text
            c.channel()
        offered = []
        parameters = pika.ConnectionParameters(
            "127.0.0.1", broker.amqp_port, heartbeat=lambda connection, offer: offered.append(offer) or offer)
        pika.BlockingConnection(parameters).close()
        assert offered == [17]
        assert broker.stop() == 0


def test_a_reload_with_errors_changes_nothing():
    with Configured({"a.conf": BASE}) as broker:
        broker.write("a.conf", BASE + "heartbeat = 5\nheartbeet = 5\n")
        broker.reload("configuration not reloaded: it has errors, nothing was changed errors=1")
        line = BASE.count("\n") + 2
        assert f"{broker.path('a.conf')}:{line}:1: unknown key 'heartbeet'" in broker.output()
        broker.write("a.conf", BASE)
        broker.reload("configuration reloaded changed=0 need_restart=0")
        connect(broker).close()


def test_the_memory_watermark_is_live():
    with Configured({"a.conf": BASE}) as broker, connect(broker) as c:
        channel = c.channel()
        channel.queue_declare("q")
        channel.basic_publish("", "q", bytes(2_000_000))
        channel.queue_declare("q", passive=True)
        broker.write("a.conf", BASE + "vm_memory_high_watermark.absolute = 1MiB\n")
        broker.reload("memory resource limit alarm set")
        broker.write("a.conf", BASE)
        broker.reload("memory resource limit alarm cleared")


# ---- the log ----

def lines_people_search_for(text):
    assert re.search(r"accepting AMQP connection 127.0.0.1:\d+ -> 127.0.0.1:\d+", text)
    assert re.search(r"connection 127.0.0.1:\d+ -> 127.0.0.1:\d+: user 'guest' authenticated and granted access to "
                     r"vhost '/'", text)
    assert re.search(r"closing AMQP connection \(127.0.0.1:\d+ -> 127.0.0.1:\d+, user: 'guest'\)", text)
    assert "started TCP listener on 127.0.0.1:" in text
    assert "Server startup complete; 0 plugins started." in text


def test_lines_that_people_search_for():
    with Configured({"a.conf": BASE}) as broker:
        with connect(broker):
            pass
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect(broker, password="wrong")
        Wire(broker.amqp_port).login().close_socket()
        wait_until(lambda: "client unexpectedly closed TCP connection" in broker.output(), 5, "the last line")
        assert "PLAIN login refused: user 'guest' - invalid credentials" in broker.output()
        lines_people_search_for(broker.output())


def test_json_on_the_console():
    with Configured({"a.conf": BASE + "log.console.formatter = json\n"}) as broker:
        connect(broker).close()
        wait_until(lambda: "CONN_CLOSED" in broker.output(), 5, "closing line")
        rows = [json.loads(line) for line in broker.output().splitlines() if line.startswith("{")]
        opened = next(row for row in rows if row["event"] == "CONN_OPENED")
        assert opened["level"] == "info"
        assert opened["domain"] == "rabbitmq.connection"
        assert opened["user"] == "guest"
        assert opened["msg"].endswith("user 'guest' authenticated and granted access to vhost '/'")
        lines_people_search_for("\n".join(row["msg"] for row in rows))


def test_levels_of_categories():
    with Configured({"a.conf": BASE + "log.connection.level = none\n"}) as broker:
        connect(broker).close()
        broker.write("a.conf", BASE + "log.connection.level = info\n")
        broker.reload()
        assert "accepting AMQP connection" not in broker.output()
        connect(broker).close()
        wait_until(lambda: "accepting AMQP connection" in broker.output(), 5, "a line")


def test_a_file_that_is_moved_away_and_one_that_grows():
    config = BASE + "log.file = a.log\nlog.console = true\nlog.console.level = notice\n"
    with Configured({"a.conf": config}) as broker:
        connect(broker).close()
        log = "data/log/a.log"
        wait_until(lambda: "closing AMQP connection" in broker.read(log), 5, "a line in the file")
        assert "accepting" not in broker.output()
        os.rename(broker.path(log), broker.path("data/log/moved"))
        os.kill(broker.pid, signal.SIGUSR1)
        wait_until(lambda: os.path.exists(broker.path(log)), 5, "a new file")
        connect(broker).close()
        wait_until(lambda: "closing AMQP connection" in broker.read(log), 5, "a line in the new file")
        broker.write("a.conf", config + "log.file.rotation.size = 1kB\nlog.file.rotation.count = 2\n")
        broker.reload()
        for _ in range(20):
            connect(broker).close()
        sizes = broker.end(log)
        assert list(sizes) == ["a.log", "a.log.0", "a.log.1"]
        assert max(sizes.values()) <= 1000


def test_a_folder_that_is_gone_does_not_end_the_broker():
    config = BASE + ("log.dir = DIR/logs\nlog.file = x.log\nlog.file.rotation.size = 1kB\n"
                     "log.file.rotation.count = 2\nlog.console = true\n")
    with Configured({"a.conf": config}) as broker:
        os.rename(broker.path("logs"), broker.path("elsewhere"))
        for _ in range(10):
            connect(broker).close()
        wait_until(lambda: "an output of the log cannot be opened output=file" in broker.output(), 5, "a line")
        assert "closing AMQP connection" in broker.output()
        assert broker.stop() == 0


def test_the_file_is_switched_off_and_on():
    with Configured({"a.conf": BASE + "log.file = DIR/x.log\nlog.console = true\n"}) as broker:
        broker.write("a.conf", BASE + "log.console = true\n")
        broker.reload()
        size = os.path.getsize(broker.path("x.log"))
        connect(broker).close()
        wait_until(lambda: "closing AMQP" in broker.output(), 5, "a line")
        assert os.path.getsize(broker.path("x.log")) == size
        broker.write("a.conf", BASE + "log.file = DIR/x.log\nlog.console = true\n")
        broker.reload()
        wait_until(lambda: os.path.getsize(broker.path("x.log")) > size, 5, "a line in the file")


def received(server, wanted):
    """Datagrams until one holds `wanted`."""
    server.settimeout(10)
    while True:
        data = server.recv(65536).decode()
        if wanted in data:
            return data


@pytest.mark.parametrize("protocol,form", [
    ("rfc3164", r"<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ lv\[\d+\]: <loop-\d> accepting AMQP connection .*"),
    ("rfc5424", r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ lv \d+ - - <loop-\d> accepting AMQP connection .*")])
def test_syslog_over_udp(protocol, form):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        config = BASE + ("log.syslog = true\nlog.syslog.transport = udp\nlog.syslog.identity = lv\n"
                         f"log.syslog.port = {server.getsockname()[1]}\nlog.syslog.protocol = {protocol}\n")
        with Configured({"a.conf": config}) as broker:
            connect(broker).close()
            line = received(server, "accepting")
            assert re.fullmatch(form, line), line


def test_syslog_over_tcp_comes_back():
    with socket.create_server(("127.0.0.1", 0)) as server:
        config = BASE + ("log.syslog = true\nlog.syslog.transport = tcp\nlog.syslog.protocol = rfc5424\n"
                         f"log.syslog.port = {server.getsockname()[1]}\n")
        with Configured({"a.conf": config}) as broker:
            server.settimeout(10)
            with server.accept()[0] as peer:
                peer.settimeout(10)
                text = b""
                connect(broker).close()
                while b"closing AMQP connection" not in text:
                    text += peer.recv(65536)
            while text:                      # octet counting: RFC 6587
                count, text = text.split(b" ", 1)
                frame, text = text[:int(count)], text[int(count):]
                assert re.match(rb"<(29|30)>1 \d{4}-", frame)
            connect(broker).close()          # nobody there: nothing hangs
            connect(broker).close()
            assert broker.stop() == 0

"""The guide's pages do what they say: their files are written, their commands run in one shell, from top to bottom."""

import ast
import glob
import os
import re
import shutil
import subprocess

import pika
import pytest

from certificates import Certificates
from support.broker import Leveret, leveretd_path
from support.net import free_ports
from support.rabbitmq import SCRIPTS, RabbitMQ, is_installed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, "build", "venv", "bin")
# Tells where a block ends, and its exit code.
END_OF_BLOCK = "~~~ end of block"


def blocks(page):
    """(language, text) of each block of the page."""
    with open(os.path.join(ROOT, "docs", "guide", page), encoding="utf-8") as text:
        return re.findall(r"```(\w+)\n(.*?)```", text.read(), re.DOTALL)


class Shell:
    """One shell in a folder of its own, in which the blocks of a page are run."""

    def __init__(self, folder, *ports):
        """`ports`: those that the page uses; here they are others."""
        self.tools = tools = folder / "bin"
        tools.mkdir()
        build = os.path.dirname(leveretd_path())
        for name in ("leveretd", "leveret"):
            (tools / name).symlink_to(os.path.join(build, name))
        self.folder = folder
        self.ports = dict(zip(map(str, ports), map(str, free_ports(len(ports)))))
        self.env = {**os.environ, "PATH": f"{tools}:{VENV}:{os.environ['PATH']}", "HOME": str(folder)}
        self.env.pop("LEVERET_URL", None)
        self.process = subprocess.Popen(["bash"], cwd=folder, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(folder / "stderr", "wb"), text=True, start_new_session=True)

    def with_ports(self, text):
        if not self.ports:
            return text
        return re.sub(r"\b(" + "|".join(self.ports) + r")\b", lambda port: self.ports[port[1]], text)

    def write(self, text):
        """A file whose first line says its name."""
        name = re.match(r"# (\S+)\n", text)[1]
        (self.folder / name).write_text(self.with_ports(text))

    def run(self, text):
        """What the block prints; each command of it must do."""
        (self.folder / ".block").write_text(self.with_ports(text))
        self.process.stdin.write(f"set -e; trap \"printf '\\n%s failed\\n' '{END_OF_BLOCK}'\" EXIT; "
                                 f". ./.block </dev/null; printf '\\n%s\\n' '{END_OF_BLOCK}'\n")
        self.process.stdin.flush()
        out = ""
        for line in self.process.stdout:
            if line.strip() == END_OF_BLOCK:
                return out[:-1]
            if line.startswith(END_OF_BLOCK):
                break
            out += line
        raise AssertionError(f"{text}\nended with {self.process.wait()}\n{out}\n{self.errors()}")

    def errors(self):
        return (self.folder / "stderr").read_text()

    def end(self):
        self.process.stdin.close()
        try:
            os.killpg(self.process.pid, 15)
        except ProcessLookupError:
            pass
        self.process.wait(30)

    def run_page(self, page, skip=()):
        """Everything on it; what each shell block printed, by its first line."""
        printed = {}
        for language, text in blocks(page):
            if any(word in text for word in skip):
                continue
            if language == "sh":
                printed[text.split("\n", 1)[0]] = last = self.run(text)
            elif language == "text":
                assert text in last
            else:
                self.write(text)
        return printed


@pytest.fixture
def shell(tmp_path):
    made = []

    def make(*ports):
        made.append(Shell(tmp_path, *ports))
        return made[-1]

    yield make
    for one in made:
        one.end()


# ---- pages that show single commands: each against a broker that runs ----

COMMANDS = {
    # page: what stands for something else here
    "backup.md": {"leveretd --data-dir /var/lib/leveret-new":
                  "timeout 2 leveretd --data-dir /var/lib/leveret-new --amqp-listen 127.0.0.1:0 --http-listen none "
                  "--metrics-listen none || [ $? = 124 ]",
                  "/var/lib/leveret": "{data}", "/backups": "{folder}/backups"},
    "http-api.md": {"localhost:15672": "{http}", "admin:secret": "guest:guest", "/var/lib/leveret": "{data}"},
    "command-line.md": {"leveret add_user alice": "echo secret | leveret add_user alice",
                        "leveret completion fish | source": "leveret completion fish >/dev/null"},
}


@pytest.mark.parametrize("page", COMMANDS)
def test_commands(shell, tmp_path, page):
    with Leveret(http_listen="127.0.0.1:0") as server:
        data = os.path.join(server.dir, "data")
        run = shell()
        (tmp_path / "backups").mkdir()
        run.run(f"export LEVERET_DATA_DIR={data}")
        for language, text in blocks(page):
            if language != "sh":
                continue
            for old, new in COMMANDS[page].items():
                text = text.replace(old, new)
            for name, value in (("data", data), ("folder", str(tmp_path)), ("http", f"127.0.0.1:{server.http_port}")):
                text = text.replace("{" + name + "}", value)
            run.run(text)


def configurations():
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "guide", "*.md"))):
        for number, (language, text) in enumerate(blocks(os.path.basename(path))):
            if language == "ini":
                yield pytest.param(text, id=f"{os.path.basename(path)}-{number}")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certs"))
    made.issue("server", common_name="localhost")
    return made


@pytest.mark.parametrize("text", list(configurations()))
def test_configurations(certificates, tmp_path, text):
    """What a page shows of rabbitmq.conf is good by leveretd --check."""
    for shown, there in (("server.pem", "server.pem"), ("server.key", "server.key"), ("clients-ca.pem", "ca.pem")):
        text = text.replace(f"/etc/leveret/{shown}", certificates.path(there))
    text = re.sub(r"(load_definitions\s*=).*", "", text)
    (tmp_path / "shown.conf").write_text(text)
    done = subprocess.run([leveretd_path(), "--check", "--config", tmp_path / "shown.conf"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=20, env={**os.environ, "BROKER_USER": "me"})
    assert done.returncode == 0, done.stderr


# ---- pages that are one story ----

@pytest.mark.timeout(120)
def test_celery(shell):
    for module in ("celery", "flower"):
        pytest.importorskip(module)
    has_prometheus = shutil.which("prometheus") is not None
    page = shell(5672, 15672, 15692, 5555, 9090)
    printed = page.run_page("celery.md", skip=() if has_prometheus else ("prometheus --config.file",))
    assert "celery\tclassic\ttrue\t1" in printed["leveret list_queues -p shop name type durable consumers"]
    assert '"name": "celery"' in printed["export FLOWER_UNAUTHENTICATED_API=true"]
    if has_prometheus:
        answer = next(text for first, text in printed.items() if first.startswith("prometheus "))
        assert '"status":"success"' in answer and '"value":[' in answer


@pytest.mark.timeout(120)
def test_queues(shell):
    shell(5672, 15672).run_page("queues.md")


@pytest.mark.timeout(120)
def test_migration(shell):
    if not is_installed():
        pytest.skip("no rabbitmq-server")
    page = shell(5673, 15673, 15693)
    with RabbitMQ() as server:
        fill(server)
        ctl = page.tools / "rabbitmqctl"
        ctl.write_text("#!/bin/sh\n" + "".join(f"export {name}='{value}'\n" for name, value in server.env.items())
                       + f'exec {SCRIPTS}/rabbitmqctl "$@"\n')
        ctl.chmod(0o755)
        printed = page.run_page("migration.md")
    assert "orders\ttrue" in printed["leveretd --config rabbitmq.conf --data-dir data &"]
    counts = ast.literal_eval(printed["leveret export_definitions leveret.json"].splitlines()[-1])
    assert all(before == after for before, after in counts.values()), counts
    assert counts["queues"][0] == 1 and counts["users"][0] == 2 and counts["policies"][0] == 1


def fill(server):
    """Something of everything."""
    server.ctl("add_user", "ann", "secret")
    server.ctl("set_permissions", "ann", "^a", ".*", ".*")
    server.ctl("set_policy", "short", "^o", '{"max-length":100}')
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", server.amqp_port)) as connection:
        channel = connection.channel()
        channel.exchange_declare("shop", "topic", durable=True)
        channel.queue_declare("orders", durable=True, arguments={"x-max-priority": 5})
        channel.queue_bind("orders", "shop", "order.#")

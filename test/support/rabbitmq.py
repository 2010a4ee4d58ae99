"""A real rabbitmq-server (the Debian package), apart from any other on the machine.

It gets its own directory, node name, cookie and ports, and an epmd of its own that is ended with
it. Everything listens on loopback only.
"""

import os
import shutil
import subprocess

from .net import answers_amqp, free_ports, wait_until
from .policies import answers_http
from .process import ServerProcess

SCRIPTS = os.environ.get("RABBITMQ_SCRIPTS", "/usr/lib/rabbitmq/bin")


def is_installed():
    return os.path.exists(os.path.join(SCRIPTS, "rabbitmq-server")) and shutil.which("epmd")


class RabbitMQ(ServerProcess):
    name = "rabbitmq"
    stop_timeout_s = 30.0
    start_timeout_s = 60.0

    def __init__(self, config="", plugins=(), has_http=False):
        """`config`: further lines of rabbitmq.conf; `plugins`: names to enable; `has_http`: with the HTTP API."""
        super().__init__()
        self.config = config
        self.plugins = tuple(plugins)
        self.http_port = None
        if has_http:
            self.http_port, = free_ports()
            self.plugins += ("rabbitmq_management",)
            self.config += f"\nmanagement.tcp.port = {self.http_port}\nmanagement.tcp.ip = 127.0.0.1"
        self.epmd = None
        self.env = None

    @property
    def pid(self):
        """The Erlang VM; the process that was started is only its shell script."""
        with open(self._path("pid"), encoding="ascii") as pid:
            return int(pid.read())

    def ctl(self, *args):
        """Runs rabbitmqctl against this node and returns its output."""
        return subprocess.run([os.path.join(SCRIPTS, "rabbitmqctl"), *args], env=self.env,
                              cwd=self.dir, check=True, capture_output=True, text=True).stdout

    def stop(self):
        code = super().stop()
        if self.epmd is not None:
            self.epmd.kill()
            self.epmd.wait()
            self.epmd = None
        return code

    def _path(self, name):
        return os.path.join(self.dir, name)

    def _launch(self):
        self.amqp_port, dist_port, epmd_port = free_ports(3)
        self._write("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{self.amqp_port}\n"
                                     f"log.console = false\n{self.config}\n")
        self._write("enabled_plugins", "[" + ",".join(self.plugins) + "].\n")
        self._write("advanced.config", "[].\n")
        self._write("env.conf", "")
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": self.dir,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd_port),
            "RABBITMQ_NODENAME": f"test{self.amqp_port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.amqp_port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_CONF_ENV_FILE": self._path("env.conf"),
            "RABBITMQ_CONFIG_FILE": self._path("rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._path("advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._path("enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": self._path("mnesia"),
            "RABBITMQ_LOG_BASE": self._path("log"),
            "RABBITMQ_PID_FILE": self._path("pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": self._path("generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        self.epmd = self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(epmd_port)],
                                self.env)
        wait_until(self._epmd_answers, 10, "epmd")
        self.process = self._spawn([os.path.join(SCRIPTS, "rabbitmq-server")], self.env)

    def _relaunch(self):
        """The same node, with the epmd it has."""
        if os.path.exists(self._path("pid")):
            os.remove(self._path("pid"))
        self.process = self._spawn([os.path.join(SCRIPTS, "rabbitmq-server")], self.env)

    def _epmd_answers(self):
        return subprocess.run(["epmd", "-names"], env=self.env, check=False,
                              capture_output=True).returncode == 0

    def _wait_ready(self):
        wait_until(self._answers, self.start_timeout_s, "rabbitmq-server", interval_s=0.1)

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"rabbitmq-server ended with code {self.process.returncode}")
        return (answers_amqp(self.amqp_port) and os.path.exists(self._path("pid"))
                and (self.http_port is None or answers_http(self.http_port)))

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="utf-8") as file:
            file.write(text)

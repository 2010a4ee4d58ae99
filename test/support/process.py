"""A server process in a temporary directory, ended by its pid."""

import os
import shutil
import signal
import subprocess
import tempfile
import time


class ServerProcess:
    """Base of the brokers: owns one directory and one process group.

    A subclass gives `name` and the methods `_launch()` (starts self.process), `_relaunch()` (the
    same once more, on what an earlier process left) and `_wait_ready()`; all may use `self.dir`.
    """

    name = "server"
    stop_timeout_s = 10.0

    def __init__(self):
        self.dir = None
        self.process = None
        self.amqp_port = None

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.amqp_port}/%2f"

    @property
    def pid(self):
        """Pid of the process whose memory counts."""
        return self.process.pid

    @property
    def log_path(self):
        return os.path.join(self.dir, "output.log")

    def start(self):
        self.dir = tempfile.mkdtemp(prefix=f"{self.name}-")
        try:
            self._launch()
            self._wait_ready()
        except BaseException as error:
            log = self.log_tail()
            self.stop()
            if isinstance(error, Exception) and log:
                raise RuntimeError(f"{self.name} did not start: {error}\n{log}") from error
            raise
        return self

    def stop(self):
        """Graceful first; what remains of the process group is killed. Returns the exit code."""
        code = None
        if self.process is not None:
            code = self._end(self.process)
            self.process = None
        if self.dir is not None:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None
        return code

    def kill(self):
        """Ends the process with SIGKILL, if it lives, and keeps the directory, as a crash would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self, kill=False):
        """Ends the process, gracefully or by SIGKILL, and starts it on the same directory; gives the
        seconds from the start to serving."""
        if kill:
            self.kill()
        else:
            self._end(self.process)
        began = time.monotonic()
        self._relaunch()
        self._wait_ready()
        return time.monotonic() - began

    def written_bytes(self):
        """What the process has had written to disks so far."""
        with open(f"/proc/{self.pid}/io", encoding="ascii") as io:
            return int(next(line for line in io if line.startswith("write_bytes")).split()[1])

    def log_tail(self, size=4000):
        try:
            with open(self.log_path, "rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - size))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def rss_bytes(self):
        """Resident memory of the server process now."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def _spawn(self, argv, env=None):
        with open(self.log_path, "ab") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd=self.dir, env=env, start_new_session=True)

    def _end(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

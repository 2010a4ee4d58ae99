"""Programs that run beside a test, and whose lines are read as they come."""

import os
import queue
import signal
import subprocess
import threading


def _hears_sigint():
    """A shell that puts the tests into the background has them ignore Ctrl-C, and their children too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    def __init__(self, argv, **env):
        self.process = subprocess.Popen(
            argv, env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=_hears_sigint)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds=10):
        """The next line; None at the end of the output."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no line within {seconds} s from {self.process.args}") from None

    def expect(self, *lines):
        for line in lines:
            assert self.line() == line

    def quiet(self, seconds=0.3):
        """Nothing more comes."""
        try:
            assert self.lines.get(timeout=seconds) is None
        except queue.Empty:
            pass

    def finish(self):
        """Runs to its end; gives its lines."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
        assert self.process.wait(5) == 0, lines
        return lines

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As Ctrl+C does; gives the exit code."""
        if self.is_running():
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

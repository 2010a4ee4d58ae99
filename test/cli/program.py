"""The program `leveret`, run as people and scripts run it."""

import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEPT = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


def program_path():
    return os.environ.get("LEVERET") or os.path.join(ROOT, "build", "release", "leveret")


class Result:
    """What came of a call: exit code, output and errors as text."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")

    @property
    def rows(self):
        return self.out.splitlines()

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}{self.err}"


class Program:
    """Runs it with an environment that has nothing but what is given here."""

    def __init__(self, cwd="/", **env):
        self.cwd = cwd
        self.env = {**{name: os.environ[name] for name in KEPT if name in os.environ}, "HOME": str(cwd), **env}

    def __call__(self, *args, text=b"", name=None, timeout=30):
        """`name`: what the program is called by, if not leveret."""
        return Result(subprocess.run([name or "leveret", *args], executable=program_path(), input=text, cwd=self.cwd,
                                     env=self.env, capture_output=True, timeout=timeout, check=False))

    def good(self, *args, **kwargs):
        """The output of a call that must do what it is told."""
        result = self(*args, **kwargs)
        assert result.code == 0, (args, result)
        return result.out

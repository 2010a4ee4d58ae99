"""Client programs in other languages.

A program takes the broker from AMQP_URL and prints one line for each check, `ok name` or
`not ok name: why`. The names are read from its source, where every check is written as
check("name", ...), so that each of them is a test of its own even when the program dies early.
"""

import os
import re
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(ROOT, "build", "interop")


def check_names(*sources):
    """Names of the checks in these source files, in order."""
    names = []
    for source in sources:
        with open(os.path.join(HERE, source), encoding="utf-8") as text:
            names += re.findall(r"""\bcheck\(\s*["']([^"']+)["']""", text.read())
    assert names and len(names) == len(set(names)), names
    return names


def build(argv, cwd, timeout_s, **env):
    """Runs a compiler; gives nothing back, or raises with what it printed."""
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-5000:]}")


class Report:
    """What a program said about each of its checks."""

    def __init__(self, argv, broker, timeout_s=60, cwd=None, **env):
        self.results = {}
        started = time.monotonic()
        try:
            done = subprocess.run(argv, env={**broker.env(), **env}, cwd=cwd, text=True,
                                  timeout=timeout_s, capture_output=True, check=False,
                                  stdin=subprocess.DEVNULL, errors="replace")
            out, self.stderr, end = done.stdout, done.stderr, f"code {done.returncode}"
        except subprocess.TimeoutExpired as expired:
            out = (expired.stdout or b"").decode(errors="replace")
            self.stderr = (expired.stderr or b"").decode(errors="replace")
            end = "being stopped"
        self.end = f"the program ended with {end} after {time.monotonic() - started:.1f} s"
        for line in out.splitlines():
            if match := re.fullmatch(r"(ok|not ok) ([^:]+)(?:: (.*))?", line):
                self.results[match[2]] = "" if match[1] == "ok" else match[3] or "no reason given"

    def verify(self, name):
        why = self.results.get(name, f"it was not reached; {self.end}")
        assert not why, f"{why}\n{self.stderr[-2000:]}"

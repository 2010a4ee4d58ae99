"""Other people's programs."""

import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(ROOT, "build", "interop")


def run(*argv, timeout_s=30, env=None, stdin=None):
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, input=stdin,
                          env={**os.environ, **(env or {})})


def build(argv, cwd, timeout_s, **env):
    """Runs a compiler; raises with what it printed."""
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-5000:]}")


def version_of(*argv):
    """(major, minor) in what a program says of itself; None when there is no such program."""
    if not shutil.which(argv[0]):
        return None
    found = re.search(r"(\d+)\.(\d+)", run(*argv).stdout)
    return found and (int(found[1]), int(found[2]))


def check_names(source):
    """Names of the checks of a program, written check("name", ..."""
    with open(os.path.join(HERE, source), encoding="utf-8") as text:
        names = re.findall(r"""\bcheck\(\s*["']([^"']+)["']""", text.read())
    assert names and len(names) == len(set(names)), names
    return names


class Report:
    """What a program said about each of its checks: `ok name`, or `not ok name: why`."""

    def __init__(self, argv, timeout_s=60, **env):
        done = run(*argv, timeout_s=timeout_s, env=env)
        self.end = f"the program ended with code {done.returncode}\n{done.stderr[-2000:]}"
        self.results = {}
        for line in done.stdout.splitlines():
            if match := re.fullmatch(r"(ok|not ok) ([^:]+)(?:: (.*))?", line):
                self.results[match[2]] = "" if match[1] == "ok" else match[3] or "no reason given"

    def verify(self, name):
        why = self.results.get(name, f"it was not reached; {self.end}")
        assert not why, why

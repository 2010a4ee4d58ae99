#!/usr/bin/env python3
"""Runs the steps of one or more goals and adds up what they say.

    scripts/tally.py [--fuzz-seconds N] GOAL...      check interop lint asan tsan asan-server tsan-server fuzz crash cover

A step named by several goals runs once. Its output goes to build/log/<step>.log and is shown when
it fails. The last line is always "N passed, N failed"; the exit code is 1 unless nothing failed.
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = os.cpu_count() or 2
STEP_TIMEOUT_S = 1800
SLOW = ("java", "go", "rust", "abuse", "prometheus", "rabbitmqadmin")    # test_<this>*.py: for make interop
# What make asan-server and tsan-server run: test/<folder>/test_<each>.py, none that means memory, time or other programs.
SERVER = {
    "wire": ("access", "chaos", "durable", "errors", "handshake", "heartbeat", "hostile", "limits", "methods", "stop"),
    "ops": ("config", "definitions", "proxy", "sockets", "tls", "tls_misuse"),
    "cli": ("program",),
    "manage": ("contract", "definitions", "http", "metrics", "monitoring", "peek", "provisioning", "rates"),
    "advisories": ("authorization", "files_and_secrets", "pages"),
}
BUT_NOT = ("test/wire/test_hostile.py::test_thousands_of_malformed_conversations_leave_memory_flat",)
LINTS = ("layers.py", "bans.py", "locks.sh", "readmes.sh", "words.py", "format.sh", "generated.sh", "tidy.py",
         "selftest.sh")


class Result:
    def __init__(self, passed=0, failed=0, skipped=()):
        self.passed = passed
        self.failed = failed
        self.skipped = list(skipped)        # one reason each


class Log:
    """The output of one step."""

    def __init__(self, step):
        self.path = os.path.join(ROOT, "build", "log", f"{step}.log")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        open(self.path, "w").close()

    def run(self, *command, **env):
        """Appends what `command` prints; returns its exit code."""
        with open(self.path, "a", encoding="utf-8") as out:
            print("$", *command, file=out, flush=True)
            try:
                return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=subprocess.STDOUT, timeout=STEP_TIMEOUT_S,
                                      env={**os.environ, **env}).returncode
            except subprocess.TimeoutExpired:
                print(f"no end after {STEP_TIMEOUT_S} s", file=out)
                return 1

    def say(self, text):
        with open(self.path, "a", encoding="utf-8") as out:
            print(text, file=out)

    def tail(self, lines=60):
        with open(self.path, encoding="utf-8", errors="replace") as text:
            return "".join(text.readlines()[-lines:])


def read_junit(path, code):
    """Counts of a JUnit file. A run that ended badly without saying why counts as one failure."""
    result = Result()
    try:
        cases = list(xml.parse(path).iter("testcase"))
    except (OSError, xml.ParseError):
        return Result(failed=1)
    for case in cases:
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skip is not None:
            result.skipped.append(skip.get("message") or case.get("name"))
        else:
            result.passed += 1
    if code != 0 and result.failed == 0:
        result.failed = 1
    return result


# ---- steps: each takes its log and returns a Result ----

def build(preset, *targets):
    def step(log):
        ninja = os.path.join(ROOT, "build", preset, "build.ninja")
        code = 0 if os.path.exists(ninja) else log.run("cmake", "--preset", preset)
        if code == 0:
            code = log.run("cmake", "--build", f"build/{preset}", "-j", str(JOBS), "--target", *targets)
        return Result(failed=1) if code else Result()
    return step


def ctest(preset):
    def step(log):
        report = os.path.join(ROOT, "build", preset, "ctest.xml")
        sanitizer = Sanitizer(log)
        code = log.run("ctest", "--test-dir", f"build/{preset}", "-j", str(JOBS), "--output-on-failure",
                       "--output-junit", report, **sanitizer.env)
        return sanitizer.add_to(read_junit(report, code))
    return step


def pytest(folder, preset="release", slow=False, only=()):
    """The tests of test/<folder>: the slow ones, or all others; or those named."""
    def step(log):
        slow_files = [path for name in SLOW
                      for path in sorted(glob.glob(f"{ROOT}/test/{folder}/test_{name}*.py"))]
        if only:
            chosen = [*(f"test/{folder}/test_{name}.py" for name in only), *(f"--deselect={test}" for test in BUT_NOT)]
        elif slow:
            chosen = slow_files
        else:
            chosen = [f"test/{folder}", *(f"--ignore={path}" for path in slow_files)]
        if not glob.glob(f"{ROOT}/test/{folder}/**/test_*.py", recursive=True) or not chosen:
            return Result(skipped=[f"test/{folder} holds no tests"])
        for prepare in ("scripts/python-env.sh", "scripts/node-env.sh"):
            if log.run(prepare):
                return Result(failed=1)
        report = os.path.join(ROOT, "build", "log", f"pytest-{folder}-{preset}-{'some' if only else slow}.xml")
        sanitizer = Sanitizer(log)
        code = log.run("build/venv/bin/python", "-B", "-m", "pytest", "-q", "-o", "cache_dir=build/pytest",
                       f"--junitxml={report}", *chosen,
                       LEVERETD=f"{ROOT}/build/{preset}/leveretd", LEVERET=f"{ROOT}/build/{preset}/leveret",
                       NODE_PATH=f"{ROOT}/build/node/node_modules", **sanitizer.env)
        return sanitizer.add_to(read_junit(report, code))
    return step


class Sanitizer:
    """Collects what the programs of one step report, wherever their output goes: a report is a failure."""

    def __init__(self, log):
        self.log = log
        self.prefix = log.path.removesuffix(".log") + "-report"
        for path in self.reports():
            os.remove(path)
        common = f"log_path={self.prefix}:print_stacktrace=1"
        # A small quarantine: tests that watch the broker's memory mean the broker's, not the sanitizer's.
        self.env = {"ASAN_OPTIONS": f"{common}:quarantine_size_mb=2", "UBSAN_OPTIONS": common,
                    "TSAN_OPTIONS": f"{common}:suppressions={ROOT}/test/tsan.supp"}

    def reports(self):
        return sorted(glob.glob(self.prefix + ".*"))

    def add_to(self, result):
        for path in self.reports():
            with open(path, encoding="utf-8", errors="replace") as report:
                self.log.say(f"{os.path.relpath(path, ROOT)}\n{''.join(report.readlines()[:40])}")
            result.failed += 1
        return result


def fuzz(seconds):
    """Every fuzz target for `seconds`, as many at once as there are cores. New inputs gather in build/fuzz/corpus."""
    def one(target):
        name = os.path.basename(target).removeprefix("fuzz_")
        gathered, kept = f"build/fuzz/corpus/{name}", f"test/fuzz/corpus/{name}"
        for folder in (gathered, "build/fuzz/crashes"):
            os.makedirs(os.path.join(ROOT, folder), exist_ok=True)
        corpora = [gathered] + [kept] * os.path.isdir(os.path.join(ROOT, kept))
        log = Log(f"fuzz-{name}")
        code = log.run(target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                       f"-artifact_prefix=build/fuzz/crashes/{name}-", *corpora)
        return log.tail(40) if code else ""

    def step(log):
        if not shutil.which("clang"):
            return Result(skipped=["no clang"])
        targets = sorted(glob.glob(os.path.join(ROOT, "build/fuzz/test/fuzz_*")))
        with ThreadPoolExecutor(JOBS) as pool:
            failures = [text for text in pool.map(one, targets) if text]
        for text in failures:
            log.say(text)
        return Result(len(targets) - len(failures), len(failures))
    return step


def build_fuzzers(log):
    return build("fuzz", "fuzzers")(log) if shutil.which("clang") else Result(skipped=["no clang"])


def lint(script):
    def step(log):
        code = log.run(f"tools/lint/{script}")
        return Result(passed=1) if code == 0 else Result(failed=1)
    return step


def coverage_report(log):
    os.makedirs(os.path.join(ROOT, "build/coverage/report"), exist_ok=True)
    code = log.run("gcovr", "--root", ".", "--filter", "src/", "--print-summary", "--gcov-ignore-parse-errors",
                   "--html-details", "build/coverage/report/index.html", "build/coverage")
    print(log.tail(4), end="")
    return Result(failed=1) if code else Result()


def goals(fuzz_seconds):
    release = {"build": build("release", "all", "tests", "relay")}
    interop = {"interop": pytest("interop")}

    def sanitized(preset):
        return {f"{preset}-build": build(preset, "all", "tests"), f"{preset}-ctest": ctest(preset),
                f"{preset}-wire": pytest("wire", preset), f"{preset}-ops": pytest("ops", preset),
                f"{preset}-interop": pytest("interop", preset)}

    def server(preset):
        return {f"{preset}-server-build": build(preset, "leveretd", "leveret", "lv-definitions"),
                **{f"{preset}-server-{folder}": pytest(folder, preset, only=names) for folder, names in SERVER.items()}}

    return {
        "lint": {"lint-" + script.split(".")[0]: lint(script) for script in LINTS},
        "check": {**release, "ctest": ctest("release"), "fuzz-build": build_fuzzers, "fuzz": fuzz(fuzz_seconds),
                  "wire": pytest("wire"), "ops": pytest("ops"), "cli": pytest("cli"), "examples": pytest("examples"), "docs": pytest("docs"),
                  "bench": pytest("bench"), "manage": pytest("manage"), "advisories": pytest("advisories"), **interop, "diff": pytest("diff"), "crash": pytest("crash")},
        "interop": {**release, **interop, "interop-slow": pytest("interop", slow=True),
                    "manage-slow": pytest("manage", slow=True)},
        "crash": {**release, "crash": pytest("crash")},
        "asan": sanitized("asan"),
        "tsan": sanitized("tsan"),
        "asan-server": server("asan"),
        "tsan-server": server("tsan"),
        "fuzz": {"fuzz-build": build_fuzzers, "fuzz": fuzz(fuzz_seconds)},
        "cover": {**sanitized("coverage"), "report": coverage_report},
    }


def run(name, step):
    print(f"{name:<18}", end="", flush=True)
    log = Log(name)
    started = time.monotonic()
    result = step(log)
    counts = f"{result.passed} passed, {result.failed} failed" if result.passed or result.failed else "done"
    skips = f", {len(result.skipped)} skipped" if result.skipped else ""
    print(f"{counts}{skips} ({time.monotonic() - started:.0f} s)", flush=True)
    for reason in sorted(set(result.skipped)):
        print(f"  skipped {result.skipped.count(reason)}: {reason}")
    if result.failed:
        print(f"---- {os.path.relpath(log.path, ROOT)}, the end of it:\n{log.tail()}----", flush=True)
    return result


def main():
    known = goals(0)
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--fuzz-seconds", type=int, default=14, help="for each fuzz target (14)")
    parser.add_argument("goals", nargs="+", choices=known, metavar="GOAL", help=" ".join(known))
    options = parser.parse_args()
    steps = {}
    for goal in options.goals:
        steps.update(goals(options.fuzz_seconds)[goal])

    passed = failed = 0
    for name, step in steps.items():
        result = run(name, step)
        passed += result.passed
        failed += result.failed
        if result.failed and name.endswith("build"):
            break                           # what follows would only test what was built before
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""A test of the store's tests: each sync and each check of a checksum is left out once, and a test must fail.

    test/mutants/mutants.py [WORD...]      only mutants whose line contains one of the words

The places are found in the sources of src/store, src/engine and src/os: calls that sync a file or a directory, and comparisons
with a checksum. Each mutant is built in build/mutants and the tests run, the quick ones first, until one fails. Prints a
table; exit code 1 if a mutant survives that EQUIVALENT does not excuse.
"""
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "build", "mutants")
TREE = os.path.join(WORK, "tree")
BUILD = os.path.join(WORK, "build")
ROOMS = ("src/store", "src/engine", "src/os")
TEST_TIMEOUT_S = 600

# (executable, what it is given)
TESTS = (
    ("unit_os_sync", {}),
    ("unit_os_dir", {}),
    ("unit_store_wal", {}),
    ("unit_store_scan", {}),
    ("unit_store_check", {}),
    ("unit_store_store", {}),
    ("fault_store_power", {"LV_POWERCUT_IMAGES": "1500"}),
    ("prop_store_queue", {"LV_PROP_SECONDS": "5"}),
    ("fault_store_corrupt", {"LV_CORRUPT_MUTATIONS": "300"}),
    ("fault_store_fault", {}),
)

# Mutants that change nothing that can be seen: (path, function, what is left out): why.
EQUIVALENT = {
    ("src/store/wal.c", "lv_wal_check_head", "memcmp(head, want, 8) == 0"):
        "a file of somebody else with a checksum like ours is told as another version instead of damage: it is refused either way",
}

SYNC = re.compile(r"\b(lv_file_sync|lv_dir_sync|fdatasync|fsync)\s*\(")
CHECKSUM = re.compile(r"(lv_be32\([^;]*?\)\s*)(==|!=)\s*lv_crc32c\s*\(")
WHOLE_TEXT = re.compile(r"memcmp\(\w+, want, [^;]*?\)\s*(==|!=)\s*0")    # `want` was made anew, checksum and all
FUNCTION = re.compile(r"^\w[^;{}()]*?(\w+)\(", re.M)
OWN_DEFINITIONS = ("static inline", "#define", "enum lv_err lv_file_sync", "enum lv_err lv_dir_sync")


class Mutant:
    def __init__(self, path, text, start, end, instead):
        self.path = path
        self.original = text
        self.start, self.end, self.instead = start, end, instead
        self.what = " ".join(text[start:end].split())
        self.function = FUNCTION.findall(text[:start])[-1]
        self.killer = None

    def text(self):
        left_out = self.original[self.start:self.end]
        return f"{self.original[:self.start]}(0 ? ({left_out}) : {self.instead}){self.original[self.end:]}"

    def excuse(self):
        return EQUIVALENT.get((self.path, self.function, self.what))

    def __str__(self):
        return f"{self.path} {self.function}: {self.what}"


def end_of_call(text, opening):
    """Behind the parenthesis that closes the one at `opening`."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
    raise ValueError("unbalanced")


def find(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        text = file.read()
    code = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    for m in SYNC.finditer(code):
        line = code[code.rfind("\n", 0, m.start()) + 1:code.find("\n", m.start())]
        if not line.startswith(OWN_DEFINITIONS):
            success = "LV_OK" if m.group(1).startswith("lv_") else "0"
            yield Mutant(path, text, m.start(), end_of_call(code, m.end() - 1), success)
    for m in CHECKSUM.finditer(code):
        yield Mutant(path, text, m.start(), end_of_call(code, m.end() - 1), "1" if m.group(2) == "==" else "0")
    for m in WHOLE_TEXT.finditer(code):
        yield Mutant(path, text, m.start(), m.end(), "1" if m.group(1) == "==" else "0")


def mutants(words):
    paths = sorted(os.path.join(room, name) for room in ROOMS for name in os.listdir(os.path.join(ROOT, room))
                   if name.endswith(".c"))
    found = [mutant for path in paths for mutant in find(path)]
    return [m for m in found if not words or any(word in str(m) for word in words)]


def run(*command, **env):
    return subprocess.run(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env={**os.environ, **env}, timeout=TEST_TIMEOUT_S, check=False)


def prepare():
    """A copy of the sources, built once without a mutant."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                            check=True)
    for path in listed.stdout.splitlines():
        if os.path.isfile(os.path.join(ROOT, path)):
            os.makedirs(os.path.dirname(os.path.join(TREE, path)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, path), os.path.join(TREE, path))
    done = run("cmake", "-S", TREE, "-B", BUILD, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
    if done.returncode != 0 or not build():
        sys.exit(f"mutants: the tests do not build\n{done.stdout[-2000:]}")


def build():
    done = run("cmake", "--build", BUILD, "-j", str(os.cpu_count()), "--target", *(name for name, _ in TESTS))
    if done.returncode != 0:
        print(done.stdout[-3000:])
    return done.returncode == 0


def put(mutant, text):
    with open(os.path.join(TREE, mutant.path), "w", encoding="utf-8") as file:
        file.write(text)


def first_failure():
    for name, env in TESTS:
        try:
            if run(os.path.join(BUILD, "test", name), **env).returncode != 0:
                return name
        except subprocess.TimeoutExpired:
            return f"{name} (hangs)"
    return None


def main(words):
    prepare()
    failing = first_failure()
    if failing:
        sys.exit(f"mutants: {failing} fails without a mutant")
    survivors = 0
    found = mutants(words)
    width = max(len(str(mutant)) for mutant in found)
    for mutant in found:
        began = time.monotonic()
        put(mutant, mutant.text())
        if not build():
            sys.exit(f"mutants: {mutant} does not build")
        mutant.killer = first_failure()
        put(mutant, mutant.original)
        verdict = mutant.killer or "survives"
        if not mutant.killer and mutant.excuse():
            verdict = f"equivalent: {mutant.excuse()}"
        survivors += verdict == "survives"
        print(f"{str(mutant):<{width}}  {verdict}  ({time.monotonic() - began:.0f} s)", flush=True)
    killed = sum(1 for mutant in found if mutant.killer)
    print(f"{len(found)} mutants, {killed} caught, {len(found) - killed - survivors} equivalent, {survivors} survive")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

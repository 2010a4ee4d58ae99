#!/usr/bin/env python3
"""clang-tidy over every .c file of src, tools and test, as .clang-tidy says.

tidy.py [ROOT]    A file is looked at again only when it, a header or the settings changed: what
                  passed is remembered in build/tidy/passed.
"""
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

TOPS = ("src/", "tools/", "test/")


def digest(*paths):
    content = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            content.update(hashlib.sha256(file.read()).digest())
    return content.hexdigest()


def sources(root):
    """Files of the debug build's compile commands, as paths below root."""
    build = os.path.join(root, "build", "tidy")
    subprocess.run(["cmake", "-S", root, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                    "-DCMAKE_C_COMPILER=clang"], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as commands:
        files = {os.path.relpath(entry["file"], root) for entry in json.load(commands)}
    return build, sorted(path for path in files if path.startswith(TOPS))


def headers(root):
    return sorted(os.path.join(folder, name) for top in TOPS for folder, _, names in os.walk(os.path.join(root, top))
                  for name in names if name.endswith((".h", ".def")))


def main(root):
    root = os.path.abspath(root)
    build, files = sources(root)
    common = digest(os.path.join(root, ".clang-tidy"), *headers(root))
    memory = os.path.join(build, "passed")
    passed = set()
    if os.path.exists(memory):
        with open(memory, encoding="utf-8") as lines:
            passed = set(lines.read().split())

    def look(path):
        """(key, output) of one file; output is empty when it is clean."""
        key = common[:32] + digest(os.path.join(root, path))[:32]
        if key in passed:
            return key, ""
        done = subprocess.run(["clang-tidy", "--quiet", "-p", build, path], cwd=root, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        return key, done.stdout if done.returncode == 0 or done.stdout else done.stderr or f"{path}: clang-tidy failed"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(look, files))
    for _, output in results:
        print(output, end="")
    with open(memory, "w", encoding="utf-8") as out:
        out.write("\n".join(key for key, output in results if not output))
    return 1 if any(output for _, output in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))

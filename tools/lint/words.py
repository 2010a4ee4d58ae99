#!/usr/bin/env python3
"""The tree speaks of itself only: no path, host or address of the machine that it was written on.

words.py [ROOT]    looks at every tracked text file (outside a repository: every file)
"""
import os
import re
import subprocess
import sys

# Split, so that this file does not name what it looks for.
FORBIDDEN = [
    (r"(?<![\w.$}])/(?:wo" r"rk|ro" r"ot|ho" r"me/[a-z]+|tm" r"p)/[\w.]", "a path of one machine"),
    (r"\.\./sha" r"red\b", "a folder outside the repository"),
    (r"(?i)\b(?:artif" r"actory|nex" r"us|ver" r"daccio|dev" r"pi)\b", "a private package registry"),
    (r"(?i)(?:index-url|registry)\s*[=:]\s*[\"']?https?://(?!registry\.npmjs\.org|pypi\.org)",
     "a package registry of one's own"),
    (r"\"resolved\":\s*\"(?!https://registry\.npmjs\.org/)", "a package from a registry of one's own"),
    (r"(?<![\w.])(?!10\.0\.0\.\d)(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+(?![\w.])", "a private address"),
    (r"BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY", "a private key"),
]


def tracked(root):
    git = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        return [path for path in git.stdout.split("\0") if path]
    return [os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root) for name in names]


def main(root):
    rules = [(re.compile(what), why) for what, why in FORBIDDEN]
    failed = False
    for path in tracked(root):
        if path.startswith("test/fuzz/corpus/"):
            continue
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                lines = file.read().split("\n")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        for number, line in enumerate(lines, 1):
            for what, why in rules:
                hit = what.search(line)
                if hit:
                    print(f"{path}:{number}: {hit[0]!r}: {why}")
                    failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))

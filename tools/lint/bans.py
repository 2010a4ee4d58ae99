#!/usr/bin/env python3
"""Calls that have one home, or none: each ban once in the table below.

bans.py [ROOT]    prints each breach as file:line and ends with 1 if there was one
"""
import os
import re
import sys

# what, the only places where it may stand (prefixes), what to use instead
# The tools are clients: what a broker promises about memory and time does not bind them.
BANS = [
    (r"(?:malloc|calloc|realloc|reallocarray|free|strn?dup|posix_memalign|aligned_alloc)\s*\(",
     ["src/base/mem.c", "tools/", "test/"], "lv_mem_*() with a tag: memory is accounted per room"),
    (r"(?:time|clock_gettime|gettimeofday|clock|timespec_get|ftime)\s*\(",
     ["src/os/", "tools/", "test/"], "`now` as an argument, or the clock of os"),
    (r"uv_(?:hrtime|now|update_time)\s*\(",
     ["src/os/", "src/loop/", "tools/", "test/"], "`now` as an argument, or the loop's clock"),
    (r"(?:v?printf|puts|putchar|perror)\s*\(",
     ["src/server/", "tools/", "test/"], "a log line or an error code; rooms do not print"),
    (r"(?:v?fprintf|fputs|fputc|fwrite|putc)\s*\([^;]*\b(?:stdout|stderr)\b",
     ["src/server/", "tools/", "test/"], "a log line or an error code; rooms do not print"),
    (r"(?:strcpy|stpcpy|strcat|strncat|v?sprintf|gets|alloca)\s*\(",
     [], "a bounded form: memcpy with a checked length, snprintf, lv_wr_*"),
    (r"(?:strtok|strtok_r)\s*\(", [], "a cursor over bytes"),
    (r"(?:atoi|atol|atoll|atof)\s*\(", [], "a parser that reports bad input"),
    (r"(?:rand|srand|random|srandom|drand48)\s*\(", [], "the randomness of os, or a seeded generator in tests"),
    (r"assert\s*\(", ["test/"], "LV_ASSERT, which stays on in every build"),
    (r"(?:setjmp|longjmp)\s*\(", [], "return codes"),
]
# base/assert.c is where a failed LV_ASSERT is told.
EXEMPT = {"src/base/assert.c": "print"}

TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def bare(text):
    """`text` without comments and string contents, every line where it was."""
    def blank(token):
        return '""' if token[0][0] == '"' else "\n" * token[0].count("\n")
    return TOKENS.sub(blank, text)


def main(root):
    bans = [(re.compile(r"(?<![\w.>])" + what), places, instead) for what, places, instead in BANS]
    failed = False
    for top in ("src", "tools", "test"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith((".c", ".h", ".def")):
                    continue
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    text = bare(file.read())
                for what, places, instead in bans:
                    if any(path.startswith(place) for place in places):
                        continue
                    if path in EXEMPT and EXEMPT[path] in instead:
                        continue
                    for hit in what.finditer(text):
                        line = text.count("\n", 0, hit.start()) + 1
                        print(f"{path}:{line}: {hit[0].split('(')[0].strip()}: use {instead}")
                        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))

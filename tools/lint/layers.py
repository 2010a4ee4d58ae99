#!/usr/bin/env python3
"""Lower never includes upper: holds every #include "..." to tools/lint/layers.txt.

layers.py [ROOT]    prints each breach as file:line and ends with 1 if there was one
"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
CODEC = re.compile(r"^src/proto/([^/]+)/(?:codec/.*|codec(?:_[^/]*)?\.[ch]|[^/]*\.def)$")


def read_table(path):
    """{room folder: (rooms it may include with theirs, single headers)}"""
    table = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.split("#")[0].strip()
            if not line:
                continue
            room, _, allowed = line.partition(":")
            rooms, headers = {room}, set()
            for word in allowed.split():
                if word.endswith(".h"):
                    headers.add(word)
                else:
                    rooms |= table["src/" + word][0]
            table[room] = (rooms, headers)
    return table


def room_of(path, table):
    """The room that a file belongs to, or None."""
    codec = CODEC.match(path)
    if codec:
        return f"src/proto/{codec[1]}/codec"
    folder = os.path.dirname(path)
    while folder:
        if folder in table:
            return folder
        folder = os.path.dirname(folder)
    return None


def breach(path, header, table):
    """Why `path` may not include `header`, or None."""
    room = room_of(path, table)
    target = "src/" + header
    target_room = room_of(target, table)
    if target_room is None:
        local = f"{os.path.dirname(path)}/{header}"
        if path.startswith("tools/") and room_of(local, table) == room:
            return None
        return "name the header by its room: \"room/file.h\""
    rooms, headers = table[room]
    if target_room == room:
        return None
    if header.endswith("_priv.h"):
        return "a _priv.h header stays inside its room"
    if target_room in rooms or header in headers:
        return None
    return f"{room} may not include {target_room}"


def main(root):
    table = read_table(os.path.join(HERE, "layers.txt"))
    failed = False
    for top in ("src", "tools"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith((".c", ".h", ".def")):
                    continue
                if room_of(path, table) is None:
                    print(f"{path}:1: no line in tools/lint/layers.txt for this room")
                    failed = True
                    continue
                with open(os.path.join(root, path), encoding="utf-8") as lines:
                    for number, line in enumerate(lines, 1):
                        include = INCLUDE.match(line)
                        why = include and breach(path, include[1], table)
                        if why:
                            print(f"{path}:{number}: {include[1]}: {why}")
                            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))

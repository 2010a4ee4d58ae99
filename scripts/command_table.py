"""The commands, options and columns of the command line as Python sees them, for the generators in scripts/gen."""
import re

FOLDER = "tools/leveret/cli"
PROGRAMS = {"C": "rabbitmqctl", "D": "rabbitmq-diagnostics", "Q": "rabbitmq-queues", "S": "rabbitmq-streams",
            "U": "rabbitmq-upgrade", "P": "rabbitmq-plugins", "A": "rabbitmqadmin", "L": "leveret"}
FIELDS = {
    "LV_LIST": "programs group name arguments options path columns banner errors help",
    "LV_DO": "programs group name arguments options method path body banner done errors help",
    "LV_RUN": "programs group name arguments options function banner help",
    "LV_SAY": "programs group name arguments code text help",
    "LV_ADMIN": "name options method path body done help",
    "LV_ADMIN_RUN": "name options function help",
    "LV_OPTION": "name letter value default scope help",
    "LV_COLUMN": "list name path kind",
}
WORD = re.compile(r"\s*(\"(?:\\.|[^\"\\])*\"|'.'|[^,\"]+)\s*")


def rows(path, macros):
    """Every `macro(...)` of a table, in order, as a dictionary; NULL is None."""
    with open(f"{FOLDER}/{path}", encoding="utf-8") as table:
        text = re.sub(r"/\*.*?\*/", "", table.read(), flags=re.DOTALL)
    lines = re.findall(rf"^({'|'.join(macros)})\((.*)\)$", text, re.MULTILINE)
    assert len(lines) == len(re.findall(r"^LV_", text, re.MULTILINE)), f"{path}: a row is a line"
    for macro, line in lines:
        at, found = 0, []
        while at < len(line):
            word = WORD.match(line, at)
            assert word, line
            bare = word[1].strip()
            if bare[0] in "\"'":
                bare = bare[1:-1].encode("latin-1").decode("unicode_escape")
            found.append(None if bare == "NULL" else bare)
            at = word.end() + 1
        names = FIELDS[macro].split()
        assert len(names) == len(found), line
        yield {"macro": macro, **dict(zip(names, found))}


def commands():
    """The commands that are one word."""
    return list(rows("command.def", [m for m in FIELDS if m not in ("LV_OPTION", "LV_COLUMN")]))


def plain_commands():
    return [c for c in commands() if not c["macro"].startswith("LV_ADMIN")]


def admin_commands():
    return [c for c in commands() if c["macro"].startswith("LV_ADMIN")]


def groups():
    """(group, its commands), in the order of the table."""
    found = plain_commands()
    for group in dict.fromkeys(c["group"] for c in found):
        yield group, [c for c in found if c["group"] == group]


def options():
    return list(rows("option.def", ["LV_OPTION"]))


def columns(name):
    return [c["name"] for c in rows("column.def", ["LV_COLUMN"]) if c["list"] == name]


def option_text(option):
    """--name <value>, as it is written."""
    value = option["value"] or ""
    if value.startswith("="):
        return f"--{option['name']}[=<{value[1:]}>]"
    return f"--{option['name']}" + (f" <{value}>" if value else "")


def synopsis(command):
    """A command with its own options and arguments."""
    known = {o["name"]: o for o in options() if o["scope"] == "ONE"}
    words = [command["name"]]
    words += [f"[{option_text(known[name])}]" for name in (command.get("options") or "").split() if name in known]
    return " ".join(words + ([command["arguments"]] if command["arguments"] else []))


def keys(command):
    """The keys of one of rabbitmqadmin's commands, as they are written."""
    return " ".join(f"{k[:-1]}=..." if k.endswith("!") else f"[{k.rstrip('?')}=...]"
                    for k in command["options"].split())

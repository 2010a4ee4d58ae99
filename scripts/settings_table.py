"""The tables of src/config as Python sees them, for the generators in scripts/gen."""
import re

FOLDER = "src/config"
SECTIONS = {
    "GENERAL": "General", "LISTENERS": "Listeners", "TLS": "TLS", "RESOURCES": "Memory and disk", "LIMITS": "Limits",
    "USERS": "Users", "QUEUES": "Queues and definitions", "LOGGING": "Logging", "MANAGEMENT": "Management and metrics",
    "PROTOCOLS": "Other protocols",
}
FIELDS = ("type", "field", "option", "default", "value", "help", "keys", "reload", "section", "effect", "low", "high")
WORD = re.compile(r'\s*("(?:\\.|[^"\\])*"|[^,()"\s]+)\s*')


def rows(path, macro):
    """The arguments of every `macro(...)` of a table: strings without their quotes."""
    with open(f"{FOLDER}/{path}", encoding="utf-8") as table:
        text = re.sub(r"/\*.*?\*/", "", table.read(), flags=re.DOTALL)
    lines = re.findall(rf"^{macro}\((.*)\)$", text, re.MULTILINE)
    assert len(lines) == text.count(macro + "("), f"{path}: a row is a line"
    for line in lines:
        at, found = 0, []
        while at < len(line):
            word = WORD.match(line, at)
            assert word, line
            found.append(word[1][1:-1].encode().decode("unicode_escape") if word[1][0] == '"' else word[1])
            at = word.end() + 1
        yield found


def settings():
    """Every setting as a dictionary; `shown_default` is how a file would say it."""
    for row in rows("settings.def", "LV_SETTING"):
        assert len(row) == len(FIELDS), row
        s = dict(zip(FIELDS, row))
        s["keys"] = s["keys"].split()
        is_open = s["type"] in ("LIMIT", "MS") and s["default"] == "4294967295"
        s["shown_default"] = "infinity" if is_open else s["default"].replace("\n", ", ")
        s["name"] = s["keys"][0] if s["keys"] else "--" + s["option"]
        s["variable"] = "LEVERET_" + s["option"].upper().replace("-", "_") if s["option"] else ""
        yield s


def by_section():
    found = list(settings())
    for section, title in SECTIONS.items():
        yield title, [s for s in found if s["section"] == section]


def foreign():
    return list(rows("foreign.def", "LV_FOREIGN"))


def variables():
    return list(rows("env.def", "LV_ENV"))

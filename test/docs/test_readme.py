"""The papers keep their word: the front page's programs run as printed (but for the port), all links lead somewhere."""

import glob
import os
import re
import shutil
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GREETING = "Hello, Leveret!"
PAGES = sorted(os.path.relpath(path, ROOT) for pattern in ("*.md", "docs/**/*.md", "src/**/*.md", "examples/**/*.md")
               for path in glob.glob(os.path.join(ROOT, pattern), recursive=True))


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as text:
        return text.read()


def program(language):
    """The README's only program in `language`."""
    programs = re.findall(rf"```{language}\n(.*?)```", read("README.md"), re.DOTALL)
    assert len(programs) == 1
    return programs[0]


def write(folder, name, text, replacements):
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return str(path)


def run(*command, cwd, **env):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def need(tool):
    if not shutil.which(tool):
        pytest.skip(f"no {tool}")


def test_python(broker, tmp_path):
    path = write(tmp_path, "hello.py", program("python"),
                 [('"localhost"', f'"{broker.host}", {broker.port}')])
    assert run(sys.executable, path, cwd=tmp_path) == GREETING


def test_node(broker, tmp_path):
    need("node")
    modules = os.path.join(ROOT, "build", "node", "node_modules")
    if not os.path.isdir(os.path.join(modules, "amqplib")):
        pytest.skip("amqplib is not installed")
    path = write(tmp_path, "hello.js", program("js"),
                 [("//localhost", f"//{broker.host}:{broker.port}")])
    assert run("node", path, cwd=tmp_path, NODE_PATH=modules) == GREETING


def test_c(broker, tmp_path):
    need("gcc")
    if not os.path.exists("/usr/include/amqp.h"):
        pytest.skip("no librabbitmq")
    path = write(tmp_path, "hello.c", program("c"),
                 [('"localhost", 5672', f'"{broker.host}", {broker.port}')])
    run("gcc", path, "-o", "hello", "-lrabbitmq", cwd=tmp_path)
    assert run("./hello", cwd=tmp_path) == GREETING


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    here = os.path.dirname(os.path.join(ROOT, page))
    links = re.findall(r"\]\(([^)#]+)\)", read(page))
    missing = [link for link in links
               if "://" not in link and not os.path.exists(os.path.join(here, link))]
    assert not missing

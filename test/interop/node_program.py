"""Running a Node script with the packages below build/node."""

import os
import shutil

import pytest

from program import HERE, ROOT, Report

MODULES = os.path.join(ROOT, "build", "node", "node_modules")


def run_node(broker, script):
    if not shutil.which("node"):
        pytest.skip("no node")
    if not os.path.isdir(MODULES):
        pytest.skip("node packages are not installed (scripts/node-env.sh)")
    return Report(["node", os.path.join(HERE, script)], broker, NODE_PATH=MODULES)

import os
import sys

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TEST, os.path.join(TEST, "ops")]

from interop.fixtures import broker, broker_of_session  # noqa: E402,F401

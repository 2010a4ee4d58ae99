import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from interop.fixtures import broker, broker_of_session  # noqa: E402,F401

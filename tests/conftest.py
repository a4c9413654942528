"""Settings of all tests."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from hypothesis import settings

HERE = Path(__file__).parent
for folder in (HERE, HERE / "unit"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("house", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("house")


def pytest_make_parametrize_id(config, val, argname):
    """Name bytes by their length: archives made at import hold the time, and names must be alike
    in all worker processes.
    """
    del config
    return f"{argname} of {len(val)} bytes" if isinstance(val, bytes) else None

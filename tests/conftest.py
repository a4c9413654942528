"""Settings of all tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

HERE = Path(__file__).parent
for folder in (HERE, HERE / "unit"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

settings.register_profile("house", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("house")

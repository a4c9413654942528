"""What Chromium makes of a page, for the tests with the marker `browser`."""

from __future__ import annotations

import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def dom_of(page, *, width=1300):
    """Return the document of a file after its scripts have run."""
    return subprocess.run(
        [
            str(CHROMIUM),
            *("--headless", "--no-sandbox", "--disable-gpu"),
            *(f"--window-size={width},2000", "--virtual-time-budget=8000", "--dump-dom"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    ).stdout

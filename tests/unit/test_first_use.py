"""What someone needs who has read no more than README's beginning."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENTER = ". .venv/bin/activate"


def test_readme_enters_the_environment_before_its_first_command():
    text = (ROOT / "README.md").read_text()
    assert ENTER in text[: text.index("\nsecateur data ")]


def test_setup_ends_by_saying_how_to_enter_the_environment():
    told = subprocess.run(
        ["make", "-s", "-o", ".venv/.made", "setup"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1].endswith(ENTER)

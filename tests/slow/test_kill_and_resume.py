"""A run killed at random moments ends, resumed, with the digests of an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from secateur import store

SCRIPT = Path(__file__).with_name("train_and_prune.py")
KILLS = 20


def start(folder: Path, engine: str) -> subprocess.Popen[bytes]:
    """Start the child; it may be killed."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), engine], stderr=subprocess.DEVNULL
    )


def digests(folder: Path) -> list[str]:
    return [store.fleet_digest(folder / part) for part in ("dense", "admm")]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("engine", ["processes", "stacked", "lifted"])
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_digests(tmp_path, engine):
    begun = time.monotonic()
    assert start(tmp_path / "whole", engine).wait() == 0
    length = time.monotonic() - begun
    expected = digests(tmp_path / "whole")
    rng = random.Random(0)
    kills, folder, tries = 0, tmp_path / "killed-0", 0
    while kills < KILLS and tries < 4 * KILLS:
        tries += 1
        child = start(folder, engine)
        try:
            # the first moments pass with imports; kill anywhere between them and the end
            code = child.wait(timeout=length * rng.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
            continue
        assert code == 0
        assert digests(folder) == expected  # it ended before it was killed: begin another
        folder = tmp_path / f"killed-{kills}-{tries}"
    assert kills == KILLS
    assert start(folder, engine).wait() == 0
    assert digests(folder) == expected
    leftovers = [p.name for p in tmp_path.rglob("*") if "tmp" in p.name]
    assert leftovers == []

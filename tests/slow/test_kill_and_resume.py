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


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the child; it may be killed."""
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_killed_at_ten_random_moments_ends_with_the_same_digests(tmp_path):
    begun = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    length = time.monotonic() - begun
    expected = [store.fleet_digest(tmp_path / "whole" / part) for part in ("dense", "admm")]
    rng = random.Random(0)
    kills = 0
    for _ in range(10):
        child = start(tmp_path / "killed")
        try:
            # the first moments pass with imports; kill anywhere between them and the end
            child.wait(timeout=length * rng.uniform(0.2, 0.8))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
        time.sleep(rng.uniform(0, 1))
    assert kills >= 3, "the run ended before it could be killed; make it longer"
    assert start(tmp_path / "killed").wait() == 0
    found = [store.fleet_digest(tmp_path / "killed" / part) for part in ("dense", "admm")]
    assert found == expected
    leftovers = [p.name for p in (tmp_path / "killed").rglob("*") if "tmp" in p.name]
    assert leftovers == []

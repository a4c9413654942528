"""A sweep killed at random moments ends, given again, as an undisturbed one does."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest
from tests.unit.test_sweep import FILE, contents

KILLS = 8


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("funnel", ["", "funnel = [2]"])
def test_a_sweep_killed_at_random_moments_ends_with_the_same_contents(tmp_path, funnel):
    def start(name: str) -> subprocess.Popen[bytes]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "sweep.toml").write_text(f"{funnel}\n{FILE}")
        command = "sweep sweep.toml --out run --engine processes --workers 2"
        return subprocess.Popen(
            [sys.executable, "-m", "secateur.cli", *command.split()],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    begun = time.monotonic()
    assert start("whole").wait() == 0
    length = time.monotonic() - begun
    rng = random.Random(0)
    for _ in range(KILLS):
        child = start("killed")
        try:
            child.wait(timeout=length * rng.uniform(0.2, 0.9))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    assert start("killed").wait() == 0
    assert contents(tmp_path / "killed/run") == contents(tmp_path / "whole/run")
    assert [p.name for p in tmp_path.rglob("*") if "tmp" in p.name] == []

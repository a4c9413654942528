"""Every interval covers: made worlds of scores whose truth is known in closed form.

A quarter of the worlds of `python -m tools.coverage`, from another seed: about a quarter of an hour
on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools.coverage import WORLDS, cases, said

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_no_interval_covers_less_than_its_nominal_95_per_cent():
    used = [case for case in cases() if case.used]
    lines = [row for case in used for row in case.count(case.size(WORLDS // 4, seed=1))]
    assert len(lines) > len(used) > 50
    low = [said(row) for row in lines if row["p"] < 0.001]
    assert not low, "\n".join(low)

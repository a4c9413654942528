"""Every interval covers: 2,000 made worlds of scores whose truth is known in closed form.

The table is that of `python -m tools.coverage`; about half an hour on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tools.coverage import WORLDS, cases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_no_interval_covers_less_than_its_nominal_95_per_cent():
    low = []
    for line in cases(WORLDS, seed=0):
        print(line)
        if line["p"] < 0.001:
            low.append(line)
    assert not low, "\n".join(
        f"{r['interval']}, {r['metric']}, {r['targets']} targets, {r['records']} records: "
        f"covers {r['coverage']:.4f} of {r['worlds']} worlds"
        for r in low
    )

"""A hundred thousand changed packed files: none crashes, hangs or passes unnoticed."""

from __future__ import annotations

import pytest

from mutated_packed import check_mutants

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_changed_files_are_refused_or_read(seed):
    check_mutants(10_000, seed=seed)

"""Cases of a sweep beside every rival at equal accuracy, as plain rows."""

from __future__ import annotations

from secateur.report.table import cell
from secateur.types import Sweep

__all__ = ["MATCHED_HEADERS", "MATCHED_TITLE", "matched_table"]

MATCHED_HEADERS = (
    "case",
    "rival, nearest setting",
    "test acc. diff., points",
    "AUC diff.",
    "TPR diff., points",
    "canaries' AUC diff.",
    "canaries' TPR diff., points",
)
MATCHED_TITLE = (
    "Case minus rival, paired; of each rival the setting whose references are nearest in test "
    "accuracy; each side by the attack that was its strongest on references"
)
_ROWS = ("test accuracy", "leak", "tpr", "leak of canaries", "tpr of canaries")
_PERCENT = {"test accuracy", "tpr", "tpr of canaries"}


def matched_table(sweep: Sweep) -> list[dict[str, str]]:
    """Return one row per case and rival; keys are `MATCHED_HEADERS`.

    Args:
        sweep: any sweep; without comparisons there are no rows.
    """
    found = []
    for comparison in sweep.comparisons:
        cells = [
            cell(comparison.rows.get(name), percent=name in _PERCENT, digits=1)
            if name in _PERCENT
            else cell(comparison.rows.get(name))
            for name in _ROWS
        ]
        found.append(
            dict(zip(MATCHED_HEADERS, (comparison.case, comparison.rival, *cells), strict=True))
        )
    return found

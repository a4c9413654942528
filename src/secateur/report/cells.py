"""Values as text: with their interval, or why there is none."""

from __future__ import annotations

from secateur.types import Measurement

__all__ = ["cell", "gap_words", "test_cell"]


def cell(row: Measurement | None, *, percent: bool = False, digits: int = 3) -> str:
    """Return a value with its interval as text, or why there is none.

    Example:
        >>> cell(Measurement(subject="x", risk="r", method="m", metric="auc", value=0.5, low=0.4,
        ...      high=0.6, interval="t over targets"))
        '0.500 [0.400, 0.600]'
    """
    if row is None:
        return "-"
    if row.value is None:
        return row.status
    scale = 100 if percent else 1
    text = f"{scale * row.value:.{digits}f}"
    if row.low is not None and row.high is not None:
        text += f" [{scale * row.low:.{digits}f}, {scale * row.high:.{digits}f}]"
    elif row.low is not None:
        text = f"at least {text}"
    return text


def test_cell(rows: dict[str, Measurement | None]) -> str:
    """Return the test accuracy; where nobody kept records for it, that on non-members."""
    if rows["test"] is not None or rows["others"] is None:
        return cell(rows["test"], percent=True, digits=1)
    gap = gap_words(rows)
    told = f"{cell(rows['others'], percent=True, digits=1)} on non-members"
    return told + (f", gap {gap}" if gap else "")


def gap_words(rows: dict[str, Measurement | None]) -> str:
    """Return by how many points accuracy on members is above that on non-members; "" if unknown."""
    train, others = rows["train"], rows["others"]
    if rows["gap"] is not None:
        return cell(rows["gap"], percent=True, digits=1)
    if train is None or others is None or train.value is None or others.value is None:
        return ""
    return f"{100 * (train.value - others.value):.1f}"

"""In words: which records have too few references, and how what an attack lacks is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secateur.types import POPULATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEND_POPULATION", "few_words", "mend_words"]

MEND_POPULATION = (
    "of a fleet `secateur train --population N` and draw() set some apart, in saved signals the "
    f"array `{POPULATION}` names them (docs/signals.md); an audit of one given network has none"
)


def few_words(counts: NDArray[Any], least: int, side: str) -> str:
    """Count the records with too few references on one side; empty where there are none."""
    short = int((counts < least).sum())
    few = "no reference" if least == 1 else f"fewer than {least} references"
    return f"{short} of {len(counts)} records are {side} {few}" if short else ""


def mend_words(references: int, min_in: int, min_out: int) -> str:
    """Say how to mend it that some record is in too few of so many references, or out of them."""
    least = 2 * max(min_in, min_out)
    if references < least:
        return f"draw at least {least} references (16 or more are advisable)"
    return "draw each record into half of them"

"""Are the references as often right as the models under audit?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import stats

from secateur.types import Control, Observations, Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secateur.types import Membership

__all__ = ["reference_accuracy_control"]

Outcome = Literal["passed", "raised", "not run"]
CORRECT = Signal(name="correct")
CLEAR = 0.02
"""An interval all of which is farther than this from 0 raises the control."""
COARSE = 0.1
"""Half of the width of an interval above which nothing can be said to have passed."""


class _Side(NamedTuple):
    """Accuracies on one side of the membership, and their difference with its interval."""

    name: str
    targets: float
    references: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.targets - self.references

    @property
    def beyond(self) -> float:
        """How far the nearer end of the interval lies from 0; below 0 where it holds 0."""
        return max(self.low, -self.high)


def reference_accuracy_control(
    observations: Observations, *, subject: str, confidence: float = 0.95
) -> Control:
    """Compare how often targets and references are right, on members and on non-members.

    Each model is asked about its own members, and about the audit's records that it did not see.
    The interval of the difference is a two-sample t interval over the models; of one target it says
    where one more model of the references' training would lie. The spread between models is taken
    to be no smaller than that of counting so many persons.

    Args:
        observations: of targets and references, with the signal `correct`.
        subject: the model family.
        confidence: of each interval, in (0, 1).

    Returns:
        Raised where a whole interval is more than 2 points from 0; `value`, `low` and `high` are
        targets' less references' accuracy on the side where it is farthest. "Not run" where
        nothing can be compared, or an interval that raises nothing is wider than 20 points.

    Example:
        >>> from secateur.data import planted_world
        >>> world = planted_world(records=60, targets=2, references=0, shift=1.0, seed=0)
        >>> reference_accuracy_control(world, subject="dense").status
        'not run'
    """
    who = observations.membership
    lacking = _lacking(observations)
    sides = [] if lacking else _sides(observations.plain(CORRECT), who, confidence)
    if not sides:
        lacking = lacking or "no side of the membership holds records of targets and references"
        return _control("not run", subject, lacking)
    far = max(sides, key=lambda side: side.beyond)
    saw = "; ".join(_said(side, confidence) for side in sides)
    if far.beyond > CLEAR:
        return _control("raised", subject, saw, far)
    if max(side.high - side.low for side in sides) > 2 * COARSE:
        return _control("not run", subject, f"{saw}; so few cannot be told apart", far)
    return _control("passed", subject, saw, far)


def _lacking(observations: Observations) -> str:
    who = observations.membership
    if not len(who.references):
        return "there are no references"
    if CORRECT.key not in observations.views[observations.primary]:
        return "it was not seen which answers are right"
    if len(who.targets) + len(who.references) < 3:
        return "one target and one reference give no interval"
    return ""


def _control(status: Outcome, subject: str, saw: str, far: _Side | None = None) -> Control:
    return Control(
        id="reference-accuracy",
        status=status,
        subject=subject,
        saw=saw,
        why="references of a weaker or a stronger training than the targets' know their members "
        "otherwise: attacks that compare with them can understate the leak",
        mend="train the references as the targets were: as many epochs, the same data, settings "
        "and pruning; of a trained model that was handed over, look at the blind baseline too: "
        "members and non-members that differ in themselves part the accuracies as well",
        value=None if far is None else far.difference,
        low=None if far is None else far.low,
        high=None if far is None else far.high,
    )


def _sides(correct: NDArray[np.float64], who: Membership, confidence: float) -> list[_Side]:
    """Return the sides on which every target and at least one reference has records."""
    found = []
    for name, side in (("members", who.members), ("non-members", who.non_members)):
        rates, persons = {}, []
        for models, of in ((who.targets, "targets"), (who.references, "references")):
            held = [records for m in models.tolist() if len(records := side(m))]
            asked = [m for m in models.tolist() if len(side(m))]
            rates[of] = np.array([correct[m, r].mean() for m, r in zip(asked, held, strict=True)])
            persons += [len(np.unique(who.units[records])) for records in held]
        a, b = rates["targets"], rates["references"]
        if len(a) and len(b) and len(a) + len(b) > 2:
            half = _half_width(a, b, float(np.mean(persons)), confidence)
            d = float(a.mean() - b.mean())
            ends = max(-1.0, d - half), min(1.0, d + half)
            found.append(_Side(name, float(a.mean()), float(b.mean()), *ends))
    return found


def _half_width(
    a: NDArray[np.float64], b: NDArray[np.float64], persons: float, confidence: float
) -> float:
    r"""Return half of the width of the two-sample t interval with one variance.

    $t_{a+b-2} s \sqrt{1/a + 1/b}$, with $s^2$ at least $p (1 - p) / n$ of $n$ persons. Models share
    records, so that they differ less than by counting: the interval is then too wide, never too
    narrow.
    """
    free = len(a) + len(b) - 2
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    p = float(np.concatenate([a, b]).mean())
    p = (p * persons + 1) / (persons + 2)  # a rate of 1 is no certainty
    variance = max(float(squares) / free, p * (1 - p) / persons)
    t = float(stats.t.ppf(0.5 + confidence / 2, free))
    return t * float(np.sqrt(variance * (1 / len(a) + 1 / len(b))))


def _said(side: _Side, confidence: float) -> str:
    return (
        f"targets are right on {100 * side.targets:.1f} % of their {side.name}, references on "
        f"{100 * side.references:.1f} % of theirs: a difference of {100 * side.difference:+.1f} "
        f"points [{100 * side.low:+.1f}, {100 * side.high:+.1f}] ({100 * confidence:g} %)"
    )

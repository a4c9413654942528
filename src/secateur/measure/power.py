"""What an audit of a given size can resolve, said before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from secateur.errors import InputError, MethodError
from secateur.measure.roc import lowest_resolvable_fpr
from secateur.types import Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AuditSize",
    "auc_sd",
    "between_sd_of",
    "chi_scale",
    "detectable_difference",
    "resolvable_fpr",
    "targets_needed",
    "units_of",
]

_MOST_TARGETS = 100_000


@dataclass(frozen=True, kw_only=True)
class AuditSize:
    """How many targets, and members and non-members of each: in units, if a person owns several
    records.

    `between_sd` is how far the targets' true AUCs spread (standard deviation), from a pilot or an
    earlier report of the same pipeline; 0 is an optimist's.
    """

    targets: int
    members: int
    non_members: int
    between_sd: float

    def __post_init__(self) -> None:
        if min(self.targets, self.members, self.non_members) < 1:
            raise InputError(
                f"targets, members and non-members must be at least 1, got {self.targets}, "
                f"{self.members} and {self.non_members}"
            )
        if not 0 <= self.between_sd < 0.5:
            raise InputError(f"between_sd must be in [0, 0.5), got {self.between_sd}")


def auc_sd(auc: float, members: int, non_members: int) -> float:
    """Return the standard deviation of one target's AUC that its records alone make.

    Example:
        >>> round(auc_sd(0.5, 500, 500), 4)
        0.0183

    Reference: Hanley & McNeil 1982.
    """
    if not 0 < auc < 1:
        raise InputError(f"auc must be in (0, 1), got {auc}")
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (members - 1) * (q1 - auc**2) + (non_members - 1) * (q2 - auc**2)
    return float(np.sqrt(spread / (members * non_members)))


def between_sd_of(row: Measurement) -> float:
    """Return how far the targets' true AUCs spread, read off an AUC's t interval over targets.

    The half-width times sqrt(targets) / t is the deviation of the measured AUCs; what their records
    alone make of it (`auc_sd`) is subtracted. 0 where the records explain all of it. Few targets
    say little: the estimate itself varies by about 1 / sqrt(2 (targets - 1)) of its size.

    Raises:
        InputError: the row is no AUC with a t interval over targets.

    Example:
        >>> row = Measurement(subject="dense", risk="membership", method="m", metric="auc",
        ...     value=0.6, low=0.58, high=0.62, interval="t over targets",
        ...     counts={"targets": 8, "members": 500, "non_members": 500})
        >>> round(between_sd_of(row), 4)
        0.016
    """
    counts = row.counts
    known = {"targets", "members", "non_members"} <= set(counts)
    if (
        row.metric != "auc"
        or row.versus
        or not known
        or row.interval != "t over targets"
        or row.value is None
        or row.low is None
        or row.high is None
    ):
        raise InputError(
            f"the spread of targets is read off an AUC with a t interval over 8 or more targets; "
            f"this row is {row.metric!r} with the interval {row.interval!r} over "
            f"{counts.get('targets', 0):g} targets; {_mend(row)}"
        )
    targets = int(counts["targets"])
    half = max(row.value - row.low, row.high - row.value)  # an end may be clipped at 0 or 1
    seen = half * np.sqrt(targets) / stats.t.ppf(0.5 + row.confidence / 2, targets - 1)
    records = auc_sd(row.value, *units_of(row))
    return float(np.sqrt(max(0.0, seen**2 - records**2)))


def _mend(row: Measurement) -> str:
    if row.interval == "t over targets, widened":
        return (
            f"{row.why or 'it was widened'}, so its width is not that of the targets' spread, and "
            "more targets need not change that: say the spread (--between-sd)"
        )
    return "audit more targets, or say the spread (--between-sd)"


def units_of(row: Measurement) -> tuple[int, int]:
    """Return how many members and non-members a target of a row has, in units."""
    members, others = (
        row.counts.get(f"{one}_units", row.counts[f"{one}s"]) for one in ("member", "non_member")
    )
    return round(members), round(others)


def _target_sd(size: AuditSize, auc: float) -> float:
    return float(np.hypot(size.between_sd, auc_sd(auc, size.members, size.non_members)))


def chi_scale(freedom: int) -> NDArray[np.float64]:
    """Return the chi distribution over its root of freedom, as equally likely values."""
    scale: NDArray[np.float64] = np.sqrt(
        stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, freedom) / freedom
    )
    return scale


def detectable_difference(
    size: AuditSize,
    *,
    auc: float,
    correlation: float | None,
    power: float = 0.8,
    confidence: float = 0.95,
) -> float:
    """Return the smallest difference of two AUCs that an audit of this size finds.

    Finds: the t interval of the difference over targets excludes 0, in a share `power` of audits.

    Args:
        size: of the audit, the same for both subjects.
        auc: about where both lie, in (0, 1).
        correlation: of the two subjects' AUCs over the same targets, in [-1, 1); it is high where
            the second is made from the first. None: unpaired, different targets.
        power: in (0, 1), above 1 - confidence.
        confidence: of the interval, in (0, 1).

    Example:
        >>> size = AuditSize(targets=8, members=500, non_members=500, between_sd=0.01)
        >>> round(detectable_difference(size, auc=0.6, correlation=0.5), 3)
        0.024
        >>> round(detectable_difference(size, auc=0.6, correlation=None), 3)
        0.031
    """
    _several(size)
    if not 1 - confidence < power < 1:
        raise InputError(f"power must be in ({1 - confidence:g}, 1), got {power}")
    if correlation is not None and not -1 <= correlation < 1:
        raise InputError(f"correlation must be in [-1, 1), got {correlation}")
    paired = correlation is not None
    freedom = size.targets - 1 if paired else 2 * (size.targets - 1)
    variance = 2 * _target_sd(size, auc) ** 2 * (1 - (correlation or 0.0))
    critical = stats.t.ppf(0.5 + confidence / 2, freedom)
    # the noncentral t, as a mean over its chi distribution: scipy's own gives NaN at few targets
    scale = chi_scale(freedom)

    def missing(shift: float) -> float:
        above = stats.norm.cdf(shift - critical * scale) + stats.norm.cdf(-shift - critical * scale)
        return float(above.mean()) - power

    shift = brentq(missing, 0.0, 10 + 10 * critical, xtol=1e-9)
    return float(shift * np.sqrt(variance / size.targets))


def targets_needed(
    difference: float,
    size: AuditSize,
    *,
    auc: float,
    correlation: float | None,
    power: float = 0.8,
    confidence: float = 0.95,
) -> int:
    """Return the smallest number of targets with which a difference of AUCs is found.

    Args:
        difference: to be found, above 0.
        size: its records and spread are read, not its targets.
        auc: about where both lie.
        correlation: as for `detectable_difference`.
        power: in (0, 1).
        confidence: of the interval.

    Raises:
        MethodError: more than 100,000 targets would be needed.

    Example:
        >>> size = AuditSize(targets=8, members=500, non_members=500, between_sd=0.01)
        >>> targets_needed(0.02, size, auc=0.6, correlation=0.5)
        11
    """
    if not difference > 0:
        raise InputError(f"difference must be above 0, got {difference}")

    def found(targets: int) -> bool:
        tried = AuditSize(
            targets=targets,
            members=size.members,
            non_members=size.non_members,
            between_sd=size.between_sd,
        )
        least = detectable_difference(
            tried, auc=auc, correlation=correlation, power=power, confidence=confidence
        )
        return least <= difference

    high = 2
    while not found(high):
        high *= 2
        if high > _MOST_TARGETS:
            raise MethodError(
                f"a difference of {difference:g} would need more than {_MOST_TARGETS} targets; "
                "look for a larger one, or give each target more records"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def resolvable_fpr(size: AuditSize) -> float | None:
    """Return the lowest listed FPR with 10 expected false positives, in units, over all targets.

    Example:
        >>> resolvable_fpr(AuditSize(targets=8, members=500, non_members=500, between_sd=0.0))
        0.01
    """
    return lowest_resolvable_fpr(size.targets * size.non_members)


def _several(size: AuditSize) -> None:
    if size.targets < 2:
        raise MethodError(
            f"a difference over targets needs at least 2 of them, got {size.targets}; plan for 8"
        )

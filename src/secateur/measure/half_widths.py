"""How wide the intervals of an audit of a given size will be."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from secateur.errors import InputError, MethodError
from secateur.measure.membership import FEWEST_FOR_T
from secateur.measure.power import AuditSize, auc_sd, chi_scale
from secateur.measure.roc import few_false_positives
from secateur.types import Interval

__all__ = ["auc_half_width", "planned_interval", "tpr_half_width"]


def auc_half_width(size: AuditSize, *, auc: float, confidence: float = 0.95) -> float:
    """Return the expected half-width of the interval that an audit of this size gives an AUC.

    t over targets from 8 on, a two-way bootstrap below, a unit bootstrap of one
    (`planned_interval`). What targets share by being asked about the same records is not counted,
    so a bootstrap over several targets is rather wider.
    """
    return _half_width(
        size, auc_sd(auc, size.members, size.non_members), size.between_sd, confidence
    )


def planned_interval(size: AuditSize) -> Interval:
    """Return the kind of interval that an audit of this size gives.

    Example:
        >>> planned_interval(AuditSize(targets=4, members=50, non_members=50, between_sd=0.0))
        'two-way bootstrap'
    """
    if size.targets >= FEWEST_FOR_T:
        return "t over targets"
    return "two-way bootstrap" if size.targets > 1 else "unit bootstrap"


def _half_width(size: AuditSize, records: float, between: float, confidence: float) -> float:
    """Return the half-width where records and targets spread by so much (standard deviations).

    Of a two-way bootstrap the quantile of a normal, for the records, plus a t with targets - 1
    degrees of freedom, for the targets, which their records spread too.
    """
    part, freedom = 0.5 + confidence / 2, size.targets - 1
    kind = planned_interval(size)
    if kind == "unit bootstrap":
        return float(stats.norm.ppf(part) * records)
    both = np.hypot(records, between) / np.sqrt(size.targets)
    if kind == "t over targets":
        return float(stats.t.ppf(part, freedom) * both)
    own = records / np.sqrt(size.targets)
    spread = np.hypot(own, both / chi_scale(freedom))  # given the chi, the sum is normal

    def missing(width: float) -> float:
        return float(stats.norm.cdf(width / spread).mean()) - part

    most = stats.t.ppf(part, freedom) * both + 10 * own
    return float(brentq(missing, 0.0, 2 * most, xtol=1e-12)) if most > 0 else 0.0


def tpr_half_width(size: AuditSize, *, tpr: float, fpr: float, confidence: float = 0.95) -> float:
    """Return the expected half-width of the interval of a TPR at an FPR.

    Of one target the variance is that of its members, TPR (1 - TPR) / members, and that of its
    threshold, slope^2 FPR (1 - FPR) / non-members, with the slope of a binormal ROC through (FPR,
    TPR); between targets the TPR spreads as the AUC does, scaled along the same binormal family.

    Args:
        size: of the audit, whose interval is that of `planned_interval`.
        tpr: expected, in (0, 1).
        fpr: in (0, 1).
        confidence: of the interval.

    Raises:
        MethodError: fewer than 10 false positives are expected; the message names the lowest FPR
            that this size resolves.

    Reference: the delta method for an empirical quantile; Hsieh & Turnbull 1996.
    """
    if not (0 < tpr < 1 and 0 < fpr < 1):
        raise InputError(f"tpr and fpr must be in (0, 1), got {tpr} and {fpr}")
    outside = size.non_members * size.targets
    if why := few_false_positives(fpr * outside, outside):
        raise MethodError(f"at an FPR of {fpr:g} {why}")
    threshold, place = stats.norm.ppf(fpr), stats.norm.ppf(tpr)
    shift = place - threshold
    slope = stats.norm.pdf(place) / stats.norm.pdf(threshold)
    per_auc = stats.norm.pdf(place) * np.sqrt(2) / stats.norm.pdf(shift / np.sqrt(2))
    records = tpr * (1 - tpr) / size.members + slope**2 * fpr * (1 - fpr) / size.non_members
    return _half_width(size, float(np.sqrt(records)), float(per_auc) * size.between_sd, confidence)

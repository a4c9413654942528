"""From scores to measurements with intervals, and controls of the audit; numpy and scipy alone."""

from __future__ import annotations

from secateur.measure.agreement import (
    found_at_fpr,
    overlap_of_found,
    rank_agreement,
    share_found,
)
from secateur.measure.controls import (
    adaptive_control,
    gap_control,
    null_control,
    planted_control,
    reference_count_control,
    saturation_control,
    training_size_control,
)
from secateur.measure.exposure import MostExposed, most_exposed
from secateur.measure.groups import accuracy_by_group, by_group, column_of
from secateur.measure.inputs import blind_baseline, near_duplicates_control
from secateur.measure.interval import (
    clopper_pearson,
    paired_difference,
    resampled_means,
    t_interval,
    two_way_bootstrap,
    unit_bootstrap,
)
from secateur.measure.membership import (
    accuracy_of_attack,
    auc,
    balanced_accuracy,
    difference,
    fpr_name,
    realised_fpr,
    tpr_at_fpr,
)
from secateur.measure.power import (
    AuditSize,
    auc_half_width,
    auc_sd,
    detectable_difference,
    resolvable_fpr,
    targets_needed,
    tpr_half_width,
)
from secateur.measure.precision import PRIORS, positive_predictive_value, precision_of
from secateur.measure.roc import (
    Roc,
    auc_value,
    balanced_accuracy_at,
    best_balanced_accuracy,
    lowest_resolvable_fpr,
    roc_curve,
    tpr_at_fpr_value,
    tpr_segment,
)
from secateur.measure.series import histogram_series, roc_series
from secateur.measure.targets import per_target
from secateur.measure.utility import gap_attack, over_targets, size_rows
from secateur.measure.weighted import Ranked, rank

__all__ = [
    "PRIORS",
    "AuditSize",
    "MostExposed",
    "Ranked",
    "Roc",
    "accuracy_by_group",
    "accuracy_of_attack",
    "adaptive_control",
    "auc",
    "auc_half_width",
    "auc_sd",
    "auc_value",
    "balanced_accuracy",
    "balanced_accuracy_at",
    "best_balanced_accuracy",
    "blind_baseline",
    "by_group",
    "clopper_pearson",
    "column_of",
    "detectable_difference",
    "difference",
    "found_at_fpr",
    "fpr_name",
    "gap_attack",
    "gap_control",
    "histogram_series",
    "lowest_resolvable_fpr",
    "most_exposed",
    "near_duplicates_control",
    "null_control",
    "over_targets",
    "overlap_of_found",
    "paired_difference",
    "per_target",
    "planted_control",
    "positive_predictive_value",
    "precision_of",
    "rank",
    "rank_agreement",
    "realised_fpr",
    "reference_count_control",
    "resampled_means",
    "resolvable_fpr",
    "roc_curve",
    "roc_series",
    "saturation_control",
    "share_found",
    "size_rows",
    "t_interval",
    "targets_needed",
    "tpr_at_fpr",
    "tpr_at_fpr_value",
    "tpr_half_width",
    "tpr_segment",
    "training_size_control",
    "two_way_bootstrap",
    "unit_bootstrap",
]

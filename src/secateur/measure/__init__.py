"""From scores to measurements with intervals, and controls of the audit; numpy and scipy alone."""

from __future__ import annotations

from secateur.measure.controls import (
    adaptive_control,
    gap_control,
    null_control,
    planted_control,
    reference_count_control,
    saturation_control,
    training_size_control,
)
from secateur.measure.groups import accuracy_by_group, by_group, column_of
from secateur.measure.inputs import blind_baseline, near_duplicates_control
from secateur.measure.interval import (
    clopper_pearson,
    paired_difference,
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
    tpr_at_fpr,
)
from secateur.measure.roc import (
    Roc,
    auc_value,
    balanced_accuracy_at,
    best_balanced_accuracy,
    lowest_resolvable_fpr,
    roc_curve,
    tpr_at_fpr_value,
)
from secateur.measure.series import histogram_series, roc_series
from secateur.measure.targets import per_target
from secateur.measure.utility import gap_attack, over_targets, size_rows

__all__ = [
    "Roc",
    "accuracy_by_group",
    "accuracy_of_attack",
    "adaptive_control",
    "auc",
    "auc_value",
    "balanced_accuracy",
    "balanced_accuracy_at",
    "best_balanced_accuracy",
    "blind_baseline",
    "by_group",
    "clopper_pearson",
    "column_of",
    "difference",
    "fpr_name",
    "gap_attack",
    "gap_control",
    "histogram_series",
    "lowest_resolvable_fpr",
    "near_duplicates_control",
    "null_control",
    "over_targets",
    "paired_difference",
    "per_target",
    "planted_control",
    "reference_count_control",
    "roc_curve",
    "roc_series",
    "saturation_control",
    "size_rows",
    "t_interval",
    "tpr_at_fpr",
    "tpr_at_fpr_value",
    "training_size_control",
    "two_way_bootstrap",
    "unit_bootstrap",
]

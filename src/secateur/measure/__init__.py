"""From scores to measurements with intervals, and controls of the audit; numpy and scipy alone."""

from __future__ import annotations

from secateur.measure.agreement import (
    overlap_of_found,
    rank_agreement,
    share_found,
)
from secateur.measure.canaries import tpr_on_canaries
from secateur.measure.controls import (
    adaptive_control,
    gap_control,
    null_control,
    planted_control,
    reference_count_control,
    saturation_control,
    training_size_control,
)
from secateur.measure.differences import difference
from secateur.measure.epsilon import epsilon_bound, epsilon_over_runs
from secateur.measure.exposure import FEWEST_MODELS, MostExposed, most_exposed
from secateur.measure.found import found_at_fpr
from secateur.measure.gaussian import (
    epsilon_estimate,
    epsilon_name,
    gdp_delta,
    gdp_epsilon,
    gdp_mu,
)
from secateur.measure.groups import accuracy_by_group, by_group, column_of
from secateur.measure.half_widths import auc_half_width, planned_interval, tpr_half_width
from secateur.measure.information import (
    LEAST_GAIN,
    accuracy_bound,
    accuracy_bound_of_jensen_shannon,
    best_gain,
    gain,
    jensen_shannon,
    total_variation,
)
from secateur.measure.information_rows import information_rows
from secateur.measure.inputs import blind_baseline, near_duplicates_control
from secateur.measure.interval import (
    clopper_pearson,
    paired_difference,
    resampled_means,
    t_interval,
    two_way_bootstrap,
    unit_bootstrap,
)
from secateur.measure.leave_one_out import leave_one_out_control
from secateur.measure.membership import (
    accuracy_of_attack,
    auc,
    balanced_accuracy,
    fpr_name,
    realised_fpr,
    tpr_at_fpr,
)
from secateur.measure.per_record import RECORD_COLUMNS, record_columns
from secateur.measure.power import (
    AuditSize,
    auc_sd,
    between_sd_of,
    detectable_difference,
    resolvable_fpr,
    targets_needed,
    units_of,
)
from secateur.measure.precision import (
    PRIORS,
    positive_predictive_value,
    precision_name,
    precision_of,
)
from secateur.measure.reference_accuracy import reference_accuracy_control
from secateur.measure.roc import (
    Roc,
    auc_value,
    balanced_accuracy_at,
    best_balanced_accuracy,
    lowest_resolvable_fpr,
    resolved_fpr,
    roc_curve,
    tpr_at_fpr_value,
    tpr_segment,
)
from secateur.measure.series import histogram_series, roc_series
from secateur.measure.tails import (
    epsilon_from_guesses,
    epsilon_from_guesses_fdp,
    epsilon_from_rates,
    one_run_p_value,
)
from secateur.measure.targets import non_member_units, per_target, units_per_target
from secateur.measure.trials import best_guesses, default_guesses
from secateur.measure.utility import gap_attack, over_targets, over_units, size_rows
from secateur.measure.weighted import Ranked, rank
from secateur.measure.widen import Ends, trials_of_metric, widened, widened_metric

__all__ = [
    "FEWEST_MODELS",
    "LEAST_GAIN",
    "PRIORS",
    "RECORD_COLUMNS",
    "AuditSize",
    "Ends",
    "MostExposed",
    "Ranked",
    "Roc",
    "accuracy_bound",
    "accuracy_bound_of_jensen_shannon",
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
    "best_gain",
    "best_guesses",
    "between_sd_of",
    "blind_baseline",
    "by_group",
    "clopper_pearson",
    "column_of",
    "default_guesses",
    "detectable_difference",
    "difference",
    "epsilon_bound",
    "epsilon_estimate",
    "epsilon_from_guesses",
    "epsilon_from_guesses_fdp",
    "epsilon_from_rates",
    "epsilon_name",
    "epsilon_over_runs",
    "found_at_fpr",
    "fpr_name",
    "gain",
    "gap_attack",
    "gap_control",
    "gdp_delta",
    "gdp_epsilon",
    "gdp_mu",
    "histogram_series",
    "information_rows",
    "jensen_shannon",
    "leave_one_out_control",
    "lowest_resolvable_fpr",
    "most_exposed",
    "near_duplicates_control",
    "non_member_units",
    "null_control",
    "one_run_p_value",
    "over_targets",
    "over_units",
    "overlap_of_found",
    "paired_difference",
    "per_target",
    "planned_interval",
    "planted_control",
    "positive_predictive_value",
    "precision_name",
    "precision_of",
    "rank",
    "rank_agreement",
    "realised_fpr",
    "record_columns",
    "reference_accuracy_control",
    "reference_count_control",
    "resampled_means",
    "resolvable_fpr",
    "resolved_fpr",
    "roc_curve",
    "roc_series",
    "saturation_control",
    "share_found",
    "size_rows",
    "t_interval",
    "targets_needed",
    "total_variation",
    "tpr_at_fpr",
    "tpr_at_fpr_value",
    "tpr_half_width",
    "tpr_on_canaries",
    "tpr_segment",
    "training_size_control",
    "trials_of_metric",
    "two_way_bootstrap",
    "unit_bootstrap",
    "units_of",
    "units_per_target",
    "widened",
    "widened_metric",
]

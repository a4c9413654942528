"""The tests are strong: a changed sign, factor or index makes one of them fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = "tests/unit/test_attack_membership.py"
MEASURE = "tests/unit/test_measure.py"
RESAMPLING = "tests/unit/test_measure_resampling.py"
PRECISION = "tests/unit/test_measure_precision.py"
EXPOSURE = "tests/unit/test_measure_exposure.py"
POWER = "tests/unit/test_measure_power.py"
LIMITS = "tests/unit/test_measure_limits.py"
WIDEN = "tests/unit/test_measure_widen.py"
FEW = "tests/unit/test_attack_few_references.py"
SIMPLE = "tests/unit/test_attack_simple.py"
GROUPS = "tests/unit/test_groups.py"
AGREEMENT = "tests/unit/test_measure_agreement.py"
EPSILON = "tests/unit/test_epsilon.py"
CANARIES = "tests/unit/test_canaries.py"
INFORMATION = "tests/unit/test_information.py"
COMPRESS = ("tests/unit/test_compress_masks.py", "tests/unit/test_compress_admm.py")

# (file, what stands there, what it becomes, tests that must notice)
MUTANTS = [
    (
        "attack/membership/lira.py",
        "- _log_density(phi, *out)",
        "+ _log_density(phi, *out)",
        (ATTACKS,),
    ),
    ("attack/membership/lira.py", "-0.5 * (", "-1.0 * (", (ATTACKS,)),
    (
        "attack/membership/lira.py",
        "(moments.count - 1 + self.weight)",
        "(moments.count + self.weight)",
        (ATTACKS,),
    ),
    (
        "attack/membership/lira.py",
        "moments.squares / np.maximum(moments.count - 1, 1)",
        "moments.squares / np.maximum(moments.count, 1)",
        (ATTACKS,),
    ),
    ("attack/membership/lira.py", "(phi - out[0].centre)", "(out[0].centre - phi)", (ATTACKS,)),
    ("attack/membership/rmia.py", 'else "right"', 'else "left"', (ATTACKS,)),
    ("attack/membership/rmia.py", "np.log1p(self.a)", "np.log1p(-self.a / 2)", (ATTACKS,)),
    (
        "attack/membership/rmia.py",
        "ratio_x - np.log(self.gamma)",
        "ratio_x + np.log(self.gamma)",
        (ATTACKS,),
    ),
    (
        "attack/membership/blocks.py",
        "away.sum(axis=0) / n",
        "away.sum(axis=0) / len(values)",
        (ATTACKS,),
    ),
    (
        "attack/membership/references.py",
        "gain = true / len(members) - false",
        "gain = true / len(members) + false",
        (ATTACKS,),
    ),
    (
        "attack/membership/thresholds.py",
        "sign: ClassVar[float] = -1.0",
        "sign: ClassVar[float] = 1.0",
        (ATTACKS,),
    ),
    ("measure/roc.py", "(roc.tpr[1:] + roc.tpr[:-1]) / 2", "roc.tpr[1:]", (MEASURE,)),
    ("measure/roc.py", "s[1:] != s[:-1]", "s[1:] <= s[:-1]", (MEASURE,)),
    ("measure/weighted.py", "others[self.tied]) / 2", "others[self.tied])", (MEASURE,)),
    ("measure/weighted.py", "_running(others) - others", "_running(others)", (MEASURE,)),
    ("measure/weighted.py", "before + others, before", "before, before", (RESAMPLING,)),
    ("measure/weighted.py", "_SLACK = 1e-12", "_SLACK = -1e-12", (RESAMPLING,)),
    ("measure/weighted.py", "padded[1:] +=", "padded[1:] -=", (RESAMPLING,)),
    ("measure/targets.py", "columns=column[where]", "columns=column[: where.sum()]", (RESAMPLING,)),
    ("measure/interval.py", "targets * rng.chisquare", "rng.chisquare", (RESAMPLING,)),
    ("measure/interval.py", "freedom = targets - 1", "freedom = targets", (RESAMPLING,)),
    ("measure/roc.py", 'roc.fpr[at], side="left"', 'roc.fpr[at], side="right"', (RESAMPLING,)),
    ("measure/precision.py", "(1 - prior) * np", "prior * np", (PRECISION,)),
    ("measure/precision.py", "rates[:, 1] / fpr)", "rates[:, 1])", (PRECISION,)),
    ("measure/groups.py", "1 - 0.05 / groups", "0.95", (PRECISION,)),
    ("measure/exposure.py", "reported=second.balanced", "reported=first.balanced", (EXPOSURE,)),
    ("measure/exposure.py", "_row(second, top", "_row(first, top", (EXPOSURE,)),
    ("measure/exposure.py", "((up - down) / 2)", "((up + down) / 2)", (EXPOSURE,)),
    ("measure/power.py", "q1, q2 = auc / (2 - auc)", "q1, q2 = auc / (1 + auc)", (POWER,)),
    ("measure/power.py", "* (1 - (correlation or 0.0))", "", (POWER,)),
    ("measure/half_widths.py", "slope**2 * fpr", "slope * fpr", (POWER,)),
    ("measure/agreement.py", "- size / 2", "- size", (AGREEMENT,)),
    ("measure/agreement.py", "a + b - a * b", "a + b", (AGREEMENT,)),
    ("measure/agreement.py", "ends.low - rate.lower", "ends.low", (AGREEMENT,)),
    ("measure/found.py", "fpr * counted[:, -1:]", "fpr * counted[:, :1]", (AGREEMENT,)),
    ("measure/found.py", "others[let_in - 1]", "others[let_in - 2]", (AGREEMENT,)),
    ("measure/exposure.py", "2 * fewer / len(self.said)", "2 * fewer", (EXPOSURE,)),
    ("measure/widen.py", "max(trials.min(), len(trials))", "trials.min()", (EXPOSURE,)),
    ("measure/half_widths.py", "both / chi_scale(freedom)", "both", (POWER,)),
    ("measure/differences.py", "- max(0.0, taller)", "- max(0.0, -taller)", (MEASURE,)),
    (
        "measure/groups.py",
        "resolved_fpr(non_member_units(part, membership), fpr)",
        "fpr",
        (GROUPS,),
    ),
    (
        "measure/groups.py",
        'told["confidence"] = _confidence_of_one(enough)',
        'told["confidence"] = 0.95',
        (GROUPS,),
    ),
    (
        "measure/groups.py",
        '"confidence": _confidence_of_one(enough)',
        '"confidence": 0.95',
        (GROUPS,),
    ),
    (
        "measure/roc.py",
        "roc.fpr, fpr + 1e-12",
        "roc.fpr, fpr - 1e-12",
        (MEASURE,),
    ),
    ("measure/interval.py", "values.std(ddof=1)", "values.std(ddof=0)", (MEASURE,)),
    ("measure/interval.py", "0.5 + confidence / 2", "confidence", (MEASURE,)),
    ("measure/interval.py", "n - hits + 1)", "n - hits)", (MEASURE,)),
    (
        "measure/interval.py",
        "return t_interval(a - b, confidence)",
        "return t_interval(b - a, confidence)",
        (MEASURE,),
    ),
    ("measure/utility.py", "0.5 + (train - outside) / 2", "0.5 + (train - outside)", (MEASURE,)),
    ("measure/tails.py", "binom.sf(correct - 1,", "binom.sf(correct,", (EPSILON,)),
    ("measure/tails.py", "beta + 2 * canaries * delta", "beta + canaries * delta", (EPSILON,)),
    ("measure/tails.py", "np.max(below / steps)", "np.max(below)", (EPSILON,)),
    ("measure/tails.py", "tail = (1 - confidence) / 2", "tail = 1 - confidence", (EPSILON,)),
    ("measure/tails.py", "1 - fnr - delta", "1 - fnr + delta", (EPSILON,)),
    ("measure/tails.py", "i / (guesses - i)", "(i + 1) / (guesses - i)", (EPSILON,)),
    ("measure/tails.py", "1 - delta - up * (1 - y)", "1 - up * (1 - y)", (EPSILON,)),
    ("measure/gaussian.py", "-mu / 2 - epsilon / mu", "mu / 2 - epsilon / mu", (EPSILON,)),
    ("measure/gaussian.py", "np.sqrt(2) * special", "special", (EPSILON,)),
    ("measure/trials.py", "np.argsort(-mean", "np.argsort(mean", (EPSILON,)),
    ("measure/trials.py", "(~coins[len(coins) - last :])", "(~coins[:last])", (EPSILON,)),
    ("measure/trials.py", "weights=target.scores) / counts", "weights=target.scores)", (EPSILON,)),
    ("measure/epsilon.py", "(1 - confidence) / len(rules)", "(1 - confidence)", (EPSILON,)),
    ("measure/epsilon.py", "[:, record] >= at", "[:, record] > at + 1", (EPSILON,)),
    ("measure/roc.py", "lowest_resolvable_fpr(non_member_units) or", "", (CANARIES,)),
    ("measure/information.py", "middle = (p + q) / 2", "middle = p + q", (INFORMATION,)),
    ("measure/information.py", "LEAST_GAIN + 2 * jensen", "LEAST_GAIN + jensen", (INFORMATION,)),
    ("measure/information_rows.py", "(v - LEAST_GAIN) / 2", "(v - LEAST_GAIN)", (INFORMATION,)),
    ("measure/information_rows.py", "(where != f)", "(where == f)", (INFORMATION,)),
    ("measure/information_rows.py", "- times * (value", "- (value", (INFORMATION,)),
    ("measure/information_rows.py", ".sum()) / 8", ".sum()) / 4", (INFORMATION,)),
    ("data/canaries.py", "labels[rows] = labels[originals]", "pass", (CANARIES,)),
    ("data/planting.py", "rng.integers(1, classes", "rng.integers(0, classes", (CANARIES,)),
    (
        "compress/admm.py",
        'now.params[name] - state[f"Z/',
        'now.params[name] + state[f"Z/',
        COMPRESS,
    ),
    ("compress/admm.py", "+ w[name] - z[name] for", "- w[name] + z[name] for", COMPRESS),
    ("measure/widen.py", "* (z / t) ** 2 - effective", "- effective", (LIMITS,)),
    ("measure/widen.py", "min(count, variance / spread**2)", "variance / spread**2", (LIMITS,)),
    ("measure/widen.py", "return min(0.01,", "return max(0.01,", (LIMITS,)),
    ("measure/widen.py", "if shown >= 1 and not equal", "if shown >= 1", (WIDEN,)),
    ("measure/widen.py", "FEWEST_EVENTS = 10", "FEWEST_EVENTS = 2", (WIDEN,)),
    ("measure/widen.py", "2 * fewer", "fewer", (WIDEN,)),
    ("measure/widen.py", "alarms.high - fpr)) / 2", "alarms.high - fpr))", (WIDEN,)),
    ("measure/leave_one_out.py", "UNLIKELY = -4.0", "UNLIKELY = -40.0", (LIMITS,)),
    (
        "measure/controls.py",
        "slack = 0.5 * (row.high - row.low)",
        "slack = 5 * (row.high - row.low)",
        (LIMITS,),
    ),
    ("measure/leave_one_out.py", "< FEWEST_MODELS or biased", "< FEWEST_MODELS", (LIMITS,)),
    ("measure/leave_one_out.py", "told, told < 0", "told, told > 0", (MEASURE,)),
    ("measure/controls.py", "shift / np.sqrt(2)", "2 * shift", (LIMITS,)),
    ("measure/differences.py", "paired_difference(x, y)", "paired_difference(y, x)", (MEASURE,)),
    ("measure/differences.py", "if all(notes):", "if any(notes):", (WIDEN,)),
    ("measure/differences.py", "x.mean() - first.low", "x.mean() - first.high", (WIDEN,)),
    ("measure/inputs.py", "low - slack > 0.5", "low > 0.5", (LIMITS,)),
    ("measure/inputs.py", "fold != held, fold == held", "fold >= 0, fold == held", (MEASURE,)),
    ("measure/inputs.py", "first[which] != last", "first[which] == last", (MEASURE,)),
    ("measure/inputs.py", "(units[who] != units)", "(units[who] == units)", (MEASURE,)),
    ("measure/series.py", "grid + 1e-12", "grid - 1e-12", (LIMITS,)),
    ("measure/series.py", "low - (top - bottom)", "low + (top - bottom)", (LIMITS,)),
    ("measure/series.py", "(members, ~members)", "(~members, members)", (LIMITS,)),
    ("attack/membership/blocks.py", "sums[1] -= sums[0]", "sums[1] += sums[0]", (ATTACKS,)),
    ("attack/membership/blocks.py", "centre += shift", "centre -= shift", (ATTACKS,)),
    ("attack/membership/blocks.py", "(second < CANCELLED", "(second > CANCELLED", (ATTACKS,)),
    ("attack/membership/blocks.py", "block -= mask  #", "block += mask  #", (ATTACKS,)),
    ("attack/membership/bavaria.py", "kappa0 * mu0 + n", "kappa0 * mu0 - n", (FEW,)),
    ("attack/membership/bavaria.py", "2 * self.alpha)", "self.alpha)", (FEW,)),
    ("attack/membership/bavaria.py", "(self.kappa + 1)", "self.kappa", (FEW,)),
    ("attack/membership/bavaria.py", "gammaln(alpha) + 0.5", "gammaln(alpha) - 0.5", (FEW,)),
    ("attack/membership/hierarchical.py", "b = -slope / tau", "b = slope / tau", (FEW,)),
    ("attack/membership/hierarchical.py", "v_out + c_out", "v_out", (FEW,)),
    ("attack/membership/hierarchical.py", "q - slope * at", "q + slope * at", (FEW,)),
    ("attack/membership/shrinkage.py", "(j - 1) / scale", "(j - 1) * scale", (FEW,)),
    ("attack/membership/shrinkage.py", "- digamma(half)", "+ digamma(half)", (FEW,)),
    ("attack/membership/vectors.py", "(1 - shrink) * pooled", "pooled", (FEW,)),
    (
        "attack/membership/vectors.py",
        "+ covariance[:, width:, width:]",
        "+ covariance[:, :width, :width]",
        (FEW,),
    ),
    ("attack/membership/attack_r.py", "0.5 * (away == 0)", "1.0 * (away == 0)", (SIMPLE,)),
    ("attack/membership/attack_r.py", "count**-0.2", "count**0.2", (SIMPLE,)),
    ("attack/membership/references.py", "- out.centre", "+ out.centre", (SIMPLE,)),
    ("attack/membership/quantile_regression.py", "1 - self.fpr).fit", "self.fpr).fit", (SIMPLE,)),
    ("attack/membership/quantile_regression.py", "left**2 / scale", "left**2 * scale", (SIMPLE,)),
    (
        "attack/membership/quantile_regression.py",
        "slice(1 - fold, None, 2), slice",
        "slice(fold, None, 2), slice",
        (SIMPLE,),
    ),
]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m[0]}: {m[1][:40]}")
def test_a_mutant_is_noticed(mutant, tmp_path):
    file, old, new, tests = mutant
    shutil.copytree(ROOT / "src" / "secateur", tmp_path / "secateur")
    target = tmp_path / "secateur" / file
    text = target.read_text(encoding="utf-8")
    if old not in text:
        pytest.fail(f"{file} no longer holds {old!r}: write the mutant anew")
    target.write_text(text.replace(old, new), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, f"no test noticed:\n{run.stdout[-2000:]}"

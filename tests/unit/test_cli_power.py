"""`secateur power`: the measures' numbers, from options or from a pilot, and no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from command_line import secateur
from report_fixture import made_report
from secateur import store
from secateur.errors import InputError
from secateur.measure import (
    AuditSize,
    auc,
    auc_half_width,
    auc_sd,
    between_sd_of,
    detectable_difference,
    t_interval,
    targets_needed,
    tpr_half_width,
)
from secateur.types import Measurement, Membership, Scores

SIZE = ("--targets", "8", "--members", "1000", "--non-members", "1200", "--between-sd", "0.01")


def auc_row(values, *, members=500, non_members=400, **more):
    mean, low, high = t_interval(np.array(values))
    counts = {"targets": len(values), "members": members, "non_members": non_members}
    fields = {"interval": "t over targets", "counts": counts, "low": low, "high": high, **more}
    return Measurement(
        subject="dense", risk="membership", method="m", metric="auc", value=mean, **fields
    )


def test_what_is_printed_is_what_the_measures_say():
    done = secateur("power", *SIZE, "--auc", "0.7", "--correlation", "0.3", "--difference", "0.015")
    assert (done.code, done.err) == (0, "")
    size = AuditSize(targets=8, members=1000, non_members=1200, between_sd=0.01)
    lines = done.out.splitlines()
    for shared, name in ((0.3, "paired, correlation 0.3"), (None, "unpaired")):
        least = detectable_difference(size, auc=0.7, correlation=shared)
        needed = targets_needed(0.015, size, auc=0.7, correlation=shared)
        assert f"smallest difference of AUCs found in 4 of 5 audits, {name}: {least:.3f}" in lines
        assert f"targets that find a difference of 0.015, {name}: {needed}" in lines
    assert f"half-width of the AUC: {auc_half_width(size, auc=0.7):.3f}" in lines
    assert "lowest resolvable FPR: 1 % (10 false positives over all targets)" in lines
    # mu = 0.7416 for an AUC of 0.7, and Phi(0.7416 - 2.3263) = 0.0565
    width = tpr_half_width(size, tpr=0.0565, fpr=0.01)
    wanted = f"half-width of the TPR at 1 % FPR: {width:.3f} (around 0.0565, by a Gaussian ROC"
    assert any(line.startswith(wanted) for line in lines)


def test_without_a_spread_the_numbers_are_called_an_optimists():
    done = secateur("power", *SIZE[:-2])
    assert done.code == 0
    assert "spread between targets 0\nnote: " in done.out and "optimist" in done.out


def test_what_a_size_does_not_give_is_said():
    done = secateur("power", "--targets", "1", "--members", "50", "--non-members", "50")
    assert done.code == 0
    assert "lowest resolvable FPR: none listed" in done.out
    size = AuditSize(targets=1, members=50, non_members=50, between_sd=0.0)
    assert "intervals: unit bootstrap" in done.out
    assert f"half-width of the AUC: {1.959964 * auc_sd(0.6, 50, 50):.3f}\n" in done.out
    assert f"half-width of the AUC: {auc_half_width(size, auc=0.6):.3f}\n" in done.out
    assert "none: at an FPR of 0.01 0.5 false positives (units) are expected" in done.out
    assert "no listed FPR is resolvable" in done.out and "None" not in done.out
    assert "paired, correlation 0.5: none: a difference over targets needs at least 2" in done.out


def test_the_spread_read_off_an_interval_is_that_of_the_targets():
    values = np.array([0.55, 0.6, 0.62, 0.66, 0.7, 0.71, 0.58, 0.64])
    records = auc_sd(values.mean(), 500, 400)
    wanted = np.sqrt(values.var(ddof=1) - records**2)
    assert between_sd_of(auc_row(values)) == pytest.approx(wanted)


def test_where_records_explain_the_spread_it_is_zero_and_clipped_ends_do_not_narrow_it():
    values = np.full(8, 0.6) + np.tile([1e-4, -1e-4], 4)
    assert between_sd_of(auc_row(values)) == 0
    wide = np.array([0.8, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99, 0.99])
    whole = auc_row(wide)
    assert whole.high > 1
    assert between_sd_of(auc_row(wide, high=1.0)) == pytest.approx(between_sd_of(whole))


@pytest.mark.parametrize(
    "changes",
    [
        {"interval": "two-way bootstrap"},
        {"counts": {"targets": 8.0}},
        {"versus": "other"},
        {"low": None},
    ],
)
def test_another_row_gives_no_spread(changes):
    with pytest.raises(InputError, match="read off an AUC with a t interval"):
        between_sd_of(auc_row([0.6] * 8, **changes))


def test_a_pilot_says_spread_auc_and_counts_and_options_go_before_it(tmp_path):
    store.write_report(tmp_path / "r.json", made_report())
    done = secateur("power", "--pilot", tmp_path / "r.json", "--targets", "16")
    assert done.code == 0, done.err
    row = next(r for r in made_report().rows if r.metric == "auc")
    spread = between_sd_of(row)
    assert done.out.startswith("audit: 16 targets, each with 30 members and 30 non-members\n")
    assert f"assumed: AUC 0.7, spread between targets {spread:.3g} (from r.json: dense" in done.out
    again = secateur("power", "--pilot", tmp_path / "r.json", "--auc", "0.8", "--members", "99")
    assert again.out.startswith("audit: 8 targets, each with 99 members and 30 non-members\n")
    assert "assumed: AUC 0.8," in again.out


def test_a_strong_pilot_is_told_that_its_interval_was_widened_and_what_to_say_instead(tmp_path):
    inside = np.arange(200)[None] % 2 == np.zeros((8, 1))
    who = Membership(
        inside=inside,
        roles=("target",) * 8,
        pools={"audit": np.arange(200)},
        units=np.arange(200),
        seed=0,
    )
    sure = Scores(values=10.0 * inside, evaluated=inside | True)
    row = auc(sure, who, subject="dense", method="m")
    with pytest.raises(InputError) as raised:
        between_sd_of(row)
    told = str(raised.value)
    assert "widened to the Clopper-Pearson interval of 100 trials, so its width is not" in told
    assert "(--between-sd)" in told and "audit more targets" not in told
    rows = tuple(
        replace(row, method=r.method) if r.metric == "auc" else r for r in made_report().rows
    )
    store.write_report(tmp_path / "r.json", replace(made_report(), rows=rows))
    options = ("power", "--pilot", tmp_path / "r.json", "--auc", "0.9")
    assert secateur(*options).code == 2
    done = secateur(*options, "--between-sd", "0.01")
    assert done.code == 0, done.err
    assert done.out.startswith("audit: 8 targets, each with 100 members and 100 non-members\n")
    assert "spread between targets 0.01 (from r.json" in done.out
    assert "; the spread is as given)" in done.out and "note:" not in done.out


def test_no_torch_is_loaded():
    code = (
        "import sys\nfrom secateur.cli import main\n"
        f"try:\n    main(['power', *{SIZE!r}])\nexcept SystemExit as stop:\n"
        "    assert not stop.code\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "half-width" in done.stdout

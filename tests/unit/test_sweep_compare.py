"""Cases beside rivals at equal accuracy: which setting stands for a rival, and what is paired."""

from __future__ import annotations

import html
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from test_gate import with_two_strongest

from command_line import secateur
from report_fixture import PRUNED
from secateur.errors import InputError
from secateur.report.sweep_matched import MATCHED_HEADERS, matched_table
from secateur.report.sweep_page import render_sweep_page
from secateur.report.sweep_table import render_sweep
from secateur.sweeping.compare import comparisons
from secateur.sweeping.points import _differences
from secateur.sweeping.reading import read_plan
from secateur.types import Measurement, Point, Sweep


def point(case, method, *, accuracy, leak, references, seeds=0, tpr=None):
    rows = {
        "test accuracy": row("test accuracy", float(np.mean(accuracy)), seeds),
        "leak": row("auc", float(np.mean(leak)), seeds),
    }
    units = {"test_accuracy": accuracy, "leak": leak, "reference_accuracy": references}
    if tpr is not None:
        units["tpr"] = tpr
    return Point(
        case=case,
        method=method,
        seed=None,
        steps=(),
        axes={},
        rows=rows,
        units={k: tuple(v) for k, v in units.items()},
    )


def row(metric, value, seeds):
    return Measurement(
        subject="x",
        risk="membership",
        method="LiRA()",
        metric=metric,
        value=value,
        counts={"seeds": float(seeds)} if seeds else {},
    )


OWN = point("own", "cross-fit", accuracy=[0.7, 0.72], leak=[0.6, 0.62], references=[0.71])
NEAR = point("dp noise=1", "dp", accuracy=[0.5, 0.5], leak=[0.8, 0.7], references=[0.70])
FAR = point("dp noise=2", "dp", accuracy=[0.7, 0.72], leak=[0.5, 0.5], references=[0.60])


def test_the_setting_is_chosen_on_references_and_not_on_targets():
    (found,) = comparisons([OWN, NEAR, FAR], ["cross-fit"])
    assert (found.case, found.rival, found.method) == ("own", "dp noise=1", "dp")


def test_differences_are_paired_with_t_intervals():
    (found,) = comparisons([OWN, NEAR], ["cross-fit"])
    own, other = np.array([0.6, 0.62]), np.array([0.8, 0.7])
    expected = stats.ttest_rel(own, other).confidence_interval(0.95)
    leak = found.rows["leak"]
    assert leak.value == pytest.approx((own - other).mean())
    assert (leak.low, leak.high) == pytest.approx((expected.low, expected.high))
    assert leak.interval == "t over targets"
    assert leak.counts == {"targets": 2.0}
    assert found.rows["tpr"].status == "not run"


def with_row(made, name, **fields):
    """The point with other fields in one of its rows."""
    return replace(made, rows={**made.rows, name: replace(made.rows[name], **fields)})


def test_where_both_rows_are_widened_so_is_the_difference():
    wide = {"low": 0.3, "high": 0.9, "interval": "t over targets, widened"}
    bare = comparisons([OWN, NEAR], ["cross-fit"])[0].rows["leak"]
    one = comparisons([with_row(OWN, "leak", **wide), NEAR], ["cross-fit"])[0].rows["leak"]
    assert one == bare
    both = [with_row(p, "leak", **wide) for p in (OWN, NEAR)]
    leak = comparisons(both, ["cross-fit"])[0].rows["leak"]
    assert leak.interval == "t over targets, widened"
    # 0.61 in [0.3, 0.9] minus 0.75 in the same, as if unpaired
    assert leak.low == pytest.approx(min(bare.low, -0.14 - np.hypot(0.31, 0.15)))
    assert leak.high == pytest.approx(max(bare.high, -0.14 + np.hypot(0.29, 0.45)))


def test_the_difference_of_two_tprs_reaches_over_both_steps():
    pair = [
        point(
            "own", "m", accuracy=[0.7] * 3, leak=[0.6] * 3, references=[0.7], tpr=[0.2, 0.3, 0.25]
        ),
        point("b", "r", accuracy=[0.7] * 3, leak=[0.6] * 3, references=[0.7], tpr=[0.5, 0.4, 0.45]),
    ]
    bare = comparisons(pair, ["m"])[0].rows["tpr"]
    stepped = []
    for made, step in zip(pair, (0.02, 0.03), strict=True):
        low, high = stats.t.interval(
            0.95, 2, np.mean(made.units["tpr"]), stats.sem(made.units["tpr"])
        )
        ends = {"low": low - step, "high": high, "interval": "t over targets"}
        told = row("tpr at 1% fpr", float(np.mean(made.units["tpr"])), 0)
        stepped.append(with_row(replace(made, rows={**made.rows, "tpr": told}), "tpr", **ends))
    tpr = comparisons(stepped, ["m"])[0].rows["tpr"]
    assert tpr.low == pytest.approx(bare.low - 0.02)
    assert tpr.high == pytest.approx(bare.high + 0.03)


def test_over_seeds_the_units_are_seeds():
    a = point("own", "m", accuracy=[0.7] * 3, leak=[0.6, 0.5, 0.7], references=[0.7], seeds=3)
    b = point("b", "r", accuracy=[0.7] * 3, leak=[0.7, 0.7, 0.7], references=[0.7], seeds=3)
    (found,) = comparisons([a, b], ["m"])
    assert found.rows["leak"].interval == "t over seeds"
    assert found.rows["leak"].counts == {"seeds": 3.0}


def test_methods_that_are_compared_are_no_rivals_of_each_other():
    other = point("b", "mine", accuracy=[0.7, 0.7], leak=[0.6, 0.6], references=[0.7])
    found = comparisons([OWN, other, NEAR], ["cross-fit", "mine"])
    assert [(c.case, c.rival) for c in found] == [("own", "dp noise=1"), ("b", "dp noise=1")]


def test_one_target_gives_a_difference_without_interval_and_unknown_ones_a_reason():
    a = point("own", "m", accuracy=[0.7], leak=[0.6], references=[0.7])
    b = point("b", "r", accuracy=[0.6], leak=[0.7], references=[0.7])
    (found,) = comparisons([a, b], ["m"])
    assert found.rows["leak"].value == pytest.approx(-0.1)
    assert found.rows["leak"].low is None
    short = point("b", "r", accuracy=[0.6], leak=[0.7, 0.7], references=[0.7])
    (found,) = comparisons([a, short], ["m"])
    assert found.rows["leak"].value is None
    assert "nothing to pair" in found.rows["leak"].why


def test_without_references_nothing_is_matched():
    alone = point("own", "m", accuracy=[0.7], leak=[0.6], references=[])
    assert comparisons([alone, NEAR], ["m"]) == ()


def test_a_sweep_with_comparisons_survives_json_and_shows_them():
    sweep = Sweep(
        title="t", points=(OWN, NEAR), comparisons=comparisons([OWN, NEAR], ["cross-fit"])
    )
    assert Sweep.from_dict(sweep.to_dict()) == sweep
    (shown,) = matched_table(sweep)
    assert tuple(shown) == MATCHED_HEADERS
    assert shown["test acc. diff., points"].startswith("21.0 [")
    assert shown["AUC diff."].startswith("-0.140 [")
    assert "dp noise=1" in render_sweep(sweep, width=200)
    assert "Beside rivals at equal accuracy" in render_sweep_page(sweep)


@pytest.mark.parametrize("paired", [True, False])
def test_words_beside_the_dense_model_are_those_of_two_attacks(paired):
    report = with_two_strongest()  # RMIA on the dense models, LiRA on the case
    report = report if paired else replace(report, series=())
    row = _differences(report, PRUNED)["leak - dense"]
    assert row.value == pytest.approx(-0.095 if paired else -0.2)
    assert ("by LiRA" in row.why and "dense by RMIA" in row.why) is paired
    case = replace(OWN, rows={**OWN.rows, "leak - dense": row})
    said = " ".join(render_sweep(Sweep(title="t", points=(case,))).split())
    page = html.unescape(render_sweep_page(Sweep(title="t", points=(case,))))
    own = "paired, each side by the attack that was its strongest on references"
    for text in (said, page, " ".join(secateur("sweep", "--help").out.split())):
        assert own in text
        assert "(both by the case's, where two cannot be paired)" in text
        assert "the strongest on the case" not in text
    assert "first kept epoch that is no less accurate" in page


def test_a_sweep_without_them_has_the_json_it_had():
    assert "comparisons" not in Sweep(title="t", points=(OWN,)).to_dict()


def test_compare_names_methods_of_the_file():
    text = 'compare = ["{}"]\n[[method]]\nname = "admm"\nsteps = ["ADMM()"]'
    assert read_plan(text.format("admm")).compare == ("admm",)
    with pytest.raises(InputError, match="did you mean 'admm'"):
        read_plan(text.format("adm"))

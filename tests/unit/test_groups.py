"""Risk by group: every group by itself, small ones named and not measured."""

from __future__ import annotations

import numpy as np
import pytest

from command_line import secateur, train
from secateur import Records, Scores, audit, by_group, draw, read_report
from secateur.attack.membership import LossThreshold
from secateur.errors import InputError
from secateur.measure import (
    accuracy_by_group,
    auc_value,
    clopper_pearson,
    column_of,
    t_interval,
)
from secateur.report import html
from secateur.report.table import group_table, render_text
from secateur.train import train_fleet
from small_world import small_membership, small_recipe, small_records

N = 400
ABOUT = ("dense", "LiRA()", "adaptive")


def world(targets=8):
    rng = np.random.default_rng(0)
    records = Records.from_arrays(rng.normal(size=(N, 3)), np.arange(N) % 2)
    who = draw(records, targets=targets, references=0, seed=1, pools={"audit": N})
    return rng, records, who


def scores_of(who, leak):
    """Return scores that are larger for members by `leak[record]`."""
    noise = np.random.default_rng(5).normal(size=(len(who), N))
    evaluated = np.ones((len(who), N), dtype=np.bool_)
    return Scores(values=noise + leak * who.inside, evaluated=evaluated)


def test_a_leak_of_one_group_is_seen_in_that_group_alone():
    _, _, who = world()
    column = np.where(np.arange(N) < 200, "a", "b")
    scores = scores_of(who, np.where(column == "a", 3.0, 0.0))
    rows = {(r.group, r.metric): r for r in by_group(scores, who, column, name="ward", about=ABOUT)}
    assert list(rows) == [
        *(("ward=a", m) for m in ("auc", "tpr at 5% fpr")),
        *(("ward=b", m) for m in ("auc", "tpr at 5% fpr")),
    ]
    leaky, quiet = rows["ward=a", "auc"], rows["ward=b", "auc"]
    assert leaky.value > 0.95 and quiet.low < 0.5 < quiet.high
    own = column == "a"
    found = np.array([auc_value(scores.values[i, own], who.inside[i, own]) for i in range(8)])
    expected = np.mean(found)
    assert leaky.value == pytest.approx(expected)
    # of two groups each interval is one of 97.5 %, so that both hold at 95 %
    assert (leaky.value, leaky.low) == pytest.approx(t_interval(found, 1 - 0.05 / 2)[:2])
    assert leaky.interval == "t over targets" and leaky.counts["targets"] == 8


def test_a_group_below_the_least_number_is_named_with_its_counts_and_not_measured():
    _, _, who = world()
    column = np.where(np.arange(N) < 30, "few", "many")
    rows = by_group(scores_of(who, 1.0), who, column, name="g", about=ABOUT)
    few = [r for r in rows if r.group == "g=few"]
    assert [r.status for r in few] == ["not resolvable"] * 2
    least = who.inside[:, :30].sum(axis=1).min()
    assert few[0].counts["members"] == least
    assert f"as few as {least} members" in few[0].why and "20 of each are needed" in few[0].why
    kept = by_group(scores_of(who, 1.0), who, column, name="g", about=ABOUT, fewest=5)
    assert kept[0].status == "measured"


def test_accuracy_by_group_reads_the_utility_pool_alone():
    records = Records.from_arrays(np.eye(90), np.arange(90) % 2)
    who = draw(records, targets=2, references=0, seed=0, pools={"audit": 20, "utility": 70})
    column = np.where(np.arange(90) % 3 == 0, "x", "y")
    correct = np.zeros((2, 90))
    correct[:, column == "x"] = 1
    correct[:, who.pools["audit"]] = np.nan
    rows = accuracy_by_group(correct, who, column, name="g", subject="dense")
    assert [(r.group, r.value, r.metric) for r in rows] == [
        ("g=x", 1.0, "test accuracy"),
        ("g=y", 0.0, "test accuracy"),
    ]
    few = accuracy_by_group(correct, who, column, name="g", subject="dense", fewest=69)
    assert {r.status for r in few} == {"not resolvable"}


def test_a_column_that_is_not_there_or_useless_is_refused():
    rng, records, who = world()
    with pytest.raises(InputError, match="no column 'sex' to group by; there are class"):
        column_of(records, "sex")
    assert column_of(records, "class").tolist() == records.labels.tolist()
    groups = {"many": np.arange(N), "odd": np.where(np.arange(N) == 3, np.nan, 1.0)}
    given = Records.from_arrays(rng.normal(size=(N, 2)), records.labels, groups=groups)
    with pytest.raises(InputError, match="'many' has 400 different values, at most 200"):
        column_of(given, "many")
    with pytest.raises(InputError, match="'odd' has 1 values that are NaN"):
        column_of(given, "odd")
    with pytest.raises(InputError, match=r"needs one value for each of 400 records, got .*\(3,\)"):
        by_group(scores_of(who, 0.0), who, np.zeros(3), name="g", about=ABOUT)


def test_an_audit_with_groups_reports_them_beside_everyone():
    records = small_records(400)
    records = Records.from_arrays(
        records.gather(np.arange(400)),
        records.labels,
        groups={"ward": np.where(np.arange(400) < 390, "<b>large</b>", "small")},
    )
    who = small_membership(records)
    fleet = train_fleet(small_recipe(epochs=1), records, who, seed=0, engine="serial")
    attacks = [LossThreshold(class_wise=False)]
    report = audit(fleet, records, attacks=attacks, groups=["ward", "class"])
    alone = audit(fleet, records, attacks=attacks)
    assert [r for r in report.rows if r.group == "all"] == list(alone.rows)
    table = group_table(report)
    assert {line["group"] for line in table} >= {"ward=<b>large</b>", "class=0"}
    small = next(line for line in table if line["group"] == "ward=small")
    assert small["AUC"] == "not resolvable" and "of each are needed" in small["note"]
    page = html.render(report)
    heading = '<h2 id="groups">By group</h2>'
    assert heading in page and "<b>large" not in page and "&lt;b&gt;large" in page
    assert heading not in html.render(alone)
    assert "By group" in render_text(report)


def test_the_command_line_groups_by_class_and_refuses_an_unknown_column(tmp_path):
    assert train(tmp_path / "dense").code == 0
    options = ("--attack", "LossThreshold", "--workers", "1", "--out", tmp_path / "r.json")
    done = secateur("audit", tmp_path / "dense", "--group", "class", *options)
    assert done.code == 0, done.err
    assert {r.group for r in read_report(tmp_path / "r.json").rows} > {"all", "class=0"}
    bad = secateur("audit", tmp_path / "dense", "--group", "sex", *options)
    assert (bad.code, "no column 'sex'" in bad.err) == (2, True)


@pytest.mark.parametrize(("size", "metric"), [(30, "10%"), (60, "5%"), (300, "1%")])
def test_the_tpr_of_a_group_is_given_at_the_lowest_fpr_that_its_non_members_resolve(size, metric):
    _, _, who = world()
    column = np.where(np.arange(N) < size, "a", "b")
    scores = scores_of(who, 1.0)
    row = by_group(scores, who, column, name="g", about=ABOUT, fewest=5)[1]
    assert (row.metric, row.status) == (f"tpr at {metric} fpr", "measured")
    assert row.counts["expected_false_positive_units"] >= 10
    lower = by_group(scores, who, column, name="g", about=ABOUT, fewest=5, fpr=0.001)[1]
    assert lower == row  # no lower one is resolved


def test_a_group_that_resolves_no_fpr_says_so():
    _, _, who = world(targets=1)
    column = np.where(np.arange(N) < 60, "a", "b")
    row = by_group(scores_of(who, 1.0), who, column, name="g", about=ABOUT)[1]
    assert (row.metric, row.status) == ("tpr at 1% fpr", "not resolvable")
    assert "no listed FPR is resolvable" in row.why


def test_accuracies_of_several_groups_hold_together():
    records = Records.from_arrays(np.eye(300), np.arange(300) % 2)
    who = draw(records, targets=8, references=0, seed=0, pools={"audit": 40, "utility": 240})
    rng = np.random.default_rng(0)
    correct = (rng.random((8, 300)) < 0.7).astype(float)
    four = np.arange(300) % 4
    rows = accuracy_by_group(correct, who, four, name="g", subject="dense")
    pool = who.pools["utility"]
    for row, value in zip(rows, range(4), strict=True):
        own = correct[:, pool[four[pool] == value]].mean(axis=1)
        mean, low, high = t_interval(own, 1 - 0.05 / 4)
        assert (row.value, row.low, row.high) == pytest.approx((mean, low, high))
        assert (row.confidence, row.counts["groups"]) == (0.95, 4)
        assert "95 % for all 4 groups of this column together" in row.why
    perfect = accuracy_by_group(np.ones((8, 300)), who, four, name="g", subject="dense")
    people = perfect[0].counts["records"]
    assert perfect[0].low == pytest.approx(clopper_pearson(int(people), int(people), 0.9875)[0])
    one = draw(records, targets=1, references=0, seed=0, pools={"audit": 40, "utility": 240})
    row = accuracy_by_group(correct[:1], one, four, name="g", subject="dense")[0]
    own = correct[0, one.pools["utility"]][four[one.pools["utility"]] == 0]
    assert (row.low, row.high) == clopper_pearson(int(own.sum()), len(own), 1 - 0.05 / 4)
    assert row.interval == "Clopper-Pearson" and "together" in row.why

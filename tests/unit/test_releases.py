"""Reports side by side: paired where they share a membership, no difference elsewhere."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import secateur as run
from report_fixture import HOSTILE, LIRA, PRUNED, RMIA, made_report
from secateur import store
from secateur.attack.membership import LiRA
from secateur.data import planted_world
from secateur.errors import MissingExtraError
from secateur.measure import auc, difference, per_target, tpr_at_fpr
from secateur.report.charts.releases import releases_chart
from secateur.report.lookup import find
from secateur.report.paired import paired
from secateur.report.releases import (
    DIFFERENCE_HEADERS,
    HEADERS,
    difference_table,
    lowest_tpr,
    notes,
    releases,
    releases_table,
    render_releases,
)
from secateur.report.releases_page import release_points, render_releases_page
from secateur.types import Measurement, Provenance, Report, Series

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"


def targets(report, subject, auc, *, test=None, tpr=None, fpr=0.05, method=LIRA):
    """The report with one number per target of a subject."""
    columns = {
        "target": tuple(map(float, range(len(auc)))),
        "train_accuracy": (1.0,) * len(auc),
        "test_accuracy": tuple(test or (0.9,) * len(auc)),
        "auc": tuple(auc),
    }
    if tpr is not None:
        columns |= {"tpr": tuple(tpr), "fpr": (fpr,) * len(auc)}
    more = Series(
        id=f"targets/{subject}", kind="targets", subject=subject, method=method, columns=columns
    )
    models = {"targets": len(auc), "references": 32}
    return replace(report, series=(*report.series, more), facts={**report.facts, "models": models})


def release(*, auc=(0.60, 0.70, 0.68), key=(), **more):
    """A report whose pruned models have these AUCs, target by target."""
    report = made_report(series=False)
    origin = {**report.provenance.key, **dict(key)}
    return targets(replace(report, provenance=Provenance(key=origin)), PRUNED, auc, **more)


def pair(new, old, metric="auc"):
    return paired((new, PRUNED), (old, PRUNED), metric)


@pytest.mark.parametrize("name", ["demo", "fashion-mnist", "location30"])
def test_a_difference_is_the_one_that_an_audit_of_both_measures(name):
    report = store.read_report(RESULTS / f"{name}.json")
    strongest = report.facts["strongest"]
    for subject in ("admm", "random"):
        assert strongest[subject] == strongest["dense"]
        own = find(report, subject, "auc", method=strongest[subject], versus="dense")
        row = paired((report, subject), (report, "dense"), "auc")
        assert (row.value, row.low, row.high) == pytest.approx((own.value, own.low, own.high))
        assert row.interval == own.interval


def test_the_second_is_measured_minus_the_first():
    row = pair(release(auc=(0.60, 0.70, 0.68)), release(auc=(0.70, 0.75, 0.80)))
    assert row.value == pytest.approx(np.mean([-0.10, -0.05, -0.12]))
    assert row.low < row.value < row.high < 0


def test_targets_are_paired_by_their_number_and_not_by_their_place():
    old, new = release(auc=(0.6, 0.7, 0.8)), release(auc=(0.61, 0.71, 0.81))
    (mixed,) = new.series
    order = [2, 0, 1]
    columns = {k: tuple(v[i] for i in order) for k, v in mixed.columns.items()}
    new = replace(new, series=(replace(mixed, columns=columns),))
    row = pair(new, old)
    assert (row.low, row.value, row.high) == pytest.approx((0.01, 0.01, 0.01))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"membership": "m1"}, "do not share their membership matrix (references were added, or"),
        ({"records": "r1"}, "about other records"),
    ],
)
def test_reports_of_other_memberships_or_records_show_no_difference(change, why):
    old, new = release(), release(key=change)
    row = pair(new, old)
    assert row.value is None and why in row.why
    named = {"a": old, "b": new}
    assert difference_table(named) == []
    assert why in notes(named)[0] and "is not tested" in notes(named)[0]
    assert "What changed" not in render_releases(named)


def test_two_single_models_are_not_paired_and_the_table_says_what_can_be():
    old, new = release(auc=(0.60,)), release(auc=(0.55,))
    row = pair(new, old)
    assert row.status == "not run"
    assert "one model each" in row.why and "secateur prune" in row.why
    told = {pair(new, old, metric).why for metric in ("test accuracy", "auc", "tpr")}
    assert told == {row.why}
    assert any(line["note"] == row.why for line in difference_table({"a": old, "b": new}))


def test_a_report_that_does_not_say_who_was_a_member_is_not_paired():
    bare = replace(release(), provenance=Provenance(key={}))
    assert "does not say who was a member" in pair(bare, release()).why
    assert "does not say who was a member" in pair(bare, bare).why


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (made_report(series=False), "holds no numbers of .* target by target; audit anew"),
        (release(method=RMIA), "holds no numbers of"),  # of an attack that is not the strongest
        (release(auc=(0.6, 0.7)), "2 and 3 targets: nothing to pair"),
        (
            replace(release(), facts={**release().facts, "models": {"targets": 900}}),
            "numbers of 3 of 900 targets are kept",
        ),
    ],
)
def test_what_cannot_be_paired_says_why(new, why):
    row = pair(new, release())
    assert row.value is None
    assert re.search(why, row.why), row.why


def test_one_target_makes_no_difference():
    one = release(auc=(0.6,))
    assert pair(one, one).value is None


def test_a_value_that_a_report_lacks_is_no_zero():
    gap = release(test=(0.9, None, 0.9))
    assert "holds no test accuracy" in pair(gap, release(), "test accuracy").why
    assert "holds no tpr" in pair(release(), release(), "tpr").why


def test_tprs_at_other_fprs_are_not_paired():
    found = {"tpr": (0.2, 0.3, 0.4)}
    row = pair(release(**found, fpr=0.05), release(**found, fpr=0.01), "tpr")
    assert row.value is None and "at FPRs of 0.05 here and 0.01 there" in row.why


def test_a_tpr_that_was_not_resolved_is_not_paired():
    found = release(tpr=(0.2, 0.3, 0.4), fpr=0.01)  # its row at 1 % is not resolvable
    row = pair(found, found, "tpr")
    assert row.value is None and "tpr at 1% fpr of" in row.why and "not resolvable" in row.why


def test_two_revisions_of_one_attack_are_not_taken_for_a_change_of_the_model():
    old = release(key={"revisions": {LIRA: 1}})
    row = pair(release(key={"revisions": {LIRA: 2}}), old)
    assert row.value is None and "revision 2 of LiRA online, shrunk here, 1 there" in row.why
    assert pair(release(key={"revisions": {LIRA: 1}}), old).value == 0
    assert pair(release(key={"revisions": {LIRA: 2}}), old, "test accuracy").value == 0


def attacked_by_rmia(**key):
    """A release on which RMIA was the strongest."""
    report = release(method=RMIA, key=key)
    strongest = {**report.facts["strongest"], PRUNED: RMIA}
    return replace(report, facts={**report.facts, "strongest": strongest})


def test_other_attacks_are_named_beside_their_difference():
    both = {"attacks": [LIRA, RMIA]}
    row = pair(attacked_by_rmia(**both), release(key=both))
    assert row.value == 0
    assert row.why.endswith(f"{PRUNED} by RMIA online, T=4, {PRUNED} by LiRA online, shrunk")


def test_an_attack_that_one_report_lacks_is_not_taken_for_a_change_of_the_model():
    both = {"attacks": [LIRA, RMIA]}
    for new, old in (
        (attacked_by_rmia(**both), release()),
        (attacked_by_rmia(attacks=[RMIA]), release(key=both)),
    ):
        row = pair(new, old)
        assert row.value is None and "only one of the two was attacked by" in row.why
        assert pair(new, old, "test accuracy").value == 0
    assert pair(release(key=both), release()).value == 0  # the strongest of both ran on both


def test_other_queries_are_not_taken_for_a_change_of_the_model():
    row = pair(release(key={"queries": "Queries(flip=True, shift=0)"}), release())
    assert row.value is None and row.why.startswith("asked by Queries(flip=True, shift=0) here")
    assert pair(release(key={"queries": "Queries(flip=False, shift=0)"}), release()).value == 0


def test_where_both_intervals_are_widened_the_difference_is_no_narrower():
    same = (0.6, 0.6, 0.6)
    tight = pair(release(auc=same), release(auc=same))
    assert tight.low == tight.high == 0
    wide = release(auc=same)
    rows = tuple(replace(r, interval="t over targets, widened") for r in wide.rows)
    wide = replace(wide, rows=rows)  # their AUC: 0.65 [0.63, 0.67]
    row = pair(wide, wide)
    assert row.interval == "t over targets, widened"
    assert (row.low, row.high) == pytest.approx((-np.hypot(0.02, 0.02), np.hypot(0.02, 0.02)))
    assert pair(wide, release(auc=same)).interval == "t over targets"


def scored(seed, shift):
    """One membership, and LiRA's scores on it of models that leak so much."""
    world = planted_world(records=800, targets=8, references=16, shift=shift, seed=seed)
    return LiRA()(world), world.membership


def test_a_tprs_interval_is_no_narrower_than_the_one_from_the_scores():
    (new, who), (old, _) = scored(0, 1.0), scored(0, 2.0)
    about = {"subject": PRUNED, "method": LIRA, "threat": "adaptive"}
    sides = []
    for scores in (new, old):
        rows = (
            auc(scores, who, **about),
            tpr_at_fpr(scores, who, fpr=0.05, **about),
        )
        report = Report(
            title="made", rows=rows, provenance=Provenance(key={"membership": "m"}), facts={}
        )
        found = [per_target(scores, who, m, fpr=0.05).tolist() for m in ("auc", "tpr")]
        sides.append(targets(report, PRUNED, found[0], tpr=found[1]))
    truth = difference(new, old, who, "tpr", fpr=0.05, about=(PRUNED, PRUNED, LIRA))
    row = pair(*sides, "tpr")
    assert row.metric == "tpr at 5% fpr"
    assert row.value == pytest.approx(truth.value)
    assert row.low <= truth.low and row.high >= truth.high
    assert row.high - row.low < 3 * (truth.high - truth.low)


def test_the_table_has_every_release_once_and_no_stopped_view():
    named = {"a": release(), "b": release()}
    assert [(r.name, r.subject) for r in releases(named)] == [
        (name, subject) for name in "ab" for subject in ("dense", PRUNED)
    ]
    table = releases_table(named)
    assert all(list(line) == list(HEADERS) for line in table)
    assert table[1]["AUC"] == "0.650 [0.630, 0.670]"
    assert table[1]["TPR % at FPR"] == "20.0 [18.0, 22.0] at 5%"
    assert table[1]["controls raised"] == "gap" and table[0]["controls raised"] == "none"


def test_bytes_and_times_stand_where_they_were_measured():
    about = {"subject": "dense", "unit": "B", "status": "exact", "method": "onnx"}
    size = Measurement(risk="size", metric="bytes of all tensors", value=1e6, **about)
    time = Measurement(
        subject="dense",
        risk="latency",
        method="ONNX Runtime",
        metric="latency, 1 record",
        value=1.5,
        counts={"p95": 2.0},
    )
    report = replace(release(), rows=(*release().rows, size, time))
    dense, pruned = releases_table({"a": report})
    assert dense["bytes"] == "1,000,000 (tensors)" and dense["ms, 1 record"] == "1.5 (p95 2)"
    assert pruned["bytes"] == pruned["ms, 1 record"] == "-"


def test_the_tpr_shown_is_at_the_lowest_fpr_that_was_resolved():
    report = made_report()
    low = find(report, "dense", "tpr at 5% fpr", method=LIRA)
    lower = replace(low, metric="tpr at 0.5% fpr", value=0.1, low=0.05, high=0.15)
    report = replace(report, rows=(*report.rows, lower))
    assert lowest_tpr(report, "dense").metric == "tpr at 0.5% fpr"
    nothing = replace(report, rows=tuple(r for r in report.rows if "5% fpr" not in r.metric))
    assert lowest_tpr(nothing, "dense").status == "not resolvable"


def test_families_of_one_name_are_paired_and_others_with_all_of_the_first():
    old, new = release(), release(auc=(0.5, 0.6, 0.61))
    table = difference_table({"a": old, "b": new})
    assert all(list(line) == list(DIFFERENCE_HEADERS) for line in table)
    names = [line["second - first"] for line in table]
    assert names == ["b: dense - a: dense", f"b: {PRUNED} - a: {PRUNED}"]
    other = replace(new, rows=tuple(replace(r, subject="thin") for r in new.rows))
    names = [d["second - first"] for d in difference_table({"a": old, "b": other})]
    assert names == ["b: thin - a: dense", f"b: thin - a: {PRUNED}"]


def test_a_change_is_said_with_its_interval():
    named = {"a": release(auc=(0.70, 0.75, 0.80)), "b": release(auc=(0.60, 0.66, 0.69))}
    line = difference_table(named)[1]
    assert line["leak"] == "leaks less" and line["AUC"].startswith("-0.100 [")
    assert line["TPR, points"] == "not run" and "holds no tpr" in line["note"]
    assert "-0.100 [" in render_releases(named, width=250)


def test_the_same_models_are_named_so_and_not_compared():
    fleets = {"fleets": {PRUNED: ["d0", "d1"]}}
    named = {"a": release(key=fleets), "b": release(auc=(0.5, 0.5, 0.6), key=fleets)}
    line = difference_table(named)[1]
    assert line["AUC"] == "-" and line["note"].startswith("the same models")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": {"attacks": [LIRA, RMIA]}}, "Only b was attacked by RMIA online, T=4"),
        ({"key": {"queries": "Queries(flip=True)"}}, "The queries differs: not said in a"),
        ({"key": {"audit": 4}}, "The revision of the audit differs"),
    ],
)
def test_unlike_audits_are_said_to_be_so(change, said):
    assert any(s.startswith(said) for s in notes({"a": release(), "b": release(**change)}))


def test_alike_audits_have_one_note():
    assert len(notes({"a": release(), "b": release()})) == 1


def test_references_of_another_number_are_said():
    new = release()
    new = replace(new, facts={**new.facts, "models": {"targets": 3, "references": 64}})
    assert "32 in a and 64 in b" in notes({"a": release(), "b": new})[0]


@pytest.fixture(scope="module")
def page():
    return render_releases_page({HOSTILE: release(), "b": release(auc=(0.5, 0.6, 0.61))})


def test_the_page_is_pure_and_what_users_wrote_stays_text(page):
    again = render_releases_page({HOSTILE: release(), "b": release(auc=(0.5, 0.6, 0.61))})
    assert again == page
    assert HOSTILE not in page and PRUNED not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert len(page.encode()) < 2_000_000


def test_the_page_has_its_chart_and_its_tables_and_no_verdict(page):
    assert page.count('id="chart-releases"') == 1
    assert "What changed" in page and "leaks less" in page
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S).lower()
    assert not re.search(r"\b(private|safe|protected)\b", body)


def test_the_chart_shows_each_releases_auc_with_its_interval():
    points = release_points({"a": release(), "b": release()})
    assert [p["report"] for p in points] == ["a", "a", "b", "b"]
    ends = [points[0][name] for name in ("auc", "low", "high")]
    assert ends == pytest.approx([0.7, 0.68, 0.72])
    spec = releases_chart(points)
    assert spec["layer"][1]["data"]["values"] == points
    assert releases_chart([]) == {}


def written(folder, **reports):
    for name, report in reports.items():
        store.write_report(folder / f"{name}.json", report)
    return [folder / f"{name}.json" for name in reports]


def test_the_command_shows_two_reports_and_writes_their_page(tmp_path):
    paths = written(tmp_path, before=release(auc=(0.7, 0.75, 0.8)), after=release())
    done = run("report", *paths)
    assert done.code == 0 and "Side by side" in done.out and "What changed" in done.out
    quiet = run("report", *paths, "--html", tmp_path / "p.html")
    assert quiet.code == 0 and quiet.out == f"page: {tmp_path / 'p.html'}\n"
    assert "before, after side by side" in (tmp_path / "p.html").read_text()


def test_reports_of_one_file_name_are_told_apart_by_their_paths(tmp_path, monkeypatch):
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, report=release())
    monkeypatch.chdir(tmp_path)
    done = run("report", "v1/report.json", "v2/report.json")
    assert done.code == 0
    assert "v1/report.json" in done.out.replace("\n", "") and not done.err


def test_wrong_files_are_refused_in_one_message(tmp_path):
    (path,) = written(tmp_path, a=release())
    twice = run("report", path, tmp_path / "." / "a.json")
    assert twice.code == 2 and "a report is named twice" in twice.err
    sweep = run("report", path, RESULTS / "dp-curve.json")
    assert sweep.code == 2 and "is a sweep's result, which already compares its cases" in sweep.err
    into = run("report", path, RESULTS / "demo.json", "--html", path)
    assert into.code == 2 and "would be overwritten" in into.err
    assert run("report").code == 2


def test_without_the_extra_the_table_is_shown_and_the_page_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    paths = written(tmp_path, a=release(), b=release())
    assert run("report", *paths).code == 0
    with pytest.raises(MissingExtraError, match=r"secateur\[report\]"):
        render_releases_page({"a": release(), "b": release()})

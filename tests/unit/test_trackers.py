"""What of a report is sent to experiment trackers, without any of their packages."""

from __future__ import annotations

import json
import math
import posixpath
from dataclasses import fields, replace
from pathlib import Path

import pytest

import secateur
from command_line import secateur as run
from report_fixture import PRUNED, made_report
from secateur import store
from secateur.cli.tracking import parse_trackers
from secateur.errors import InputError, MethodError, MissingExtraError, UnknownMethodError
from secateur.report.lookup import short, strongest
from secateur.trackers import MLflow, TensorBoard, WandB
from secateur.trackers.sending import sent

TRACKERS = (MLflow, TensorBoard, WandB)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def absent(monkeypatch):
    """No tracker's package is installed."""
    monkeypatch.setattr("secateur.trackers.sending.find_spec", lambda name: None)


def written(folder):
    path = folder / "report.json"
    store.write_report(path, made_report())
    return path


def test_each_value_is_sent_with_the_ends_of_its_interval():
    report = made_report()
    found = sent(report, page=False, every_row=False).metrics
    (row,) = (
        r
        for r in report.rows
        if (r.subject, r.metric, r.group, r.versus, r.threat)
        == ("dense", "auc", "all", "", "adaptive")
        and r.method == strongest(report, "dense")
    )
    name = f"dense/{short(row.method)}/auc".replace(",", "")
    assert (found[name], found[f"{name}/low"], found[f"{name}/high"]) == (
        row.value,
        row.low,
        row.high,
    )


def test_every_row_with_a_value_has_a_name_of_its_own_that_every_tracker_takes():
    for report in (made_report(), store.read_report(ROOT / "results" / "demo.json")):
        values = sum(r.value is not None for r in report.rows)
        names = list(sent(report, page=False, every_row=True).metrics)
        assert sum(not n.endswith(("/low", "/high")) for n in names) == values
        assert all(len(n) <= 250 and "//" not in n for n in names)
        assert all(c.isalnum() or c in "_-./ " for n in names for c in n)


def test_values_that_are_not_there_are_not_sent():
    report = made_report()
    metrics = sent(report, page=False, every_row=True).metrics
    assert metrics and all(math.isfinite(v) for v in metrics.values())
    absent = [r for r in report.rows if r.value is None]
    for row in absent:
        there = replace(report, rows=(replace(row, value=0.5, status="measured", why=""),))
        (name,) = sent(there, page=False, every_row=True).metrics
        assert name not in metrics
    assert {r.status for r in absent} == {"not run", "not resolvable"}


def test_by_default_weaker_attacks_and_groups_stay_in_the_report():
    few = sent(made_report(), page=False, every_row=False).metrics
    all_ = sent(made_report(), page=False, every_row=True).metrics
    assert set(few) < set(all_)
    assert any("/test accuracy" in n for n in few) and any("/kept weights" in n for n in few)


def test_the_report_is_sent_as_its_file_and_the_controls_as_settings():
    report = made_report()
    what = sent(report, page=False, every_row=False)
    content = json.loads(what.files["report.json"])
    assert content.pop("digest") == what.digest
    assert secateur.Report.from_dict(content) == report
    told = {k: v for k, v in what.settings.items() if k.startswith("control ")}
    assert told == {
        "control gap admm below/script above below b above": "raised",
        "control null dense": "passed",
    }


def test_releases_of_other_names_share_their_metrics_and_say_their_names():
    """A curve over releases needs one name of a metric in all of them."""
    reports = []
    for name in ("release 3", "release 4"):
        kinds = {"dense": {"label": name}}
        report = made_report()
        reports.append(replace(report, facts={**report.facts, "subjects": kinds}))
    first, second = (sent(report, page=False, every_row=False) for report in reports)
    assert set(first.metrics) == set(second.metrics)
    names = [what.settings["name of dense"] for what in (first, second)]
    assert names == ["release 3", "release 4"]
    assert "name of dense" not in sent(made_report(), page=False, every_row=False).settings


def test_no_value_of_a_single_record_is_sent(tmp_path):
    secret = "patient-4711"
    (tmp_path / "scores.npz").write_bytes(secret.encode())
    report = replace(made_report(), side_files={"scores.npz": "0" * 64})
    what = sent(report, page=True, every_row=True)
    assert set(what.files) == {"report.json", "report.html"}
    assert secret not in repr(what)


def test_methods_that_have_one_short_name_are_told_apart():
    row = next(r for r in made_report().rows if r.metric == "auc" and r.value is not None)
    twice = (
        replace(row, method="RMIA(a=0.1)"),
        replace(row, method="RMIA(a=0.2)", value=row.value),
    )
    report = replace(made_report(), rows=twice)
    names = [n for n in sent(report, page=False, every_row=True).metrics if "/low" not in n]
    assert len([n for n in names if "/high" not in n]) == 2


GROUPS = ("age=<30", "age=>30", "age=30", "age=<=30", "age=>=30", "age=30+")
ALIKE = ("town=Köln", "town=K?ln", "town=K ln", "x" * 300, "x" * 301, "../..", ".")


def grouped(groups):
    """A report of one attack whose AUC differs from group to group."""
    row = next(r for r in made_report().rows if r.metric == "auc" and r.low is not None)
    rows = [
        replace(row, group=g, value=0.5 + i / 100, low=0.4 + i / 100, high=0.6 + i / 100)
        for i, g in enumerate(groups)
    ]
    return replace(made_report(), rows=tuple(rows))


@pytest.mark.parametrize("groups", [GROUPS, ALIKE], ids=["signs", "alike"])
def test_groups_whose_names_become_one_lose_no_value_and_no_end_of_an_interval(groups):
    report = grouped(groups)
    found = sent(report, page=False, every_row=True).metrics
    names = [n for n in found if not n.endswith(("/low", "/high"))]
    assert [found[n] for n in names] == [r.value for r in report.rows]
    assert [found[f"{n}/low"] for n in names] == [r.low for r in report.rows]
    assert [found[f"{n}/high"] for n in names] == [r.high for r in report.rows]
    assert all(len(n) <= 250 and posixpath.normpath(n) == n and n[0] != "." for n in found)


def test_signs_of_a_groups_name_are_written_as_words():
    names = " ".join(sent(grouped(GROUPS), page=False, every_row=True).metrics)
    for words in ("below 30", "above 30", "at most 30", "at least 30", "30 plus"):
        assert f"in age {words}/low" in names


def test_controls_of_subjects_whose_names_become_one_keep_each_its_status():
    one, *_ = made_report().controls
    both = (
        replace(one, subject="(net)", status="passed"),
        replace(one, subject="net", status="raised"),
    )
    settings = sent(replace(made_report(), controls=both), page=False, every_row=False).settings
    assert [v for k, v in settings.items() if one.id in k] == ["passed", "raised"]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_is_spelled_as_its_repr(tracker, monkeypatch):
    monkeypatch.setattr("secateur.trackers.sending.find_spec", lambda name: name)
    one = tracker(every_row=True)
    assert parse_trackers([repr(one)]) == (one,)
    assert parse_trackers([tracker.__name__]) == (tracker(),)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_nothing_is_sent_over_a_network_by_default(tracker):
    fixed = {f.name: getattr(tracker(), f.name) for f in fields(tracker)}
    assert fixed.get("mode", "offline") == "offline"
    assert not str(fixed.get("uri", "sqlite:")).startswith(("http", "databricks"))


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.usefixtures("absent")
def test_a_missing_package_is_named_with_its_extra(tracker):
    extra = tracker.__name__.lower()
    with pytest.raises(MissingExtraError, match=rf"pip install 'secateur\[{extra}\]'"):
        secateur.track(made_report(), tracker())


@pytest.mark.usefixtures("absent")
def test_a_missing_package_is_said_before_anything_is_computed(tmp_path):
    done = run(
        *("attack", "--target", tmp_path / "none.npz", "--out", tmp_path / "r.json"),
        *("--track", "MLflow"),
    )
    assert done.code == 2 and "pip install 'secateur[mlflow]'" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MLFlow()", "did you mean 'MLflow'"),
        ("LiRA()", "an attack, named with"),
        ("MLflow(url='x')", "did you mean 'uri'"),
        ("WandB(mode='on')", "mode must be 'offline' or 'online', got 'on'"),
    ],
)
def test_a_wrong_tracker_is_refused_by_name(text, said, tmp_path):
    done = run("report", written(tmp_path), "--track", text)
    assert done.code == 2 and said in done.err


def test_several_reports_and_sweeps_are_not_tracked(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.trackers.sending.find_spec", lambda name: name)
    path = written(tmp_path)
    other = tmp_path / "other.json"
    other.write_bytes(path.read_bytes())
    done = run("report", path, other, "--track", "MLflow")
    assert done.code == 2 and "--track sends one report" in done.err


def test_any_callable_is_a_tracker_and_only_reports_are_sent():
    taken = []
    assert secateur.track(made_report(), lambda report: taken.append(report) or "there") == "there"
    assert taken == [made_report()]
    with pytest.raises(InputError, match="takes a Report, got str"):
        secateur.track("report.json", MLflow())


def test_names_that_users_wrote_are_cleaned():
    names = sent(made_report(), page=False, every_row=True).metrics
    assert PRUNED not in "".join(names) and not [n for n in names if "<" in n]


def test_errors_are_those_of_the_house():
    with pytest.raises(MethodError):
        WandB(mode="somewhere")
    with pytest.raises(UnknownMethodError):
        parse_trackers(["Nothing()"])

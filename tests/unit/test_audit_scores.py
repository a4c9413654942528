"""Risk of single records of an audit of fleets: right counts, its own file, and a way to delete it;
the ten most exposed are named from 64 models on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from command_line import secateur as run
from command_line import train
from secateur import store
from secateur.attack.membership import LiRA, LossThreshold
from secateur.auditing import audit
from secateur.auditing.signals import audit_signals
from secateur.compress import Magnitude
from secateur.context import MADE, TOOK
from secateur.data import planted_world
from secateur.errors import InputError, StoreError
from secateur.measure import RECORD_COLUMNS, most_exposed, record_columns
from secateur.report.records import COLUMNS
from secateur.store import record_table
from secateur.train import apply, train_fleet
from secateur.types import Records, Scores
from small_world import small_membership, small_recipe, small_records

ATTACK = LossThreshold()


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def slow_columns(scores, inside):
    """The truth, one record at a time."""
    called = scores.values >= scores.threshold[:, None]
    found = []
    for record in range(scores.values.shape[1]):
        seen = [m for m in range(len(called)) if scores.evaluated[m, record]]
        if not seen:
            continue
        line = []
        for models in (
            seen,
            [m for m in seen if inside[m, record]],
            [m for m in seen if not inside[m, record]],
        ):
            line += [len(models), sum(int(called[m, record]) for m in models)]
            line.append(np.mean([scores.values[m, record] for m in models]) if models else None)
        known = line[3] and line[6]
        line.append((line[4] / line[3] + 1 - line[7] / line[6]) / 2 if known else None)
        found.append(line)
    return found


def test_the_columns_are_those_of_a_loop_over_records():
    rng = np.random.default_rng(0)
    evaluated = rng.random((5, 30)) < 0.6
    values = np.where(evaluated, rng.normal(size=(5, 30)), np.nan)
    scores = Scores(values=values, evaluated=evaluated, threshold=rng.normal(size=5))
    inside = rng.random((5, 30)) < 0.5
    judged, columns = record_columns(scores, inside)
    wanted = slow_columns(scores, inside)
    assert tuple(columns) == RECORD_COLUMNS and len(judged) == len(wanted)
    for got, want in zip(zip(*columns.values(), strict=True), wanted, strict=True):
        assert [g is None for g in got] == [w is None for w in want]
        kept = [(g, w) for g, w in zip(got, want, strict=True) if w is not None]
        assert np.allclose(*zip(*kept, strict=True))


def test_columns_of_several_lengths_make_no_table():
    with pytest.raises(InputError, match="one length"):
        record_table({"record": [1], "model": []})


@pytest.fixture(scope="module")
def world():
    plain = small_records()
    sites = np.where(np.arange(len(plain)) % 2, "=1+1", "north")
    records = Records.from_arrays(
        plain.gather(np.arange(len(plain))), plain.labels, groups={"site": sites}
    )
    who = small_membership(records, targets=3, references=8)
    dense = train_fleet(small_recipe(epochs=2), records, who, seed=0, engine="serial")
    small = apply(
        Magnitude(rate=4, retrain_epochs=1), dense, records, seed=0, engine="serial", name="small"
    )
    return records, dense, small


@pytest.fixture(scope="module")
def audited(world, tmp_path_factory):
    records, dense, small = world
    here = tmp_path_factory.mktemp("audit")
    report = audit(
        [dense, small],
        records,
        attacks=[ATTACK],
        groups=("site", "class"),
        scores=here / "risk.csv",
    )
    store.write_report(here / "r.json", report)
    return here, report


def test_the_unit_stands_in_the_table_where_records_name_theirs(tmp_path):
    plain = small_records()
    persons = np.array([f"p{i // 2:04d}" for i in range(len(plain))])
    records = Records.from_arrays(
        plain.gather(np.arange(len(plain))), plain.labels, units=persons, name="visits"
    )
    who = small_membership(records, targets=2, references=3)
    fleet = train_fleet(small_recipe(epochs=1), records, who, seed=0, engine="serial")
    audit(fleet, records, attacks=[ATTACK], scores=tmp_path / "risk.csv")
    table = lines((tmp_path / "risk.csv").read_text())
    assert table and all(int(line["unit"]) == int(line["record"]) // 2 for line in table)


def test_every_family_has_a_line_per_audited_record_with_class_and_group(world, audited):
    records, dense, _ = world
    table = lines((audited[0] / "risk.csv").read_text())
    assert tuple(table[0]) == (*COLUMNS, "class", "group site")
    pool = dense.membership.pools["audit"]
    for family in ("dense", "small"):
        own = [line for line in table if line["model"] == family]
        assert [int(line["record"]) for line in own] == records.ids[np.sort(pool)].tolist()
        for line in own:
            record = int(line["record"])
            targets = dense.membership.targets
            with_it = dense.membership.inside[targets][:, record].sum()
            assert int(line["models_with_it"]) == with_it
            assert int(line["models_asked"]) == len(targets)
            assert int(line["class"]) == records.labels[record]
            assert line["group site"] == ("'=1+1" if record % 2 else "north")


def test_the_calls_of_all_records_are_those_of_the_reports_rows(audited):
    here, report = audited
    table = [line for line in lines((here / "risk.csv").read_text()) if line["model"] == "dense"]
    row = next(r for r in report.rows if (r.subject, r.metric) == ("dense", "false-positive rate"))
    falsely = sum(int(line["falsely_called"]) for line in table)
    asked = sum(int(line["models_without_it"]) for line in table)
    assert row.value == pytest.approx(falsely / asked, abs=0.02)  # the row is a mean of rates


def test_the_report_names_the_table_by_its_digest_and_holds_none_of_it(audited):
    here, report = audited
    digest = hashlib.sha256((here / "risk.csv").read_bytes()).hexdigest()
    assert dict(report.side_files) == {"risk.csv": digest}
    assert not [s for s in report.series if s.kind == "most exposed"]
    assert "Delete this file" in (here / "risk.csv.txt").read_text()


def test_the_same_audit_writes_the_same_bytes_and_changes_no_row(world, audited, tmp_path):
    records, dense, small = world
    args = {"attacks": [ATTACK], "groups": ("site", "class")}
    again = audit([dense, small], records, scores=str(tmp_path / "risk.csv"), **args)
    assert (tmp_path / "risk.csv").read_bytes() == (audited[0] / "risk.csv").read_bytes()
    without = audit([dense, small], records, **args)
    assert without.side_files == {}
    when = {k: without.provenance.context[k] for k in (MADE, TOOK)}  # another second, perhaps
    dated = replace(again.provenance, context={**again.provenance.context, **when})
    assert replace(again, side_files={}, provenance=dated).to_dict() == without.to_dict()


def test_a_name_that_is_no_table_is_refused_before_any_query(world, tmp_path):
    records, dense, _ = world
    with pytest.raises(InputError, match=r"ends in \.csv"):
        audit(dense, records, attacks=[ATTACK], scores=tmp_path / "risk.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copied(audited, tmp_path):
    for file in audited[0].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_clean_deletes_the_table_and_its_note_and_keeps_the_report(copied):
    done = run("clean", copied / "r.json")
    assert done.code == 0 and f"{copied / 'risk.csv'}: deleted" in done.out
    assert "a page made of it is not deleted" in done.out
    assert [p.name for p in copied.iterdir()] == ["r.json"]
    again = run("clean", copied / "r.json")
    assert "not there, nothing was deleted" in again.err and not again.out


def test_clean_deletes_no_table_that_was_changed(copied):
    (copied / "risk.csv").write_text("mine\n")
    done = run("clean", copied / "r.json")
    assert done.code == 2 and "holds another table" in done.err
    assert (copied / "risk.csv").exists() and (copied / "risk.csv.txt").exists()
    with pytest.raises(StoreError, match="cannot read"):
        store.check_record_table(copied / "no.csv", digest="0")


def test_report_says_that_the_table_is_there_already(copied):
    done = run("report", copied / "r.json", "--records", copied / "again.csv")
    assert done.code == 2 and "is a table already" in done.err
    assert not (copied / "again.csv").exists()


def exposed(targets):
    world = planted_world(records=120, targets=targets, references=16, shift=2.0, seed=0)
    report = audit_signals(world, [LiRA()], seed=3)
    return world, report, [s for s in report.series if s.kind == "most exposed"]


def test_from_64_models_the_ten_most_exposed_stand_in_the_report_by_the_other_half():
    world, report, (found,) = exposed(64)
    columns = found.columns
    assert len(columns["record"]) == 10
    top = most_exposed(
        LiRA()(world, seed=3), world.membership, seed=3, subject="s", method="m", count=10
    )
    assert columns["record"] == tuple(top.records)
    assert columns["reported"] == tuple(top.reported)
    together = np.add(columns["models_with_it"], columns["models_without_it"])
    assert together.tolist() == [32.0] * 10
    assert json.loads(json.dumps(report.to_dict()))


def test_below_64_models_no_record_is_named():
    assert exposed(63)[2] == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    here = tmp_path_factory.mktemp("trained")
    assert train(here / "dense").code == 0
    return here


def command(here, *more):
    return run(
        "audit", here / "dense", "--attack", "LossThreshold", "--out", here / "r.json", *more
    )


def test_the_command_writes_the_table_that_the_report_names(trained):
    done = command(trained, "--group", "class", "--scores", trained / "risk.csv")
    assert done.code == 0 and "keep it no longer than needed" in done.out, done.err
    (name,) = store.read_report(trained / "r.json").side_files
    assert name == "risk.csv"
    assert {line["model"] for line in lines((trained / name).read_text())} == {"dense"}
    assert run("clean", trained / "r.json").code == 0
    assert sorted(p.name for p in trained.iterdir()) == ["dense", "r.json"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--scores", "risk.npz"), "give a name that ends in .csv"),
        (("--scores", "dense/risk.csv"), "is in another folder than --out"),
        (("--scores", "elsewhere/risk.csv"), "where `secateur clean` would not find it; give"),
        (("--pictures",), "give --html too"),
        (("--pictures", "--html", "p.html"), "named from 64 models under audit on; there are 2"),
    ],
)
def test_what_could_not_be_written_is_refused_before_the_audit(trained, more, message):
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    done = command(trained, *(a if a.startswith("--") else trained / a for a in more))
    assert done.code == 2 and message in done.err and "Traceback" not in done.err
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before

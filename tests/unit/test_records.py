"""Risk of single records: right counts, no formulas, a note beside it, and a way to delete it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

import saved_signals
from command_line import secateur as run
from secateur import store
from secateur.attack.membership import LiRA, LossThreshold
from secateur.auditing.signals import audit_signals
from secateur.data import planted_world
from secateur.errors import InputError, StoreError
from secateur.report.records import COLUMNS, records_csv
from secateur.store import retention_note, text_cell
from secateur.types import Scores


def made(label="given"):
    """A report of two targets, its scores, and who was inside."""
    world = planted_world(records=40, targets=2, references=16, shift=2.0, seed=0)
    attack = LiRA()
    report = audit_signals(world, [attack])
    subject = world.primary
    facts = {
        **report.facts,
        "strongest": {subject: repr(attack)},
        "subjects": {subject: {"label": label, "kind": "given", "pipeline": []}},
    }
    who = world.membership
    return replace(report, facts=facts), attack(world), who.inside[who.targets]


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def table_of(report, scores, **more):
    return lines(records_csv(report, {repr(LiRA()): scores}, **more))


def test_each_judged_record_has_one_line_with_the_counts_of_its_models():
    report, scores, inside = made()
    table = table_of(report, scores, ids=np.arange(40) + 100, inside=inside)
    judged = np.flatnonzero(scores.evaluated.any(0))
    assert [int(line["record"]) - 100 for line in table] == judged.tolist()
    called = scores.values >= scores.threshold[:, None]
    for line, record in zip(table, judged, strict=True):
        with_it = [m for m in range(2) if inside[m, record]]
        without = [m for m in range(2) if not inside[m, record]]
        assert int(line["models_asked"]) == 2
        assert int(line["called_member"]) == called[:, record].sum()
        assert int(line["models_with_it"]) == len(with_it)
        assert int(line["found"]) == sum(called[m, record] for m in with_it)
        assert int(line["falsely_called"]) == sum(called[m, record] for m in without)
        assert float(line["mean_score"]) == pytest.approx(scores.values[:, record].mean())
        if with_it:
            mean = np.mean([scores.values[m, record] for m in with_it])
            assert float(line["mean_score_with_it"]) == pytest.approx(mean)
        else:
            assert line["mean_score_with_it"] == ""


def test_what_is_not_known_is_empty_and_not_zero():
    report, scores, _ = made()
    table = table_of(report, replace(scores, threshold=None))
    assert all(list(line) == list(COLUMNS) for line in table)
    assert {line["called_member"] for line in table} == {""}
    assert {line["models_with_it"] for line in table} == {line["found"] for line in table} == {""}


def test_a_model_that_was_not_asked_is_not_counted():
    report, scores, inside = made()
    judged = int(np.flatnonzero(scores.evaluated.any(0))[0])
    evaluated = scores.evaluated.copy()
    evaluated[0, judged] = False
    values = scores.values.copy()
    values[0, judged] = np.nan
    (line, *_) = table_of(report, Scores(values=values, evaluated=evaluated), inside=inside)
    assert line["models_asked"] == "1"
    assert float(line["mean_score"]) == pytest.approx(values[1, judged])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "  =", "|", "%"])
def test_no_text_becomes_a_formula(start):
    label = f'{start}cmd|" /C calc"!A0'
    report, scores, _ = made(label)
    for line in table_of(report, scores):
        assert line["model"] == f"'{label}"


@pytest.mark.parametrize("text", ["dense", "LiRA(mode='online')", "a=b", "x-y", "", "1"])
def test_plain_text_stays_as_it_is(text):
    assert text_cell(text) == text


def test_quotes_commas_and_line_ends_stay_in_their_cell():
    label = 'a, "b"\nc'
    report, scores, _ = made(label)
    table = table_of(report, scores)
    assert {line["model"] for line in table} == {label}
    assert {line["attack"] for line in table} == {repr(LiRA())}


def test_scores_of_another_attack_or_shape_are_refused():
    report, scores, inside = made()
    with pytest.raises(InputError, match=r"holds LossThreshold.*, and not LiRA"):
        records_csv(report, {repr(LossThreshold()): scores})
    with pytest.raises(InputError, match=r"inside has the shape \(1, 40\)"):
        records_csv(report, {repr(LiRA()): scores}, inside=inside[:1])
    with pytest.raises(InputError, match=r"ids has the shape \(3,\)"):
        records_csv(report, {repr(LiRA()): scores}, ids=np.arange(3))


def test_the_note_is_about_keeping_and_gives_no_verdict():
    text = retention_note(made()[0].title, "risk.csv")
    assert "risk.csv" in text and "Delete this file" in text and "secateur clean" in text
    assert not {"private", "safe", "protected"} & set(text.lower().split())


@pytest.fixture
def audited(tmp_path):
    """A folder with a report of saved signals and the scores beside it."""
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    out = ("--out", tmp_path / "r.json", "--scores", tmp_path / "scores.npz")
    assert run("attack", *named, "--attack", "LiRA", *out).code == 0
    return tmp_path


def test_scores_in_another_folder_than_the_report_are_refused_before_anything_is_written(tmp_path):
    named = saved_signals.save_npz(tmp_path, saved_signals.world())
    before = sorted(tmp_path.rglob("*"))
    out = ("--out", tmp_path / "r.json", "--scores", tmp_path / "elsewhere" / "scores.npz")
    done = run("attack", *named, "--attack", "LiRA", *out)
    assert done.code == 2 and f"give --scores {tmp_path / 'scores.npz'}" in done.err, done.err
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "link").symlink_to(tmp_path)
    out = ("--out", tmp_path / "r.json", "--scores", tmp_path / "link" / "scores.npz")
    assert run("attack", *named, "--attack", "LiRA", *out).code == 0


def test_the_command_writes_the_table_and_its_note(audited):
    done = run("report", audited / "r.json", "--records", audited / "risk.csv")
    assert (done.code, done.err) == (0, "")
    assert "keep it no longer than needed" in done.out and "AUC" not in done.out
    table = lines((audited / "risk.csv").read_text())
    found = store.read_record_scores(audited / "scores.npz")
    scores = found.scores[repr(LiRA())]
    assert len(table) == scores.evaluated.any(0).sum() > 0
    assert found.inside is not None and found.ids is not None
    inside = sum(int(line["models_with_it"]) for line in table)
    assert inside == (found.inside & scores.evaluated).sum() > 0
    assert "Delete this file" in (audited / "risk.csv.txt").read_text()
    again = (audited / "risk.csv").read_bytes()
    run("report", audited / "r.json", "--records", audited / "risk.csv")
    assert (audited / "risk.csv").read_bytes() == again


def other_scores(here):
    scores = Scores(values=np.zeros((1, 2)), evaluated=np.ones((1, 2), np.bool_))
    store.write_score_table(here / "scores.npz", {"LiRA()": scores})


def led_astray(here):
    report = store.read_report(here / "r.json")
    store.write_report(here / "r.json", replace(report, side_files={"../scores.npz": "0" * 64}))


def without_scores(here):
    report = store.read_report(here / "r.json")
    store.write_report(here / "r.json", replace(report, side_files={}))


@pytest.mark.parametrize(
    ("spoil", "out", "message"),
    [
        (other_scores, "risk.csv", "holds other scores"),
        (led_astray, "risk.csv", "which is no plain name"),
        (without_scores, "risk.csv", "has no scores of single records beside it"),
        (lambda here: (here / "scores.npz").unlink(), "risk.csv", "scores.npz"),
        (lambda here: None, "scores.npz", "would be overwritten"),
        (lambda here: None, "r.json", "would be overwritten"),
    ],
)
def test_what_cannot_be_written_is_one_message_and_leaves_nothing(audited, spoil, out, message):
    spoil(audited)
    before = {p.name: p.read_bytes() for p in audited.iterdir() if p.is_file()}
    done = run("report", audited / "r.json", "--records", audited / out)
    assert done.code == 2 and message in done.err, done.err
    assert {p.name: p.read_bytes() for p in audited.iterdir() if p.is_file()} == before


def test_records_are_of_one_report(audited):
    (audited / "s.json").write_bytes((audited / "r.json").read_bytes())
    done = run(
        *("report", audited / "r.json", audited / "s.json", "--records", audited / "risk.csv")
    )
    assert done.code == 2 and "--records is of one report" in done.err


def test_clean_deletes_the_scores_beside_a_report_and_keeps_the_report(audited):
    done = run("clean", audited / "r.json")
    assert done.code == 0 and f"{audited / 'scores.npz'}: deleted" in done.out
    assert not (audited / "scores.npz").exists() and (audited / "r.json").exists()
    again = run("clean", audited / "r.json")
    assert again.code == 0 and not again.out
    assert "not there, nothing was deleted; wherever it was moved" in again.err


def test_clean_deletes_nothing_that_the_report_does_not_name(audited):
    other_scores(audited)
    done = run("clean", audited / "r.json")
    assert done.code == 2 and "holds other scores" in done.err
    assert (audited / "scores.npz").exists()


def test_scores_written_before_ids_were_kept_still_read(tmp_path):
    scores = Scores(values=np.zeros((1, 2)), evaluated=np.ones((1, 2), np.bool_))
    digest = store.write_score_table(tmp_path / "s.npz", {"LiRA()": scores})
    found = store.read_record_scores(tmp_path / "s.npz", digest=digest)
    assert found.ids is None and found.inside is None
    with pytest.raises(StoreError, match="than the report names"):
        store.read_record_scores(tmp_path / "s.npz", digest="0" * 64)


def test_the_report_itself_holds_no_score_of_a_record(audited):
    content = json.loads((audited / "r.json").read_text())
    longest = max(len(v) for s in content["series"] for v in s["columns"].values())
    assert longest <= 500 and set(content["side_files"]) == {"scores.npz"}

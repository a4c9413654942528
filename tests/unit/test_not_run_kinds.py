"""Attacks that did not run are grouped by the kind that their rows hold, not by their words."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from report_fixture import made_report, unmeasured_row
from secateur import store
from secateur.attack.membership import RMIA, LiRA, LossThreshold, QuantileRegression
from secateur.auditing.leak import leak_rows
from secateur.auditing.scoring import train_and_score
from secateur.auditing.signals import audit_signals, score_signals
from secateur.data import planted_world
from secateur.errors import CANNOT_RUN, NotEnoughReferencesError, Reason
from secateur.report.notes import LACKS, not_run_words


def world(references=4):
    return planted_world(records=80, targets=2, references=references, shift=1.0, seed=0)


def kind_of(row):
    (name,) = (k for k in row.counts if k.startswith("lacks "))
    return name.removeprefix("lacks ")


def reason(attack, seen):
    return train_and_score((attack, seen, 0))


def test_a_reason_keeps_its_kind_in_a_worker_and_its_words_as_text():
    told = Reason.of(NotEnoughReferencesError("too few"))
    again = pickle.loads(pickle.dumps(told))
    assert (again, again.lacks) == ("too few", "references")
    assert Reason.of(ValueError("else")).lacks == ""


def test_what_an_attack_lacks_is_named_where_its_row_is_made():
    bare = world(references=0)
    who = bare.membership
    empty = replace(
        world(references=16),
        membership=replace(world(references=16).membership, pools={"audit": who.pools["audit"]}),
    )
    for attack, seen, kind in (
        (LiRA(), bare, "references"),
        (LossThreshold(), bare, "references"),
        (RMIA(temperature=1.0), empty, "population records"),
        (QuantileRegression(), empty, "population records"),
    ):
        told = reason(attack, seen)
        assert isinstance(told, Reason), attack
        (row,) = leak_rows(told, who, subject="dense", method=repr(attack), threat="")
        assert kind_of(row) == kind, attack


def test_signals_that_were_not_saved_are_a_kind_of_their_own(tmp_path):
    seen = world(references=16)
    margin = {"margin": seen.views[seen.primary]["margin"]}
    seen = replace(seen, views={seen.primary: margin})
    attacks = [LiRA(), RMIA(), RMIA(mode="offline")]
    scores = score_signals(seen, attacks)
    assert {scores[repr(a)].lacks for a in attacks[1:]} == {"signals"}
    report = audit_signals(seen, attacks, kept={"": ["margin"]})
    store.write_report(tmp_path / "r.json", report)
    again = store.read_report(tmp_path / "r.json")
    (line,) = not_run_words(again)
    assert line.startswith("Did not run: 2 attacks need signals that were not saved: RMIA")


def lines_of(*rows, references=16):
    facts = {"subjects": {"dense": {}}, "baseline": "dense", "models": {"references": references}}
    return not_run_words(replace(made_report(), rows=rows, facts=facts))


def row(name, why, **counts):
    made = unmeasured_row("dense", "auc", "not run", why, method=name)
    return replace(made, counts={**made.counts, **counts})


def test_the_kind_groups_whatever_the_words_are():
    lacking = {"lacks references": 1.0}
    (line,) = lines_of(row("A()", "neither word", **lacking), row("B()", "other", **lacking))
    assert line.startswith("Did not run: 2 attacks need references in and out of every record: A")


def test_words_of_one_kind_do_not_outweigh_the_kind_of_another():
    said = "its mend names reference models"
    lines = lines_of(
        row("A()", said, **{"lacks population records": 1.0}),
        row("B()", said, **{"lacks references": 1.0}),
    )
    assert lines == [f"Did not run: A(), B(), since {said}."]


@pytest.mark.parametrize("what", ["references", "population records"])
def test_reports_without_kinds_are_grouped_by_their_words(what):
    words = LACKS[what][0]
    (line,) = lines_of(row("A()", f"A {words}"), row("B()", f"B {words}"))
    assert f"2 attacks need {what}" in line


def test_every_error_that_becomes_a_row_may_name_its_kind():
    kinds = {getattr(error, "lacks", "") for error in CANNOT_RUN}
    assert kinds == {"", "views", "references"}

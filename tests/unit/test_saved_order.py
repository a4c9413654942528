"""Saved records in another order: brought to one by ids, refused by labels, or taken on trust."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import saved_signals
import secateur
from command_line import secateur as run
from secateur import LiRA, read_report
from secateur.auditing.saved import observed
from secateur.errors import DataError, SecateurWarning, StoreError
from secateur.store.score_tables import read_record_scores
from secateur.store.signals import made_of

IDS = np.random.default_rng(2).permutation(1000)[: saved_signals.RECORDS]
BY_RECORD = {"logits": 2, "inside": 1, "labels": 0, "population": 0, "ids": 0}


def files(found):
    """Return what is saved of targets and of references."""
    own = saved_signals.part(found, saved_signals.OWN)
    return own, saved_signals.part(found, saved_signals.OTHERS)


def reordered(arrays, order):
    return {k: np.take(a, order, axis=BY_RECORD[k]) for k, a in arrays.items()}


def scored(tmp_path, own, others):
    named = []
    for option, name, arrays in (("--target", "t", own), ("--references", "r", others)):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        named += [option, tmp_path / f"{name}.npz"]
    out, scores = tmp_path / "report.json", tmp_path / "scores.npz"
    done = run("attack", *named, "--attack", "LiRA", "--out", out, "--scores", scores)
    return done, out, scores


@pytest.mark.parametrize("more", [0, 7], ids=["the same records", "further records"])
def test_references_are_brought_to_the_targets_order_by_ids(tmp_path, more):
    own, others = files({**saved_signals.world(queries=2), "ids": IDS})
    done, _, plain = scored(tmp_path, own, others)
    assert done.code == 0, done.err
    before = read_record_scores(plain)
    cut = np.r_[: 30 - more, 30 : saved_signals.RECORDS]  # of the target's records
    order = np.random.default_rng(1).permutation(saved_signals.RECORDS)
    expected, _, _ = scored(tmp_path, reordered(own, cut), reordered(others, cut))
    assert expected.code == 0
    wanted = read_record_scores(plain)
    done, _, scores = scored(tmp_path, reordered(own, cut), reordered(others, order))
    assert done.code == 0, done.err
    found = read_record_scores(scores)
    assert np.array_equal(found.scores[repr(LiRA())].values, wanted.scores[repr(LiRA())].values)
    assert found.ids.tolist() == IDS[cut].tolist()
    assert (f"{more} of the 40 records" in done.err) == bool(more)
    if not more:
        assert np.array_equal(found.ids, before.ids)


def test_one_table_names_its_records_whatever_the_order_of_its_rows(tmp_path):
    rng = np.random.default_rng(0)
    margin, inside = rng.normal(size=(3, 60)), rng.random((3, 60)) < 0.5
    for name, models, order in (("t", [0], np.arange(60)), ("r", [1, 2], rng.permutation(60))):
        head = ["record", *(f"{what}:{m}" for m in models for what in ("margin", "inside"))]
        rows = [[i, *(v for m in models for v in (margin[m, i], int(inside[m, i])))] for i in order]
        text = "\n".join(",".join(map(str, row)) for row in [head, *rows])
        (tmp_path / f"{name}.csv").write_text(text + "\n")
    parts = [
        (secateur.store.read_signals(tmp_path / f"{n}.csv"), range(m), role)
        for n, m, role in (("t", 1, "target"), ("r", 2, "reference"))
    ]
    seen = observed(parts, [LiRA()])
    assert np.allclose(seen.plain(secateur.Signal(name="margin")), margin, atol=1e-6)
    assert np.array_equal(seen.membership.inside, inside)


def test_records_that_references_lack_are_counted(tmp_path):
    own, others = files({**saved_signals.world(), "ids": IDS})
    done, out, _ = scored(tmp_path, own, reordered(others, np.arange(3, 40)))
    assert done.code == 2 and not out.exists()
    assert f"lacks 3 of the 40 records of {tmp_path / 't.npz'}, the first has the id {IDS[0]}" in (
        " ".join(done.err.split())
    )


def test_a_doubled_id_is_refused_by_its_number():
    with pytest.raises(StoreError, match="1 of them stand more than once, first 4;"):
        made_of(Path("t.npz"), {"margin": np.zeros((1, 3)), "ids": np.array([4, 2, 4])})


def test_labels_in_another_order_are_told_from_other_labels(tmp_path):
    own, others = files(saved_signals.world())
    order = np.roll(np.arange(40), 1)
    done, _, _ = scored(tmp_path, own, reordered(others, order))
    assert done.code == 2 and "the order of the records differs" in done.err
    assert "an array `ids`" in done.err
    others["labels"] = np.where(np.arange(40) == 5, 0, others["labels"])
    done, _, _ = scored(tmp_path, own, others)
    assert done.code == 2 and "of 1 of 40 records: targets and" in " ".join(done.err.split())
    assert "order of the records differs" not in done.err
    done, _, _ = scored(tmp_path, {**own, "ids": IDS}, {**others, "ids": IDS})
    assert done.code == 2 and "an id must name the same record in both files" in done.err


@pytest.mark.parametrize(
    ("drop", "trusted"),
    [
        ((), False),
        (("labels",), False),  # ids are there
        (("ids",), False),
        (("ids", "labels"), True),
    ],
)
def test_an_order_that_nothing_shows_is_said_to_be_taken_on_trust(tmp_path, drop, trusted):
    own, others = files({**saved_signals.world(), "ids": IDS})
    others = {k: v for k, v in others.items() if k not in drop}
    done, out, _ = scored(tmp_path, own, others)
    assert done.code == 0, done.err
    told = [s for s in read_report(out).facts["limits"] if "taken on trust" in s]
    assert ("r.npz stand in the order of those of t.npz" in done.err) == trusted
    assert len(told) == trusted


def test_models_of_one_file_stand_in_one_order_without_a_word(tmp_path):
    found = {k: v for k, v in saved_signals.world().items() if k != "labels"}
    found |= {"margin": found.pop("logits")[..., 0]}
    np.savez(tmp_path / "all.npz", **found)
    out = tmp_path / "r.json"
    named = ("--target", tmp_path / "all.npz", "--rows", "0,1", "--attack", "LiRA")
    done = run("attack", *named, "--out", out)
    assert done.code == 0 and "taken on trust" not in done.err
    assert not any("taken on trust" in s for s in read_report(out).facts["limits"])


def test_arrays_in_memory_are_held_to_the_same():
    own, others = files({**saved_signals.world(), "ids": IDS})
    attacks = [LiRA()]
    order = np.random.default_rng(1).permutation(saved_signals.RECORDS)
    straight = secateur.audit(own, references=others, attacks=attacks)
    crooked = secateur.audit(own, references=reordered(others, order), attacks=attacks)
    assert straight.rows == crooked.rows
    bare = {k: v for k, v in others.items() if k in ("logits", "inside")}
    with pytest.warns(SecateurWarning, match="taken on trust"):
        told = secateur.audit(own, references=bare, attacks=attacks)
    assert "taken on trust" in told.facts["limits"][-1]
    del own["ids"]
    with pytest.raises(DataError, match="the order of the records differs"):
        secateur.audit(own, references=reordered(others, order), attacks=attacks)

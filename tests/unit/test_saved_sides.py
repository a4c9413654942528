"""Outputs of members and of non-members in two files are one set of records."""

from __future__ import annotations

import numpy as np
import pytest

import secateur
from command_line import listing
from command_line import secateur as run
from secateur import GapAttack, LossThreshold, read_report
from secateur.errors import DataError, InputError, SecateurWarning
from secateur.store.score_tables import read_record_scores

LOSS = LossThreshold(class_wise=False)
BARE = ("--attack", repr(LOSS))
RNG = np.random.default_rng(0)
CLASSES, INSIDE, OUTSIDE = 4, 70, 50
LABELS = RNG.integers(0, CLASSES, INSIDE + OUTSIDE)
LOGITS = RNG.normal(size=(INSIDE + OUTSIDE, CLASSES))
LOGITS[np.arange(INSIDE), LABELS[:INSIDE]] += 2
FIRST = {"logits": LOGITS[:INSIDE], "labels": LABELS[:INSIDE]}
SECOND = {"logits": LOGITS[INSIDE:], "labels": LABELS[INSIDE:]}
WHOLE = {"logits": LOGITS, "labels": LABELS, "inside": np.arange(INSIDE + OUTSIDE) < INSIDE}


def saved(folder, first=FIRST, second=SECOND):
    np.savez(folder / "train.npz", **first)
    np.savez(folder / "test.npz", **second)
    return ("--members", folder / "train.npz", "--non-members", folder / "test.npz")


def test_two_files_give_the_report_of_the_one_that_says_inside_members_first(tmp_path):
    np.savez(tmp_path / "one.npz", **WHOLE)
    out, scores = tmp_path / "r.json", tmp_path / "s.npz"
    ends = (*BARE, "--out", out, "--scores", scores)
    assert run("attack", "--target", tmp_path / "one.npz", *ends).code == 0
    rows, one = read_report(out).rows, read_record_scores(scores)
    done = run("attack", *saved(tmp_path), *ends)
    assert done.code == 0, done.err
    report, two = read_report(out), read_record_scores(scores)
    assert report.rows == rows
    assert np.array_equal(two.scores[repr(LOSS)].values, one.scores[repr(LOSS)].values)
    assert two.inside.tolist() == [[True] * INSIDE + [False] * OUTSIDE]
    assert report.title == "Membership audit of train.npz + test.npz"
    assert report.facts["files"] == ["train.npz", "test.npz"]


def test_npy_files_take_their_labels_from_files_beside_them(tmp_path):
    out = tmp_path / "r.json"
    assert run("attack", *saved(tmp_path), *BARE, "--out", out).code == 0
    rows = read_report(out).rows
    for name, side in (("a", FIRST), ("b", SECOND)):
        for key, values in side.items():
            np.save(tmp_path / f"{name}_{key}.npy", values)
    sides = ("--members", tmp_path / "a_logits.npy", "--non-members", tmp_path / "b_logits.npy")
    labels = (
        *("--member-labels", tmp_path / "a_labels.npy"),
        *("--non-member-labels", tmp_path / "b_labels.npy"),
    )
    ends = ("--kind", "logits", *BARE, "--out", out)
    done = run("attack", *sides, *labels, *ends)
    assert done.code == 0, done.err
    assert read_report(out).rows == rows
    bare = run("attack", *sides, *ends)
    assert bare.code == 2 and "name them by --member-labels FILE.npy" in bare.err
    swapped = run("attack", *sides, *labels[:3], labels[1], *ends)
    assert swapped.code == 2 and "a_labels.npy: labels has the shape (70,)" in swapped.err


def test_references_follow_the_members_then_the_others_or_their_ids(tmp_path):
    ids = RNG.permutation(INSIDE + OUTSIDE)
    sides = saved(tmp_path, {**FIRST, "ids": ids[:INSIDE]}, {**SECOND, "ids": ids[INSIDE:]})
    others = RNG.normal(size=(8, INSIDE + OUTSIDE, CLASSES))
    inside = np.argsort(RNG.random((8, INSIDE + OUTSIDE)), axis=0) < 4
    rows = []
    for order in (np.arange(INSIDE + OUTSIDE), RNG.permutation(INSIDE + OUTSIDE)):
        found = {"logits": others[:, order], "inside": inside[:, order], "ids": ids[order]}
        np.savez(tmp_path / "r.npz", **found)
        out = tmp_path / "report.json"
        ends = ("--references", tmp_path / "r.npz", "--attack", "LiRA", "--out", out)
        done = run("attack", *sides, *ends)
        assert done.code == 0, done.err
        rows.append(read_report(out).rows)
    assert rows[0] == rows[1]


def test_in_python_sides_are_files_or_arrays_and_load_no_target(tmp_path):
    attacks = [LOSS, GapAttack()]
    whole = secateur.audit(WHOLE, attacks=attacks)
    arrays = secateur.audit(members=FIRST, non_members=SECOND, attacks=attacks)
    saved(tmp_path)
    files = secateur.audit(
        members=tmp_path / "train.npz", non_members=str(tmp_path / "test.npz"), attacks=attacks
    )
    assert whole.rows == arrays.rows == files.rows
    for call in ({}, {"members": FIRST}, {"members": (LOGITS, LABELS), "non_members": SECOND}):
        with pytest.raises(InputError, match=r"must be saved outputs.*audit\(model, members="):
            secateur.audit(**call)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({}, {"logits": LOGITS[INSIDE:, :3]}, "1 models and 1 queries of 4 classes in .*of 3 cl"),
        ({}, {"logits": np.stack([LOGITS[INSIDE:]] * 2)}, "of 1 models .* of 2 models"),
        ({"logits": None, "loss": np.ones(INSIDE)}, {}, "holds loss, .* logits; save the same"),
        ({}, {"labels": None}, "non_members has no labels, and the other file has"),
        ({"units": np.arange(INSIDE)}, {}, "non_members has no units"),
        ({"inside": np.arange(INSIDE) > 2}, {}, "names non-members among the members"),
        ({}, {"inside": np.ones(OUTSIDE)}, "names members among the others"),
        (
            {"ids": np.arange(INSIDE)},
            {"ids": np.arange(OUTSIDE) + INSIDE - 2},
            "2 ids stand in members and in non_members, the first is 68",
        ),
        ({}, FIRST, "hold the same outputs, value by value"),
        (
            {},
            {k: np.concatenate([v, FIRST[k][:9]]) for k, v in SECOND.items()},
            "9 of 70 members in members have the very logits of a non-member in non_members",
        ),
    ],
)
def test_sides_that_do_not_belong_together_are_refused(first, second, words):
    one, two = (
        {k: v for k, v in d.items() if v is not None} for d in (FIRST | first, SECOND | second)
    )
    with pytest.raises(DataError, match=words):
        secateur.audit(members=one, non_members=two)


def test_outputs_that_repeat_on_each_side_are_not_taken_for_shared_records():
    coarse = {"probabilities": 0.8 * np.eye(CLASSES)[LABELS] + 0.05, "labels": LABELS}
    one, two = ({k: v[s] for k, v in coarse.items()} for s in (slice(INSIDE), slice(INSIDE, None)))
    report = secateur.audit(members=one, non_members=two, attacks=[GapAttack()])
    assert report.facts["models"] == {"targets": 1, "references": 0}


def test_a_table_of_one_model_has_a_row_per_record_and_needs_no_column_model(tmp_path):
    for name, side in (("train", FIRST), ("test", SECOND)):
        head = ",".join(["label", *(f"logit_{k}" for k in range(CLASSES))])
        rows = np.column_stack([side["labels"], side["logits"]])
        np.savetxt(tmp_path / f"{name}.csv", rows, "%.17g", ",", header=head, comments="")
    tables = secateur.audit(members=tmp_path / "train.csv", non_members=tmp_path / "test.csv")
    assert tables.rows == secateur.audit(members=FIRST, non_members=SECOND).rows


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("", "say what is attacked: --target FILE"),
        ("--members {}/train.npz", "there is --members alone"),
        ("--target {}/train.npz --non-members {}/test.npz", "--target and --non-members both"),
        ("--members {}/train.npz --non-members {}/gone.npz", "gone.npz"),
    ],
)
def test_half_of_a_pair_is_refused_and_nothing_is_written(tmp_path, named, words):
    saved(tmp_path)
    before = listing(tmp_path)
    out = ("--out", tmp_path / "r.json")
    done = run("attack", *named.format(*[tmp_path] * 2).split(), *out)
    assert done.code == 2 and words in done.err, done.err
    assert listing(tmp_path) == before


def test_members_that_saturate_beside_many_others_are_not_taken_for_shared_records():
    rng = np.random.default_rng(0)

    def outputs(n, saturated):
        top = np.where(rng.random(n) < saturated, 1.0, rng.uniform(0.3, 0.9, n))
        labels = rng.integers(CLASSES, size=n)
        rest = (1 - top)[:, None] * np.full((n, CLASSES), 1 / (CLASSES - 1))
        rest[np.arange(n), labels] = top
        return {"probabilities": np.round(rest, 4), "labels": labels}

    with pytest.warns(SecateurWarning, match="rounded to 1"):
        report = secateur.audit(
            members=outputs(500, 0.9), non_members=outputs(5000, 0.1), attacks=[LOSS]
        )
    assert [r.value > 0.8 for r in report.rows if r.metric == "auc"] == [True]

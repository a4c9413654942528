"""Canaries: what is planted, that coins decide of them, and that audits measure them apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from command_line import secateur, train
from secateur import Records, Scores, draw, read_report
from secateur.data import (
    Mislabelled,
    NearDuplicates,
    OutOfDistribution,
    canary_indices,
    holds_canaries,
    plant,
    restrict,
)
from secateur.errors import DataError, InputError, MethodError
from secateur.measure import tpr_on_canaries
from secateur.spelling import parse
from secateur.types import ByteSource, PatchedSource
from small_world import small_records

ABOUT = ("dense", "LiRA()", "adaptive")
KINDS = (Mislabelled(count=15), OutOfDistribution(count=10), NearDuplicates(count=5))
NAMES = {kind.__name__: kind for kind in (Mislabelled, OutOfDistribution, NearDuplicates)}


def inputs(records):
    return records.gather(np.arange(len(records)))


def of_kind(records, kind):
    return np.flatnonzero(records.groups["canary"] == kind)


def test_mislabelled_canaries_have_every_wrong_label_and_nothing_else_changes():
    records = small_records(600)
    planted = Mislabelled(count=300)(records, seed=0)
    rows = of_kind(planted, "mislabelled")
    assert len(rows) == 300 == len(canary_indices(planted))
    changed = np.flatnonzero(planted.labels != records.labels)
    assert np.array_equal(rows, changed)
    steps = np.bincount((planted.labels - records.labels)[rows] % 3, minlength=3)
    assert steps[0] == 0 and min(steps[1:]) > 100
    assert np.array_equal(inputs(planted), inputs(records))
    assert np.array_equal(planted.units, records.units)
    assert np.array_equal(planted.ids, records.ids)


def test_shuffled_canaries_keep_the_values_of_their_record_in_another_order():
    records = small_records(200)
    planted = OutOfDistribution(count=30)(records, seed=1)
    rows = of_kind(planted, "out of distribution")
    before, after = inputs(records)[rows], inputs(planted)[rows]
    assert (before != after).any(axis=1).all()
    assert np.array_equal(np.sort(before, axis=1), np.sort(after, axis=1))
    others = np.setdiff1d(np.arange(200), rows)
    assert np.array_equal(inputs(records)[others], inputs(planted)[others])
    assert np.array_equal(records.labels[others], planted.labels[others])
    assert len(set(planted.labels[rows].tolist())) == 3


def test_noise_canaries_fill_the_range_of_the_data_and_foreign_ones_come_from_elsewhere():
    records = small_records(200)
    noisy = OutOfDistribution(count=40, inputs="noise")(records, seed=2)
    made = inputs(noisy)[of_kind(noisy, "out of distribution")]
    low, high = inputs(records).min(), inputs(records).max()
    assert low <= made.min() < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < made.max() <= high
    others = Records.from_arrays(np.arange(480.0).reshape(60, 8) + 100, np.arange(60) % 3)
    foreign = OutOfDistribution(count=40)(records, seed=2, others=others)
    taken = inputs(foreign)[of_kind(foreign, "out of distribution")]
    assert len(np.unique(taken, axis=0)) == 40
    assert {tuple(row) for row in taken} <= {tuple(row) for row in inputs(others)}
    with pytest.raises(InputError, match=r"at least 61 records of the shape \(8,\), got 60 of"):
        OutOfDistribution(count=61)(records, seed=2, others=others)
    with pytest.raises(InputError, match=r"shape \(8,\), got 2 of \(2,\)"):
        OutOfDistribution(count=1)(
            records, seed=2, others=Records.from_arrays(np.eye(2), np.arange(2))
        )


def test_near_duplicates_are_close_to_their_marked_originals_with_another_label():
    records = small_records(300)
    planted = NearDuplicates(count=20, noise=0.01)(records, seed=3)
    copies, originals = of_kind(planted, "near duplicate"), of_kind(planted, "duplicated")
    assert len(copies) == len(originals) == 20
    x = inputs(planted)
    distance = np.linalg.norm(x[copies][:, None] - x[originals][None], axis=2)
    nearest = distance.argmin(axis=1)
    assert sorted(nearest.tolist()) == list(range(20))
    assert 0 < distance.min(axis=1).max() < 0.1
    assert (planted.labels[copies] != planted.labels[originals[nearest]]).all()
    assert np.array_equal(inputs(records)[originals], x[originals])
    same = NearDuplicates(count=20, noise=0.0, mislabel=False)(records, seed=3)
    x = inputs(same)
    at = np.array([np.flatnonzero((x[originals] == row).all(axis=1))[0] for row in x[copies]])
    assert np.array_equal(same.labels[copies], same.labels[originals[at]])


def test_kinds_planted_together_never_meet_and_a_seed_gives_the_same_again():
    records = small_records(120)
    planted = plant(records, KINDS, seed=7)
    values, counts = np.unique(planted.groups["canary"], return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
        **{"mislabelled": 15, "out of distribution": 10},
        **{"near duplicate": 5, "duplicated": 5, "no": 85},
    }
    assert plant(records, KINDS, seed=7).digest == planted.digest
    assert plant(records, KINDS, seed=8).digest != planted.digest
    twice = plant(records, [Mislabelled(count=10), Mislabelled(count=10)], seed=0)
    assert len(of_kind(twice, "mislabelled")) == 20
    assert not holds_canaries(records) and holds_canaries(planted)
    assert plant(records, [], seed=0) is records


def test_a_person_holds_one_canary_at_most():
    base = small_records(120)
    records = replace(base, units=np.arange(120) // 4)
    planted = plant(records, [Mislabelled(count=15), Mislabelled(count=15)], seed=0)
    assert len(np.unique(planted.units[canary_indices(planted)])) == 30
    with pytest.raises(InputError, match=r"1 canaries need .* small has 0 left"):
        Mislabelled(count=1)(planted, seed=0)


def test_coins_decide_of_canaries_and_all_of_them_are_audited():
    planted = plant(small_records(400), [Mislabelled(count=60)], seed=0)
    rows = canary_indices(planted)
    pools = {"audit": 150, "population": 100, "utility": 150}
    who = draw(planted, targets=40, references=8, seed=1, pools=pools, audited=rows)
    assert {k: len(v) for k, v in who.pools.items()} == {**pools, "attack": 0}
    assert np.isin(rows, who.pools["audit"]).all()
    share = who.inside[who.targets][:, rows].mean()
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(40 * 60)
    assert (who.inside[who.references][:, rows].sum(axis=0) == 4).all()
    kept, small = restrict(planted, who)
    assert len(canary_indices(kept)) == 60
    assert np.isin(canary_indices(kept), small.pools["audit"]).all()
    with pytest.raises(InputError, match=r"60 records, with their units, .* has room for 50"):
        draw(planted, targets=1, references=0, seed=1, pools={"audit": 50}, audited=rows)


def test_nobody_audited_by_name_draws_as_before():
    records = small_records(100)
    plain = draw(records, targets=2, references=2, seed=5)
    assert draw(records, targets=2, references=2, seed=5, audited=np.array([], int)).digest == (
        plain.digest
    )


def test_patched_sources_give_the_same_whether_taken_or_gathered():
    planted = plant(small_records(120), KINDS, seed=0)
    assert isinstance(planted.source, PatchedSource)
    order = np.random.default_rng(0).permutation(120)[:70]
    assert np.array_equal(inputs(planted.take(order)), planted.gather(order))
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, size=(120, 8), dtype=np.uint8)
    raw = Records(source=ByteSource(values=values), labels=np.arange(120) % 3, n_classes=3)
    bytes_planted = plant(raw, KINDS, seed=0)
    taken = bytes_planted.take(order)
    assert isinstance(taken.source, PatchedSource)
    assert np.array_equal(inputs(taken), bytes_planted.gather(order))
    for source, message in (
        ({"rows": np.array([1, 1]), "values": np.zeros((2, 8))}, "different indices"),
        ({"rows": np.array([120]), "values": np.zeros((1, 8))}, r"0 .. 119, got 120 .. 120"),
        ({"rows": np.array([3]), "values": np.zeros((1, 7))}, r"shape \(1, 8\), got \(1, 7\)"),
    ):
        with pytest.raises(DataError, match=message):
            PatchedSource(base=raw.source, **source)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mislabelled(count=0), "count must be a whole number of at least 1, got 0"),
        (lambda: NearDuplicates(noise=-1.0), "noise must be finite and at least 0, got -1.0"),
        (lambda: OutOfDistribution(inputs="blue"), "'shuffled' or 'noise', got 'blue'"),
    ],
)
def test_canaries_that_make_no_sense_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


def test_a_users_own_column_of_that_name_is_not_taken_for_canaries():
    records = small_records(60)
    own = replace(records, groups={"canary": np.where(np.arange(60) < 9, "yellow", "red")})
    assert not holds_canaries(own)
    with pytest.raises(DataError, match=r"column of groups 'canary' of their own.*'red'"):
        Mislabelled(count=3)(own, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_repr_is_the_spelling(kind):
    assert parse(repr(kind), NAMES) == kind


# --- measured


def canary_world(targets, canaries, records=400):
    planted = plant(small_records(records), [Mislabelled(count=canaries)], seed=0)
    who = draw(
        planted,
        targets=targets,
        references=0,
        seed=1,
        pools={"audit": records},
        audited=canary_indices(planted),
    )
    column = planted.groups["canary"]
    noise = np.random.default_rng(2).normal(size=who.inside.shape)
    values = noise + 4.0 * who.inside * (column == "mislabelled")
    return Scores(values=values, evaluated=np.ones(values.shape, np.bool_)), who, column


def test_a_leak_of_canaries_alone_is_seen_on_them():
    scores, who, column = canary_world(16, 200)
    (row,) = tpr_on_canaries(scores, who, column, about=ABOUT)
    assert (row.group, row.metric) == ("canary=mislabelled", "tpr at 1% fpr")
    assert row.value > 0.9 and row.interval == "t over targets"
    expected = []
    for values, inside in zip(scores.values, who.inside, strict=True):
        own = column == "mislabelled"
        outside = np.sort(values[own & ~inside])[::-1]
        allowed = int(0.01 * len(outside) + 1e-9)
        expected.append((values[own & inside] > outside[allowed]).mean())
    assert row.value == pytest.approx(np.mean(expected))
    assert row.counts["non_members"] == pytest.approx(
        np.mean([(~inside & (column == "mislabelled")).sum() for inside in who.inside])
    )


def test_few_canaries_are_measured_at_the_fpr_that_they_resolve_or_named():
    scores, who, column = canary_world(8, 60)
    (row,) = tpr_on_canaries(scores, who, column, about=ABOUT)
    assert (row.metric, row.status) == ("tpr at 5% fpr", "measured")
    scores, who, column = canary_world(2, 50)
    (row,) = tpr_on_canaries(scores, who, column, about=ABOUT, fewest=5)
    assert (row.metric, row.status) == ("tpr at 1% fpr", "not resolvable")
    scores, who, column = canary_world(8, 20)
    (row,) = tpr_on_canaries(scores, who, column, about=ABOUT)
    assert row.status == "not resolvable" and "20 of each are needed" in row.why
    with pytest.raises(InputError, match="no evaluated record is a canary"):
        tpr_on_canaries(scores, who, np.full(400, "no"), about=ABOUT)
    with pytest.raises(InputError, match=r"each of 400 records, got the shape \(3,\)"):
        tpr_on_canaries(scores, who, column[:3], about=ABOUT)


def test_the_command_line_plants_canaries_and_audits_show_them(tmp_path):
    spelled = ("--canaries", "Mislabelled(count=70)", "--canaries", "OutOfDistribution(count=6)")
    done = train(tmp_path / "dense", *spelled, "--members", "60", "--targets", "4")
    assert done.code == 0, done.err
    options = ("--attack", "LossThreshold", "--workers", "1", "--out", tmp_path / "r.json")
    done = secateur("audit", tmp_path / "dense", *options)
    assert done.code == 0, done.err
    rows = {(r.group, r.metric): r for r in read_report(tmp_path / "r.json").rows}
    assert ("canary=mislabelled", "tpr at 1% fpr") not in rows  # not resolved: 10 % in its place
    assert rows["canary=mislabelled", "tpr at 10% fpr"].status == "measured"
    assert " at 10%" in done.out
    small = rows["canary=out of distribution", "auc"]
    assert small.status == "not resolvable" and "canary=no" in {g for g, _ in rows}
    assert "canary=mislabelled" in done.out
    bad = train(tmp_path / "bad", "--canaries", "Mislabeled(count=3)")
    assert bad.code == 2 and "did you mean 'Mislabelled'?" in bad.err
    many = train(tmp_path / "many", "--canaries", "Mislabelled(count=100)")
    assert many.code == 2 and "has room for 80" in many.err
    assert not (tmp_path / "many").exists()

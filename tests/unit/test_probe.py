"""Signals equal their formulas at any size of logits; fleets are queried as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.fft import dct

from secateur import spreading
from secateur.compress import Magnitude
from secateur.errors import InputError
from secateur.models import logits_of, rebuild
from secateur.probe import SignalProbe, signals, softmax
from secateur.probe.run import join_views, observe, snapshot_view
from secateur.train import Snapshots, apply, train_fleet
from secateur.types import Signal
from small_world import CLASSES, small_membership, small_recipe, small_records

NAMES = ("margin", "log_confidence", "loss", "entropy", "modified_entropy", "correct")
ALL = tuple(Signal(name=name) for name in NAMES)
MARGIN = Signal(name="margin")


def cases(size):
    """Return logits within +-size, and labels."""
    return (
        st.tuples(st.integers(1, 5), st.integers(2, 5))
        .flatmap(
            lambda shape: st.tuples(
                arrays(np.float64, shape, elements=st.floats(-size, size)),
                arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
            )
        )
        .map(tuple)
    )


def naive(z, y, name):
    """Return a signal of one record as its definition reads."""
    p = np.exp(z) / np.exp(z).sum()
    others = np.arange(len(z)) != y
    values = {
        "margin": np.log(p[y]) - np.log(p[others].sum()),
        "log_confidence": np.log(p[y]),
        "loss": -np.log(p[y]),
        "entropy": -(p * np.log(p)).sum(),
        "modified_entropy": -p[others].sum() * np.log(p[y])
        - sum(p[i] * np.log(p[np.arange(len(z)) != i].sum()) for i in np.flatnonzero(others)),
        "correct": float(np.argmax(z) == y),
    }
    return values[name]


# --- signals ---


@pytest.mark.parametrize("name", NAMES)
@given(case=cases(15.0), temperature=st.sampled_from([1.0, 0.5, 4.0]))
def test_a_signal_equals_its_formula(name, case, temperature):
    z, y = case
    wanted = Signal(name=name, temperature=temperature)
    found = signals(z, y, [wanted])[wanted.key]
    expected = [naive(a / temperature, b, name) for a, b in zip(z, y, strict=True)]
    assert found.dtype == np.float32
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)


@given(case=cases(1e37))
def test_signals_of_the_largest_logits_are_finite(case):
    z, y = case
    for key, values in signals(z, y, ALL).items():
        assert np.isfinite(values).all(), key


@given(case=cases(1e4))
def test_signals_keep_their_signs_and_their_order(case):
    found = signals(*case, ALL)
    assert (found["loss"] >= 0).all()
    assert np.array_equal(found["loss"], -found["log_confidence"])
    assert (found["entropy"] >= 0).all()
    assert (found["entropy"] <= np.log(case[0].shape[1]) + 1e-6).all()
    assert (found["modified_entropy"] >= 0).all()
    assert set(found["correct"].tolist()) <= {0.0, 1.0}
    assert (found["correct"][found["margin"] > 0] == 1).all()


@given(case=cases(10.0), shift=st.floats(-1000, 1000))
def test_signals_do_not_change_when_all_logits_of_a_record_move(case, shift):
    z, y = case
    before, after = signals(z, y, ALL[:5]), signals(z + shift, y, ALL[:5])
    for key, values in before.items():
        assert np.allclose(values, after[key], rtol=1e-5, atol=1e-6), key


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_modified_entropy_and_entropy_are_zero_where_the_true_class_is_certain(classes):
    z = np.zeros((1, classes))
    z[0, 1] = 1e4
    found = signals(z, np.array([1]), ALL)
    assert (found["modified_entropy"], found["entropy"], found["loss"]) == (0.0, 0.0, 0.0)
    assert found["margin"] == np.float32(1e4 - np.log(classes - 1))


def test_modified_entropy_grows_without_bound_where_a_wrong_class_is_certain():
    z = np.array([[0.0, 1e3], [0.0, 1e4]])
    found = signals(z, np.array([0, 0]), ALL)
    assert found["modified_entropy"].tolist() == [2e3, 2e4]
    assert found["entropy"].tolist() == [0.0, 0.0]


def test_small_losses_are_exact_where_the_softmax_is_one():
    found = signals(np.array([[40.0, 0.0]]), np.array([0]), ALL)
    assert found["loss"] == np.float32(np.exp(-40.0))


@given(cases(30), st.sampled_from([1.0, 2.0]))
def test_coordinates_are_the_cosine_transform_of_the_log_probabilities(case, temperature):
    z, y = case
    classes = z.shape[1]
    wanted = [
        Signal(name="coordinate", part=part, temperature=temperature) for part in range(classes)
    ]
    found = np.stack([signals(z, y, wanted)[s.key] for s in wanted], axis=1)
    log_p = np.log(np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True))
    expected = dct(log_p, type=2, norm="ortho", axis=1)[:, 1:]
    np.testing.assert_allclose(found[:, :-1], expected, rtol=1e-4, atol=1e-4)
    assert not found[:, -1].any()  # classes - 1 of them are all there is


def test_a_part_counts_coordinates_alone():
    third = Signal(name="coordinate", part=3, temperature=2.0)
    assert third.key == "coordinate#3@2"
    assert repr(third) == "Signal(name='coordinate', temperature=2.0, part=3)"
    assert repr(MARGIN) == "Signal(name='margin', temperature=1.0)"  # keys of fleets spell it so
    for wrong in ({"name": "margin", "part": 1}, {"name": "coordinate", "part": -1}):
        with pytest.raises(InputError, match="part counts coordinates from 0, got part="):
            Signal(**wrong)


def test_of_equal_logits_the_first_counts_as_the_answer():
    z = np.array([[1.0, 1.0, 0.0]] * 2)
    assert signals(z, np.array([0, 1]), ALL)["correct"].tolist() == [1.0, 0.0]


def test_every_signal_and_temperature_has_an_entry_of_its_own():
    wanted = [Signal(name=n, temperature=t) for n in ("loss", "margin") for t in (1.0, 4.0)]
    found = signals(np.array([[2.0, 0.0]]), np.array([0]), wanted)
    assert set(found) == {"loss", "loss@4", "margin", "margin@4"}
    assert found["margin@4"] == found["margin"] / 4


@pytest.mark.parametrize(("z", "y"), [((3,), (3,)), ((3, 1), (3,)), ((3, 2), (2,)), ((1, 3, 2), 1)])
def test_logits_and_labels_of_other_shapes_are_refused(z, y):
    with pytest.raises(InputError, match=r"\[records, classes >= 2\] and labels \[records\], got"):
        signals(np.zeros(z), np.zeros(y, dtype=int), ALL)


def test_no_records_give_empty_signals():
    for key, values in signals(np.zeros((0, 3)), np.zeros(0, dtype=int), ALL).items():
        assert values.shape == (0,), key


@given(case=cases(1e30))
def test_softmax_is_a_distribution_at_any_size_of_logits(case):
    p = softmax(case[0])
    assert p.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()
    assert np.allclose(p.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("size", [1e12, 1e20, -1e37])
def test_equal_logits_share_the_probability_whatever_their_size(size):
    z = np.full((1, 4), size)
    found = signals(z, np.array([2]), ALL)
    assert softmax(z).tolist() == [[0.25] * 4]
    assert np.isclose(found["entropy"], np.log(4))
    assert np.isclose(found["margin"], -np.log(3))
    assert np.isclose(found["modified_entropy"], naive(np.zeros(4), 2, "modified_entropy"))


def test_a_probe_gives_the_signals_it_was_made_for():
    z, y = np.array([[1.0, 3.0]]), np.array([1])
    found = SignalProbe(signals=(MARGIN,))(z, y)
    assert set(found) == {"margin"}
    assert found["margin"] == signals(z, y, [MARGIN])["margin"]


# --- fleets ---

PROBE = SignalProbe(signals=(MARGIN, Signal(name="correct")))


@pytest.fixture(scope="module")
def records():
    return small_records()


@pytest.fixture(scope="module")
def fleet(records):
    who = small_membership(records)
    snapshots = Snapshots(epochs=(1, 3), probe=PROBE)
    return train_fleet(small_recipe(), records, who, seed=0, engine="serial", snapshots=snapshots)


@pytest.fixture(scope="module")
def seen(fleet, records):
    return observe(fleet, records, signals=ALL)


def same(first, second):
    assert first.views.keys() == second.views.keys()
    for view, named in first.views.items():
        assert named.keys() == second.views[view].keys()
        assert all(np.array_equal(a, second.views[view][k]) for k, a in named.items())
    assert first.posteriors.keys() == second.posteriors.keys()
    assert all(np.array_equal(a, second.posteriors[k]) for k, a in first.posteriors.items())


def test_a_view_has_one_row_per_model_and_one_column_per_record(fleet, records, seen):
    assert set(seen.views) == {"dense"}
    assert seen.primary == "dense"
    assert set(seen.views["dense"]) == set(NAMES)
    for values in seen.views["dense"].values():
        assert values.shape == (len(fleet), len(records))
    assert np.array_equal(seen.labels, records.labels)
    assert np.array_equal(seen.ids, records.ids)


def test_what_is_seen_is_what_each_model_answers(fleet, records, seen):
    for i, artifact in enumerate(fleet.artifacts):
        logits = logits_of(rebuild(artifact, fleet.recipe.build), records)
        expected = signals(logits, records.labels, ALL)
        for key, values in expected.items():
            assert np.array_equal(seen.views["dense"][key][i], values), key


def test_posteriors_are_kept_for_the_targets_alone_in_their_order(fleet, records, seen):
    targets = fleet.membership.targets
    kept = seen.posteriors["dense"]
    assert kept.shape == (len(targets), len(records), CLASSES)
    for row, model in enumerate(targets):
        logits = logits_of(rebuild(fleet.artifacts[model], fleet.recipe.build), records)
        assert np.array_equal(kept[row], softmax(logits))
    assert observe(fleet, records, signals=[MARGIN], posteriors=False).posteriors == {}


@pytest.mark.slow
def test_workers_see_what_one_process_sees(fleet, records, seen, monkeypatch):
    monkeypatch.setattr(spreading, "WORTH", -1.0)
    same(observe(fleet, records, signals=ALL, workers=2), seen)


def test_a_fleet_on_disk_is_seen_as_the_one_in_memory(fleet, records, seen, tmp_path):
    stored = train_fleet(
        small_recipe(), records, fleet.membership, seed=0, engine="serial", folder=tmp_path
    )
    same(observe(stored, records, signals=ALL), seen)


def test_progress_is_told_of_every_model(fleet, records):
    calls = []
    observe(fleet, records, signals=[MARGIN], progress=lambda *a: calls.append(a[:2]))
    assert calls == [(i, len(fleet)) for i in range(len(fleet) + 1)]


def test_a_fleet_without_recipe_or_with_other_records_is_refused(fleet, records):
    with pytest.raises(InputError, match="no recipe; open it with the recipe"):
        observe(replace(fleet, recipe=None), records, signals=[MARGIN])
    with pytest.raises(InputError, match="60 records, but the fleet's membership is over 120"):
        observe(fleet, small_records(60), signals=[MARGIN])


def test_a_snapshot_view_holds_what_the_probe_kept_at_that_epoch(fleet, records, seen):
    early, last = (snapshot_view(fleet, records, e) for e in (1, 3))
    assert (early.primary, last.primary) == ("dense, epoch 1", "dense, epoch 3")
    assert early.posteriors == {}
    for key in ("margin", "correct"):
        rows = [a.snapshots[key][0] for a in fleet.artifacts]
        assert np.array_equal(early.views["dense, epoch 1"][key], rows)
        assert np.array_equal(last.views["dense, epoch 3"][key], seen.views["dense"][key])
    with pytest.raises(InputError, match=r"no snapshot after epoch 2; there are \[1, 3\]"):
        snapshot_view(fleet, records, 2)


def test_joined_views_stand_side_by_side_and_the_first_stays_primary(fleet, records, seen):
    pruned = apply(Magnitude(rate=2.0, retrain_epochs=0), fleet, records, seed=0, engine="serial")
    other = observe(pruned, records, signals=ALL)
    both = join_views(seen, other, snapshot_view(fleet, records, 1))
    assert set(both.views) == {"dense", "magnitude", "dense, epoch 1"}
    assert both.primary == "dense"
    assert set(both.posteriors) == {"dense", "magnitude"}
    assert np.array_equal(both.signal(MARGIN, view="magnitude"), other.signal(MARGIN))
    assert set(seen.views) == {"dense"}


def test_views_of_different_memberships_are_not_joined(fleet, seen):
    other = replace(seen, membership=replace(seen.membership, seed=99))
    with pytest.raises(InputError, match="different memberships cannot stand side by side"):
        join_views(seen, other)

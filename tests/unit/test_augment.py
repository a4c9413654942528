"""Augmentation in training and augmented queries: right pixels, right seeds, one arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from by_hand import moment
from secateur import RMIA, LiRA, Queries, RandomCrop, RandomFlip, RandomShift
from secateur.compress import ADMM
from secateur.data import digits, draw, restrict
from secateur.errors import DataError, MethodError
from secateur.models import MLP, SmallCNN, logits_of, rebuild
from secateur.probe import SignalProbe
from secateur.probe.run import observe, snapshot_view
from secateur.train import Adam, Batch, Recipe, Snapshots, apply, train_fleet
from secateur.train.augment import moved
from secateur.types import Signal

MARGIN = Signal(name="margin")


def pictures(n=5, channels=2, height=6, width=7, seed=0):
    return torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


def slowly_moved(picture, down, right, padding, border):
    """Move one picture pixel by pixel."""
    channels, height, width = picture.shape
    out = np.zeros_like(picture)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                a, b = y + down - padding, x + right - padding
                if border == "reflect":
                    a = -a if a < 0 else 2 * (height - 1) - a if a >= height else a
                    b = -b if b < 0 else 2 * (width - 1) - b if b >= width else b
                if 0 <= a < height and 0 <= b < width:
                    out[c, y, x] = picture[c, a, b]
    return out


@given(
    padding=st.integers(1, 4), border=st.sampled_from(["zero", "reflect"]), seed=st.integers(0, 99)
)
def test_moved_pictures_equal_those_moved_pixel_by_pixel(padding, border, seed):
    inputs = pictures(seed=seed)
    g = torch.Generator().manual_seed(seed)
    down, right = torch.randint(2 * padding + 1, (2, len(inputs)), generator=g)
    found = moved(inputs, down, right, padding=padding, border=border)
    for i, picture in enumerate(inputs.numpy()):
        expected = slowly_moved(picture, int(down[i]), int(right[i]), padding, border)
        np.testing.assert_array_equal(found[i].numpy(), expected)


def run(hook, inputs, seed):
    now = moment({"w": torch.zeros(1, 1)})
    noise = hook.noise(torch.Generator().manual_seed(seed), now, len(inputs))
    labels = torch.arange(len(inputs))
    return hook.batch({}, now, Batch(inputs, labels, labels), noise)[1]


@pytest.mark.parametrize("hook", [RandomCrop(padding=2), RandomShift(padding=2), RandomFlip()])
def test_a_hook_changes_inputs_alone_repeatably_and_lifts_over_models(hook):
    inputs = pictures(n=40)
    before = inputs.clone()
    one, again, other = (run(hook, inputs, seed) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, again.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.labels, torch.arange(40))
    assert torch.equal(inputs, before)
    now = moment({"w": torch.zeros(1, 1)})
    noises = [hook.noise(torch.Generator().manual_seed(s), now, 40) for s in (1, 2)]
    stacked = {k: torch.stack([n[k] for n in noises]) for k in noises[0]}
    labels = torch.arange(40)

    def lifted(noise):
        return hook.batch({}, now, Batch(inputs, labels, labels), noise)[1].inputs

    both = torch.func.vmap(lifted)(stacked)
    assert torch.equal(both[0], one.inputs) and torch.equal(both[1], other.inputs)


def test_every_window_of_a_crop_is_drawn_and_each_record_has_its_own():
    hook = RandomCrop(padding=1)
    inputs = torch.zeros(900, 1, 3, 3)
    inputs[:, 0, 1, 1] = 1.0
    places = run(hook, inputs, 0).inputs.flatten(1).argmax(1)
    counts = torch.bincount(places, minlength=9)
    assert counts.min() > 60 and counts.sum() == 900


@pytest.mark.parametrize("probability", [0.2, 1.0])
def test_a_flip_mirrors_left_to_right_as_often_as_asked(probability):
    inputs = pictures(n=2000, channels=1, height=2, width=2)
    found = run(RandomFlip(probability=probability), inputs, 0).inputs
    flipped = (found == inputs.flip(-1)).flatten(1).all(1)
    kept = (found == inputs).flatten(1).all(1)
    assert (flipped | kept).all()
    assert abs(flipped.float().mean().item() - probability) < 0.03


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCrop(padding=0), "padding must be a whole number of at least 1, got 0"),
        (lambda: RandomCrop(padding=1.5), "got 1.5"),
        (lambda: RandomShift(border="wrap"), "border must be 'zero' or 'reflect', got 'wrap'"),
        (lambda: RandomFlip(probability=0), r"probability must be in \(0, 1\], got 0"),
        (lambda: Queries(shift=-1), "shift must be a whole number of at least 0, got -1"),
        (lambda: Queries(shift=True), "shift must be a whole number"),
        (lambda: Queries(flip=2), "flip must be True or False, got 2"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(MethodError, match=message):
        make()


@pytest.mark.parametrize("hook", [RandomCrop(padding=4), RandomFlip()])
def test_records_that_are_no_pictures_are_refused(hook):
    with pytest.raises(DataError, match=r"changes pictures .* the records have the shape \(3,\)"):
        run(hook, torch.zeros(4, 3), 0)
    if isinstance(hook, RandomCrop):
        with pytest.raises(DataError, match="larger than 4 pixels"):
            run(hook, torch.zeros(4, 1, 4, 9), 0)


# -- queries --------------------------------------------------------------------------------------


def test_queries_are_the_moves_and_mirrors_of_the_training_hooks():
    inputs = pictures()
    changes = Queries(flip=True, shift=2).changes()
    assert len(changes) == 18
    np.testing.assert_array_equal(changes[0](inputs.numpy()), inputs.numpy())
    found = [change(inputs.numpy()) for change in changes]
    assert len({a.tobytes() for a in found}) == 18
    expected = []
    for flip in (False, True):
        start = inputs.flip(-1) if flip else inputs
        for down in (2, 4, 0):
            for right in (2, 4, 0):
                places = (torch.full((5,), down), torch.full((5,), right))
                expected.append(moved(start, *places, padding=2, border="reflect").numpy())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_queries_of_records_that_are_no_pictures_are_refused():
    with pytest.raises(DataError, match=r"need pictures .* shape \(7,\); ask with Queries"):
        Queries(flip=True).changes()[1](np.zeros((2, 7), np.float32))
    with pytest.raises(DataError, match="larger than 3 pixels"):
        Queries(shift=3).changes()[1](np.zeros((2, 1, 3, 3), np.float32))


@pytest.fixture(scope="module")
def fleet():
    records = digits()
    who = draw(
        records,
        targets=2,
        references=8,
        seed=0,
        pools={"audit": 80, "population": 40, "utility": 40},
    )
    records, who = restrict(records, who)
    asked = Queries(flip=True, shift=1)
    recipe = Recipe(
        build=SmallCNN(channels=1, widths=(4, 8)),
        optimiser=Adam(lr=5e-3),
        epochs=2,
        batch_size=16,
        hooks=(RandomCrop(padding=1), RandomFlip()),
    )
    probe = SignalProbe(signals=(MARGIN, Signal(name="correct")))
    made = train_fleet(
        recipe,
        records,
        who,
        seed=0,
        engine="serial",
        snapshots=Snapshots(epochs=(2,), probe=probe, queries=asked),
    )
    return records, made, asked


def test_observations_hold_every_query_and_the_first_is_the_record_as_it_is(fleet):
    records, made, asked = fleet
    signals = (MARGIN, Signal(name="log_confidence", temperature=4.0))
    seen = observe(made, records, signals=signals, queries=asked)
    once = observe(made, records, signals=signals)
    assert seen.signal(MARGIN).shape == (10, 18, len(records))
    np.testing.assert_array_equal(seen.plain(MARGIN), once.signal(MARGIN))
    np.testing.assert_array_equal(once.plain(MARGIN), once.signal(MARGIN))
    np.testing.assert_array_equal(seen.posteriors["dense"], once.posteriors["dense"])
    flipped = logits_of(
        rebuild(made.artifacts[3], made.recipe.build), records, change=asked.changes()[9]
    )
    expected = SignalProbe(signals=(MARGIN,))(flipped, records.labels)["margin"]
    np.testing.assert_array_equal(seen.views["dense"]["margin"][3, 9], expected)
    for attack in (LiRA(), RMIA()):
        assert not np.array_equal(attack(seen).values, attack(once).values)


def test_snapshots_hold_the_same_queries(fleet):
    records, made, asked = fleet
    seen = observe(made, records, signals=(MARGIN,), queries=asked)
    np.testing.assert_array_equal(
        snapshot_view(made, records, 2).signal(MARGIN), seen.signal(MARGIN)
    )


@pytest.mark.slow
def test_augmentation_changes_the_model_and_carries_over_to_pruning(fleet):
    records, made, _ = fleet
    plain = replace(made.recipe, hooks=())
    other = train_fleet(plain, records, made.membership, seed=0, engine="serial")
    assert other.artifacts[0].digest != made.artifacts[0].digest
    method = ADMM(rate=4, updates=1, epochs_per_update=1, retrain_epochs=1)
    for phase in method.phases(made.recipe):
        assert phase.hooks[:2] == made.recipe.hooks
    pruned = apply(method, made, records, seed=0, engine="serial")
    again = apply(method, made, records, seed=0, engine="processes")
    assert [a.digest for a in pruned.artifacts] == [a.digest for a in again.artifacts]


def test_augmentation_of_a_table_is_refused_before_long(fleet):
    records, made, _ = fleet
    flat = replace(
        records,
        source=replace(
            records.source, values=records.gather(np.arange(len(records))).reshape(len(records), -1)
        ),
    )
    recipe = Recipe(build=MLP(widths=(64, 10)), hooks=(RandomFlip(),), epochs=1)
    with pytest.raises(DataError, match="RandomFlip changes pictures"):
        train_fleet(recipe, flat, made.membership, seed=0, engine="serial")

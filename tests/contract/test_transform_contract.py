"""What every transform of `compress` keeps to; a new one needs two spellings here."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from secateur import compress, store
from secateur.compress import (
    ADMM,
    FromScratch,
    Magnitude,
    QuantisationAware,
    RandomMask,
    RefreshStatistics,
    RewindCritical,
    count_kept,
)
from secateur.errors import SecateurWarning
from secateur.models import logits_of, prunable, rebuild
from secateur.train import SGD, Adam, Transform, apply, train_fleet
from secateur.types import Records
from small_world import SmallNet, small_membership, small_recipe, small_records

SHORT = {
    "FromScratch": FromScratch(epochs=1),
    "ADMM": ADMM(rate=4.0, updates=2, epochs_per_update=1, retrain_epochs=1),
    "Magnitude": Magnitude(rate=4.0, retrain_epochs=1),
    "QuantisationAware": QuantisationAware(bits=16, epochs=1),  # too fine to round one to zero
    "RandomMask": RandomMask(rate=4.0, epochs=1),
    "RefreshStatistics": RefreshStatistics(epochs=1),
    "RewindCritical": RewindCritical(share=0.1, score="members", epochs=1),  # without a pool
}
IDLE = {
    "FromScratch": FromScratch(epochs=0),
    "ADMM": ADMM(sparsity=0.0, updates=0, retrain_epochs=0),
    "Magnitude": Magnitude(sparsity=0.0, retrain_epochs=0),
    "QuantisationAware": QuantisationAware(epochs=0),
    "RandomMask": RandomMask(sparsity=0.0, epochs=0),
    "RefreshStatistics": RefreshStatistics(epochs=0),
    "RewindCritical": RewindCritical(share=0.0, epochs=0),
}
RATES = {
    "FromScratch": 4,
    "ADMM": 4,
    "Magnitude": 4,
    "QuantisationAware": 1,
    "RandomMask": 4,
    "RefreshStatistics": 1,
    "RewindCritical": 1,
}
ROUNDS = {"QuantisationAware"}  # rounding changes weights once, and nothing the second time
LISTED = [
    name
    for name in compress.__all__
    if inspect.isclass(getattr(compress, name)) and hasattr(getattr(compress, name), "phases")
]
BUILD = SmallNet(batch_norm=True)


class LoggingSource:
    """Remembers which records were gathered."""

    def __init__(self, source):
        self.source = source
        self.calls = []

    @property
    def shape(self):
        return self.source.shape

    def gather(self, indices):
        self.calls.append(np.asarray(indices))
        return self.source.gather(indices)

    def digest(self):
        return self.source.digest()


@pytest.fixture(scope="module")
def dense_world():
    records = small_records()
    membership = small_membership(records)
    recipe = small_recipe(build=BUILD, epochs=1)
    return records, membership, train_fleet(recipe, records, membership, seed=0, engine="serial")


def needs_masks(name):
    return getattr(SHORT[name], "masks_only", False)


@pytest.fixture
def world(name, dense_world):
    """Records, membership and what the transform is applied to."""
    records, membership, dense = dense_world
    if not needs_masks(name):
        return dense_world
    return records, membership, apply(SHORT["Magnitude"], dense, records, seed=0, engine="serial")


def digests(fleet):
    return [a.digest for a in fleet.artifacts]


def test_every_listed_transform_has_a_spelling_in_this_contract():
    assert sorted(LISTED) == sorted(SHORT) == sorted(IDLE)


@pytest.mark.parametrize("name", LISTED)
class TestTransform:
    def test_it_is_a_frozen_dataclass_whose_repr_spells_it(self, name, world):
        transform = SHORT[name]
        assert isinstance(transform, Transform)
        assert transform.__dataclass_params__.frozen
        assert transform.revision >= 1
        assert transform.reference
        names = {**{n: getattr(compress, n) for n in LISTED}, "Adam": Adam, "SGD": SGD}
        assert eval(repr(transform), {"__builtins__": {}}, names) == transform

    def test_its_input_is_untouched_and_the_membership_carried_over(self, name, world):
        records, membership, dense = world
        before = digests(dense)
        made = apply(SHORT[name], dense, records, seed=0, engine="serial")
        assert digests(dense) == before
        assert made.membership.digest == membership.digest
        assert all(a != b for a, b in zip(digests(made), before, strict=True))

    def test_the_asked_rate_is_reached_on_the_stored_weights(self, name, world):
        records, _, dense = world
        made = apply(SHORT[name], dense, records, seed=0, engine="serial")
        module = BUILD()
        names = {n for n, _ in module.named_parameters()}
        for artifact in made.artifacts:
            counts = count_kept(artifact.tensors, prunable(module), names)
            assert counts["kept"] == round(counts["prunable"] / RATES[name])
            assert sum(int(m.sum()) for m in artifact.masks.values()) == counts["kept"]
            assert list(artifact.masks) == sorted(artifact.masks)
            for layer, mask in artifact.masks.items():
                assert not artifact.tensors[layer][~mask].any()

    def test_the_same_seed_gives_the_same_bytes(self, name, world):
        records, _, dense = world
        first, again = (
            apply(SHORT[name], dense, records, seed=0, engine="serial") for _ in range(2)
        )
        assert digests(first) == digests(again)
        with pytest.warns(SecateurWarning, match="another seed than 1"):
            other = apply(SHORT[name], dense, records, seed=1, engine="serial")
        assert digests(first) != digests(other)

    def test_while_a_model_is_made_only_its_members_are_read(self, name, world):
        records, membership, dense = world
        source = LoggingSource(records.source)
        watched = Records(
            source=source, labels=records.labels, n_classes=records.n_classes, name=records.name
        )
        apply(SHORT[name], dense, watched, seed=0, engine="serial")
        assert len(source.calls) == len(membership)
        for model, read in enumerate(source.calls):
            np.testing.assert_array_equal(np.sort(read), membership.members(model))

    def test_saved_and_rebuilt_it_gives_the_same_logits_and_masks(self, name, world, tmp_path):
        records, _, dense = world
        artifact = apply(SHORT[name], dense, records, seed=0, engine="serial").artifacts[0]
        store.write_artifact(tmp_path / "model.safetensors", artifact)
        read = store.read_artifact(tmp_path / "model.safetensors")
        assert read.digest == artifact.digest
        assert read.masks.keys() == artifact.masks.keys()
        for held in (artifact, read):
            np.testing.assert_array_equal(
                logits_of(rebuild(held, BUILD), records),
                logits_of(rebuild(artifact, BUILD), records),
            )

    def test_sparsity_zero_without_epochs_leaves_the_logits_equal(self, name, dense_world):
        records, _, dense = dense_world
        if needs_masks(name):
            dense = apply(IDLE["Magnitude"], dense, records, seed=0, engine="serial")
        if name in ROUNDS:
            dense = apply(IDLE[name], dense, records, seed=0, engine="serial")
        made = apply(IDLE[name], dense, records, seed=0, engine="serial")
        start = dense
        if IDLE[name].fresh or needs_masks(name):
            untrained = small_recipe(build=BUILD, epochs=0)
            start = train_fleet(untrained, records, dense.membership, seed=0, engine="serial")
        for before, after in zip(start.artifacts, made.artifacts, strict=True):
            np.testing.assert_array_equal(
                logits_of(rebuild(before, BUILD), records),
                logits_of(rebuild(after, BUILD), records),
            )

    def test_torchs_own_random_state_is_left_alone(self, name, world):
        records, _, dense = world
        before = torch.get_rng_state()
        apply(SHORT[name], dense, records, seed=0, engine="serial")
        assert torch.equal(torch.get_rng_state(), before)

"""The paper's networks: published sizes, every step of the pipeline, BatchNorm throughout."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from secateur import store
from secateur.compress import ADMM, Magnitude, RefreshStatistics, count_kept
from secateur.errors import DataError, MethodError
from secateur.models import (
    MLP,
    VGG16,
    MobileNetV2,
    Normalised,
    ResNet18,
    SmallCNN,
    logits_of,
    prunable,
    rebuild,
)
from secateur.train import Adam, Recipe, apply, train_fleet
from secateur.train.statistics import FreshStatistics
from secateur.types import ByteSource, Records
from small_world import small_membership

NARROW = {
    "VGG16": VGG16(width=0.05),
    "ResNet18": ResNet18(width=0.05),
    "MobileNetV2": MobileNetV2(width=0.1),
    "SmallCNN": SmallCNN(widths=(4, 8)),
    "Normalised": Normalised(build=SmallCNN(widths=(4, 8)), mean=(0.4, 0.5, 0.6), std=(0.2,) * 3),
}


def size(build) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build().parameters())


@pytest.mark.parametrize(
    ("build", "published"),
    [
        (VGG16(), 14_728_266),
        (VGG16(classes=1000, stem="imagenet"), 138_365_992),
        (ResNet18(), 11_173_962),
        (ResNet18(classes=1000, stem="imagenet"), 11_689_512),
        (MobileNetV2(), 2_296_922),
        (MobileNetV2(classes=1000, stem="imagenet"), 3_504_872),
        (MLP(widths=(600, 1024, 512, 256, 128, 100), activation="tanh"), 1_317_348),
    ],
    ids=repr,
)
def test_a_network_has_the_published_number_of_parameters(build, published):
    assert size(build) == published


def test_the_tanh_network_of_purchase_counts_by_hand_and_squashes():
    widths = (600, 1024, 512, 256, 128, 100)
    assert size(MLP(widths=widths)) == sum(a * b + b for a, b in pairwise(widths))
    net = MLP(widths=(2, 3, 2), activation="tanh")()
    assert [type(m) for m in net] == [nn.Flatten, nn.Linear, nn.Tanh, nn.Linear]


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("kind", [VGG16, ResNet18, MobileNetV2])
def test_outputs_have_one_logit_per_class_at_several_sizes(kind, stem):
    net = kind(width=0.05, channels=1, classes=7, stem=stem)().eval()
    for side in (32, 48):
        assert net(torch.rand(2, 1, side, side)).shape == (2, 7)


@pytest.mark.parametrize("kind", [VGG16, ResNet18, MobileNetV2])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, r"width must be in \(0, 4\], got 0"),
        ({"stem": "mnist"}, "stem must be 'cifar' or 'imagenet', got 'mnist'"),
        ({"classes": 1}, "at least 1 channel and 2 classes, got channels=3, classes=1"),
        ({"classes": 2.5}, "got channels=3, classes=2.5"),
        ({"width": True}, r"width must be in \(0, 4\], got True"),
    ],
)
def test_fields_that_make_no_network_are_refused(kind, fields, message):
    with pytest.raises(MethodError, match=message):
        kind(**fields)


def test_only_depthwise_kernels_norms_and_biases_are_left_whole():
    net = MobileNetV2(width=0.1)()
    names = set(prunable(net))
    for name, part in net.named_modules():
        weight = f"{name}.weight"
        if isinstance(part, nn.Conv2d):
            assert (weight in names) == (part.groups == 1)
        elif isinstance(part, nn.Linear):
            assert weight in names
    assert not any("bn" in n for n in prunable(ResNet18(width=0.05)()))
    assert len(prunable(VGG16(width=0.05)())) == 14


# -- the whole pipeline --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 3
    values = rng.integers(0, 256, size=(48, 3, 32, 32), dtype=np.uint8)
    return Records(source=ByteSource(values=values), labels=labels, n_classes=10, name="noise")


@pytest.mark.parametrize("name", sorted(NARROW))
def test_a_network_trains_prunes_retrains_and_comes_back_from_its_file(name, pictures, tmp_path):
    build = NARROW[name]
    who = small_membership(pictures, targets=1, references=0)
    recipe = Recipe(build=build, optimiser=Adam(lr=1e-3), epochs=1, batch_size=12)
    dense = train_fleet(recipe, pictures, who, seed=0, engine="serial")
    method = ADMM(rate=4.0, updates=1, epochs_per_update=1, retrain_epochs=1)
    artifact = apply(method, dense, pictures, seed=0, engine="serial").artifacts[0]
    module = build()
    counts = count_kept(
        artifact.tensors, prunable(module), [n for n, _ in module.named_parameters()]
    )
    assert counts["kept"] == pytest.approx(counts["prunable"] / 4, abs=1)
    assert set(artifact.masks) == set(prunable(module))
    store.write_artifact(tmp_path / "m.safetensors", artifact)
    read = rebuild(store.read_artifact(tmp_path / "m.safetensors"), build)
    np.testing.assert_array_equal(
        logits_of(read, pictures), logits_of(rebuild(artifact, build), pictures)
    )
    before, after = dense.artifacts[0].tensors, artifact.tensors
    running = [n for n in after if n.endswith(("running_mean", "running_var"))]
    assert running and all(not np.array_equal(before[n], after[n]) for n in running)
    assert not any(n.endswith(("running_mean", "running_var")) for n in artifact.masks)
    steps = [n for n in after if n.endswith("num_batches_tracked")]
    assert all(after[n].dtype == np.int64 and after[n] > before[n] for n in steps)


# -- BatchNorm -----------------------------------------------------------------------------------


def exact_statistics(module, inputs):
    """Return the mean and variance of every BatchNorm's input over all records at once."""
    found = {}
    hooks = []
    for name, part in module.named_modules():
        if isinstance(part, nn.BatchNorm2d):

            def see(part, args, name=name):
                x = args[0].detach()
                found[name] = (x.mean((0, 2, 3)), x.var((0, 2, 3)))

            hooks.append(part.register_forward_pre_hook(see))
    module.train()
    with torch.no_grad():
        module(inputs)
    for hook in hooks:
        hook.remove()
    return found


def distance(artifact, exact):
    """Return the mean distance of running means from exact ones, in deviations."""
    gaps = []
    for name, (mean, var) in exact.items():
        running = torch.from_numpy(np.array(artifact.tensors[f"{name}.running_mean"]))
        gaps.append(((running - mean) / var.sqrt().clamp_min(1e-3)).abs().mean().item())
    return float(np.mean(gaps))


def test_retraining_refreshes_the_statistics_that_a_hard_prune_made_stale(pictures):
    build, dense, stale = pruned_and_left(pictures)
    method = Magnitude(rate=8, retrain_epochs=12, optimiser=Adam(lr=1e-4))
    fresh = apply(method, dense, pictures, seed=0).artifacts[0]
    members = torch.from_numpy(pictures.gather(dense.membership.members(0)))
    before = distance(stale, exact_statistics(rebuild(stale, build), members))
    after = distance(fresh, exact_statistics(rebuild(fresh, build), members))
    assert before > 0.2
    assert after < before / 4
    for name in dense.artifacts[0].tensors:
        if name.endswith("running_mean"):
            np.testing.assert_array_equal(stale.tensors[name], dense.artifacts[0].tensors[name])


def pruned_and_left(pictures):
    """Return a plan, its dense fleet, and the model pruned from it whose statistics are stale."""
    build = SmallCNN(widths=(8, 16, 16))
    who = small_membership(pictures, targets=1, references=0)
    recipe = Recipe(build=build, optimiser=Adam(lr=3e-3), epochs=8, batch_size=12)
    dense = train_fleet(recipe, pictures, who, seed=0, engine="serial")
    stale = apply(Magnitude(rate=8, retrain_epochs=0), dense, pictures, seed=0)
    return build, dense, stale.artifacts[0]


def by_hand(module, batches):
    """Return the running statistics of Algorithm 2 of Ioffe & Szegedy, one layer after another."""
    sums = {}
    for batch in batches:
        for name, (mean, var) in exact_statistics(module, batch).items():
            before = sums.get(name, (0.0, 0.0))
            sums[name] = (before[0] + len(batch) * mean, before[1] + len(batch) * var)
    n = sum(len(batch) for batch in batches)
    return {name: (mean / n, var / n) for name, (mean, var) in sums.items()}


def test_refreshed_statistics_are_the_averages_over_the_batches_and_no_weight_changes(pictures):
    build, dense, stale = pruned_and_left(pictures)
    pruned = replace(dense, artifacts=(stale,))
    whole = replace(pruned, recipe=replace(dense.recipe, batch_size=len(pictures)))
    members = torch.from_numpy(pictures.gather(dense.membership.members(0)))
    expected = by_hand(rebuild(stale, build), [members])
    fresh = apply(RefreshStatistics(epochs=3), whole, pictures, seed=0).artifacts[0]
    for name, (mean, var) in expected.items():
        np.testing.assert_allclose(fresh.tensors[f"{name}.running_mean"], mean, atol=1e-5)
        np.testing.assert_allclose(fresh.tensors[f"{name}.running_var"], var, rtol=1e-4)
    unchanged = [n for n in stale.tensors if "running" not in n and "num_batches" not in n]
    assert unchanged
    for name in unchanged:
        np.testing.assert_array_equal(fresh.tensors[name], stale.tensors[name])
    assert fresh.masks.keys() == stale.masks.keys()
    # in batches the first layer, whose inputs depend on no statistics, averages to the same mean
    parts = apply(RefreshStatistics(), pruned, pictures, seed=0).artifacts[0]
    first = next(iter(expected))
    np.testing.assert_allclose(
        parts.tensors[f"{first}.running_mean"], expected[first][0], atol=1e-5
    )
    assert rebuild(parts, build).get_submodule(first).momentum == 0.1


def test_statistics_follow_the_weights_of_batches_of_unequal_size():
    layer = torch.nn.BatchNorm1d(2)
    batches = [torch.randn(n, 2) * 3 + 1 for n in (7, 5, 2)]
    taken = FreshStatistics(layer)
    for batch in batches:
        taken.show(batch)
        layer(torch.full((4, 2), 50.0))  # as a hook may: it leaves no trace
    taken.finish()
    sizes = np.array([7, 5, 2]) / 14
    means = sum(w * b.mean(0) for w, b in zip(sizes, batches, strict=True))
    variances = sum(w * b.var(0) for w, b in zip(sizes, batches, strict=True))
    torch.testing.assert_close(layer.running_mean, means.float())
    torch.testing.assert_close(layer.running_var, variances.float())
    assert layer.momentum == 0.1


@pytest.mark.parametrize("epochs", [-1, 1.5, True])
def test_a_number_of_passes_that_cannot_be_is_refused(epochs):
    with pytest.raises(MethodError, match="epochs must be a whole number of at least 0"):
        RefreshStatistics(epochs=epochs)


def test_statistics_are_each_models_own(pictures):
    who = small_membership(pictures, targets=2, references=0)
    recipe = Recipe(build=SmallCNN(widths=(4,)), epochs=2, batch_size=12)
    fleet = train_fleet(recipe, pictures, who, seed=0, engine="serial")
    a, b = (x.tensors["1.running_mean"] for x in fleet.artifacts)
    assert not np.array_equal(a, b)


# -- normalisation -------------------------------------------------------------------------------


def test_normalisation_is_kept_with_the_artifact_and_applied_to_raw_inputs(pictures):
    build = NARROW["Normalised"]
    who = small_membership(pictures, targets=1, references=0)
    fleet = train_fleet(Recipe(build=build, epochs=1), pictures, who, seed=0, engine="serial")
    artifact = fleet.artifacts[0]
    np.testing.assert_allclose(artifact.tensors["0.mean"], [0.4, 0.5, 0.6], rtol=1e-6)
    module = rebuild(artifact, build)
    raw = torch.from_numpy(pictures.gather(np.arange(5)))
    by_hand = (raw - torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1)) / 0.2
    with torch.no_grad():
        torch.testing.assert_close(module(raw), module[1](by_hand))
    assert all(name.startswith("1.") for name in prunable(module))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "one number per channel each, got 1 and 2"),
        ({"mean": (0.5,), "std": (0.0,)}, "std above 0"),
        ({"mean": (math.nan,), "std": (1.0,)}, "mean must be finite"),
        ({"build": 3}, "build=3 makes no network"),
    ],
)
def test_a_normalisation_that_cannot_be_is_refused(fields, message):
    with pytest.raises(MethodError, match=message):
        Normalised(**{"build": SmallCNN(), **fields})


def test_a_normalisation_of_other_channels_is_refused_and_one_number_serves_all(pictures):
    net = Normalised(build=SmallCNN(), mean=(0.1, 0.2), std=(1.0, 1.0))()
    with pytest.raises(DataError, match=r"normalises 2 channels, but .* shape \(3, 32, 32\)"):
        logits_of(net, pictures)
    assert logits_of(Normalised(build=SmallCNN())(), pictures).shape == (48, 10)

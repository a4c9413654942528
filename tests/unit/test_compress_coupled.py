"""Coupled channels: the groups, how many are kept, which ones, and that they can be cut out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from by_hand import moment
from oracles import structured
from secateur.compress import (
    ADMM,
    Budget,
    Coupled,
    FromScratch,
    Magnitude,
    RandomMask,
    RefreshStatistics,
    convergence,
    count_kept,
    coupled,
    coupling,
)
from secateur.compress.coupled import coupling_of
from secateur.data import draw
from secateur.errors import MethodError, MissingExtraError, SparsityError
from secateur.models import (
    MLP,
    VGG16,
    GroupNormed,
    LeNet5,
    MobileNetV2,
    Normalised,
    ResNet18,
    SmallCNN,
    input_shape,
    logits_of,
    multiply_adds,
    operate_,
    prunable,
    rebuild,
)
from secateur.models.resnet import _Block
from secateur.train import SGD, Recipe, Stacked, apply, train_fleet
from secateur.types import ArraySource, Records

NETWORKS = {
    "LeNet5": LeNet5(width=0.5),
    "VGG16": VGG16(width=0.08),
    "ResNet18": ResNet18(width=0.08),
    "MobileNetV2": MobileNetV2(width=0.1, last=32),
}


def surgery_of(artifact):
    """Read what is kept from masks: rows and columns of which something is kept."""
    found = {}
    for name, mask in artifact.masks.items():
        for axis in range(min(mask.ndim, 2)):
            others = tuple(a for a in range(mask.ndim) if a != axis)
            kept = mask.any(axis=others)
            if kept.all():
                continue
            found[f"{name}/{axis}"] = np.flatnonzero(kept)
            layer, _, own = name.rpartition(".")
            for buffer in ("running_mean", "running_var"):
                if own == "weight" and f"{layer}.{buffer}" in artifact.tensors:
                    found[f"{layer}.{buffer}/0"] = np.flatnonzero(kept)
    return found


@cache
def world(name):
    """Return records, and a fleet of two models that was trained for a moment."""
    build = NETWORKS[name]
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 10
    values = rng.normal(size=(40, *input_shape(build))) + labels.reshape(-1, 1, 1, 1) / 5
    records = Records(
        source=ArraySource(values=values.astype(np.float32)), labels=labels, n_classes=10
    )
    who = draw(records, targets=2, references=0, seed=0)
    recipe = Recipe(build=build, epochs=1, batch_size=10, optimiser=SGD(lr=0.02))
    return records, train_fleet(recipe, records, who, seed=0, engine="serial")


METHODS = {
    "rate": Magnitude(rate=4.0, retrain_epochs=2, optimiser=SGD(lr=0.02), pattern=Coupled()),
    "multiply_adds": ADMM(
        multiply_adds=3.0, updates=2, epochs_per_update=1, retrain_epochs=1, pattern=Coupled()
    ),
}


@cache
def pruned(name, method):
    records, dense = world(name)
    return apply(METHODS[method], dense, records, seed=0, engine="serial")


@dataclass(frozen=True)
class Cut:
    """A network after surgery."""

    build: object
    artifact: object

    def __call__(self):
        return operate_(self.build(), surgery_of(self.artifact))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETWORKS)
def test_cutting_the_removed_channels_out_leaves_the_logits(name, method):
    records, _ = world(name)
    artifact = pruned(name, method).artifacts[0]
    build = NETWORKS[name]
    for tensor, mask in artifact.masks.items():
        assert not artifact.tensors[tensor][~mask].any(), tensor
    assert all(np.isfinite(value).all() for value in artifact.tensors.values())
    whole = rebuild(artifact, build)
    small = operate_(rebuild(artifact, build), surgery_of(artifact)).eval()
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in whole.parameters())
    found = logits_of(small, records)
    assert np.ptp(found) > 1e-3
    np.testing.assert_allclose(found, logits_of(whole, records), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rate_is_reached_on_stored_weights_and_on_cut_ones(name):
    artifact = pruned(name, "rate").artifacts[0]
    build = NETWORKS[name]
    module = build()
    names = prunable(module)
    kept = count_kept(artifact.tensors, names, [n for n, _ in module.named_parameters()])
    small = dict(Cut(build, artifact)().named_parameters())
    assert kept["kept"] == sum(small[n].numel() for n in names)
    assert kept["kept"] <= round(kept["prunable"] / 4)
    assert kept["kept"] > 0.75 * kept["prunable"] / 4  # a channel of so narrow a network is much


@pytest.mark.parametrize("name", NETWORKS)
def test_the_budget_of_multiply_adds_is_reached_on_the_cut_network(name):
    artifact = pruned(name, "multiply_adds").artifacts[0]
    build, shape = NETWORKS[name], input_shape(NETWORKS[name])
    before, after = multiply_adds(build, shape), multiply_adds(Cut(build, artifact), shape)
    assert 0.75 * before / 3 < after <= round(before / 3)


@pytest.mark.parametrize("rate", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_channel_more_of_some_group_would_exceed_the_budget(name, rate):
    build = NETWORKS[name]
    found = coupling_of(build)
    params = {n: p.detach() for n, p in build().named_parameters()}
    names = prunable(build())
    shapes = {n: tuple(p.shape) for n, p in params.items()}
    now = moment(params, prunable=names)

    def kept(counts):
        keep = np.concatenate([np.arange(n) < k for n, k in zip(found.sizes, counts, strict=True)])
        keep = np.append(keep, True)
        masks = {n: np.ones(shapes[n], bool) for n in names}
        for key, rows in found.axes.items():
            tensor, _, axis = key.rpartition("/")
            if tensor in masks:
                masks[tensor] &= np.expand_dims(
                    keep[rows], tuple(a for a in range(masks[tensor].ndim) if a != int(axis))
                )
        return sum(int(mask.sum()) for mask in masks.values())

    total = round(sum(np.prod(shapes[n]) for n in names) / rate)
    counts = found.counts(shapes, names, Budget(rate=rate))
    masks = found.masks({n: params[n].abs() for n in names}, Budget(rate=rate), now)
    assert kept(counts) == sum(int(masks[n].sum()) for n in names) <= total
    more = [
        kept([n + (j == k) for j, n in enumerate(counts)])
        for k, size in enumerate(found.sizes)
        if counts[k] < size
    ]
    assert max(more, default=total + 1) > total


# -- groups --------------------------------------------------------------------------------------


def members(found, tensor_axis):
    """Return all tensor axes whose rows are the same channels, in order, as this one's."""
    own = found.axes[tensor_axis]
    return {key for key, rows in found.axes.items() if np.array_equal(rows, own)}


def layer(name, *, bias=False):
    return {f"{name}.weight/0"} | ({f"{name}.bias/0"} if bias else set())


def norm(name):
    return {f"{name}.{t}/0" for t in ("weight", "bias", "running_mean", "running_var")}


def test_the_first_stage_of_a_residual_network_is_one_group_and_each_block_has_its_own():
    found = coupling_of(ResNet18(width=0.08))
    stage = layer("0") | norm("1") | {"3.conv1.weight/1", "4.conv1.weight/1"}
    stage |= layer("3.conv2") | norm("3.bn2") | layer("4.conv2") | norm("4.bn2")
    stage |= {"5.conv1.weight/1", "5.shortcut.0.weight/1"}
    assert members(found, "0.weight/0") == stage
    inner = layer("3.conv1") | norm("3.bn1") | {"3.conv2.weight/1"}
    assert members(found, "3.conv1.weight/0") == inner
    assert "0.weight/1" not in found.axes
    assert not {"13.weight/0", "13.bias/0"} & set(found.axes)
    assert len(found.sizes) == 4 + 8


def test_a_depthwise_convolution_goes_with_what_it_filters():
    found = coupling_of(MobileNetV2(width=0.1, last=32))
    block = "3.steps"
    inner = layer(f"{block}.0.0") | norm(f"{block}.0.1") | layer(f"{block}.1.0")
    inner |= norm(f"{block}.1.1") | {f"{block}.2.weight/1"}
    assert members(found, f"{block}.0.0.weight/0") == inner


def test_a_flattened_channel_is_a_run_of_inputs():
    found = coupling_of(LeNet5())
    rows = found.axes["7.weight/1"]
    assert len(rows) == 400
    np.testing.assert_array_equal(rows, np.repeat(found.axes["3.weight/0"], 25))


class Joined(nn.Module):
    """Two branches side by side, one of them the network's inputs passed on."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1)
        self.both, self.last = nn.Conv2d(12, 6, 1), nn.Linear(6, 10)

    def forward(self, x):
        both = torch.cat([self.one(x), x, self.two(x)], dim=1)
        return self.last(torch.relu(self.both(both)).mean(dim=(2, 3)))


class Added(nn.Module):
    """What its first layer makes is added to the inputs, which stay."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 5, 1), nn.Linear(5, 10)

    def forward(self, x):
        return self.last(torch.relu(self.two(x + self.one(x))).mean(dim=(2, 3)))


class Gated(nn.Module):
    """The halves of one layer's outputs are multiplied, so two of its rows are one channel."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(8, 12), nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, x):
        left, right = self.one(x).chunk(2, dim=1)
        return self.last(torch.relu(self.two(left * right)))


class Refined(nn.Module):
    """Its outputs are a sum that a hidden layer takes part in."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(8, 3), nn.Linear(3, 5), nn.Linear(5, 3)

    def forward(self, x):
        first = self.one(x)
        return first + self.three(torch.relu(self.two(first)))


class Shared(nn.Module):
    """One weight in two layers."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.three, self.last = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(x)))))))


class Normed(nn.Module):
    """A Transformer's feed-forward block: its stream is normalised, its inner units are free."""

    def __init__(self):
        super().__init__()
        self.into, self.norm = nn.Linear(8, 6), nn.LayerNorm(6)
        self.up, self.down, self.last = nn.Linear(6, 9), nn.Linear(9, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.into(x)
        return self.last(x + self.down(torch.relu(self.up(self.norm(x)))))


def test_concatenated_branches_keep_their_places_and_the_inputs_stay():
    found = coupling_of(Joined, (3, 4, 4))
    rows = found.axes["both.weight/1"]
    np.testing.assert_array_equal(rows[:4], found.axes["one.weight/0"])
    np.testing.assert_array_equal(rows[4:7], [-1, -1, -1])
    np.testing.assert_array_equal(rows[7:], found.axes["two.weight/0"])


@pytest.mark.parametrize(
    ("build", "shape", "cut"),
    [
        (Added, (3, 4, 4), {"two"}),
        (Gated, (8,), {"two"}),
        (Refined, (8,), {"two"}),
        (Shared, (8,), {"three"}),
        (Normed, (8,), {"up"}),
    ],
)
def test_channels_that_cannot_be_cut_stay_whole(build, shape, cut):
    found = coupling_of(build, shape)
    producers = {k.split(".")[0] for k in found.axes if k.endswith("weight/0")}
    assert producers == cut


def test_a_network_whose_channels_all_stay_is_refused():
    with pytest.raises(MethodError, match=r"no channel of .* can be removed"):
        coupling_of(GroupNormed(build=SmallCNN(widths=(8,))))


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(MethodError, match=r"records of shape \(5,\)"):
        coupling_of(MLP(widths=(8, 4, 2)), (5,))


def test_without_the_package_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(coupled, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"pip install 'secateur\[structured\]'"):
        Coupled().fitted(MLP(widths=(9, 4, 2)))


def test_a_normalised_network_has_the_groups_of_the_one_within():
    inner, outer = SmallCNN(widths=(4, 8)), Normalised(build=SmallCNN(widths=(4, 8)))
    assert coupling_of(outer).sizes == coupling_of(inner).sizes


def test_an_exempt_weight_and_what_is_tied_to_it_stay_whole():
    build = ResNet18(width=0.08)
    params = {n: p.detach() for n, p in build().named_parameters()}
    names = prunable(build())
    budget = Budget(rate=3.0, exempt=("4.conv2.weight",))
    scores = {n: params[n].abs() for n in budget.layers(names)}
    masks = coupling_of(build).masks(scores, budget, moment(params, prunable=names))
    for whole in ("0.weight", "1.weight", "3.bn2.bias"):
        assert masks.get(whole, torch.ones(1)).all()
    assert not masks["3.conv1.weight"].all()
    kept = sum(int(masks[n].sum()) for n in scores)
    assert kept <= round(sum(s.numel() for s in scores.values()) / 3)
    every = Budget(rate=3.0, exempt=("1.weight",))
    chain = MLP(widths=(8, 4, 2))
    params = {n: p.detach() for n, p in chain().named_parameters()}
    with pytest.raises(SparsityError, match="no channel is left"):
        coupling_of(chain).masks({"3.weight": params["3.weight"]}, every, moment(params))


# -- the choice ----------------------------------------------------------------------------------


def chosen(build, params, rate):
    names = prunable(build())
    masks = coupling_of(build).masks(
        {n: params[n].abs() for n in names}, Budget(rate=rate), moment(params, prunable=names)
    )
    weights = [params[n].numpy() for n in names]
    kept = [tuple(np.flatnonzero(masks[n].numpy().any(1))) for n in names[:-1]]
    value = sum(float((params[n][masks[n]] ** 2).sum()) for n in names)
    assert structured.energy(weights, kept) == pytest.approx(value)
    return weights, kept, value


@pytest.mark.parametrize("seed", range(5))
def test_of_one_group_the_nearest_network_is_chosen(seed):
    build = MLP(widths=(5, 7, 3))
    torch.manual_seed(seed)
    params = {n: torch.randn_like(p).double() for n, p in build().named_parameters()}
    weights, kept, value = chosen(build, params, 2.0)
    best, which = structured.best_channels(weights, [len(kept[0])])
    assert kept == list(which)
    assert value == pytest.approx(best)


def test_of_several_groups_the_choice_is_near_the_best_of_all_and_better_than_a_ranking(
    monkeypatch,
):
    build = MLP(widths=(4, 6, 5, 6, 3))
    found = {0: [], coupling.PASSES: []}
    for passes, ratios in found.items():
        monkeypatch.setattr(coupling, "PASSES", passes)
        for seed in range(12):
            torch.manual_seed(seed)
            params = {n: torch.randn_like(p).double() for n, p in build().named_parameters()}
            weights, kept, value = chosen(build, params, 3.0)
            ratios.append(value / structured.best_channels(weights, [len(k) for k in kept])[0])
    ranked, ours = (np.array(ratios) for ratios in found.values())
    assert (ours >= ranked - 1e-12).all()
    assert ours.mean() > ranked.mean()
    assert ours.min() > 0.85
    assert (ours > 1 - 1e-9).sum() >= 6


# -- in a fleet ----------------------------------------------------------------------------------


def test_a_removed_channel_loses_its_bias_its_normalisation_and_its_readers():
    artifact = pruned("ResNet18", "rate").artifacts[0]
    gone = ~artifact.masks["1.weight"]
    assert gone.any()
    for name in ("1.bias", "3.bn2.weight", "4.bn2.bias"):
        np.testing.assert_array_equal(~artifact.masks[name], gone)
        assert not artifact.tensors[name][gone].any()
    assert not artifact.tensors["0.weight"][gone].any()
    assert not artifact.tensors["5.conv1.weight"][:, gone].any()
    assert artifact.masks["13.weight"].any(axis=1).all()
    assert "13.bias" not in artifact.masks
    assert list(artifact.masks) == sorted(artifact.masks)


def test_convergence_names_the_weights_and_nothing_else():
    artifact = pruned("ResNet18", "multiply_adds").artifacts[0]
    found = convergence(artifact)
    assert sorted(found) == sorted(prunable(NETWORKS["ResNet18"]()))
    assert len(found) < len(artifact.masks)


@pytest.mark.parametrize("engine", ["serial", Stacked(models=2, workers=1)], ids=str)
def test_the_masks_from_scratch_and_with_fresh_statistics_are_the_parents(engine):
    records, _ = world("ResNet18")
    parent = pruned("ResNet18", "rate")
    for method in (FromScratch(epochs=1), RefreshStatistics()):
        made = apply(method, parent, records, seed=0, engine=engine)
        for own, before in zip(made.artifacts, parent.artifacts, strict=True):
            assert own.masks.keys() == before.masks.keys()
            for name, mask in own.masks.items():
                np.testing.assert_array_equal(mask, before.masks[name])
                assert not own.tensors[name][~mask].any()
            assert all(np.isfinite(v).all() for v in own.tensors.values())


def test_the_same_seed_gives_the_same_bytes_stacked_or_not_the_same_masks():
    records, dense = world("ResNet18")
    method = Magnitude(rate=4.0, retrain_epochs=0, pattern=Coupled())
    one, again = (apply(method, dense, records, seed=0, engine="serial") for _ in range(2))
    assert [a.digest for a in one.artifacts] == [a.digest for a in again.artifacts]
    stacked = apply(method, dense, records, seed=0, engine=Stacked(models=2, workers=1))
    for a, b in zip(one.artifacts, stacked.artifacts, strict=True):
        for name, mask in a.masks.items():
            np.testing.assert_array_equal(mask, b.masks[name])


def test_random_channels_are_each_models_own_at_the_same_rate():
    records, dense = world("LeNet5")
    method = RandomMask(rate=4.0, epochs=0, pattern=Coupled())
    first, second = apply(method, dense, records, seed=0, engine="serial").artifacts
    names = prunable(NETWORKS["LeNet5"]())
    counts = [count_kept(a.tensors, names, names)["kept"] for a in (first, second)]
    assert counts[0] == counts[1]
    assert any((first.masks[n] != second.masks[n]).any() for n in names)


def test_rate_one_without_epochs_leaves_every_logit():
    records, dense = world("MobileNetV2")
    method = ADMM(rate=1.0, updates=0, retrain_epochs=0, pattern=Coupled())
    made = apply(method, dense, records, seed=0, engine="serial")
    for before, after in zip(dense.artifacts, made.artifacts, strict=True):
        for name, value in before.tensors.items():
            np.testing.assert_array_equal(value, after.tensors[name])


def test_a_module_of_ones_own_is_pruned():
    records, _ = world("ResNet18")
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        _Block(6, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )
    method = Magnitude(rate=3.0, retrain_epochs=1, pattern=Coupled(shape=(3, 32, 32)))
    made = apply(method, module, records, seed=0)
    small = operate_(module, surgery_of(made))
    assert small[0].out_channels < 6
    assert small[1].conv2.out_channels == small[0].out_channels == small[4].in_features

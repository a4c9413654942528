"""An edit of the code that makes a model gives another key; what no key can tell is refused."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from dataclasses import dataclass

import pytest
from torch import nn

from secateur.errors import InputError, MethodError
from secateur.train import Recipe, train_fleet
from secateur.train.plan import Plan
from secateur.train.sources import files_of, sources_of
from small_world import small_membership, small_recipe, small_records

BUILDER = """
from dataclasses import dataclass
from torch import nn
import {name}_net

@dataclass(frozen=True)
class Build:
    def __call__(self):
        return {name}_net.Net()

def train(records, *, seed):
    return {name}_net.trained(seed)
"""
NETWORK = """
from torch import nn

class Net(nn.Linear):
    def __init__(self):
        super().__init__(8, 3)

    def forward(self, x):
        return super().forward(x) * {factor}

def trained(seed):
    return Net()
"""


def plan(recipe, **changes):
    fields = {"transform": None, "name": "dense", "pipeline": (), "snapshots": None}
    return Plan(recipe=recipe, **{**fields, **changes})


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return what writes two modules of a user's and imports them anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(name, factor):
        made.extend([name, f"{name}_net"])
        (tmp_path / f"{name}.py").write_text(BUILDER.format(name=name), encoding="utf-8")
        (tmp_path / f"{name}_net.py").write_text(NETWORK.format(factor=factor), encoding="utf-8")
        importlib.invalidate_caches()
        for part in (f"{name}_net", name):
            sys.modules.pop(part, None)
        return importlib.import_module(name)

    yield write
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("own", [False, True])
def test_an_edit_of_a_module_that_the_builder_or_the_training_uses_is_noticed(written, own):
    digests = []
    for factor in (1.0, 2.0, 1.0):
        module = written("user_edit", factor)
        recipe = Recipe(build=module.Build(), train=module.train if own else None)
        digests.append(plan(recipe).sources["file user_edit_net"])
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


def test_a_file_that_was_edited_after_it_was_loaded_is_refused(written, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    module = written("user_late", 1.0)
    recipe = Recipe(build=module.Build())
    assert plan(recipe).sources
    path = tmp_path / "user_late_net.py"
    path.write_text(NETWORK.format(factor=22.0), encoding="utf-8")
    from secateur.train import sources

    sources._digests.cache_clear()  # as in another run
    with pytest.raises(InputError, match="edited after it was loaded; start Python anew"):
        _ = plan(recipe).sources


class Other(nn.Linear):
    """A network of this file."""


def test_the_networks_the_hooks_and_their_bases_count():
    found = sources_of([nn.Sequential(Other(2, 2))])
    assert f"file {__name__}" in found
    assert any("RandomMask" in name or "Hook" in name for name in _hook_sources())


def _hook_sources():
    from secateur.compress import ADMM

    return plan(small_recipe(), transform=ADMM(rate=2)).sources


def maker(factor):
    def build():
        return nn.Linear(8, int(3 * factor))

    return build


class Plain:
    """A builder that its repr does not tell."""

    def __call__(self):
        return nn.Linear(8, 3)


@dataclass(frozen=True)
class Wrapping:
    """A builder with a function in its field."""

    function: object

    def __call__(self):
        return nn.Linear(8, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (maker(1), "captures values of the function"),
        (Plain(), "spelled by its place in memory"),
        (functools.partial(nn.Linear, 8, 3), None),
        (Wrapping(maker(1)), "place in memory|captures values"),
    ],
)
def test_what_no_key_can_tell_is_refused_before_anything_is_written(tmp_path, build, message):
    records = small_records()
    who = small_membership(records)
    folder = tmp_path / "f"
    recipe = small_recipe(build=build)
    if message is None:
        assert plan(recipe).sources is not None
        return
    with pytest.raises(MethodError, match=message):
        train_fleet(recipe, records, who, seed=0, engine="serial", folder=folder)
    assert not os.path.exists(folder)  # noqa: PTH110


def test_versions_are_part_of_the_key():
    records = small_records()
    who = small_membership(records)
    key = plan(small_recipe()).key(records, who, 0, 1)
    assert set(key["versions"]) == {"numpy", "secateur", "torch"}


def test_a_parent_that_a_caller_put_together_counts_by_its_bytes(tmp_path):
    import numpy as np

    from secateur.compress import Magnitude
    from secateur.train import apply
    from secateur.types import Artifact, Fleet, Provenance

    records = small_records()
    who = small_membership(records, targets=1, references=0)
    first = train_fleet(small_recipe(), records, who, seed=0, engine="serial")
    found = []
    for scale in (1.0, 2.0):
        tensors = {k: np.asarray(v * scale) for k, v in first.artifacts[0].tensors.items()}
        mine = Artifact(tensors=tensors, builder="mine", provenance=Provenance(key={}))
        fleet = Fleet(artifacts=[mine], membership=who, recipe=small_recipe())
        made = apply(
            Magnitude(rate=2, retrain_epochs=0),
            fleet,
            records,
            seed=0,
            engine="serial",
            folder=tmp_path / str(scale),
            cache=tmp_path / "cache",
        )
        found.append(made.artifacts[0].digest)
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("folder", "own"), [("site-packages", False), ("dist-packages", False), ("code", True)]
)
def test_a_package_of_another_environment_on_the_path_counts_by_its_version_alone(
    tmp_path, monkeypatch, folder, own
):
    place = tmp_path / "lib" / folder
    place.mkdir(parents=True)
    name = f"found_in_{folder.replace('-', '_')}"
    (place / f"{name}.py").write_text("WIDTH = 3\n")
    monkeypatch.syspath_prepend(str(place))
    importlib.import_module(name)
    assert set(files_of(name)) == ({f"file {name}"} if own else set())

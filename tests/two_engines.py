"""The same training one by one and stacked, on the small world in double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from secateur.models import prunable
from secateur.train.batches import TrainData
from secateur.train.loop import run_phases
from secateur.train.model import initial_module
from secateur.train.stack import StackData, run_stack
from small_world import small_records

CPU = torch.device("cpu")
MEMBERS, POOL = np.arange(50), np.arange(80, 115)


def initial_of(module):
    """Return copies of a module's parameters."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def arrays(rows):
    """Return inputs and labels of these records, in double precision."""
    records = small_records()
    x, y = torch.from_numpy(records.gather(rows).copy()), torch.from_numpy(records.labels[rows])
    return x.double(), y


def moved(module, seed=9, size=0.1):
    """Move a module's parameters away from the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value += size * torch.randn(value.shape, generator=generator, dtype=value.dtype)
    return module


def alone(recipe, *, phases=None, seed=1, members=MEMBERS, move=False):
    """Train one model; return its module, its initial parameters, and what the loop returns."""
    module = initial_module(recipe, seed).double()
    initial = initial_of(module)
    if move:
        moved(module, seed)
    records = small_records()
    data = [TrainData.of(records, rows, CPU) for rows in (members, POOL)]
    data = [replace(part, inputs=part.inputs.double()) for part in data]
    found = run_phases(
        module,
        phases or recipe.phases(),
        recipe,
        data[0],
        streams={"attack": data[1]},
        context=(initial, prunable(module)),
        seed=seed,
    )
    return module, initial, found


def check_engines_agree(recipe, *, phases=None, sizes=(48, 48, 48), move=False, atol=1e-8):
    """Assert that a stack of models follows the same models trained alone."""
    seeds = tuple(range(3, 3 + len(sizes)))
    members = [np.arange(k, k + n) for k, n in enumerate(sizes)]
    each = [
        alone(recipe, phases=phases, seed=seed, members=own, move=move)
        for seed, own in zip(seeds, members, strict=True)
    ]
    modules = [initial_module(recipe, seed).double() for seed in seeds]
    initial = [initial_of(module) for module in modules]
    if move:
        for module, seed in zip(modules, seeds, strict=True):
            moved(module, seed)
    data = [StackData.of(small_records(), rows, CPU) for rows in (members, [POOL] * len(sizes))]
    data = [replace(part, inputs=part.inputs.double()) for part in data]
    together = run_stack(
        modules,
        phases or recipe.phases(),
        recipe,
        data[0],
        streams={"attack": data[1]},
        context=(initial, prunable(modules[0])),
        seeds=seeds,
    )
    for (module, _, left), other, found in zip(each, modules, together, strict=True):
        for name, value in module.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, atol=atol, rtol=1e-7)
        assert left.left.masks.keys() == found.left.masks.keys()
        for name, mask in left.left.masks.items():
            assert torch.equal(found.left.masks[name], mask)
        for name, curve in left.left.history.items():
            torch.testing.assert_close(found.left.history[name], curve, atol=atol, rtol=1e-7)

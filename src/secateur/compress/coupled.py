"""Which channels of a network must go together, as Torch-Pruning's dependency graph finds them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.compress.coupling import Coupling
from secateur.errors import MethodError, MissingExtraError
from secateur.models import input_shape, output_positions
from secateur.models.blank import blank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from secateur.protocols import Builder

    Rows = dict[str, dict[int, int]]

__all__ = ["coupling_of"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PROBED = 3
"""Channels of each group that are looked up by themselves, to see that the group's map holds."""


def coupling_of(build: Builder, shape: tuple[int, ...] | None = None) -> Coupling:
    """Return a network's groups of channels that can be removed.

    Left whole are groups that reach the network's outputs, that touch a layer which cannot be cut,
    a convolution in groups or a shared weight, and those whose channels are tied to each other.

    Args:
        build: makes the network; it is built without memory.
        shape: of one record; by default found by trying.

    Raises:
        MissingExtraError: Torch-Pruning is not installed.
        MethodError: there is no such group, or the forward pass fails.

    Example:
        >>> from secateur.models import MLP
        >>> coupling_of(MLP(widths=(8, 4, 2)), (8,)).sizes
        (4,)

    Reference:
        fang2023depgraph.
    """
    if isinstance(build, Hashable) and _hashes(build):
        return _remembered(build, shape)
    return _found(build, shape)


def _hashes(build: Hashable) -> bool:
    try:
        hash(build)
    except TypeError:  # a list in a stranger's builder
        return False
    return True


def _found(build: Builder, shape: tuple[int, ...] | None) -> Coupling:
    pruning = _torch_pruning()
    given = input_shape(build) if shape is None else tuple(shape)
    with torch.random.fork_rng(devices=[]), torch.device("meta"), torch.enable_grad():
        module = blank(build).eval()
        device = next(module.parameters()).device  # a module of one's own is elsewhere
        # without a layer before it the graph has no inputs, and miscounts what joins them
        behind = nn.Sequential(_first_layer(given, device), module)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unwrapped parameters: those groups stay whole
            try:
                graph = pruning.DependencyGraph().build_dependency(
                    behind, example_inputs=(torch.zeros(2, *given, device=device),), verbose=False
                )
            except (RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise MethodError(
                    f"the channels of {build!r} cannot be followed on records of shape {given}: "
                    f"{str(error).splitlines()[0][:300]}; give Coupled(shape=...), or take "
                    "another pattern"
                ) from error
            found = list(_groups(module, graph))
    if not found:
        raise MethodError(
            f"no channel of {build!r} can be removed: each reaches the outputs, or a layer that "
            "cannot be cut, such as a group or layer normalisation; take another pattern, such as "
            "Filters()"
        )
    return Coupling(
        sizes=tuple(size for size, _ in found),
        axes=_numbered(module, found),
        positions=output_positions(build, given),
    )


# phases are asked for once per model, and the network is the same
_remembered = lru_cache(maxsize=8)(_found)


def _torch_pruning() -> Any:
    try:
        return import_module("torch_pruning")
    except ImportError as error:
        raise MissingExtraError(
            "Coupled finds channels by Torch-Pruning, which is not installed; "
            "pip install 'secateur[structured]'"
        ) from error


def _first_layer(shape: tuple[int, ...], device: torch.device) -> nn.Module:
    """Return a layer that hands records of this shape on in the same shape."""
    if len(shape) == 1:
        return nn.Linear(shape[0], shape[0], device=device)
    if 2 <= len(shape) <= len(CONVOLUTIONS) + 1:
        return CONVOLUTIONS[len(shape) - 2](shape[0], shape[0], 1, device=device)
    raise MethodError(f"records of shape {shape}: they have one to four axes; give Coupled(shape=)")


def _groups(module: nn.Module, graph: Any) -> Iterator[tuple[int, Rows]]:
    """Yield each group that can be removed: its channels, and which one each row belongs to."""
    names = _names(module)
    groups = list(graph.get_all_groups())
    for group in reversed(groups):  # found from the outputs backwards
        root = group[0].dep
        size = graph.get_out_channels(root.target.module)
        rows = _rows(group, graph, names)
        if rows is None or not _even(rows, size):
            continue
        probed = sorted({0, size // 2, size - 1})[:PROBED]
        if all(_alone(root, graph, names, c) == _part(rows, c) for c in probed):
            yield size, rows


def _even(rows: Rows, size: int) -> bool:
    """Tell whether all channels have equally many rows of each axis."""
    counts = (Counter(own.values()) for own in rows.values())
    return all(len(c) == size and len(set(c.values())) == 1 for c in counts)


def _names(module: nn.Module) -> dict[nn.Module, str]:
    """Return the names of layers that own all their parameters."""
    owners = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    return {
        part: name
        for name, part in module.named_modules()
        if all(owners[id(p)] == 1 for p in part.parameters(recurse=False))
    }


def _alone(root: Any, graph: Any, names: Mapping[nn.Module, str], channel: int) -> Rows | None:
    group = graph.get_pruning_group(root.target.module, root.handler, [channel])
    return _rows(group, graph, names)


def _part(rows: Rows, channel: int) -> Rows:
    parts = {key: {r: c for r, c in own.items() if c == channel} for key, own in rows.items()}
    return {key: own for key, own in parts.items() if own}


def _rows(group: Any, graph: Any, names: Mapping[nn.Module, str]) -> Rows | None:
    """Return under `<layer>/<axis>` each row's channel; None where the group must stay whole."""
    found: Rows = {}
    for item in group:
        node = item.dep.target
        part = node.module
        outwards = graph.is_out_channel_pruning_fn(item.dep.handler)
        inwards = graph.is_in_channel_pruning_fn(item.dep.handler)
        layer = isinstance(part, (nn.Linear, *CONVOLUTIONS))
        reads = layer and inwards and not outwards
        if not node.outputs and not reads:
            return None  # the network's outputs
        if not isinstance(part, nn.Module) or not _has_tensors(part):
            if isinstance(part, nn.Parameter):
                return None
            continue  # a sum, a view: no tensor to cut
        # the layer before the network has no name: what reaches it are the inputs
        if part not in names or not (layer or isinstance(part, NORMALISATIONS)):
            return None
        if isinstance(part, CONVOLUTIONS) and part.groups > 1 and not _depthwise(part):
            return None
        own = found.setdefault(f"{names[part]}/{int(reads and not _depthwise(part))}", {})
        own.update(zip(item.idxs, item.root_idxs, strict=True))
    return found


def _has_tensors(part: nn.Module) -> bool:
    return any(True for _ in part.parameters()) or any(True for _ in part.buffers())


def _depthwise(part: nn.Module) -> bool:
    convolution = isinstance(part, CONVOLUTIONS) and part.groups > 1
    return convolution and part.groups == part.in_channels == part.out_channels


def _numbered(module: nn.Module, found: list[tuple[int, Rows]]) -> dict[str, NDArray[np.int64]]:
    """Return each tensor axis' channels, numbered through all groups."""
    axes: dict[str, NDArray[np.int64]] = {}
    first = 0
    for size, rows in found:
        for key, own in rows.items():
            layer, _, axis = key.rpartition("/")
            part = module.get_submodule(layer)
            for name, value in [*part.named_parameters(), *part.named_buffers()]:
                if value.dim() <= int(axis) or (axis == "1" and name != "weight"):
                    continue
                full = f"{layer}.{name}/{axis}" if layer else f"{name}/{axis}"
                where = axes.setdefault(full, np.full(value.shape[int(axis)], -1, np.int64))
                where[list(own)] = np.array(list(own.values())) + first
        first += size
    return axes

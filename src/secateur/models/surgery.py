"""Networks whose layers lost rows and columns for real: which ones, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from secateur.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Surgery", "cut", "operate_"]

Surgery = Mapping[str, "NDArray[Any]"]
"""Under `<tensor>/<axis>`, the indices that are kept along that axis, ascending."""


def cut(tensors: Mapping[str, NDArray[Any]], surgery: Surgery) -> dict[str, NDArray[Any]]:
    """Return tensors with only the rows and columns that a surgery keeps.

    Args:
        tensors: by name, as the network had them before.
        surgery: may name tensors that are not here.

    Example:
        >>> cut({"w": np.arange(6).reshape(2, 3)}, {"w/1": np.array([0, 2])})["w"].tolist()
        [[0, 2], [3, 5]]
    """
    found = dict(tensors)
    for name, rows in surgery.items():
        tensor, _, axis = name.rpartition("/")
        if tensor in found:
            found[tensor] = np.take(found[tensor], rows, axis=int(axis))
    return found


def operate_(module: nn.Module, surgery: Surgery) -> nn.Module:
    """Cut a network's layers to what a surgery keeps, in place, and return it.

    Linear layers, convolutions, and batch and group normalisation can be cut; where channels work
    in groups, whole groups. A tensor that layers share is cut in each of them and shared no more.

    Args:
        module: as its builder makes it.
        surgery: indices of its parameters and buffers.

    Raises:
        InputError: the network has no such tensor, axis or row, or a layer of another kind.

    Example:
        >>> net = operate_(nn.Linear(3, 2), {"weight/1": np.array([0, 2])})
        >>> net.in_features, tuple(net.weight.shape)
        (2, (2, 2))
    """
    named = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    for name, rows in surgery.items():
        tensor, _, axis = name.rpartition("/")
        found = named.get(tensor)
        if found is None or int(axis) >= found.dim() or not _inside(rows, found.shape[int(axis)]):
            what = "has no such tensor" if found is None else f"has there {tuple(found.shape)}"
            raise InputError(
                f"the surgery keeps {len(rows)} rows of {name!r}, and this network {what}; give "
                "the builder of the network that was operated on"
            )
        owner = module.get_submodule(tensor.rpartition(".")[0])
        own = tensor.rpartition(".")[2]
        _check_groups(owner, rows, int(axis), name)
        value = getattr(owner, own)  # cut along another axis before
        index = torch.from_numpy(np.array(rows)).to(value.device)
        small = value.detach().index_select(int(axis), index)
        setattr(owner, own, nn.Parameter(small) if isinstance(value, nn.Parameter) else small)
    for name in {key.rpartition("/")[0].rpartition(".")[0] for key in surgery}:
        _resize_(module.get_submodule(name), name)
    return module


def _inside(rows: NDArray[Any], size: int) -> bool:
    return rows.size == 0 or (rows[0] >= 0 and rows[-1] < size)


def _resize_(layer: nn.Module, name: str) -> None:
    """Let a layer's stated sizes follow from its tensors."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        rows, columns = layer.weight.shape[:2]
        layer.groups = _groups_left(layer.groups, layer.out_channels, rows)
        layer.out_channels, layer.in_channels = rows, layer.groups * columns
    elif isinstance(layer, nn.GroupNorm):
        layer.num_groups = _groups_left(layer.num_groups, layer.num_channels, len(layer.weight))
        layer.num_channels = len(layer.weight)
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
        sized = layer.weight if layer.weight is not None else layer.running_mean
        assert sized is not None  # one of them was cut
        layer.num_features = len(sized)
    else:
        raise InputError(
            f"{name!r} is a {type(layer).__name__}, whose rows cannot be cut; linear layers, "
            "convolutions, batch and group normalisation can"
        )


def _groups_left(groups: int, before: int, after: int) -> int:
    """Return how many groups of channels are left, each as large as before."""
    return groups * after // before if groups > 1 else 1


def _check_groups(layer: nn.Module, rows: NDArray[Any], axis: int, name: str) -> None:
    """Refuse to cut a part of a group of channels out of a layer that works group by group."""
    if isinstance(layer, nn.GroupNorm):
        groups, channels = layer.num_groups, layer.num_channels
    elif isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups > 1:
        groups, channels = layer.groups, layer.out_channels
    else:
        return
    size = channels // groups
    whole = len(rows) % size == 0 and axis == 0
    blocks = rows.reshape(-1, size) if whole else rows
    if not whole or (blocks != blocks[:, :1] // size * size + np.arange(size)).any():
        raise InputError(
            f"{name!r} works on {groups} groups of {size} channels, and the surgery keeps "
            f"{len(rows)} along axis {axis} that are not whole groups; whole groups can be cut"
        )

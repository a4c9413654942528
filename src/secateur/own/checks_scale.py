"""A check of what the first layer of a network receives: inputs that nobody scaled."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from secateur.own.findings import Finding
from secateur.types import Records

__all__ = ["unscaled_inputs"]

ROWS = 256
LARGE = 20.0
APART = 100.0
SHOWN = 3
LOOKS_UP = (nn.Embedding, nn.EmbeddingBag)
NORMALISES = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


@dataclass(frozen=True, kw_only=True)
class _Received:
    """What the first layer with weights is given `[records, ...]`, and whether its outputs are
    normalised.
    """

    name: str
    values: torch.Tensor
    normalised: bool


def unscaled_inputs(network: nn.Module, records: Records) -> Finding | None:
    """Find values far from 1 in the first layer with weights, in all inputs or in some columns.

    Looked at is what reaches that layer in training, behind whatever scales or looks up inputs, so
    that a network that normalises by itself is none. Values of one large scale do no harm where
    normalisation follows that layer at once; columns of different scales do.
    """
    got = _received(network, records)
    if got is None or not torch.isfinite(got.values).all():
        return None
    low, high = float(got.values.min()), float(got.values.max())
    size = float(got.values.square().mean().sqrt())
    columns = _columns(got.values)
    if columns:
        saw = f"columns of very different size: {columns}"
        mend = "scale each column, (x - mean) / std, or take logarithms of amounts"
    elif size > LARGE and not got.normalised:
        saw = f"values from {low:.4g} to {high:.4g}"
        mend = "scale the inputs to about -1 .. 1"
        if low >= 0 and 1 < high <= 255:
            mend = "divide pixels by 255"
    else:
        return None
    return Finding(
        id="unscaled-inputs",
        what=f"{got.name}, the first layer with weights, is given {saw} (root mean square "
        f"{size:.4g}): training from the usual initial weights diverges, or stays with the largest",
        mend=f"{mend} in records(), or let the network do it: "
        "Normalised(build=..., mean=..., std=...), or BatchNorm as its first layer",
        values={"low": low, "high": high, "root_mean_square": size},
    )


def _columns(values: torch.Tensor) -> str:
    """Name the columns of a table whose size is far above the others', and far above 1."""
    if values.ndim != 2 or values.shape[1] < 2:
        return ""
    sizes = values.square().mean(dim=0).sqrt()
    seen = sizes[sizes > 0]
    if not len(seen):
        return ""
    usual = float(seen.quantile(0.25))
    large = torch.nonzero((sizes > LARGE) & (sizes > APART * usual)).reshape(-1).tolist()
    if not large:
        return ""
    told = ", ".join(f"column {i} of about {float(sizes[i]):.3g}" for i in large[:SHOWN])
    more = f" and {len(large) - SHOWN} more" if len(large) > SHOWN else ""
    return f"{told}{more}, where a quarter of the columns are below {usual:.3g}"


def _received(network: nn.Module, records: Records) -> _Received | None:
    """Return what the first layer with weights receives; None where that cannot be told."""
    trained = copy.deepcopy(network).train()
    calls: list[tuple[str, nn.Module, Any]] = []

    def noted(name: str, layer: nn.Module) -> None:
        layer.register_forward_pre_hook(
            lambda module, given: calls.append((name, module, given[0] if given else None))
        )

    for name, layer in trained.named_modules():
        if not list(layer.children()):
            noted(f"{type(layer).__name__} {name!r}" if name else type(layer).__name__, layer)
    rows = np.arange(min(ROWS, len(records)))
    inputs = torch.from_numpy(np.array(records.gather(rows)))
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            trained(inputs)
    except (Exception, SystemExit):  # whatever a user's code raises
        return None  # said by the first step of training
    for place, (name, layer, given) in enumerate(calls):
        weighted = any(p.ndim > 1 for p in layer.parameters()) and not isinstance(layer, LOOKS_UP)
        if weighted and isinstance(given, torch.Tensor):
            after = calls[place + 1][1] if place + 1 < len(calls) else None
            return _Received(
                name=name, values=given.double(), normalised=isinstance(after, NORMALISES)
            )
    return None

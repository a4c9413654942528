"""Channels that run through several layers: how many are kept, which ones, and their masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from secateur.compress.masks import top_k_mask
from secateur.compress.shares import shared_counts
from secateur.errors import SparsityError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from secateur.compress.budgets import Budget
    from secateur.train.hooks import Moment, Tensors

__all__ = ["Coupling"]

PASSES = 2
"""Passes over the groups in which each chooses its best channels given all others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Coupling:
    """The groups of channels of one network.

    Channels are numbered through all groups. `axes` says under `<tensor>/<axis>` which channel each
    row of that axis belongs to, -1 for one that always stays; it names parameters and buffers.
    `positions` says how often a weight is applied to one record. What a group keeps is a multiple
    of `multiple`, or all.
    """

    sizes: tuple[int, ...]
    axes: Mapping[str, NDArray[np.int64]]
    positions: Mapping[str, int]
    multiple: int = 1

    def without(self, names: Sequence[str]) -> Coupling:
        """Return the coupling whose groups leave these tensors whole."""
        held = [rows for key, rows in self.axes.items() if key.rpartition("/")[0] in names]
        touched = np.concatenate(held) if held else np.zeros(0, np.int64)
        stays = np.zeros(len(self.sizes) + 1, np.bool_)
        stays[self.groups[touched]] = True
        stays[-1] = False
        if not stays.any():
            return self
        new = np.full(sum(self.sizes) + 1, -1)
        left = ~stays[self.groups[:-1]]
        new[:-1][left] = np.arange(left.sum())
        axes = {key: new[rows] for key, rows in self.axes.items()}
        return Coupling(
            sizes=tuple(n for n, gone in zip(self.sizes, stays, strict=False) if not gone),
            axes={key: rows for key, rows in axes.items() if (rows >= 0).any()},
            positions=self.positions,
            multiple=self.multiple,
        )

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each channel, `[channels + 1]`; the last, for what stays, is -1."""
        return np.append(np.repeat(np.arange(len(self.sizes)), self.sizes), -1)

    def masks(self, scores: Mapping[str, Tensor], budget: Budget, now: Moment) -> Tensors:
        """Return masks of the weights, and of all parameters of channels that are removed."""
        own = self.without(budget.exempt)
        shapes = {name: tuple(value.shape) for name, value in now.params.items()}
        if not own.sizes:
            raise SparsityError(
                f"with exempt={budget.exempt!r} no channel is left that could be removed; exempt "
                "fewer"
            )
        counts = own.counts(shapes, tuple(scores), budget)
        device = next(iter(scores.values())).device
        keep = own.channels(scores, counts)
        masks = {name: torch.ones_like(s, dtype=torch.bool) for name, s in scores.items()}
        for key, rows in own.axes.items():
            name, _, axis = key.rpartition("/")
            if name not in shapes:
                continue
            view = [1] * len(shapes[name])
            view[int(axis)] = -1
            along = keep[torch.from_numpy(rows).to(device)].reshape(view)
            masks[name] = masks[name] & along if name in masks else along.expand(shapes[name])
        return masks

    def counts(
        self, shapes: Mapping[str, tuple[int, ...]], layers: Sequence[str], budget: Budget
    ) -> tuple[int, ...]:
        """Return how many channels each group keeps: one share of all, within the budget.

        Args:
            shapes: of all parameters.
            layers: names of the weights that a rate counts.
            budget: of weights, or of multiply-adds: then all layers of `positions` count but those
                that are exempt.
        """
        if budget.multiply_adds is None:
            weights = dict.fromkeys(layers, 1)
        else:
            weights = {n: t for n, t in self.positions.items() if n not in budget.exempt}
        parts = []
        for name, times in weights.items():
            rows, columns = (self._extent(name, axis, shapes[name]) for axis in (0, 1))
            parts.append((times * math.prod(shapes[name][2:]), rows, columns))

        def cost(kept: Sequence[int]) -> int:
            return sum(each * _kept(rows, kept) * _kept(cols, kept) for each, rows, cols in parts)

        total = budget.total(cost(self.sizes))
        return shared_counts(self.sizes, cost, total, multiple=self.multiple)

    def _extent(
        self, name: str, axis: int, shape: tuple[int, ...]
    ) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return an axis' rows that stay, and (group, rows per channel) of the others."""
        rows = self.axes.get(f"{name}/{axis}")
        if rows is None:
            return shape[axis], ()
        found = np.bincount(self.groups[rows[rows >= 0]], minlength=len(self.sizes)).tolist()
        each = tuple((g, n // self.sizes[g]) for g, n in enumerate(found) if n)
        return int((rows < 0).sum()), each

    def channels(self, scores: Mapping[str, Tensor], counts: Sequence[int]) -> Tensor:
        """Return which channels are kept, bool `[channels + 1]`; the last stands for what stays."""
        energies = [
            _Energy(
                values=s.square().flatten(2).sum(2) if s.dim() > 2 else s.square(),
                rows=self._index(f"{name}/0", s.shape[0], s.device),
                columns=self._index(f"{name}/1", s.shape[1], s.device),
            )
            for name, s in scores.items()
        ]
        groups = self.groups
        touching = [[e for e in energies if e.touches(groups, g)] for g, _ in enumerate(self.sizes)]
        stays = torch.ones(1, dtype=torch.bool, device=energies[0].values.device)
        ends = np.cumsum((0, *self.sizes)).tolist()
        every = torch.ones(ends[-1] + 1, device=stays.device).to(energies[0].values.dtype)
        gains = sum((e.gains(every) for e in energies), torch.zeros_like(every))
        parts = [top_k_mask(gains[a:b], k) for a, b, k in zip(ends, ends[1:], counts, strict=False)]
        for _ in range(PASSES):
            for g, k in enumerate(counts):
                keep = torch.cat([*parts, stays]).to(every.dtype)
                gains = sum((e.gains(keep) for e in touching[g]), torch.zeros_like(every))
                parts[g] = top_k_mask(gains[ends[g] : ends[g + 1]], k)
        return torch.cat([*parts, stays])

    def _index(self, key: str, size: int, device: torch.device) -> Tensor:
        """Return each row's channel, with that for what stays in the place of -1."""
        rows = self.axes.get(key, np.full(size, -1))
        last = sum(self.sizes)
        return torch.from_numpy(np.where(rows < 0, last, rows)).to(device)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Energy:
    """Sums of squares of a layer's weights, `[rows, columns]`, and whose they are."""

    values: Tensor
    rows: Tensor
    columns: Tensor

    def touches(self, groups: NDArray[Any], group: int) -> bool:
        """Tell whether a row or column belongs to a group."""
        own = torch.cat([self.rows, self.columns]).cpu().numpy()
        return bool((groups[own] == group).any())

    def gains(self, keep: Tensor) -> Tensor:
        """Return what each channel adds where the others are kept to these parts."""
        of_rows = self.values @ keep[self.columns]
        of_columns = keep[self.rows] @ self.values
        nothing = torch.zeros_like(keep)
        return nothing.index_add(0, self.rows, of_rows).index_add(0, self.columns, of_columns)


def _kept(extent: tuple[int, tuple[tuple[int, int], ...]], counts: Sequence[int]) -> int:
    stays, each = extent
    return stays + sum(counts[group] * rows for group, rows in each)

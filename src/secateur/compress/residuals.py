"""How far ADMM's weights were from the budget before they were pruned. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.errors import InputError

if TYPE_CHECKING:
    from secateur.types import Artifact

__all__ = ["CONVERGED", "convergence"]

CONVERGED = 0.1
"""Largest last residual ||W - Z|| / ||W|| of a layer that still counts as converged."""


def convergence(artifact: Artifact) -> dict[str, float]:
    """Return ADMM's last residual ||W - Z|| / ||W|| of each layer; lower is better.

    A layer above `CONVERGED` was pruned by a shock, which acts like early stopping and can pass for
    a defence.

    Args:
        artifact: a model; without ADMM's history the result is empty.

    Raises:
        InputError: history and masks disagree about the number of layers.

    Example:
        >>> import numpy as np
        >>> from secateur.types import Artifact, Provenance
        >>> made = Artifact(
        ...     tensors={"w": np.ones(2)},
        ...     masks={"w": np.array([True, False])},
        ...     history={"admm/residual": np.array([[0.5], [0.25]])},
        ...     builder="",
        ...     provenance=Provenance(key={}),
        ... )
        >>> convergence(made)
        {'w': 0.25}
    """
    if "admm/residual" not in artifact.history:
        return {}
    last = artifact.history["admm/residual"][-1]
    layers = artifact.layers
    if len(layers) != len(last):
        raise InputError(
            f"admm/residual has {len(last)} layers, but there are masks for {[*layers]}; "
            "the artifact was not left by ADMM alone"
        )
    return {name: float(value) for name, value in zip(layers, last, strict=True)}

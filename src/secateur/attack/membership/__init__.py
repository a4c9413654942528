"""Membership attacks on signals: arrays in, Scores out; no torch."""

from __future__ import annotations

from secateur.attack.membership.bavaria import BaVarIA
from secateur.attack.membership.hierarchical import HierarchicalLiRA
from secateur.attack.membership.lira import LiRA
from secateur.attack.membership.references import pseudo_targets
from secateur.attack.membership.rmia import RMIA
from secateur.attack.membership.thresholds import (
    ConfidenceThreshold,
    EntropyThreshold,
    LossThreshold,
    ModifiedEntropyThreshold,
)

__all__ = [
    "RMIA",
    "BaVarIA",
    "ConfidenceThreshold",
    "EntropyThreshold",
    "HierarchicalLiRA",
    "LiRA",
    "LossThreshold",
    "ModifiedEntropyThreshold",
    "pseudo_targets",
]

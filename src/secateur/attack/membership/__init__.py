"""Membership attacks on signals: arrays in, Scores out; no torch."""

from __future__ import annotations

from secateur.attack.membership.attack_r import AttackR
from secateur.attack.membership.bavaria import BaVarIA
from secateur.attack.membership.calibrated import Calibrated
from secateur.attack.membership.gap import GapAttack
from secateur.attack.membership.hierarchical import HierarchicalLiRA
from secateur.attack.membership.label_only import LabelOnly
from secateur.attack.membership.lira import LiRA
from secateur.attack.membership.neighbours import Neighbours
from secateur.attack.membership.pair import PairAttack
from secateur.attack.membership.population import AttackP
from secateur.attack.membership.quantile_regression import QuantileRegression
from secateur.attack.membership.recommended import recommended
from secateur.attack.membership.rmia import RMIA
from secateur.attack.membership.stacked import StackedAttack
from secateur.attack.membership.thresholds import (
    ConfidenceThreshold,
    EntropyThreshold,
    LossThreshold,
    ModifiedEntropyThreshold,
)
from secateur.attack.membership.trials import pseudo_targets
from secateur.attack.membership.vector_lira import VectorLiRA
from secateur.attack.membership.versions import MultiVersion
from secateur.attack.membership.white_box import WhiteBox

__all__ = [
    "RMIA",
    "AttackP",
    "AttackR",
    "BaVarIA",
    "Calibrated",
    "ConfidenceThreshold",
    "EntropyThreshold",
    "GapAttack",
    "HierarchicalLiRA",
    "LabelOnly",
    "LiRA",
    "LossThreshold",
    "ModifiedEntropyThreshold",
    "MultiVersion",
    "Neighbours",
    "PairAttack",
    "QuantileRegression",
    "StackedAttack",
    "VectorLiRA",
    "WhiteBox",
    "pseudo_targets",
    "recommended",
]

"""Methods that change how a model is trained: each a frozen dataclass with `defended(recipe)`."""

from __future__ import annotations

from secateur.defend.decay import WeightDecay
from secateur.defend.dpsgd import DPSGD
from secateur.defend.groupnorm import GroupNormDense
from secateur.defend.hamp import HAMP
from secateur.defend.minmax import MinMax
from secateur.defend.past import PAST
from secateur.defend.relaxloss import RelaxLoss
from secateur.defend.small import SmallDense
from secateur.defend.smoothing import LabelSmoothing

__all__ = [
    "DPSGD",
    "HAMP",
    "PAST",
    "GroupNormDense",
    "LabelSmoothing",
    "MinMax",
    "RelaxLoss",
    "SmallDense",
    "WeightDecay",
]

"""Methods that change how a model is trained: each a frozen dataclass.

Some change the recipe (`defended(recipe)`), some train teachers first (`train.Taught`).
"""

from __future__ import annotations

from secateur.defend.crossfit import CrossFit
from secateur.defend.decay import WeightDecay
from secateur.defend.distillation import InSampleDistillation
from secateur.defend.dmp import DMP, PoolOnly
from secateur.defend.dpsgd import DPSGD
from secateur.defend.ensemble_dmp import EnsembleDMP
from secateur.defend.groupnorm import GroupNormDense
from secateur.defend.hamp import HAMP
from secateur.defend.minmax import MinMax
from secateur.defend.past import PAST
from secateur.defend.relaxloss import RelaxLoss
from secateur.defend.selena import SELENA
from secateur.defend.small import SmallDense
from secateur.defend.smoothing import LabelSmoothing
from secateur.defend.stopping import EarlyStopping
from secateur.defend.subsample import Subsample
from secateur.defend.teacher_network import TeacherNetwork

__all__ = [
    "DMP",
    "DPSGD",
    "HAMP",
    "PAST",
    "SELENA",
    "CrossFit",
    "EarlyStopping",
    "EnsembleDMP",
    "GroupNormDense",
    "InSampleDistillation",
    "LabelSmoothing",
    "MinMax",
    "PoolOnly",
    "RelaxLoss",
    "SmallDense",
    "Subsample",
    "TeacherNetwork",
    "WeightDecay",
]

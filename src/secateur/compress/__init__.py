"""Methods that make a network small: each a frozen dataclass with `phases(recipe)`."""

from __future__ import annotations

from secateur.compress.admm import ADMM
from secateur.compress.aware import QuantisationAware
from secateur.compress.budgets import Budget, keep_counts
from secateur.compress.magnitude import Magnitude
from secateur.compress.masks import count_kept
from secateur.compress.patterns import NM, Channels, Columns, Coupled, Filters, Unstructured
from secateur.compress.random import RandomMask
from secateur.compress.residuals import CONVERGED, convergence
from secateur.compress.rewind import RewindCritical
from secateur.compress.scratch import FromScratch
from secateur.compress.statistics import RefreshStatistics

__all__ = [
    "ADMM",
    "CONVERGED",
    "NM",
    "Budget",
    "Channels",
    "Columns",
    "Coupled",
    "Filters",
    "FromScratch",
    "Magnitude",
    "QuantisationAware",
    "RandomMask",
    "RefreshStatistics",
    "RewindCritical",
    "Unstructured",
    "convergence",
    "count_kept",
    "keep_counts",
]

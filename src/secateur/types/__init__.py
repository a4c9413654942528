"""The nouns of the house: frozen, keyword-only, checked once on construction; no torch.

Tensors of an `Artifact` are numpy arrays.
"""

from __future__ import annotations

from secateur.types.base import (
    BoolArray,
    FloatArray,
    IntArray,
    canonical_json,
    derive_seed,
    digest_arrays,
)
from secateur.types.evidence import Observations, Outcomes, Scores, Signal
from secateur.types.membership import ATTACK, AUDIT, POPULATION, UTILITY, Membership, Role
from secateur.types.models import Artifact, Fleet, Kept, Provenance, Shipped
from secateur.types.records import Records
from secateur.types.report import (
    SCHEMA_VERSION,
    Control,
    Estimand,
    Interval,
    Measurement,
    Report,
    Series,
    Status,
)
from secateur.types.sources import ArraySource, ByteSource, PatchedSource, Source
from secateur.types.sweep import NEVER_AS_ACCURATE, RAISED, SWEEP_SCHEMA, Comparison, Point, Sweep

__all__ = [
    "ATTACK",
    "AUDIT",
    "NEVER_AS_ACCURATE",
    "POPULATION",
    "RAISED",
    "SCHEMA_VERSION",
    "SWEEP_SCHEMA",
    "UTILITY",
    "ArraySource",
    "Artifact",
    "BoolArray",
    "ByteSource",
    "Comparison",
    "Control",
    "Estimand",
    "Fleet",
    "FloatArray",
    "IntArray",
    "Interval",
    "Kept",
    "Measurement",
    "Membership",
    "Observations",
    "Outcomes",
    "PatchedSource",
    "Point",
    "Provenance",
    "Records",
    "Report",
    "Role",
    "Scores",
    "Series",
    "Shipped",
    "Signal",
    "Source",
    "Status",
    "Sweep",
    "canonical_json",
    "derive_seed",
    "digest_arrays",
]

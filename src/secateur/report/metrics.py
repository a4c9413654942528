"""What a policy may ask about: the metrics, how a report names their rows, which end counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from secateur.measure import epsilon_name, fpr_name, precision_name

__all__ = ["DEFAULTS", "ENDS", "METRICS", "OPTIONS", "End", "Metric", "row_names"]

End = Literal["worse", "upper", "lower", "value", "p95"]
ENDS: tuple[End, ...] = ("upper", "lower", "value", "p95")
"""What a policy may name; `worse`, the default, is the upper end for `max`, the lower for `min`."""
OPTIONS = ("fpr", "prior", "delta", "batch", "threads")
DEFAULTS: Mapping[str, float] = {"delta": 1e-5, "batch": 1, "threads": 1}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a metric stands in a report.

    `rows` are names of rows of which the first that is there counts; of those with an option the
    name is made of it. `rate` says that values lie in [0, 1], `signed` in [-1, 1]; all others are
    at least 0. `differs` says that differences between models are known, `attacked` that the row is
    of one attack.
    """

    rows: tuple[str, ...]
    risk: str
    about: str
    rate: bool = False
    signed: bool = False
    differs: bool = False
    end: End = "worse"
    options: tuple[str, ...] = ()

    @property
    def attacked(self) -> bool:
        """Whether an attack is part of the row's name."""
        return self.risk == "membership" and self.rows != ("accounted epsilon",)

    def bounds(self, *, difference: bool) -> tuple[float, float]:
        """Return the least and the most that a value, or a difference of two, may be."""
        least = -1.0 if self.signed or (difference and self.rate) else 0.0
        return least, 1.0 if self.rate or self.signed else math.inf


def _leak(row: str, about: str, *options: str, rate: bool = True, end: End = "worse") -> Metric:
    return Metric(
        rows=(row,),
        risk="membership",
        about=about,
        rate=rate,
        differs=row in ("auc", "tpr", "accuracy"),
        end=end,
        options=options,
    )


def _size(*rows: str, about: str, rate: bool = False) -> Metric:
    return Metric(rows=rows, risk="size", about=about, rate=rate, end="value")


def _speed(row: str, about: str, *options: str) -> Metric:
    return Metric(
        rows=(row,),
        risk="latency",
        about=about,
        differs=row == "speed-up",
        end="value",
        options=options,
    )


FILE, TENSORS = "bytes of the file", "bytes of all tensors"
METRICS: Mapping[str, Metric] = {
    "auc": _leak("auc", "the attack's AUC"),
    "tpr": _leak("tpr", "members found at the false alarm rate `fpr`", "fpr"),
    "balanced accuracy": _leak("balanced accuracy", "of the attack"),
    "attack accuracy": _leak("accuracy", "of the attack"),
    "false-positive rate": _leak("false-positive rate", "non-members accused"),
    "precision": _leak("precision", "of those called members, where `prior` are", "prior"),
    "epsilon": _leak("epsilon", "audited lower bound", "delta", rate=False, end="lower"),
    "epsilon estimate": _leak("epsilon estimate", "of a Gaussian curve", "delta", rate=False),
    "accounted epsilon": _leak(
        "accounted epsilon", "what the training promises", "delta", rate=False, end="value"
    ),
    "adversary's gain": _leak("adversary's gain", "in nats", rate=False),
    "jensen-shannon divergence": _leak("jensen-shannon divergence", "in nats", rate=False),
    "reachable accuracy": _leak("reachable accuracy", "of the best decision on the scores"),
    "test accuracy": Metric(
        rows=("test accuracy",),
        risk="utility",
        about="on records that nobody saw",
        rate=True,
        differs=True,
    ),
    "train accuracy": Metric(
        rows=("train accuracy",), risk="utility", about="on members", rate=True
    ),
    "accuracy on non-members": Metric(
        rows=("accuracy on non-members",),
        risk="utility",
        about="where no records were kept for a test accuracy",
        rate=True,
    ),
    "accuracy gap": Metric(
        rows=("accuracy gap",),
        risk="utility",
        about="on members less that on non-members, of a single network",
        signed=True,
    ),
    "kept weights": _size("kept weights", about="share of prunable weights", rate=True),
    "kept of all parameters": _size("kept of all parameters", about="share", rate=True),
    "kept of the baseline's weights": _size(
        "kept of the baseline's weights", about="share, of another network", rate=True
    ),
    "compression rate": _size("compression rate", about="prunable weights / those kept"),
    "bytes": _size(FILE, TENSORS, about="of the file, or of the tensors where there is no file"),
    FILE: _size(FILE, about="of the file alone"),
    "multiply-adds": _size("multiply-adds", about="of one record's forward pass"),
    "effective multiply-adds": _size("effective multiply-adds", about="without zeros"),
    "latency": _speed("latency", "median of calls, in milliseconds", "batch", "threads"),
    "speed-up": _speed("speed-up", "over the baseline, or `versus`", "batch", "threads"),
    "peak memory": _speed("peak memory", "in bytes", "batch"),
    "cpu seconds per model": Metric(
        rows=("cpu seconds per model",), risk="cost", about="of training", end="value"
    ),
}


def row_names(metric: str, options: Mapping[str, float]) -> tuple[str, ...]:
    """Return how a report may name a metric's row.

    Args:
        metric: a key of `METRICS`.
        options: those that the metric has; what is left out has its default.

    Example:
        >>> row_names("tpr", {"fpr": 0.01}), row_names("latency", {"batch": 32})
        (('tpr at 1% fpr',), ('latency, 32 records',))
    """
    said: dict[str, Any] = {**DEFAULTS, **options}
    if metric == "tpr":
        return (fpr_name(said["fpr"]),)
    if metric == "precision":
        return (precision_name(said["prior"]),)
    if metric == "epsilon":
        return (epsilon_name(said["delta"]),)
    if metric == "epsilon estimate":
        return (f"{epsilon_name(said['delta'])}, gdp fit",)
    if metric == "accounted epsilon":
        return (f"accounted {epsilon_name(said['delta'])}",)
    if METRICS[metric].risk == "latency":
        many = f"{said['batch']:g} record{'s' if said['batch'] > 1 else ''}"
        threads = f", {said['threads']:g} threads" if said["threads"] > 1 else ""
        return (f"{metric}, {many}{threads}",)
    return METRICS[metric].rows

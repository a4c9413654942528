"""Measurements, series, controls, and the report that they make."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, Literal

from secateur.errors import InputError
from secateur.types.base import canonical_json
from secateur.types.models import Provenance
from secateur.types.shown import as_html, as_line, as_measurement

__all__ = [
    "SCHEMA_VERSION",
    "Control",
    "Estimand",
    "Interval",
    "Measurement",
    "Report",
    "Series",
    "Status",
]

Status = Literal["measured", "not resolvable", "not run", "exact"]
Estimand = Literal["pipeline", "this model", "property"]
Interval = Literal[
    "t over targets",
    "t over seeds",
    "two-way bootstrap",
    "unit bootstrap",
    "t over targets, widened",
    "two-way bootstrap, widened",
    "unit bootstrap, widened",
    "Clopper-Pearson",
    "lower bound",
    "none",
]
SCHEMA_VERSION = "1"
_RATES = {
    "auc",
    "balanced accuracy",
    "accuracy",
    "tpr",
    "precision",
    "false-positive rate",
    "kept weights",
    "kept of all parameters",
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value with its estimand, counts and interval; never a bare number.

    `subject` is the model family spoken of (a view's name), `risk` what it is about (`membership`,
    `utility`, `size`, `cost`), `method` the attack's repr or the measure's name, `versus` the other
    subject of a paired difference.
    """

    subject: str
    risk: str
    method: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    interval: Interval = "none"
    estimand: Estimand = "pipeline"
    counts: Mapping[str, float] = field(default_factory=dict)
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "neither"
    status: Status = "measured"
    group: str = "all"
    versus: str = ""
    why: str = ""
    threat: str = ""

    def _repr_html_(self) -> str:
        """Return the table that notebooks show."""
        return as_measurement(self)

    def __post_init__(self) -> None:
        for what in ("value", "low", "high"):
            v = getattr(self, what)
            if v is not None and not math.isfinite(v):
                raise InputError(
                    f"{self.metric} of {self.subject}: {what} is {v}; use None and a status"
                )
        if self.status in ("measured", "exact") and self.value is None:
            raise InputError(
                f"{self.metric} of {self.subject}: status {self.status!r} needs a value"
            )
        if self.status in ("not resolvable", "not run") and not self.why:
            raise InputError(f"{self.metric} of {self.subject}: status {self.status!r} needs a why")
        if self.value is not None and self.low is not None and self.high is not None:
            slack = 1e-12 + 1e-9 * abs(self.value)
            if not self.low - slack <= self.value <= self.high + slack:
                raise InputError(
                    f"{self.metric} of {self.subject}: {self.value} is not within "
                    f"[{self.low}, {self.high}]"
                )
        base = self.metric.split(" at ")[0]
        if (
            self.value is not None
            and base in _RATES
            and not self.versus
            and not 0 <= self.value <= 1
        ):
            raise InputError(
                f"{self.metric} of {self.subject}: a rate must be in [0, 1], got {self.value}"
            )


@dataclass(frozen=True, kw_only=True)
class Series:
    """A curve or a histogram: named columns of equal length, at most 500 points.

    `kind`: `roc` (columns fpr, tpr, low, high), `histogram` (left, right, members, non_members),
    `early stopping` (epoch, train_accuracy, test_accuracy, auc, low, high), `convergence` (update,
    layer, residual, rho), `targets` (target, train_accuracy, test_accuracy, auc), `most exposed`
    (record, class, chosen, reported, tpr, low, high, fpr, models_with_it, models_without_it).
    """

    id: str
    kind: str
    subject: str
    method: str
    columns: Mapping[str, tuple[float | str | None, ...]]
    note: str = ""

    def __post_init__(self) -> None:
        lengths = {len(v) for v in self.columns.values()}
        if len(lengths) > 1 or (lengths and max(lengths) > 500):
            raise InputError(
                f"series {self.id!r}: columns need one length of at most 500, got {sorted(lengths)}"
            )


@dataclass(frozen=True, kw_only=True)
class Control:
    """A check of the audit itself: what was seen, and what to do when it is raised."""

    id: str
    status: Literal["passed", "raised", "not run"]
    subject: str
    saw: str
    why: str
    mend: str
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """The product: rows, series, controls, provenance. `to_json` and `from_json` are inverse."""

    title: str
    rows: tuple[Measurement, ...]
    series: tuple[Series, ...] = ()
    controls: tuple[Control, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance(key={}))
    facts: Mapping[str, Any] = field(
        default_factory=dict
    )  # data set, pools, fleets, pipelines, threat model, choices made on references
    side_files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256
    schema: str = SCHEMA_VERSION

    def __repr__(self) -> str:
        """Return one line; `to_dict` has everything."""
        return as_line(self)

    def _repr_html_(self) -> str:
        """Return the table that notebooks show, with the report's charts as pictures."""
        drawing = import_module("secateur.report.notebook")  # the room above, when it is asked
        return as_html(self) + str(drawing.pictures(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": self.schema,
            "title": self.title,
            "facts": json.loads(canonical_json(dict(self.facts))),
            "rows": [_plain(r) for r in self.rows],
            "series": [_plain(s) for s in self.series],
            "controls": [_plain(c) for c in self.controls],
            "provenance": {
                "key": dict(self.provenance.key),
                "context": dict(self.provenance.context),
            },
            "side_files": dict(self.side_files),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Build a report from what `to_dict` gave.

        Raises:
            InputError: another schema version, or a field that is missing or unknown.
        """
        if data.get("schema") != SCHEMA_VERSION:
            raise InputError(
                f"report schema {data.get('schema')!r} is not {SCHEMA_VERSION!r}; "
                "write it anew with this version"
            )
        try:
            return cls(
                title=data["title"],
                rows=tuple(Measurement(**r) for r in data["rows"]),
                series=tuple(
                    Series(**{**s, "columns": {k: tuple(v) for k, v in s["columns"].items()}})
                    for s in data["series"]
                ),
                controls=tuple(Control(**c) for c in data["controls"]),
                provenance=Provenance(**data["provenance"]),
                facts=data["facts"],
                side_files=data["side_files"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a secateur report: {error}") from error


def _plain(item: Measurement | Series | Control) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(item), allow_nan=False))
    return plain

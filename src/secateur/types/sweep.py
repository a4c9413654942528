"""Many audits as points on three axes: accuracy, leak, kept weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from secateur.errors import InputError
from secateur.types.base import canonical_json
from secateur.types.models import Provenance
from secateur.types.report import Measurement, Series
from secateur.types.shown import as_table, told

__all__ = ["NEVER_AS_ACCURATE", "RAISED", "SWEEP_SCHEMA", "Comparison", "Point", "Sweep"]

SWEEP_SCHEMA = "sweep-1"
NEVER_AS_ACCURATE = "no snapshot of the dense models is as accurate"
"""Why a case has no difference to the dense models stopped no less accurate."""

RAISED = "controls"
"""The fact of a sweep that names the controls that its audits raised: id, subject, seeds."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One case: in the world of one seed, or over all seeds (`seed` None).

    `rows` holds measurements under fixed names, among them `train accuracy`, `test accuracy`,
    `leak` (AUC of the strongest attack), `tpr`, `kept weights`, `bytes`; what was not measured is a
    row that says why. `units` holds the numbers that those are means of: one per target, or one per
    seed. `front` says whether no other case is at least as good on all three axes; `sure`, in which
    share of draws that stays so (None: nothing to draw from); `beaten_by` names a better case.
    """

    case: str
    method: str
    seed: int | None
    steps: tuple[str, ...]
    axes: Mapping[str, Any]
    rows: Mapping[str, Measurement]
    units: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    front: bool = False
    sure: float | None = None
    beaten_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One case beside a rival method, at that one's setting of nearest test accuracy.

    `rows` holds differences case - rival under `test accuracy`, `leak`, `tpr`, `leak of canaries`,
    `tpr of canaries`.
    """

    case: str
    rival: str
    method: str
    rows: Mapping[str, Measurement]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep found. `to_dict` and `from_dict` are inverse.

    `comparisons`: cases beside every other method, where the file asked for it. `series`: the dense
    model's early-stopping curve per seed. `dropped`, `failed`: cases with the
    reason why. `missing`: what a budget left for another time. `pick`: the case to ship, and how
    sure that is; empty where no limit was given.
    """

    title: str
    points: tuple[Point, ...]
    series: tuple[Series, ...] = ()
    dropped: tuple[Mapping[str, Any], ...] = ()
    failed: tuple[Mapping[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    pick: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(key={}))
    facts: Mapping[str, Any] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    schema: str = SWEEP_SCHEMA

    def _repr_html_(self) -> str:
        """Return the table that notebooks show: each case over all seeds, the front marked."""
        kinds = ("test accuracy", "leak", "kept weights")
        lines = [
            (p.case, *(told(p.rows[k]) if k in p.rows else "-" for k in kinds), "yes" * p.front)
            for p in self.points
            if p.seed is None
        ]
        return as_table(self.title, lines, ("case", *kinds, "on the front"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        whole: dict[str, Any] = json.loads(
            canonical_json(
                {
                    "schema": self.schema,
                    "title": self.title,
                    "points": [asdict(p) for p in self.points],
                    "series": [asdict(s) for s in self.series],
                    "dropped": [dict(d) for d in self.dropped],
                    "failed": [dict(f) for f in self.failed],
                    "missing": list(self.missing),
                    "pick": dict(self.pick),
                    "provenance": {
                        "key": dict(self.provenance.key),
                        "context": dict(self.provenance.context),
                    },
                    "facts": dict(self.facts),
                    **(
                        {"comparisons": [asdict(c) for c in self.comparisons]}
                        if self.comparisons
                        else {}
                    ),
                }
            )
        )
        return whole

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sweep:
        """Build a sweep from what `to_dict` gave.

        Raises:
            InputError: another schema version, or a field that is missing or unknown.
        """
        if data.get("schema") != SWEEP_SCHEMA:
            raise InputError(
                f"sweep schema {data.get('schema')!r} is not {SWEEP_SCHEMA!r}; run the sweep anew "
                "with this version"
            )
        try:
            return cls(
                title=data["title"],
                points=tuple(_point(p) for p in data["points"]),
                series=tuple(
                    Series(**{**s, "columns": {k: tuple(v) for k, v in s["columns"].items()}})
                    for s in data["series"]
                ),
                dropped=tuple(data["dropped"]),
                failed=tuple(data["failed"]),
                missing=tuple(data["missing"]),
                pick=data["pick"],
                provenance=Provenance(**data["provenance"]),
                facts=data["facts"],
                comparisons=tuple(_comparison(c) for c in data.get("comparisons", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a secateur sweep: {error}") from error

    def over_seeds(self) -> tuple[Point, ...]:
        """Return one point per case, over its seeds."""
        return tuple(p for p in self.points if p.seed is None)


def _comparison(data: Mapping[str, Any]) -> Comparison:
    rows = {name: Measurement(**row) for name, row in data["rows"].items()}
    return Comparison(**{**data, "rows": rows})


def _point(data: Mapping[str, Any]) -> Point:
    return Point(
        **{
            **data,
            "steps": tuple(data["steps"]),
            "rows": {k: Measurement(**r) for k, r in data["rows"].items()},
            "units": {k: tuple(v) for k, v in data["units"].items()},
        }
    )

"""What a learned attack reads of a (model, record): comparisons with references in and out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from secateur.attack.membership.references import (
    Moments,
    as_slice,
    columns,
    sided_log_means,
    sided_moments,
    view_signals,
    with_queries,
)
from secateur.attack.membership.vector_lira import coordinates_of
from secateur.attack.membership.vectors import vector_log_ratio
from secateur.data import MeanSignal
from secateur.errors import MethodError, MissingViewError
from secateur.types import AUDIT, POPULATION, Observations, Signal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from secateur.protocols import Perturbation
    from secateur.types import IntArray, Membership

    _Prior = tuple[NDArray[np.float64], NDArray[np.float64]]  # of audit and population records

__all__ = ["SIGNALS", "Compared", "Evidence", "evidence_of", "means_around"]

MARGIN = Signal(name="margin")
WARM = Signal(name="log_confidence", temperature=4.0)
SIGNALS = (
    MARGIN,
    Signal(name="log_confidence"),
    WARM,
    Signal(name="entropy"),
    Signal(name="modified_entropy"),
)
AROUND = (MARGIN, Signal(name="log_confidence"), WARM)
"""Signals of which the mean around a record is read, where an attack asks there."""
KINDS = {"margin": "margin", "log_confidence": "confidence", "coordinate": "coordinate"}
TOTAL = "gradient/0"  # the name of the whole gradient's norm
WEIGHT = 8.0  # of the pooled variance, in references
FURTHEST = 1e6  # a feature is cut here: extreme signals must not become infinite in float32


class Evidence(NamedTuple):
    """One number per (model, record), `[model, record]` over all models and records.

    `kind`: `margin`, `confidence` (RMIA's), `averaged` (the same around a record, not known of the
    population), `coordinate` (of the whole answer), or `other`.
    """

    name: str
    kind: str
    values: NDArray[Any]


def means_around(around: Sequence[Perturbation]) -> tuple[MeanSignal, ...]:
    """Return the signals whose means over each of these perturbations are read.

    Raises:
        MethodError: one stands there twice.

    Example:
        >>> means_around(())
        ()
    """
    if len(set(around)) != len(around):
        raise MethodError(f"the perturbations to ask around a record must differ, got {around}")
    return tuple(
        MeanSignal(name=s.name, temperature=s.temperature, over=p) for p in around for s in AROUND
    )


def evidence_of(
    observations: Observations,
    others: Sequence[str],
    *,
    what: str,
    gradients: bool = False,
    coordinates: int = 0,
    around: Sequence[Perturbation] = (),
) -> list[Evidence]:
    """Return what an attacker sees of every model: the signals of each view, gradients if asked.

    Several queries count as their mean.

    Args:
        observations: with the signals `SIGNALS` in each view.
        others: views beside the primary one.
        what: the attack, for messages.
        gradients: also of the primary view, and of the others where they were observed.
        coordinates: so many of the answer, of each view.
        around: perturbations over which means are read too, of each view.

    Raises:
        MissingViewError: a view that was named is missing, or is the primary one; or the primary
            one has no gradients.
    """
    found = []
    for signal in (*SIGNALS, *means_around(around), *coordinates_of(coordinates)):
        if others:
            stored = view_signals(observations, signal, others, what=what)
        else:
            stored = [with_queries(observations.stored(signal))]
        kind = KINDS.get(signal.name, "other")
        if isinstance(signal, MeanSignal) and kind == "confidence":
            kind = "averaged"
        for view, values in zip((observations.primary, *others), stored, strict=True):
            mean = values[:, 0] if values.shape[1] == 1 else values.mean(axis=1)
            found.append(Evidence(f"{view}/{signal.key}", kind, mean))
    return [*found, *_pulls(observations, others, what)] if gradients else found


def _pulls(observations: Observations, others: Sequence[str], what: str) -> list[Evidence]:
    """Return log norms of gradients, the primary view's whole one under the name `TOTAL`."""
    primary, held = observations.primary, observations.gradients
    if primary not in held:
        if "gradients" in observations.missing:
            raise MissingViewError(f"{what}: {observations.missing['gradients']}")
        raise MissingViewError(
            f"{what} reads gradients of {primary!r}, and those of {sorted(held) or 'no view'} were "
            "observed; observe it with gradients=True (a model that is a file, or whose weights "
            "were not kept, has none)"
        )
    names = {primary: "gradient", **{v: f"{v}/gradient" for v in others if v in held}}
    return [
        Evidence(f"{name}/{part}", "other", held[view][:, :, part])
        for view, name in names.items()
        for part in range(held[view].shape[2])
    ]


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """References in and out of each audit record: means and shrunk variances."""

    centre: tuple[NDArray[np.float64], NDArray[np.float64]]
    variance: tuple[NDArray[np.float64], NDArray[np.float64]]

    @classmethod
    def of(cls, within: Moments, out: Moments) -> _Sides:
        return cls(centre=(within.centre, out.centre), variance=(_shrunk(within), _shrunk(out)))

    def compared(self, values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the values' distance in spreads from in and out, and the log ratio."""
        (a, b), (va, vb) = self.centre, self.variance
        z_in, z_out = (values - a) / np.sqrt(va), (values - b) / np.sqrt(vb)
        return [z_in, z_out, 0.5 * (z_out**2 - z_in**2 + np.log(vb) - np.log(va))]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Features of models against a fixed set of references, made once for these references.

    Columns, per signal: the value; its distance from the references in and out in spreads; the log
    ratio of LiRA with shrunk variances. Of margins also the means and log spreads in and out; of
    log confidences RMIA's log ratio, and of the record's own the share of the population that it
    beats. At the end the ratio of all margins together, those around the record included; that of
    several numbers of the main view together; where there are coordinates of the answers that of
    all of them; and the class.
    """

    evidence: Sequence[Evidence]
    answer: Sequence[Evidence]
    who: Membership
    references: IntArray
    labels: NDArray[np.int64]
    sides: Sequence[_Sides]
    priors: Sequence[_Prior | None]

    @classmethod
    def with_references(
        cls,
        evidence: Sequence[Evidence],
        who: Membership,
        references: IntArray,
        labels: NDArray[np.int64],
    ) -> Compared:
        """Measure these references; each audit record needs at least one in and one out."""
        answer = [e for e in evidence if e.kind == "coordinate"]
        evidence = [e for e in evidence if e.kind != "coordinate"]
        audit, population = who.pools[AUDIT], who.pool(POPULATION)
        inside = who.inside[as_slice(references)]
        held = columns(inside, audit)
        sides = [_Sides.of(*sided_moments(e.values, references, audit, held)) for e in evidence]
        priors: list[_Prior | None] = []
        for e in evidence:
            if e.kind not in ("confidence", "averaged"):
                priors.append(None)
                continue
            own = sided_log_means(e.values, references, audit, held)
            others = population if e.kind == "confidence" else population[:0]
            rest = sided_log_means(e.values, references, others, columns(inside, others))
            priors.append((np.logaddexp(*own) - np.log(2), rest[1]))
        return cls(
            evidence=evidence,
            answer=answer,
            who=who,
            references=references,
            labels=labels[audit],
            sides=sides,
            priors=priors,
        )

    def features(self, models: IntArray) -> Iterator[NDArray[np.float32]]:
        """Yield `[audit record, feature]` model by model; none of them may be a reference here."""
        joint = self._joint(models)
        for row, model in enumerate(models.tolist()):
            found = [
                f
                for parts in zip(self.evidence, self.sides, self.priors, strict=True)
                for f in self._of_one(model, *parts)
            ]
            found += [*joint[:, row], self.labels.astype(np.float64)]
            stacked = np.clip(np.stack(found, axis=1), -FURTHEST, FURTHEST)
            yield stacked.astype(np.float32)

    def _of_one(
        self, model: int, e: Evidence, sides: _Sides, prior: _Prior | None
    ) -> list[NDArray[np.float64]]:
        values = columns(e.values[[model]], self.who.pools[AUDIT])[0].astype(np.float64)
        found = [values, *sides.compared(values)]
        if e.kind == "margin":
            found += [*sides.centre, *(0.5 * np.log(v) for v in sides.variance)]
        if prior is None:
            return found
        ratio = values - prior[0]
        if not prior[1].size:
            return [*found, ratio]
        population = self.who.pool(POPULATION)
        beaten = np.sort(columns(e.values[[model]], population)[0].astype(np.float64) - prior[1])
        return [*found, ratio, np.searchsorted(beaten, ratio, side="right") / len(beaten)]

    def _joint(self, models: IntArray) -> NDArray[np.float64]:
        """Return log ratios of vectors, `[2 or 3, models, records]`: margins of all views, the main
        view's numbers, and all answers.
        """
        margins = [e.values for e in self.evidence if e.kind == "margin"]
        main = self.evidence[0].name.removesuffix(MARGIN.key)
        names = {main + MARGIN.key, main + WARM.key, f"{main}entropy", TOTAL}
        together = [e.values for e in self.evidence if e.name in names]
        audit = self.who.pools[AUDIT]
        inside = columns(self.who.inside[as_slice(self.references)], audit)
        ratios = [
            vector_log_ratio(
                partial(_read, parts, models, audit),
                partial(_read, parts, self.references, audit),
                inside,
            )
            for parts in (margins, together, [e.values for e in self.answer])
            if parts
        ]
        return np.stack(ratios)


def _read(
    parts: Sequence[NDArray[Any]], models: IntArray, audit: IntArray, rows: slice
) -> NDArray[np.float64]:
    """Return `[models, records, S]` of some audit records: only they are copied."""
    held = [columns(values[models], audit[rows]) for values in parts]
    return np.stack(held, axis=2).astype(np.float64)


def _shrunk(moments: Moments) -> NDArray[np.float64]:
    pooled = moments.pooled()
    variance = (moments.squares + WEIGHT * pooled) / (moments.count - 1 + WEIGHT)
    floored: NDArray[np.float64] = np.maximum(variance, max(1e-9 * pooled, 1e-18))
    return floored

"""Estimators of scikit-learn: the one under audit, and references refitted by `clone`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.auditing.given_model import Given, no_reference_attacks, provenance_of
from secateur.auditing.run import default_attacks
from secateur.auditing.subjects import needed_signals
from secateur.data.handed_tables import decoded
from secateur.errors import InputError, MethodError
from secateur.models.answers import SMALLEST, Estimator
from secateur.probe.stand_in import stand_in
from secateur.spreading import spread_tasks
from secateur.types import Artifact, Membership, derive_seed, digest_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.data.handed_tables import Column
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import IntArray, Records, Signal

__all__ = ["Fitted", "given_estimator"]

CATEGORIES = "a column holds categories: numbers with noise mean nothing to the estimator"


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A fitted estimator as a builder of networks without weights, the same each time."""

    estimator: Any
    classes: tuple[Any, ...]
    columns: tuple[Column, ...] = ()
    added: float = SMALLEST

    def __call__(self) -> Estimator:
        """Return the estimator as a network."""
        prepare = partial(decoded, columns=self.columns) if self.columns else None
        return Estimator(self.estimator, classes=self.classes, added=self.added, prepare=prepare)

    def __repr__(self) -> str:
        return " ".join(repr(self.estimator).split())


def check_fitted(estimator: Any) -> tuple[Any, ...]:
    """Return the classes of a fitted estimator.

    Raises:
        InputError: it is not fitted, or gives no probabilities.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise InputError(
            f"{type(estimator).__name__} is not fitted (it has no classes_); fit it on the members "
            "first"
        )
    return tuple(np.asarray(classes).tolist())


def given_estimator(
    fitted: Fitted,
    records: Records,
    who: Membership,
    *,
    attacks: Sequence[MembershipAttack] | None,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> Given:
    """Return an estimator as an audit takes it, with the references of the membership refitted.

    Args:
        fitted: the one under audit.
        records: what it was fitted on, and what it was not.
        who: the given model first, then references.
        attacks: which will be run, so that references keep what these read.
        seed: reference i is fitted with a `random_state` of its own, where there is one.
        workers: processes; 0 works in this one.
        progress: called after each fit.
    """
    answers = fitted().probabilities(records.gather(np.arange(len(records))))
    added = _added(answers)
    own = Fitted(
        estimator=fitted.estimator, classes=fitted.classes, columns=fitted.columns, added=added
    )
    rows = who.references.tolist()
    chosen = attacks or (default_attacks() if rows else no_reference_attacks())
    whole = [a for a in chosen if rows and getattr(a, "shadows", 0)]
    if whole:
        raise MethodError(
            f"{whole[0]!r} reads whole outputs of references, and of refitted estimators signals "
            "alone are kept; leave it out"
        )
    wanted = needed_signals([*chosen, *no_reference_attacks()])
    tasks = [(who.members(row), derive_seed(seed, "model", row) % 2**32) for row in rows]
    made = spread_tasks(
        refit,
        tasks,
        workers=workers,
        shared=(own, records, who, wanted),
        progress=progress,
    )
    categories = any(c.values for c in fitted.columns)
    return Given(
        build=own,
        first=Artifact(
            tensors={},
            builder=repr(own),
            provenance=provenance_of(
                "estimator", estimator=repr(own), answers=digest_arrays({"p": answers})
            ),
        ),
        references=tuple(r.value for r in made),
        pipeline=(repr(own),),
        mend="nothing, where it gives no scores: read the leak as understated",
        lossy="the estimator answers with probabilities, whose logarithms were read"
        + (f"; for the zeros among them {added:.3g} was added to all" if added > SMALLEST else ""),
        unsuited=CATEGORIES if categories else "",
        notes=_notes(rows),
    )


def _added(answers: np.ndarray[Any, Any]) -> float:
    """Return what is added to probabilities: half of the smallest above 0 where there are zeros.

    A forest answers 0 where no tree votes for a class; as a tiny number such answers would lie far
    from all others, and rule every mean and spread.
    """
    if answers.all():
        return SMALLEST
    return max(SMALLEST, float(answers[answers > 0].min()) / 2)


def _notes(rows: Sequence[int]) -> tuple[str, ...]:
    if not rows:
        return ()
    return (
        "The references were refitted by sklearn.base.clone on draws from the members and "
        "non-members together: settings that were chosen on the members are the attacker's too.",
    )


def refit(
    fitted: Fitted,
    records: Records,
    who: Membership,
    wanted: tuple[Signal, ...],
    task: tuple[IntArray, int],
) -> Artifact:
    """Fit a clone on some records and keep its signals; stands at the top for workers."""
    from sklearn.base import clone

    members, seed = task
    fresh = clone(fitted.estimator)
    states = {k: seed for k in fresh.get_params() if k.split("__")[-1] == "random_state"}
    if states:
        fresh.set_params(**states)
    inputs = records.gather(members)
    given = decoded(inputs, fitted.columns) if fitted.columns else inputs
    labels = np.asarray(fitted.classes)[records.labels[members]]
    try:
        fresh.fit(given, labels)
    except (ValueError, TypeError) as error:
        raise MethodError(
            f"{type(fresh).__name__} could not be refitted on {len(members)} records: "
            f"{str(error)[:300]}"
        ) from error
    build = Fitted(
        estimator=fresh, classes=fitted.classes, columns=fitted.columns, added=fitted.added
    )
    key = provenance_of("reference", estimator=repr(build), seed=seed, members=members.tolist())
    return stand_in(build, records, who, wanted, provenance=key)

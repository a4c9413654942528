"""Worlds whose leak is known: made signals, and made records that a network must memorise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from secateur.data.membership import draw
from secateur.errors import InputError
from secateur.types import Observations, Records, derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["planted_records", "planted_world"]


def planted_world(
    *, records: int, targets: int, references: int, shift: float, seed: int, hardness: float = 1.0
) -> Observations:
    """Make signals with a leak of known size: margin = difficulty + noise + shift if inside.

    Difficulty is N(3, hardness^2) per record, noise N(0, 1) per (model, record). An attack that
    knows each record's difficulty reaches an AUC of Phi(shift / sqrt 2), the best possible; one
    threshold for all records reaches Phi(shift / sqrt(2 (1 + hardness^2))). With shift 0 there is
    nothing to find.

    Args:
        records: number of records; half are in the audit pool, a quarter each in population and
            utility.
        targets: number of targets.
        references: number of references.
        shift: of the margin of members, in standard deviations of the noise.
        seed: of everything.
        hardness: spread of the records' difficulty, at least 0.

    Returns:
        Observations with all signals, log_confidence also at temperatures 2 and 4, and the
        targets' posteriors, as a two-class softmax with these margins gives them.

    Raises:
        InputError: a shift or hardness that is not finite, or counts that cannot be drawn.

    Example:
        >>> world = planted_world(records=40, targets=1, references=4, shift=1.0, seed=0)
        >>> world.views["dense"]["margin"].shape
        (5, 40)
    """
    if not np.isfinite(shift) or not 0 <= hardness < np.inf:
        raise InputError(
            f"shift must be finite and hardness finite and at least 0, got shift={shift}, "
            f"hardness={hardness}"
        )
    rng = np.random.default_rng(derive_seed(seed, "planted"))
    made = planted_records(records, seed=seed)
    who = draw(made, targets=targets, references=references, seed=seed)
    difficulty = 3 + hardness * rng.normal(size=records)
    margin = difficulty + rng.normal(size=who.inside.shape) + shift * who.inside
    return Observations(
        views={"dense": _signals(margin)},
        labels=made.labels,
        membership=who,
        n_classes=made.n_classes,
        primary="dense",
        posteriors={"dense": _posteriors(margin[who.targets], made.labels)},
    )


def _signals(margin: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    log_p, log_q = -np.logaddexp(0, -margin), -np.logaddexp(0, margin)
    p, q = np.exp(log_p), np.exp(log_q)
    return {
        "margin": margin,
        "log_confidence": log_p,
        "log_confidence@2": -np.logaddexp(0, -margin / 2),
        "log_confidence@4": -np.logaddexp(0, -margin / 4),
        "loss": -log_p,
        "entropy": -(p * log_p + q * log_q),
        "modified_entropy": -2 * q * log_p,
        "correct": (margin > 0).astype(np.float64),
    }


def _posteriors(margin: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    p = np.exp(-np.logaddexp(0, -margin))
    posteriors = np.where(labels[:, None] == np.arange(2), p[..., None], 1 - p[..., None])
    return posteriors.astype(np.float32)


def planted_records(
    n: int, *, features: int = 10, classes: int = 2, noise: float = 0.5, seed: int
) -> Records:
    """Make records of which a share has random labels: only a network that memorises fits them.

    Args:
        n: number of records.
        features: inputs per record, N(0, 1).
        classes: number of classes, at least 2, at most `features` and n; without noise the label
            says which of the first inputs is the largest.
        noise: share of records whose label is drawn at random, in [0, 1].
        seed: of everything.

    Raises:
        InputError: numbers that do not fit together.

    Example:
        >>> len(planted_records(50, seed=0))
        50
    """
    if not 2 <= classes <= min(features, n):
        raise InputError(
            f"classes must be in 2 .. {min(features, n)} for {n} records of {features} features, "
            f"got {classes}"
        )
    if not 0 <= noise <= 1:
        raise InputError(f"noise must be in [0, 1], got {noise}")
    rng = np.random.default_rng(derive_seed(seed, "records"))
    x = rng.normal(size=(n, features)).astype(np.float32)
    y = np.argmax(x[:, :classes], axis=1)
    random = rng.random(n) < noise
    y[random] = rng.integers(classes, size=int(random.sum()))
    y[:classes] = np.arange(classes)  # every class is present
    return Records.from_arrays(x, y, n_classes=classes, name="planted")

"""Worlds whose leak is known: made signals, and made records that a network must memorise."""

from __future__ import annotations

import numpy as np

from secateur.data.membership import draw
from secateur.types import Observations, Records, derive_seed

__all__ = ["planted_records", "planted_world"]


def planted_world(
    *, records: int, targets: int, references: int, shift: float, seed: int, hardness: float = 1.0
) -> Observations:
    """Make signals with a leak of known size: margin = difficulty + noise + shift if inside.

    Difficulty is N(3, hardness^2) per record, noise N(0, 1) per (model, record). An attack that
    knows each record's difficulty reaches an AUC of Phi(shift / sqrt 2); with shift 0 there is
    nothing to find.

    Args:
        records: number of records; half are in the audit pool.
        targets: number of targets.
        references: number of references.
        shift: of the margin of members, in standard deviations of the noise.
        seed: of everything.
        hardness: spread of the records' difficulty.

    Returns:
        Observations with all signals, also at temperature 4, as a two-class model would give them.

    Example:
        >>> world = planted_world(records=40, targets=1, references=4, shift=1.0, seed=0)
        >>> world.views["dense"]["margin"].shape
        (5, 40)
    """
    rng = np.random.default_rng(derive_seed(seed, "planted"))
    made = planted_records(records, seed=seed)
    who = draw(made, targets=targets, references=references, seed=seed)
    margin = (
        3
        + hardness * rng.normal(size=records)
        + rng.normal(size=who.inside.shape)
        + shift * who.inside
    )
    log_p, log_q = -np.logaddexp(0, -margin), -np.logaddexp(0, margin)
    p, q = np.exp(log_p), np.exp(log_q)
    signals = {
        "margin": margin,
        "log_confidence": log_p,
        "log_confidence@4": -np.logaddexp(0, -margin / 4),
        "loss": -log_p,
        "entropy": -(p * log_p + q * log_q),
        "modified_entropy": -2 * q * log_p,
        "correct": (margin > 0).astype(np.float64),
    }
    return Observations.from_arrays(
        signals, labels=made.labels, membership=who, n_classes=made.n_classes
    )


def planted_records(
    n: int, *, features: int = 10, classes: int = 2, noise: float = 0.5, seed: int
) -> Records:
    """Make records of which a share has random labels: only a network that memorises fits them.

    Args:
        n: number of records.
        features: inputs per record, N(0, 1).
        classes: number of classes; without noise the label is the largest of the first inputs.
        noise: share of records whose label is drawn at random, in [0, 1].
        seed: of everything.

    Example:
        >>> len(planted_records(50, seed=0))
        50
    """
    rng = np.random.default_rng(derive_seed(seed, "records"))
    x = rng.normal(size=(n, features)).astype(np.float32)
    y = np.argmax(x[:, :classes], axis=1)
    random = rng.random(n) < noise
    y[random] = rng.integers(classes, size=int(random.sum()))
    y[:classes] = np.arange(classes)  # every class is present
    return Records.from_arrays(x, y, n_classes=classes, name="planted")

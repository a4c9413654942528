"""LiRA on vectors: several signals and every query of a record as one Gaussian."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args, get_type_hints

from secateur.attack.membership.references import (
    with_queries,
)
from secateur.attack.membership.trials import audit_scores
from secateur.attack.membership.vectors import check_vector, log_ratio_of
from secateur.errors import MethodError
from secateur.protocols import Threat
from secateur.spelling import spelled_without
from secateur.types import Observations, Scores, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["VectorLiRA", "coordinates_of"]


@dataclass(frozen=True, kw_only=True)
class VectorLiRA:
    """LiRA's likelihood ratio of the vector of all signals under all queries.

    Carlini et al. fit a Gaussian to the vector of a record's augmented queries. Here its
    covariance is pooled over records and shrunk, its scale and means are shrunk per record (see
    `vectors.py`): a covariance of each record's own would need far more references than queries.
    Larger = more like a member.

    Args:
        signals: keys of signals, `name` or `name@temperature`, such as `margin` and `margin@4`.
        coordinates: beside them, so many coordinates of the answer as it is (`Signal`): classes - 1
            of them are all of it, also what a model says of classes that are not the record's.
        covariance: `full`, or `diagonal` as in the paper.
        shrink: weight of the diagonal in `full`, in [0, 1].
        variant: `t` for Student-t predictives, `n` for Gaussians.

    Differs from the paper: priors over records, and signals beyond the scaled logit.

    Example:
        >>> VectorLiRA(signals=("margin", "margin@4")).needs[1]
        Signal(name='margin', temperature=4.0)
    """

    signals: tuple[str, ...] = ("margin",)
    covariance: Literal["full", "diagonal"] = "full"
    shrink: float = 0.1
    variant: Literal["t", "n"] = "t"
    coordinates: int = 0

    threat: ClassVar[Threat] = "adaptive"
    revision: ClassVar[int] = 1
    reference: ClassVar[str] = "carlini2022membership"
    needs_posteriors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_vector(variant=self.variant, shrink=self.shrink)
        if self.covariance not in ("full", "diagonal"):
            raise MethodError(f"covariance must be 'full' or 'diagonal', got {self.covariance!r}")
        none = not self.signals and not self.coordinates
        if none or len(set(self.signals)) != len(self.signals):
            raise MethodError(f"signals must be different and at least one, got {self.signals}")
        _ = self.needs  # checks names and numbers

    def __repr__(self) -> str:
        """Return its spelling; coordinates stand in it where there are any."""
        return spelled_without(self, {"coordinates": 0})

    @property
    def needs(self) -> tuple[Signal, ...]:
        """The signals of the vector."""
        return (*(_signal(key) for key in self.signals), *coordinates_of(self.coordinates))

    @property
    def min_in(self) -> int:
        """References in; the covariance needs two."""
        return 2

    @property
    def min_out(self) -> int:
        """References out; the covariance needs two."""
        return 2

    def __call__(self, observations: Observations, *, seed: int = 0) -> Scores:
        """Score the audit pool; the threshold is chosen on references as pseudo-targets.

        Raises:
            NotEnoughReferencesError: a record has fewer than two references in or out.
        """
        del seed  # nothing is random here
        return audit_scores(observations, self._score, otherwise=0.0)

    def _score(self, observations: Observations) -> NDArray[np.float64]:
        seen = [with_queries(observations.stored(s)) for s in self.needs]
        diagonal = self.covariance == "diagonal"
        return log_ratio_of(
            observations.membership, seen, replace(self, shrink=1.0) if diagonal else self
        )


def coordinates_of(n: int) -> tuple[Signal, ...]:
    """Return the first coordinates of a model's answer.

    Raises:
        MethodError: fewer than none.

    Example:
        >>> [signal.key for signal in coordinates_of(2)]
        ['coordinate#0', 'coordinate#1']
    """
    if n < 0:
        raise MethodError(f"coordinates must be at least 0, got {n}")
    return tuple(Signal(name="coordinate", part=part) for part in range(n))


def _signal(key: str) -> Signal:
    name, _, temperature = key.partition("@")
    known = [name for name in get_args(get_type_hints(Signal)["name"]) if name != "coordinate"]
    found = next((one for one in known if one == name), None)
    if found is None:
        raise MethodError(f"no signal {name!r}; there are {', '.join(known)}")
    try:
        return Signal(name=found, temperature=float(temperature or 1))
    except ValueError as error:
        raise MethodError(f"a signal is spelled name or name@temperature, got {key!r}") from error

"""What an attacker sees, and what an attack says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError, InputError, MissingViewError
from secateur.types.base import BoolArray, set_fields
from secateur.types.membership import Membership
from secateur.types.shown import as_table

__all__ = ["Observations", "Outcomes", "Scores", "Signal"]

MOST_LINES = 8


@dataclass(frozen=True, kw_only=True, order=True)
class Signal:
    """A number per (model, record), computed from the model's logits z and the true label y.

    Names, with p = softmax(z / temperature):
    `margin`: log p_y - log(1 - p_y), LiRA's scaled logit; `log_confidence`: log p_y; `loss`: -log
    p_y;
    `entropy`: -sum p log p; `modified_entropy`: Song & Mittal 2021; `correct`: 1 if argmax z = y
    else 0; `coordinate`: sum_c log p_c b_c, with b the cosine of frequency `part` + 1 over the
    classes, of length 1. The first classes - 1 coordinates hold the whole answer, whatever its
    label; further ones are 0.
    """

    name: Literal[
        "margin", "log_confidence", "loss", "entropy", "modified_entropy", "correct", "coordinate"
    ]
    temperature: float = 1.0
    part: int = 0

    def __post_init__(self) -> None:
        if self.part < 0 or (self.part and self.name != "coordinate"):
            raise InputError(
                f"part counts coordinates from 0, got part={self.part} of {self.name!r}"
            )
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(f"temperature must be positive and finite, got {self.temperature}")

    def __repr__(self) -> str:
        """Return its spelling; `part` stands in it where it counts."""
        told = [f.name for f in fields(self) if f.name != "part" or self.part]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in told)})"

    @property
    def key(self) -> str:
        """The signal's name in files and observations."""
        name = f"{self.name}#{self.part}" if self.name == "coordinate" else self.name
        if self.temperature == 1.0:
            return name
        short = f"{self.temperature:g}"
        return f"{name}@{short if float(short) == self.temperature else self.temperature}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """What an attacker sees of a fleet: per view (`dense`, `pruned`, ...) named arrays `[model,
    record]`.

    A further axis `query` stands between model and record when records are queried more than once;
    the first query is the record as it is.
    `primary` names the view under audit.
    `posteriors[view]` (`[target, record, class]`, softmax) is kept for the target models only, in
    the order of `membership.targets`. Kept where an attack reads them: `shadow_posteriors[view]`,
    those of the first references; `sensitivities[view]` (`[target and shadow, record, class]`), how
    far the softmax moves per unit of noise in the input; `gradients[view]` (`[model, record,
    part]`), log norms of parts of the gradient of each audit record's loss; `features`
    (`[record, width]`), the inputs or what the caller made of them, which an attacker knows without
    asking any model. `missing` says of signals, by key, why these records have none.
    """

    views: Mapping[str, Mapping[str, NDArray[Any]]]
    labels: NDArray[np.int64]
    membership: Membership
    n_classes: int
    primary: str = "dense"
    posteriors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    shadow_posteriors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sensitivities: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gradients: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    ids: NDArray[np.int64] | None = None
    features: NDArray[Any] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.features is not None and (
            self.features.ndim != 2 or len(self.features) != len(self.labels)
        ):
            raise DataError(
                f"features need the shape ({len(self.labels)}, width), got {self.features.shape}"
            )
        if self.primary not in self.views:
            raise InputError(f"no view {self.primary!r}; there are {sorted(self.views)}")
        models, records = self.membership.inside.shape
        if self.labels.shape != (records,):
            raise DataError(f"labels need the shape ({records},), got {self.labels.shape}")
        for view, arrays in self.views.items():
            for key, a in arrays.items():
                if a.shape[0] != models or a.shape[-1] != records or a.ndim not in (2, 3):
                    raise DataError(
                        f"signal {key!r} of view {view!r} has the shape {a.shape}; "
                        f"expected ({models}, [queries,] {records})"
                    )
                # model by model: an array may be mapped into memory, and larger than it
                bad = sum(m.size - int(np.count_nonzero(np.isfinite(m))) for m in a)
                if bad:
                    raise DataError(
                        f"signal {key!r} of view {view!r} has {bad} values that are NaN or infinite"
                    )
        for view, norms in self.gradients.items():
            if norms.ndim != 3 or norms.shape[:2] != (models, records):
                raise DataError(
                    f"gradients of view {view!r} need the shape ({models}, {records}, parts), got "
                    f"{norms.shape}"
                )
            if not np.isfinite(norms).all():
                raise DataError(f"gradients of view {view!r} are NaN or infinite")
        if self.ids is None:
            set_fields(self, ids=np.arange(records))

    @classmethod
    def from_arrays(
        cls,
        signals: Mapping[str, NDArray[Any]],
        *,
        labels: NDArray[Any],
        membership: Membership,
        n_classes: int | None = None,
        view: str = "dense",
    ) -> Observations:
        """Make observations from saved signals `[model, record]` or `[model, query, record]`."""
        labels = np.asarray(labels, dtype=np.int64)
        return cls(
            views={view: {k: np.asarray(v) for k, v in signals.items()}},
            labels=labels,
            membership=membership,
            n_classes=n_classes or int(labels.max()) + 1,
            primary=view,
        )

    def signal(self, signal: Signal, *, view: str | None = None) -> NDArray[np.float64]:
        """Return a signal in float64, `[model, record]` or `[model, query, record]`.

        Raises:
            InputError: the view does not hold the signal; the message lists what it holds.
        """
        return np.asarray(self.stored(signal, view=view), dtype=np.float64)

    def stored(self, signal: Signal, *, view: str | None = None) -> NDArray[Any]:
        """Return a signal as it is kept, without a copy: of any dtype, perhaps mapped into memory.

        Raises:
            InputError: the view does not hold the signal; the message lists what it holds.
            MissingViewError: these records have no such signal; the message says why.
        """
        if signal.key in self.missing:
            raise MissingViewError(self.missing[signal.key])
        arrays = self.views.get(view or self.primary)
        if arrays is None:
            raise InputError(f"no view {view!r}; there are {sorted(self.views)}")
        if signal.key not in arrays:
            raise InputError(f"signal {signal.key!r} was not observed; there are {sorted(arrays)}")
        return arrays[signal.key]

    def plain(self, signal: Signal, *, view: str | None = None) -> NDArray[np.float64]:
        """Return a signal of the records as they are, `[model, record]`: of several queries the
        first.

        Raises:
            InputError: the view does not hold the signal.
        """
        found = self.stored(signal, view=view)
        return np.asarray(found if found.ndim == 2 else found[:, 0], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One number per (target model, record); larger = more like a member.

    Rows follow `membership.targets`; `evaluated` is false where the attack gives no verdict
    (outside the audit pool; records that a learned attack trained on). `threshold` (per target),
    where an attack has one, was chosen on references: a record is called a member when its value >=
    threshold.
    """

    values: NDArray[np.float64]
    evaluated: BoolArray
    threshold: NDArray[np.float64] | None = None

    def _repr_html_(self) -> str:
        """Return the table that notebooks show: counts and means, no single record."""
        lines: list[tuple[object, ...]] = [
            (i, int(judged.sum()), f"{row[judged].mean():.4g}" if judged.any() else "-")
            for i, (row, judged) in enumerate(zip(self.values, self.evaluated, strict=True))
        ]
        headers = ("target", "records", "mean score")
        if len(lines) > MOST_LINES:
            lines[MOST_LINES:] = [(f"and {len(lines) - MOST_LINES} more", "", "")]
        return as_table("Scores; larger = more like a member", lines, headers)

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != self.evaluated.shape:
            raise InputError(
                f"values and evaluated need one shape [targets, records], got {self.values.shape}"
                f" and {self.evaluated.shape}"
            )
        if self.evaluated.dtype != np.bool_:
            raise InputError(f"evaluated must be bool, got {self.evaluated.dtype}")
        if not np.isfinite(self.values[self.evaluated]).all():
            raise InputError("scores must be finite wherever they are evaluated")
        if self.threshold is not None and self.threshold.shape != (len(self.values),):
            raise InputError(
                f"threshold needs one value per target ({len(self.values)}), "
                f"got {self.threshold.shape}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """Whether an attack with a verifiable goal succeeded: `hit[record, budget]`, re-verified by the
    house.
    """

    hit: BoolArray
    budgets: NDArray[np.float64]

    def __post_init__(self) -> None:
        if (
            self.hit.ndim != 2
            or self.hit.dtype != np.bool_
            or self.budgets.shape != (self.hit.shape[1],)
        ):
            raise InputError(
                f"hit must be bool[records, budgets], got {self.hit.shape} "
                f"with budgets {self.budgets.shape}"
            )

"""The nouns of the house: frozen, keyword-only, checked once on construction.

Nothing here imports torch: tensors of an `Artifact` are numpy arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from secateur.errors import DataError, InputError

__all__ = [
    "ATTACK",
    "AUDIT",
    "POPULATION",
    "SCHEMA_VERSION",
    "UTILITY",
    "ArraySource",
    "Artifact",
    "BoolArray",
    "Control",
    "Estimand",
    "Fleet",
    "FloatArray",
    "IntArray",
    "Interval",
    "Measurement",
    "Membership",
    "Observations",
    "Outcomes",
    "Provenance",
    "Records",
    "Report",
    "Role",
    "Scores",
    "Series",
    "Signal",
    "Source",
    "Status",
    "canonical_json",
    "derive_seed",
    "digest_arrays",
]

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
Role = Literal["target", "reference", "given"]
Status = Literal["measured", "not resolvable", "not run", "exact"]
Estimand = Literal["pipeline", "this model", "property"]
Interval = Literal["t over targets", "two-way bootstrap", "unit bootstrap", "Clopper-Pearson", "none"]
SCHEMA_VERSION = "1"

# The named, disjoint pools of a Membership.
AUDIT = "audit"  # coins are thrown over these; members and non-members of every model come from here
POPULATION = "population"  # never a member of any model; RMIA's z, the attacker's own records
UTILITY = "utility"  # never a member; test accuracy is measured here and nowhere else
ATTACK = "attack"  # never a member; further data that a method declares (Min-Max, learned attacks)


def derive_seed(seed: int, *path: str | int) -> int:
    """Derive an independent sub-seed in [0, 2**63) from a seed and a path of names.

    Example:
        >>> derive_seed(0, "model", 3) == derive_seed(0, "model", 3)
        True
        >>> derive_seed(0, "model", 3) == derive_seed(0, "model", 4)
        False
    """
    text = json.dumps([int(seed), *path], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest_arrays(arrays: Mapping[str, NDArray[Any]], extra: str = "") -> str:
    """Return the SHA-256 of named arrays: names, dtypes, shapes and bytes, in sorted order."""
    h = hashlib.sha256(extra.encode())
    for name in sorted(arrays):
        a = np.ascontiguousarray(arrays[name])
        h.update(f"|{name}|{a.dtype.str}|{a.shape}|".encode())
        h.update(a.data if a.size else b"")
    return h.hexdigest()


def _frozen(a: NDArray[Any]) -> NDArray[Any]:
    view = np.asarray(a).view()
    view.flags.writeable = False
    return view


def _set(obj: object, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(obj, name, value)


@runtime_checkable
class Source(Protocol):
    """Where a record's input comes from: memory, a memory map, files read lazily."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        ...

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices, float32 `[len(indices), *shape[1:]]`."""
        ...

    def digest(self) -> str:
        """Return a digest of the content of all records."""
        ...


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """Inputs in memory, float32 `[records, ...]`, all finite."""

    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if values.ndim < 2:
            raise DataError(f"inputs need the shape [records, ...], got {values.shape}; add an axis")
        values = np.ascontiguousarray(values, dtype=np.float32)
        bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
        if bad.size:
            raise DataError(
                f"{bad.size} of {len(values)} records have inputs that are NaN or infinite, first at "
                f"index {bad[0]}; remove or impute them before the audit"
            )
        _set(self, values=_frozen(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of records first."""
        return self.values.shape

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices."""
        return self.values[indices]

    def digest(self) -> str:
        """Return a digest of all inputs."""
        return digest_arrays({"values": self.values})


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """Labelled records of persons.

    `units[i]` says whose record i is (default: everyone owns one); `groups` maps a column's name to
    one value per record. Labels are 0 .. n_classes - 1.
    """

    source: Source
    labels: NDArray[np.int64]
    n_classes: int
    name: str = "records"
    ids: NDArray[np.int64] | None = None
    units: NDArray[np.int64] | None = None
    groups: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.source.shape[0]
        labels = np.asarray(self.labels)
        if labels.shape != (n,):
            raise DataError(f"labels need the shape ({n},) of the inputs, got {labels.shape}")
        if labels.dtype.kind not in "iu":
            raise DataError(f"labels must be whole numbers, got dtype {labels.dtype}; encode them as 0 .. classes - 1")
        if n == 0:
            raise DataError("there are no records (0 rows); give at least one")
        if self.n_classes < 2:
            raise DataError(f"a classifier needs at least 2 classes, got n_classes={self.n_classes}")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.n_classes:
            raise DataError(
                f"labels must be in 0 .. {self.n_classes - 1} (n_classes={self.n_classes}), got the range "
                f"{low} .. {high}; encode them, or correct n_classes"
            )
        if low == high:
            raise DataError(f"all {n} labels are {low}: one class only; a classifier needs at least 2 present")
        ids = np.arange(n) if self.ids is None else np.asarray(self.ids)
        units = ids if self.units is None else np.asarray(self.units)
        for what, column in {"ids": ids, "units": units, **self.groups}.items():
            if np.shape(column) != (n,):
                raise DataError(f"{what} need the shape ({n},), got {np.shape(column)}")
        if len(np.unique(ids)) != n:
            raise DataError(f"ids must be unique: {n} records have {len(np.unique(ids))} different ids")
        _set(
            self,
            labels=_frozen(labels.astype(np.int64)),
            ids=_frozen(ids.astype(np.int64)),
            units=_frozen(units.astype(np.int64)),
            groups={k: _frozen(np.asarray(v)) for k, v in self.groups.items()},
        )

    @classmethod
    def from_arrays(
        cls,
        inputs: NDArray[Any],
        labels: NDArray[Any],
        *,
        n_classes: int | None = None,
        name: str = "records",
        units: NDArray[Any] | None = None,
        groups: Mapping[str, NDArray[Any]] | None = None,
    ) -> Records:
        """Make records from arrays in memory.

        Args:
            inputs: `[records, ...]`, finite.
            labels: `[records]`, whole numbers 0 .. n_classes - 1.
            n_classes: number of classes; by default the largest label + 1.
            name: what the report calls this data set.
            units: `[records]`, whose record each is.
            groups: named columns, one value per record.

        Raises:
            DataError: lengths disagree, a value is not finite, a label is out of range.

        Example:
            >>> r = Records.from_arrays(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
            >>> len(r), r.n_classes
            (4, 2)
        """
        labels = np.asarray(labels)
        if n_classes is None:
            n_classes = int(labels.max()) + 1 if labels.size and labels.dtype.kind in "iu" else 2
        return cls(
            source=ArraySource(values=np.asarray(inputs)),
            labels=labels,
            n_classes=n_classes,
            name=name,
            units=units,
            groups=groups or {},
        )

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one record's input."""
        return self.source.shape[1:]

    def gather(self, indices: IntArray) -> NDArray[np.float32]:
        """Return the inputs at these indices, float32 `[len(indices), ...]`."""
        return self.source.gather(np.asarray(indices))

    def take(self, indices: IntArray) -> Records:
        """Return the records at these indices, in this order, in memory; ids and units are kept."""
        indices = np.asarray(indices)
        assert self.ids is not None and self.units is not None  # set by __post_init__
        return Records(
            source=ArraySource(values=self.gather(indices)),
            labels=self.labels[indices],
            n_classes=self.n_classes,
            name=self.name,
            ids=self.ids[indices],
            units=self.units[indices],
            groups={k: v[indices] for k, v in self.groups.items()},
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inputs, labels, ids, units and groups."""
        assert self.ids is not None and self.units is not None  # set by __post_init__
        columns = {f"group:{k}": np.asarray(v).astype(str) for k, v in self.groups.items()}
        return digest_arrays(
            {"labels": self.labels, "ids": self.ids, "units": self.units, **columns},
            extra=f"{self.source.digest()}|{self.n_classes}",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Membership:
    """Who trained on what: `inside[m, r]` is true when model m trained on record r.

    `pools` maps a pool's name to sorted record indices; pools are disjoint, and only records of the
    pool `AUDIT` are ever inside a model. `units[r]` is the unit of record r: in or out as a whole.
    """

    inside: BoolArray
    roles: tuple[Role, ...]
    pools: Mapping[str, IntArray]
    units: NDArray[np.int64]
    seed: int
    drawn: bool = True  # False: given by a user, not drawn by us; the blind baseline is then a must

    def __post_init__(self) -> None:
        inside = np.asarray(self.inside)
        if inside.ndim != 2 or inside.dtype != np.bool_:
            raise DataError(f"inside must be bool[models, records], got {inside.dtype}{inside.shape}")
        models, records = inside.shape
        if len(self.roles) != models:
            raise DataError(f"{models} rows of inside but {len(self.roles)} roles")
        units = np.asarray(self.units)
        if units.shape != (records,):
            raise DataError(f"units need the shape ({records},), got {units.shape}")
        pools = {k: _frozen(np.sort(np.asarray(v, dtype=np.int64))) for k, v in self.pools.items()}
        self._check_pools(inside, pools, records)
        self._check_units(inside, pools, units)
        _set(self, inside=_frozen(inside), pools=pools, units=_frozen(units.astype(np.int64)))

    @staticmethod
    def _check_pools(inside: BoolArray, pools: Mapping[str, IntArray], records: int) -> None:
        if AUDIT not in pools:
            raise DataError(f"pools need the name {AUDIT!r}, got {sorted(pools)}")
        owner: dict[int, str] = {}
        for name, indices in pools.items():
            if indices.size and (indices[0] < 0 or indices[-1] >= records):
                raise DataError(f"pool {name!r} holds indices {indices[0]} .. {indices[-1]}, but there are {records} records")
            for i in indices.tolist():
                if i in owner:
                    raise DataError(
                        f"record {i} is in the pools {owner[i]!r} and {name!r}; pools must be disjoint "
                        "(a member that is also a non-member cannot be audited)"
                    )
                owner[i] = name
        outside = np.ones(records, dtype=bool)
        outside[pools[AUDIT]] = False
        if (inside & outside).any():
            m, r = (int(v[0]) for v in np.nonzero(inside & outside))
            raise DataError(f"model {m} has record {r} as a member, which is not in the pool {AUDIT!r}")
        share = inside[:, pools[AUDIT]].sum(axis=1)
        for m in np.flatnonzero((share == 0) | (share == len(pools[AUDIT]))):
            raise DataError(
                f"model {m} has {share[m]} members of {len(pools[AUDIT])} records in the pool {AUDIT!r}; "
                "an audit needs members and non-members of every model"
            )

    @staticmethod
    def _check_units(inside: BoolArray, pools: Mapping[str, IntArray], units: IntArray) -> None:
        audit = pools[AUDIT]
        _, inverse, counts = np.unique(units[audit], return_inverse=True, return_counts=True)
        for row in inside[:, audit]:
            hits = np.bincount(inverse, weights=row)
            if ((hits > 0) & (hits < counts)).any():
                raise DataError("a unit (person) is partly in and partly out of a model; draw by unit")
        elsewhere = np.concatenate([v for k, v in pools.items() if k != AUDIT] or [np.array([], dtype=np.int64)])
        if np.intersect1d(units[audit], units[elsewhere]).size:
            raise DataError(f"a unit (person) has records in the pool {AUDIT!r} and in another pool; draw by unit")

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def targets(self) -> IntArray:
        """Indices of the models under audit (roles `target` and `given`)."""
        return np.array([i for i, r in enumerate(self.roles) if r != "reference"], dtype=np.int64)

    @property
    def references(self) -> IntArray:
        """Indices of the attacker's reference models."""
        return np.array([i for i, r in enumerate(self.roles) if r == "reference"], dtype=np.int64)

    def pool(self, name: str) -> IntArray:
        """Return the record indices of a pool, empty when there is no such pool."""
        return self.pools.get(name, np.array([], dtype=np.int64))

    def members(self, model: int) -> IntArray:
        """Return the sorted indices of the records that a model trained on."""
        return np.flatnonzero(self.inside[model])

    def non_members(self, model: int) -> IntArray:
        """Return the sorted indices of the records of the audit pool that a model did not see."""
        audit = self.pools[AUDIT]
        return audit[~self.inside[model, audit]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inside, pools, units and roles."""
        arrays = {"inside": self.inside, "units": self.units, **{f"pool:{k}": v for k, v in self.pools.items()}}
        return digest_arrays(arrays, extra=canonical_json([list(self.roles), self.seed, self.drawn]))


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where something comes from.

    `key` holds whatever can change a byte of the result (step, method's repr and revision, seed,
    parents' digests, engine plan, torch version); its digest is the only cache key. `context` (time, hardware) is not part of it.
    """

    key: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `key`."""
        return hashlib.sha256(canonical_json(dict(self.key)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """One trained model, never mutated.

    `tensors` are parameters and buffers under their state-dict names; `masks` (bool, same names and
    shapes as the parameters they belong to) mark kept weights; `history` holds small curves (such as
    `admm/residual`); `snapshots` arrays that a probe kept while the model trained, `[epoch, record]`.
    """

    tensors: Mapping[str, NDArray[Any]]
    builder: str
    provenance: Provenance
    masks: Mapping[str, BoolArray] = field(default_factory=dict)
    history: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    snapshots: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, mask in self.masks.items():
            if name not in self.tensors or self.tensors[name].shape != mask.shape:
                raise InputError(f"mask {name!r} of shape {mask.shape} has no tensor of that name and shape")
        for what in ("tensors", "masks", "history", "snapshots"):
            _set(self, **{what: {k: _frozen(v) for k, v in getattr(self, what).items()}})

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all arrays and the provenance key."""
        arrays = {
            f"{what}/{k}": v
            for what in ("tensors", "masks", "history", "snapshots")
            for k, v in getattr(self, what).items()
        }
        return digest_arrays(arrays, extra=f"{self.builder}|{self.provenance.digest}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Fleet:
    """Models and who trained on what; model i of `artifacts` is row i of the membership.

    `artifacts` may load lazily from a folder. `costs[i]` is the CPU time of model i in seconds, this step alone.
    """

    artifacts: Sequence[Artifact]
    membership: Membership
    name: str = "dense"
    pipeline: tuple[str, ...] = ()  # reprs of recipe and transforms, in order
    costs: tuple[float, ...] = ()
    recipe: Any = None  # what trained it, given by the caller: its `build` makes the empty network
    snapshot_epochs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.artifacts) != len(self.membership):
            raise InputError(f"{len(self.artifacts)} artifacts but {len(self.membership)} rows of membership")

    def __len__(self) -> int:
        return len(self.artifacts)


@dataclass(frozen=True, kw_only=True, order=True)
class Signal:
    """A number per (model, record), computed from the model's logits z and the true label y.

    Names, with p = softmax(z / temperature):
    `margin`: log p_y - log(1 - p_y), LiRA's scaled logit; `log_confidence`: log p_y; `loss`: -log p_y;
    `entropy`: -sum p log p; `modified_entropy`: Song & Mittal 2021; `correct`: 1 if argmax z = y else 0.
    """

    name: Literal["margin", "log_confidence", "loss", "entropy", "modified_entropy", "correct"]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise InputError(f"temperature must be positive and finite, got {self.temperature}")

    @property
    def key(self) -> str:
        """The signal's name in files and observations."""
        return self.name if self.temperature == 1.0 else f"{self.name}@{self.temperature:g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """What an attacker sees of a fleet: per view (`dense`, `pruned`, ...) named arrays `[model, record]`.

    A further axis `query` stands between model and record when records are queried more than once.
    `posteriors[view]` (`[target, record, class]`, softmax) is kept for the target models only, in
    the order of `membership.targets`. `primary` names the view under audit.
    """

    views: Mapping[str, Mapping[str, NDArray[Any]]]
    labels: NDArray[np.int64]
    membership: Membership
    n_classes: int
    primary: str = "dense"
    posteriors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
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
                if not np.isfinite(a).all():
                    bad = int((~np.isfinite(a)).sum())
                    raise DataError(f"signal {key!r} of view {view!r} has {bad} values that are NaN or infinite")
        if self.ids is None:
            _set(self, ids=np.arange(records))

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
        """Make observations from saved signals, each `[model, record]` or `[model, query, record]`."""
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
        arrays = self.views.get(view or self.primary)
        if arrays is None:
            raise InputError(f"no view {view!r}; there are {sorted(self.views)}")
        if signal.key not in arrays:
            raise InputError(f"signal {signal.key!r} was not observed; there are {sorted(arrays)}")
        return np.asarray(arrays[signal.key], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One number per (target model, record); larger = more like a member.

    Rows follow `membership.targets`; `evaluated` is false where the attack gives no verdict (outside the
    audit pool; records that a learned attack trained on). `threshold` (per target), where an attack has one, was chosen on references:
    a record is called a member when its value >= threshold.
    """

    values: NDArray[np.float64]
    evaluated: BoolArray
    threshold: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != self.evaluated.shape:
            raise InputError(
                f"values and evaluated need one shape [targets, records], got {self.values.shape} and {self.evaluated.shape}"
            )
        if self.evaluated.dtype != np.bool_:
            raise InputError(f"evaluated must be bool, got {self.evaluated.dtype}")
        if not np.isfinite(self.values[self.evaluated]).all():
            raise InputError("scores must be finite wherever they are evaluated")
        if self.threshold is not None and self.threshold.shape != (len(self.values),):
            raise InputError(f"threshold needs one value per target ({len(self.values)}), got {self.threshold.shape}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """Whether an attack with a verifiable goal succeeded: `hit[record, budget]`, re-verified by the house."""

    hit: BoolArray
    budgets: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.hit.ndim != 2 or self.hit.dtype != np.bool_ or self.budgets.shape != (self.hit.shape[1],):
            raise InputError(f"hit must be bool[records, budgets], got {self.hit.shape} with budgets {self.budgets.shape}")


_RATES = {"auc", "balanced accuracy", "accuracy", "tpr", "kept weights", "kept of all parameters"}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A value with its estimand, counts and interval; never a bare number.

    `subject` is the model family spoken of (a view's name), `risk` what it is about (`membership`, `utility`, `size`, `cost`),
    `method` the attack's repr or the measure's name, `versus` the other subject of a paired difference.
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

    def __post_init__(self) -> None:
        for what in ("value", "low", "high"):
            v = getattr(self, what)
            if v is not None and not math.isfinite(v):
                raise InputError(f"{self.metric} of {self.subject}: {what} is {v}; use None and a status")
        if self.status in ("measured", "exact") and self.value is None:
            raise InputError(f"{self.metric} of {self.subject}: status {self.status!r} needs a value")
        if self.status in ("not resolvable", "not run") and not self.why:
            raise InputError(f"{self.metric} of {self.subject}: status {self.status!r} needs a why")
        if self.value is not None and self.low is not None and self.high is not None:
            slack = 1e-12 + 1e-9 * abs(self.value)
            if not self.low - slack <= self.value <= self.high + slack:
                raise InputError(f"{self.metric} of {self.subject}: {self.value} is not within [{self.low}, {self.high}]")
        base = self.metric.split(" at ")[0]
        if self.value is not None and base in _RATES and not self.versus and not 0 <= self.value <= 1:
            raise InputError(f"{self.metric} of {self.subject}: a rate must be in [0, 1], got {self.value}")


@dataclass(frozen=True, kw_only=True)
class Series:
    """A curve or a histogram: named columns of equal length, at most 500 points.

    `kind`: `roc` (columns fpr, tpr, low, high), `histogram` (left, right, members, non_members), `early stopping`
    (epoch, train_accuracy, test_accuracy, auc, low, high), `convergence` (update, layer, residual, rho), `sweep`.
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
            raise InputError(f"series {self.id!r}: columns need one length of at most 500, got {sorted(lengths)}")


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
    facts: Mapping[str, Any] = field(default_factory=dict)  # data set, pools, fleets, pipelines, threat model, choices made on references
    side_files: Mapping[str, str] = field(default_factory=dict)  # name -> SHA-256
    schema: str = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": self.schema,
            "title": self.title,
            "facts": json.loads(canonical_json(dict(self.facts))),
            "rows": [_plain(r) for r in self.rows],
            "series": [_plain(s) for s in self.series],
            "controls": [_plain(c) for c in self.controls],
            "provenance": {"key": dict(self.provenance.key), "context": dict(self.provenance.context)},
            "side_files": dict(self.side_files),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Build a report from what `to_dict` gave.

        Raises:
            InputError: another schema version, or a field that is missing or unknown.
        """
        if data.get("schema") != SCHEMA_VERSION:
            raise InputError(f"report schema {data.get('schema')!r} is not {SCHEMA_VERSION!r}; write it anew with this version")
        try:
            return cls(
                title=data["title"],
                rows=tuple(Measurement(**r) for r in data["rows"]),
                series=tuple(
                    Series(**{**s, "columns": {k: tuple(v) for k, v in s["columns"].items()}}) for s in data["series"]
                ),
                controls=tuple(Control(**c) for c in data["controls"]),
                provenance=Provenance(**data["provenance"]),
                facts=data["facts"],
                side_files=data["side_files"],
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"not a secateur report: {error}") from error


def _plain(item: Measurement | Series | Control) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(item), allow_nan=False))
    return plain

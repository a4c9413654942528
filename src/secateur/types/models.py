"""Trained models and where they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from secateur.errors import InputError
from secateur.types.base import BoolArray, canonical_json, digest_arrays, frozen, set_fields
from secateur.types.membership import Membership
from secateur.types.shown import as_table

if TYPE_CHECKING:
    from secateur.types.records import Records

__all__ = ["Artifact", "Fleet", "Kept", "Provenance", "Shipped"]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where something comes from.

    `key` holds whatever can change a byte of the result (step, method's repr and revision, seed,
    parents' digests, engine plan, torch version); its digest is the only cache key. `context`
    (time, hardware) is not part of it.
    """

    key: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of `key`."""
        return hashlib.sha256(canonical_json(dict(self.key)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """What stands for a model whose weights were not kept.

    `signals` are its numbers on every record, `[record]` or `[query, record]`, under `Signal.key`;
    `probe` and `queries` spell what made them and how records were asked about; `model` is the
    digest of the model itself.
    """

    signals: Mapping[str, NDArray[Any]]
    probe: str
    queries: str
    model: str

    def __post_init__(self) -> None:
        set_fields(self, signals={k: frozen(v) for k, v in self.signals.items()})


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """The file that a model is on a device, byte for byte; `form` says of which kind it is."""

    form: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """One trained model, never mutated.

    `tensors` are parameters and buffers under their state-dict names; `masks` (bool, same names and
    shapes as the parameters they belong to) mark kept weights; `history` holds small curves (such
    as `admm/residual`); `snapshots` arrays that a probe kept while the model trained, `[epoch,
    record]`. `surgery` says what is left of tensors that were made smaller than the builder's:
    under `<tensor>/<axis>` the indices kept along that axis, ascending. `shipped` is the file that
    was made of the model: whoever queries the artifact runs that file, and not the tensors that
    stand beside it. `kept`, where it is given, stands for all of these, which then are empty.
    """

    tensors: Mapping[str, NDArray[Any]]
    builder: str
    provenance: Provenance
    masks: Mapping[str, BoolArray] = field(default_factory=dict)
    history: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    snapshots: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    surgery: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    shipped: Shipped | None = None
    kept: Kept | None = None

    def __post_init__(self) -> None:
        weights = (self.tensors, self.masks, self.surgery, self.shipped)
        if self.kept is not None and any(weights):
            raise InputError("a model has either its weights or the signals that stand for them")
        for name, mask in self.masks.items():
            if name not in self.tensors or self.tensors[name].shape != mask.shape:
                raise InputError(
                    f"mask {name!r} of shape {mask.shape} has no tensor of that name and shape"
                )
        for name, rows in self.surgery.items():
            self._check_surgery(name, rows)
        for what in ("tensors", "masks", "history", "snapshots", "surgery"):
            set_fields(self, **{what: {k: frozen(v) for k, v in getattr(self, what).items()}})

    def _check_surgery(self, name: str, rows: NDArray[Any]) -> None:
        tensor, _, axis = name.rpartition("/")
        shape = self.tensors[tensor].shape if tensor in self.tensors else ()
        fits = axis.isdigit() and int(axis) < len(shape) and rows.shape == (shape[int(axis)],)
        if not (fits and rows.dtype.kind == "i" and (rows.size == 0 or rows[0] >= 0)):
            raise InputError(
                f"surgery {name!r} must hold one index for each of what is left along that axis of "
                f"a tensor; it has the shape {rows.shape}, {tensor!r} the shape {shape}"
            )
        if (rows[1:] <= rows[:-1]).any():
            raise InputError(f"surgery {name!r} must be ascending, got {rows[:20].tolist()}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all arrays and the provenance key."""
        arrays = {
            f"{what}/{k}": v
            for what in ("tensors", "masks", "history", "snapshots", "surgery")
            for k, v in getattr(self, what).items()
        }
        extra = f"{self.builder}|{self.provenance.digest}"
        if self.shipped is not None:
            extra += f"|{self.shipped.form}|{self.shipped.digest}"
        if self.kept is not None:
            arrays |= {f"signals/{k}": v for k, v in self.kept.signals.items()}
            extra += f"|{self.kept.probe}|{self.kept.queries}|{self.kept.model}"
        return digest_arrays(arrays, extra=extra)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the weights that the columns of `history["admm/residual"]` belong to.

        All masks in sorted order, or those that `history["admm/layers"]` points to.
        """
        names = sorted(self.masks)
        where = self.history.get("admm/layers")
        return tuple(names) if where is None else tuple(names[i] for i in where)

    @property
    def model_digest(self) -> str:
        """The digest of the model with its weights, whether they are here or not."""
        return self.digest if self.kept is None else self.kept.model


@dataclass(frozen=True, kw_only=True, eq=False)
class Fleet:
    """Models and who trained on what; model i of `artifacts` is row i of the membership.

    `artifacts` may load lazily from a folder. `costs[i]` is the CPU time of model i in seconds,
    this step alone; 0 where it is not known.
    """

    artifacts: Sequence[Artifact]
    membership: Membership
    name: str = "dense"
    pipeline: tuple[str, ...] = ()  # reprs of recipe and transforms, in order
    costs: tuple[float, ...] = ()
    recipe: Any = None  # what trained it, given by the caller: its `build` makes the empty network
    snapshot_epochs: tuple[int, ...] = ()
    engine: str = ""  # the route that made it, which decides its last bits

    def __post_init__(self) -> None:
        if len(self.artifacts) != len(self.membership):
            raise InputError(
                f"{len(self.artifacts)} artifacts but {len(self.membership)} rows of membership"
            )

    def _repr_html_(self) -> str:
        """Return the table that notebooks show."""
        roles = self.membership.roles
        counts = [(f"models, {role}", roles.count(role)) for role in dict.fromkeys(roles)]
        steps = [(f"step {i}", step) for i, step in enumerate(self.pipeline, start=1)]
        return as_table(f"Fleet {self.name}", [*counts, *steps])

    def __len__(self) -> int:
        return len(self.artifacts)

    def part(self, models: Sequence[int]) -> Fleet:
        """Return a fleet of some of the models, in this order."""
        subset = getattr(self.artifacts, "part", None)
        rows = list(models)
        return replace(
            self,
            artifacts=subset(rows) if subset else [self.artifacts[i] for i in rows],
            membership=self.membership.part(rows),
            costs=tuple(self.costs[i] for i in rows) if self.costs else (),
        )

    def check_records(self, records: Records) -> None:
        """Refuse records that are not those of the fleet, as far as its models say.

        Raises:
            InputError: another number of records, or others than the first model was trained on.
        """
        n = self.membership.inside.shape[1]
        if len(records) != n:
            raise InputError(f"{len(records)} records, but the fleet's membership is over {n}")
        missing: tuple[int, ...] = getattr(self.artifacts, "missing", tuple)()
        there = set(range(len(self))) - set(missing)
        stated = self.artifacts[min(there)].provenance.key.get("records") if there else None
        if stated is not None and stated != records.digest:
            raise InputError(
                f"the fleet {self.name!r} was trained on records with the digest {stated}, these "
                f"have {records.digest}; give the same records, in the same order"
            )

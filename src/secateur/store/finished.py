"""What follows when a fleet's models are there: its costs, its end, and reading it lazily."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, overload

from secateur.context import hardware
from secateur.errors import InputError, StoreError
from secateur.store.documents import read_document, write_document
from secateur.store.fleets import (
    FleetFolder,
    checked_artifact,
    checked_membership,
    read_manifest,
    write_manifest,
)
from secateur.types import Artifact, Fleet

__all__ = [
    "StoredArtifacts",
    "finish_fleet",
    "fleet_digest",
    "note_choice",
    "note_cost",
    "open_fleet",
]

_CONTEXT_FORMAT = "secateur-fleet-context-1"
_RECENT = 2  # models kept in memory: a walk over a fleet needs one, a comparison two


class StoredArtifacts(Sequence[Artifact]):
    """The models of a stored fleet, each read and checked when it is asked for.

    Only the two models asked for last stay in memory.
    """

    def __init__(self, entries: Sequence[tuple[Path, str, str | None]]) -> None:
        """Hold (file, provenance digest, artifact digest where it is stated) of each model."""
        self._entries = tuple(entries)
        self._recent: tuple[tuple[int, Artifact], ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Artifact: ...
    @overload
    def __getitem__(self, index: slice) -> StoredArtifacts: ...
    def __getitem__(self, index: int | slice) -> Artifact | StoredArtifacts:
        if isinstance(index, slice):
            return StoredArtifacts(self._entries[index])
        position = range(len(self))[index]
        others = tuple(pair for pair in self._recent if pair[0] != position)
        found = [artifact for at, artifact in self._recent if at == position]
        artifact = found[0] if found else checked_artifact(*self._entries[position])
        # replaced as one tuple, so that threads never see it half-changed
        self._recent = ((position, artifact), *others)[:_RECENT]
        return artifact

    def part(self, indices: Sequence[int]) -> StoredArtifacts:
        """Return some of the models, in this order."""
        return StoredArtifacts([self._entries[i] for i in indices])

    def missing(self) -> tuple[int, ...]:
        """Return which models were not made yet."""
        return tuple(i for i, (file, *_) in enumerate(self._entries) if not file.exists())

    def path(self, index: int) -> Path:
        """Return the file of a model, so that a worker can read it by itself."""
        return self._entries[index][0]

    def key_digest(self, index: int) -> str:
        """Return the provenance digest of a model without reading it."""
        return self._entries[index][1]

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredArtifacts, (self._entries,)

    def __repr__(self) -> str:
        return f"StoredArtifacts({len(self)} models)"


def note_cost(path: str | Path, key_digest: str, *, cpu_seconds: float) -> None:
    """Remember what a model cost, so that a resumed run still knows it.

    Only the process that directs the run may call this, not its workers.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder = FleetFolder(Path(path))
    content = _context(folder)
    costs = {**content.get("costs", {}), key_digest: float(cpu_seconds)}
    write_document(folder.context, {**content, "format": _CONTEXT_FORMAT, "costs": costs})


def note_choice(path: str | Path, *, engine: str, rates: Mapping[str, float]) -> None:
    """Remember which engine was chosen, and the rates on which the choice was made.

    Args:
        path: the fleet's folder.
        engine: the chosen route.
        rates: models x records per second of each way, on one core.

    Raises:
        StoreError: the folder cannot be written.
    """
    folder = FleetFolder(Path(path))
    chosen = {"engine": engine, "rates": {k: float(v) for k, v in rates.items()}}
    content = {**_context(folder), "format": _CONTEXT_FORMAT, "chosen": chosen}
    write_document(folder.context, content)


def _context(folder: FleetFolder) -> dict[str, Any]:
    if not folder.context.exists():
        return {}
    return read_document(folder.context, what="secateur fleet context")


def finish_fleet(
    path: str | Path, *, digests: Sequence[str], costs: Sequence[float] = ()
) -> FleetFolder:
    """Write into the manifest that all models are there, and into the context what they cost.

    Args:
        path: the fleet's folder.
        digests: the digest of each model's artifact, in the order of the membership.
        costs: CPU seconds of each model in the same order; by default those of `note_cost`.

    Returns:
        Where the fleet's files lie.

    Raises:
        InputError: lengths disagree.
        StoreError: a model's file is missing, or the manifest already states another digest.
    """
    folder = FleetFolder(Path(path))
    manifest = read_manifest(folder)
    keys = manifest["plan"]["key_digests"]
    if len(digests) != len(keys) or (costs and len(costs) != len(keys)):
        raise InputError(
            f"the fleet has {len(keys)} models, got {len(digests)} digests and {len(costs)} costs; "
            "give one of each for every model"
        )
    _refuse_missing(folder, keys)
    for i, (old, new) in enumerate(zip(manifest["artifacts"], digests, strict=True)):
        if old is not None and old != new:
            raise StoreError(
                f"{folder.path}: model {i} now has the digest {new}, but the finished manifest "
                f"states {old}; the same plan gave other bytes here: choose another folder"
            )
    noted = _context(folder)
    paid = dict(zip(keys, map(float, costs), strict=True)) if costs else {}
    context = {
        **noted,
        "format": _CONTEXT_FORMAT,
        "costs": {**noted.get("costs", {}), **paid},
        "hardware": hardware(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_document(folder.context, context)
    write_manifest(folder, plan=manifest["plan"], artifacts=digests)
    return folder


def _refuse_missing(folder: FleetFolder, keys: Sequence[str]) -> None:
    missing = [i for i, key in enumerate(keys) if not folder.model(key).exists()]
    if missing:
        shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        raise StoreError(
            f"{folder.path}: {len(missing)} of {len(keys)} models are missing ({shown}); run "
            "`secateur train` or `secateur prune` again with the same arguments, it resumes there; "
            "or prune and audit what is there with --partial"
        )


def open_fleet(path: str | Path, *, recipe: Any = None, partial: bool = False) -> Fleet:
    """Open a fleet; its models are read when they are asked for.

    Args:
        path: the fleet's folder.
        recipe: what trained it; its `build` makes the empty network. The file holds only its repr.
        partial: open an unfinished fleet too; `artifacts.missing()` says which models are not
            there, and `Fleet.part` leaves them out.

    Returns:
        The fleet, `artifacts` being a `StoredArtifacts`.

    Raises:
        StoreError: there is no fleet, it is unfinished (the message counts the missing models), or
            a file is damaged.
    """
    folder = FleetFolder(Path(path))
    manifest = read_manifest(folder)
    plan, digests = manifest["plan"], manifest["artifacts"]
    keys = plan["key_digests"]
    if not partial:
        _refuse_missing(folder, keys)
    if None in digests and not partial:
        raise StoreError(
            f"{folder.path}: all {len(keys)} models are there, but the run ended before the fleet "
            "was finished; run `secateur train` or `secateur prune` again with the same arguments"
        )
    entries = [(folder.model(k), k, d) for k, d in zip(keys, digests, strict=True)]
    return Fleet(
        artifacts=StoredArtifacts(entries),
        membership=checked_membership(folder, plan["membership_digest"]),
        name=plan["name"],
        pipeline=tuple(plan["pipeline"]),
        costs=_costs(_context(folder).get("costs", {}), keys),
        recipe=recipe,
        snapshot_epochs=tuple(plan["snapshot_epochs"]),
        engine=str(plan["engine"]),
    )


def _costs(noted: Mapping[str, float], keys: Sequence[str]) -> tuple[float, ...]:
    """Return each model's cost; 0 where it is not known, as of a model that another run made."""
    return tuple(noted.get(key, 0.0) for key in keys) if noted else ()


def fleet_digest(path: str | Path) -> str:
    """Return the SHA-256 over manifest, membership and every model's file; the context is left out.

    Raises:
        StoreError: the fleet is unfinished, or a file is missing or damaged.
    """
    folder = FleetFolder(Path(path))
    fleet = open_fleet(path)
    total = hashlib.sha256()
    files = [folder.manifest, folder.membership]
    for i, key in enumerate(read_manifest(folder)["plan"]["key_digests"]):
        total.update(fleet.artifacts[i].digest.encode())  # reading it checks its file
        files.append(folder.model(key))
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()

"""A fleet in a folder: a manifest, a membership, one file for each model, and the context apart.

The manifest holds only what the plan and the finished models determine, so a run that was
interrupted and resumed leaves the same bytes as one that was not. Times and hardware are in
`context.json`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from secateur.errors import InputError, StoreError
from secateur.store.arrays import read_membership, write_membership
from secateur.store.differing import difference
from secateur.store.documents import plain, read_document, write_document
from secateur.store.files import clean_temporaries
from secateur.store.tensors import read_artifact
from secateur.types import Artifact, Membership, Provenance

__all__ = [
    "FleetFolder",
    "FleetPlan",
    "begun_engine",
    "checked_artifact",
    "checked_membership",
    "create_fleet",
    "found_model",
    "model_path",
    "read_fleet_plan",
    "read_manifest",
    "refuse_other_plan",
    "remove_unstarted_fleet",
    "write_manifest",
]

_FORMAT = "secateur-fleet-1"
_WHAT = "secateur fleet manifest"
_OURS = frozenset({"context.json", "fleet.json", "membership.npz", "models"})


@dataclass(frozen=True, kw_only=True, eq=False)
class FleetPlan:
    """Everything that determines a fleet before its first model is trained.

    `keys[i]` is the provenance key of model i, `pipeline` the reprs of recipe and transforms in
    order, `data` a plain description of the records, `engine` the engine's plan.
    """

    name: str
    pipeline: tuple[str, ...]
    builder_repr: str
    membership: Membership
    records_digest: str
    data: Mapping[str, Any]
    keys: tuple[Mapping[str, Any], ...]
    seed: int
    engine: Mapping[str, Any] | str
    snapshot_epochs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.membership):
            raise InputError(
                f"{len(self.keys)} provenance keys but {len(self.membership)} rows of membership; "
                "give one key for each model"
            )
        if len(set(self.key_digests)) != len(self.keys):
            raise InputError(
                f"{len(self.keys)} models have {len(set(self.key_digests))} different provenance "
                "keys; put each model's index or seed into its key"
            )

    @cached_property
    def key_digests(self) -> tuple[str, ...]:
        """The digest of each model's provenance key, in the order of the membership."""
        return tuple(Provenance(key=key).digest for key in self.keys)


@dataclass(frozen=True)
class FleetFolder:
    """Where the files of a fleet lie."""

    path: Path

    @property
    def manifest(self) -> Path:
        """The plan, and the digests of the finished models."""
        return self.path / "fleet.json"

    @property
    def membership(self) -> Path:
        """Who trained on what."""
        return self.path / "membership.npz"

    @property
    def context(self) -> Path:
        """Costs, hardware, time: what may differ between two equal runs."""
        return self.path / "context.json"

    def model(self, key_digest: str) -> Path:
        """Return the file of the model with this provenance digest."""
        return self.path / "models" / f"{key_digest[:24]}.safetensors"


def create_fleet(path: str | Path, plan: FleetPlan) -> FleetFolder:
    """Make the folder of a fleet, or find it again to resume it.

    Args:
        path: the folder; new, empty, or holding a fleet of the same plan.
        plan: what the fleet will be.

    Returns:
        Where its files lie. Half-written files of killed processes are removed.

    Raises:
        StoreError: the folder holds another fleet (the message names the field that differs, the
            old and the new value), or files of somebody else.
    """
    folder = FleetFolder(Path(path))
    clean_temporaries(folder.path)
    fields = _fields(plan)
    if folder.manifest.exists():
        refuse_other_plan(folder, old=read_manifest(folder)["plan"], new=fields)
        checked_membership(folder, fields["membership_digest"])
        return folder
    foreign = sorted(p.name for p in folder.path.iterdir()) if folder.path.is_dir() else []
    foreign = [name for name in foreign if name not in _OURS]
    if foreign:
        raise StoreError(
            f"{folder.path} holds other files ({', '.join(foreign[:5])}) and no fleet; choose a "
            "new or an empty folder"
        )
    write_membership(folder.membership, plan.membership)
    write_manifest(folder, plan=fields, artifacts=[None] * len(plan.keys))
    return folder


def remove_unstarted_fleet(path: str | Path) -> None:
    """Remove a fleet's folder in which no model was finished; anything else in it is left.

    For a run that fails before its first model, so that a mended one can use the folder.
    """
    folder = FleetFolder(Path(path))
    models = folder.path / "models"
    if models.is_dir() and any(models.iterdir()):
        return
    for file in (folder.manifest, folder.membership, folder.context):
        file.unlink(missing_ok=True)
    for place in (models, folder.path):
        with contextlib.suppress(OSError):  # not empty, or never made
            place.rmdir()


def _fields(plan: FleetPlan) -> dict[str, Any]:
    fields = {
        "name": plan.name,
        "pipeline": plan.pipeline,
        "builder": plan.builder_repr,
        "records_digest": plan.records_digest,
        "data": dict(plan.data),
        "seed": plan.seed,
        "engine": plan.engine if isinstance(plan.engine, str) else dict(plan.engine),
        "snapshot_epochs": plan.snapshot_epochs,
        "membership_file": "membership.npz",
        "membership_digest": plan.membership.digest,
        "keys": [dict(key) for key in plan.keys],
        "key_digests": plan.key_digests,
    }
    result: dict[str, Any] = plain(fields, what="the plan of the fleet")
    digests = [Provenance(key=key).digest for key in result["keys"]]
    if digests != result["key_digests"]:
        raise StoreError(
            "a provenance key changes when it is read back from JSON; use text for the names in "
            "every mapping of it"
        )
    return result


def write_manifest(
    folder: FleetFolder, *, plan: Mapping[str, Any], artifacts: Sequence[str | None]
) -> None:
    """Write the manifest: the plan, and each model's artifact digest once the fleet is finished."""
    content = {"format": _FORMAT, "plan": plan, "artifacts": list(artifacts)}
    write_document(folder.manifest, content)


def read_manifest(folder: FleetFolder) -> dict[str, Any]:
    """Return the checked content of the manifest: `plan`, and `artifacts` (digests or None)."""
    content = read_document(folder.manifest, what=_WHAT)
    if content.get("format") != _FORMAT:
        raise StoreError(
            f"{folder.manifest} has the format {content.get('format')!r}, not {_FORMAT!r}: another "
            "version wrote it; train the fleet anew into another folder"
        )
    return content


def checked_membership(folder: FleetFolder, digest: str) -> Membership:
    """Return the fleet's membership after comparing it with the manifest."""
    membership = read_membership(folder.membership)
    if membership.digest != digest:
        raise StoreError(
            f"{folder.membership} belongs to another fleet: the manifest states {digest}, "
            f"the file has {membership.digest}; restore it, or choose another folder"
        )
    return membership


def refuse_other_plan(folder: FleetFolder, *, old: Any, new: Any) -> None:
    """Refuse a plan that is not the one in a fleet's folder, with the first field that differs."""
    if old != new:
        raise StoreError(
            f"{folder.path} holds another fleet: {difference(old, new)}; choose another folder, or "
            "give the arguments of the fleet that is there"
        )


def read_fleet_plan(path: str | Path) -> FleetPlan:
    """Read the plan of a fleet, finished or not.

    Raises:
        StoreError: there is no fleet, or its manifest or membership is damaged.
    """
    folder = FleetFolder(Path(path))
    fields = read_manifest(folder)["plan"]
    return FleetPlan(
        name=fields["name"],
        pipeline=tuple(fields["pipeline"]),
        builder_repr=fields["builder"],
        membership=checked_membership(folder, fields["membership_digest"]),
        records_digest=fields["records_digest"],
        data=fields["data"],
        keys=tuple(fields["keys"]),
        seed=fields["seed"],
        engine=fields["engine"],
        snapshot_epochs=tuple(fields["snapshot_epochs"]),
    )


def begun_engine(path: str | Path) -> str | None:
    """Return the engine's plan of a fleet that was begun in this folder; None where none was."""
    folder = FleetFolder(Path(path))
    if not folder.manifest.exists():
        return None
    return str(read_manifest(folder)["plan"]["engine"])


def model_path(path: str | Path, key_digest: str) -> Path:
    """Return where the model with this provenance digest lies in the fleet folder."""
    return FleetFolder(Path(path)).model(key_digest)


def found_model(path: str | Path, key_digest: str) -> Artifact | None:
    """Return a model that is finished; None where it is not there.

    Raises:
        StoreError: its file is there but truncated, altered, or of another model.
    """
    file = model_path(path, key_digest)
    return checked_artifact(file, key_digest, None) if file.exists() else None


def checked_artifact(file: Path, key_digest: str, digest: str | None) -> Artifact:
    """Return the artifact of a file after comparing it with what the manifest states."""
    artifact = read_artifact(file)
    if artifact.provenance.digest != key_digest:
        raise StoreError(
            f"{file} holds another model: its provenance has the digest "
            f"{artifact.provenance.digest}, the manifest states {key_digest}; delete it and resume"
        )
    if digest is not None and artifact.model_digest != digest:
        raise StoreError(
            f"{file} was replaced after the fleet was finished: the manifest states the digest "
            f"{digest}, its content has {artifact.model_digest}; restore it, or "
            "delete it and resume"
        )
    return artifact

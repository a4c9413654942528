"""Whether a folder can take a fleet, asked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.store.documents import plain
from secateur.store.fleets import FleetFolder, read_manifest, refuse_other_plan

if TYPE_CHECKING:
    from secateur.types import Membership

__all__ = ["refuse_other_fleet"]


def refuse_other_fleet(
    path: str | Path,
    *,
    pipeline: Sequence[str],
    records_digest: str,
    data: Mapping[str, Any],
    membership: Membership,
    seed: int,
) -> None:
    """Refuse a folder as `create_fleet` would, before anything is made.

    Compared is what is known without the models: the keys, which hold digests of the models that
    these begin with, and versions of libraries, are not. Where no fleet was begun nothing is
    refused.

    Args:
        path: the fleet's folder; may be missing or empty.
        pipeline: as of a `FleetPlan`, like what follows.
        records_digest: of the records.
        data: their description.
        membership: who is to train on what.
        seed: of the fleet.

    Raises:
        StoreError: another fleet, or its manifest is damaged.
    """
    folder = FleetFolder(Path(path))
    if not folder.manifest.exists():
        return
    asked = {
        "data": dict(data),
        "membership_digest": membership.digest,
        "pipeline": pipeline,
        "records_digest": records_digest,
        "seed": seed,
    }
    new: dict[str, Any] = plain(asked, what="the plan of the fleet")
    there = read_manifest(folder)["plan"]
    # in an order in which what the user wrote comes before what follows from it
    order = ("data", "seed", "pipeline", "records_digest", "membership_digest")
    old, new = ({name: fields[name] for name in order} for fields in (there, new))
    refuse_other_plan(folder, old=old, new=new)

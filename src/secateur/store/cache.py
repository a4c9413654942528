"""Models that several runs share: one file for each provenance key, linked into fleets' folders."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from secateur.store.files import write_bytes
from secateur.store.fleets import checked_artifact, model_path

__all__ = ["give_model", "take_model"]


def take_model(cache: str | Path, path: str | Path, key_digest: str) -> bool:
    """Put a model that another run made into a fleet's folder.

    Args:
        cache: the folder of shared models.
        path: the fleet's folder.
        key_digest: the provenance digest that the fleet wants.

    Returns:
        Whether it was there.

    Raises:
        StoreError: the shared file is damaged, or holds another model.
    """
    shared = model_path(cache, key_digest)
    if not shared.exists():
        return False
    checked_artifact(shared, key_digest, None)
    _link(shared, model_path(path, key_digest))
    return True


def give_model(cache: str | Path, path: str | Path, key_digest: str) -> None:
    """Let other runs find a fleet's model, whole as it is; one that is there already stays.

    Raises:
        StoreError: the folder cannot be written.
    """
    shared = model_path(cache, key_digest)
    if not shared.exists():
        _link(model_path(path, key_digest), shared)


def _link(source: Path, place: Path) -> None:
    """Make `place` the same file, or a copy where the system has no such links, all at once."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.link(source, place)
        return
    except OSError:  # another disk, or one without links
        pass
    write_bytes(place, source.read_bytes())

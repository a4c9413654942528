"""What a sweep calls its result and its reports, so that two plans share a folder's fleets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from secateur import store
from secateur.errors import StoreError
from secateur.types import Sweep

__all__ = ["Names", "claim", "names_of", "settle"]

UNSCALED = "unscaled"
_OWNER = "sweep-of.json"
_FORMAT = "secateur-sweep-of-1"
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a plan calls its files; `end` is empty for the first plan of a folder."""

    scale: str = ""
    end: str = ""

    @property
    def result(self) -> str:
        """The result, in the sweep's folder."""
        return f"sweep{self.end}.json"

    @property
    def report(self) -> str:
        """A seed's audit, in the seed's folder."""
        return f"report{self.end}.json"

    def screening(self, references: int) -> str:
        """Return the name of the audit of a funnel's round, in the seed's folder."""
        return f"screening-{references}{self.end}.json"


def names_of(folder: Path, scale: str) -> Names:
    """Return how a plan names its files: plainly where it is the first one of the folder, with its
    scale where the folder's files are of another scale.

    Args:
        folder: of the sweep; may be missing.
        scale: of the plan; empty without one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     claim(Path(folder), "draws")
        ...     [names_of(Path(folder), scale).result for scale in ("draws", "beside", "")]
        ['sweep.json', 'sweep-beside.json', 'sweep-unscaled.json']
    """
    owner = _owner(folder)
    if owner is None or owner == scale:
        return Names(scale=scale)
    return Names(scale=scale, end=f"-{_UNSAFE.sub('-', scale or UNSCALED)}")


def claim(folder: Path, scale: str) -> None:
    """Note that the plain names are this scale's, where they are nobody's yet.

    Where a sweep ended, its result says so; until then `sweep-of.json` does.

    Raises:
        StoreError: the folder cannot be written.
    """
    if _owner(folder) is None:
        store.write_document(folder / _OWNER, {"format": _FORMAT, "scale": scale})


def settle(folder: Path) -> None:
    """Remove the note of `claim`: the result is written, and says whose the names are."""
    (folder / _OWNER).unlink(missing_ok=True)


def _owner(folder: Path) -> str | None:
    """Return the scale whose files have the plain names; None where nothing says."""
    try:
        noted = store.read_document(folder / _OWNER, what="note of a sweep's folder")
        if noted.get("format") == _FORMAT:
            return str(noted.get("scale", ""))
    except StoreError:  # none, of a folder of before, or not whole
        pass
    try:
        found = store.read_result(folder / Names().result)
    except StoreError:  # none yet, or not whole: it is written anew
        return None
    return str(found.facts.get("scale", "")) if isinstance(found, Sweep) else None

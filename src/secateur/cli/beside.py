"""Files of single records that lie beside a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from secateur.errors import StoreError

if TYPE_CHECKING:
    from secateur.types import Report

__all__ = ["is_table", "scores_beside"]


def scores_beside(path: Path, report: Report) -> list[tuple[Path, str]]:
    """Return each side file of a report, where it should lie, with the digest of its content.

    Args:
        path: of the report.
        report: that was read from it.

    Raises:
        StoreError: a name that leads out of the report's folder.
    """
    for name in report.side_files:
        if Path(name).name != name or name in ("", ".", ".."):
            raise StoreError(
                f"{path} names {name!r} as a file beside it, which is no plain name; "
                "the report was not written by secateur"
            )
    return [(path.parent / name, digest) for name, digest in report.side_files.items()]


def is_table(file: Path) -> bool:
    """Tell a table of single records, as audits write it, from a file of scores."""
    return file.suffix.lower() == ".csv"

"""Large texts of strangers as bounded streams of lines.

Nothing is extracted to disk, and some megabytes stand in memory whatever a file claims.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from secateur.data.archives import CHUNK, archived_chunks
from secateur.data.bounded import PACKED
from secateur.errors import DataFileError

__all__ = ["line_blocks"]

LINES = 2**14  # of a block: many short lines take far more memory parsed than as text
LONGEST = 2**16  # bytes of a line; those of the widest table read here, Texas-100, have 12,338


def line_blocks(
    path: Path, *, member: str, most: int, longest: int = LONGEST
) -> Iterator[list[bytes]]:
    r"""Yield the lines of a text without their `\n`, about a megabyte of whole lines at a time.

    A gzipped archive is read to its end, since only there its check sum tells damage.

    Args:
        path: the text itself, or a gzipped tar archive (`.tgz` or `.tar.gz`) with it inside.
        member: the text's place in the archive, such as `texas/100/feats`; folders above it may
            stand before.
        most: bytes after which the text is refused.
        longest: bytes without an end of line after which the text is refused.

    Raises:
        DataFileError: not readable, truncated, damaged, too long, or no such member.
    """
    number, rest = 0, b""
    for chunk in _chunks(path, member, most):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        number += len(lines)
        if len(rest) > longest:
            raise DataFileError(
                f"{path}, line {number + 1}: no end of line after {longest} bytes: it is another "
                "file"
            )
        for first in range(0, len(lines), LINES):
            yield lines[first : first + LINES]
    if rest:
        yield [rest]


def _chunks(path: Path, member: str, most: int) -> Iterator[bytes]:
    try:
        if path.suffix in PACKED:
            for _, chunk in archived_chunks(path, members=(member,), most=most):
                yield chunk
            return
        total = 0
        with path.open("rb") as plain:
            while chunk := plain.read(CHUNK):
                total += len(chunk)
                if total > most:
                    raise DataFileError(f"{path} holds more than {most} bytes: it is another file")
                yield chunk
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error})") from error

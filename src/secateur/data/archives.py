"""Gzipped tar archives of strangers, read once from beginning to end; nothing is extracted.

A member's name is compared and never used as a path, links and devices have no content, and some
megabytes stand in memory whatever the archive claims.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from secateur.data.bounded import unreadable
from secateur.errors import DataFileError

__all__ = ["CHUNK", "archived_chunks", "archived_files"]

CHUNK = 2**20
MOST_UNPACKED = 2**33  # of a whole archive: what stands beside the wanted members is read over
BLOCK = 512  # a tar archive is a row of blocks of this size
FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
# A size for which the head has no room stands in a record before it
LONG_SIZE = re.compile(rb"(?:^|\n)\d{1,9} size=(\d{1,19})\n")
# Members of these kinds have no content, whatever size they claim
EMPTY = (*LINKS, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


def archived_files(path: Path, *, members: tuple[str, ...], most: int) -> dict[str, bytes]:
    """Return the content of some files in a gzipped tar archive, by member.

    Args:
        path: the archive.
        members: the files' places in it; folders above them may stand before.
        most: bytes after which any one of them is refused.

    Raises:
        DataFileError: see `archived_chunks`.
    """
    parts: dict[str, list[bytes]] = {member: [] for member in members}
    for member, chunk in archived_chunks(path, members=members, most=most):
        parts[member].append(chunk)
    return {member: b"".join(parts.pop(member)) for member in members}


def archived_chunks(
    path: Path, *, members: tuple[str, ...], most: int
) -> Iterator[tuple[str, bytes]]:
    """Yield members and chunks of their content, in the archive's order; of a name, the first.

    The archive is read to its end, since only there its check sum tells damage.

    Args:
        path: the archive.
        members: the files' places in it, such as `texas/100/feats`; folders above them may stand
            before.
        most: bytes after which any one of them is refused.

    Raises:
        DataFileError: not readable, truncated, damaged, too long, or a member is not there.
    """
    try:
        with gzip.open(path) as packed:
            yield from _Archive(path, packed).chosen(members, most)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise unreadable(path, error) from error


class _Archive:
    """A tar archive as it comes out of its packing."""

    def __init__(self, path: Path, stream: gzip.GzipFile) -> None:
        self.path = path
        self.stream = stream
        self.total = 0

    def chosen(self, members: tuple[str, ...], most: int) -> Iterator[tuple[str, bytes]]:
        """Yield the chunks of regular files that stand at these places."""
        missing, linked = list(members), False
        for head, content in self._entries():
            member = next((m for m in missing if _stands_at(head.name, m)), None)
            linked = linked or (member is not None and head.type in LINKS)
            if member is None or head.type not in FILES:
                continue
            missing.remove(member)
            if head.size > most:
                raise DataFileError(
                    f"{self.path}: {member!r} inside claims {head.size} bytes, at most {most} are "
                    "read: it is another file"
                )
            for chunk in content:
                yield member, chunk
        if missing:
            link = " (a link is none)" if linked else ""
            raise DataFileError(
                f"{self.path} has no file {missing[0]!r} inside{link}: it is another archive"
            )

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
        """Yield each member's head and content; what is not asked for is read over."""
        long_size = None
        while True:
            block = self._read(BLOCK)
            if len(block) < BLOCK or not any(block):  # blocks of zeros stand at the end
                break
            head = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            head.size = head.size if long_size is None else long_size
            if head.size < 0:
                raise DataFileError(f"{self.path} is damaged: a size inside is {head.size}")
            size = 0 if head.type in EMPTY else head.size
            content = self._sized(head.name[:80], size)
            long_size = None
            if head.type == tarfile.XHDTYPE and size <= BLOCK * BLOCK:
                found = LONG_SIZE.search(b"".join(content))
                long_size = int(found[1]) if found else None
            else:
                yield head, content
            for rest in (content, self._sized(head.name[:80], -size % BLOCK)):
                for _ in rest:
                    pass
        while self._read(CHUNK):
            pass

    def _sized(self, name: str, size: int) -> Iterator[bytes]:
        left = size
        while left:
            chunk = self._read(min(left, CHUNK))
            if not chunk:
                raise DataFileError(
                    f"{self.path} is truncated: {name!r} inside has {size - left} of {size} bytes"
                )
            left -= len(chunk)
            yield chunk

    def _read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.total += len(data)
        if self.total > MOST_UNPACKED:
            raise DataFileError(
                f"{self.path} unpacks to more than {MOST_UNPACKED} bytes: it is another archive"
            )
        return data


def _stands_at(name: str, wanted: str) -> bool:
    parts = PurePosixPath(wanted).parts
    return PurePosixPath(name).parts[-len(parts) :] == parts

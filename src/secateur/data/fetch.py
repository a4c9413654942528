"""Downloading one published file: resumed, bounded, verified, and put into place whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from secateur.data.dataset import DataFile
from secateur.data.transfer import Transfer
from secateur.data.web import DroppedError, said
from secateur.errors import DataFileError

__all__ = ["Downloaded", "Patience", "checksum_of", "download", "is_published"]

CHUNK = 2**20
GAIN = 2**20  # bytes; a try that brings so many new ones does not count as failed
LONGEST_PAUSE = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a download waits: seconds without a byte, tries in all, seconds before the second.

    The pause doubles after each failed try.
    """

    timeout: float = 30.0
    tries: int = 4
    pause: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A file in its place: was it there before, and was it compared with a published checksum."""

    path: Path
    was_there: bool
    checked: bool


@dataclass(kw_only=True)
class _Tries:
    left: int
    pause: float
    furthest: int
    reasons: list[str] = field(default_factory=list)


def checksum_of(path: Path, kind: str) -> str:
    """Return a file's checksum as `kind:hexadecimal`.

    Args:
        path: the file.
        kind: `md5` or `sha256`.

    Raises:
        DataFileError: another kind, or the file cannot be read.
    """
    if kind not in ("md5", "sha256"):
        raise DataFileError(f"a checksum is md5:... or sha256:..., got the kind {kind!r}")
    total = hashlib.new(kind, usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                total.update(block)
    except OSError as error:
        raise DataFileError(f"{path} cannot be read: {said(error)}") from error
    return f"{kind}:{total.hexdigest()}"


def is_published(path: Path, file: DataFile) -> bool:
    """Tell whether a file has the length and the checksum of the published one, where known."""
    return _difference(path, file) == ""


def _difference(path: Path, file: DataFile) -> str:
    """Return how a file differs from the published one; empty where it does not."""
    if file.checksum:
        found = checksum_of(path, file.checksum.partition(":")[0])
        if found != file.checksum.lower():
            return (
                f"its checksum is {found} ({path.stat().st_size:,} bytes), that of the published "
                f"file {file.checksum}{f' ({file.n_bytes:,} bytes)' if file.n_bytes else ''}"
            )
    elif file.n_bytes and path.stat().st_size != file.n_bytes:
        return f"it has {path.stat().st_size:,} bytes, the published file {file.n_bytes:,}"
    return ""


def download(
    file: DataFile,
    folder: Path,
    *,
    progress: Callable[[int, int, str], None] | None = None,
    patience: Patience = Patience(),
    proxies: Mapping[str, str] | None = None,
) -> Downloaded:
    """Download a published file to its place below a folder, unless the right one is there.

    The bytes go into `NAME.part` beside the place, which is verified and renamed at the end. What
    an interrupted download leaves is resumed by the next, if the server's file is still the same.

    Args:
        file: what to get.
        folder: the data folder; made where missing.
        progress: called with bytes done, bytes in all (0 where unknown) and the file's path.
        patience: when to give up.
        proxies: an address per scheme; none by default, and none is read from the environment.

    Raises:
        DataFileError: no address, a wrong file in the place, an answer that is not the file (its
            bytes are removed), or a connection that broke too often (what came is kept).

    Example:
        >>> download(DataFile(path="made/by/hand.gz"), Path("data"))
        Traceback (most recent call last):
            ...
        secateur.errors.DataFileError: no address is known to download made/by/hand.gz from
    """
    place = Path(folder) / file.path
    if place.exists():
        return _kept(place, file)
    if not file.url:
        raise DataFileError(f"no address is known to download {file.path} from")
    with _alone(place) as part:
        transfer = Transfer(file=file, part=part, progress=progress, proxies=proxies or {})
        try:
            _fill(transfer, patience)
            _refuse_other_bytes(transfer)
            transfer.finish(place)
        finally:
            transfer.tidy()
    return Downloaded(path=place, was_there=False, checked=bool(file.checksum))


def _kept(place: Path, file: DataFile) -> Downloaded:
    """Leave a file that is there as it is, if it is the right one."""
    if not place.is_file():
        raise DataFileError(f"{place} is no file: move it away, and give the same command again")
    if wrong := _difference(place, file):
        raise DataFileError(
            f"{place} is there already, but it is not the published file: {wrong}; it was left "
            "alone. Move it away or delete it, and give the same command again"
        )
    return Downloaded(path=place, was_there=True, checked=bool(file.checksum))


@contextmanager
def _alone(place: Path) -> Iterator[Path]:
    """Hold the part file beside a place against a second download."""
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        held = part.open("ab")
    except OSError as error:
        raise DataFileError(
            f"cannot write {part}: {said(error)}; name another folder with --data-dir"
        ) from error
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the other download may have renamed the file between our opening and locking it
            ours = part.exists() and os.path.samestat(os.fstat(held.fileno()), part.stat())
        except BlockingIOError:
            ours = False
        except OSError as error:
            raise DataFileError(f"cannot lock {part}: {said(error)}") from error
        if not ours:
            raise DataFileError(
                f"another download of {place} is running; wait until it has ended, and give the "
                "same command again"
            )
        yield part


def _fill(transfer: Transfer, patience: Patience) -> None:
    """Try until all bytes are there.

    Raises:
        DataFileError: a refusal, or a connection that broke too often.
    """
    if transfer.is_complete():  # stopped between the last byte and the name
        return
    tries = _Tries(left=patience.tries, pause=patience.pause, furthest=transfer.done)
    while True:
        try:
            transfer.go_on(timeout=patience.timeout)
            return
        except DroppedError as error:
            _count(tries, transfer, str(error))
            sleep(min(tries.pause, LONGEST_PAUSE))
            tries.pause *= 2


def _count(tries: _Tries, transfer: Transfer, reason: str) -> None:
    """Count a failed try, unless it went well beyond all before it."""
    tries.reasons.append(reason)
    if transfer.done - tries.furthest >= GAIN:
        tries.furthest = transfer.done
        return
    tries.furthest = max(tries.furthest, transfer.done)
    tries.left -= 1
    if tries.left > 0:
        return
    done, total = transfer.done, transfer.expected
    of = f"{done:,} of {total:,} bytes" if total else f"{done:,} bytes"
    kept = (
        f"{transfer.part} keeps them: the same command goes on from there"
        if done
        else "try the same command again later"
    )
    raise DataFileError(
        f"{transfer.file.url} could not be downloaded in {len(tries.reasons)} tries: {of} came, "
        f"then: {reason}; {kept}"
    )


def _refuse_other_bytes(transfer: Transfer) -> None:
    """Remove a part that is complete but not the published file.

    Raises:
        DataFileError: the message shows both checksums.
    """
    file, part = transfer.file, transfer.part
    wrong = _difference(part, file)
    if not wrong:
        return
    with part.open("rb") as opened:
        head = opened.read(64).lstrip().lower()
    page = ", and begins like a web page" if head.startswith((b"<!doctype html", b"<html")) else ""
    transfer.empty()
    raise DataFileError(
        f"{file.url} delivered another file{page}: {wrong}; its bytes were removed. The same "
        "command starts anew; if this stays, the file was changed where it is published, or on its "
        "way"
    )

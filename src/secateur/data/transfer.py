"""One download's part file, the note beside it, and the bytes that a server sends for it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from http.client import HTTPResponse
from pathlib import Path
from time import monotonic

from secateur.data.dataset import DataFile
from secateur.data.web import NETWORK_ERRORS, DroppedError, NoSuchRangeError, open_address, said
from secateur.errors import DataFileError

__all__ = ["MOST_BYTES", "Transfer"]

CHUNK = 2**18
MOST_BYTES = 2**32  # no data set read here is published in a larger file
SLOWEST = 2**10  # bytes within the timeout; less is no connection
MOST_OF_NOTE = 2**16
RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What the server said of the file whose first bytes stand in the part; 0 bytes: unknown."""

    url: str
    etag: str = ""
    last_modified: str = ""
    n_bytes: int = 0

    @property
    def validator(self) -> str:
        """What If-Range may name: a strong ETag, else the time of the last change."""
        strong = self.etag.startswith('"')
        return self.etag if strong else self.last_modified

    def differs(self, other: _Note) -> bool:
        """Tell whether two answers speak of different files, as far as both say."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified))
        return any(a and b and a != b for a, b in (*pairs, (self.n_bytes, other.n_bytes)))


class Transfer:
    """Fills a part file from where it stands; `NAME.part.json` notes what the server said of it."""

    def __init__(
        self,
        *,
        file: DataFile,
        part: Path,
        progress: Callable[[int, int, str], None] | None,
        proxies: Mapping[str, str],
    ) -> None:
        self.file = file
        self.part = part
        self.progress = progress
        self.proxies = proxies

    @property
    def done(self) -> int:
        """Bytes that stand in the part and can be gone on from."""
        return self._size() if self._note() is not None else 0

    @property
    def expected(self) -> int:
        """Bytes in all, as published or as the server said; 0 where neither is known."""
        note = self._note()
        return self.file.n_bytes or (note.n_bytes if note else 0)

    def is_complete(self) -> bool:
        """Tell whether the part holds all the bytes of the file that its note speaks of."""
        note = self._note()
        return note is not None and 0 < note.n_bytes == self._size()

    def empty(self) -> None:
        """Drop the bytes; the part itself stays, since it is what holds off other downloads."""
        try:
            self.part.write_bytes(b"")
            _beside(self.part).unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def tidy(self) -> None:
        """Remove a part that no later download can go on with."""
        if self.done == 0:
            self.part.unlink(missing_ok=True)
            _beside(self.part).unlink(missing_ok=True)

    def finish(self, place: Path) -> None:
        """Give the part its final name.

        Raises:
            DataFileError: the disk refuses; the part is kept.
        """
        try:
            with self.part.open("rb") as file:
                os.fsync(file.fileno())
            self.part.replace(place)
            _beside(self.part).unlink(missing_ok=True)
        except OSError as error:
            raise DataFileError(f"cannot rename {self.part} to {place}: {said(error)}") from error

    def go_on(self, *, timeout: float) -> None:
        """Ask for the bytes that are missing and write them, until all have come.

        Raises:
            DroppedError: another try may mend it; the bytes that came are kept.
            DataFileError: this server has another file, or the disk refuses.
        """
        note = self._note()
        done = self.done
        headers = {"User-Agent": "secateur", "Accept": "*/*", "Accept-Encoding": "identity"}
        if note is not None and done:
            headers["Range"] = f"bytes={done}-"
            if note.validator:
                headers["If-Range"] = note.validator
        try:
            answer = open_address(self.file.url, headers, timeout=timeout, proxies=self.proxies)
        except NoSuchRangeError:
            self.empty()
            raise
        with answer:
            start, told = self._agree(answer, note, done)
            if start == 0:
                self.empty()  # before the note is written: it never speaks of older bytes
            self._write_note(told)
            self._copy(answer, start, told, timeout)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _note(self) -> _Note | None:
        """Return the note, if the part beside it can be gone on with."""
        try:
            with _beside(self.part).open("rb") as file:
                found = json.loads(file.read(MOST_OF_NOTE))
            note = _Note(**found)
        except (OSError, ValueError, TypeError, RecursionError):
            return None  # without a sound note the part is begun anew
        kinds = {name: type(value) for name, value in asdict(note).items()}
        if kinds != {"url": str, "etag": str, "last_modified": str, "n_bytes": int}:
            return None
        same = note.url == self.file.url and self.file.n_bytes in (0, note.n_bytes)
        # bytes of two files may be mixed unless the server tells them apart, or a checksum does
        told_apart = bool(note.validator or self.file.checksum)
        too_long = self._size() > (note.n_bytes or MOST_BYTES)
        return note if same and told_apart and not too_long else None

    def _agree(self, answer: HTTPResponse, note: _Note | None, done: int) -> tuple[int, _Note]:
        """Return where the answer's bytes begin, and what the server says of the file.

        Raises:
            DataFileError: the answer is not the published file.
            DroppedError: it does not fit the part, which is removed.
        """
        told = _Note(
            url=self.file.url,
            etag=answer.headers.get("ETag") or "",
            last_modified=answer.headers.get("Last-Modified") or "",
            n_bytes=answer.length or 0,
        )
        if answer.status == 206 and note is not None and done:
            found = RANGE.fullmatch((answer.headers.get("Content-Range") or "").strip())
            total = int(found[2]) if found and found[2] != "*" else note.n_bytes
            told = replace(told, n_bytes=total)
            if found is None or int(found[1]) != done or note.differs(told):
                self.empty()
                raise DroppedError("the server's file has changed since the download began")
            self._refuse(answer, told)
            return done, replace(note, n_bytes=total)
        if answer.status != 200:
            raise DataFileError(
                f"{self.file.url} answers {answer.status} {answer.reason}, expected 200: it does "
                "not give the file"
            )
        self._refuse(answer, told)
        if not told.n_bytes:
            told = replace(told, n_bytes=self.file.n_bytes)
        return 0, told

    def _refuse(self, answer: HTTPResponse, told: _Note) -> None:
        """Refuse an answer by its head, before a byte is written; a part stays as it is."""
        url, published = self.file.url, self.file.n_bytes
        kind = answer.headers.get_content_type()
        if kind == "text/html" and not (published and told.n_bytes == published):
            raise DataFileError(
                f"{url} answers with a web page instead of the file: it has moved, or the network "
                "asks to log in first; open the address in a browser"
            )
        if published and told.n_bytes not in (0, published):
            raise DataFileError(
                f"{url} announces {told.n_bytes:,} bytes, the published file has {published:,}: "
                "it is another file, and nothing was downloaded"
            )
        if told.n_bytes > MOST_BYTES:
            raise DataFileError(
                f"{url} announces {told.n_bytes:,} bytes, more than the {MOST_BYTES:,} that any "
                "file of a data set has: nothing was downloaded"
            )
        free = shutil.disk_usage(self.part.parent).free
        if told.n_bytes - self._size() > free:
            raise DataFileError(
                f"{self.part.parent} has {free:,} bytes free, {self.file.path} needs "
                f"{told.n_bytes:,}: make room, or name another folder"
            )

    def _write_note(self, note: _Note) -> None:
        try:
            _beside(self.part).write_text(json.dumps(asdict(note)), encoding="utf-8")
        except OSError as error:
            raise self._unwritable(error) from error

    def _copy(self, answer: HTTPResponse, start: int, told: _Note, timeout: float) -> None:
        total = told.n_bytes
        # where no length is announced, one byte beyond the bound shows that there are more
        bound = start + answer.length if answer.length is not None else (total or MOST_BYTES) + 1
        done = start
        self._tell(done, total)
        try:
            opened = self.part.open("ab")
        except OSError as error:
            raise self._unwritable(error) from error
        with opened as out:
            began, before = monotonic(), done
            while done < bound:
                block = self._read(answer, min(CHUNK, bound - done))
                if not block:
                    break
                self._write(out.write, block)
                done += len(block)
                self._tell(done, total)
                if monotonic() - began > timeout:
                    if done - before < SLOWEST and done < bound:
                        raise DroppedError(f"only {done - before} bytes came in {timeout:g} s")
                    began, before = monotonic(), done
        if done > (total or MOST_BYTES):
            self.empty()
            raise DataFileError(
                f"{self.file.url} sends more than the {total or MOST_BYTES:,} bytes of the file: "
                "it is another one, and its bytes were removed"
            )
        if done < total:
            raise DroppedError("the server ended the connection early")
        if done == 0:
            raise DroppedError("the server sent no bytes")
        if not total:  # the end of the connection is all that tells the file's end
            self._write_note(replace(told, n_bytes=done))

    def _tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total, self.file.path)

    def _read(self, answer: HTTPResponse, most: int) -> bytes:
        try:
            return answer.read1(most)
        except NETWORK_ERRORS as error:
            raise DroppedError(said(error)) from error

    def _write(self, write: Callable[[bytes], int], block: bytes) -> None:
        try:
            write(block)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataFileError:
        return DataFileError(
            f"cannot write {self.part}: {said(error)}; make room or name another folder, and give "
            "the same command again: it goes on from what is there"
        )


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")

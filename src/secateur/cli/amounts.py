"""What a sweep's options and file say as text: times, bytes, the file itself."""

from __future__ import annotations

import re
from pathlib import Path

from secateur.errors import InputError

__all__ = ["bytes_of", "duration", "seconds_of", "text_of"]

LONGEST_FILE = 1_000_000
BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kMG]?)B?\s*")
FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def text_of(file: Path, *, what: str = "sweep's file", page: str = "docs/sweep.md") -> str:
    """Return the text of a sweep's file, or of what else a page shows how to write.

    Raises:
        InputError: unreadable, too long, or no text.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(LONGEST_FILE + 1)
        if len(data) > LONGEST_FILE:
            raise InputError(f"{file} has more than {LONGEST_FILE} bytes; it is no {what}")
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text in UTF-8: {error}") from error
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror}; give a TOML file as in {page}"
        ) from error


def seconds_of(text: str | None) -> float | None:
    """Return a sweep's budget in seconds; None is none.

    Raises:
        InputError: it is no time.
    """
    from secateur.train import Limit

    if text is None:
        return None
    try:
        found = Limit.of(text).seconds
    except InputError:
        found = None
    if found is None:
        raise InputError(
            f"a sweep's budget is a time above 0, such as 600s, 20m or 2h, got {text!r}"
        )
    return found


def bytes_of(text: str) -> float:
    """Return a number of bytes.

    Raises:
        InputError: it is none.

    Example:
        >>> bytes_of("2.5k")
        2500.0
    """
    found = BYTES.fullmatch(text)
    if found is None or not float(found[1]) > 0:
        raise InputError(f"{text!r} is no number of bytes (--max-bytes); write 100000, 100k or 2M")
    return float(found[1]) * FACTORS[found[2]]


def duration(seconds: float) -> str:
    """Return a time for people.

    Example:
        >>> duration(0.2), duration(600)
        ('a second or less', '10 min')
    """
    if seconds < 1:
        return "a second or less"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

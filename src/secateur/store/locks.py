"""One run at a time in a fleet's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secateur.errors import StoreError

__all__ = ["only_run_in"]


@contextmanager
def only_run_in(folder: str | Path) -> Iterator[None]:
    """Hold a folder while the block runs; the system lets go of it however the process ends.

    Where folders cannot be locked (Windows, some network disks) nothing is held.

    Raises:
        StoreError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(place, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"another run works in {place}; wait for its end, or choose another folder"
            ) from error
        except OSError:  # no locks on this disk
            pass
        yield
    finally:
        os.close(descriptor)

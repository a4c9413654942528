"""What a trial takes of this machine's memory, and giving it back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

__all__ = ["available", "give_back", "peak_of"]


def available() -> int | None:
    """Return the bytes that processes may still take, or None where the system does not say.

    Example:
        >>> found = available()
        >>> found is None or found > 0
        True
    """
    return _told("/proc/meminfo", "MemAvailable")


def peak_of(work: Callable[[], float]) -> tuple[float, int | None]:
    """Return what a call returns, and the bytes that it took at its highest beside what was held.

    None where the system does not say. What other threads take meanwhile counts too.

    Example:
        >>> peak_of(lambda: 1.5)[0]
        1.5
    """
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here
    except OSError:
        return work(), None
    before = _told("/proc/self/status", "VmRSS")
    found = work()
    after = _told("/proc/self/status", "VmHWM")
    return found, None if before is None or after is None else max(0, after - before)


def give_back() -> None:
    """Give memory that is free in the process back to the system, where its allocator can.

    The command line tells the allocator to keep what is freed: a fleet takes it again at once. What
    was tried for a moment is not taken again.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def _told(path: str, name: str) -> int | None:
    """Return a size of one of the system's tables, in bytes."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(sizes[0]) if sizes else None

"""A lock that the child of a fork never finds held."""

from __future__ import annotations

import os
import threading
from types import TracebackType
from weakref import WeakSet

__all__ = ["Lock"]


class Lock:
    """A lock for `with`; in the child of a fork it is free, for who held it is not there.

    What it guards may have been half made when the fork came, so it guards only what is put in
    place by one assignment.

    Example:
        >>> with Lock():
        ...     pass
    """

    def __init__(self) -> None:
        self.renew()
        _LOCKS.add(self)

    def renew(self) -> None:
        """Forget who holds it."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


_LOCKS: WeakSet[Lock] = WeakSet()


def _renew_all() -> None:
    for lock in list(_LOCKS):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)

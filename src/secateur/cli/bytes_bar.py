"""Progress of downloads on standard error: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

__all__ = ["BytesBar", "spelled"]

STEP = 10_000_000  # bytes between two lines where the length is unknown


def spelled(n_bytes: int) -> str:
    """Return a number of bytes for people.

    Example:
        >>> spelled(512), spelled(287_293), spelled(9_912_422)
        ('512 bytes', '287.3 kB', '9.9 MB')
    """
    for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {name}"
    return f"{n_bytes} bytes"


class BytesBar:
    """Shows how far downloads are; call it with (bytes done, bytes in all or 0, the file)."""

    def __init__(self) -> None:
        self.task: TaskID | None = None
        self.bar: Progress | None = None
        self.file = ""
        self.last = self.first = self.shown = 0
        self.begun = time.monotonic()
        if sys.stderr.isatty():
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )

    def __enter__(self) -> BytesBar:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show the bytes of one file; another file or fewer bytes begin anew."""
        new = what != self.file
        if new or done < self.last:  # what a resumed download finds took no time of this one
            self.file, self.first, self.begun, self.shown = what, done, time.monotonic(), -1
        self.last = done
        if self.bar is not None:
            if new or self.task is None:
                self.task = self.bar.add_task(what, total=total or None)
            self.bar.update(self.task, completed=done, total=total or None)
        else:
            self._say(done, total, what)

    def _say(self, done: int, total: int, what: str) -> None:
        step = 10 * done // total if total else done // STEP
        if step == self.shown:
            return
        self.shown = step
        made, of = done - self.first, f" of {spelled(total)}" if total else ""
        left = (time.monotonic() - self.begun) / made * (total - done) if made > 0 else 0.0
        tail = f", about {left:.0f} s left" if left and total > done else ""
        print(f"{what}: {spelled(done)}{of}{tail}", file=sys.stderr, flush=True)

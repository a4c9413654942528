"""Progress on standard error: a bar on a terminal, a line every tenth elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Bar"]


class Bar:
    """Shows how far a run of many tasks is; call it with (done, total, what)."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.begun = time.monotonic()
        self.first = 0
        self.shown = -1
        self.task: TaskID | None = None
        self.bar: Progress | None = None
        if sys.stderr.isatty():
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )

    def __enter__(self) -> Bar:
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
        """Show that `done` of `total` tasks have ended."""
        del what
        if self.bar is not None:
            if self.task is None:
                self.task = self.bar.add_task(self.label, total=total)
            self.bar.update(self.task, completed=done)
            return
        if self.shown < 0:
            self.first = done - 1
        tenth = 10 * done // total
        if tenth == self.shown:
            return
        self.shown = tenth
        made = max(1, done - self.first)
        left = (time.monotonic() - self.begun) / made * (total - done)
        print(
            f"{self.label}: {done} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True
        )

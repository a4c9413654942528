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

    def __init__(self, label: str, **names: str) -> None:
        self.label = label
        self.names = names  # what a task's function is called for people
        self.begun = time.monotonic()
        self.first = 0
        self.shown = -1
        self.last = sys.maxsize
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
        """Show that `done` of `total` tasks have ended; a smaller `done` begins anew."""
        self.label = self.names.get(what, self.label)
        begins = done <= self.last
        self.last = done
        if begins:  # what a resumed run finds finished took no time of this one
            self.begun, self.shown = time.monotonic(), -1
            self.first = done
        if self.bar is not None:
            self._draw(done, total, begins=begins)
        else:
            self._say(done, total)

    def _draw(self, done: int, total: int, *, begins: bool) -> None:
        assert self.bar is not None  # the caller looked
        if self.task is None:
            self.task = self.bar.add_task(self.label, total=total)
        elif begins:
            self.bar.reset(self.task, total=total, description=self.label)
        self.bar.update(self.task, completed=done)

    def _say(self, done: int, total: int) -> None:
        tenth = 10 * done // total
        if tenth == self.shown:
            return
        self.shown = tenth
        made = done - self.first
        left = (time.monotonic() - self.begun) / made * (total - done) if made > 0 else None
        tail = "" if left is None or done == total else f", about {left:.0f} s left"
        print(f"{self.label}: {done} of {total}{tail}", file=sys.stderr, flush=True)

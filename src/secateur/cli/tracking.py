"""`--track`: where a report goes besides its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from secateur.trackers import Tracker
    from secateur.types import Report

__all__ = ["parse_trackers", "send", "track_option"]

track_option: Callable[[Any], Any] = click.option(
    "--track",
    "trackers",
    multiple=True,
    help="Send the report to MLflow, TensorBoard or WandB too, with parameters where wanted: "
    "\"MLflow(experiment='x')\"; may be repeated (docs/trackers.md).",
)


def parse_trackers(texts: Iterable[str]) -> tuple[Tracker, ...]:
    """Read trackers as their reprs spell them, and refuse one whose package is missing.

    Raises:
        UnknownMethodError: an unknown name or parameter.
        MissingExtraError: names the extra to install.

    Example:
        >>> parse_trackers([])
        ()
    """
    from secateur import trackers
    from secateur.cli.catalogue import TRACKER, catalogue, refuse_other_kinds
    from secateur.spelling import parse

    found: list[Tracker] = []
    for text in texts:
        refuse_other_kinds(text, TRACKER, what="tracker")
        names = {e.name: getattr(trackers, e.name) for e in catalogue() if e.kind == TRACKER}
        tracker: Tracker = parse(text, names, what="tracker")
        tracker.ready()
        found.append(tracker)
    return tuple(found)


def send(report: Report, trackers: Sequence[Tracker]) -> None:
    """Send a report to each tracker and say where it lies."""
    from secateur.trackers import track

    for tracker in trackers:
        click.echo(f"tracked: {track(report, tracker)}")

"""Weights & Biases: the only file that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from secateur import store
from secateur.errors import MethodError
from secateur.trackers.sending import Sent, needed, refused, sent, unless_set
from secateur.types import Report

__all__ = ["WandB"]

MODES = ("offline", "online")


@dataclass(frozen=True, kw_only=True)
class WandB:
    """Write a report as one run of Weights & Biases: summary, settings, and its files.

    Your code, what is installed, the machine's name and its load are not recorded.

    Args:
        project: of the run.
        name: of the run; empty for the report's title.
        mode: 'offline' writes a folder that `wandb sync` sends when you call it; 'online' sends.
        folder: where the run's folder is made.
        page: send the HTML page too; it needs the extra `report`.
        every_row: send the rows of all attacks and groups.

    Raises:
        MethodError: another mode.
        MissingExtraError: the extra `wandb` is not installed.
        StoreError: it did not take the report.

    Example:
        >>> WandB(project="audits").mode
        'offline'
    """

    project: str = "secateur"
    name: str = ""
    mode: Literal["offline", "online"] = "offline"
    folder: str = "."
    page: bool = True
    every_row: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise MethodError(f"mode={self.mode!r} is none of {', '.join(map(repr, MODES))}")

    def ready(self) -> None:
        """Refuse to go on where wandb is not installed."""
        needed("wandb", "wandb")

    def __call__(self, report: Report) -> str:
        """Send the report and return the folder of its run."""
        self.ready()
        what = sent(report, page=self.page, every_row=self.every_row)
        with unless_set(WANDB_ERROR_REPORTING="false"):  # over the network, offline too
            import wandb

            try:
                return self._sent(what)
            except (wandb.Error, ValueError, OSError) as error:
                raise refused(self, error) from error

    def _sent(self, what: Sent) -> str:
        import wandb

        with wandb.init(
            project=self.project,
            name=self.name or what.title or None,
            config=dict(what.settings),
            dir=self.folder,
            reinit="create_new",
            settings=_settings(self.mode),
        ) as run:
            run.summary.update(dict(what.metrics))
            for file, text in what.files.items():
                place = Path(run.dir) / file
                store.write_text(place, text)
                run.save(place, base_path=run.dir, policy="now")
            return str(run.settings.sync_dir)


def _settings(mode: Literal["offline", "online"]) -> Any:
    """Return what keeps the run to what is sent: no code, no machine, no console."""
    import wandb

    return wandb.Settings(
        mode=mode,
        console="off",
        silent=True,
        save_code=False,
        disable_git=True,
        host="-",  # an empty one is filled in
        x_disable_meta=True,
        x_save_requirements=False,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )

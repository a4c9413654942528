"""TensorBoard: the only file that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from secateur import store
from secateur.trackers.sending import needed, refused, sent
from secateur.types import Report

__all__ = ["TensorBoard"]


@dataclass(frozen=True, kw_only=True)
class TensorBoard:
    """Write a report as scalars and texts; its JSON and page lie beside the events.

    Args:
        folder: what `tensorboard --logdir` reads; a report makes one folder in it.
        run: the folder's name; empty for one made of the report's digest.
        step: at which its scalars stand: a release's number. A curve over releases needs one `run`
            for all of them; files are then named by the step, as in `report-3.json`.
        page: write the HTML page too; it needs the extra `report`.
        every_row: write the rows of all attacks and groups.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        StoreError: the folder cannot be written.

    Example:
        >>> TensorBoard(folder="logs").step
        0
    """

    folder: str = "tensorboard"
    run: str = ""
    step: int = 0
    page: bool = True
    every_row: bool = False

    def ready(self) -> None:
        """Refuse to go on where TensorBoard is not installed."""
        needed("tensorboard", "tensorboard")

    def __call__(self, report: Report) -> str:
        """Write the report and return its folder."""
        self.ready()
        what = sent(report, page=self.page, every_row=self.every_row)
        from torch.utils.tensorboard import SummaryWriter

        place = Path(self.folder) / (self.run or what.digest[:12])
        try:
            with SummaryWriter(str(place)) as writer:
                for name, value in what.metrics.items():
                    writer.add_scalar(name, value, self.step)
                for name, text in what.settings.items():
                    writer.add_text(name, text, self.step)
            for file, text in what.files.items():
                store.write_text(place / self._named(file), text)
        except OSError as error:
            raise refused(self, error) from error
        return str(place)

    def _named(self, file: str) -> str:
        """Return a file's name: in a folder that several reports share, with the step."""
        path = Path(file)
        return f"{path.stem}-{self.step}{path.suffix}" if self.run else file

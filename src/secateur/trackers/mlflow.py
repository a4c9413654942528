"""MLflow: the only file that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur.trackers.sending import Sent, needed, refused, sent, unless_set
from secateur.types import Report

__all__ = ["MLflow"]

PER_CALL = 100  # settings, and metrics, that the tracking API takes at once
QUIET = {  # it counts its users over the network, and asks an absent server for minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@dataclass(frozen=True, kw_only=True)
class MLflow:
    """Write a report as one run: metrics, settings as tags, and its files as artifacts.

    Args:
        uri: of the tracking store. The default is a file of the working folder; only
            an address that you name, such as `https://...`, is spoken to.
        experiment: made where there is none.
        run: its name; empty for the report's title.
        page: send the HTML page too; it needs the extra `report`.
        every_row: send the rows of all attacks and groups.

    Raises:
        MissingExtraError: the extra `mlflow` is not installed.
        StoreError: the store did not take it.

    Example:
        >>> MLflow(uri="sqlite:///runs.db", experiment="audits").run
        ''
    """

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "secateur"
    run: str = ""
    page: bool = True
    every_row: bool = False

    def ready(self) -> None:
        """Refuse to go on where MLflow is not installed."""
        needed("mlflow", "mlflow")

    def __call__(self, report: Report) -> str:
        """Send the report and return the run's address in the store."""
        self.ready()
        what = sent(report, page=self.page, every_row=self.every_row)
        with unless_set(**QUIET):
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException

            try:
                client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
                return f"{self.uri} experiment {self.experiment!r} run {self._sent(client, what)}"
            except (MlflowException, OSError) as error:
                raise refused(self, error) from error

    def _sent(self, client: Any, what: Sent) -> str:
        found = client.get_experiment_by_name(self.experiment)
        experiment = client.create_experiment(self.experiment) if found is None else None
        run = client.create_run(
            experiment or found.experiment_id, run_name=self.run or what.title or None
        )
        name: str = run.info.run_id
        try:
            _log(client, name, run.info.start_time, what)
        except BaseException:
            client.set_terminated(name, status="FAILED")
            raise
        client.set_terminated(name)
        return name


def _log(client: Any, run: str, now: int, what: Sent) -> None:
    from mlflow.entities import Metric, RunTag

    tags = [RunTag(k, v) for k, v in what.settings.items()]
    metrics = [Metric(k, v, now, 0) for k, v in what.metrics.items()]
    for at in range(0, max(len(tags), len(metrics)), PER_CALL):
        part = slice(at, at + PER_CALL)
        client.log_batch(run, metrics=metrics[part], tags=tags[part])
    for file, text in what.files.items():
        client.log_text(run, text, file)

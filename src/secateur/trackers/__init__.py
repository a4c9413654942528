"""Send a report to an experiment tracker. Each foreign library lives in one file, and is imported
when a tracker is called.
"""

from __future__ import annotations

from secateur.trackers.mlflow import MLflow
from secateur.trackers.sending import Tracker, track
from secateur.trackers.tensorboard import TensorBoard
from secateur.trackers.wandb import WandB

__all__ = ["MLflow", "TensorBoard", "Tracker", "WandB", "track"]

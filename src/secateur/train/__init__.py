"""How models are trained: recipes, phases, hooks, one loop, and fleets of many models."""

from __future__ import annotations

from secateur.train.augment import RandomCrop, RandomFlip, RandomShift
from secateur.train.engines import Auto, Processes, Ray, Serial, Stacked
from secateur.train.fleet import Engine, apply, train_fleet
from secateur.train.hooks import Batch, Hook, Left, Moment
from secateur.train.limit import Limit
from secateur.train.model import Snapshots
from secateur.train.recipe import SGD, Adam, Phase, Recipe, Transform

__all__ = [
    "SGD",
    "Adam",
    "Auto",
    "Batch",
    "Engine",
    "Hook",
    "Left",
    "Limit",
    "Moment",
    "Phase",
    "Processes",
    "RandomCrop",
    "RandomFlip",
    "RandomShift",
    "Ray",
    "Recipe",
    "Serial",
    "Snapshots",
    "Stacked",
    "Transform",
    "apply",
    "train_fleet",
]

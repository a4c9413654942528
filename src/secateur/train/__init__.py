"""How models are trained: recipes, phases, hooks, one loop, and fleets of many models."""

from __future__ import annotations

from secateur.train.augment import RandomCrop, RandomFlip, RandomShift
from secateur.train.engines import Auto, Processes, Ray, Serial, Stacked
from secateur.train.fleet import Engine, apply, train_fleet
from secateur.train.hooks import Batch, Hook, Left, Moment
from secateur.train.keep import Keep, Snapshots, drop_weights
from secateur.train.limit import Limit
from secateur.train.mixup import Mixup
from secateur.train.recipe import SGD, Adam, Phase, Recipe
from secateur.train.steps import Accounted, Conversion, Defence, Heard, Taught, Transform

__all__ = [
    "SGD",
    "Accounted",
    "Adam",
    "Auto",
    "Batch",
    "Conversion",
    "Defence",
    "Engine",
    "Heard",
    "Hook",
    "Keep",
    "Left",
    "Limit",
    "Mixup",
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
    "Taught",
    "Transform",
    "apply",
    "drop_weights",
    "train_fleet",
]

"""Data sets, made worlds, and who trains on what."""

from __future__ import annotations

from secateur.data.augment import Queries, joined_queries
from secateur.data.augmented import Augmented
from secateur.data.canaries import Mislabelled, NearDuplicates, OutOfDistribution
from secateur.data.census import adult
from secateur.data.cifar import cifar10, cifar100
from secateur.data.columns import with_columns
from secateur.data.dataset import DataFile, DataSet
from secateur.data.embedded import digits, mnist5000
from secateur.data.folders import image_folder
from secateur.data.idx import fashion_mnist, mnist
from secateur.data.location import location30
from secateur.data.membership import draw, given, restrict, select
from secateur.data.named import DATA_SETS, data_set, load
from secateur.data.nearest import NearestRecords
from secateur.data.noise import Noise
from secateur.data.perturbation import MeanSignal
from secateur.data.planted import planted_records, planted_world
from secateur.data.planting import CANARY, canary_indices, holds_canaries, plant
from secateur.data.recombinations import Recombinations
from secateur.data.tables import purchase100, texas100
from secateur.data.tiny_imagenet import tiny_imagenet10

__all__ = [
    "CANARY",
    "DATA_SETS",
    "Augmented",
    "DataFile",
    "DataSet",
    "MeanSignal",
    "Mislabelled",
    "NearDuplicates",
    "NearestRecords",
    "Noise",
    "OutOfDistribution",
    "Queries",
    "Recombinations",
    "adult",
    "canary_indices",
    "cifar10",
    "cifar100",
    "data_set",
    "digits",
    "draw",
    "fashion_mnist",
    "given",
    "holds_canaries",
    "image_folder",
    "joined_queries",
    "load",
    "location30",
    "mnist",
    "mnist5000",
    "plant",
    "planted_records",
    "planted_world",
    "purchase100",
    "restrict",
    "select",
    "texas100",
    "tiny_imagenet10",
    "with_columns",
]

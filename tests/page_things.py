"""What blocks of pages speak of and do not make: fleets, reports, saved signals, each made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from command_line import SMALL, secateur, train
from own_files import GOOD, written
from saved_signals import OTHERS, OWN, part, world
from secateur import own

HOUSE = Path(__file__).resolve().parents[1]
POOL = ("--attack-pool", "60")


class Things:
    """A folder of things, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, beside: Path) -> None:
        """Copy a thing, made if it is not there yet, into a folder."""
        made = self.make(name)
        target = beside / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if made.is_dir():
            shutil.copytree(made, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(made, target)

    def make(self, name: str) -> Path:
        """Return where a thing lies."""
        path = self.folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            MAKERS[name](self, path)
        return path


def _of_the_house(source: str) -> Callable[[Things, Path], None]:
    """Return what copies a file or folder of the repository."""

    def copy(things: Things, path: Path) -> None:
        del things
        place = HOUSE / source
        (shutil.copytree if place.is_dir() else shutil.copyfile)(place, path)

    return copy


def _dense(things: Things, path: Path) -> None:
    del things
    done = train(path, "--snapshots", "none", *POOL)
    assert done.code == 0, done.err


def _admm(things: Things, path: Path) -> None:
    dense = things.make("runs/dense")
    done = secateur("prune", dense, "--method", "ADMM(rate=10)", "--name", "admm", "--out", path)
    assert done.code == 0, done.err


def _packed(things: Things, path: Path) -> None:
    done = secateur(
        *("export", things.make("runs/admm"), "--format", "packed", "--out", path),
        *("--into", path.parent / "packed"),
    )
    assert done.code == 0, done.err


def _signals(models: slice) -> Callable[[Things, Path], None]:
    """Return what saves some models of a world."""

    def save(things: Things, path: Path) -> None:
        del things
        np.savez(path, **part(world(), models))

    return save


def _side(seed: int, key: str | None = None) -> Callable[[Things, Path], None]:
    """Return what saves one model's logits and labels of some records, or one of the two."""

    def save(things: Things, path: Path) -> None:
        del things
        logits = np.random.default_rng(seed).normal(size=(300, 10))
        found = {"logits": logits, "labels": np.arange(300) % 10}
        if key is None:
            np.savez(path, **found)
        else:
            np.save(path, found[key])

    return save


def _records(things: Things, path: Path) -> None:
    del things
    np.save(path, np.random.default_rng(0).random((5, 1, 8, 8)).astype(np.float32))


def _mine(things: Things, path: Path) -> None:
    del things
    named = "\nMEMBERS = np.arange(0, 200)\nNON_MEMBERS = np.arange(200, 400)\n"
    written(path.parent, GOOD + named, path.name)


def _net(things: Things, path: Path) -> None:
    save_file(own.recipe_of(things.make("mine.py")).build().state_dict(), path)


def _pictures(things: Things, path: Path) -> None:
    """Write a folder of 400 small pictures of ten classes."""
    del things
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(400):
        folder = path / f"class-{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (16, 16, 3)) + 12 * (number % 10)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:03}.png")


def _photos(things: Things, path: Path) -> None:
    done = secateur(
        *("train", "--data", "image-folder", "--data-dir", things.make("pictures"), *SMALL),
        *("--recipe", "Recipe(build=SmallCNN(), optimiser=Adam(lr=0.01), epochs=1)"),
        *("--snapshots", "none", "--engine", "serial", "--out", path),
    )
    assert done.code == 0, done.err


MAKERS: dict[str, Callable[[Things, Path], None]] = {
    "examples": _of_the_house("examples"),
    "recipes": _of_the_house("recipes"),
    "report.json": _of_the_house("results/demo.json"),
    "before.json": _of_the_house("results/demo.json"),
    "after.json": _of_the_house("results/fashion-mnist.json"),
    "runs/dense": _dense,
    "runs/admm": _admm,
    "pictures": _pictures,
    "runs/photos": _photos,
    "mine.py": _mine,
    "net.safetensors": _net,
    "model.packed": _packed,
    "records.npy": _records,
    "t.npz": _signals(OWN),
    "r.npz": _signals(OTHERS),
    "target.npz": _signals(OWN),
    "references.npz": _signals(OTHERS),
    "train.npz": _side(0),
    "test.npz": _side(1),
    "train_logits.npy": _side(0, "logits"),
    "train_labels.npy": _side(0, "labels"),
    "test_logits.npy": _side(1, "logits"),
    "test_labels.npy": _side(1, "labels"),
}

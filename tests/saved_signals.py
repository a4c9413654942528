"""One small leak, saved in every layout that is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TARGETS, REFERENCES, RECORDS, CLASSES = 2, 16, 40, 3
POPULATION = np.arange(RECORDS) >= 30


def world(queries: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Return logits `[model, query, record, class]`, labels, inside and population."""
    rng = np.random.default_rng(seed)
    models = TARGETS + REFERENCES
    labels = np.arange(RECORDS) % CLASSES
    inside = np.zeros((models, RECORDS), bool)
    inside[:TARGETS, :30] = np.arange(TARGETS * 30).reshape(TARGETS, 30) % 3 == 0
    ranks = rng.random((REFERENCES, 30)).argsort(axis=0)
    inside[TARGETS:, :30] = ranks < REFERENCES // 2
    logits = rng.normal(size=(models, queries, RECORDS, CLASSES)).astype(np.float32)
    truth = np.take_along_axis(logits, labels[None, None, :, None], -1)
    np.put_along_axis(logits, labels[None, None, :, None], truth + 3 * inside[:, None, :, None], -1)
    return {"logits": logits, "labels": labels, "inside": inside, "population": POPULATION}


def part(found: dict[str, np.ndarray], models: slice) -> dict[str, np.ndarray]:
    """Return some models of a world."""
    return {k: v[models] if k in ("logits", "inside") else v for k, v in found.items()}


OWN, OTHERS = slice(TARGETS), slice(TARGETS, None)


def save_npz(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write two npz files and return how they are named on the command line."""
    np.savez(folder / "t.npz", **part(found, OWN))
    np.savez_compressed(folder / "r.npz", **part(found, OTHERS))
    return ("--target", str(folder / "t.npz"), "--references", str(folder / "r.npz"))


def save_folders(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write two folders of npy files, one of them in Fortran's order."""
    for name, models in (("t", OWN), ("r", OTHERS)):
        (folder / name).mkdir()
        for key, values in part(found, models).items():
            np.save(folder / name / f"{key}.npy", np.asfortranarray(values))
    return ("--target", str(folder / "t"), "--references", str(folder / "r"))


def save_one(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write all models into one npz file."""
    np.savez(folder / "all.npz", **found)
    return ("--target", str(folder / "all.npz"), "--rows", "0,1")


def save_long(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write one row per (model, record), in no order."""
    for name, models in (("t", OWN), ("r", OTHERS)):
        held = part(found, models)
        lines = [
            f"{m},{r},{int(held['inside'][m, r])},{held['labels'][r]},{int(POPULATION[r])},"
            + ",".join(repr(float(v)) for v in held["logits"][m, 0, r])
            for m in range(len(held["inside"]))
            for r in range(RECORDS)
        ]
        head = "model,record,inside,label,population,logit_0,logit_1,logit_2"
        text = "\n".join([head, *np.random.default_rng(0).permutation(lines)])
        (folder / f"{name}.csv").write_text(text + "\n")
    return ("--target", str(folder / "t.csv"), "--references", str(folder / "r.csv"))


def save_wide(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write one row per record."""
    models = range(len(found["inside"]))
    columns = {"record": np.arange(RECORDS), "label": found["labels"]}
    columns |= {"population": POPULATION.astype(int)}
    columns |= {f"inside:{m}": found["inside"][m].astype(int) for m in models}
    columns |= {
        f"logit_{k}:{m}": found["logits"][m, 0, :, k] for m in models for k in range(CLASSES)
    }
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f"{float(v):.17g}" for v in row) for row in rows)]
    (folder / "all.csv").write_text("\n".join(lines))
    return ("--target", str(folder / "all.csv"), "--rows", "0,1")


def save_lira(folder: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    """Write the folders of LiRA's released code: `[record, 1, query, class]`, a file per epoch."""
    exp = folder / "exp"
    for m, inside in enumerate(found["inside"]):
        place = exp / f"experiment-{m}_{len(found['inside'])}"
        (place / "logits").mkdir(parents=True)
        outputs = np.moveaxis(found["logits"][m], 0, 1)[:, None]
        np.save(place / "logits" / "0000000010.npy", outputs)
        np.save(place / "logits" / "0000000009.npy", np.zeros((1, 1)))
        np.save(place / "keep.npy", inside)
    np.save(exp / "y_train.npy", found["labels"])
    return ("--target", str(exp / "experiment-0_18"), "--references", str(exp))

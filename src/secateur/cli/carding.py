"""What a model card says of an exported file, measured on the file itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from secateur.context import hardware
from secateur.deploy import footprint, portable
from secateur.deploy.graph import graph_from_json
from secateur.measure import clopper_pearson
from secateur.models import OnnxNetwork, logits_of, runnable
from secateur.models.shipped import PACKED
from secateur.packed import head_of
from secateur.report.card import Card
from secateur.types import UTILITY, Measurement

if TYPE_CHECKING:
    from torch import nn

    from secateur.deploy import Footprint
    from secateur.types import Artifact, Fleet, Records

__all__ = ["card_of"]


def card_of(fleet: Fleet, records: Records, row: int, name: str) -> tuple[Card, Footprint]:
    """Return what the card says of one model's file, and its size."""
    artifact = fleet.artifacts[row]
    network = runnable(artifact, fleet.recipe.build)
    shape = records.gather(np.arange(1)).shape[1:]
    size = footprint(artifact, fleet.recipe.build, shape=shape)
    facts = [
        ("format", size.form),
        ("bytes", f"{size.n_bytes:,}"),
        ("parameters", f"{size.parameters:,}"),
        ("of them not zero", f"{size.nonzero:,}"),
        ("multiply-adds a record", f"{size.work.dense:,}"),
        ("multiply-adds without zeros", f"{size.work.effective:,}"),
        *(("not counted there", name) for name in size.work.uncounted),
        *_interface(network),
        *_runtime(artifact, fleet),
        ("made with", _versions(artifact)),
    ]
    about = Card(
        name=name,
        digest=size.digest,
        pipeline=fleet.pipeline,
        data={
            "name": records.name,
            "records": len(records),
            "classes": records.n_classes,
            "digest": records.digest,
        },
        members=len(fleet.membership.members(row)),
        facts=facts,
        accuracies=_accuracies(network, fleet, records, row),
    )
    return about, size


def _interface(network: nn.Module) -> list[tuple[str, str]]:
    """Return what goes into an ONNX file and comes out: name, type, shape."""
    if not isinstance(network, OnnxNetwork):
        return []
    session = network.session
    ends = (("input", session.get_inputs()[0]), ("output", session.get_outputs()[0]))
    return [(f"{what} {end.name}", f"{end.type}, ({_sides(end.shape)})") for what, end in ends]


def _runtime(artifact: Artifact, fleet: Fleet) -> list[tuple[str, str]]:
    """Say whether a packed file runs without the network's code, and if not, why."""
    shipped = artifact.shipped
    if shipped is None or shipped.form != PACKED:
        return []
    graph = head_of(shipped.data).graph
    if graph is not None:
        shape = graph_from_json(graph).values[graph["input"]].shape
        return [("runs in secateur-runtime", f"yes, for records of {shape}")]
    plain = replace(artifact, shipped=None)
    why = portable(plain, fleet.recipe.build).hindrances
    return [("runs in secateur-runtime", f"no: {'; '.join(why) or 'no graph was asked for'}")]


def _sides(shape: list[Any]) -> str:
    return ", ".join(str(side) for side in shape)


def _versions(artifact: Artifact) -> str:
    """Return the packages whose versions decide the file's bytes, and Python's."""
    versions = {"python": hardware()["versions"]["python"]}
    versions |= dict(artifact.provenance.key.get("versions", {}))
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _accuracies(
    network: nn.Module, fleet: Fleet, records: Records, row: int
) -> list[tuple[str, Measurement]]:
    """Return the accuracy of the file itself on its members and on the pool that nobody saw."""
    pools = {
        "train accuracy": fleet.membership.members(row),
        "test accuracy": fleet.membership.pool(UTILITY),
    }
    found = []
    for name, indices in pools.items():
        if not len(indices):
            continue
        right = logits_of(network, records, indices=indices).argmax(axis=1)
        hits = int((right == records.labels[indices]).sum())
        low, high = clopper_pearson(hits, len(indices))
        row_of = Measurement(
            subject=fleet.name,
            risk="utility",
            method="accuracy",
            metric=name,
            value=hits / len(indices),
            low=low,
            high=high,
            interval="Clopper-Pearson",
            estimand="this model",
            counts={"records": float(len(indices))},
            better="higher",
        )
        found.append((name, row_of))
    return found

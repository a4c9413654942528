"""What stands for a model whose weights nobody keeps: its signals on every record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secateur.data import Queries
from secateur.probe.means import Asked
from secateur.probe.run import observe_model, task_of
from secateur.types import Artifact, Kept, Provenance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secateur.protocols import Builder
    from secateur.types import Membership, Records, Signal

__all__ = ["stand_in"]


def stand_in(
    build: Builder,
    records: Records,
    membership: Membership,
    wanted: Sequence[Signal],
    *,
    provenance: Provenance,
) -> Artifact:
    """Ask a model without tensors of its own, such as an estimator, and keep what it answered.

    Args:
        build: makes the network that is asked.
        records: asked about.
        membership: whose audited records are asked about at perturbed inputs too.
        wanted: signals to keep.
        provenance: of the model.
    """
    asked = Asked.about(records, membership, wanted)
    held = tuple(s for s in wanted if s.key not in asked.missing)
    empty = Artifact(tensors={}, builder=repr(build), provenance=provenance)
    seen = observe_model(records, build, held, Queries(), "cpu", asked, None, task_of(empty))
    kept = Kept(signals=seen.signals, probe=repr(held), queries=repr(Queries()), model=empty.digest)
    return Artifact(tensors={}, builder=repr(build), provenance=provenance, kept=kept)

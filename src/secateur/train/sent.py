"""Shards as they are sent to workers that see none of our disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from secateur import store
from secateur.train.shard import Shard

__all__ = ["Sent"]


@dataclass(frozen=True)
class Sent(Sequence[Shard]):
    """Shards for workers without our disks: parents are read when a shard is given out."""

    shards: Sequence[Shard]

    def __len__(self) -> int:
        return len(self.shards)

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | Sequence[Shard]:
        if isinstance(index, slice):
            return Sent(self.shards[index])
        shard = self.shards[index]
        jobs = (
            replace(job, parent=store.read_artifact(job.parent))
            if isinstance(job.parent, Path)
            else job
            for job in shard.jobs
        )
        return replace(shard, jobs=tuple(jobs))

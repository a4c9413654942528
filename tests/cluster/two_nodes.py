"""A child process that starts two Ray nodes on loopback and trains and prunes a fleet on them."""

from __future__ import annotations

import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from secateur.compress import ADMM
from secateur.train import Ray, apply, train_fleet
from small_world import small_membership, small_recipe, small_records


def main(folder: Path) -> None:
    """Train six models and prune them, on two nodes of one core each."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    cluster.add_node(num_cpus=1)
    records = small_records()
    who = small_membership(records)
    engine = Ray(address=cluster.address)
    dense = train_fleet(
        small_recipe(), records, who, seed=0, engine=engine, folder=folder / "dense"
    )
    prune = ADMM(rate=3, updates=2, epochs_per_update=1, retrain_epochs=1)
    apply(prune, dense, records, seed=0, engine=engine, folder=folder / "admm")
    ray.init(address=cluster.address)
    print(f"{len([n for n in ray.nodes() if n['Alive']])} nodes")
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

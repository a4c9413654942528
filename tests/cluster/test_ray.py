"""Fleets on Ray: the bytes of the other engines, whatever is lost on the way."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from own_files import GOOD, TRAIN, written
from secateur import store
from secateur.compress import ADMM
from secateur.errors import MethodError
from secateur.own import recipe_of
from secateur.train import Ray, Stacked, apply, train_fleet
from small_world import FEATURES, small_membership, small_recipe, small_records

pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NODES = Path(__file__).with_name("two_nodes.py")
PRUNE = ADMM(rate=3, updates=2, epochs_per_update=1, retrain_epochs=1)


@pytest.fixture(scope="module")
def world():
    records = small_records()
    return records, small_membership(records)


def both(world, engine, folder):
    dense = train_fleet(small_recipe(), *world, seed=0, engine=engine, folder=folder / "dense")
    apply(PRUNE, dense, world[0], seed=0, engine=engine, folder=folder / "admm")
    return [store.fleet_digest(folder / part) for part in ("dense", "admm")]


def test_models_made_one_by_one_on_ray_have_the_bytes_of_the_serial_engine(world, tmp_path):
    here = both(world, "serial", tmp_path / "serial")
    assert both(world, Ray(workers=2), tmp_path / "ray") == here


def test_stacks_on_ray_have_the_bytes_of_stacks_here(world, tmp_path):
    here = both(world, Stacked(models=3, workers=1), tmp_path / "here")
    assert both(world, Ray(stack=Stacked(models=3), workers=2), tmp_path / "ray") == here


def test_an_error_of_ours_keeps_its_type(world, tmp_path):
    recipe = small_recipe(optimiser=type(small_recipe().optimiser)(lr=1e38), epochs=40)
    with pytest.raises(MethodError, match="training diverged"):
        train_fleet(recipe, *world, seed=0, engine=Ray(workers=1), folder=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_workers_without_a_users_recipe_file_run_the_text_that_goes_along(world, tmp_path):
    text = GOOD.replace("Linear(6, 16)", f"Linear({FEATURES}, 16)") + TRAIN
    written(tmp_path / "work", text)
    recipe = recipe_of(tmp_path / "work" / "mine.py")
    here = train_fleet(recipe, *world, seed=0, engine="serial")
    sent = pickle.loads(pickle.dumps(recipe))
    shutil.rmtree(tmp_path / "work")
    there = train_fleet(sent, *world, seed=0, engine=Ray(workers=2))
    assert [a.digest for a in there.artifacts] == [a.digest for a in here.artifacts]


def workers_of_ray() -> list[int]:
    """Return the processes that run our tasks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_bytes().split(b"\0")[0]
            except OSError:
                continue
            if name.startswith(b"ray::measured"):
                found.append(int(entry.name))
    return found


def test_a_killed_worker_loses_and_doubles_nothing(world, tmp_path):
    recipe = small_recipe(epochs=400)
    expected = train_fleet(
        recipe, *world, seed=0, engine="processes", folder=tmp_path / "processes"
    )
    killed = []

    def kill() -> None:
        for _ in range(600):
            for pid in workers_of_ray()[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill)
    killer.start()
    told = []
    made = train_fleet(
        recipe,
        *world,
        seed=0,
        engine=Ray(workers=2),
        folder=tmp_path / "ray",
        progress=lambda done, total, what: told.append(done),
    )
    killer.join()
    assert killed
    assert told == list(range(len(made) + 1))
    assert len(expected) == len(made)
    digests = [store.fleet_digest(tmp_path / part) for part in ("processes", "ray")]
    assert digests[0] == digests[1]


def test_two_nodes_share_a_fleet(world, tmp_path):
    """In a network of its own that has loopback alone, since Ray prefers any other interface."""
    expected = both(world, "serial", tmp_path / "serial")
    command = f"ip link set lo up && exec {sys.executable} {NODES} {tmp_path / 'nodes'}"
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "Operation not permitted" in done.stderr and "unshare" in done.stderr:
        pytest.skip("a network namespace of one's own needs privileges")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 nodes" in done.stdout
    found = [store.fleet_digest(tmp_path / "nodes" / part) for part in ("dense", "admm")]
    assert found == expected

"""Fleet folders: resumed runs leave the same bytes, other plans and damaged models are refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from secateur import store
from secateur.context import hardware
from secateur.errors import InputError, StoreError
from secateur.types import Artifact, Membership, Provenance

MODELS = 4
MEMBERSHIP = Membership(
    inside=np.eye(MODELS, 6, dtype=bool),
    roles=("target", "target", "reference", "reference"),
    pools={"audit": np.arange(5), "population": np.array([5])},
    units=np.arange(6),
    seed=3,
)


def artifact(i, value=None):
    key = {"step": "train", "model": i, "shape": (1, 2)}
    weight = np.full((2, 2), i if value is None else value, dtype=np.float32)
    return Artifact(tensors={"w": weight}, builder="MLP()", provenance=Provenance(key=key))


def plan(**changes):
    base = store.FleetPlan(
        name="dense",
        pipeline=("Recipe(epochs=2)",),
        builder_repr="MLP()",
        membership=MEMBERSHIP,
        records_digest="ab12",
        data={"name": "digits", "records": 6},
        keys=tuple(artifact(i).provenance.key for i in range(MODELS)),
        seed=3,
        engine={"name": "serial", "shard": 2},
        snapshot_epochs=(1, 2),
    )
    return replace(base, **changes)


def train(path, models):
    for i in models:
        made = artifact(i)
        if store.found_model(path, made.provenance.digest) is None:
            store.write_artifact(store.model_path(path, made.provenance.digest), made)
            store.note_cost(path, made.provenance.digest, cpu_seconds=i + 0.5)


def whole(path, **changes):
    store.create_fleet(path, plan(**changes))
    train(path, range(MODELS))
    store.finish_fleet(path, digests=[artifact(i).digest for i in range(MODELS)])
    return path


def bytes_of(path):
    files = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if name.name != "context.json"}


def test_a_finished_fleet_opens_with_everything_it_was_given(tmp_path):
    fleet = store.open_fleet(whole(tmp_path / "f"), recipe="mine")
    assert [a.digest for a in fleet.artifacts] == [artifact(i).digest for i in range(MODELS)]
    assert fleet.membership.digest == MEMBERSHIP.digest
    assert fleet.name == "dense"
    assert fleet.pipeline == ("Recipe(epochs=2)",)
    assert fleet.costs == (0.5, 1.5, 2.5, 3.5)
    assert fleet.recipe == "mine"
    assert fleet.snapshot_epochs == (1, 2)


def test_the_plan_read_back_is_the_plan_written(tmp_path):
    store.create_fleet(tmp_path / "f", plan())
    found = store.read_fleet_plan(tmp_path / "f")
    assert found.key_digests == plan().key_digests
    assert found.membership.digest == MEMBERSHIP.digest
    for field in ("name", "pipeline", "builder_repr", "records_digest", "data", "seed", "engine"):
        assert getattr(found, field) == getattr(plan(), field)
    assert found.snapshot_epochs == (1, 2)
    store.create_fleet(tmp_path / "f", found)


def test_a_resumed_run_leaves_the_bytes_of_an_undisturbed_one(tmp_path):
    whole(tmp_path / "a")
    store.create_fleet(tmp_path / "b", plan())
    train(tmp_path / "b", [2, 0])
    half = tmp_path / "b" / "models" / ".x.safetensors.secateur-99999999-0.tmp"
    half.write_bytes(b"half")
    whole(tmp_path / "b")
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert not half.exists()
    assert store.fleet_digest(tmp_path / "a") == store.fleet_digest(tmp_path / "b")
    assert store.open_fleet(tmp_path / "b").costs == (0.5, 1.5, 2.5, 3.5)


def test_finishing_twice_changes_no_byte_but_the_context(tmp_path):
    before = bytes_of(whole(tmp_path / "f"))
    assert bytes_of(whole(tmp_path / "f")) == before


def test_the_digest_of_a_fleet_changes_with_any_model_and_the_plan_but_not_with_costs(tmp_path):
    digest = store.fleet_digest(whole(tmp_path / "a"))
    assert store.fleet_digest(whole(tmp_path / "b", seed=4)) != digest
    other = tmp_path / "c"
    store.create_fleet(other, plan())
    made = [artifact(i, value=9 if i == 1 else None) for i in range(MODELS)]
    for m in made:
        store.write_artifact(store.model_path(other, m.provenance.digest), m)
    store.finish_fleet(other, digests=[m.digest for m in made], costs=[9.0] * MODELS)
    assert store.fleet_digest(other) != digest
    store.note_cost(tmp_path / "a", artifact(0).provenance.digest, cpu_seconds=99)
    assert store.fleet_digest(tmp_path / "a") == digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed is 3 there and 4 now"),
        ({"name": "pruned"}, "name is 'dense' there and 'pruned' now"),
        ({"pipeline": ("Recipe(epochs=3)",)}, r"pipeline\[0\] is 'Recipe\(epochs=2\)' there"),
        ({"builder_repr": "VGG()"}, r"builder is 'MLP\(\)' there"),
        ({"records_digest": "cd"}, "records_digest is 'ab12' there and 'cd' now"),
        (
            {"data": {"name": "faces", "records": 6}},
            r"data\.name is 'digits' there and 'faces' now",
        ),
        ({"engine": "stacked"}, "engine is .*'serial'.* there and 'stacked' now"),
        ({"snapshot_epochs": (1,)}, r"snapshot_epochs\.length is 2 there and 1 now"),
        ({"membership": replace(MEMBERSHIP, seed=9)}, "membership_digest is "),
        (
            {"keys": tuple({"step": "prune", "model": i, "shape": (1, 2)} for i in range(MODELS))},
            r"model 0's step is 'train' there and 'prune' now",
        ),
    ],
)
def test_a_folder_with_another_plan_is_refused_naming_the_field(tmp_path, changes, message):
    store.create_fleet(tmp_path / "f", plan())
    before = bytes_of(tmp_path / "f")
    with pytest.raises(StoreError, match=f"{message}.*choose another folder"):
        store.create_fleet(tmp_path / "f", plan(**changes))
    assert bytes_of(tmp_path / "f") == before


def test_a_folder_with_files_of_others_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match=r"holds other files \(thesis.tex\)"):
        store.create_fleet(tmp_path, plan())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_that_ended_before_its_manifest_was_written_is_started_anew(tmp_path):
    store.create_fleet(tmp_path / "f", plan())
    (tmp_path / "f" / "fleet.json").unlink()
    whole(tmp_path / "f")
    assert len(store.open_fleet(tmp_path / "f")) == MODELS


def test_an_unfinished_fleet_says_how_many_models_are_missing_and_how_to_resume(tmp_path):
    store.create_fleet(tmp_path, plan())
    train(tmp_path, [1])
    with pytest.raises(StoreError, match=r"3 of 4 models are missing \(0, 2, 3\).*secateur train"):
        store.open_fleet(tmp_path)
    with pytest.raises(StoreError, match="3 of 4 models are missing"):
        store.finish_fleet(tmp_path, digests=[artifact(i).digest for i in range(MODELS)])
    train(tmp_path, range(MODELS))
    with pytest.raises(StoreError, match=r"all 4 models are there.*same arguments"):
        store.open_fleet(tmp_path)


def test_a_model_is_there_only_when_it_can_be_read(tmp_path):
    store.create_fleet(tmp_path, plan())
    train(tmp_path, [1])
    one, two = artifact(1).provenance.digest, artifact(2).provenance.digest
    assert store.found_model(tmp_path, one) is not None
    assert store.found_model(tmp_path, two) is None
    path = store.model_path(tmp_path, one)
    store.model_path(tmp_path, two).write_bytes(path.read_bytes())
    with pytest.raises(StoreError, match="holds another model"):
        store.found_model(tmp_path, two)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(StoreError, match="was altered"):
        store.found_model(tmp_path, one)


def test_a_model_swapped_after_the_end_is_refused_when_it_is_read(tmp_path):
    fleet = store.open_fleet(whole(tmp_path))
    other = artifact(2, value=77)
    store.write_artifact(store.model_path(tmp_path, other.provenance.digest), other)
    assert fleet.artifacts[1].digest == artifact(1).digest
    with pytest.raises(StoreError, match="replaced after the fleet was finished") as caught:
        fleet.artifacts[2]
    assert other.digest in str(caught.value)
    assert artifact(2).digest in str(caught.value)


def test_other_bytes_for_a_finished_fleet_are_refused(tmp_path):
    whole(tmp_path)
    with pytest.raises(StoreError, match="model 2 now has the digest ff"):
        store.finish_fleet(
            tmp_path, digests=[*(artifact(i).digest for i in range(2)), "ff", artifact(3).digest]
        )


def test_a_replaced_membership_is_refused(tmp_path):
    whole(tmp_path)
    store.write_membership(tmp_path / "membership.npz", replace(MEMBERSHIP, seed=8))
    with pytest.raises(StoreError, match=r"membership\.npz belongs to another fleet"):
        store.open_fleet(tmp_path)


def test_an_edited_manifest_is_refused(tmp_path):
    whole(tmp_path)
    manifest = tmp_path / "fleet.json"
    manifest.write_text(manifest.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(StoreError, match=r"fleet\.json was altered"):
        store.open_fleet(tmp_path)


def test_a_folder_without_a_fleet_and_another_version_are_refused(tmp_path):
    with pytest.raises(StoreError, match=r"no secateur fleet manifest file .*fleet\.json"):
        store.open_fleet(tmp_path)
    store.write_document(tmp_path / "fleet.json", {"format": "secateur-fleet-99"})
    with pytest.raises(StoreError, match="'secateur-fleet-99', not 'secateur-fleet-1'"):
        store.open_fleet(tmp_path)


def test_stored_artifacts_are_read_when_asked_for_and_two_stay_in_memory(tmp_path):
    artifacts = store.open_fleet(whole(tmp_path)).artifacts
    one = artifacts[1]
    assert artifacts[-3] is one
    artifacts[2]
    assert artifacts[1] is one
    artifacts[2], artifacts[3]
    assert artifacts[1] is not one
    assert [a.digest for a in artifacts[2:]] == [artifact(2).digest, artifact(3).digest]
    with pytest.raises(IndexError):
        artifacts[MODELS]


def test_stored_artifacts_travel_to_workers_without_the_models_in_memory(tmp_path):
    artifacts = store.open_fleet(whole(tmp_path)).artifacts
    size = len(pickle.dumps(artifacts))
    first = artifacts[0].digest
    assert len(pickle.dumps(artifacts)) == size
    assert pickle.loads(pickle.dumps(artifacts))[0].digest == first


def test_a_plan_with_too_few_or_equal_keys_is_refused():
    with pytest.raises(InputError, match="1 provenance keys but 4 rows"):
        plan(keys=({"model": 0},))
    with pytest.raises(InputError, match="4 models have 1 different provenance keys"):
        plan(keys=({"model": 0},) * 4)


def test_lengths_that_disagree_at_the_end_are_refused(tmp_path):
    store.create_fleet(tmp_path, plan())
    with pytest.raises(InputError, match="4 models, got 1 digests and 0 costs"):
        store.finish_fleet(tmp_path, digests=["a"])


def test_the_context_holds_hardware_and_no_names_of_machine_or_user(tmp_path):
    whole(tmp_path)
    context = json.loads((tmp_path / "context.json").read_text())
    assert context["hardware"] == hardware()
    assert set(hardware()["flags"]) <= {"avx2", "avx512f", "avx_vnni", "avx512_vnni"}
    assert hardware()["cores"] >= 1
    assert hardware()["versions"]["numpy"] == np.__version__
    assert "/" not in json.dumps(hardware()["system"])


def test_versions_name_secateur_and_opacus_where_it_is_installed(monkeypatch):
    there = {"secateur": "1.2", "torch": "2.0", "opacus": "1.5.4"}

    def version(name):
        if name in there:
            return there[name]
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    found = hardware()["versions"]
    assert (found["secateur"], found["opacus"], found["numpy"]) == ("1.2", "1.5.4", "")
    del there["opacus"]
    assert "opacus" not in hardware()["versions"]


def test_versions_are_read_without_importing_the_libraries():
    code = (
        "import sys; from secateur.context import hardware; hardware();"
        "print(sorted({'opacus', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

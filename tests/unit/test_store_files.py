"""Writing whole or not at all, and refusing what is not ours, for every kind of file."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from secateur import store
from secateur.errors import StoreError
from secateur.types import (
    Artifact,
    Measurement,
    Membership,
    Observations,
    Provenance,
    Report,
    Scores,
)

MEMBERSHIP = Membership(
    inside=np.array([[1, 0, 1, 0, 0], [0, 1, 0, 1, 0]], dtype=bool),
    roles=("target", "reference"),
    pools={"audit": np.arange(4), "population": np.array([4])},
    units=np.arange(5),
    seed=3,
)
THINGS = {
    "artifact": Artifact(
        tensors={"w": np.arange(6, dtype=np.float32).reshape(2, 3)},
        builder="MLP(width=3)",
        provenance=Provenance(key={"step": "train", "seed": 1}),
        masks={"w": np.eye(2, 3, dtype=bool)},
    ),
    "membership": MEMBERSHIP,
    "observations": Observations(
        views={"dense": {"margin": np.arange(10.0).reshape(2, 5)}},
        labels=np.array([0, 1, 0, 1, 0]),
        membership=MEMBERSHIP,
        n_classes=2,
    ),
    "scores": Scores(values=np.ones((1, 5)), evaluated=np.ones((1, 5), dtype=bool)),
    "report": Report(
        title="One model",
        rows=(
            Measurement(
                subject="dense",
                risk="membership",
                method="LossThreshold()",
                metric="auc",
                value=0.5,
            ),
        ),
    ),
}
NAMES = sorted(THINGS)


def write(name, path):
    getattr(store, f"write_{name}")(path, THINGS[name])


def read(name, path):
    return getattr(store, f"read_{name}")(path)


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 40)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


FOREIGN = {
    "a Python pickle": [pickle.dumps({"w": [1.0]}, protocol=p) for p in (2, 3, 4, 5)],
    "a pickled torch file": [
        zipped("model/data.pkl", "model/data/0"),
        zipped("model/data.pkl", "model/data/0")[:90],
    ],
    "a zip archive": [zipped("notes.txt")],
    "an npy file": [npy(np.ones(3))],
    "an HDF5 file": [b"\x89HDF\r\n\x1a\n" + bytes(40)],
    "a file of an unknown kind": [b"epoch,loss\n1,2\n", bytes(64), b"\x93"],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_a_foreign_file_is_refused_by_its_kind(tmp_path, name, kind):
    for data in FOREIGN[kind]:
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(StoreError, match=kind) as caught:
            read(name, tmp_path / "file")
        assert str(tmp_path / "file") in str(caught.value)
        if "pickle" in kind:
            assert "pickled files are never loaded" in str(caught.value)


@pytest.mark.parametrize(("name", "other"), list(itertools.permutations(NAMES, 2)))
def test_each_kind_of_file_is_refused_by_the_readers_of_the_others(tmp_path, name, other):
    write(name, tmp_path / "file")
    with pytest.raises(StoreError, match=r"safetensors file|npz file|JSON file"):
        read(other, tmp_path / "file")


def test_files_of_the_right_kind_by_other_software_are_named_as_such(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(save({"w": np.ones(3)}))
    with pytest.raises(
        StoreError, match="safetensors file of the format None, not 'secateur-artif"
    ):
        store.read_artifact(path)
    path.write_bytes(npz(values=np.ones(3)))
    with pytest.raises(StoreError, match="npz file of the format None, not 'secateur-scores-1'"):
        store.read_scores(path)
    path.write_text('{"title": "x"}')
    with pytest.raises(StoreError, match="JSON without a digest"):
        store.read_report(path)


def test_a_pickle_inside_an_npz_file_is_not_loaded(tmp_path):
    write("scores", tmp_path / "file")
    with zipfile.ZipFile(tmp_path / "file") as archive:
        meta = archive.read("__meta__")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__meta__", meta)
        archive.writestr("values.npy", npy(np.array([{}], dtype=object)))
    (tmp_path / "file").write_bytes(buffer.getvalue())
    with pytest.raises(StoreError, match=r"allow_pickle=False"):
        read("scores", tmp_path / "file")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_an_empty_and_a_folder_are_three_different_refusals(tmp_path, name):
    with pytest.raises(StoreError, match=r"there is no .*nothing; check the path"):
        read(name, tmp_path / "nothing")
    with pytest.raises(StoreError, match="is a folder"):
        read(name, tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match=r"is empty \(0 bytes\)"):
        read(name, tmp_path / "empty")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_off_anywhere_is_refused(tmp_path, name):
    write(name, tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    for length in range(
        1, len(data) - 1, max(1, len(data) // 60)
    ):  # the last byte may be a newline
        (tmp_path / "file").write_bytes(data[:length])
        with pytest.raises(StoreError, match=r"truncated or damaged|unknown kind|zip archive"):
            read(name, tmp_path / "file")


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_byte_never_gives_another_content(tmp_path, name):
    write(name, tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    refused = 0
    for at in range(0, len(data), max(1, len(data) // 150)):
        changed = bytearray(data)
        changed[at] ^= 0x15
        (tmp_path / "file").write_bytes(changed)
        try:
            read(name, tmp_path / "file")
        except StoreError:
            refused += 1
        else:  # unused bytes of the container (times, versions): the content is still the same
            write(name, tmp_path / "again")
            assert (tmp_path / "again").read_bytes() == data
    assert refused > 50


def test_altered_content_is_refused_with_both_digests(tmp_path):
    path = tmp_path / "model.safetensors"
    write("artifact", path)
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="was altered") as caught:
        read("artifact", path)
    assert str(path) in str(caught.value)
    assert THINGS["artifact"].digest in str(caught.value)

    path = tmp_path / "report.json"
    write("report", path)
    path.write_text(path.read_text().replace("One model", "Two models"))
    with pytest.raises(StoreError, match=r"states the digest [0-9a-f]{64}, .* has [0-9a-f]{64};"):
        read("report", path)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_content_gives_the_same_bytes(tmp_path, name):
    write(name, tmp_path / "one")
    write(name, tmp_path / "two")
    write(name, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("step", ["replace", "fsync"])
@pytest.mark.parametrize("name", NAMES)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, name, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError, match=r"cannot write .*file .*No space left.*choose another"):
        write(name, path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_an_interrupt_while_writing_leaves_nothing_half_written(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write("artifact", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_place_that_cannot_be_written_is_named_with_the_way_out(tmp_path, name):
    (tmp_path / "plain").write_text("no folder")
    with pytest.raises(StoreError, match=r"cannot write .*plain/x .*check that the folder"):
        write(name, tmp_path / "plain" / "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"folder is a folder; give the path of a file"):
        write(name, tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "plain"]


def test_only_temporaries_of_dead_processes_are_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "models").mkdir()
    stale = tmp_path / "models" / f".m.safetensors.secateur-{dead.pid}-0.tmp"
    alive = tmp_path / f".m.safetensors.secateur-{os.getpid()}-0.tmp"
    others = tmp_path / ".editor.tmp"
    for path in (stale, alive, others):
        path.write_bytes(b"half")
    assert store.clean_temporaries(tmp_path) == (stale,)
    assert sorted(tmp_path.rglob("*.tmp")) == sorted([alive, others])
    assert store.clean_temporaries(tmp_path / "nothing") == ()


def test_the_store_needs_no_torch():
    code = "import sys, secateur.store; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

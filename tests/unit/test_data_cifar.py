"""CIFAR-10 and CIFAR-100: the same records from every form; strangers' pickles run nothing."""

from __future__ import annotations

import builtins
import contextlib
import gzip
import io
import os
import pickle
import pickletools
import struct
import tarfile
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cifar_files import (
    COPIES,
    TEN,
    N,
    all_pages,
    archive,
    batches,
    coarse,
    labels,
    make_small,
    npz,
    pages,
    pixels,
    plain,
    published,
    python2_pickle,
)
from secateur.data import archives as archives_module
from secateur.data import cifar as cifar_module
from secateur.data import cifar10, cifar100, data_set, load
from secateur.data import pickled as pickled_module
from secateur.data.archives import archived_files
from secateur.data.cifar_forms import MD5
from secateur.data.pickled import STEPS, PickledArray, plain_values
from secateur.errors import DataFileError, MissingExtraError
from secateur.types import ByteSource, Records

READERS = {"cifar10": cifar10, "cifar100": cifar100}
FOLDERS = {
    ("cifar10", "binary"): "cifar-10-batches-bin",
    ("cifar10", "python"): "cifar-10-batches-py",
    ("cifar100", "binary"): "cifar-100-binary",
    ("cifar100", "python"): "cifar-100-python",
}
ARCHIVES = {key: f"cifar-{10 if key[0] == 'cifar10' else 100}-{key[1]}.tar.gz" for key in FOLDERS}
FORMS = [*FOLDERS, ("cifar10", "npz"), ("cifar100", "npz")]
PATH = Path("batch")


@pytest.fixture
def small(monkeypatch) -> None:
    make_small(monkeypatch)


def files_of(name: str, form: str) -> dict[str, bytes]:
    """Return the batches of a small data set by file."""
    if form == "binary":
        return {f"{file}.bin": plain(batch) for file, batch in batches(name).items()}
    return {file: python2_pickle(batch) for file, batch in batches(name).items()}


def put(folder: Path, name: str, form: str, *, packed: bool = True, **changes: bytes) -> Path:
    """Write a small data set in one of its forms, some batches changed (`.` is `_`)."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "npz":
        path = folder / f"{name}.npz"
        path.write_bytes(npz(name))
        return path
    files = files_of(name, form)
    for file, data in changes.items():
        assert file in files
        files[file] = data
    place = FOLDERS[name, form]
    if packed:
        path = folder / ARCHIVES[name, form]
        path.write_bytes(archive({f"{place}/{file}": data for file, data in files.items()}))
        return path
    path = folder / place
    path.mkdir()
    for file, data in files.items():
        (path / file).write_bytes(data)
    return path


def without(records: Records, column: str) -> str:
    """Return the digest that the records have without a column of groups."""
    kept = {k: v for k, v in records.groups.items() if k != column}
    return Records(
        source=records.source, labels=records.labels, n_classes=records.n_classes, groups=kept
    ).digest


# -- the same records whatever the form --------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), FORMS)
@pytest.mark.parametrize("packed", [True, False])
def test_every_form_holds_the_same_records(small, tmp_path, name, form, packed):
    put(tmp_path, name, form, packed=packed)
    records = load(name, tmp_path)
    classes = 10 if name == "cifar10" else 100
    assert (len(records), records.n_classes, records.name) == (N, classes, name)
    assert isinstance(records.source, ByteSource) and records.source.scale == 255
    assert records.source.values.dtype == np.uint8
    assert np.array_equal(records.source.values, pixels().reshape(N, 3, 32, 32))
    assert records.labels.tolist() == labels(classes).tolist()
    inputs = records.gather(np.arange(N))
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    columns = {"coarse"} if name == "cifar100" else set()
    assert set(records.groups) == columns | ({"jpeg_copy"} if form == "npz" else set())
    put(tmp_path / "other", name, "binary")
    assert without(records, "jpeg_copy") == READERS[name](tmp_path / "other").digest


def test_the_training_part_comes_first_its_batches_in_their_order(small, tmp_path):
    put(tmp_path, "cifar10", "binary")
    values = cifar10(tmp_path).source.values.reshape(N, -1)
    for k, file in enumerate(TEN):
        batch = batches("cifar10")[file][b"data"]
        assert np.array_equal(values[20 * k : 20 * k + len(batch)], batch)


def test_the_order_in_an_archive_does_not_matter(small, tmp_path):
    put(tmp_path / "a", "cifar10", "python")
    files = {f"cifar-10-batches-py/{f}": d for f, d in files_of("cifar10", "python").items()}
    names = ["cifar-10-batches-py/readme.html", *reversed(files)]
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "cifar-10-python.tar.gz"
    path.write_bytes(archive({name: files.get(name, b"<html>") for name in names}))
    assert cifar10(tmp_path / "a").digest == cifar10(tmp_path / "b").digest


def test_the_coarse_labels_are_a_group_of_twenty_kinds(small, tmp_path):
    put(tmp_path, "cifar100", "python")
    records = cifar100(tmp_path)
    assert records.groups["coarse"].tolist() == coarse(labels(100)).tolist()
    assert np.bincount(records.groups["coarse"]).tolist() == [10] * 20


def test_each_of_the_twenty_kinds_has_five_classes():
    assert np.bincount(cifar_module.COARSE).tolist() == [5] * 20


def test_the_npz_form_marks_its_jpeg_copies(small, tmp_path):
    put(tmp_path, "cifar10", "npz")
    column = cifar10(tmp_path).groups["jpeg_copy"]
    assert np.flatnonzero(column == "yes").tolist() == list(COPIES)
    assert set(column) == {"yes", "no"}


def test_nothing_is_unpacked_to_disk(small, tmp_path):
    for name, form in FOLDERS:
        folder = tmp_path / name / form
        path = put(folder, name, form)
        READERS[name](folder)
        assert list(folder.iterdir()) == [path]


def test_the_binary_form_is_read_before_the_pickled_one(small, tmp_path):
    put(tmp_path, "cifar10", "binary")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"damaged")
    (tmp_path / "cifar10.npz").write_bytes(b"damaged")
    assert len(cifar10(tmp_path)) == N


# -- what is not there -------------------------------------------------------------------------


@pytest.mark.parametrize("name", READERS)
def test_a_missing_file_is_named_with_every_place_and_its_origin(tmp_path, name):
    with pytest.raises(DataFileError, match=f"{name} needs cifar-.*-binary") as caught:
        load(name, tmp_path)
    for (which, form), place in FOLDERS.items():
        if which == name:
            assert str(tmp_path / place) in str(caught.value)
            assert str(tmp_path / ARCHIVES[name, form]) in str(caught.value)
    assert str(tmp_path / f"{name}.npz") in str(caught.value)
    assert "University of Toronto" in str(caught.value)
    assert data_set(name).missing(tmp_path) == (ARCHIVES[name, "binary"],)


@pytest.mark.parametrize(("name", "form"), FOLDERS)
def test_a_missing_batch_is_named(small, tmp_path, name, form):
    last = list(files_of(name, form))[-1]
    folder = put(tmp_path, name, form, packed=False)
    (folder / last).unlink()
    with pytest.raises(DataFileError, match=f"is incomplete: there is no {last} in it"):
        READERS[name](tmp_path)
    files = {f"{FOLDERS[name, form]}/{f}": d for f, d in files_of(name, form).items() if f != last}
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / ARCHIVES[name, form]).write_bytes(archive(files))
    with pytest.raises(DataFileError, match=f"has no file '.*/{last}' inside: it is another arc"):
        READERS[name](tmp_path / "packed")


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_known_place_counts_as_there(tmp_path, name, form):
    known = data_set(name)
    put(tmp_path, name, form)
    assert known.missing(tmp_path) == ()
    if form != "npz":
        put(tmp_path / "folder", name, form, packed=False)
        assert known.missing(tmp_path / "folder") == ()


def test_without_pillow_the_npz_form_names_the_extra(small, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pillow(name, *rest, **more):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest, **more)

    put(tmp_path, "cifar10", "npz")
    put(tmp_path / "binary", "cifar10", "binary")
    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(MissingExtraError, match=r"secateur\[images\]"):
        cifar10(tmp_path)
    assert len(cifar10(tmp_path / "binary")) == N


# -- what is not the canonical content ---------------------------------------------------------


@pytest.mark.parametrize(("name", "form"), FOLDERS)
def test_one_changed_pixel_is_refused(small, tmp_path, name, form):
    files = files_of(name, form)
    file = next(iter(files))
    data = bytearray(files[file])
    row = batches(name)[file.removesuffix(".bin")][b"data"][0].tobytes()
    data[data.index(row[:64]) + 9] ^= 1
    folder = put(tmp_path, name, form, packed=False)
    (folder / file).write_bytes(bytes(data))
    message = r"has the right form, but it is not the published batch: it has the MD5 [0-9a-f]{32}"
    with pytest.raises(DataFileError, match=message) as caught:
        READERS[name](tmp_path)
    assert str(folder / file) in str(caught.value) and "Toronto" in str(caught.value)


def test_cifar10_is_compared_by_its_pixels_too(small, tmp_path, monkeypatch):
    batch = batches("cifar10")["data_batch_2"]
    batch[b"data"] = batch[b"data"] ^ np.uint8(1)
    published(monkeypatch, {"data_batch_2.bin": plain(batch)})
    folder = put(tmp_path, "cifar10", "binary", packed=False)
    (folder / "data_batch_2.bin").write_bytes(plain(batch))
    with pytest.raises(DataFileError, match="its labels and pixels have the SHA-256"):
        cifar10(tmp_path)


def spoiled(name: str, key: bytes, value: object, monkeypatch) -> dict[str, bytes]:
    """Return the first batch with another value, in both forms, made the published one."""
    file, batch = next(iter(batches(name).items()))
    batch[key] = value
    found = {file: python2_pickle(batch), f"{file}.bin": plain(batch)}
    published(monkeypatch, found)
    return found


@pytest.mark.parametrize("form", ["binary", "python"])
@pytest.mark.parametrize(
    ("name", "key", "change", "message"),
    [
        ("cifar10", b"labels", {0: 10}, r"label 10 of record 0 is not in 0 \.\. 9"),
        ("cifar10", b"labels", {7: 255}, r"label 255 of record 7 is not in 0 \.\. 9"),
        ("cifar100", b"fine_labels", {4: 100}, r"label 100 of record 4 is not in 0 \.\. 99"),
        ("cifar100", b"coarse_labels", {5: 20}, "record 5 of class .* has the coarse label 20, ex"),
        ("cifar100", b"coarse_labels", {6: None}, "record 6 of class .* expected"),
        ("cifar100", b"fine_labels", {}, "has the coarse label"),
    ],
)
def test_a_wrong_label_is_named(small, tmp_path, monkeypatch, name, key, change, message, form):
    column = list(next(iter(batches(name).values()))[key])
    for place, value in change.items():
        column[place] = (column[place] + 1) % 20 if value is None else value
    if not change:
        column = column[::-1]
    folder = put(tmp_path, name, form, packed=False)
    for file, data in spoiled(name, key, column, monkeypatch).items():
        if (folder / file).exists():
            (folder / file).write_bytes(data)
    with pytest.raises(DataFileError, match=message):
        READERS[name](tmp_path)


def test_other_numbers_of_a_class_are_refused(small, tmp_path, monkeypatch):
    column = list(batches("cifar10")["data_batch_1"][b"labels"])
    column[column.index(3)] = 4
    folder = put(tmp_path, "cifar10", "binary", packed=False)
    for file, data in spoiled("cifar10", b"labels", column, monkeypatch).items():
        if (folder / file).exists():
            (folder / file).write_bytes(data)
    with pytest.raises(DataFileError, match=r"train part has 9 \.\. 11 records of each class, exp"):
        cifar10(tmp_path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (-1, "has 61459 bytes, expected 20 records of 3073 bytes = 61460: it is truncated"),
        (0, "has 0 bytes, expected 20 records"),
        (3073 * 19, "has 58387 bytes, expected 20 records of 3073 bytes"),
        (3073 * 21, "has 64533 bytes, expected 20 records of 3073 bytes"),
    ],
)
def test_a_batch_of_another_length_is_refused(small, tmp_path, size, message):
    folder = put(tmp_path, "cifar10", "binary", packed=False)
    path = folder / "data_batch_3.bin"
    data = path.read_bytes()
    path.write_bytes((data * 2)[: size if size >= 0 else len(data) + size])
    with pytest.raises(DataFileError, match=message) as caught:
        cifar10(tmp_path)
    assert str(path) in str(caught.value)


def test_the_published_checksums_are_of_each_batch_once():
    files = [*TEN, "train", "test"]
    assert set(MD5) == {*files, *(f"{file}.bin" for file in files)}
    assert len(set(MD5.values())) == 16
    assert all(len(md5) == 32 and int(md5, 16) >= 0 for md5 in MD5.values())


def test_small_files_of_the_right_form_are_not_the_real_data_set(tmp_path):
    put(tmp_path, "cifar10", "binary")
    with pytest.raises(DataFileError, match=r"data_batch_1\.bin has 61460 bytes, expected 10000 r"):
        cifar10(tmp_path)


# -- pickled batches of another form -----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"data": None}, "'data' is no array, but a NoneType"),
        (
            {b"data": np.zeros((20, 3071), np.uint8)},
            r"has the shape \(20, 3071\), expected \(20, 3",
        ),
        ({b"data": np.zeros((20, 3072), np.int8)}, "is not an array of bytes in C order, but 'i1'"),
        ({b"data": np.zeros((20, 3072), np.uint16)}, "array of bytes in C order, but '.?u2'"),
        ({b"data": np.zeros((3072, 20), np.uint8).T}, "is not an array of bytes in C order"),
        ({b"data": np.array([[None] * 9])}, "is not an array of bytes in C order, but '.?O8?'"),
        ({b"labels": list(range(19))}, r"'labels' is not a list of 20 whole numbers in 0 \.\. 255"),
        ({b"labels": [0] * 19 + [256]}, r"'labels' is not a list of 20 whole numbers"),
        ({b"labels": [0] * 19 + [-1]}, r"'labels' is not a list of 20 whole numbers"),
        ({b"labels": [0] * 19 + [True]}, r"'labels' is not a list of 20 whole numbers"),
        ({b"labels": [0] * 19 + ["1"]}, r"'labels' is not a list of 20 whole numbers"),
        ({b"labels": b"0" * 20}, r"'labels' is not a list of 20 whole numbers"),
        ({"labels": [0] * 20}, "it holds a key both as text and as bytes"),
    ],
)
def test_a_pickled_batch_of_another_form_is_refused(small, tmp_path, change, message):
    folder = put(tmp_path, "cifar10", "python", packed=False)
    batch = batches("cifar10")["data_batch_4"]
    (folder / "data_batch_4").write_bytes(pickle.dumps({**batch, **change}, protocol=2))
    with pytest.raises(DataFileError, match=message) as caught:
        cifar10(tmp_path)
    assert str(folder / "data_batch_4") in str(caught.value)


@pytest.mark.parametrize("key", [b"data", b"labels"])
def test_a_pickled_batch_without_a_key_is_refused(small, tmp_path, key):
    folder = put(tmp_path, "cifar10", "python", packed=False)
    batch = batches("cifar10")["test_batch"]
    del batch[key]
    (folder / "test_batch").write_bytes(python2_pickle(batch))
    with pytest.raises(DataFileError, match=f"has no '{key.decode()}'; it holds batch_label, file"):
        cifar10(tmp_path)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_a_batch_that_python_3_pickled_holds_the_same_values(protocol):
    batch = batches("cifar100")["train"]
    held = plain_values(PATH, pickle.dumps(batch, protocol=protocol))
    assert set(held) == {key.decode() for key in batch}
    array = held["data"]
    assert isinstance(array, PickledArray)
    assert np.array_equal(array.values("data", (100, 3072)), batch[b"data"])
    for key in (b"fine_labels", b"coarse_labels", b"filenames", b"batch_label"):
        assert held[key.decode()] == batch[key]


def test_what_is_written_here_is_what_python_2_wrote():
    batch = batches("cifar10")["data_batch_1"]
    loaded = pickle.loads(python2_pickle(batch), encoding="bytes")
    assert loaded.keys() == batch.keys()
    assert np.array_equal(loaded[b"data"], batch[b"data"])
    assert all(loaded[key] == batch[key] for key in batch if key != b"data")


def test_a_truncated_pickle_is_refused_wherever_it_ends():
    data = python2_pickle(batches("cifar10")["data_batch_1"])
    for end in (0, 1, 2, 3, 9, 50, 500, len(data) // 2, len(data) - 2, len(data) - 1):
        with pytest.raises(DataFileError, match=r"^batch is (truncated or damaged|not a batch)"):
            plain_values(PATH, data[:end])


# -- hostile pickles ---------------------------------------------------------------------------


class Calls:
    """Is pickled as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def text(value: str) -> bytes:
    """Return the opcode that pushes a text."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def armed(marker: Path) -> dict[str, bytes]:
    """Return pickles that make the file `marker` when an ordinary reader loads them."""
    command = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    system = Calls(os.system, command)
    whole = python2_pickle(batches("cifar10")["data_batch_1"])
    found = {f"REDUCE, protocol {n}": pickle.dumps(system, protocol=n) for n in range(6)}
    return found | {
        "in a list": pickle.dumps({b"labels": [0, system]}, protocol=2),
        "as a key": pickle.dumps({system: 1}, protocol=2),
        "behind a whole batch": whole[:-1] + b"0" + pickle.dumps(system, protocol=2),
        "within a batch": whole[:-2] + text("x") + b"cos\nsystem\n" + text(command) + b"\x85Ru.",
        "eval": pickle.dumps(Calls(eval, code), protocol=2),
        "exec by Python 2's name": b"c__builtin__\nexec\n" + text(code) + b"\x85R.",
        "INST": b"(S'" + command.encode() + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text(command) + b"o.",
        "STACK_GLOBAL": b"\x80\x04"
        + text("os")
        + text("system")
        + b"\x93"
        + text(command)
        + b"\x85R.",
        "in the arguments of an allowed call": b"c_codecs\nencode\n"
        + (text("a") + b"cos\nsystem\n" + text(command) + b"\x85R0" + text("latin1") + b"\x86R."),
        "by getattr": b"cbuiltins\ngetattr\ncos\npath\n"
        + (text("os") + b"\x86Rq\x000cbuiltins\ngetattr\nh\x00" + text("system") + b"\x86R")
        + (text(command) + b"\x85R."),
        "by the name of the module below": b"cposix\nsystem\n" + text(command) + b"\x85R.",
    }


KINDS = sorted(armed(Path("m")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_pickle_runs_nothing(small, tmp_path, kind):
    marker = tmp_path / "made"
    data = armed(marker)[kind]
    with pytest.raises(DataFileError, match=r"^batch is not a batch of CIFAR: it (names|asks fo)"):
        plain_values(PATH, data)
    folder = put(tmp_path, "cifar10", "python", packed=False)
    (folder / "data_batch_1").write_bytes(data)
    with pytest.raises(DataFileError, match="data_batch_1 is not a batch of CIFAR"):
        cifar10(tmp_path)
    assert not marker.exists()
    with contextlib.suppress(Exception):  # some fail after they did their work
        pickle.loads(data, encoding="latin1")
    assert marker.exists(), "this pickle would not have done any harm"


NAME = b"cnumpy\nndarray\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ARRAY = RECONSTRUCT + NAME + b"K\x00\x85U\x01b\x87R"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02" + NAME + b"K\x01\x85\x81.", "it asks for NEWOBJ;"),
        (b"\x80\x04" + NAME + b"K\x01\x85}\x92.", "it asks for NEWOBJ_EX;"),
        (b"(K\x01inumpy\nndarray\n.", "it asks for INST;"),
        (b"(" + NAME + b"K\x01o.", "it asks for OBJ;"),
        (b"\x82\x01.", "it asks for EXT1;"),
        (b"\x83\x01\x00.", "it asks for EXT2;"),
        (b"\x84\x01\x00\x00\x00.", "it asks for EXT4;"),
        (b"Pname\n.", "it asks for PERSID;"),
        (b"U\x01aQ.", "it asks for BINPERSID;"),
        (b"\x80\x05\x97.", "it asks for NEXT_BUFFER;"),
        (b"\x80\x05\x96" + bytes(8) + b".", "it asks for BYTEARRAY8;"),
        (b"cnumpy\nload\n" + text("x") + b"\x85R.", "it names 'numpy load'"),
        (b"cnumpy.core.multiarray\nscalar\n.", "it names 'numpy.core.multiarray scalar'"),
        (b"c" + b"a" * 9999 + b"\nb\n.", "it names 'a{80}';"),
        (b"\x80\x04" + text("numpy") + text("ndarray.__class__") + b"\x93.", "it names 'numpy nd"),
        (b"\x80\x04]" + text("system") + b"\x93.", "names something by what is no text"),
        (NAME + b"K\x01\x85R.", "it calls 'numpy ndarray' with other arguments"),
        (RECONSTRUCT + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R.", "calls 'numpy.core.multiarray _re"),
        (RECONSTRUCT + b"N\x85R.", "calls 'numpy.core.multiarray _reconstruct' with other"),
        (RECONSTRUCT + b")R.", "calls 'numpy.core.multiarray _reconstruct' with other"),
        (b"cnumpy\ndtype\nN\x85R.", "it calls 'numpy dtype' with other"),
        (b"cnumpy\ndtype\n]R.", "it calls what is no name"),
        (text("os.system") + text("x") + b"\x85R.", "it calls what is no name"),
        (b"c_codecs\nencode\n" + text("a") + b"\x85R.", "it calls '_codecs encode' with other"),
        (b"c_codecs\nencode\n" + text("a") + text("rot13") + b"\x86R.", "in another way than lat"),
        (b"}}b.", "it sets a state that no array has"),
        (ARRAY + b"}b.", "it sets a state that no array has"),
        (ARRAY + b"(K\x01tb.", "it sets a state that no array has"),
        (NAME + b"}b.", "it sets a state that no array has"),
        (b"]K\x01K\x02s.", "it sets an item of what is no dict"),
        (ARRAY + text("shape") + b"K\x02s.", "it sets an item of what is no dict"),
        (b"}K\x01K\x02s.", "a key is of the type int"),
        (b"}]K\x02s.", "a key is of the type list"),
        (b"}K\x01a.", "it appends to what is no list"),
        (b"].", "it holds a list;"),
        (ARRAY + b".", "it holds a PickledArray;"),
        (b"}K\x01.", "is truncated or damaged"),
        (b"}U\x01aK\x01U\x01bu.", "is truncated or damaged"),
        (b"}(U\x01au.", "is truncated or damaged"),
        (b".", "is truncated or damaged"),
        (b"a.", "is truncated or damaged"),
        (b"R.", "is truncated or damaged"),
        (b"b.", "is truncated or damaged"),
        (b"t.", "is truncated or damaged"),
        (b"K\x01\x86.", "is truncated or damaged"),
        (b"h\x07.", "is truncated or damaged"),
        (b"q\x07.", "is truncated or damaged"),
        (b"\xff.", "is truncated or damaged"),
        (
            b"c_codecs\nencode\nX\x03\x00\x00\x00\xe2\x82\xac" + text("latin1") + b"\x86R.",
            "damaged",
        ),
    ],
)
def test_whatever_is_no_plain_value_is_refused(data, message):
    with pytest.raises(DataFileError, match=message) as caught:
        plain_values(PATH, data)
    assert str(caught.value).startswith("batch is ") and len(str(caught.value)) < 300


def test_the_list_of_opcodes_has_none_that_makes_objects_or_leaves_the_file():
    known = {opcode.name for opcode in pickletools.opcodes}
    risky = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
    assert set(STEPS) <= known - risky


LAUGHS = b"K\x01" + b"q\x00h\x00\x86" * 60  # a pair of a pair of ..., 2 ** 60 ones if written out


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",  # a text of exabytes
        b"\x80\x04\x8d" + struct.pack("<Q", 2**64 - 1) + b"abc.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        b"X" + struct.pack("<I", 2**32 - 1) + b"abc.",
        b"T" + struct.pack("<i", 2**31 - 1) + b"abc.",
        b"T" + struct.pack("<i", -1) + b"abc.",
        b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"Nr\xff\xff\xff\xff.",  # the last place of a memo
        b"Np" + b"9" * 4000 + b"\n.",
        b"Nj\xff\xff\xff\xff.",
        b"]" * 100_000 + b"a" * 99_999 + b".",  # a list in a list in a list
        b"N" + b"\x85" * 100_000 + b".",
        b"(" * 100_000 + b"t" * 99_999 + b".",
        b"]q\x00h\x00a.",  # a list that holds itself
        LAUGHS + b".",
        LAUGHS + b"cnumpy\ndtype\nq\x010h\x01h\x00\x85R.",
        b"\x80\x04" + LAUGHS + text("system") + b"\x93.",
        RECONSTRUCT + LAUGHS + b"\x85R.",
        b"N" * 100_000 + b"(t" * 100_000 + b".",  # each mark above a deep stack
    ],
)
def test_lengths_depths_and_cycles_are_bounded(data):
    tracemalloc.start()
    with pytest.raises(DataFileError, match=r"^batch is ") as caught:
        plain_values(PATH, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26 and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (LAUGHS, "the shape of no array"),
        (b"]q\x00h\x00a\x85", "the shape of no array"),
        (b"(" + (b"\x8a\xff" + b"\x7f" * 255) * 1000 + b"t", "the shape of no array"),
        (b"\x8a\xff" + b"\x7f" * 255 + b"\x85", "the shape of no array"),
        (b"G\x40\x00\x00\x00\x00\x00\x00\x00\x85", "asks for BINFLOAT"),
        (b"K\x02K\x03\x86", r"the shape \(2, 3\), but 5 bytes"),
        (b"K\x03K\x02\x86", r"the shape \(3, 2\), expected \(2, 3\)"),
        (b"J\xfe\xff\xff\xffJ\xfd\xff\xff\xff\x86", r"the shape \(-2, -3\), expected"),
        (b"N", "the shape of no array"),
    ],
)
def test_a_shape_is_believed_only_when_the_bytes_are_there(shape, message):
    kind = b"cnumpy\ndtype\nU\x02u1\x85R"
    array = ARRAY + b"(K\x01" + shape + kind + b"\x89U\x05abcdetb"
    with pytest.raises(DataFileError, match=message):
        plain_values(PATH, b"}U\x01a" + array + b"s.")["a"].values("a", (2, 3))


def test_one_text_encoded_again_and_again_does_not_fill_the_memory():
    again = b"c_codecs\nencode\nh\x00h\x01\x86R"
    data = text("x" * 100_000) + b"q\x00" + text("latin1") + b"q\x01" + again * 10_000 + b"."
    tracemalloc.start()
    with pytest.raises(DataFileError, match="it encodes more bytes than the file has"):
        plain_values(PATH, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * len(data)


def test_an_argument_that_the_disassembler_warns_of_is_refused_in_words():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataFileError, match="it asks for STRING"):
            plain_values(PATH, b"S'\\H'\n.")


def test_the_number_of_steps_is_bounded(monkeypatch):
    monkeypatch.setattr(pickled_module, "MOST_OPCODES", 5)
    assert plain_values(PATH, b"}U\x01aNs.") == {"a": None}
    with pytest.raises(DataFileError, match="it has more than 5 steps"):
        plain_values(PATH, b"}U\x01aNsU\x01bNs.")


@given(data=st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_values_or_refused(data):
    for content in (data, b"\x80\x02}(" + data + b"u."):
        try:
            assert isinstance(plain_values(PATH, content), dict)
        except DataFileError as error:
            assert str(error).startswith("batch is ")


OPCODES = st.sampled_from(
    [*(o.code.encode("latin1") for o in pickletools.opcodes), NAME, ARRAY, text("a"), b"K\x01"]
)


@given(codes=st.lists(OPCODES, max_size=30))
@settings(max_examples=300)
def test_opcodes_in_any_order_are_values_or_refused(codes):
    try:
        assert isinstance(plain_values(PATH, b"".join(codes) + b"."), dict)
    except DataFileError as error:
        assert str(error).startswith("batch is ")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=8,
)


@given(values=st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@settings(max_examples=60)
def test_plain_values_are_those_that_an_ordinary_reader_gives(values):
    for protocol in range(6):
        assert plain_values(PATH, pickle.dumps(values, protocol=protocol)) == values


# -- archives ----------------------------------------------------------------------------------


def member(name: str, size: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return the head of one member of a tar archive."""
    head = tarfile.TarInfo(name)
    head.size, head.type, head.linkname = size, kind, link
    return head.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("above", ["../../", "/", "/tmp/../", "a/b/"])
def test_names_that_point_elsewhere_write_nothing_there(small, tmp_path, above):
    files = {
        f"{above}cifar-10-batches-bin/{f}": d for f, d in files_of("cifar10", "binary").items()
    }
    (tmp_path / "deep" / "data").mkdir(parents=True)
    path = tmp_path / "deep" / "data" / "cifar-10-binary.tar.gz"
    path.write_bytes(archive({**files, f"{above}x": b"x"}))
    before = sorted(tmp_path.rglob("*"))
    assert len(cifar10(path.parent)) == N
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (tarfile.SYMTYPE, r"has no file '.*/data_batch_1\.bin' inside \(a link is none\)"),
        (tarfile.LNKTYPE, r"has no file '.*/data_batch_1\.bin' inside \(a link is none\)"),
        (tarfile.CHRTYPE, r"has no file '.*/data_batch_1\.bin' inside: it is another archive"),
        (tarfile.FIFOTYPE, r"has no file '.*/data_batch_1\.bin' inside: it is another archive"),
        (tarfile.DIRTYPE, r"has no file '.*/data_batch_1\.bin' inside: it is another archive"),
    ],
)
def test_links_and_devices_are_not_followed(small, tmp_path, kind, message):
    secret = tmp_path / "secret"
    secret.write_bytes(files_of("cifar10", "binary")["data_batch_1.bin"])
    files = {f"cifar-10-batches-bin/{f}": d for f, d in files_of("cifar10", "binary").items()}
    del files["cifar-10-batches-bin/data_batch_1.bin"]
    link = member("cifar-10-batches-bin/data_batch_1.bin", 0, kind, str(secret))
    whole = link + gzip.decompress(archive(files))
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(whole, compresslevel=1))
    with pytest.raises(DataFileError, match=message):
        cifar10(tmp_path)


def test_a_link_before_a_file_of_its_name_does_not_hide_it(tmp_path):
    path = tmp_path / "a.tgz"
    link = member("a", 0, tarfile.SYMTYPE, "/etc/hostname")
    path.write_bytes(gzip.compress(link + gzip.decompress(archive({"a": b"file"}))))
    assert archived_files(path, members=("a",), most=9) == {"a": b"file"}


def test_what_claims_or_unpacks_to_too_much_is_refused(small, tmp_path, monkeypatch):
    path = tmp_path / "cifar-10-binary.tar.gz"
    for size in (2**28 + 1, 2**33, 2**62):
        path.write_bytes(gzip.compress(member("cifar-10-batches-bin/data_batch_1.bin", size)))
        with pytest.raises(DataFileError, match=f"inside claims {size} bytes, at most"):
            cifar10(tmp_path)
    monkeypatch.setattr(archives_module, "MOST_UNPACKED", 2**22)
    files = {f"cifar-10-batches-bin/{f}": d for f, d in files_of("cifar10", "binary").items()}
    path.write_bytes(archive(files))
    assert len(cifar10(tmp_path)) == N
    for members in ({"zeros": bytes(2**23), **files}, {**files, "zeros": bytes(2**23)}):
        path.write_bytes(archive(members))
        tracemalloc.start()
        with pytest.raises(DataFileError, match="unpacks to more than 4194304 bytes: it is anothe"):
            cifar10(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**23
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["binary", "python"])
def test_a_truncated_or_damaged_archive_is_refused(small, tmp_path, form):
    path = put(tmp_path, "cifar10", form)
    good = path.read_bytes()
    crc = bytearray(good)
    crc[-8] ^= 1
    for bad in (
        good[:-1],
        good[:-9],
        good[: len(good) // 2],
        good[:9],
        b"",
        b"no gzip",
        bytes(crc),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataFileError, match=r"tar\.gz (cannot be read|has no file|is trunc)"):
            cifar10(tmp_path)
    tar = gzip.decompress(good)
    path.write_bytes(gzip.compress(tar[: -(len(tar) // 3)], compresslevel=1))
    with pytest.raises(DataFileError, match=r"tar\.gz is truncated: 'cifar-10-batches-.* inside h"):
        cifar10(tmp_path)


def test_several_files_come_out_of_one_archive_and_the_first_of_a_name_counts(tmp_path):
    path = tmp_path / "a.tgz"
    first, second = archive({"x/a": b"1" * 600, "c": b"", "b": b"22"}), archive({"x/a": b"3"})
    tar = gzip.decompress(first)
    path.write_bytes(gzip.compress(tar[: tar.rindex(b"22") + 512] + gzip.decompress(second)))
    found = archived_files(path, members=("b", "x/a", "c"), most=600)
    assert found == {"b": b"22", "x/a": b"1" * 600, "c": b""}
    with pytest.raises(DataFileError, match="'x/a' inside claims 600 bytes, at most 599"):
        archived_files(path, members=("x/a",), most=599)
    with pytest.raises(DataFileError, match="has no file 'y/a' inside"):
        archived_files(path, members=("b", "y/a"), most=600)


def test_a_size_in_a_record_before_the_head_counts(tmp_path):
    record = member("PaxHeaders/a", 9, tarfile.XHDTYPE) + b"9 size=5\n".ljust(512, b"\0")
    data = member("a", 0) + b"hello".ljust(512, b"\0") + member("b", 2) + b"ok".ljust(512, b"\0")
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(record + data))
    assert archived_files(path, members=("a", "b"), most=9) == {"a": b"hello", "b": b"ok"}


def test_archives_of_every_tar_format_are_read_alike(tmp_path):
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{kind}.tgz"
        with tarfile.open(path, mode="w:gz", format=kind) as tar:
            for name in ("folder/a", "folder/" + "long" * 20):
                head = tarfile.TarInfo(name)
                head.size, head.mtime = 3, 1.5 if kind == tarfile.PAX_FORMAT else 1
                tar.addfile(head, io.BytesIO(name[-3:].encode()))
        assert archived_files(path, members=("folder/a",), most=9) == {"folder/a": b"r/a"}


# -- the npz form ------------------------------------------------------------------------------

FILES = all_pages()
CUTS = np.cumsum([0, *map(len, FILES)]).astype(np.int64)


def joined(*files: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of other pages."""
    return {
        "webp": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64),
    }


def other_page(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def changed(place: int) -> np.ndarray:
    """Return the pages with one pixel of a picture changed."""
    x = pixels()
    x[place, 7] ^= 1
    return joined(*pages(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": CUTS + 1}, "the offsets do not rise from 0 to the"),
        ({"offsets": CUTS[[0, 2, 1, 3, 4]]}, "the offsets do not rise from 0 to the"),
        ({"offsets": CUTS[[0, 1, 1, 3, 4]]}, "the offsets do not rise from 0 to the"),
        ({"offsets": np.where(CUTS[-1] == CUTS, 2**62, CUTS)}, "the offsets do not rise"),
        ({"offsets": CUTS[:-1]}, "array 'offsets' has the type <i8 and the shape \\(4,\\)"),
        ({"offsets": CUTS.astype(np.float64)}, "array 'offsets' has the type <f8"),
        ({"labels": labels(10)[:-1]}, r"array 'labels' has the type \|u1 and the shape \(199,\)"),
        ({"labels": labels(10) + np.uint8(1)}, r"label 10 of record \d+ is not in 0 \.\. 9"),
        ({"labels": labels(10)[::-1].copy()}, "labels and pixels have the SHA-256"),
        ({"jpeg_index": np.array([3, 200], np.int32)}, r"holds numbers in 3 \.\. 200, expected 0 "),
        ({"jpeg_index": np.array([-1], np.int32)}, r"holds numbers in -1 \.\. -1, expected 0 \.\."),
        ({"jpeg_index": np.array([3], np.int32)}, "names other pictures than the 2 JPEG copies"),
        ({"jpeg_index": np.array([3, 151], np.int32)}, "names other pictures than the 2 JPEG"),
        ({"jpeg_index": np.array([None, 3])}, "array 'jpeg_index' "),
        (joined(*FILES[:3], FILES[3][:-40]), "page 3 cannot be decoded"),
        (joined(*FILES[:2], b"nothing", FILES[3]), "page 2 is not a picture that is read here"),
        (
            joined(other_page(32, 1568), *FILES[1:]),
            r"page 0 is \(1568, 32\), expected \(1600, 32\)",
        ),
        (
            joined(other_page(1600, 32), *FILES[1:]),
            r"page 0 is \(32, 1600\), expected \(1600, 32\)",
        ),
        (joined(other_page(32, 16383), *FILES[1:]), "page 0 claims 32 x 16383 = 524256 pixels"),
        (joined(FILES[1], FILES[0], *FILES[2:]), "its labels and pixels have the SHA-256"),
        (changed(0), "its labels and pixels have the SHA-256"),
        (changed(COPIES[0]), "its JPEG copies have the SHA-256"),
    ],
)
def test_a_spoiled_npz_is_refused(small, tmp_path, changes, message):
    path = tmp_path / "cifar10.npz"
    path.write_bytes(npz("cifar10", **changes))
    with pytest.raises(DataFileError, match=message) as caught:
        cifar10(tmp_path)
    assert str(path) in str(caught.value) and "Toronto" in str(caught.value)


def test_a_truncated_npz_is_refused(small, tmp_path):
    path = put(tmp_path, "cifar100", "npz")
    good = path.read_bytes()
    for end in (0, 20, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:end])
        with pytest.raises(DataFileError, match=r"cifar100\.npz cannot be read as an npz file"):
            cifar100(tmp_path)


def test_an_array_that_claims_too_much_is_refused_before_it_is_unpacked(small, tmp_path):
    out = io.BytesIO()
    np.savez_compressed(out, webp=np.zeros(2**28 + 1, np.uint8))
    assert len(out.getvalue()) < 2**20
    (tmp_path / "cifar10.npz").write_bytes(out.getvalue())
    tracemalloc.start()
    with pytest.raises(DataFileError, match=r"array 'webp' claims \d+ bytes, at most 268435456"):
        cifar10(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


# -- what is known of them ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_the_default_network_fits_the_pictures(name, classes):
    known = data_set(name)
    assert known.recipe.startswith(f"Recipe(build=SmallCNN(channels=3, classes={classes}, ")
    assert sum(known.sizes) <= known.n_records == 60_000
    assert known.parts == (("train", 50_000), ("test", 10_000))
    (file,) = known.files
    assert file.url == f"https://www.cs.toronto.edu/~kriz/{file.path}"
    assert file.checksum.startswith("md5:") and file.n_bytes > 160_000_000

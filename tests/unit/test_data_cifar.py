"""CIFAR in every form; hostile pickles run nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import pickletools
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from secateur.data import cifar, cifar10, cifar100, load
from secateur.data.pickled import STEPS, PickledArray, plain_values
from secateur.errors import DataFileError

N = {"train": 100, "test": 100}
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, size=(200, 3072), dtype=np.uint8)
LABELS = {
    "cifar10": (RNG.integers(0, 10, 200).astype(np.uint8),),
    "cifar100": (
        RNG.integers(0, 20, 200).astype(np.uint8),
        RNG.integers(0, 100, 200).astype(np.uint8),
    ),
}


def python2_batch(values: dict[str, object]) -> bytes:
    """Return a batch as Python 2 pickled it: byte strings, an array by its pieces."""
    out = [b"\x80\x02}q\x01("]
    for key, value in values.items():
        out.append(b"U" + bytes([len(key)]) + key.encode())
        if isinstance(value, np.ndarray):
            out.append(b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03")
            out.append(b"K\x00\x85U\x01b\x87Rq\x04(K\x01")
            out.append(b"".join(b"J" + struct.pack("<i", n) for n in value.shape) + b"\x86")
            out.append(b"cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNN")
            out.append(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
            out.append(b"T" + struct.pack("<i", value.nbytes) + value.tobytes() + b"tb")
        elif isinstance(value, list):
            out.append(b"](" + b"".join(b"K" + bytes([v]) for v in value) + b"e")
        else:
            text = str(value).encode()
            out.append(b"U" + bytes([len(text)]) + text)
    return b"".join([*out, b"u."])


def python3_batch(values: dict[str, object]) -> bytes:
    """Return the same written again by today's Python and numpy."""
    return pickle.dumps({k.encode(): v for k, v in values.items()}, protocol=2)


def files_of(name: str, form: cifar._Form, write=python2_batch) -> dict[str, bytes]:
    """Return the small batches of a form."""
    found = {}
    start = 0
    for part, files in (("train", form.train), ("test", form.test)):
        each = N[part] // len(files)
        for file in files:
            rows = slice(start, start + each)
            columns = [column[rows] for column in LABELS[name]]
            if form.pickled:
                keys = cifar.SETS[name].labels
                lists = {k: c.tolist() for k, c in zip(keys, columns, strict=True)}
                found[file] = write({"batch_label": file, **lists, "data": PIXELS[rows]})
            else:
                found[file] = np.concatenate([np.stack(columns, 1), PIXELS[rows]], 1).tobytes()
            start += each
    return found


def archive(folder: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def npz(name: str, **changes: np.ndarray) -> bytes:
    """Return the npz form: two WebP pages of a hundred pictures."""
    pages = []
    for k in range(2):
        page = PIXELS[100 * k : 100 * k + 100].reshape(100, 3, 32, 32).transpose(0, 2, 3, 1)
        out = io.BytesIO()
        Image.fromarray(page.reshape(3200, 32, 3)).save(out, "WEBP", lossless=True, quality=0)
        pages.append(out.getvalue())
    arrays = {
        "webp": np.frombuffer(b"".join(pages), np.uint8),
        "offsets": np.cumsum([0, *map(len, pages)]).astype(np.int64),
        "labels": LABELS[name][-1],
        "jpeg_index": np.array([3, 150], np.int32),
        **changes,
    }
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Make the small pictures the canonical ones."""
    monkeypatch.setattr(cifar, "COUNTS", dict(N))
    monkeypatch.setattr(cifar, "COPIES", (3, 150))
    kept = np.setdiff1d(np.arange(200), (3, 150))
    exact = hashlib.sha256(LABELS["cifar10"][0].tobytes() + PIXELS[kept].tobytes()).hexdigest()
    monkeypatch.setattr(cifar, "EXACT", {"cifar10": exact})
    for which in cifar.SETS.values():
        for key in list(which.md5):
            monkeypatch.delitem(which.md5, key)


READERS = {"cifar10": cifar10, "cifar100": cifar100}
FORMS = [(n, f) for n, which in cifar.SETS.items() for f in which.forms]


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "folder"])
@pytest.mark.parametrize(("name", "form"), FORMS, ids=lambda v: getattr(v, "folder", v))
def test_every_form_gives_the_same_records_in_canonical_order(name, form, packed, tmp_path):
    files = files_of(name, form)
    if packed:
        (tmp_path / form.archive).write_bytes(archive(form.folder, files))
    else:
        (tmp_path / form.folder).mkdir()
        for file, data in files.items():
            (tmp_path / form.folder / file).write_bytes(data)
    records = load(name, tmp_path)
    assert records.input_shape == (3, 32, 32)
    np.testing.assert_array_equal(records.labels, LABELS[name][-1])
    expected = PIXELS.reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(records.gather(np.arange(200)), expected)
    if name == "cifar100":
        np.testing.assert_array_equal(records.groups["coarse"], LABELS[name][0])
    assert [p.name for p in tmp_path.iterdir()] == [form.archive if packed else form.folder]


@pytest.mark.parametrize("name", sorted(READERS))
def test_the_npz_form_holds_the_same_pictures_and_names_the_copies(name, tmp_path):
    (tmp_path / f"{name}.npz").write_bytes(npz(name))
    records = READERS[name](tmp_path)
    expected = PIXELS.reshape(-1, 3, 32, 32).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(records.gather(np.arange(200)), expected)
    assert np.flatnonzero(records.groups["jpeg_copy"] == "yes").tolist() == [3, 150]


def test_a_batch_written_by_todays_numpy_reads_alike(tmp_path):
    form = cifar.SETS["cifar10"].forms[1]
    (tmp_path / form.archive).write_bytes(
        archive(form.folder, files_of("cifar10", form, python3_batch))
    )
    np.testing.assert_array_equal(cifar10(tmp_path).labels, LABELS["cifar10"][0])


BINARY, PICKLED = cifar.SETS["cifar10"].forms


def put(tmp_path: Path, form: cifar._Form, **changed: bytes) -> None:
    (tmp_path / form.folder).mkdir()
    files = {**files_of("cifar10", form), **{k.replace("__", "."): v for k, v in changed.items()}}
    for file, data in files.items():
        (tmp_path / form.folder / file).write_bytes(data)


def test_altered_pixels_are_refused_and_those_of_the_copies_are_not_known(tmp_path, monkeypatch):
    files = files_of("cifar10", BINARY)
    whole = bytearray(files["data_batch_1.bin"])
    whole[5] ^= 1
    put(tmp_path, BINARY, data_batch_1__bin=bytes(whole))
    with pytest.raises(DataFileError, match=r"right form, but .* it was altered; get ci"):
        cifar10(tmp_path)
    whole[5] ^= 1
    whole[3 * 3073 + 9] ^= 1  # picture 3 is one of the copies
    (tmp_path / BINARY.folder / "data_batch_1.bin").write_bytes(whole)
    assert len(cifar10(tmp_path)) == 200


def test_an_altered_file_of_cifar100_is_refused_by_its_published_md5(tmp_path, monkeypatch):
    which = cifar.SETS["cifar100"]
    files = files_of("cifar100", which.forms[0])
    (tmp_path / which.forms[0].archive).write_bytes(archive(which.forms[0].folder, files))
    md5 = hashlib.md5(files["train.bin"]).hexdigest()
    monkeypatch.setitem(which.md5, "train.bin", md5)
    assert len(cifar100(tmp_path)) == 200
    monkeypatch.setitem(which.md5, "train.bin", "0" * 32)
    with pytest.raises(DataFileError, match=f"train.bin has the MD5 {md5}, the canonical file 000"):
        cifar100(tmp_path)


@pytest.mark.parametrize(
    ("form", "changed", "message"),
    [
        (
            BINARY,
            {"data_batch_2__bin": b"1" * 100},
            "has 100 bytes, the canonical file 61460",
        ),
        (BINARY, {"test_batch__bin": b"\x0b" * 307300}, "label 11 of record 100 is not in 0 .. 9"),
        (PICKLED, {"data_batch_1": b""}, "is truncated or damaged: it is no pickled batch"),
        (PICKLED, {"data_batch_1": b"\x80\x02}."}, "has no 'data'; it holds"),
        (PICKLED, {"data_batch_1": b"\x80\x02]."}, "it holds a list"),
        (PICKLED, {"data_batch_1": python2_batch({"data": 3, "labels": []})}, "'data' is no array"),
        (
            PICKLED,
            {"data_batch_1": python2_batch({"data": PIXELS[:3], "labels": [1, 2, 3]})},
            r"'data' has the shape \(3, 3072\), not \(20, 3072\)",
        ),
        (
            PICKLED,
            {"data_batch_1": python2_batch({"data": PIXELS[:20], "labels": [1, 2]})},
            "'labels' is not a list of 20 whole numbers",
        ),
    ],
)
def test_a_spoiled_batch_is_refused_by_its_name(form, changed, message, tmp_path):
    put(tmp_path, form, **changed)
    with pytest.raises(DataFileError, match=message) as caught:
        cifar10(tmp_path)
    assert str(tmp_path) in str(caught.value) and "Krizhevsky" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": np.array([0, 5, 3])}, "the offsets do not rise from 0"),
        ({"jpeg_index": np.array([200], np.int32)}, "jpeg_index holds numbers outside 0 .. 199"),
        ({"labels": np.zeros(199, np.uint8)}, "labels"),
        (
            {"webp": np.zeros(1, np.uint8), "offsets": np.array([0, 0, 1])},
            "the offsets do not rise",
        ),
        ({"jpeg_index": np.array([None, 1], dtype=object)}, "jpeg_index"),
    ],
)
def test_a_spoiled_npz_is_refused(changes, message, tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(npz("cifar10", **changes))
    with pytest.raises(DataFileError, match=message):
        cifar10(tmp_path)


def test_a_missing_file_says_every_place_and_where_it_comes_from(tmp_path):
    with pytest.raises(
        DataFileError, match=r"cifar10 needs cifar-10-binary\.tar\.gz: none of"
    ) as e:
        cifar10(tmp_path)
    for place in (*cifar._places(BINARY), *cifar._places(PICKLED), "cifar10.npz"):
        assert str(tmp_path / place) in str(e.value)
    assert "University of Toronto" in str(e.value)
    (tmp_path / BINARY.folder).mkdir()
    with pytest.raises(DataFileError, match=r"is incomplete: there is no data_batch_1\.bin in it"):
        cifar10(tmp_path)


def test_an_archive_that_points_elsewhere_or_claims_too_much_is_refused(tmp_path):
    path = tmp_path / BINARY.archive
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        link = tarfile.TarInfo(f"{BINARY.folder}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    path.write_bytes(out.getvalue())
    with pytest.raises(DataFileError, match=r"a link is none"):
        cifar10(tmp_path)
    huge = tarfile.TarInfo(f"{BINARY.folder}/data_batch_1.bin")
    huge.size = 2**32
    path.write_bytes(gzip.compress(huge.tobuf()))
    with pytest.raises(DataFileError, match="claims 4294967296 bytes"):
        cifar10(tmp_path)
    path.write_bytes(archive("../../escape", files_of("cifar10", BINARY)))
    with pytest.raises(DataFileError, match="has no file"):
        cifar10(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [BINARY.archive]


# -- hostile pickles ---------------------------------------------------------------------------


class Evil:
    """Runs a command when an ordinary reader loads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def hostile(marker: Path) -> dict[str, bytes]:
    command = f"touch {marker}"
    line = command.encode()
    text = b"X" + struct.pack("<I", len(line)) + line
    return {
        "reduce": pickle.dumps({"data": Evil(command)}, protocol=2),
        "reduce, protocol 4": pickle.dumps({"data": Evil(command)}, protocol=4),
        "builtins eval": b"\x80\x02cbuiltins\neval\n" + text + b"\x85R.",
        "inst": b"(S'" + line + b"'\nios\nsystem\n.",
        "obj": b"\x80\x02(cos\nsystem\n" + text + b"o.",
        "newobj": b"\x80\x02cos\nsystem\n" + text + b"\x85\x81.",
        "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent id": b"P0\n.",
        "binary persistent id": b"\x80\x02K\x01Q.",
        "numpy's own loader": b"\x80\x02cnumpy\nload\n" + text + b"\x85R.",
        "build of a dict": b"\x80\x02}}b.",
        "reconstruct of another class": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
        "calls an array": b"\x80\x02cnumpy\nndarray\n(K\x01K\x02tR.",
        "a codec of its own": b"\x80\x02c_codecs\nencode\n" + text + b"\x85R.",
        "a key that is no text": b"\x80\x02}K\x01K\x02s.",
        "a key that is a list": b"\x80\x02}]K\x02s.",
        "appends to a mapping": b"\x80\x02}K\x02a.",
    }


@pytest.mark.parametrize("kind", sorted(hostile(Path("m"))))
def test_a_hostile_pickle_runs_nothing_and_is_refused(kind, tmp_path):
    marker = tmp_path / "ran"
    with pytest.raises(DataFileError, match="batch"):
        plain_values(Path("data_batch_1"), hostile(marker)[kind])
    put(tmp_path, PICKLED, data_batch_1=hostile(marker)[kind])
    with pytest.raises(DataFileError, match="data_batch_1"):
        cifar10(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02Nr\xff\xff\xff\xff.",  # a memo place of four thousand million
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.",  # a text of an exabyte
        b"\x80\x02T\xff\xff\xff\x7fabc.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        b"\x80\x02" + b"]" * 300_000 + b".",  # deeper than any stack
        b"\x80\x02" + b"]" + b"2" * 10 + b".",
        b"\x80\x02]q\x01h\x01a.",  # a list that holds itself
        b"\x80\x02\x8a\xff" + b"\xff" * 255 + b".",
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02e.",
        b"\x80\x02s.",
        b"\x80\x02R.",
        b"\x80\x02b.",
        b"\x80\x02h\x07.",
    ],
)
def test_sizes_depths_and_cycles_are_bounded(data):
    with pytest.raises(DataFileError, match="batch"):
        plain_values(Path("x"), data)


def test_the_allow_list_holds_no_opcode_that_makes_instances_or_leaves_the_file():
    every = {op.name for op in pickletools.opcodes}
    assert set(STEPS) <= every
    risky = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"}
    assert not risky & set(STEPS)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_values_or_refused(data):
    for content in (data, b"\x80\x02" + data, b"\x80\x02}(" + data + b"u."):
        try:
            assert isinstance(plain_values(Path("x"), content), dict)
        except DataFileError as error:
            assert str(error).startswith("x is")


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_plain_values_are_those_that_the_ordinary_reader_gives(values):
    for protocol in (0, 1, 2, 3, 4):
        data = pickle.dumps(values, protocol=protocol)
        opcodes = {op.name for op, _, _ in pickletools.genops(data)}
        if opcodes <= {*STEPS, "STOP"}:
            assert plain_values(Path("x"), data) == values


def test_an_array_says_what_is_wrong_with_it():
    good = PickledArray(shape=(2, 3), code="u1", content=bytes(6))
    assert good.values("a").shape == (2, 3)
    for changes in ({"shape": (2, 4)}, {"shape": (-2, -3)}, {"shape": (2.0, 3)}, {"shape": None}):
        with pytest.raises(DataFileError, match="has the shape"):
            PickledArray(**{**vars(good), **changes}).values("a")
    for changes in ({"code": "f8"}, {"code": "O"}, {"fortran": True}, {"content": "text"}):
        with pytest.raises(DataFileError, match="is no array of bytes in C order"):
            PickledArray(**{**vars(good), **changes}).values("a")

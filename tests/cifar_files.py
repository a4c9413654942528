"""Small files in the canonical forms of CIFAR, for the tests of its readers."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from functools import cache
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secateur.data import cifar, cifar_forms

COUNTS = {"train": 100, "test": 100}
N = sum(COUNTS.values())
PAGE = 50
COPIES = (3, 150)
TEN = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
Batch = dict[bytes, Any]


def pixels(seed: int = 0) -> np.ndarray:
    """Return the pixels of all small pictures, `[200, 3072]`."""
    return np.random.default_rng(seed).integers(0, 256, size=(N, 3072), dtype=np.uint8)


def labels(classes: int) -> np.ndarray:
    """Return labels with as many of each class in both parts, mixed."""
    parts = [np.arange(n, dtype=np.uint8) % classes for n in COUNTS.values()]
    return np.concatenate([np.random.default_rng(1).permutation(part) for part in parts])


def coarse(fine: np.ndarray) -> np.ndarray:
    return np.array(cifar.COARSE, np.uint8)[fine]


def batches(name: str) -> dict[str, Batch]:
    """Return the pickled mappings of a small data set, by file."""
    if name == "cifar10":
        cuts, files = [0, 20, 40, 60, 80, 100, 200], TEN
    else:
        cuts, files = [0, 100, 200], ("train", "test")
    x, y = pixels(), labels(10 if name == "cifar10" else 100)
    found: dict[str, Batch] = {}
    for file, a, b in zip(files, cuts[:-1], cuts[1:], strict=True):
        names = [b"picture_s_%06d.png" % i for i in range(a, b)]
        found[file] = {b"batch_label": b"part " + file.encode(), b"filenames": names}
        found[file][b"data"] = x[a:b]
        if name == "cifar10":
            found[file][b"labels"] = y[a:b].tolist()
        else:
            found[file][b"fine_labels"] = y[a:b].tolist()
            found[file][b"coarse_labels"] = coarse(y[a:b]).tolist()
    return found


def plain(batch: Batch) -> bytes:
    """Return a batch in the binary form."""
    keys = (b"labels",) if b"labels" in batch else (b"coarse_labels", b"fine_labels")
    columns = [np.array(batch[key], np.uint8)[:, None] for key in keys]
    return np.concatenate([*columns, batch[b"data"]], axis=1).tobytes()


class Python2:
    """Writes a mapping as Python 2 did, protocol 2, strings of bytes as strings."""

    def __init__(self) -> None:
        self.n = 0

    def put(self) -> bytes:
        self.n += 1
        short = self.n <= 255
        return b"q" + bytes([self.n]) if short else b"r" + struct.pack("<I", self.n)

    def value(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            short = len(value) < 256
            head = b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value))
            return head + value + self.put()
        if isinstance(value, int):
            return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
        if isinstance(value, list):
            return b"]" + self.put() + b"(" + b"".join(map(self.value, value)) + b"e"
        return self.array(value)

    def array(self, value: np.ndarray) -> bytes:
        head = b"cnumpy.core.multiarray\n_reconstruct\n" + self.put()
        head += b"cnumpy\nndarray\n" + self.put() + b"K\x00\x85" + self.put()
        head += b"U\x01b\x87" + self.put() + b"R" + self.put()
        shape = self.value(value.shape[0]) + self.value(value.shape[1]) + b"\x86" + self.put()
        kind = b"cnumpy\ndtype\n" + self.put() + b"U\x02u1K\x00K\x01\x87" + self.put()
        kind += b"R" + self.put() + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        kind += self.put() + b"b"
        content = self.value(value.tobytes())
        return head + b"(K\x01" + shape + kind + b"\x89" + content + b"t" + self.put() + b"b"


def python2_pickle(batch: Batch) -> bytes:
    """Return a batch as the makers pickled it."""
    write = Python2()
    head = b"\x80\x02}" + write.put() + b"("
    pairs = [write.value(key) + write.value(value) for key, value in batch.items()]
    return head + b"".join(pairs) + b"u."


def archive(files: dict[str, bytes]) -> bytes:
    """Return a gzipped tar of regular files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def pages(x: np.ndarray) -> list[bytes]:
    """Return pictures as lossless WebP files of a page each."""
    found = []
    for page in x.reshape(-1, PAGE, 3, 32, 32):
        out = io.BytesIO()
        image = Image.fromarray(page.transpose(0, 2, 3, 1).reshape(PAGE * 32, 32, 3))
        image.save(out, "WEBP", lossless=True)
        found.append(out.getvalue())
    return found


@cache
def all_pages() -> list[bytes]:
    return pages(pixels())


def npz(name: str, **changes: np.ndarray) -> bytes:
    """Return the npz form, with some arrays replaced."""
    files = all_pages()
    arrays = {
        "webp": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64),
        "labels": labels(10 if name == "cifar10" else 100),
        "class_names": np.array(["a", "b"]),
        "jpeg_index": np.array(COPIES if name == "cifar10" else (), np.int32),
    }
    out = io.BytesIO()
    np.savez(out, **(arrays | changes))
    return out.getvalue()


def published(patch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Make these batches the published ones."""
    for file, data in files.items():
        patch.setitem(cifar_forms.MD5, file, hashlib.md5(data).hexdigest())


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Make the small pictures the canonical ones, in all forms."""
    for part, n in COUNTS.items():
        patch.setitem(cifar_forms.COUNTS, part, n)
    patch.setattr(cifar_forms, "PAGE", PAGE)
    patch.setattr(cifar, "COPIES", COPIES)
    kept = np.setdiff1d(np.arange(N), COPIES)
    exact = hashlib.sha256(labels(10).tobytes() + pixels()[kept].tobytes()).hexdigest()
    patch.setitem(cifar.EXACT, "cifar10", exact)
    patch.setitem(
        cifar.COPIED, "cifar10", hashlib.sha256(pixels()[list(COPIES)].tobytes()).hexdigest()
    )
    for name in ("cifar10", "cifar100"):
        for file, batch in batches(name).items():
            published(patch, {file: python2_pickle(batch), f"{file}.bin": plain(batch)})

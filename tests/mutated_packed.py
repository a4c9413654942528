"""Packed files changed at random: each is refused in words, or was sealed anew and is read."""

from __future__ import annotations

import json
import zlib

import numpy as np

from mutations_of_files import bounded_memory, mutated
from oracles.packed import parts_of
from secateur.errors import StoreError
from secateur.packed import pack, unpack
from secateur.packed.container import sealed
from secateur.packed.entropy import compressed, decompressed

LIMIT = 2**26


def files() -> list[bytes]:
    """Return small files of every coding and layout, in which nearly every byte matters."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(20, 30)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.8] = 0
    tensors = {
        "weight": weight,
        "rare": (np.arange(3000) % 997 == 1).astype(np.float64),
        "bias": rng.normal(size=20).astype(np.float32),
        "flag": np.array([True, False, True]),
        "half": weight.astype(np.float16),
        "steps": np.array(7),
        "none": np.zeros((0, 4)),
    }
    kept = {"weight/0": np.array([0, 3, 4])}
    return [
        pack(tensors, values=values, layout=layout, surgery=kept, graph=["a", {"b": 1}])
        for values in ("float32", "float16", "int8", "codebook")
        for layout in ("auto", "bitmask", "gaps", "dense")
    ]


def _resealed(file: bytes, rng: np.random.Generator) -> bytes:
    """Change the head's text or a stream, with frame, sizes and digest made to fit."""
    metadata, parts = parts_of(file)
    segment, size = metadata["head"].split("/")
    text, _ = decompressed(segment, parts["head"], int(size))
    part = str(rng.choice(["head", "text", "entry", "positions", "values"]))
    if part == "text":
        text = mutated(text, rng)
    elif part == "entry":
        text = _other_entry(text, rng)
    else:
        parts[part] = mutated(parts[part], rng) if parts[part] else rng.bytes(5)
    if part in ("text", "entry"):
        name, parts["head"] = compressed(text)
        return sealed({"head": f"{name}/{len(text)}"}, parts)
    name = f"{segment[0]}{len(parts['head'])}"
    return sealed({"head": f"{name}/{size}"}, parts)


def _other_entry(text: bytes, rng: np.random.Generator) -> bytes:
    """Put another value anywhere in the head, which stays JSON."""
    head = json.loads(text)
    values = (0, 1, 255, 2**31, 2**63, -1, 1.5, None, True, "", "gaps", "int8", "bool", [], [4], {})
    inside: list[tuple[object, object]] = []
    todo = [head]
    while todo:
        here = todo.pop()
        keys = here if isinstance(here, dict) else range(len(here))
        for key in keys:
            inside.append((here, key))
            if isinstance(here[key], dict | list):
                todo.append(here[key])
    for _ in range(int(rng.integers(1, 3))):
        here, key = inside[rng.integers(len(inside))]
        value = values[rng.integers(len(values))]
        here[key] = here[key] + 1 if type(here[key]) is int and rng.random() < 0.5 else value
    return json.dumps(head).encode()


def _read_or_refuse(data: bytes) -> bool:
    """Read; return whether the file was refused in words."""
    try:
        found = unpack(data, limit=LIMIT)
    except StoreError as error:
        assert 20 < len(str(error)) < 1000
        return True
    assert sum(a.nbytes for a in found.tensors.values()) <= LIMIT
    return False


def check_mutants(times: int, *, seed: int) -> None:
    """Change files so often, half of them with a digest that is right again.

    Without a right digest none may be read; with it, it is read or refused, and nothing else.
    """
    rng = np.random.default_rng(seed)
    whole = files()
    assert not any(_read_or_refuse(file) for file in whole)
    read = refused = 0
    with bounded_memory(extra=2**30):
        for turn in range(times):
            file = whole[rng.integers(len(whole))]
            if turn % 2:
                changed = mutated(file, rng)
                assert changed == file or _read_or_refuse(changed), changed
            elif _read_or_refuse(_resealed(file, rng)):
                refused += 1
            else:
                read += 1
    assert min(read, refused) > times // 200  # both ways are taken
    assert zlib.crc32(b"".join(whole)) == zlib.crc32(b"".join(files()))

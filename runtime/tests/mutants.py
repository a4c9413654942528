"""Packed files of networks changed at random: refused in words, or read and run, nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence

import numpy as np

from mutated_packed import _resealed
from mutated_packed import files as tensor_files
from mutations_of_files import bounded_memory, mutated
from oracles.packed import parts_of
from secateur.errors import StoreError
from secateur.packed import unpack as unpack_all
from secateur.packed.container import sealed
from secateur.packed.entropy import compressed, decompressed
from secateur_runtime.errors import FileError
from secateur_runtime.lower import lowered
from secateur_runtime.network import Network
from secateur_runtime.packed import unpack
from secateur_runtime.plan import Plan

LIMIT = 2**24
EXTRA = 2**30  # bytes of address space that reading and running may take


def head_of(file: bytes) -> tuple[dict, dict[str, bytes]]:
    """Return the head of a file as JSON, and its parts."""
    metadata, parts = parts_of(file)
    segment, size = metadata["head"].split("/")
    return json.loads(decompressed(segment, parts["head"], int(size))[0]), parts


def with_head(head: dict, parts: dict[str, bytes]) -> bytes:
    """Return a file with another head, its digest right."""
    text = json.dumps(head).encode()
    name, code = compressed(text)
    return sealed({"head": f"{name}/{len(text)}"}, {**parts, "head": code})


def other_graph(file: bytes, rng: np.random.Generator) -> bytes:
    """Return a file whose graph says something else, here and there."""
    head, parts = head_of(file)
    graph = copy.deepcopy(head["graph"])
    for _ in range(int(rng.integers(1, 4))):
        inside = list(_places(graph))
        here, key = inside[rng.integers(len(inside))]
        other, there = inside[rng.integers(len(inside))]
        values = (0, 1, 2, 7, 2**28, 2**31, 2**63, 10**400, -1, 1.5, 1e300, None, True, "", [], {})
        turn = rng.random()
        if turn < 0.4:
            here[key] = values[rng.integers(len(values))]
        elif turn < 0.7 and type(here[key]) is int:
            here[key] += int(rng.choice([-1, 1, 1000, 10**6]))
        elif turn < 0.9:
            here[key] = copy.deepcopy(other[there])
        elif isinstance(here, list) and here:
            here.insert(int(rng.integers(len(here))), copy.deepcopy(here[-1]))
    return with_head({**head, "graph": graph}, parts)


def _places(graph) -> Iterator[tuple]:
    todo = [graph]
    while todo:
        here = todo.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            yield here, key
            if isinstance(here[key], dict | list):
                todo.append(here[key])


def check_mutants(times: int, nets: Sequence[bytes], *, seed: int, engine: str = "numpy") -> None:
    """Change files so often, in three ways; each is refused, or read as the other reader does."""
    rng = np.random.default_rng(seed)
    tensors = tensor_files()
    taken = {"read": 0, "planned": 0, "run": 0, "refused": 0}
    with bounded_memory(extra=EXTRA):
        for file in nets:
            assert _use(file, taken, engine)
        for turn in range(times):
            files = tensors if turn % 4 < 2 else nets
            whole = files[rng.integers(len(files))]
            if turn % 4 == 0:
                changed = mutated(whole, rng)
                assert changed == whole or not _same_tensors(changed)
            elif turn % 4 == 1:
                taken["read"] += _same_tensors(_resealed(whole, rng))
            elif turn % 4 == 2:
                _use(other_graph(whole, rng), taken, engine)
            else:
                _use(_resealed(whole, rng), taken, engine)
    assert min(taken.values()) > times // 1000, taken  # every way is taken


def _same_tensors(file: bytes) -> bool:
    """Read with both readers; return whether they read, which both do or neither."""
    try:
        expected = unpack_all(file, limit=LIMIT)
    except StoreError:
        expected = None
    try:
        found = unpack(file, limit=LIMIT)
        arrays = {name: tensor.array() for name, tensor in found.tensors.items()}
    except FileError as error:
        in_words(error)
        if expected is not None:
            raise AssertionError("the other reader reads this file") from error
        return False
    if expected is None:
        # surgery is not decoded here: it tells the runtime nothing
        return False
    assert all(arrays[k].tobytes() == v.tobytes() for k, v in expected.tensors.items())
    return True


def _use(file: bytes, taken: dict[str, int], engine: str) -> bool:
    """Plan a file's network, and run it where that is little work; return whether it ran."""
    try:
        plan = lowered(unpack(file, limit=LIMIT), limit=LIMIT)
    except FileError as error:
        in_words(error)
        taken["refused"] += 1
        return False
    taken["planned"] += 1
    held = sum(4 * int(np.prod(shape)) for shape in plan.shapes)
    held += sum(step.weight.values.nbytes for step in plan.steps if step.weight is not None)
    assert held <= 2 * LIMIT
    if work(plan) > 10**7:
        return False
    shape = plan.shapes[plan.input]
    with np.errstate(all="ignore"):
        out = Network(plan, engine=engine)(np.ones((2, *shape), np.float32))
    assert out.shape == (2, *plan.shapes[plan.output])
    taken["run"] += 1
    return True


def work(plan: Plan) -> int:
    """Return about how many numbers a numpy run touches for one record."""
    total = 0
    for step in plan.steps:
        out = int(np.prod(plan.shapes[step.output], dtype=object))
        window = step.attributes.get("kernel", (1, 1))
        if step.weight is not None and len(step.weight.shape) > 1:
            window = step.weight.shape[1:]
        pads = step.attributes.get("padding", (0,))
        wide = [n + 2 * max(pads) for n in plan.shapes[step.inputs[0]]]
        total += out * int(np.prod(window, dtype=object)) + int(np.prod(wide, dtype=object))
    return total


def in_words(error: FileError) -> None:
    assert 20 < len(str(error)) < 1200, str(error)

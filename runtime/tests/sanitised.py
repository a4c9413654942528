"""Load changed files and run each once, in a process whose engine watches every access.

    python sanitised.py FOLDER FIRST COUNT

FOLDER holds the files that are changed (*.packed). Mutant number i is always the same one. Of each
that runs, numbers of the programs that the engine is given are changed as well. The last line that
it prints counts what came of all; anything but a refusal in words ends it.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from mutants import LIMIT, in_words, other_graph, work

from mutated_packed import _resealed
from mutations_of_files import mutated
from secateur_runtime import EngineError, FileError, load
from secateur_runtime._native import Program
from secateur_runtime.native import NativeEngine, instruction_sets

WAYS = ("sparse", "dense", "code", "")
BATCHES = (1, 2, 6, 16, 17, 35)
PROGRAMS = 4
MOST = 10**6  # numbers that a run of one record may touch: a network may be slow, a test may not


def changed(whole: bytes, turn: int, rng: np.random.Generator) -> bytes:
    """Return a changed file; most have a right digest, or nothing behind it would be reached."""
    if turn % 10 == 0:
        return mutated(whole, rng)
    return other_graph(whole, rng) if turn % 10 < 6 else _resealed(whole, rng)


def used(file: Path, turn: int, rng: np.random.Generator, taken: dict[str, int]) -> str:
    """Load a file and run it once; return what came of it."""
    try:
        network = load(file, limit=LIMIT, threads=1 + turn % 2)
    except FileError as error:
        in_words(error)
        return "refused"
    if work(network.plan) > MOST:
        return "too much work"
    engine = network._engine
    way = WAYS[int(rng.integers(len(WAYS)))]
    ways = {at: way for at, words in engine.options().items() if way in words}
    isa = instruction_sets()[int(rng.integers(len(instruction_sets())))]
    assert isinstance(engine, NativeEngine)
    engine = NativeEngine(network.plan, threads=engine.threads, isa=isa, ways=ways)
    n = int(rng.choice(BATCHES))
    x = rng.standard_normal((n, *network.input_shape), dtype=np.float32)
    assert engine.run(x).shape == (n, *network.output_shape)
    for _ in range(PROGRAMS):
        taken["program run" if ran_otherwise(engine, rng) else "program refused"] += 1
    return "run"


def ran_otherwise(engine: NativeEngine, rng: np.random.Generator) -> bool:
    """Give the engine a program some of whose numbers are others; return whether it ran."""
    lanes = int(rng.choice([1, 16]))
    good = engine.assembly(lanes)
    drafts = [(kind, *(np.array(a) for a in arrays)) for kind, *arrays in good.drafts()]
    for _ in range(int(rng.integers(1, 4))):
        _, *arrays = drafts[int(rng.integers(len(drafts)))]
        fields = [a for a in (arrays[0], arrays[0], arrays[3], arrays[4]) if len(a)]
        field = fields[int(rng.integers(len(fields)))]
        at = int(rng.integers(len(field)))
        near = [int(field[at]) + d for d in (-16, -1, 1, 16)]
        values = [*near, *near, -1, 0, 1, 17, 4096, 2**31 - 1, int(field[-1]) + 1]
        field[at] = np.clip(values[int(rng.integers(len(values)))], -(2**31), 2**31 - 1)
    shapes = engine.plan.shapes
    n = int(rng.integers(1, 20))
    sizes = [n * int(np.prod(shapes[i])) for i in (engine.plan.input, engine.plan.output)]
    try:
        program = Program(engine.isa, lanes, good.floats, drafts)
        program.run(*(np.ones(size, np.float32) for size in sizes), n, engine.threads)
    except EngineError:
        return False
    return True


def main() -> None:
    warnings.simplefilter("error")  # numpy's: a file is refused, not warned of
    folder, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    nets = [path.read_bytes() for path in sorted(folder.glob("*.packed"))]
    file = folder / f"changed-{first}"
    taken = dict.fromkeys(("refused", "too much work", "run", "program refused", "program run"), 0)
    for turn in range(first, first + count):
        rng = np.random.default_rng(turn)
        file.write_bytes(changed(nets[turn % len(nets)], turn, rng))
        (folder / f"turn-{first}").write_text(str(turn))
        taken[used(file, turn, rng, taken)] += 1
    file.unlink()
    print(json.dumps(taken))


if __name__ == "__main__":
    main()

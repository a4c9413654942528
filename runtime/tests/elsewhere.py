"""Check the runtime on a processor that has no torch: files are written here and checked there.

    python runtime/tests/elsewhere.py write FOLDER [--drawn N]     where torch is
    python runtime/tests/elsewhere.py check FOLDER [--out FILE]    where numpy and the runtime are

`write` stores packed files of the networks of the house and of drawn ones, records, and what torch
makes of them. `check` compares every engine and every way of the compiled one with torch's output,
and every step of the compiled one with numpy's. It says what it saw, writes it as JSON where asked,
and exits 1 on a difference. `runtime/tests/on_arm.sh` does both, by an emulated ARM processor.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

WITHIN = 1e-4
CLIPPED = 2e-4  # of a value cut off at 6, whose rounding is that of the larger number before
WAYS = ("", "sparse", "dense", "code")
SIZES = (1, 17)


def write(folder: Path, n_drawn: int) -> int:
    """Write files, records and torch's outputs; return how many networks there are."""
    import torch
    from drawn_networks import file_of, networks, settled
    from hypothesis import HealthCheck, Phase, given, settings
    from test_runtime_equals_torch import HOUSE, inputs, torch_output

    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, net: Any, shape: tuple[int, ...]) -> None:
        x = inputs(shape, max(SIZES))
        (folder / f"{name}.packed").write_bytes(file_of(net, shape))
        np.savez(folder / f"{name}.npz", records=x, expected=torch_output(net, x))

    for name, (build, shape) in HOUSE.items():
        torch.manual_seed(0)
        keep(f"house-{name.replace(' ', '-')}", settled(build(), zeros=0.8, shape=shape), shape)
    count = [0]

    @settings(
        max_examples=n_drawn,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(networks())
    def draw(drawn: tuple[Any, tuple[int, ...]]) -> None:
        keep(f"drawn-{count[0]:04}", *drawn)
        count[0] += 1

    draw()
    return len(HOUSE) + count[0]


def check(folder: Path, out: Path | None = None, about: str = "") -> int:
    """Compare on this machine; print what was seen; return the number of differences."""
    import platform

    from secateur_runtime.lower import lowered
    from secateur_runtime.native import instruction_sets
    from secateur_runtime.packed import unpack

    machine = {
        "machine": platform.machine(),
        "instruction_sets": list(instruction_sets()),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    print(f"{machine['machine']}: instruction sets {', '.join(instruction_sets()) or 'none'}")
    files = sorted(folder.glob("*.packed"))
    seen = {"networks": 0, "steps": 0, "comparisons": 0}
    wrong: list[str] = []
    for path in files:
        stored = np.load(path.with_suffix(".npz"))
        plan = lowered(unpack(path.read_bytes()))
        seen["networks"] += 1
        for what, found, want, within in _values(plan, stored["records"], stored["expected"], seen):
            scale = max(1.0, float(np.abs(want).max(initial=0)))
            gap = float(np.abs(found - want).max(initial=0)) / scale
            seen["comparisons"] += 1
            if found.shape != want.shape or not gap <= within:
                wrong.append(f"{path.stem}: {what}: off by {gap:.2g}")
    print(", ".join(f"{n} {name}" for name, n in seen.items()), f"{len(wrong)} differences")
    for line in wrong[:20]:
        print(line)
    if out is not None:
        found = {"about": about, **machine, **seen, "differences": len(wrong), "first": wrong[:20]}
        out.write_text(json.dumps(found, indent=1) + "\n")
    return len(wrong) + (not files)


def _values(plan: Any, x: np.ndarray, expected: np.ndarray, seen: dict[str, int]) -> Any:
    """Yield what is compared: its name, the value found, the value wanted, the tolerance."""
    from secateur_runtime.network import Network
    from secateur_runtime.reference import run

    values = run(plan, x, keep=True)
    yield "numpy's output", values[plan.output], expected, WITHIN
    for i, step in enumerate(plan.steps):
        seen["steps"] += 1
        start = replace(plan, steps=plan.steps[: i + 1], output=step.output)
        engine = Network(start, engine="native")._engine
        options = engine.options().items()
        want = values[step.output]
        clipped = float(np.abs(want).max(initial=0)) == 6.0
        for way in WAYS:
            chosen = {at: way for at, words in options if way in words}
            if way and not chosen:
                continue
            here = engine.choosing(chosen) if way else engine
            for n in SIZES:
                what = f"{step.kind} in {step.place}, {way or 'rule of thumb'}, {n} records"
                yield what, here.run(x[:n]), want[:n], CLIPPED if clipped else WITHIN


def main() -> int:
    """Read the command line; write or check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("verb", choices=["write", "check"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--drawn", type=int, default=200, help="drawn networks (200)")
    parser.add_argument("--out", type=Path, help="what `check` saw, as JSON")
    parser.add_argument(
        "--about", default="", help="what is written beside it: who compiled, who ran"
    )
    asked = parser.parse_args()
    if asked.verb == "write":
        print(f"{write(asked.folder, asked.drawn)} networks in {asked.folder}")
        return 0
    return 1 if check(asked.folder, asked.out, asked.about) else 0


if __name__ == "__main__":
    sys.exit(main())

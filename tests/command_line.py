"""Run the command line inside the tests' process, and a fleet that it trains in a moment."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from secateur.cli import main

RECIPE = "Recipe(build=MLP(widths=(64, 12, 10)), optimiser=Adam(lr=0.01), epochs=3, batch_size=16)"
SMALL = (
    *("--members", "40", "--population", "30", "--utility", "50"),
    *("--targets", "2", "--references", "4"),
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def secateur(*arguments: str | Path) -> Done:
    """Run one command and return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


def train(out: Path, *more: str) -> Done:
    """Train a fleet of six small networks on digits in this process."""
    return secateur(
        *("train", "--data", "digits", *SMALL, "--recipe", RECIPE, "--snapshots", "1,3"),
        *("--engine", "serial", "--workers", "1", "--out", out, *more),
    )


def listing(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, and every folder."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"folder"
        for p in sorted(folder.rglob("*"))
    }

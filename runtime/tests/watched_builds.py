"""The package built once more, for sanitisers that watch its engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import secateur_runtime

HERE = Path(__file__).parent
PACKAGE = Path(secateur_runtime.__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc")

no_compiler = pytest.mark.skipif(
    not sys.platform.startswith("linux") or COMPILER is None, reason="no compiler, or no Linux"
)


def watched_build(folder: Path, sanitisers: str, library: str) -> dict[str, str]:
    """Build the package in a folder; return the environment in which a process loads it.

    Args:
        folder: where the package is put.
        sanitisers: what `-fsanitize` is given.
        library: of the sanitiser, which the process needs from its start.
    """
    assert COMPILER is not None
    skip = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PACKAGE, folder / "secateur_runtime", ignore=skip)
    sources = sorted((PACKAGE / "native_c").glob("*.c"))
    names = [str(one) for one in sources if not one.name.endswith(".inc.c")]
    flags = ["-Wno-psabi", "-fno-math-errno", "-fno-trapping-math", "-lm"]
    include = f"-I{sysconfig.get_paths()['include']}"
    shared_library(
        folder / "secateur_runtime" / "_native.abi3.so", sanitisers, [*names, include, *flags]
    )
    found = subprocess.run(
        [COMPILER, f"-print-file-name={library}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip(f"the compiler has no {library}")
    root = HERE.parents[1]
    paths = [folder, HERE, root / "tests", root / "src"]
    return {
        **os.environ,
        "LD_PRELOAD": found,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


def shared_library(path: Path, sanitisers: str, arguments: list[str]) -> None:
    """Compile a library that sanitisers watch."""
    assert COMPILER is not None
    flags = ["-shared", "-fPIC", "-O1", "-g", "-std=gnu11", "-pthread", "-fno-omit-frame-pointer"]
    watched = [f"-fsanitize={sanitisers}", "-fno-sanitize-recover=all"]
    subprocess.run([COMPILER, *flags, *watched, "-o", str(path), *arguments], check=True)


def ran(
    folder: Path, environment: dict[str, str], arguments: list[str], timeout: float = 1500
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, watched."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )

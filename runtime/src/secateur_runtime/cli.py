"""`secateur-run`: a packed file on an array from a file."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur_runtime.engines import ENGINES
from secateur_runtime.errors import FileError, InputError, LimitError, SecateurRuntimeError
from secateur_runtime.lower import lowered, shape_of
from secateur_runtime.network import Network, network_of
from secateur_runtime.packed import Packed, read
from secateur_runtime.plan import Floats
from secateur_runtime.room import LIMIT
from secateur_runtime.version import VERSION

__all__ = ["main"]

_NPY = b"\x93NUMPY"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status.

    It is 0, 2 where something is refused, or 130 where it was interrupted.
    """
    given = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say
            outputs = _outputs(given)
        if given.out is None:
            _print(outputs)
    except (SecateurRuntimeError, OSError) as error:
        print(f"secateur-run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("secateur-run: interrupted, no outputs were written", file=sys.stderr)
        return 130  # as a shell says it of Ctrl-C
    return 0


def _print(outputs: Floats) -> None:
    try:
        for row in outputs:
            print(int(row.argmax()))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning as this command's own word, without the line of code that it came from."""
    print(f"secateur-run: {message}", file=sys.stderr)


def _outputs(given: argparse.Namespace) -> Floats:
    """Return what the network makes of the records, written where that was asked for."""
    _refuse_overwriting(given.out, given.file, given.input)
    array = _read(given.input, given.file)
    network = _network(given, array)
    if given.measure:
        print(f"choices: {network.choices}", file=sys.stderr)
    if given.explain:
        print(network.explain(), file=sys.stderr)
    if given.out is None:
        _refuse_without_classes(network.output_shape)
    outputs = network(array)
    if given.out is not None:
        beside = given.out.with_name(f"{given.out.name}.{os.getpid()}.part")
        try:
            with beside.open("wb") as file:
                np.save(file, outputs)
            beside.replace(given.out)
        finally:
            beside.unlink(missing_ok=True)
    return outputs


def _refuse_without_classes(shape: tuple[int, ...]) -> None:
    """Refuse to print the index of the largest output where that says nothing."""
    if shape[0] == 1 or prod(shape) != shape[0]:
        raise InputError(
            f"the network gives {shape} for each record, which is no output for each class; "
            "write all outputs with --out FILE.npy"
        )


def _network(given: argparse.Namespace, array: NDArray[Any]) -> Network:
    """Return the network for records of this size, where it takes them."""
    how: dict[str, Any] = {
        "threads": given.threads,
        "engine": given.engine,
        "limit": given.limit,
        "measure": given.measure,
        "isa": given.isa,
        "generate": False if given.no_code else None,
    }
    packed = read(given.file, limit=given.limit)
    own, asked = _shape_of(packed, given.file), array.shape[1:]
    if own == asked or len(own) != 3 or len(asked) != 3 or own[0] != asked[0]:
        # what is wrong with the records is said when they are given to it
        return network_of(packed, given.file, shape=None, **how)
    try:
        return network_of(packed, given.file, shape=asked, **how)
    except LimitError:
        raise
    except FileError as error:
        _refuse_at_any_size(packed, given)
        raise InputError(
            f"{given.input} holds records of {asked}, and {given.file} was exported for {own} and "
            f"takes no such size: {error.__cause__ or error}"
        ) from error


def _refuse_at_any_size(packed: Packed, given: argparse.Namespace) -> None:
    try:
        lowered(packed, limit=given.limit)
    except FileError as error:
        raise FileError(f"{given.file}: {error}") from error


def _shape_of(packed: Packed, file: Path) -> tuple[int, ...]:
    try:
        return shape_of(packed)
    except FileError as error:
        raise FileError(f"{file}: {error}") from error


def _refuse_overwriting(out: Path | None, *inputs: Path) -> None:
    if out is None:
        return
    for file in inputs:
        if out.resolve() == file.resolve():
            raise InputError(f"--out {out} is {file} itself, which would be lost; name another")
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise InputError(f"--out {out} cannot be written: give a file in a folder that is there")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secateur-run",
        description="Run a packed network on a batch of records. Prints the index of the largest "
        "output of each record, or writes all outputs to a file.",
    )
    parser.add_argument("--version", action="version", version=f"secateur-runtime {VERSION}")
    parser.add_argument("file", type=Path, help="packed file of secateur export --format packed")
    parser.add_argument("input", type=Path, help="float32 array (n, ...) as .npy")
    parser.add_argument("--out", type=Path, help="write the outputs (n, ...) there, as .npy")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run (default 1)")
    parser.add_argument(
        "--limit",
        type=int,
        default=LIMIT,
        help=f"bytes that the file's tensors may take, of which all else is a multiple "
        f"(default {LIMIT:,})",
    )
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="default auto")
    parser.add_argument("--isa", help="instructions, such as avx2; by default the best there are")
    parser.add_argument("--no-code", action="store_true", help="make no machine code for layers")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="find the fastest way for each layer, once, and record it in FILE.choices.json",
    )
    parser.add_argument("--explain", action="store_true", help="print a table of the steps first")
    return parser


def _is_array(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_NPY)) == _NPY


def _read(path: Path, model: Path) -> NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(f"cannot read the array {path}: {error.strerror or error}") from error
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory: {error}; give fewer records") from error
    except (ValueError, EOFError) as error:
        if _is_array(model):
            raise InputError(
                f"{model} is an array, and {path} is none: the order is secateur-run FILE INPUT.npy"
            ) from error
        raise InputError(
            f"{path} is no .npy file of numbers (nothing pickled is ever loaded); write the "
            "records with numpy.save(path, records)"
        ) from error
    if not isinstance(found, np.ndarray):
        raise InputError(
            f"{path} holds several arrays (.npz), and one is read; write it with "
            "numpy.save(path, records)"
        )
    if found.ndim < 2:
        raise InputError(
            f"{path} holds no batch of records (n, ...), its shape is {found.shape}; a single "
            "record is records[None]"
        )
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise InputError(f"{path} holds {bad} numbers that are NaN or infinite; leave them out")
    return found

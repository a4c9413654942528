"""Load a recipe file of a user's, and say where in it something went wrong."""

from __future__ import annotations

import functools
import hashlib
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from secateur.errors import InputError, SecateurError
from secateur.train.sources import files_of
from secateur.user_code import ends_python

__all__ = ["checked", "code_digest", "inside", "is_recipe_file", "load_file", "source_of", "told"]

LONGEST = 1_000_000
TEXT = "__secateur_text__"
ITSELF = "the file itself"


def is_recipe_file(text: str) -> bool:
    """Tell whether a text names a recipe file, and not a listed method or data set.

    Example:
        >>> is_recipe_file("mine.py"), is_recipe_file("Recipe(build=LeNet5())")
        (True, False)
    """
    return text.strip().endswith(".py")


def load_file(file: str | Path) -> ModuleType:
    """Run a recipe file once in this process and return it as a module.

    What it imports from its own folder is found; torch's and numpy's random states stay as they
    were.

    Raises:
        InputError: there is no such file, it is no Python, or it fails; names its line.
    """
    path = Path(file).absolute()
    try:
        with path.open("rb") as opened:
            content = opened.read(LONGEST + 1)
    except OSError as error:
        raise InputError(
            f"cannot read the recipe file {path}: {error.strerror}; write one with `secateur init "
            f"images {path.name}`, or put it back where it was"
        ) from error
    if len(content) > LONGEST:
        raise InputError(f"{path} has more than {LONGEST} bytes; it is no recipe file")
    return _loaded(path, content)


@functools.lru_cache(maxsize=64)
def _loaded(path: Path, content: bytes) -> ModuleType:
    # by its content and its place: what it reads beside itself depends on both
    digest = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()
    module = ModuleType(f"own_{digest[:24]}")
    module.__file__ = str(path)
    vars(module)[TEXT] = content
    try:
        code = compile(content, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        why = error.msg if isinstance(error, SyntaxError) else error
        raise InputError(f"{path}{line} is no Python: {why}") from error
    sys.modules[module.__name__] = module
    try:
        with inside(path, ITSELF):
            exec(code, vars(module))
        _refuse_namesakes(module, path)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def _refuse_namesakes(module: ModuleType, path: Path) -> None:
    """Refuse a neighbour in whose place one of another folder was loaded before.

    Raises:
        InputError: names both files.
    """
    values = list(vars(module).values())
    owners = (
        v.__name__ if isinstance(v, ModuleType) else getattr(v, "__module__", "") for v in values
    )
    for name in {str(owner).partition(".")[0] for owner in owners}:
        places = (path.parent / f"{name}.py", path.parent / name / "__init__.py")
        wanted = next((p for p in places if p.is_file()), None)
        got = getattr(sys.modules.get(name), "__file__", None)
        if wanted is not None and got is not None and Path(got).resolve() != wanted.resolve():
            raise InputError(
                f"{path} imports {name}, which is {wanted} beside it, but {got} of the same name "
                "was loaded before it; rename one of the two"
            )


@contextmanager
def inside(path: Path, what: str, *, keep_random: bool = True) -> Iterator[None]:
    """Run a user's code: its folder can be imported from, and what it raises is said with its line.

    Args:
        path: of the recipe file.
        what: is called, such as `build()`.
        keep_random: put the random states of torch, numpy and Python back afterwards.

    Raises:
        InputError: whatever the code raised.
    """
    folder = str(path.parent)
    numpys, pythons = np.random.get_state(), random.getstate()
    sys.path.insert(0, folder)
    try:
        with torch.random.fork_rng(devices=[], enabled=keep_random):
            yield
    except SystemExit as error:
        if what != ITSELF:
            raise InputError(told(path, what, error)) from error
        raise InputError(
            f"{path} ends Python when it is loaded ({error}); put what a script does below "
            '`if __name__ == "__main__":`'
        ) from error
    except Exception as error:  # whatever a user's code raises
        raise InputError(told(path, what, error)) from error
    finally:
        if keep_random:
            np.random.set_state(numpys)
            random.setstate(pythons)
        if folder in sys.path:
            sys.path.remove(folder)


def told(path: Path, what: str, error: BaseException) -> str:
    """Return where in the user's file an error came from, and what it says."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"{path}, line {lines[-1]}, in {what}" if lines else f"{path}, in {what}"
    text = " ".join(str(error).split())[:600]
    if isinstance(error, SecateurError):
        return f"{where}: {text}"
    if isinstance(error, SystemExit):
        return f"{where}: it {ends_python(error)}"
    mend = ""
    if isinstance(error, FileNotFoundError):
        mend = "; name files beside the recipe as Path(__file__).parent / NAME"
    elif isinstance(error, ModuleNotFoundError):
        mend = f"; install it, or put it into {path.parent}"
    return f"{where}: {type(error).__name__}: {text or 'no more said'}{mend}"


def code_digest(module: ModuleType) -> str:
    """Return the digest of a recipe file and of its neighbours that it takes anything from."""
    file = Path(str(module.__file__))
    # elsewhere than where it was written there is its text alone
    text = file.read_bytes() if file.is_file() else vars(module)[TEXT]
    own = hashlib.sha256(text).hexdigest()
    found = sorted({own, *files_of(module.__name__).values()})
    return hashlib.sha256("".join(found).encode()).hexdigest()[:32]


def source_of(file: str) -> bytes | None:
    """Return the text of a recipe file, to be sent to another machine; None where it is gone."""
    path = Path(file)
    if not path.is_file() or path.stat().st_size > LONGEST:
        return None
    return path.read_bytes()


def checked(file: str, digest: str, text: bytes | None = None) -> ModuleType:
    """Return a recipe file's module if it is still what it was when its models were planned.

    Args:
        file: the recipe.
        digest: of it and its neighbours, as `code_digest` gives it.
        text: what the file held on the machine that sent this; read where there is no such file.

    Raises:
        InputError: it, or a neighbour that it imports, was changed, or is not on this machine.
    """
    path = Path(file)
    module = load_file(file) if text is None or path.is_file() else _sent(path, text)
    now = code_digest(module)
    if now != digest:
        raise InputError(
            f"the recipe file {file}, or one beside it that it imports, was changed: its digest is "
            f"{now}, the models were made by {digest}; put the old text back, or train another "
            "fleet with the new one"
        )
    return module


def _sent(path: Path, text: bytes) -> ModuleType:
    try:
        return _loaded(path, text)
    except InputError as error:
        raise InputError(
            f"{error}. The recipe file was sent to this machine by itself, without its folder: put "
            "what it imports or reads beside itself into the file, install it on every machine of "
            "the cluster, or keep the folder on a disk that all of them see"
        ) from error

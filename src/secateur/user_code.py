"""Whose code a file holds, and what is said where a user's code ends Python."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from secateur.errors import InputError

__all__ = ["ended", "ends_python", "is_installed"]

_INSTALLED = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")
)
_ELSEWHERE = {"site-packages", "dist-packages"}  # of the user, or of the system below a venv


def is_installed(file: str | Path) -> bool:
    """Tell whether a file of code came with Python or was installed, so that no user wrote it.

    Example:
        >>> import json
        >>> is_installed(json.__file__), is_installed("mine.py")
        (True, False)
    """
    path = Path(file).resolve()
    return str(path).startswith(_INSTALLED) or not _ELSEWHERE.isdisjoint(path.parts)


def ends_python(stop: SystemExit) -> str:
    """Return what is said of code that ended Python where it should have raised.

    Args:
        stop: what `sys.exit` or `exit` raised.

    Example:
        >>> ends_python(SystemExit("no data"))[:32]
        'ends Python (exit: no data); rai'
    """
    return (
        f"ends Python (exit: {stop.code or 0}); raise an error in its place, such as "
        'ValueError("what is wrong")'
    )


def ended(stop: SystemExit) -> InputError:
    """Return the error of a user's code that ended Python, with the last line of it.

    Args:
        stop: what `sys.exit` or `exit` raised.
    """
    frames = list(traceback.extract_tb(stop.__traceback__))
    own = [
        f for f in frames if not f.filename.startswith("<frozen") and not is_installed(f.filename)
    ]
    where = "".join(f"{f.filename}, line {f.lineno}, in {f.name}: " for f in (own or frames)[-1:])
    return InputError(f"{where}{ends_python(stop)}")

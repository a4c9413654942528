"""How each layer runs, as it was measured: a small file beside the packed one.

It lies beside `model.packed` as `model.packed.choices.json`. What is read from it are words for
ways to run a layer, all of which give the same numbers; nothing else in it is used.
"""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur_runtime.version import VERSION

__all__ = ["Options", "Ways", "circumstances", "file_of", "recall", "record"]

Ways = Mapping[tuple[int, int], str]
"""By lanes (1 or 16) and a step's number: `sparse`, `dense` or `code`."""
Options = Mapping[tuple[int, int], tuple[str, ...]]
"""The ways that there are for each."""
Circumstances = Mapping[str, str]

FORMAT = "secateur-choices-1"
_MAX_BYTES = 2**20
_MAX_ENTRIES = 32


def file_of(path: str | Path) -> Path:
    """Return the file in which the choices for a packed file are recorded.

    Example:
        >>> file_of("models/a.packed").as_posix()
        'models/a.packed.choices.json'
    """
    path = Path(path)
    return path.with_name(path.name + ".choices.json")


def processor() -> str:
    """Return the processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    told = {key.strip(): value.strip() for key, value in told.items()}
    # of the first core; ARM's Linux gives numbers of maker and part in place of names
    keys = ("model name", "cpu family", "model", "CPU implementer", "CPU variant", "CPU part")
    words = [told.get(key, "") for key in keys]
    words = [word for word in words if word] or [platform.processor()]
    return " ".join([*words, platform.machine()]).strip()


def circumstances(digest: str, shape: Sequence[int], engine: Circumstances) -> Circumstances:
    """Return all that a measured choice depends on, in words.

    Args:
        digest: of the packed file.
        shape: of one record.
        engine: what the engine says of itself.
    """
    return {
        "file": digest,
        "records": "x".join(map(str, shape)),
        "processor": processor(),
        "runtime": VERSION,
        **engine,
    }


def recall(path: str | Path, now: Circumstances, options: Options) -> tuple[Ways, str]:
    """Return what was recorded for these circumstances, or nothing; and why, in words.

    Args:
        path: the packed file.
        now: what has to agree.
        options: the choices that there are.
    """
    file = file_of(path)
    try:
        entries = _entries(file)
    except FileNotFoundError:
        return {}, f"nothing is recorded in {file.name}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return {}, f"{file.name} is not used: it is no record of choices ({str(error)[:100]})"
    differ: list[str] = []
    for entry in entries:
        then = entry["when"]
        apart = [name for name in now if then.get(name) != now[name]]
        if not apart:
            ways = _ways(entry.get("ways"), options)
            if ways is None:
                return {}, f"{file.name} is not used: it names layers or ways that are none"
            return ways, f"recorded in {file.name}"
        if not differ or len(apart) < len(differ):
            differ = apart
    return {}, f"{file.name} is not used: it was measured with another {', '.join(differ)}"


def record(path: str | Path, now: Circumstances, ways: Ways) -> str:
    """Write choices beside a packed file; return what became of it, in words.

    Choices for other circumstances stay, if they are for the same file.
    """
    file = file_of(path)
    try:
        entries = _entries(file)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        entries = []
    entries = [
        entry
        for entry in entries
        if entry["when"].get("file") == now["file"] and entry["when"] != now
    ]
    told: dict[str, dict[str, str]] = {}
    for (lanes, step), way in sorted(ways.items()):
        told.setdefault(str(lanes), {})[str(step)] = way
    entries = [*entries[1 - _MAX_ENTRIES :], {"when": dict(now), "ways": told}]
    text = json.dumps({"format": FORMAT, "measured": entries}, indent=1) + "\n"
    try:
        _replace(file, text.encode())
    except OSError as error:
        return f"not recorded: cannot write {file.name} ({error.strerror or error})"
    return f"recorded in {file.name}"


def _entries(file: Path) -> list[dict[str, Any]]:
    with file.open("rb") as opened:
        data = opened.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("it is too large")
    found = json.loads(data)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError("it has another format")
    entries = found["measured"]
    if not isinstance(entries, list) or not entries:
        raise ValueError("it holds no measurements")
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("when"), dict):
            raise ValueError("a measurement does not say when")
    return entries


def _ways(given: Any, options: Options) -> dict[tuple[int, int], str] | None:
    """Return ways that were written, if there is one for each choice, and none but those."""
    if not isinstance(given, dict) or not all(isinstance(row, dict) for row in given.values()):
        return None
    found: dict[tuple[int, int], str] = {}
    for lanes, step in options:
        way = given.get(str(lanes), {}).get(str(step))
        if way not in options[lanes, step]:
            return None
        found[lanes, step] = way
    return found if sum(map(len, given.values())) == len(found) else None


def _replace(file: Path, data: bytes) -> None:
    """Write beside a file and put it in its place, so that nobody reads half of it."""
    beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with beside.open("xb") as opened:
            opened.write(data)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise

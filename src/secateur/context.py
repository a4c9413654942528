"""The circumstances of a run: hardware, versions, time; nothing that names a person or machine."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["COMMIT", "MADE", "TOOK", "circumstances", "hardware", "made_by", "version_of"]

MADE = "made"
"""The key of a report's context that says when it was made: UTC, ISO 8601."""
COMMIT = "commit"
"""The key of a report's context that says by which commit of secateur's source; absent where the
package is installed without its repository. `-dirty` at its end: files of it were changed."""
TOOK = "audit_seconds"
"""The key of a report's context that says how long its audit took, by the clock. What an audit that
was stopped had found before is not in it."""

_LIBRARIES = ("numpy", "scipy", "secateur", "torch")
_OPTIONAL = ("opacus",)
"""Libraries that results depend on where they are installed; none of them is imported for that."""
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni")


def circumstances(begun: float | None = None) -> dict[str, Any]:
    """Describe what a report was made with, and when: a report's context, and no part of its key.

    Args:
        begun: when its audit began, by `time.monotonic`.

    Returns:
        What `hardware` says, `made`, the time in UTC to the second, `commit` where it is known, and
        `audit_seconds`, to the tenth, where `begun` says from when.

    Example:
        >>> circumstances()[MADE].endswith("+00:00")
        True
    """
    commit = _commit()
    return {
        **hardware(),
        MADE: datetime.now(UTC).isoformat(timespec="seconds"),
        **({COMMIT: commit} if commit else {}),
        **({} if begun is None else {TOOK: round(time.monotonic() - begun, 1)}),
    }


def made_by(contexts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return when the last of several reports was made, by which commits, and how long their audits
    took together, where they say so.

    Args:
        contexts: the reports' contexts.

    Example:
        >>> made_by([{MADE: "2026-01-02", COMMIT: "b"}, {MADE: "2026-01-01", COMMIT: "a"}])
        {'made': '2026-01-02', 'commit': 'a, b'}
    """
    some = list(contexts)
    times = sorted({str(one[MADE]) for one in some if MADE in one})
    commits = sorted({str(one[COMMIT]) for one in some if COMMIT in one})
    took = sum(float(one[TOOK]) for one in some) if all(TOOK in one for one in some) else 0.0
    found = {MADE: times[-1] if times else "", COMMIT: ", ".join(commits), TOOK: round(took, 1)}
    return {key: value for key, value in found.items() if value}


def hardware() -> dict[str, Any]:
    """Describe the processor, memory, system and libraries that a result was made with.

    Returns:
        `processor`, `cores` (that this process may use), `memory_bytes` (0 when unknown), `system`,
        `flags` (instruction sets that it has of avx2, avx512f, avx_vnni and avx512_vnni), and
        `versions` by name: of Python, numpy, scipy, secateur and torch ("" when absent), and of
        Opacus where it is installed.
        No host name, user name or path.

    Example:
        >>> sorted(hardware())
        ['cores', 'flags', 'memory_bytes', 'processor', 'system', 'versions']
    """
    processor, flags = _processor()
    versions = {"python": platform.python_version()}
    versions |= {name: version_of(name) for name in _LIBRARIES}
    versions |= {name: found for name in _OPTIONAL if (found := version_of(name))}
    return {
        "processor": processor,
        "cores": _cores(),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "flags": flags,
        "versions": versions,
    }


def version_of(package: str) -> str:
    """Return an installed package's version; empty where it is absent.

    Example:
        >>> version_of("no-such-package")
        ''
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@cache
def _commit() -> str:
    """Return the commit of the repository that the package is read from; empty where it is not."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # a repository farther up is somebody else's
        return ""
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(
            [*asked, "--exclude", "*"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> tuple[str, list[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    present = set(fields.get("flags", "").split())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, [flag for flag in _FLAGS if flag in present]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0

"""Where and when a results file was made, and by which commit: what claims.toml says beside it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from secateur.context import COMMIT, MADE

__all__ = ["commands", "hardware", "has_history", "of_git", "when"]

ROOT = Path(__file__).resolve().parent.parent
DIGITS = 10
"""Of a commit's name: enough to be one commit in any clone."""


def when(content: dict[str, Any]) -> dict[str, str]:
    """Return the day on which a sweep was audited and by which commit, where its file says so."""
    context = content["provenance"]["context"]
    parts = [context.get(MADE, "")[:10], context.get(COMMIT, "")]
    told = ", commit ".join(part for part in parts if part)
    return {"made": told} if told else {}


def hardware(content: dict[str, Any]) -> str:
    """Return where a sweep ran: the machine that wrote it, the device that its command names, and
    what its note adds; models read again may have been trained elsewhere.
    """
    facts, context = content["facts"], content["provenance"]["context"]
    parts = [f"{context.get('processor', '')}, {context.get('cores', '')} cores"]
    devices = dict.fromkeys(re.findall(r"cuda(?::\d+)?", commands(facts)))
    parts += [f"device {d}, as its command says" for d in devices]
    parts += [f"note: {facts['note']}"] if facts.get("note") else []
    return "; ".join(parts)


def commands(facts: dict[str, Any]) -> str:
    """Return the command that made a sweep, or those that made its draws apart and joined them."""
    own = facts.get("command", "secateur sweep")
    parts = [part["command"] for part in facts.get("parts", ()) if part.get("command")]
    return ", ".join(f"`{command}`" for command in dict.fromkeys([*parts, own]))


def of_git(file: str) -> dict[str, str]:
    """Return the last commit of a results file and its day; an empty text before it.

    That is when the file was committed, which may be long after its sweep ran.

    Raises:
        SystemExit: the file has changes that are not committed: no commit holds its numbers.
    """
    if _git("status", "--porcelain", "--", file)[:1] in ("M", " "):
        raise SystemExit(f"{file} differs from what is committed; commit it, then write the claims")
    return {"committed": _git("log", "-1", f"--abbrev={DIGITS}", "--format=%h, %cs", "--", file)}


def has_history(file: str) -> bool:
    """Tell whether git knows every commit of a file: a copy without git, or a shallow clone, cannot
    say which was the last one that changed it.
    """
    whole = _git("rev-parse", "--is-shallow-repository").strip() == "false"
    return whole and bool(_git("log", "-1", "--format=%h", "--", file))


def _git(*arguments: str) -> str:
    """Return what git says of this repository; an empty text where there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.rstrip("\n")

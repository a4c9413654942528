"""What methods there are, read from the source files without importing them: no torch is loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import secateur
from secateur.errors import UnknownMethodError

__all__ = [
    "ASKING",
    "ATTACK",
    "CANARIES",
    "CONVERSION",
    "DEFENCE",
    "LEARNED",
    "NETWORK",
    "PATTERN",
    "PERTURBATION",
    "PRUNING",
    "TRACKER",
    "TRAINING",
    "Entry",
    "catalogue",
    "refuse_other_kinds",
]

PRUNING = "pruning"
PATTERN = "pattern"
CONVERSION = "conversion"
DEFENCE = "defence"
ATTACK = "attack"
LEARNED = "attack that trains networks"
NETWORK = "network"
TRAINING = "training"
ASKING = "way to ask"
CANARIES = "canary"
PERTURBATION = "perturbation"
TRACKER = "tracker"
ROOMS = {
    "compress": PRUNING,
    "defend": DEFENCE,
    "deploy": CONVERSION,
    "attack/membership": ATTACK,
    "attack/learned": LEARNED,
    "models": NETWORK,
    "train": TRAINING,
    "data": ASKING,
    "trackers": TRACKER,
}
USED = {
    PRUNING: "a pruning method, named with `secateur prune --method`",
    PATTERN: "a pattern, named inside a pruning method, such as ADMM(pattern=Filters())",
    DEFENCE: "a defence, named with `secateur defend --method`",
    CONVERSION: "a conversion, named with `secateur export --format`",
    ATTACK: "an attack, named with `--attack` of `secateur audit` and `attack`",
    LEARNED: "an attack that trains networks, named with `secateur audit --attack`",
    NETWORK: "a network, named as build=... in `secateur train --recipe`",
    TRAINING: "a part of training, named inside `secateur train --recipe`",
    ASKING: "a way to ask, named with `--queries`",
    PERTURBATION: "a perturbation, named inside an attack: LabelOnly(perturbations=(Noise(),))",
    TRACKER: "a tracker, named with `--track` of `secateur audit`, `attack` and `report`",
    CANARIES: "a kind of canaries, named with `secateur train --canaries`",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method: its parameters are (name, default as written, empty where there is none).

    `module` is where it is imported from.
    """

    name: str
    kind: str
    about: str
    parameters: tuple[tuple[str, str], ...]
    threat: str = ""
    reference: str = ""
    document: str = ""
    module: str = ""

    @property
    def spelling(self) -> str:
        """The method with its defaults."""
        return f"{self.name}({', '.join(f'{n}={d}' if d else n for n, d in self.parameters)})"


@cache  # a file of many steps asks for each of them
def catalogue() -> tuple[Entry, ...]:
    """Return every method that a room lists in its `__all__`.

    Example:
        >>> "LiRA" in {entry.name for entry in catalogue()}
        True
    """
    return tuple(entry for room, kind in ROOMS.items() for entry in _room(_root() / room, kind))


def refuse_other_kinds(text: str, *kinds: str, what: str) -> None:
    """Say what a method is that is listed, but is of none of these kinds.

    Raises:
        UnknownMethodError: says where it is named instead.

    Example:
        >>> refuse_other_kinds("LiRA()", ATTACK, what="attack")
    """
    name = text.partition("(")[0].strip()
    entries = catalogue()
    found = [entry.kind for entry in entries if entry.name == name]
    if found and not set(found) & set(kinds):
        names = sorted(entry.name for entry in entries if entry.kind in kinds)
        raise UnknownMethodError(
            f"unknown {what} {name!r}: {name} is {USED[found[0]]}; there are {', '.join(names)}"
        )


def _root() -> Path:
    return Path(secateur.__file__).parent


def _room(folder: Path, kind: str) -> Iterator[Entry]:
    listed = _listed(folder / "__init__.py")
    classes: dict[str, ast.ClassDef] = {}
    for path in sorted(folder.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name] = node
    for name in listed:
        found = classes.get(name)
        if found is not None and _is_method(found, classes):
            module = f"secateur.{folder.relative_to(_root()).as_posix().replace('/', '.')}"
            yield replace(_entry(found, kind, classes), module=module)


def _listed(path: Path) -> list[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return sorted(names)
    return []


def _bases(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    found = []
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            found += [*_bases(classes[base.id], classes), classes[base.id]]
    return found


def _is_method(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> bool:
    parts = [node, *_bases(node, classes)]
    calls = {f.name for p in parts for f in p.body if isinstance(f, ast.FunctionDef)}
    decorated = any("dataclass" in ast.unparse(d) for d in node.decorator_list)
    return decorated and bool(
        calls
        & {
            "__call__",
            "phases",
            "make",
            "batch",
            "changes",
            "defended",
            "converted",
            "fitted",
            "prepared",
        }
    )


def _entry(node: ast.ClassDef, kind: str, classes: dict[str, ast.ClassDef]) -> Entry:
    parameters: dict[str, str] = {}
    constants: dict[str, str] = {}
    for part in [*_bases(node, classes), node]:
        for line in part.body:
            if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name):
                continue
            value = "" if line.value is None else ast.unparse(line.value)
            if "ClassVar" in ast.unparse(line.annotation):
                constants[line.target.id] = value.strip("'\"")
            else:
                parameters[line.target.id] = _default(value)
    document = ast.get_docstring(node) or ""
    return Entry(
        name=node.name,
        kind=constants.get("kind", kind),
        about=document.split("\n", 1)[0],
        parameters=tuple(parameters.items()),
        threat=constants.get("threat", ""),
        reference=constants.get("reference", ""),
        document=document,
    )


def _default(value: str) -> str:
    if value.startswith("field(default_factory="):
        inner = value.removeprefix("field(default_factory=").removesuffix(")")
        inner = inner.removeprefix("lambda: ")
        return {"dict": "{}"}.get(inner, inner if inner.endswith(")") else f"{inner}()")
    return value

"""One call for a model, an estimator, a file, saved signals, a fleet, or a recipe."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from secateur.auditing.arguments import (
    check_arguments,
    checked_name,
    checked_path,
    reference_count,
)
from secateur.errors import InputError
from secateur.types import Artifact, Fleet, Observations, Records

if TYPE_CHECKING:
    from secateur.data import Queries
    from secateur.protocols import Builder, MembershipAttack, Progress
    from secateur.train import Recipe
    from secateur.types import Report

__all__ = ["Further", "audit"]

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".bin", ".ckpt")


class Further(TypedDict, total=False):
    """What every audit takes beside its subject."""

    queries: Queries | None
    groups: Sequence[str]
    workers: int
    about: Mapping[str, Any] | None
    progress: Progress | None
    device: str
    timed: bool
    scores: str | Path | None
    answers: str | Path | None


def audit(  # noqa: PLR0913 - one signature for every subject
    target: Any = None,
    records: Any = None,
    *,
    members: Any = None,
    non_members: Any = None,
    label: str | None = None,
    name: str | None = None,
    unit: str | None = None,
    build: Builder | None = None,
    recipe: Recipe | None = None,
    references: Any = None,
    folder: str | Path | None = None,
    attacks: Sequence[MembershipAttack] | None = None,
    seed: int = 0,
    **further: Unpack[Further],
) -> Report:
    """Audit what is at hand: a trained model, an estimator, a file, saved outputs, fleets.

    Args:
        target: a torch module; a state dict, a safetensors file or an `Artifact` (what `apply`
            makes of one module), with `build` or `recipe`; an ONNX file; a fitted estimator with
            `predict_proba`; saved outputs (a file, or arrays by name, as docs/signals.md lists
            them, or `Observations`); a fleet, or a dense fleet and what was made of it, with its
            `records`; a `Recipe`, of which targets are trained too. Left out, where `members` and
            `non_members` are saved outputs themselves, each a file or arrays by name.
        records: all records, where members are indices or a mask, and for fleets and recipes:
            Records; or, but for fleets, in any form that `members` takes.
        members: what the model was trained on: Records, a pair (inputs, labels), a torch Dataset
            of such pairs, a Hugging Face Dataset, a pandas table; or indices or a mask into
            `records`.
        non_members: records of the same people and time that the model never saw, in the same form;
            with `records` by default all others.
        label: the column of a table that holds the true classes.
        unit: the column of a table that says whose record a row is; it is no input, and intervals
            are over these persons.
        name: what the report calls the one model, by default `given`.
        build: makes the empty network of a state dict or an `Artifact`.
        recipe: how the network was trained. References are then trained in the same way, on draws
            from members and non-members; the state dict must fit `recipe.build`.
        references: how many, with a `recipe` (default 16) or for an estimator (default none), which
            is refitted by `sklearn.base.clone`; of saved outputs, those of the attacker's models.
        folder: with a `recipe`, where models are written as they end: an interrupted call, given
            again, goes on from there to the same report. By default they stay in memory.
        attacks: by default those that these references allow.
        seed: of draws, references, learned attacks and controls.
        further: `queries`, `groups`, `workers`, `about`, `progress`, `device`, `timed`,
            `scores` and, of fleets and recipes, `answers`, as `secateur.auditing.run.audit_fleets`
            takes them. Write the report into the folder of `scores`: it names that file without
            its folder.

    Returns:
        A report. Of a single model: this-model risk, with intervals over persons; the blind
        baseline says whether members can be told from non-members without any model. Without
        references its numbers do not cover an attacker who trains models of his own.

    Raises:
        InputError: a target of no known kind, or arguments that do not fit it.
        DataError: members or persons among the non-members, shapes or labels that do not fit.

    Example:
        >>> import numpy as np
        >>> import secateur
        >>> from secateur.data import digits
        >>> from sklearn.naive_bayes import GaussianNB
        >>> x, y = digits().gather(np.arange(200)).reshape(200, -1), digits().labels[:200]
        >>> model = GaussianNB().fit(x[:100], y[:100])
        >>> attacks = [secateur.LossThreshold(class_wise=False)]
        >>> report = audit(model, members=(x[:100], y[:100]), non_members=(x[100:], y[100:]),
        ...     attacks=attacks)
        >>> report.rows[0].estimand
        'this model'
    """
    asked = {
        "members": members,
        "non_members": non_members,
        "label": label,
        "name": name,
        "unit": unit,
        "build": build,
        "recipe": recipe,
        "references": references,
        "folder": folder,
    }
    unknown = sorted(set(further) - set(Further.__annotations__))
    if unknown:
        raise TypeError(f"audit() got an unexpected keyword argument {unknown[0]!r}")
    kind = _kind(target)
    _refuse_unread(kind, {k for k, v in asked.items() if v is not None}, further)
    check_arguments(attacks=attacks, seed=seed, **further)
    if kind == "estimator" and further.get("timed"):
        raise InputError(
            "timed=True measures networks, by ONNX Runtime, and an estimator is none; leave it out"
        )
    common: dict[str, Any] = {"attacks": attacks, "seed": operator.index(seed), **further}
    if kind in ("fleet", "observations"):
        return _of_fleet_or_seen(target, records, **common)
    if kind == "saved":
        from secateur.auditing.saved import audit_saved

        _refuse_records("saved outputs", records)
        return audit_saved(
            target, members=members, non_members=non_members, references=references, **common
        )
    common["references"] = None if references is None else reference_count(references)
    checked_path("folder", folder, "runs/references")
    from secateur.auditing import brought

    if kind == "recipe":
        return brought.audit_recipe(
            target, records, label=label, unit=unit, folder=folder, **common
        )
    common["name"] = checked_name(name)
    sides = brought.Sides(
        records=records, members=members, non_members=non_members, label=label, unit=unit
    )
    if kind == "estimator":
        return brought.audit_estimator(target, sides, **common)
    _check_makers(build, recipe)
    return brought.audit_network(target, sides, build=build, recipe=recipe, folder=folder, **common)


def _check_makers(build: object, recipe: object) -> None:
    """Refuse, of a network, what makes no empty one and trains no other."""
    if build is not None and (not callable(build) or _is(build, "torch.nn", "Module")):
        raise InputError(
            "build must be a function without arguments that makes the empty network, such as "
            f"build=lambda: nn.Linear(8, 2), got {type(build).__name__}"
        )
    if recipe is not None and not _is(recipe, "secateur.train", "Recipe"):
        got = f"the class {recipe.__name__}" if isinstance(recipe, type) else repr(recipe)
        raise InputError(
            "recipe must be a Recipe, which says how the network was trained, such as "
            f"Recipe(build=MLP(widths=(64, 10)), epochs=30), got {got}; of a recipe file give "
            "secateur.own.recipe_of(file)"
        )


def _of_fleet_or_seen(target: Any, records: Any, **common: Any) -> Report:
    if isinstance(target, Observations):
        _refuse_records("observations", records)
        from secateur.auditing.signals import audit_signals

        return audit_signals(target, common.pop("attacks"), **common)
    if records is None:
        raise InputError("a fleet is audited with its records: audit(fleet, records)")
    if not isinstance(records, Records):
        raise InputError(
            "a fleet is audited with the very Records that it was trained on, ids and units "
            f"included, got {type(records).__name__}; give those, or where it was trained on plain "
            "arrays, secateur.Records.from_arrays(inputs, labels)"
        )
    from secateur.auditing.run import audit_fleets

    return audit_fleets(target, records, **common)


_FURTHER = set(Further.__annotations__)
READ = {
    "fleet": (set(), None),
    "observations": (set(), {"about"}),
    "saved": ({"members", "non_members", "references"}, {"about"}),
    "recipe": ({"references", "folder", "label", "unit"}, None),
    "estimator": (
        {"members", "non_members", "label", "unit", "name", "references"},
        _FURTHER - {"answers"},
    ),
    "network": (
        {
            *("members", "non_members", "label", "unit", "name"),
            *("build", "recipe", "references", "folder"),
        },
        _FURTHER - {"answers"},
    ),
}
"""Which arguments each kind of target reads; None: all further ones."""


def _refuse_records(what: str, records: Any) -> None:
    """Refuse records beside what was asked about them already."""
    if records is not None:
        raise InputError(
            f"an audit of {what} does not read records: the models were asked about them already; "
            "leave them out, and give members= where nothing says who is in"
        )


def _refuse_unread(kind: str, given: set[str], further: Mapping[str, Any]) -> None:
    own, others = READ[kind]
    unread = sorted(given - own) + sorted(
        set(further) - (set(further) if others is None else others)
    )
    if unread:
        raise InputError(
            f"an audit of {WHAT[kind]} does not read {', '.join(unread)}; leave "
            f"{'it' if len(unread) == 1 else 'them'} out"
        )


WHAT = {
    "fleet": "fleets",
    "observations": "observations",
    "saved": "saved outputs",
    "recipe": "a recipe",
    "estimator": "an estimator",
    "network": "a network",
}


def _kind(target: Any) -> str:
    """Tell what is to be audited, without loading torch for what needs none."""
    if target is None:
        return "saved"
    if isinstance(target, Fleet):
        return "fleet"
    if isinstance(target, Observations):
        return "observations"
    if isinstance(target, type):
        raise InputError(f"give a trained model, not its class {target.__name__}")
    if isinstance(target, Artifact) or _is(target, "torch.nn", "Module"):
        return "network"
    if _is(target, "secateur.train", "Recipe"):
        return "recipe"
    if hasattr(target, "predict_proba"):
        return "estimator"
    if isinstance(target, Mapping):
        from secateur.auditing.saved import holds_signals
        from secateur.data.handed_datasets import is_splits, refuse_splits

        if is_splits(target):
            refuse_splits("the target, which is the model under audit,", target)

        return "saved" if holds_signals(target) else "network"
    if isinstance(target, str | Path):
        return _kind_of_file(Path(target))
    if isinstance(target, Sequence) and target and all(isinstance(f, Fleet) for f in target):
        return "fleet"
    more = ""
    if hasattr(target, "predict"):
        more = "; this one has predict but no predict_proba: choose one that gives probabilities"
    raise InputError(
        f"cannot audit {type(target).__name__}: give a torch module, a state dict or an "
        "Artifact with build=, a file, a fitted estimator with predict_proba, saved outputs, "
        f"fleets or a recipe{more}"
    )


def _kind_of_file(path: Path) -> str:
    if path.suffix in PICKLES:
        raise InputError(
            f"{path.name} is a pickle, which may run code when it is read, and is never read here; "
            "load it yourself (torch.load(path, weights_only=True)) and give the state dict with "
            "build=, or the module"
        )
    return "network" if path.suffix in (".safetensors", ".onnx") else "saved"


def _is(value: object, module: str, name: str) -> bool:
    """Tell whether a value is of a class, whose module is loaded if there is such a value."""
    found = sys.modules.get(module)
    kind = None if found is None else getattr(found, name, None)
    return kind is not None and isinstance(value, kind)

"""Many models from one recipe: each from its own seed, on disk as it ends, found on resume."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from secateur.errors import InputError, MethodError, SecateurWarning
from secateur.train.keep import Keep, Snapshots, weights_missing
from secateur.train.limit import Limit
from secateur.train.make import make
from secateur.train.model import check_masks, refuse_converted, refuse_taught
from secateur.train.one import apply_to_module
from secateur.train.place import Engine, Place
from secateur.train.plan import Plan
from secateur.train.recipe import Recipe
from secateur.train.shards import absent_of
from secateur.train.steps import Conversion, Defence, Transform
from secateur.types import Artifact, Fleet, Membership, Records, derive_seed

if TYPE_CHECKING:
    from secateur.protocols import Progress

__all__ = ["Engine", "Snapshots", "apply", "train_fleet"]


def train_fleet(  # noqa: PLR0913 - what, on what, and how it is run
    recipe: Recipe,
    records: Records,
    membership: Membership,
    *,
    seed: int,
    engine: Engine = "auto",
    snapshots: Snapshots | None = None,
    keep: Keep | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    limit: Limit | None = None,
    cache: Path | None = None,
    name: str = "dense",
    models: Sequence[int] | None = None,
) -> Fleet:
    """Train one model per row of `membership`, each from its own seed.

    Args:
        recipe: how each model is trained.
        records: all records; a model reads its members alone.
        membership: who trains on what.
        seed: model i uses a sub-seed of its own.
        engine: `serial`, `processes` and `stacked`, or one with its parameters, such as
            `Stacked(models=8)`; `auto` times a few steps of each and takes the fastest. Models
            made one by one have the same bytes on every engine, stacked ones other last bits.
        snapshots: what to keep of each model while it trains.
        keep: which signals to keep of each reference in place of its weights; None keeps all
            weights, which a later `apply` needs.
        folder: where models are written as they end; an interrupted run resumes there.
        progress: called at the start and after each model, or stack of models.
        limit: a budget after which the run stops; needs a folder.
        cache: a folder of models that runs share: what is there under the same key (method,
            members, seed, route, versions) is taken, and what is made is left there.
        name: the fleet's.
        models: rows of the membership to make now, the others another time; needs a folder. By
            default all.

    Returns:
        A fleet; its artifacts load lazily when there is a folder.

    Raises:
        InterruptedRunError: the run was stopped; the message says how to resume.
        BudgetSpentError: `limit` was reached before the last model.
        StoreError: the folder holds another fleet.

    Example:
        >>> from secateur.data import digits, draw
        >>> from secateur.models import MLP
        >>> records = digits()
        >>> who = draw(records, targets=2, references=4, seed=0)
        >>> recipe = Recipe(build=MLP(widths=(64, 16, 10)), epochs=1)
        >>> len(train_fleet(recipe, records, who, seed=0, engine="serial"))
        6
    """
    plan = Plan(
        recipe=recipe,
        transform=None,
        name=name,
        pipeline=(repr(recipe),),
        snapshots=snapshots,
        keep=keep,
    )
    return make(
        plan,
        records,
        membership,
        None,
        seed,
        Place(
            engine=engine, folder=folder, progress=progress, limit=limit, cache=cache, models=models
        ),
    )


def apply(  # noqa: PLR0913 - what, on what, and how it is run
    transform: Transform | Defence | Conversion,
    model: Fleet | nn.Module,
    records: Records,
    *,
    seed: int,
    engine: Engine = "auto",
    folder: Path | None = None,
    progress: Progress | None = None,
    name: str | None = None,
    limit: Limit | None = None,
    keep: Keep | None = None,
    cache: Path | None = None,
    models: Sequence[int] | None = None,
    lessons: Path | None = None,
    keep_teachers: bool = False,
) -> Fleet | Artifact:
    """Apply a transform to every model of a fleet, or to one module; the input stays as it is.

    Args:
        transform: such as `ADMM(rate=10)`; or a defence such as `MinMax()`, by which the fleet's
            models are trained anew with the same members and seeds; or a conversion such as
            `Shrink()`, which makes another form of each model.
        model: a fleet, whose membership and seeds carry over, or one trained module, all of whose
            `records` are members.
        records: the fleet's records; with a module and a conversion, those that it may read.
        seed: the fleet's seed, so that before and after are paired; another one is warned of.
        engine: as in `train_fleet`.
        folder: where a fleet's models are written.
        progress: called after each model.
        name: the new fleet's name; by default the transform's class name in lower case.
        limit: as in `train_fleet`. Of a fleet opened with `partial`, the models that are there are
            made (of stacks those that are there as a whole), and the result is as partial.
        keep: as in `train_fleet`.
        cache: as in `train_fleet`.
        models: as in `train_fleet`.
        lessons: a folder in which methods that are taught find what the teachers of another one
            said, so that `CrossFit(alpha=0.3)` after `CrossFit()` trains no fold anew. What it
            holds is as secret as the members: remove it afterwards.
        keep_teachers: keep the teachers themselves in `lessons`, too, for a method that asks the
            same ones something else, such as `CrossFit(recombine="features")`.

    Returns:
        A fleet with the same membership, or for a module one artifact.

    Raises:
        InputError: a fleet that was loaded without its recipe, or of other records.

    Example:
        >>> from secateur.data import digits
        >>> from secateur.models import MLP
        >>> from secateur.compress import Magnitude
        >>> net = MLP(widths=(64, 16, 10))()
        >>> small = apply(Magnitude(rate=4, retrain_epochs=0), net, digits(), seed=0)
        >>> int(sum(m.sum() for m in small.masks.values())), 64 * 16 + 16 * 10
        (296, 1184)
    """
    place = Place(
        engine=engine,
        folder=folder,
        progress=progress,
        limit=limit,
        cache=cache,
        models=models,
        lessons=lessons,
        keeps_teachers=keep_teachers,
    )
    if isinstance(transform, Defence):
        label = name or type(transform).__name__.lower()
        return _defend(transform, model, records, seed, name=label, keep=keep, place=place)
    if isinstance(model, nn.Module):
        return apply_to_module(transform, model, records, seed)
    if model.recipe is None:
        raise InputError("this fleet has no recipe; open it with the recipe that trained it")
    if not isinstance(transform, Conversion) and transform.fresh:
        _refuse_loss(transform, model, "prune that one")
    present = _present(model, folder)
    model.check_records(records)
    _refuse_unfit(transform, model, present)
    _warn_of_seed(model, present[0], seed)
    plan = Plan(
        recipe=model.recipe,
        transform=transform,
        name=name or type(transform).__name__.lower(),
        pipeline=(*model.pipeline, repr(transform)),
        snapshots=None,
        keep=keep,
    )
    return make(plan, records, model.membership, model, seed, place)


def _present(fleet: Fleet, folder: Path | None) -> list[int]:
    """Return which models are there; without a folder all must be."""
    absent = absent_of(fleet)
    if len(absent) == len(fleet) or (absent and folder is None):
        raise InputError(
            f"{len(absent)} of {len(fleet)} models of {fleet.name!r} are not there; make them, or "
            "give a folder and at least one of them"
        )
    return [i for i in range(len(fleet)) if i not in set(absent)]


def _refuse_unfit(transform: Transform | Conversion, fleet: Fleet, present: Sequence[int]) -> None:
    """Refuse models of a form that the transform cannot begin with, by the first and the last."""
    last = fleet.artifacts[present[-1]]
    if not isinstance(transform, Conversion) and not transform.fresh:
        if last.kept is not None:  # a conversion may find all that it is asked for, and looks later
            raise weights_missing(present[-1])
        refuse_converted(last, type(transform).__name__)
        refuse_taught(last, transform, fleet.recipe)
    check_masks(transform, fleet.artifacts[present[0]], present[0])


def _refuse_loss(method: Transform | Defence, fleet: Fleet, mend: str) -> None:
    if len(fleet.pipeline) > 1:
        raise InputError(
            f"{type(method).__name__} trains from fresh weights, so that what made {fleet.name!r} "
            f"of its dense fleet would be lost: {' -> '.join(fleet.pipeline[1:])}; give the fleet "
            f"that it was made from, and {mend}"
        )


def _warn_of_seed(fleet: Fleet, there: int, seed: int) -> None:
    key = fleet.artifacts[there].provenance.key
    own_seed = derive_seed(seed, "model", there)
    if key.get("seed", own_seed) != own_seed:
        warnings.warn(
            f"the fleet was trained with another seed than {seed}; before and after are paired "
            "only with the same one",
            SecateurWarning,
            stacklevel=3,
        )


def _defend(
    defence: Defence,
    model: Fleet | nn.Module,
    records: Records,
    seed: int,
    *,
    name: str,
    keep: Keep | None,
    place: Place,
) -> Fleet:
    """Train a fleet anew under a defence, paired with the fleet that it is compared with."""
    if isinstance(model, nn.Module):
        raise MethodError(
            f"{type(defence).__name__} trains from fresh weights; give train_fleet the recipe "
            f"{type(defence).__name__}(...).defended(recipe)"
        )
    if model.recipe is None:
        raise InputError("this fleet has no recipe; open it with the recipe that trained it")
    if model.recipe.train is not None:
        raise MethodError(
            f"these models were trained by {model.recipe.train!r}, which no other defence can "
            f"change; apply {type(defence).__name__} to a fleet of a plain recipe"
        )
    _refuse_loss(defence, model, "prune afterwards")
    model.check_records(records)
    present = [i for i in range(len(model)) if i not in set(absent_of(model))]
    if present:
        _warn_of_seed(model, present[0], seed)
    recipe = defence.defended(model.recipe)
    plan = Plan(
        recipe=recipe,
        transform=None,
        name=name,
        pipeline=(repr(recipe),),
        snapshots=None,
        keep=keep,
    )
    return make(plan, records, model.membership, None, seed, place)

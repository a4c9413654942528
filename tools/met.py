"""What a subsampled model leaks of the members that it met, and of those that it did not.

Run `python -m tools.met FOLDER --title TEXT --data-dir DATA --out FILE`, where FOLDER is a fleet
that a sweep made with `Subsample`. No file of its own says who was met; it is drawn again from
the fleet's seed, as its owner could. The leak is of members of one kind beside all non-members.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from secateur import store
from secateur.attack.membership import RMIA, LiRA, StackedAttack, WhiteBox
from secateur.auditing.subjects import observe_subjects
from secateur.cli.runs import open_runs
from secateur.cli.spelled import parse_step
from secateur.context import hardware
from secateur.data import Recombinations
from secateur.data.recombinations import Way
from secateur.errors import InputError, SecateurError
from secateur.measure import auc
from secateur.train import Taught
from secateur.train.met import known_of, met_by, share_met
from secateur.types import derive_seed
from tools.protects_points import name_of
from tools.tables import table

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack
    from secateur.types import BoolArray, Fleet, Measurement, Membership, Records, Scores

__all__ = ["kinds_of", "leaks", "met_members", "met_page"]

KINDS = {
    "met": "members that were met",
    "not met": "not met",
    "not known": "known to no teacher",
    "all": "all members",
}
"""Kinds of members, and what heads their column."""


def met_members(fleet: Fleet, *, seed: int) -> tuple[BoolArray, BoolArray]:
    """Return whether a target met a record of the audit, and whether anything that it was made from
    read the record, `[targets, records]` each.

    Args:
        fleet: with a step `Subsample`, and perhaps conversions after it.
        seed: of its making.

    Raises:
        InputError: a fleet whose models meet all their members.
    """
    steps = [parse_step(text) for text in fleet.pipeline[1:]]
    method = next((s for s in reversed(steps) if isinstance(s, Taught)), None)
    if method is None or share_met(method) == 1.0:
        raise InputError(
            f"models of {' -> '.join(fleet.pipeline)} meet all their members; name a fleet of "
            "Subsample"
        )
    who = fleet.membership
    met = np.zeros((len(who.targets), who.inside.shape[1]), np.bool_)
    read = np.zeros_like(met)
    for row, target in enumerate(who.targets.tolist()):
        members = who.members(target)
        units, own = who.units[members], derive_seed(seed, "model", target)
        known = known_of(method, method.split(units, seed=derive_seed(own, "teachers")))
        at = met_by(method, units, seed=own, known=known)
        met[row, members[at]] = True
        read[row, members[at if known is None else known]] = True
    return met, read


def kinds_of(
    scores: Scores, membership: Membership, met: BoolArray, read: BoolArray
) -> dict[str, Scores]:
    """Return the scores by kind of member: those that were met, those that were read but not met,
    those that nothing read, all; each with every non-member. Kinds of nobody are left out.

    Args:
        scores: of the targets.
        membership: who trains on what.
        met: of `met_members`.
        read: of `met_members`.
    """
    inside = membership.inside[membership.targets]
    kinds = {
        "met": met,
        "not met": inside & read & ~met,
        "not known": inside & ~read,
        "all": inside,
    }
    return {
        kind: replace(scores, evaluated=scores.evaluated & (~inside | mask))
        for kind, mask in kinds.items()
        if mask.any()
    }


def leaks(
    fleet: Fleet, records: Records, attacks: Sequence[MembershipAttack], *, seed: int, workers: int
) -> dict[str, dict[str, Measurement]]:
    """Return by attack and kind of member the AUC over targets.

    Args:
        fleet: of `met_members`.
        records: all of them.
        attacks: on outputs and weights.
        seed: of the fleet's making, and of the attacks.
        workers: processes that ask the models.
    """
    met, read = met_members(fleet, seed=seed)
    (subject,) = observe_subjects([fleet], records, attacks, workers=workers)
    found: dict[str, dict[str, Measurement]] = {}
    for attack in attacks:
        kinds = kinds_of(attack(subject.observations, seed=seed), fleet.membership, met, read)
        found[repr(attack)] = {
            kind: auc(one, fleet.membership, subject=kind, method=repr(attack))
            for kind, one in kinds.items()
        }
    return found


def met_page(found: dict[str, Any]) -> str:
    """Return the Markdown page of one such measurement."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    first = next(iter(found["auc"].values()))
    kinds = [kind for kind in KINDS if kind in first]
    rows = [
        [name_of(attack), *("{value:.3f} [{low:.3f}, {high:.3f}]".format(**by[k]) for k in kinds)]
        for attack, by in found["auc"].items()
    ]
    parts = [
        f"# {found['title']}",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"The leak of a student of `{found['pipeline'][-1]}`: of members that it met, and of those "
        "that it did not, each beside all non-members. The attacker does not know which these are; "
        "the attacks and their references are those of an audit of all members. "
        f"{found['targets']} targets, {found['references']} references, seed {found['seed']}; "
        f"95 % intervals, {found['intervals']}.",
        table(["attack, AUC", *(KINDS[kind] for kind in kinds)], rows),
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores; "
        f"{versions}.",
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Measure one fleet, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.met", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--title", required=True, help="what is told above the page's table")
    parser.add_argument("--way", choices=get_args(Way), default="features")
    options = parser.parse_args(arguments)
    around = (Recombinations(way=options.way),)
    attacks = (LiRA(), RMIA(), StackedAttack(), WhiteBox(), WhiteBox(around=around))
    try:
        (fleet,), records, seed = open_runs([options.folder], options.data_dir)
        found = leaks(fleet, records, attacks, seed=seed, workers=2)
    except SecateurError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    who = fleet.membership
    text = ["python", "-m", "tools.met", str(options.folder), "--title", options.title]
    text += ["--way", options.way, "--data-dir", "DATA"]
    text += ["--out", f"results/experiments/{options.out.name}"]
    content = {
        "format": "secateur-experiment-1",
        "experiment": "met",
        "title": options.title,
        "command": shlex.join(text),
        "pipeline": list(fleet.pipeline),
        "targets": len(who.targets),
        "references": len(who) - len(who.targets),
        "seed": seed,
        "intervals": " or ".join(
            dict.fromkeys(row.interval for rows in found.values() for row in rows.values())
        ),
        "machine": hardware(),
        "auc": {
            attack: {
                kind: {"value": row.value, "low": row.low, "high": row.high}
                for kind, row in rows.items()
            }
            for attack, rows in found.items()
        },
    }
    store.write_document(options.out, content)
    for attack, rows in found.items():
        told = ", ".join(
            f"{kind} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for kind, row in rows.items()
        )
        sys.stdout.write(f"{attack}: {told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

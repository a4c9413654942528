"""Audit fleets of one membership and put every number into one report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secateur.attack.learned import NasrAttack
from secateur.auditing.arguments import check_arguments, check_table_path
from secateur.auditing.attacking import attack_subjects
from secateur.auditing.checks import controls
from secateur.auditing.choices import with_recommended
from secateur.auditing.contents import Found, facts_of, rows_of, series_of
from secateur.auditing.per_record import exposed_series, write_table
from secateur.auditing.rows import group_rows
from secateur.auditing.signals import signal_attacks
from secateur.auditing.speed import latency_rows, timeable
from secateur.auditing.subjects import Subject, observe_subjects
from secateur.context import circumstances
from secateur.data import CANARY, Queries, holds_canaries
from secateur.measure import column_of
from secateur.probe.shelf import Keeping
from secateur.types import Fleet, Provenance, Report

if TYPE_CHECKING:
    from secateur.protocols import MembershipAttack, Progress
    from secateur.types import Measurement, Records

__all__ = ["audit_fleets", "audit_key", "default_attacks"]

REVISION = 5
"""Of what an audit chooses and measures: a report of another one is made anew. 2: the first
snapshot that is no less accurate; 4: TPR and canaries target by target."""


def default_attacks() -> tuple[MembershipAttack, ...]:
    """Return the attacks that an audit runs unless told otherwise.

    Example:
        >>> len(default_attacks())
        13
    """
    return (*signal_attacks(), NasrAttack())


def audit_fleets(  # noqa: PLR0913 - one argument per decision of an audit
    target: Fleet | Sequence[Fleet],
    records: Records,
    *,
    attacks: Sequence[MembershipAttack] | None = None,
    queries: Queries | None = None,
    groups: Sequence[str] = (),
    seed: int = 0,
    workers: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    timed: bool = False,
    scores: str | Path | None = None,
    answers: str | Path | None = None,
    keep_answers: bool = True,
) -> Report:
    """Audit one fleet, or a dense fleet and what was made of it.

    Args:
        target: fleets of one membership; the first is the baseline. Each holds targets and
            references.
        records: the fleets' records.
        attacks: default `default_attacks()`, and the one that is recommended for so few references.
        queries: the forms in which each record is asked about; by default as it is. The dense
            fleet's early-stopping curve holds those of its snapshots: give the same.
        groups: columns of the records' groups, or `class`; the strongest attack and the test
            accuracy are also measured within each of their groups. Canaries that were planted are a
            column of their own, always measured.
        seed: of learned attacks and controls.
        workers: worker processes for queries and learned attacks; 0 works in this process.
        about: further facts for the report: `title`, `command`, `data`, `labels` of subjects.
        progress: called after each queried model.
        device: where models are queried, such as `cuda:0`; attacks run on the CPU.
        timed: measure latency too: the first target of each fleet, by ONNX Runtime, in turn.
        scores: a .csv file for the risk of every record, with a note on keeping it beside it; the
            report names it with its digest, without its folder (docs/gate.md): write both into one.
            Written last.
        answers: a folder in which what models answer around records is kept as they are asked, so
            that an interrupted call, given again, asks the other models alone, and one with a
            fleet, a perturbation or a signal more what is new. Per-person numbers: see its note.
        keep_answers: False looks in that folder alone, and writes nothing.

    Returns:
        Rows with intervals, series, controls, provenance. The strongest attack and the
        early-stopped epochs that match a pruned fleet are chosen on the references; with fewer than
        8 of them the attack is the one that is recommended for so few.

    Raises:
        InputError: fleets of different memberships, or opened without their recipe.
        MethodError: with `answers`, a network that is spelled by its place in memory.
        StoreError: the folder of `answers` cannot be written.

    Example:
        >>> from secateur.data import digits, draw
        >>> from secateur.models import MLP
        >>> from secateur.train import Recipe, train_fleet
        >>> records = digits()
        >>> who = draw(records, targets=2, references=4, seed=0)
        >>> recipe = Recipe(build=MLP(widths=(64, 10)), epochs=1)
        >>> fleet = train_fleet(recipe, records, who, seed=0, engine="serial")
        >>> from secateur.attack.membership import LossThreshold
        >>> report = audit_fleets(fleet, records, attacks=[LossThreshold()])
        >>> sorted({row.risk for row in report.rows})
        ['cost', 'membership', 'size', 'utility']
    """
    begun = time.monotonic()
    fleets = [target] if isinstance(target, Fleet) else list(target)
    check_arguments(
        attacks=attacks,
        seed=seed,
        queries=queries,
        groups=groups,
        workers=workers,
        about=about,
        progress=progress,
        device=device,
        timed=timed,
        scores=scores,
        answers=answers,
    )
    seed = int(seed)  # numpy's would not go into a file
    table = check_table_path(scores)
    keeping = None if answers is None else Keeping(Path(answers), keep_answers)
    chosen = _chosen(fleets, attacks)
    groups = _with_canaries(groups, records)
    files = timeable(fleets, records) if timed else []
    subjects = observe_subjects(
        fleets,
        records,
        chosen,
        workers=workers,
        queries=queries,
        progress=progress,
        device=device,
        answers=keeping,
    )
    state = attack_subjects(
        subjects, records, chosen, seed=seed, workers=workers, progress=progress
    )
    rows, adaptive_pairs = rows_of(state, records, seed=seed)
    rows += _rows_of_groups(state, subjects, records, groups)
    if timed:
        rows += latency_rows(files, fleets[0].membership, records, progress=progress)
    about = dict(about or {})
    labels = dict(about.pop("labels", {}))
    title = str(about.pop("title", f"Membership audit of {', '.join(f.name for f in fleets)}"))
    return Report(
        title=title,
        rows=tuple(rows),
        series=(*series_of(state, records), *exposed_series(state, records, seed=seed)),
        controls=tuple(
            controls(
                state.subjects,
                state.scored,
                adaptive_pairs,
                records=records,
                strongest=state.strongest,
                seed=seed,
                queries=len(queries) if queries else 1,
            )
        ),
        provenance=Provenance(
            key=audit_key(fleets, records, attacks=chosen, queries=queries, seed=seed),
            context=circumstances(begun),
        ),
        facts={
            **facts_of(state, records, seed, labels),
            **({"queries": repr(queries)} if queries else {}),
            **({"groups": list(groups)} if groups else {}),
            **about,
        },
        side_files=write_table(table, state, records, groups, title=title, labels=labels),
    )


def _chosen(
    fleets: Sequence[Fleet], attacks: Sequence[MembershipAttack] | None
) -> tuple[MembershipAttack, ...]:
    if attacks is not None:
        return tuple(attacks)
    return with_recommended(default_attacks(), fleets[0].membership)


def _with_canaries(groups: Sequence[str], records: Records) -> Sequence[str]:
    """Return the columns within which is measured; refuse one that is not there."""
    for name in groups:
        column_of(records, name)
    return (*groups, CANARY) if holds_canaries(records) and CANARY not in groups else groups


def _rows_of_groups(
    state: Found, subjects: Sequence[Subject], records: Records, groups: Sequence[str]
) -> list[Measurement]:
    """Return rows of each subject's strongest attack within the groups of these columns."""
    found = [state.best(subject.name) for subject in subjects if groups]
    return [row for best in found if best is not None for row in group_rows(best, records, groups)]


def audit_key(
    fleets: Sequence[Fleet],
    records: Records,
    *,
    attacks: Sequence[MembershipAttack] | None = None,
    queries: Queries | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return what decides an audit's report, and is known before it: its provenance key.

    Args:
        fleets: as `audit_fleets` takes them.
        records: the fleets' records.
        attacks: as `audit_fleets` takes them.
        queries: as `audit_fleets` takes them.
        seed: of learned attacks and controls.
    """
    chosen = _chosen(fleets, attacks)
    return {
        "records": records.digest,
        "membership": fleets[0].membership.digest,
        "fleets": {f.name: [_model_key(f, i) for i in range(len(f))] for f in fleets},
        "attacks": [repr(a) for a in chosen],
        "revisions": {repr(a): getattr(a, "revision", None) for a in chosen},
        "audit": REVISION,
        **({"queries": repr(queries)} if queries else {}),
        "seed": seed,
    }


def _model_key(fleet: Fleet, model: int) -> str:
    """Return a model's provenance digest, without reading the model where it is stored."""
    stored = getattr(fleet.artifacts, "key_digest", None)
    return str(stored(model)) if stored else fleet.artifacts[model].provenance.digest

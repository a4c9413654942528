"""`secateur power`: what an audit of a given size can resolve; no torch is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from secateur.measure import AuditSize

__all__ = ["command"]

FPR = 0.01
LIKELY_AUC = 0.6


@click.command("power")
@click.option("--targets", type=int, help="Models under audit. Default: as in --pilot.")
@click.option("--members", type=int, help="Members of each (persons). Default: as in --pilot.")
@click.option(
    "--non-members", type=int, help="Non-members of each (persons). Default: as in --pilot."
)
@click.option(
    "--between-sd",
    type=float,
    help="How far the targets' true AUCs spread (standard deviation). Default: as in --pilot.",
)
@click.option("--auc", type=float, help="About what it will be. Default: as in --pilot, else 0.6.")
@click.option(
    "--pilot",
    type=click.Path(path_type=Path),
    help="A report of the same pipeline, from whose AUC (t interval over targets) both are read.",
)
@click.option(
    "--correlation",
    type=float,
    default=0.5,
    show_default=True,
    help="Of two models' AUCs over the same targets, for paired differences.",
)
@click.option(
    "--difference",
    type=float,
    default=0.02,
    show_default=True,
    help="Of two AUCs: say how many targets find it.",
)
def command(**options: Any) -> None:
    """Say before anything is trained what an audit of this size can find.

    \b
    Examples:
      secateur power --targets 8 --members 1000 --non-members 1000 --between-sd 0.01
      secateur power --targets 16 --pilot report.json --difference 0.01
    """
    click.echo("\n".join(power(**options)))


@dataclass(frozen=True, kw_only=True)
class _Pilot:
    """What a report's AUC says, and its TPR at 1 % FPR where it is measured."""

    between_sd: float
    auc: float
    tpr: float | None
    read: bool
    counts: dict[str, int]
    about: str


def power(
    *,
    targets: int | None,
    members: int | None,
    non_members: int | None,
    between_sd: float | None,
    auc: float | None,
    pilot: Path | None,
    correlation: float,
    difference: float,
) -> list[str]:
    """Return the lines to print, assumptions first."""
    from secateur.errors import InputError
    from secateur.measure import AuditSize

    seen = None if pilot is None else _read(pilot, between_sd)
    given = {"targets": targets, "members": members, "non_members": non_members}
    if seen is not None:
        given = {k: seen.counts[k] if v is None else v for k, v in given.items()}
    for name, value in given.items():
        if value is None:
            raise InputError(f"--{name.replace('_', '-')} is missing; give it, or --pilot")
    spread = seen.between_sd if seen is not None else between_sd
    size = AuditSize(**given, between_sd=0.0 if spread is None else spread)  # type: ignore[arg-type]
    level = auc if auc is not None else LIKELY_AUC if seen is None else seen.auc
    if not 0 < level < 1:
        raise InputError(f"the AUC must be in (0, 1), got {level:g}; give --auc")
    return [
        *_assumed(size, level, seen, guessed=spread is None),
        *_resolved(size, level, None if auc is not None or seen is None else seen.tpr),
        *_differences(size, level, correlation, difference),
    ]


def _read(path: Path, between_sd: float | None) -> _Pilot:
    """Read the baseline's strongest attack off a report; `between_sd` replaces what it says."""
    from secateur import store
    from secateur.errors import InputError
    from secateur.measure import between_sd_of, fpr_name, units_of
    from secateur.report.lookup import find, label, short, strongest, subjects

    report = store.read_report(path)
    names = subjects(report)
    subject = str(report.facts.get("baseline", names[0] if names else ""))
    method = strongest(report, subject)
    row = find(report, subject, "auc", method=method)
    if row is None or row.value is None:
        raise InputError(f"{path} holds no measured AUC of {subject!r}; give --between-sd instead")
    found = find(report, subject, fpr_name(FPR), method=method)
    spread = between_sd_of(row) if between_sd is None else between_sd
    members, others = units_of(row)
    return _Pilot(
        between_sd=spread,
        auc=row.value,
        tpr=None if found is None else found.value,
        read=between_sd is None,
        counts={
            "targets": round(row.counts["targets"]),
            "members": members,
            "non_members": others,
        },
        about=f"{path.name}: {label(report, subject)}, {short(method)}"
        + ("" if between_sd is None else "; the spread is as given"),
    )


def _assumed(size: AuditSize, auc: float, seen: _Pilot | None, *, guessed: bool) -> list[str]:
    source = "" if seen is None else f" (from {seen.about})"
    lines = [
        f"audit: {size.targets} targets, each with {size.members:,} members and "
        f"{size.non_members:,} non-members",
        f"assumed: AUC {auc:.3g}, spread between targets {size.between_sd:.3g}{source}",
    ]
    if guessed:
        lines.append(
            "note: without --between-sd or --pilot targets differ by their records alone; an "
            "optimist's view"
        )
    elif seen is not None and seen.read and size.between_sd == 0:
        lines.append("note: in the pilot the records alone explain how the targets differ")
    return lines


def _resolved(size: AuditSize, auc: float, tpr: float | None) -> list[str]:
    from scipy.stats import norm

    from secateur.measure import auc_half_width, planned_interval, resolvable_fpr, tpr_half_width

    lowest = resolvable_fpr(size)
    expected = float(norm.cdf(norm.ppf(FPR) + 2**0.5 * norm.ppf(auc))) if tpr is None else tpr
    source = "a Gaussian ROC of this AUC" if tpr is None else "the pilot"
    return [
        f"lowest resolvable FPR: {'none listed' if lowest is None else f'{100 * lowest:g} %'} "
        "(10 false positives over all targets)",
        f"intervals: {planned_interval(size)}",
        f"half-width of the AUC: {_said(lambda: auc_half_width(size, auc=auc))}",
        f"half-width of the TPR at {100 * FPR:g} % FPR: "
        f"{_said(lambda: tpr_half_width(size, tpr=expected, fpr=FPR))} "
        f"(around {expected:.3g}, by {source})",
    ]


def _differences(size: AuditSize, auc: float, correlation: float, wanted: float) -> list[str]:
    from secateur.measure import detectable_difference, targets_needed

    lines = []
    for name, shared in ((f"paired, correlation {correlation:g}", correlation), ("unpaired", None)):

        def least(shared: float | None = shared) -> float:
            return detectable_difference(size, auc=auc, correlation=shared)

        def needed(shared: float | None = shared) -> float:
            return targets_needed(wanted, size, auc=auc, correlation=shared)

        lines += [
            f"smallest difference of AUCs found in 4 of 5 audits, {name}: {_said(least)}",
            f"targets that find a difference of {wanted:g}, {name}: {_said(needed)}",
        ]
    return lines


def _said(number: Callable[[], float]) -> str:
    """Return a number as text, or why this size gives none."""
    from secateur.errors import MethodError

    try:
        value = number()
    except MethodError as error:
        return f"none: {error}"
    return str(value) if isinstance(value, int) else f"{value:.3f}"

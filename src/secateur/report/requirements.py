"""What a policy asks of the audit itself: its age, models, attacker and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from secateur.context import MADE
from secateur.report.policy import Policy
from secateur.report.spoken import no_such
from secateur.report.verdicts import Finding
from secateur.types import Control, Report

__all__ = ["requirements", "requires_subjects"]

PER_SUBJECT = (
    *("null", "gap", "reference-accuracy", "saturation", "convergence", "asked-around"),
    "adaptive",
)
"""Controls of which each is of one subject; the others are of the audit."""
WHERE_IT_APPLIES = ("convergence", "asked-around", "adaptive")
"""Of these, those that only some subjects have."""


def requirements(
    report: Report, policy: Policy, about: Sequence[str], *, now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each requirement of a policy on the audit.

    Args:
        report: of the audit.
        policy: what it must show.
        about: the subjects that the policy is about.
        now: from which the report's age counts, with its time zone.
    """
    if policy.max_age_days is not None:
        yield _age(report, policy.max_age_days, now)
    models = dict(report.facts.get("models", {}))
    for name, least in (
        ("references", policy.min_references),
        ("targets", policy.min_targets),
    ):
        if least is not None:
            yield _models(name, models.get(name), least)
    lacking = "" if about else no_such(report, policy.subject)
    if policy.adaptive_attacker:
        if lacking:
            yield Finding(rule="adaptive_attacker", subject=policy.subject, why=lacking)
        for subject in about:
            yield _adaptive(report, subject)
    for name in policy.required_controls:
        if lacking and name in PER_SUBJECT:
            yield Finding(rule=f"control {name}", subject=policy.subject, why=lacking)
        else:
            yield _control(report, name, about)


def requires_subjects(policy: Policy) -> bool:
    """Tell whether a policy asks for something of each of its subjects, beside its rules."""
    return policy.adaptive_attacker or bool({*PER_SUBJECT} & {*policy.required_controls})


def _age(report: Report, most: float, now: datetime) -> Finding:
    rule = f"max_age_days {most:g}"
    try:
        made = datetime.fromisoformat(str(report.provenance.context[MADE]))
    except (KeyError, ValueError):
        why = (
            "the report does not say when it was made: an earlier version wrote it, or another "
            "program; audit anew"
        )
        return Finding(rule=rule, why=why)
    made = made if made.tzinfo else made.replace(tzinfo=UTC)
    age = now - made
    days = age / timedelta(days=1)
    shown = f"made {made:%Y-%m-%d}, {days:.1f} days ago"
    if age < -timedelta(hours=1):
        return Finding(rule=rule, value=days, shown=shown, why="that lies in the future")
    if days > most:
        return Finding(rule=rule, value=days, shown=shown, why=f"more than {most:g} days")
    return Finding(rule=rule, value=days, shown=shown, holds=True)


def _models(name: str, found: object, least: int) -> Finding:
    rule = f"min_{name} {least}"
    if not isinstance(found, int | float):
        return Finding(rule=rule, why=f"the report does not say how many {name} there were")
    why = "" if found >= least else f"fewer than {least}"
    shown = f"{found:g} {name}"
    return Finding(rule=rule, value=float(found), holds=not why, shown=shown, why=why)


def _adaptive(report: Report, subject: str) -> Finding:
    """Ask for an attack whose references went through the subject's own pipeline."""
    rule = "adaptive_attacker"
    if "kept" in report.facts:
        why = "saved signals do not say how the references were made; audit fleets"
        return Finding(rule=rule, subject=subject, why=why)
    ran = [
        row.method
        for row in report.rows
        if (row.subject, row.metric, row.group) == (subject, "auc", "all")
        and row.threat == "adaptive"
        and row.value is not None
        and not row.versus
        and row.counts.get("references", 0) > 0
    ]
    if not ran:
        why = "no attack with references of the same pipeline was measured"
        return Finding(rule=rule, subject=subject, why=why)
    return Finding(rule=rule, subject=subject, holds=True, shown=f"{len(ran)} adaptive attacks")


def _control(report: Report, name: str, about: Sequence[str]) -> Finding:
    """Ask for a control that ran and passed, on each of the policy's subjects that has one."""
    rule = f"control {name}"
    found = [c for c in report.controls if c.id == name]
    if name in PER_SUBJECT:
        found = [c for c in found if c.subject in about]
        without = [s for s in about if s not in {c.subject for c in found}]
        if without and found and name not in WHERE_IT_APPLIES:
            return Finding(rule=rule, why=f"it did not run on {', '.join(without)}")
    if not found:
        return Finding(rule=rule, why="it did not run: the report has no such control")
    bad = [_said(c) for c in found if c.status != "passed"]
    shown = f"{len(found) - len(bad)} of {len(found)} passed"
    return Finding(rule=rule, holds=not bad, shown=shown, why="; ".join(bad))


def _said(control: Control) -> str:
    of = "" if control.subject == "all" else f" on {control.subject}"
    return f"{control.status}{of}: {control.saw}"

"""Hold a report against a policy: one finding per rule and row, none of them a verdict on privacy.

What a report lacks, and what it could not resolve, is a violation, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from secateur.errors import InputError
from secateur.report.lookup import find, label, strongest, subjects
from secateur.report.metrics import METRICS
from secateur.report.paired import difference, paired
from secateur.report.policy import Policy, Rule
from secateur.report.requirements import requirements, requires_subjects
from secateur.report.spoken import called, named, no_such, released, subject_of
from secateur.report.table import cell
from secateur.report.verdicts import Finding
from secateur.spelling import did_you_mean
from secateur.types import Measurement, Report

__all__ = ["cause", "check", "spelled"]


def check(report: Report, policy: Policy, *, now: datetime | None = None) -> list[Finding]:
    """Return what each rule of a policy finds in a report, in the policy's order.

    Args:
        report: of an audit.
        policy: what it must show.
        now: the time that `max_age_days` counts back from, with its time zone.

    Returns:
        At least one finding per rule and requirement; the report keeps the policy where all `hold`.

    Raises:
        InputError: the policy limits the report's age and `now` is not given.

    Example:
        >>> from secateur.report.policy import read_policy
        >>> row = Measurement(subject="dense", risk="membership", method="LiRA()", metric="auc",
        ...                   value=0.58, low=0.55, high=0.61, interval="t over targets")
        >>> report = Report(title="made", rows=(row,))
        >>> policy = read_policy('[[rule]]\\nmetric = "auc"\\nmax = 0.6')
        >>> [finding.holds for finding in check(report, policy)]
        [False]
    """
    if policy.max_age_days is not None and now is None:
        raise InputError("the policy limits the report's age: give now=datetime.now(UTC)")
    about = released(report, policy.subject)
    found = list(requirements(report, policy, about, now=now or datetime.now(UTC)))
    for rule in policy.rules:
        found += _rule(report, rule)
    return found


def cause(report: Report, policy: Policy) -> str:
    """Return in one line which subjects a policy speaks of that a report does not have.

    Such a subject violates every rule about it, each finding for the same reason. Empty where each
    of them names one.

    Args:
        report: of an audit.
        policy: what it must show.

    Example:
        >>> from secateur.report.policy import read_policy
        >>> row = Measurement(subject="dense", risk="membership", method="LiRA()", metric="auc",
        ...                   value=0.58)
        >>> report = Report(title="made", rows=(row,))
        >>> policy = read_policy('subject = "dens"\\n[[rule]]\\nmetric = "auc"\\nmax = 0.6')
        >>> cause(report, policy)[:55]
        'The policy speaks of `dens`, and the report has `dense`'
    """
    asked = [policy.subject] if requires_subjects(policy) else []
    asked += [rule.subject for rule in policy.rules]
    absent = [a for a in dict.fromkeys(asked) if not released(report, a)]
    if not absent:
        return ""
    there = released(report, "*")
    said = f"The policy speaks of {named(absent)}, and the report has {called(report, there)}: "
    known = [*there, *(label(report, name) for name in there)]
    mends = [f'change subject = "{a}" in the policy; {did_you_mean(a, known)}' for a in absent]
    return (said + " ".join(mends)).strip().removesuffix(";")


def _rule(report: Report, rule: Rule) -> Iterator[Finding]:
    about = released(report, rule.subject)
    rule = replace(rule, versus=_versus(report, rule))
    names = [name for name in about if name != rule.versus]
    if not names:
        why = _itself(rule) if about else no_such(report, rule.subject)
        yield _missing(rule, rule.subject, why)
        return
    if rule.versus and rule.versus not in subjects(report):
        yield _missing(rule, rule.subject, f"versus: {no_such(report, rule.versus)}")
        return
    for name in names:
        rows = _by_each(report, rule, name, _rows(report, rule, name))
        if not rows:
            lacking = _missing(rule, name, _lacking(report, rule, name))
            yield replace(lacking, label=label(report, name))
        for row in rows:
            yield _judged(report, rule, row)


def _rows(report: Report, rule: Rule, subject: str) -> list[Measurement]:
    """Return a subject's rows that a rule is about: of several names the first that is there."""
    for name in rule.rows:
        found = [
            row
            for row in report.rows
            if (row.subject, row.metric, row.versus) == (subject, name, rule.versus)
            and row.risk == METRICS[rule.metric].risk
            and row.threat != "naive"
            and (row.group == rule.group or fnmatchcase(row.group, rule.group))
            and _by(report, rule, row)
        ]
        if found:
            return found
    return []


def _by_each(
    report: Report, rule: Rule, subject: str, rows: list[Measurement]
) -> list[Measurement]:
    """Return rows with the difference over all records as the page has it.

    There each side is attacked by its own strongest attack. The rows stay as they are where the
    rule names an attack, or the report lacks what that difference is made of. One of test accuracy
    is none of the report's rows, but made of its numbers target by target.
    """
    if rule.metric == "test accuracy" and rule.versus and not rows:
        return [paired((report, subject), (report, rule.versus), "test accuracy")]
    if not rule.versus or rule.attack != "strongest" or not fnmatchcase("all", rule.group):
        return rows
    if rule.metric not in ("auc", "tpr"):
        return rows
    row = difference(report, subject, rule.versus, "auc" if rule.metric == "auc" else "tpr")
    if row is None or row.value is None or row.metric not in rule.rows:
        return rows
    return [row, *(other for other in rows if other.group != "all")]


def _other_attack(report: Report, rule: Rule, row: Measurement) -> str:
    """Return the attack on a difference's other side, where it is another one."""
    if not (row.versus and METRICS[rule.metric].attacked) or row in report.rows:
        return ""
    return strongest(report, row.versus)


def _versus(report: Report, rule: Rule) -> str:
    """Return the other side of a difference; speed-ups are over the baseline unless named."""
    if rule.metric == "speed-up" and not rule.versus:
        return str(report.facts.get("baseline", ""))
    return subject_of(report, rule.versus)


def _itself(rule: Rule) -> str:
    """Say that a rule compares a subject with itself."""
    other = named([rule.versus])
    said = f"{other} would be compared with itself"
    if rule.metric == "speed-up":
        said = f"speed-ups are over {other}, which has none over itself"
    return f"{said}; give another subject, or another versus"


def _by(report: Report, rule: Rule, row: Measurement) -> bool:
    """Tell whether a row is of the attack that a rule names."""
    if not METRICS[rule.metric].attacked:
        return True
    if rule.attack == "strongest":
        return row.method == strongest(report, row.subject)
    name = row.method.partition("(")[0]
    return rule.attack in (row.method, name) or fnmatchcase(row.method, rule.attack)


def _lacking(report: Report, rule: Rule, subject: str) -> str:
    """Say what a report has in the place of a row that a rule asks for."""
    wanted = " or ".join(rule.rows)
    said = f"the report has no {wanted}"
    said += f" of group {rule.group}" if rule.group != "all" else ""
    said += f" against {rule.versus}" if rule.versus else ""
    if METRICS[rule.metric].attacked:
        said += f" by {rule.attack}" if rule.attack != "strongest" else " by the strongest attack"
    start = rule.rows[0].partition(" at ")[0].partition(",")[0]
    near = {
        row.metric
        for row in report.rows
        if row.subject == subject and row.metric.partition(" at ")[0].partition(",")[0] == start
    } - set(rule.rows)
    others = "accuracy on non-members"  # what a report of a single network has in its place
    if rule.metric == "test accuracy" and find(report, subject, others) is not None:
        near.add(others)
    return said + (f"; it has {', '.join(sorted(near))}" if near else "")


def _missing(rule: Rule, subject: str, why: str) -> Finding:
    return Finding(
        rule=spelled(rule), subject=subject, metric=rule.metric, group=rule.group, why=why
    )


def _judged(report: Report, rule: Rule, row: Measurement) -> Finding:
    """Hold one row against a rule's limits."""
    limits = ((rule.max, True), (rule.min, False))
    said = (_broken(row, rule, limit, most) for limit, most in limits if limit is not None)
    broken = list(dict.fromkeys(filter(None, said)))
    shown = cell(row, digits=_digits(row)) + (f" {row.unit}" if row.unit else "")
    return Finding(
        rule=spelled(rule),
        subject=row.subject,
        label=label(report, row.subject),
        metric=row.metric,
        attack=row.method if METRICS[rule.metric].attacked else "",
        group=row.group,
        versus=row.versus,
        versus_attack=_other_attack(report, rule, row),
        holds=not broken,
        value=row.value,
        low=row.low,
        high=row.high,
        interval=row.interval,
        shown=shown,
        why="; ".join(broken),
    )


def _broken(row: Measurement, rule: Rule, limit: float, most: bool) -> str:
    """Say how a row breaks a limit, or that it cannot be held against it; empty where it keeps it.

    Args:
        row: of the report.
        rule: whose end of the interval counts.
        limit: the most that it may be, or the least.
        most: whether it is the most.
    """
    value, name = _end(row, rule, most=most)
    if value is None:
        return name
    if value > limit if most else value < limit:
        return f"{name} {_amount(row, value)} is {'above' if most else 'below'} {limit:g}"
    return ""


def _end(row: Measurement, rule: Rule, *, most: bool) -> tuple[float | None, str]:
    """Return what of a row is held against a limit, and its name; without it, why there is none."""
    if row.value is None:
        return None, f"{row.status}: {row.why}"
    end = ("upper" if most else "lower") if rule.end == "worse" else rule.end
    if end == "value" or row.status == "exact":
        return row.value, "the value"
    if end == "p95":
        late = row.counts.get("p95")
        of = "the 95th percentile of calls"
        return late, of if late is not None else f"the report does not hold {of}"
    found = row.high if end == "upper" else row.low
    if found is None:
        return None, f'it has no {end} end; write end = "value" to hold its value against the limit'
    return found, f"the {end} end"


def spelled(rule: Rule) -> str:
    """Return a rule as a line.

    Example:
        >>> spelled(Rule(metric="tpr", options={"fpr": 0.01}, max=0.05))
        'tpr (fpr 0.01) <= 0.05'
    """
    said = rule.metric
    if rule.options:
        said += f" ({', '.join(f'{k} {v:g}' for k, v in rule.options.items())})"
    limits = [f"<= {rule.max:g}"] if rule.max is not None else []
    limits += [f">= {rule.min:g}"] if rule.min is not None else []
    said += f" {' and '.join(limits)}"
    if rule.end != METRICS[rule.metric].end:
        said += f", {rule.end} end" if rule.end in ("upper", "lower") else f", {rule.end}"
    return f"{rule.name}: {said}" if rule.name else said


def _digits(row: Measurement) -> int:
    return 0 if row.unit == "B" or (row.value is not None and abs(row.value) >= 1000) else 3


def _amount(row: Measurement, value: float) -> str:
    """Write a number that breaks a limit: with so many digits that it does not look equal."""
    return f"{value:.{_digits(row)}f}" if _digits(row) == 0 else f"{value:.6g}"

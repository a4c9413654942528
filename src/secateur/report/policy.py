"""Read a policy: what a report must show before a model is released."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from secateur.errors import InputError
from secateur.report.metrics import ENDS, METRICS, OPTIONS, End, row_names
from secateur.spelling import did_you_mean

__all__ = ["CONTROLS", "Policy", "Rule", "read_policy"]

CONTROLS = (
    "given-model",
    "null",
    "planted-leak",
    "blind-baseline",
    "near-duplicates",
    "references",
    "few-records",
    "training-size",
    "reference-accuracy",
    "leave-one-out",
    "gap",
    "logits",
    "saturation",
    "convergence",
    "asked-around",
    "adaptive",
    "early-stopping-curve",
    "augmented-queries",
)
TEXTS = ("metric", "subject", "attack", "group", "versus", "name")
RULE_KEYS = (*TEXTS, "min", "max", "end", *OPTIONS)
COUNTS = ("min_references", "min_targets")
KEYS = (
    *("title", "subject", "required_controls", "max_age_days"),
    *(*COUNTS, "adaptive_attacker", "rule"),
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One limit: rows of a report that are named, and the least or the most that they may be.

    `subject`, `attack` and `group` may hold `*` and `?`; the attack `strongest` is the one that was
    chosen on references. `end` says which end of the interval is held against the limit: `worse`
    is the upper one for `max`, the lower one for `min`.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    end: End = "worse"
    subject: str = "*"
    attack: str = "strongest"
    group: str = "all"
    versus: str = ""
    name: str = ""
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names that a report's row may have."""
        return row_names(self.metric, self.options)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a report must show: limits, controls, age, references, an adaptive attacker."""

    rules: tuple[Rule, ...] = ()
    title: str = ""
    subject: str = "*"
    required_controls: tuple[str, ...] = ()
    max_age_days: float | None = None
    min_references: int | None = None
    min_targets: int | None = None
    adaptive_attacker: bool = False


def read_policy(text: str, *, where: str = "the policy") -> Policy:
    """Return what a policy's TOML text asks for.

    Args:
        text: TOML; docs/gate.md lists every key.
        where: the file's name, for the messages.

    Raises:
        InputError: what is wrong, where, and how to mend it.

    Example:
        >>> policy = read_policy('[[rule]]\\nmetric = "auc"\\nmax = 0.6')
        >>> policy.rules[0].attack, policy.rules[0].max
        ('strongest', 0.6)
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        json = text.lstrip().startswith("{")
        swapped = "; the report comes first: secateur gate REPORT.json POLICY.toml" if json else ""
        raise InputError(f"{where} is no TOML: {error}{swapped}") from error
    _refuse_unknown(found, KEYS, where)
    subject = _text(found, "subject", where, "*")
    adaptive = found.get("adaptive_attacker", False)
    if not isinstance(adaptive, bool):
        raise InputError(f"{where}: adaptive_attacker must be true or false, got {adaptive!r}")
    tables = found.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise InputError(f"{where}: write rules as [[rule]] tables, with double brackets")
    age = _number(found, "max_age_days", where)
    if age is not None and age <= 0:
        raise InputError(f"{where}: max_age_days must be above 0, got {age:g}")
    policy = Policy(
        title=_text(found, "title", where, ""),
        rules=tuple(
            _rule(table, subject, f"{where}, [[rule]] {n}") for n, table in enumerate(tables, 1)
        ),
        subject=subject,
        required_controls=_controls(found.get("required_controls", []), where),
        max_age_days=age,
        adaptive_attacker=adaptive,
        **{key: _count(found, key, where) for key in COUNTS},
    )
    if policy == Policy(title=policy.title, subject=subject):
        raise InputError(
            f"{where} asks for nothing, so every report would pass; add a [[rule]] with a metric "
            "and its max or min"
        )
    return policy


def _rule(table: Mapping[str, Any], subject: str, where: str) -> Rule:
    _refuse_unknown(table, RULE_KEYS, where)
    texts = {key: _text(table, key, where) for key in TEXTS if key in table}
    if "metric" not in texts:
        raise InputError(f'{where} names no metric; write one, such as metric = "auc"')
    name = texts["metric"]
    if name not in METRICS:
        raise InputError(
            f"{where}: unknown metric {name!r}; {_near(name)}there are {', '.join(METRICS)}"
        )
    if "attack" in texts and not METRICS[name].attacked:
        raise InputError(f"{where}: {name} is of no attack; leave attack out")
    ends: tuple[str, ...] = ENDS if name == "latency" else ENDS[:-1]
    end = table.get("end", METRICS[name].end)
    if "end" in table and end not in ends:
        raise InputError(f"{where}: end must be {', '.join(ends)}, got {end!r}")
    rule = Rule(
        **{"subject": subject, **texts},
        min=_number(table, "min", where),
        max=_number(table, "max", where),
        end=end,
        options=_options(table, name, where),
    )
    _check_versus(rule, where)
    _check_limits(rule, where)
    return rule


def _near(name: str) -> str:
    if name == "accuracy":
        return (
            "write 'test accuracy' for the model's (of a single network 'accuracy on "
            "non-members'), 'attack accuracy' for the attack's; "
        )
    for known, metric in METRICS.items():
        if metric.options and name.lower().startswith(known):  # as a report names its rows
            return f"write {known!r}, and beside it {' and '.join(metric.options)}; "
    return did_you_mean(name, METRICS)


def _options(table: Mapping[str, Any], metric: str, where: str) -> dict[str, float]:
    """Return the options of a metric, refused where they do not fit it."""
    known = METRICS[metric].options
    found: dict[str, float] = {}
    for key in (k for k in OPTIONS if k in table):
        value = _number(table, key, where)
        if key not in known:
            has = f"; it has {', '.join(known)}" if known else ""
            raise InputError(f"{where}: {metric} has no {key}{has}")
        whole = key in ("batch", "threads")
        if value is None or (whole and (value < 1 or value % 1)):
            raise InputError(f"{where}: {key} must be a whole number of at least 1, got {value!r}")
        if not whole and not 0 < value < 1:
            raise InputError(f"{where}: {key} must be between 0 and 1, got {value:g}")
        found[key] = value
    for key, such in (("fpr", "0.01"), ("prior", "0.1")):
        if key in known and key not in found:
            raise InputError(f"{where}: {metric} needs {key}, such as {key} = {such}")
    return found


def _check_versus(rule: Rule, where: str) -> None:
    """Refuse a difference that no report holds."""
    if rule.versus and not METRICS[rule.metric].differs:
        known = ", ".join(name for name, metric in METRICS.items() if metric.differs)
        raise InputError(
            f"{where}: no differences of {rule.metric} are known, so that no report could keep the "
            f"rule; leave versus out, or ask for one of {known}"
        )
    if rule.versus and not fnmatchcase("all", rule.group):
        raise InputError(
            f"{where}: differences are over all records, none within {rule.group}; leave group or "
            "versus out"
        )


def _check_limits(rule: Rule, where: str) -> None:
    """Refuse limits that no report could break, or none could keep."""
    if rule.min is None and rule.max is None:
        raise InputError(f"{where} has no limit; write max or min, such as max = 0.6")
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        raise InputError(
            f"{where}: min {rule.min:g} is above max {rule.max:g}: nothing can keep both"
        )
    metric = METRICS[rule.metric]
    least, most = metric.bounds(difference=bool(rule.versus))
    lies = f"lies in [{least:g}, {most:g}]" if most < math.inf else f"is at least {least:g}"
    mend = "; write a share, such as 0.6 for 60 %" if metric.rate else ""
    for key, limit in (("min", rule.min), ("max", rule.max)):
        if limit is None:
            continue
        if not least <= limit <= most:
            raise InputError(
                f"{where}: {rule.metric} {lies}, so that the limit {limit:g} says nothing{mend}"
            )
        if limit == (least if key == "min" else most):
            raise InputError(
                f"{where}: {rule.metric} {lies}, so that {key} = {limit:g} says nothing: every "
                f"value keeps it; write another limit, or leave {key} out"
            )


def _controls(asked: Any, where: str) -> tuple[str, ...]:
    if not isinstance(asked, list) or not all(isinstance(name, str) for name in asked):
        raise InputError(
            f'{where}: required_controls must be a list of names, such as ["null"], got {asked!r}'
        )
    for name in asked:
        if name not in CONTROLS:
            raise InputError(
                f"{where}: unknown control {name!r}; {did_you_mean(name, CONTROLS)}there are "
                f"{', '.join(CONTROLS)}"
            )
    return tuple(dict.fromkeys(asked))


def _refuse_unknown(found: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in found:
        if key not in known:
            raise InputError(
                f"{where}: unknown key {key!r}; {did_you_mean(key, known)}there are "
                f"{', '.join(known)}"
            )


def _text(found: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = found.get(key, default)
    if not isinstance(value, str) or (key in found and not value.strip()):
        raise InputError(f"{where}: {key} must be a text, got {value!r}")
    return value


def _number(found: Mapping[str, Any], key: str, where: str) -> float | None:
    value = found.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {key} must be a finite number, got {value!r}")
    return value


def _count(found: Mapping[str, Any], key: str, where: str) -> int | None:
    value = _number(found, key, where)
    if value is not None and (not isinstance(value, int) or value < 1):
        raise InputError(f"{where}: {key} must be a whole number of at least 1, got {value!r}")
    return value

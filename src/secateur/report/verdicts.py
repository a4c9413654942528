"""What a policy found in a report: findings, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from secateur.report.lookup import short

__all__ = ["GATE_SCHEMA", "Finding", "as_json", "render_findings"]

GATE_SCHEMA = "gate-1"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule held against one row of a report: whether it holds, the value and why not.

    `versus_attack` is the attack on a difference's other side, where that is another one.
    """

    rule: str
    subject: str = ""
    label: str = ""
    metric: str = ""
    attack: str = ""
    group: str = "all"
    versus: str = ""
    versus_attack: str = ""
    holds: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = "none"
    shown: str = ""
    why: str = ""


def as_json(findings: Sequence[Finding], *, report: str, policy: str) -> dict[str, Any]:
    """Return findings as plain JSON values.

    Args:
        findings: of one report and one policy.
        report: the report's title.
        policy: the policy's title.

    Example:
        >>> as_json([Finding(rule="auc <= 0.6", holds=True)], report="r", policy="p")["holds"]
        True
    """
    return {
        "schema": GATE_SCHEMA,
        "report": report,
        "policy": policy,
        "holds": all(f.holds for f in findings),
        "violated": sum(not f.holds for f in findings),
        "findings": [asdict(f) for f in findings],
    }


def render_findings(findings: Sequence[Finding], *, cause: str = "") -> str:
    """Return one line per finding, violations first, and their number.

    Args:
        findings: of one report and one policy.
        cause: one line that comes first, where several violations have one cause.
    """
    ordered = sorted(findings, key=lambda f: f.holds)
    broken = sum(not f.holds for f in findings)
    said = (
        f"{broken} of {len(findings)} checks are violated."
        if broken
        else f"All {len(findings)} checks hold."
    )
    return "\n".join(
        [
            *([_printable(cause)] if cause else []),
            *map(_line, ordered),
            said,
            "An audit is an empirical lower bound on leakage, never a guarantee.",
        ]
    )


def _line(finding: Finding) -> str:
    of = finding.label or finding.subject
    said = f"{'holds   ' if finding.holds else 'VIOLATED'}  {finding.rule}"
    said += f" | {of}" if of else ""
    said += f" - {finding.versus}" if finding.versus else ""
    said += f", {finding.group}" if finding.group != "all" else ""
    said += f", {short(finding.attack)}" if finding.attack else ""
    said += f", {short(finding.versus_attack)} on {finding.versus}" if finding.versus_attack else ""
    about = "; ".join(filter(None, (finding.shown, finding.why)))
    return _printable(f"{said}: {about}")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)

"""`secateur gate`: hold a report against a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["command"]

VIOLATED = 1
PATH = click.Path(path_type=Path)


@click.command("gate")
@click.argument("report", type=PATH)
@click.argument("policy", type=PATH)
@click.option("--json", "out", type=PATH, help="Write each rule's finding too.")
def command(report: Path, policy: Path, out: Path | None) -> None:
    """Hold REPORT (JSON, of an audit) against POLICY (TOML; docs/gate.md lists its keys).

    The exit code is 0 where every rule holds, 1 where one is violated, 2 where a file cannot be
    read. What the report lacks or could not resolve is a violation.

    \b
    Examples:
      secateur gate report.json examples/policy.toml
      secateur gate report.json examples/policy.toml --json gate.json
    """
    from datetime import UTC, datetime

    from secateur import store
    from secateur.cli.amounts import text_of
    from secateur.cli.checks import refuse_outputs
    from secateur.errors import InputError
    from secateur.report.gate import cause, check
    from secateur.report.policy import read_policy
    from secateur.report.verdicts import as_json, render_findings
    from secateur.types import Sweep

    refuse_outputs(out, inputs=(report, policy))
    asked = read_policy(text_of(policy, what="policy", page="docs/gate.md"), where=str(policy))
    found = store.read_result(report)
    if isinstance(found, Sweep):
        raise InputError(
            f"{report} is a sweep's result, not a report; give the report of one of its seeds, "
            "such as seed-0/report.json beside it"
        )
    findings = check(found, asked, now=datetime.now(UTC))
    if out is not None:
        store.write_document(
            out, as_json(findings, report=found.title, policy=asked.title or policy.name)
        )
    click.echo(render_findings(findings, cause=cause(found, asked)))
    if not all(finding.holds for finding in findings):
        sys.exit(VIOLATED)

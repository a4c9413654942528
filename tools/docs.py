"""Write docs/results/ and the README's table anew from results/: `python -m tools.docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from secateur import store
from secateur.report.table import HEADERS, cell, main_table
from secateur.report.words import answer
from secateur.types import Report

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- demo table -->", "<!-- /demo table -->"


def markdown_table(report: Report) -> str:
    """Return the main table as Markdown."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|" + " --- |" * len(HEADERS)]
    lines += ["| " + " | ".join(line[h] for h in HEADERS) + " |" for line in main_table(report)]
    return "\n".join(lines)


def page(name: str, report: Report) -> str:
    """Return the Markdown page of one result."""
    facts = report.facts
    context = report.provenance.context
    pools = ", ".join(f"{k} {v}" for k, v in facts["pools"].items() if v)
    cost = [r for r in report.rows if r.metric == "cpu seconds per model"]
    parts = [
        f"# {name}",
        "Generated from the report of the same name in `results/` by `make docs`; do not edit.",
        f"Data: {facts['data']['name']}. Models: {facts['models']['targets']} targets, "
        f"{facts['models']['references']} references. Records per pool: {pools}. "
        f"Seed {facts['seed']}.",
        f"Made by `{facts['command']}` on: "
        + ", ".join(f"{k} {v}" for k, v in context.items() if isinstance(v, str | int | float)),
        markdown_table(report),
        "Square brackets: 95 % t intervals over targets. The strongest attack is chosen on "
        "references.",
        "## In words",
        *answer(report),
        "## Controls",
        "\n".join(
            f"- **{c.id}** ({c.subject}): {c.status}; {c.saw}."
            for c in report.controls
            if c.status == "raised"
        )
        or "None is raised.",
        "## Cost",
        "\n".join(f"- {r.subject}: {cell(r, digits=2)} CPU seconds per model" for r in cost),
        "## Pipelines",
        "\n".join(
            f"- {name}: `{' -> '.join(subject['pipeline'])}`"
            for name, subject in facts["subjects"].items()
            if subject["kind"] != "stopped"
        ),
    ]
    return "\n\n".join(parts) + "\n"


def lenet_page(found: dict[str, Any]) -> str:
    """Return the Markdown page of one LeNet experiment."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    steps = list(dict.fromkeys(row["step"] for row in found["rows"]))
    lines = [
        "| step | test acc. % | train loss | kept weights | rate | CPU s per model |",
        "|" + " --- |" * 6,
    ]
    for step in steps:
        rows = [r for r in found["rows"] if r["step"] == step]
        seconds = found["cpu_seconds_per_model"][step]
        accuracies = ", ".join("{:.2f}".format(100 * r["test_accuracy"]) for r in rows)
        losses = ", ".join("{:.4f}".format(r["train_loss"]) for r in rows)
        lines.append(
            f"| {step} | {accuracies} | {losses} "
            f"| {rows[0]['kept']:,} of {rows[0]['prunable']:,} "
            f"| {rows[0]['prunable'] / rows[0]['kept']:.2f} | {sum(seconds) / len(seconds):.0f} |"
        )
    after = {step: [r for r in found["rows"] if r["step"] == step] for step in steps}
    drops = [
        100 * (dense["test_accuracy"] - pruned["test_accuracy"])
        for dense, pruned in zip(after["dense"], after["admm, retrained"], strict=True)
    ]
    worst = max(max(r["residual"].values()) for r in after["admm, hard pruned"])
    layers = ", ".join(
        f"{name} {kept} of {size}"
        for name, (kept, size) in after["admm, retrained"][0]["kept_per_layer"].items()
    )
    parts = [
        f"# ADMM on MNIST, {found['network'].partition('(')[0]}",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"All 60,000 training pictures, {found['seeds']} seed(s), one number each; test accuracy "
        "on the 10,000 test pictures. Both routes start from the same dense network and take as "
        "many epochs.",
        "\n".join(lines),
        f"Dense minus ADMM, in points of test accuracy: {', '.join(f'{d:.2f}' for d in drops)}. "
        f"Largest last residual of ADMM over layers and seeds: {worst:.3f}. Kept by layer (first "
        f"seed): {layers}.",
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(machine['flags'])}; {versions}.",
        "## Pipelines",
        "\n".join(f"- {n}: `{' -> '.join(p)}`" for n, p in found["pipelines"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write every page, and the table between the README's marks."""
    for path in sorted((ROOT / "results" / "experiments").glob("*.json")):
        found = store.read_document(path, what="secateur experiment")
        target = ROOT / "docs" / "results" / f"{path.stem}.md"
        store.write_text(target, lenet_page(found))
        print(target.relative_to(ROOT))
    for path in sorted((ROOT / "results").glob("*.json")):
        report = store.read_report(path)
        target = ROOT / "docs" / "results" / f"{path.stem}.md"
        store.write_text(target, page(path.stem, report))
        print(target.relative_to(ROOT))
    demo = ROOT / "results" / "demo.json"
    readme = ROOT / "README.md"
    if demo.exists():
        text = readme.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            sys.exit(f"README.md needs the marks {BEGIN} and {END}")
        head, rest = text.split(BEGIN, 1)
        tail = rest.split(END, 1)[1]
        report = store.read_report(demo)
        said = "\n".join(
            f"- {sentence}" for sentence in answer(report) if " admm" in f" {sentence}"
        )
        block = f"{markdown_table(report)}\n\nWhat it says of ADMM, in its own words:\n\n{said}"
        store.write_text(readme, f"{head}{BEGIN}\n{block}\n{END}{tail}")


if __name__ == "__main__":
    main()

"""Write docs/results/ and the README's table anew from results/: `python -m tools.docs`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from secateur import store
from secateur.report.footprint import FOOTPRINT_HEADERS, footprint_table, is_known
from secateur.report.notes import chosen_words
from secateur.report.table import HEADERS, cell, main_table
from secateur.report.words import answer
from secateur.types import Report
from tools import protects
from tools.attacks_page import attacks_page
from tools.attacks_words import picture
from tools.benchmark_blocks import (
    device_block,
    fleet_block,
    made_by,
    peers_block,
    references_block,
    scoring_block,
)
from tools.coverage_page import page as coverage_page
from tools.deploy_block import deploy_block
from tools.dpsgd_pages import curve_block, tuning_page
from tools.evidence import page as evidence_page
from tools.runtime_block import runtime_block
from tools.verdicts import sweeps

ROOT = Path(__file__).resolve().parent.parent


def markdown_table(report: Report) -> str:
    """Return the main table as Markdown."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|" + " --- |" * len(HEADERS)]
    lines += ["| " + " | ".join(line[h] for h in HEADERS) + " |" for line in main_table(report)]
    return "\n".join(lines)


SHIPPED = "## Accuracy, leak, size and speed"


def footprints(report: Report) -> str:
    """Return the table of what is shipped as Markdown."""
    headers = FOOTPRINT_HEADERS
    lines = ["| " + " | ".join(headers) + " |", "|" + " --- |" * len(headers)]
    lines += ["| " + " | ".join(r[h] for h in headers) + " |" for r in footprint_table(report)]
    return "\n".join(lines)


def interval_words(report: Report) -> str:
    """Say of which kind a report's two-sided intervals are, and of what.

    Example:
        >>> from secateur.types import Measurement, Provenance, Report
        >>> row = Measurement(subject="dense", risk="membership", method="LiRA", metric="auc",
        ...     value=0.6, low=0.5, high=0.7, interval="t over targets")
        >>> interval_words(Report(title="", rows=(row,), provenance=Provenance(key={})))
        't over targets: membership'
    """
    kinds: dict[str, set[str]] = {}
    for row in report.rows:
        if row.low is not None and row.high is not None and row.interval:
            kinds.setdefault(row.interval, set()).add(row.risk)
    return "; ".join(f"{kind}: {', '.join(sorted(of))}" for kind, of in sorted(kinds.items()))


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
        f"Square brackets: 95 % intervals ({interval_words(report)}); {chosen_words(report)}.",
        *([SHIPPED, footprints(report)] if is_known(report) else []),
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


def agreement_page(found: dict[str, Any]) -> str:
    """Return the Markdown page of `benchmarks.agreement`."""
    lines = [
        "| attack | package | references in and out | rank correlation | AUC, ours | AUC, theirs |",
        "|" + " --- |" * 6,
    ]
    notes = []
    for row in found["rows"]:
        name = f"{row['package']} {found['packages'][row['package']]}"
        within = " within classes" if row["within_classes"] else ""
        lines.append(
            f"| `{row['attack']}` | {name} | {row['references']} | {row['spearman']:.6f}{within} | "
            f"{row['auc']:.3f} | {row['auc_theirs']:.3f} |"
        )
        if "defect" in row:
            notes.append(f"- {name}, `{row['attack']}`: {row['defect']}. Shown: {row['shown']}.")
    parts = [
        "# Agreement with published packages",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"One target, {found['references']} references, {found['records']:,} records and "
        f"{found['population']:,} of the population; made signals, the same for both sides. "
        "Spearman's correlation of the scores; balanced: every record is in exactly half of the "
        "references.",
        "\n".join(lines),
        "## Where the order is another",
        "\n".join(dict.fromkeys(notes)),
        made_by(found),
    ]
    return "\n\n".join(parts) + "\n"


def put_between(path: Path, mark: str, block: str) -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- /mark -->` in a page."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        sys.exit(f"{path.name} needs the marks {begin} and {end}")
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    store.write_text(path, f"{head}{begin}\n{block}\n{end}{tail}")


EXPERIMENTS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "lenet-mnist": lenet_page,
    "coverage": coverage_page,
    "agreement": agreement_page,
    "attacks": attacks_page,
    "dpsgd-tuning": tuning_page,
    "tuning": protects.tuning_page,
}
PICTURES: Mapping[str, Callable[[dict[str, Any]], str]] = {"attacks": picture}
EXPERIMENT_FORMAT = "secateur-experiment-1"


def write_experiment(path: Path) -> None:
    """Write the page of one experiment, and its picture where it has one."""
    found = store.read_document(path, what="secateur experiment")
    target = ROOT / "docs" / "results" / f"{path.stem}.md"
    store.write_text(target, EXPERIMENTS[found["experiment"]](found))
    if found["experiment"] in PICTURES:
        store.write_text(target.with_suffix(".svg"), PICTURES[found["experiment"]](found))
    print(target.relative_to(ROOT))


def is_experiment(path: Path) -> bool:
    """Return whether a result is an experiment's document and not the report of an audit."""
    return store.read_document(path, what="secateur result").get("format") == EXPERIMENT_FORMAT


def main() -> None:
    """Write every page, and the tables between marks."""
    blocks = {
        "fleet": fleet_block,
        "device": device_block,
        "references": references_block,
        "peers": peers_block,
        "scoring": scoring_block,
    }
    for name, block in blocks.items():
        path = ROOT / "results" / "benchmarks" / f"{name}.json"
        if path.exists():
            found = store.read_document(path, what="secateur benchmark")
            put_between(ROOT / "docs" / "scaling.md", name, block(found))
    path = ROOT / "results" / "benchmarks" / "deploy.json"
    if path.exists():
        found = store.read_document(path, what="secateur benchmark")
        other = path.with_name("deploy-any-channels.json")
        loose = store.read_document(other, what="secateur benchmark")
        put_between(ROOT / "docs" / "deploy.md", "benchmark", deploy_block(found, loose))
    path = ROOT / "results" / "benchmarks" / "runtime.json"
    if path.exists():
        found = store.read_document(path, what="secateur benchmark")
        other = path.with_name("runtime-two-threads.json")
        two = store.read_document(other, what="secateur benchmark") if other.exists() else None
        put_between(ROOT / "docs" / "runtime.md", "benchmark", runtime_block(found, two))
    for path in sorted((ROOT / "results" / "experiments").glob("*.json")):
        write_experiment(path)
    for path in sorted((ROOT / "results").glob("*.json")):
        if is_experiment(path):
            write_experiment(path)
            continue
        if path.stem.startswith(("paper-", "protects-")):
            continue  # all of them are one page, docs/evidence.md or docs/protects.md
        if path.stem == "dp-curve":
            found = store.read_document(path, what="secateur sweep")
            put_between(ROOT / "docs" / "dp.md", "utility over epsilon", curve_block(found))
            continue
        report = store.read_report(path)
        target = ROOT / "docs" / "results" / f"{path.stem}.md"
        store.write_text(target, page(path.stem, report))
        print(target.relative_to(ROOT))
    store.write_text(ROOT / "docs" / "evidence.md", evidence_page(sweeps(ROOT / "results")))
    print("docs/evidence.md")
    found = sweeps(ROOT / "results", "protects")
    put_between(ROOT / "docs" / "protects.md", "aims", protects.aims_block(found))
    put_between(ROOT / "docs" / "protects.md", "measured", protects.protects_block(found))
    demo = ROOT / "results" / "demo.json"
    if demo.exists():
        report = store.read_report(demo)
        said = "\n".join(
            f"- {sentence}" for sentence in answer(report) if " admm" in f" {sentence}"
        )
        block = f"{markdown_table(report)}\n\nWhat it says of ADMM, in its own words:\n\n{said}"
        put_between(ROOT / "README.md", "demo table", block)


if __name__ == "__main__":
    main()

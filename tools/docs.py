"""Write docs/evidence.md, docs/results/ and the blocks between marks in the README and docs/ anew
from results/: `python -m tools.docs`.

With `--check` nothing is written: what would be is listed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from secateur import store
from secateur.errors import SecateurError
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
    forward_block,
    peers_block,
    references_block,
    scoring_block,
)
from tools.coverage_page import page as coverage_page
from tools.deploy_block import deploy_block
from tools.dpsgd_pages import curve_block, tuning_page
from tools.evidence import page as evidence_page
from tools.experiment_pages import agreement_page, lenet_page
from tools.met import met_page
from tools.protects_aims import aims_block
from tools.protects_cost import cost_block
from tools.runtime_block import runtime_block
from tools.searched import searches
from tools.tables import table
from tools.verdicts import sweeps

ROOT = Path(__file__).resolve().parent.parent


def markdown_table(report: Report) -> str:
    """Return the main table as Markdown."""
    return table(HEADERS, [[line[h] for h in HEADERS] for line in main_table(report)])


SHIPPED = "## Accuracy, leak, size and speed"


def footprints(report: Report) -> str:
    """Return the table of what is shipped as Markdown."""
    rows = footprint_table(report)
    return table(FOOTPRINT_HEADERS, [[r[h] for h in FOOTPRINT_HEADERS] for r in rows])


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


def put_between(pages: dict[Path, str], path: Path, mark: str, block: str) -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- /mark -->` in a page."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    text = pages[path] if path in pages else path.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        sys.exit(f"{path.name} needs the marks {begin} and {end}")
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    pages[path] = f"{head}{begin}\n{block}\n{end}{tail}"


EXPERIMENTS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "lenet-mnist": lenet_page,
    "coverage": coverage_page,
    "agreement": agreement_page,
    "attacks": attacks_page,
    "dpsgd-tuning": tuning_page,
    "tuning": protects.tuning_page,
    "met": met_page,
}
PICTURES: Mapping[str, Callable[[dict[str, Any]], str]] = {"attacks": picture}
EXPERIMENT_FORMAT = "secateur-experiment-1"


def put_experiment(pages: dict[Path, str], root: Path, path: Path) -> None:
    """Make the page of one experiment, and its picture where it has one."""
    found = store.read_document(path, what="secateur experiment")
    target = root / "docs" / "results" / f"{path.stem}.md"
    pages[target] = EXPERIMENTS[found["experiment"]](found)
    if found["experiment"] in PICTURES:
        pages[target.with_suffix(".svg")] = PICTURES[found["experiment"]](found)


def is_experiment(path: Path) -> bool:
    """Return whether a result is an experiment's document and not the report of an audit."""
    return store.read_document(path, what="secateur result").get("format") == EXPERIMENT_FORMAT


def put_benchmarks(pages: dict[Path, str], root: Path) -> None:
    """Make the blocks of benchmarks."""
    blocks = {
        "fleet": fleet_block,
        "device": device_block,
        "references": references_block,
        "forward": forward_block,
        "peers": peers_block,
        "scoring": scoring_block,
    }
    results = root / "results" / "benchmarks"

    def read(name: str) -> dict[str, Any] | None:
        path = results / f"{name}.json"
        return store.read_document(path, what="secateur benchmark") if path.exists() else None

    for name, block in blocks.items():
        if (found := read(name)) is not None:
            put_between(pages, root / "docs" / "scaling.md", name, block(found))
    found, loose = read("deploy"), read("deploy-any-channels")
    if found is not None and loose is not None:
        put_between(pages, root / "docs" / "deploy.md", "benchmark", deploy_block(found, loose))
    found = read("runtime")
    if found is not None:
        names = ("runtime-two-threads", "runtime-avx2", "runtime-intel", "runtime-intel-avx2")
        tables = runtime_block(found, *(read(name) for name in names))
        put_between(pages, root / "docs" / "runtime.md", "benchmark", tables)


def put_results(pages: dict[Path, str], root: Path) -> None:
    """Make the pages of reports and experiments."""
    for path in sorted((root / "results" / "experiments").glob("*.json")):
        put_experiment(pages, root, path)
    for path in sorted((root / "results").glob("*.json")):
        if is_experiment(path):
            put_experiment(pages, root, path)
        elif path.stem.startswith(("paper-", "protects-", "min-max-", "canaries-")):
            continue  # all of them are one page, docs/evidence.md or docs/protects.md
        elif path.stem == "dp-curve":
            found = store.read_document(path, what="secateur sweep")
            mark = "utility over epsilon"
            put_between(pages, root / "docs" / "dp.md", mark, curve_block(found))
        else:
            report = store.read_report(path)
            pages[root / "docs" / "results" / f"{path.stem}.md"] = page(path.stem, report)


def pages_of(root: Path = ROOT) -> dict[Path, str]:
    """Return what every generated page holds by the files in `results/`; nothing is written."""
    pages: dict[Path, str] = {}
    put_benchmarks(pages, root)
    put_results(pages, root)
    pages[root / "docs" / "evidence.md"] = evidence_page(
        sweeps(root / "results"),
        sweeps(root / "results", "min-max"),
        sweeps(root / "results", "canaries"),
        searches(root / "results" / "experiments"),
    )
    found = sweeps(root / "results", "protects")
    put_between(pages, root / "docs" / "protects.md", "aims", aims_block(found))
    put_between(pages, root / "docs" / "protects.md", "cost", cost_block(found))
    put_between(pages, root / "docs" / "protects.md", "measured", protects.protects_block(found))
    put_between(pages, root / "docs" / "protects.md", "beside", protects.beside_block(found))
    demo = root / "results" / "demo.json"
    if demo.exists():
        report = store.read_report(demo)
        said = "\n".join(
            f"- {sentence}" for sentence in answer(report) if " admm" in f" {sentence}"
        )
        block = f"{markdown_table(report)}\n\nWhat it says of ADMM, in its own words:\n\n{said}"
        put_between(pages, root / "README.md", "demo table", block)
    return pages


def stale(pages: Mapping[Path, str]) -> list[Path]:
    """Return the files that hold something else, or are not there."""
    return [
        path
        for path, text in pages.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> None:
    """Write every page and the blocks between marks, or check that they are written.

    Args:
        arguments: of the command line.
        root: of the repository.

    Raises:
        SystemExit: 1 where `--check` finds stale files; 2 for an unknown option, or a results file
            that cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="list stale files, write nothing")
    check = parser.parse_args(arguments).check
    try:
        pages = pages_of(root)
    except SecateurError as error:
        print(f"tools.docs: {error}", file=sys.stderr)
        sys.exit(2)
    found = stale(pages)
    for path in found:
        print(f"{'stale: ' if check else ''}{path.relative_to(root)}")
        if not check:
            store.write_text(path, pages[path])
    if check and found:
        sys.exit(f"{len(found)} of {len(pages)} generated files are stale; `make docs` writes them")
    print(f"{len(pages)} generated files are up to date")


if __name__ == "__main__":
    main()

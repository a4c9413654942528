"""The Markdown page of the coverage table."""

from __future__ import annotations

from typing import Any


def page(found: dict[str, Any]) -> str:
    """Return the Markdown page of the table."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    lines = [
        "| interval | metric | targets | records | worlds | coverage % |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {r['interval']} | {r['metric']} | {r['targets']} | {r['records']} | "
            f"{r['worlds']} | {100 * r['coverage']:.1f}{' (too low)' if r['p'] < 0.001 else ''} |"
            for r in found["rows"]
        ),
    ]
    parts = [
        "# Coverage of the intervals",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"How many of up to {found['worlds']:,} made worlds of scores have their truth within the "
        "95 % interval that the public functions give; `tools/coverage_worlds.py` says what the "
        "worlds are: ordinary ones, and strong, null, canary-sized and unequal ones where the "
        "interval's name says so. More than 95 is conservative; too low is marked where a binomial "
        "test rejects 95 at 0.001. The column worlds says how many were counted: costly cases take "
        'fewer, and a world in which the answer is "not resolvable" is left out. Of a lower end '
        "97.5 % is asked, since what it bounds is biased downward.",
        "\n".join(lines),
        "Not used, for comparison: "
        + "; ".join(
            f"{r['interval']}, {r['metric']}, {r['targets']} targets, {r['records']} records: "
            f"{100 * r['coverage']:.1f} %"
            for r in found["not_used"]
        )
        + ".",
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(machine['flags'])}; {versions}.",
    ]
    return "\n\n".join(parts) + "\n"

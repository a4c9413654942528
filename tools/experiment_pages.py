"""Pages of experiments: ADMM on MNIST, and agreement with published packages."""

from __future__ import annotations

from typing import Any

from tools.benchmark_blocks import made_by

__all__ = ["agreement_page", "lenet_page"]


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

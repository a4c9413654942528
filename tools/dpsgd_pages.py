"""DP-SGD in tables: the search for its settings, and its utility over epsilon."""

from __future__ import annotations

from typing import Any

from tools.dpsgd_bench import BEYOND
from tools.verdicts import DENSE, Point, cases, of_method, shown

__all__ = ["curve_block", "tuning_page"]

DEFAULTS = (
    ", weight_decay=0.0, schedule='constant', decoupled=False",  # Adam's; those of SGD are others
    ", nesterov=False",
    ", augmentations=1",
    ", clipping='ghost'",
    ", build=None, augment=(), label_smoothing=0.0",
)


def tuning_page(found: dict[str, Any]) -> str:
    """Return the Markdown page of one search by `tools.tune_dpsgd`."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    space = "; ".join(
        f"{name} {', '.join(_short(str(v)) for v in values)}"
        for name, values in found["space"].items()
    )
    parts = [
        f"# DP-SGD's settings: {found['cell']}",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"A random search (seed {found['seed']}) of {found['trials']} settings per noise, beside "
        f"the recipe's own, for {found['members']:,} members. {_whose(found)} Accuracy is of "
        f"{found['validation']:,} validation records, the mean over models; "
        "all settings train one model, the best three and the recipe's own two more, each with its "
        "own draw of members where there are more of them. That of the "
        "one taken is the largest of many, so it flatters it a little; epsilon at delta 1e-5.",
        f"Searched: {space}.{_network(found)}",
        *(_searched(found, noise) for noise in found["noises"]),
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores; "
        f"{versions}.",
    ]
    return "\n\n".join(parts) + "\n"


def _whose(found: dict[str, Any]) -> str:
    read = ", ".join(
        f"{n:,} {name if name == BEYOND else f'of its {name} pool'}"
        for name, n in found["sources"].items()
    )
    if found["accounted"]:
        return f"Nobody whom the cell audits was read: its records are {read}."
    return f"The data are too few to tune on others: records are {read}. Tuning is not accounted."


def _network(found: dict[str, Any]) -> str:
    """Say what is trained where that is no plain network, and within which epsilon one is taken."""
    layers = ", ".join(f"`{layer}`" for layer in found.get("normalised", ()))
    told = f" Trained: `{found['recipe']}`, with {layers} in it." if layers else ""
    within = found.get("within")
    if within is None:
        return told
    return f"{told} Where some settings stay within an epsilon of {within:g} one of these is taken."


def _searched(found: dict[str, Any], noise: float) -> str:
    rows = [r for r in found["rows"] if r["noise"] == noise and r["accuracies"]]
    rows.sort(key=lambda r: (-len(r["accuracies"]), -_mean(r), r["epsilon"]))
    lines = [
        "| setting | epsilon | accuracy % | models | CPU s |",
        "|" + " --- |" * 5,
    ]
    taken = found["taken"].get(str(noise))
    for row in rows:
        marks = [
            m
            for m, is_so in (("taken", row["setting"] == taken), ("the recipe's", row["own"]))
            if is_so
        ]
        about = f" ({', '.join(marks)})" if marks else ""
        lines.append(
            f"| `{_short(row['setting'])}`{about} | {row['epsilon']:,.4g} | "
            f"{100 * _mean(row):.1f} | {len(row['accuracies'])} | {row['cpu_seconds']:.1f} |"
        )
    end = "" if taken else "\n\nThe search was stopped before its end; nothing is taken."
    return f"## Noise {noise}\n\n" + "\n".join(lines) + end


def _mean(row: dict[str, Any]) -> float:
    return float(sum(row["accuracies"]) / len(row["accuracies"]))


def _short(spelling: str) -> str:
    """Leave out what is at its default."""
    for text in DEFAULTS:
        spelling = spelling.replace(text, "")
    return spelling


def curve_block(content: dict[str, Any]) -> str:
    """Return the table of a sweep of DP-SGD over its noise, the dense models first."""
    points, facts = cases(content), content["facts"]
    context = content["provenance"]["context"]
    private = sorted(of_method(points, "dp-sgd"), key=lambda p: p["axes"]["noise"])
    lines = [
        "| noise | accounted epsilon | audited lower bound on epsilon | test acc. % | "
        "strongest attack | AUC | TPR % |",
        "|" + " --- |" * 7,
        *(_line(p) for p in ([points[DENSE]] if DENSE in points else []) + private),
    ]
    bounds = {
        p["rows"]["epsilon bound"]["confidence"]
        for p in private
        if p["rows"].get("epsilon bound", {}).get("value") is not None
    }
    sure = " and ".join(f"{100 * c:.0f} %" for c in sorted(bounds)) or "no"
    return "\n\n".join(
        [
            "\n".join(lines),
            f"{content['title']}: {facts['targets']} targets, {facts['references']} references, "
            f"seeds {facts['seeds']}; delta 1e-5, neighbours that differ in one record. The lower "
            f"bound holds with {sure} confidence each; square brackets are 95 % intervals over "
            f"targets. Made by `{facts.get('command', 'secateur sweep')}` on "
            f"{context.get('processor', 'a machine')}, {context.get('cores', '?')} cores.",
        ]
    )


def _line(point: Point) -> str:
    rows = point["rows"]
    accounted = rows.get("accounted epsilon", {}).get("value")
    leak, tpr = rows.get("leak"), rows.get("tpr")
    at = "" if tpr is None else f" at {tpr['metric'].removeprefix('tpr at ')}".removesuffix(" fpr")
    bound = rows.get("epsilon bound", {})
    columns = (
        f"{point['axes']['noise']:g}" if "noise" in point["axes"] else "none (dense)",
        "none" if accounted is None else _epsilon(accounted),
        "not measured" if bound.get("value") is None else f"{bound['value']:.2f}",
        shown(point, "test accuracy", 100, 1),
        "-" if leak is None else leak["method"].partition("(")[0],
        shown(point, "leak"),
        f"{shown(point, 'tpr', 100, 1)}{at}{' FPR' if at else ''}",
    )
    return f"| {' | '.join(columns)} |"


def _epsilon(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

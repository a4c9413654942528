"""Cross-fit pruning beside its rivals, in tables and in the words that intervals carry."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from secateur.report.lookup import short
from secateur.sweeping.points import BY
from tools.protects_aims import BESIDE, NOTHING, best_dense, chosen, excess_share, stopped_beside
from tools.verdicts import DENSE, Point, cases, row_difference, shown

__all__ = ["beside_block", "protects_block", "tuning_page"]

OTHERS = "others=('dense'"
"""What an attack is spelled with that reads the dense model too."""
PLAIN = ("LiRA(", "RMIA(")
"""The attacks on outputs alone that others are held against."""


def protects_block(found: dict[str, dict[str, Any]]) -> str:
    """Return every world's cases, and the case that the aims are held against beside every rival.

    What the other cases of ours are beside rivals stays in the results file.
    """
    if not found:
        return NOTHING
    parts = []
    for name, content in found.items():
        if name.endswith(BESIDE):
            continue
        facts = content["facts"]
        best = best_dense(content)
        parts += [
            f"### {name}",
            f"Draws {', '.join(map(str, facts['seeds']))}; {facts['targets']} targets and "
            f"{facts['references']} references each. Best accuracy of the dense model while it "
            f"trains: {'not known' if best is None else f'{100 * best:.1f} %'}. Made by "
            f"`{facts.get('command', 'secateur sweep')}`.",
            _cases(content),
            _attacks(content),
            _rivals(content),
        ]
    return "\n\n".join(part for part in parts if part)


def _cases(found: dict[str, Any]) -> str:
    lines = [
        "| case | kept % | test acc. % | strongest attack | AUC | TPR % | of the stopped dense "
        "model's leak above 0.5 | CPU s a model |",
        "|" + " --- |" * 8,
    ]

    def accuracy(point: Point) -> float:
        return float(point["rows"]["test accuracy"]["value"] or 0.0)

    for point in sorted(cases(found).values(), key=accuracy, reverse=True):
        rows, (share, as_accurate) = point["rows"], excess_share(point, found)
        of = "-" if share is None else f"{100 * share:.0f} %{'' if as_accurate else ' of the best'}"
        seconds = rows.get("cpu seconds") or {}
        attack = (rows.get("leak") or {}).get("method", "").partition("(")[0]
        lines.append(
            f"| {point['case']} | {shown(point, 'kept weights', 100, 1)} | "
            f"{shown(point, 'test accuracy', 100, 1)} | {attack} | {shown(point, 'leak')} | "
            f"{shown(point, 'tpr', 100, 1)} | {of} | "
            f"{'-' if seconds.get('value') is None else format(seconds['value'], '.1f')} |"
        )
    return "\n".join(lines)


def _attacks(found: dict[str, Any]) -> str:
    """Return what each attack sees of our case and of the dense models, and what the best of them
    adds to LiRA and RMIA; nothing where single attacks were not written down.
    """
    point = chosen(found)
    if point is None or not _single(point):
        return ""
    beside = [
        p for p in (stopped_beside(point, found)[0], cases(found).get(DENSE)) if p is not None
    ]
    shown_points = [point, *{p["case"]: p for p in beside}.values()]
    values = _single(point)
    lines = [
        "| attack, AUC | " + " | ".join(p["case"] for p in shown_points) + " |",
        "|" + " --- |" * (1 + len(shown_points)),
    ]
    for spelling in sorted(values, key=lambda name: -values[name]):
        seen = [shown(p, f"{BY}{spelling}") for p in shown_points]
        lines.append(f"| {_name(spelling)} | " + " | ".join(seen) + " |")
    return "\n".join([_gain(point), "", *lines])


def _gain(point: Point) -> str:
    """Return which attack recovers most, chosen on references as everywhere, and what it adds."""
    leak = point["rows"]["leak"]
    plain = [v for name, v in _single(point).items() if name.startswith(PLAIN)]
    names = " or ".join(_name(spelled) for spelled in leak["method"].split(" or "))
    words = f"Of `{point['case']}` {names} recovers most on references"
    if not plain:
        return f"{words}."
    return (
        f"{words}: on the targets {leak['value'] - max(plain):+.3f} AUC beside the best of LiRA "
        "and RMIA, which is the best on these targets, so that the gain is rather understated."
    )


def _single(point: Point) -> dict[str, float]:
    """Return the AUC by attack, where it was measured."""
    return {
        name.removeprefix(BY): row["value"]
        for name, row in point["rows"].items()
        if name.startswith(BY) and row["value"] is not None
    }


def _name(spelling: str) -> str:
    """Return what an attack is called in a table, with what it reads beside the model."""
    others = re.search(r"others=\(('[^)]*')", spelling)
    inputs = re.search(r"perturbations=\((\w+)", spelling)
    more = [f"beside {others[1].rstrip(',')}".replace("'", "")] if others else []
    more += [inputs[1]] if inputs and spelling.startswith("Neighbours") else []
    return ", ".join([short(spelling), *more])


def _most(point: Point, wanted: Callable[[str], bool]) -> str | None:
    """Return the row of the attack that sees most of a case among some; None where none ran."""
    values = {name: value for name, value in _single(point).items() if wanted(name)}
    return f"{BY}{max(values, key=lambda name: values[name])}" if values else None


def beside_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what students tell whoever holds the dense model of the same members too."""
    worlds = {name: content for name, content in found.items() if name.endswith(BESIDE)}
    if not worlds:
        return NOTHING
    lines = [
        "| world | case | alone, AUC of the best of several attacks | beside the dense model, AUC "
        "of one attack | the dense model alone, AUC of the best of several |",
        "|" + " --- |" * 5,
    ]
    for name, content in worlds.items():
        points = cases(content)
        dense = points.get(DENSE)
        if dense is None:
            continue
        for point in points.values():
            both = _most(point, lambda name: OTHERS in name)
            alone = _most(point, lambda name: OTHERS not in name)
            if point is not dense and both is not None and alone is not None:
                cells = [
                    name.removesuffix(BESIDE),
                    point["case"],
                    shown(point, alone),
                    shown(point, both),
                    shown(dense, _most(dense, lambda name: OTHERS not in name) or "leak"),
                ]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _rivals(found: dict[str, Any]) -> str:
    point = chosen(found)
    name = "" if point is None else point["case"]
    own = [c for c in found.get("comparisons", ()) if c["case"] == name]
    if not own:
        return ""
    lines = [
        "| case | rival, nearest setting | test acc., points | AUC | TPR, points | canaries' TPR, "
        "points |",
        "|" + " --- |" * 6,
    ]
    for comparison in own:
        lines.append(
            f"| {comparison['case']} | {comparison['rival']} | "
            f"{row_difference(comparison, 'test accuracy').shown(100, 1)} | "
            f"{row_difference(comparison, 'leak').shown(1, 3)} | "
            f"{row_difference(comparison, 'tpr').shown(100, 1)} | "
            f"{row_difference(comparison, 'tpr of canaries').shown(100, 1)} |"
        )
    return "\n".join(lines)


def tuning_page(found: dict[str, Any]) -> str:
    """Return the Markdown page of one search by `tools.tune`."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    pools = ", ".join(f"{k} {v:,}" for k, v in found["pools"].items() if v)
    lines = ["| case | validation acc. % | train acc. % | CPU s a model |", "|" + " --- |" * 4]
    for row in found["rows"]:
        if not row["accuracies"]:
            lines.append(f"| {row['case']} | {row['why']} | - | - |")
            continue
        values = [f"{100 * v:.1f}" for v in row["accuracies"]]
        trained = sum(row["train_accuracies"]) / len(row["train_accuracies"])
        seconds = sum(row["cpu_seconds"]) / max(len(row["cpu_seconds"]), 1)
        mean = sum(row["accuracies"]) / len(row["accuracies"])
        lines.append(
            f"| {row['case']} | {100 * mean:.1f} ({', '.join(values)}) | {100 * trained:.1f} | "
            f"{seconds:.1f} |"
        )
    parts = [
        f"# Settings tried: {found['file'].removesuffix('.toml')}",
        "Generated from `results/experiments/` by `make docs`; do not edit.",
        f"{found['models']} models of each case on records outside of the utility pools of the "
        f"file's draws (seed {found['seed']}): {pools}, where `audit` is the pool that members "
        "are drawn from and `utility` the validation records. No attack ran. The best of many "
        "settings flatters itself a little.",
        "\n".join(lines),
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores; "
        f"{versions}.",
    ]
    return "\n\n".join(parts) + "\n"

"""Cross-fit pruning beside its rivals, in tables and in the words that intervals carry."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from secateur.report.lookup import short
from secateur.sweeping.points import BY
from tools.verdicts import DENSE, Point, cases, row_difference, shown

__all__ = ["aims_block", "beside_block", "protects_block", "tuning_page"]

OURS = ("recombined", "cross-fit")
"""Methods of ours, the one that is recommended first: where a world has it, the aims are held
against it."""
EPOCHS = re.compile(r"EarlyStopping\(epochs=(\d+)")
BESIDE = "-beside"
"""How the file ends in which students are seen beside the dense model of the same members."""
OTHERS = "others=('dense'"
"""What an attack is spelled with that reads the dense model too."""
PLAIN = ("LiRA(", "RMIA(")
"""The attacks on outputs alone that others are held against."""
TRIES = ("-improve", "-canaries", BESIDE)
"""How the files of single questions end: the aims are not held against them."""
MORE = "-draws"
"""How the file of several draws of a world ends: the aims are held against it in place of one."""
RATE = 10.0
WITHIN = 0.01
"""Points of test accuracy below the best dense snapshot that the aim allows."""
HALF = 0.5
ENOUGH = 4
EARLIER = "early-stopping"
STOPPED = "leak - dense at no less test accuracy"
NOTHING = "There is no results file yet, so nothing is said."


def best_dense(found: dict[str, Any]) -> float | None:
    """Return the best test accuracy of the dense early-stopping curve, the mean over seeds.

    The end of training counts too. The curve is that of the targets, and the best of many points
    is taken, which is in the dense model's favour.
    """
    best = [max(s["columns"]["test_accuracy"]) for s in found["series"] if s["columns"]]
    dense = cases(found).get(DENSE)
    if dense is None or dense["rows"]["test accuracy"]["value"] is None:
        return None
    end = float(dense["rows"]["test accuracy"]["value"])
    return max(sum(best) / len(best), end) if best else end


def excess_share(point: Point, found: dict[str, Any]) -> tuple[float | None, bool]:
    """Return a case's AUC above 0.5 as a share of that of the dense model stopped no less accurate,
    and whether there is such a one.

    Each by the attack that is the strongest on it. Where the dense model was stopped as a case of
    its own (`EarlyStopping`), it is the one of these, and of the whole training, of the fewest
    epochs that is no less accurate over the references: its weights are there, so that the same
    attacks were tried. Where none is as accurate, it is the most accurate one, which a dense model
    of equal accuracy would leak more than. Where it was not stopped so, it is a snapshot, which
    holds outputs alone. None where either was not measured, or where the dense model's leak is
    nothing.
    """
    leak, less = (point["rows"].get(name) for name in ("leak", STOPPED))
    if leak is None or leak["value"] is None:
        return None, True
    stopped, as_accurate = _stopped(point, found)
    if stopped is not None:
        dense = stopped["rows"]["leak"]["value"]
    elif _was_stopped(found):
        return None, True
    else:
        dense = None if less is None or less["value"] is None else leak["value"] - less["value"]
    if dense is None or dense <= 0.5:
        return None, as_accurate
    return (leak["value"] - 0.5) / (dense - 0.5), as_accurate


def _was_stopped(found: dict[str, Any]) -> bool:
    return any(
        p["method"] == EARLIER and p["rows"]["leak"]["value"] is not None
        for p in cases(found).values()
    )


def _stopped(point: Point, found: dict[str, Any]) -> tuple[Point | None, bool]:
    """Return the dense model, stopped as a case of its own, that a case is held against, and
    whether it is as accurate; None where there is none, or accuracies over references lack.
    """
    own = [
        p
        for p in cases(found).values()
        if p["method"] in (EARLIER, DENSE) and p["rows"]["leak"]["value"] is not None
    ]
    if not _was_stopped(found):
        return None, True
    if not all(p["units"].get("reference_accuracy") for p in (point, *own)):
        return None, True
    able = [p for p in own if _over_references(p) >= _over_references(point)]
    if able:
        return min(able, key=_epochs), True
    return max(own, key=_over_references), False


def _epochs(point: Point) -> float:
    """Return for how many epochs a dense model was trained; the whole training is the longest."""
    found = EPOCHS.search(" ".join(point["steps"]))
    return float(found[1]) if found else math.inf


def chosen(found: dict[str, Any]) -> Point | None:
    """Return the case that the aims are held against: of the first of our methods that is there,
    whose settings were frozen beforehand, the one that is the most accurate over the references, at
    a tenth of the weights.
    """
    able = [
        p
        for p in cases(found).values()
        if p["method"] in OURS
        and (p["rows"].get("compression rate") or {}).get("value") is not None
        and p["rows"]["compression rate"]["value"] >= 0.99 * RATE
        and p["units"].get("reference_accuracy")
    ]
    return min(able, key=lambda p: (OURS.index(p["method"]), -_over_references(p)), default=None)


def _over_references(point: Point) -> float:
    """Return a case's test accuracy over the references, the mean over seeds."""
    values = point["units"].get("reference_accuracy") or [0.0]
    return float(sum(values) / len(values))


def aims_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what was aimed at and what was reached, failures first."""
    worlds = {
        name.removesuffix(MORE): content
        for name, content in sorted(found.items(), key=lambda pair: pair[0].endswith(MORE))
        if not name.endswith(TRIES)
    }
    if not worlds:
        return NOTHING
    lines = [_aim(name, content) for name, content in sorted(worlds.items())]
    reached = sum(ok for ok, _ in lines)
    lines.sort(key=lambda line: line[0])
    words = (
        "Aim: at a tenth of the weights, within 1 point of the best dense accuracy, the leak above "
        f"0.5 at most half of that of the dense model stopped no less accurate, on at least "
        f"{ENOUGH} of five data sets, and below DP-SGD of equal accuracy. Reached on {reached} of "
        f"{len(worlds)} that are measured. Where no dense model is as accurate, the most accurate "
        "one stands for it."
    )
    return "\n".join([words, "", *(f"- {line}" for _, line in lines)])


def _aim(name: str, found: dict[str, Any]) -> tuple[bool, str]:
    point, best = chosen(found), best_dense(found)
    if point is None or best is None:
        return False, f"**{name}**: no case of {OURS[-1]} at a tenth of the weights is measured."
    accuracy = point["rows"]["test accuracy"]["value"]
    share, as_accurate = excess_share(point, found)
    which = "stopped" if as_accurate else "less accurate, best stopped"
    close = best - accuracy <= WITHIN
    halved = share is not None and share <= HALF
    words = [
        f"accuracy {100 * (accuracy - best):+.1f} points from the best dense "
        f"({'within' if close else 'beyond'} 1 point)",
        "leak beside the dense model stopped no less accurate not measured"
        if share is None
        else f"{100 * share:.0f} % of the {which} dense model's leak above 0.5",
    ]
    dp = _against(found, point["case"], "dp-sgd")
    below = dp is not None and dp["rows"]["leak"]["high"] is not None
    below = below and dp is not None and dp["rows"]["leak"]["high"] < 0
    words.append(
        "DP-SGD not compared"
        if dp is None
        else f"AUC against `{dp['rival']}` {row_difference(dp, 'leak').shown(1, 3)} at "
        f"{row_difference(dp, 'test accuracy').shown(100, 1)} points of accuracy"
    )
    ok = close and halved and below
    return (
        ok,
        f"**{name}**, `{point['case']}`: {'; '.join(words)}: {'reached' if ok else 'missed'}.",
    )


def _against(found: dict[str, Any], case: str, method: str) -> dict[str, Any] | None:
    for comparison in found.get("comparisons", ()):
        if comparison["case"] == case and comparison["method"] == method:
            return dict(comparison)
    return None


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
    beside = [p for p in (_stopped(point, found)[0], cases(found).get(DENSE)) if p is not None]
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
    values = _single(point)
    most = max(values, key=lambda name: values[name])
    plain = [v for name, v in values.items() if name.startswith(PLAIN)]
    words = f"Of `{point['case']}` {_name(most)} recovers most, on the targets themselves"
    if not plain:
        return f"{words}."
    return f"{words}: {values[most] - max(plain):+.3f} AUC beside the best of LiRA and RMIA."


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
        "| world | case | alone, AUC | beside the dense model, AUC | the dense model alone, AUC |",
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

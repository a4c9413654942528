"""Cross-fit pruning beside its rivals, in tables and in the words that intervals carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from secateur.sweeping.points import BY
from tools.circumstances import commands
from tools.protects_aims import NOTHING
from tools.protects_dense import (
    LESS,
    MORE,
    Share,
    best_dense,
    both_have,
    excess_share,
    stopped_beside,
)
from tools.protects_points import (
    BESIDE,
    LOOK,
    OTHERS,
    PLAIN,
    chosen,
    close,
    name_of,
    names_apart,
    names_of,
    single,
    small,
    value,
)
from tools.verdicts import DENSE, Point, cases, row_difference, shown

__all__ = ["beside_block", "protects_block", "tuning_page"]

FLATTERS = (
    "Below `{case}`, which has the smallest share of the stopped dense model's leak of those that "
    "are accurate enough here: the best of many on the targets that say so, so that it flatters "
    "itself."
)
OF = {LESS: " of a less accurate one", MORE: " of a more accurate one"}


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
        look = name.endswith(LOOK)
        point = _tried(content, best) if look and best is not None else chosen(content)
        parts += [
            f"### {name}",
            f"{_draws(facts['seeds'])}; {facts['targets']} targets and "
            f"{facts['references']} references each. Best accuracy of the dense model while it "
            f"trains: {'not measured' if best is None else f'{100 * best:.1f} %'}. Made by "
            f"{commands(facts)}.",
            _cases(content),
            FLATTERS.format(case=point["case"]) if look and point is not None else "",
            *_of(point, content),
        ]
    return "\n\n".join(part for part in parts if part)


def _draws(seeds: list[int]) -> str:
    """Return how many draws there are, and of which seeds."""
    many = "1 draw (seed" if len(seeds) == 1 else f"{len(seeds)} draws (seeds"
    return f"{many} {', '.join(map(str, seeds))})"


def _tried(found: dict[str, Any], best: float) -> Point | None:
    """Return the case of a look with the smallest share of the stopped dense model's leak: of those
    that it compares with rivals, at a tenth of the weights, at most 1 point below the best dense
    accuracy. It flatters itself: it is the best of many on the targets that say so.
    """
    compared = {one["case"] for one in found.get("comparisons", ())}
    shares = {
        name: excess_share(p, found)
        for name, p in cases(found).items()
        if name in compared and small(p) and close(_accuracy(p), best)
    }
    able = {n: s.value for n, s in shares.items() if s is not None and s.standing != MORE}
    return cases(found)[min(able, key=lambda name: able[name])] if able else None


def _of(point: Point | None, found: dict[str, Any]) -> list[str]:
    """Return what attacks and rivals say of one case."""
    return [] if point is None else [_attacks(point, found), _rivals(point, found)]


def _cases(found: dict[str, Any]) -> str:
    """Return a table of all cases, the most accurate first, and who attacked either side."""
    points = sorted(cases(found).values(), key=_accuracy, reverse=True)
    shares = {p["case"]: excess_share(p, found) for p in points}
    common = {p["case"]: _by_one(p, found) for p in points}
    both = any(common.values())
    headers = [
        *("case", "kept %", "test acc. %", "strongest attack", "AUC", f"TPR %{_at(found)}"),
        "of the stopped dense model's leak above 0.5",
        *(["the strongest attack that both were given to, AUC and the dense model's"] * both),
        "CPU s a model",
    ]
    lines = [f"| {' | '.join(headers)} |", "|" + " --- |" * len(headers)]
    for point in points:
        share, seconds = shares[point["case"]], value(point, "cpu seconds")
        cells = [
            point["case"],
            shown(point, "kept weights", 100, 1),
            shown(point, "test accuracy", 100, 1),
            names_of((point["rows"].get("leak") or {}).get("method", "")),
            shown(point, "leak"),
            shown(point, "tpr", 100, 1),
            "-" if share is None else share.shown() + OF.get(share.standing, ""),
            *([common[point["case"]] or "-"] * both),
            "-" if seconds is None else f"{seconds:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    told = _attackers([s for s in shares.values() if s is not None])
    return "\n".join([*lines, *(["", told] if told else [])])


def _at(found: dict[str, Any]) -> str:
    """Return at which false-positive rate a sweep's TPR are: the lowest that its audits resolve."""
    rows = [(p["rows"].get("tpr") or {}).get("metric") for p in cases(found).values()]
    rates = {str(row).removeprefix("tpr at ") for row in rows if row}
    return f" at {rates.pop().removesuffix(' fpr')} FPR" if len(rates) == 1 else ""


def _accuracy(point: Point) -> float:
    return value(point, "test accuracy") or 0.0


def _by_one(point: Point, found: dict[str, Any]) -> str:
    """Return what one attack sees of a case and of the stopped dense model; empty where unknown."""
    dense = stopped_beside(point, found)[0]
    method = None if dense is None else both_have(point, dense)
    if dense is None or method is None:
        return ""
    return f"{name_of(method)} {shown(point, f'{BY}{method}')}, {shown(dense, f'{BY}{method}')}"


def _attackers(shares: list[Share]) -> str:
    """Return which shares compare two attackers, and that snapshots hold outputs alone."""
    pairs = Counter(s.attacks for s in shares if s.attacks[0] != s.attacks[1])
    words = []
    if any(s.snapshot for s in shares):
        words.append(
            "The stopped dense model is a snapshot here, matched by the audit (by medians over the "
            "references): it holds outputs alone, so that no attack reads its weights, and no "
            "numbers to make an interval of."
        )
    if pairs:
        told = ", ".join(
            f"{ours} on the case and {theirs} on the dense model ({count} of {len(shares)})"
            for (ours, theirs), count in pairs.most_common()
        )
        words.append(
            f"Shares of the stopped dense model's leak that compare two attackers: {told}."
        )
    return " ".join(words)


def _attacks(point: Point, found: dict[str, Any]) -> str:
    """Return what each attack sees of our case and of the dense models, and what the best of them
    adds to LiRA and RMIA; the table is left out where single attacks were not written down.
    """
    values = single(point)
    if not values:
        return _gain(point)
    beside = [
        p for p in (stopped_beside(point, found)[0], cases(found).get(DENSE)) if p is not None
    ]
    shown_points = [point, *{p["case"]: p for p in beside}.values()]
    lines = [
        "| attack, AUC | " + " | ".join(p["case"] for p in shown_points) + " |",
        "|" + " --- |" * (1 + len(shown_points)),
    ]
    names = names_apart(values)
    for spelling in sorted(values, key=lambda name: -values[name]):
        seen = [shown(p, f"{BY}{spelling}") for p in shown_points]
        lines.append(f"| {names[spelling]} | " + " | ".join(seen) + " |")
    return "\n".join([_gain(point), "", *lines])


def _gain(point: Point) -> str:
    """Return which attack recovers most, chosen on references as everywhere, and what it adds to
    LiRA and RMIA; of points that have not every attack's row, to LiRA alone.
    """
    leak, values = point["rows"]["leak"], single(point)
    taken = leak.get("method", "").split(" or ")
    words = f"Of `{point['case']}` {names_of(' or '.join(taken))} recovers most on references"
    plain = {name: v for name, v in values.items() if name.startswith(PLAIN)}
    if not plain or leak["value"] is None:
        lira = point["rows"].get("LiRA") or {}
        if lira.get("value") is None or leak["value"] is None or lira["method"] in taken:
            return f"{words}."
        return (
            f"{words}: on the targets {leak['value'] - lira['value']:+.3f} AUC beside "
            f"{name_of(lira['method'])}; what RMIA and the others see was not written down."
        )
    best = max(plain.values())
    if all(name.startswith(PLAIN) for name in taken):
        words += ", so that nothing beyond LiRA and RMIA was found to add to them"
    else:
        words += (
            f": on the targets {leak['value'] - best:+.3f} AUC beside the best of LiRA and RMIA, "
            "which is the best on these targets, so that the gain is rather understated"
        )
    more = {n: v for n, v in values.items() if n not in plain and OTHERS not in n}
    most = max(more, key=lambda name: more[name], default=None)
    if most is None or most in taken:
        return f"{words}."
    return (
        f"{words}. Of the attacks beyond these two {name_of(most)} sees most on the targets "
        f"themselves, {more[most] - best:+.3f} AUC."
    )


def _most(point: Point, wanted: Callable[[str], bool]) -> str | None:
    """Return the row of the attack that sees most of a case among some; None where none ran."""
    values = {name: auc for name, auc in single(point).items() if wanted(name)}
    return f"{BY}{max(values, key=lambda name: values[name])}" if values else None


def beside_block(found: dict[str, dict[str, Any]]) -> str:
    """Return what students tell whoever holds the dense model of the same members too."""
    worlds = {name: content for name, content in found.items() if name.endswith(BESIDE)}
    if not worlds:
        return NOTHING
    lines = [
        "| world | case | alone, AUC of the best of several attacks | beside the dense model, AUC "
        "of the best on both | the dense model alone, AUC of the best of several |",
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


def _rivals(point: Point, found: dict[str, Any]) -> str:
    own = [c for c in found.get("comparisons", ()) if c["case"] == point["case"]]
    if not own:
        return ""
    lines = [
        f"| case | rival, nearest setting | test acc., points | AUC | TPR{_at(found)}, points | "
        "canaries' TPR, points |",
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


def _spared(found: dict[str, Any]) -> str:
    """Say which of the records that the methods are judged on were spared."""
    shared = found.get("in_pools")
    if shared is None:
        return (
            "Records on which the first draw reports accuracy were spared; those of later draws "
            "were not."
        )
    told = [
        f"{roles['validation']} and {roles['others']} of the pool `{pool}` of draw {seed}"
        for seed, pools in shared.items()
        for pool, roles in pools.items()
        if pool == "utility" and (roles["validation"] or roles["others"])
    ]
    if not told:
        return "Records on which a draw reports accuracy were spared."
    return f"Among the validation records and the others are {'; '.join(told)}."


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
        f"{found['models']} models of each case (seed {found['seed']}) on pools of their own: "
        f"{pools}, where `audit` is the pool that members are drawn from and `utility` the "
        f"validation records. {_spared(found)} No attack ran. The best of many settings flatters "
        "itself a little.",
        "\n".join(lines),
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores; "
        f"{versions}.",
    ]
    return "\n\n".join(parts) + "\n"

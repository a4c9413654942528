"""The page and the picture of `tools.attacks`: functions of its document."""

from __future__ import annotations

from typing import Any

from tools.attacks_words import sentences
from tools.tables import table

AUC, AT_1, AT_LOWEST = "auc", "tpr at 1% fpr", "tpr at 0.2% fpr"
TITLES = {AUC: "AUC", AT_1: "TPR at 1 % FPR, %", AT_LOWEST: "TPR at 0.2 % FPR, %"}
SUBJECTS = {"dense": "dense", "admm": "ADMM 10x"}


def shown(cell: dict[str, Any], metric: str, *, interval: bool = True) -> str:
    """Return a value with its interval, TPRs in percent."""
    if "not_resolvable" in cell:
        return "not resolvable"
    factor, digits = (1, 3) if metric == AUC else (100, 1)
    value = f"{factor * cell['value']:.{digits}f}"
    if not interval:
        spread = f" ± {factor * cell['sd']:.{digits}f}" if "sd" in cell else ""
        return value + spread
    low, high = (f"{factor * cell[end]:.{digits}f}" for end in ("low", "high"))
    return f"{value} [{low}, {high}]" + "*" * ("widened" in cell)


def of(found: dict[str, Any], part: str, world: str, subject: str) -> list[dict[str, Any]]:
    """Return the rows of one part that speak of one subject."""
    return [r for r in found[part] if r["world"] == world and r["subject"] == subject]


def seconds(value: float | None) -> str:
    """Return seconds with three digits, or that they are not known."""
    return "not known" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def subjects(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return (world, subject, title) of every pair."""
    return [
        (world, subject, f"{about['name']}, {title}")
        for world, about in found["worlds"].items()
        for subject, title in SUBJECTS.items()
    ]


def side_by_side(found: dict[str, Any], world: str, subject: str) -> str:
    """Return the table of every attack on one subject, the strongest at 1 % FPR first."""
    rows = of(found, "rows", world, subject)
    ran = [r for r in rows if "not_run" not in r]
    ran.sort(key=lambda r: r[AT_1].get("value", -1.0), reverse=True)
    lines = [
        [
            f"`{found['labels'][r['attack']]}`",
            r["threat"],
            str(r["references"]),
            *(shown(r[metric], metric) for metric in TITLES),
            seconds(r["reference_seconds"]),
            seconds(r["scoring_seconds"]),
        ]
        for r in ran
    ]
    lines += [
        [f"`{found['labels'][r['attack']]}`", r["threat"], "-", f"not run: {r['not_run']}"]
        + ["-"] * 4
        for r in rows
        if "not_run" in r
    ]
    headers = ["attack", "attacker", "references", *TITLES.values(), "reference-s", "scoring s"]
    zero = [f"`{found['labels'][r['attack']]}`" for r in ran if r[AT_1].get("value") == 0]
    note = "scores with many ties, so that no threshold lets so few non-members in"
    return table(headers, lines) + (f"\n\nA TPR of 0: {note} ({', '.join(zero)})." * bool(zero))


def power(found: dict[str, Any], world: str, subject: str, metric: str) -> str:
    """Return a metric of each attack by the number of references: mean and sd over subsets."""
    rows = of(found, "curves", world, subject)
    sizes = sorted({r["references"] for r in rows})
    cells = {(r["attack"], r["references"]): r for r in rows}
    lines = []
    for attack in dict.fromkeys(r["attack"] for r in rows):
        cuts = [cells[attack, size] for size in sizes]
        lines.append(
            [f"`{found['labels'][attack]}`"]
            + ["-" if "not_run" in c else shown(c[metric], metric, interval=False) for c in cuts]
        )
    one, both = (
        next((c for c in rows if ("both" in c["threat"]) == wanted), None)
        for wanted in (False, True)
    )
    for row, name in ((one, "reference-s"), (both, "reference-s, both models")):
        if row is not None:
            costs = [cells[row["attack"], size]["reference_seconds"] for size in sizes]
            lines.append([name, *(seconds(c) for c in costs)])
    return table(["attack", *(str(size) for size in sizes)], lines)


def why_not(found: dict[str, Any]) -> list[str]:
    """Return, once each, why a point of a curve is missing."""
    reasons: dict[tuple[int, str], list[str]] = {}
    for row in found["curves"]:
        if "not_run" in row:
            needs = row["not_run"].partition(" needs ")[2].partition(", but ")[0]
            key = (row["references"], needs or row["not_run"])
            reasons.setdefault(key, []).append(f"`{found['labels'][row['attack']]}`")
    lines = [
        f"- {size} reference{'s' * (size > 1)}: {', '.join(dict.fromkeys(names))}: needs {needs}."
        for (size, needs), names in sorted(reasons.items())
    ]
    swept = [f"- `{found['labels'][a]}`: {why}." for a, why in found["not_swept"].items()]
    return lines + swept


def aim_table(found: dict[str, Any], world: str, subject: str) -> str:
    """Return each attack's share with few references of what LiRA gets from many."""
    rows = of(found, "aim", world, subject)
    goals = list(rows[0]["shares"]) if rows else []
    headers = ["attack, 8 references"]
    for goal in goals:
        headers += [f"{what} of `{found['labels'][goal]}`, 64" for what in ("AUC - 0.5", "TPR")]
    lines = [
        [f"`{found['labels'][r['attack']]}`"]
        + [
            f"{100 * s['value']:.0f} [{100 * s['low']:.0f}, {100 * s['high']:.0f}]"
            for goal in goals
            for s in r["shares"][goal].values()
        ]
        for r in rows
    ]
    return table(headers, lines)


def agreement_table(found: dict[str, Any], world: str, subject: str) -> str:
    """Return rank correlations (above the diagonal) and overlaps (below) of every pair."""
    rows = of(found, "agreement", world, subject)
    names = list(dict.fromkeys(name for r in rows for name in r["attacks"]))
    ranks = {tuple(r["attacks"]): r["rank"] for r in rows}
    overlaps = {tuple(reversed(r["attacks"])): r["overlap"] for r in rows}

    def cell(a: str, b: str) -> str:
        one = ranks.get((a, b)) or overlaps.get((a, b))
        if one is None:
            return ""
        return f"{one['value']:.2f}" if one["value"] is not None else "not resolvable"

    labels = [f"`{found['labels'][name]}`" for name in names]
    lines = [
        [label, *(cell(name, b) for b in names)] for label, name in zip(labels, names, strict=True)
    ]
    return table(["rank \\ overlap", *labels], lines)


def stability_table(found: dict[str, Any]) -> str:
    """Return how far two seeds of a learned attack agree."""
    lines = [
        [
            found["worlds"][r["world"]]["name"],
            SUBJECTS[r["subject"]],
            f"`{found['labels'][r['attack']]}`",
            ", ".join(f"{value:.3f}" for value in r["auc_by_seed"]),
            *(
                "not resolvable"
                if r[what]["value"] is None
                else f"{r[what]['value']:.2f} [{r[what]['low']:.2f}, {r[what]['high']:.2f}]"
                for what in ("rank", "overlap")
            ),
            f"{r['overlap']['counts'].get('expected_by_chance', 0.0):.2f}",
        ]
        for r in found["stability"]
    ]
    headers = ["data", "models", "attack", "AUC by seed", "rank correlation", "overlap at 1 % FPR"]
    return table([*headers, "overlap by chance"], lines)


def precision_table(found: dict[str, Any]) -> str:
    """Return the precision of the strongest attack at each prior."""
    priors = list(found["precision"][0]["priors"])
    lines = []
    for r in found["precision"]:
        cells = [r["priors"][prior] for prior in priors]
        counts = cells[0]["counts"]
        lines.append(
            [
                f"{found['worlds'][r['world']]['name']}, {SUBJECTS[r['subject']]}",
                f"`{found['labels'][r['attack']]}`",
                f"{100 * counts['realised_tpr']:.1f} / {100 * counts['realised_fpr']:.1f}",
                *(
                    c["why"]
                    if c["value"] is None
                    else f"{100 * c['value']:.1f} [{100 * c['low']:.1f}, {100 * c['high']:.1f}]"
                    for c in cells
                ),
            ]
        )
    shown_priors = [f"precision at {100 * float(p):g} % prior, %" for p in priors]
    return table(["models", "strongest by references", "TPR / FPR, %", *shown_priors], lines)


def setting(found: dict[str, Any]) -> list[str]:
    """Return what was audited, on what machine and by which commands."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    lines = []
    for about in found["worlds"].values():
        n, took = about["n"], about["cpu_seconds_per_model"]
        lines.append(
            f"- {about['name']}: {n['targets']} targets, {n['references']} references, "
            f"{n['audited_records']:,} audited records of which {n['members']:,} are members in "
            f"the mean, population {n['population']:,}; CPU seconds per model: training "
            f"{seconds(took['dense'])}, ADMM {seconds(took['admm'])}. `{about['commands'][0]}`, "
            f"`{about['commands'][1]}`."
        )
    made = (
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(machine['flags'])}; {versions}. Seed {found['seed']}."
    )
    return ["\n".join(lines), made]


def attacks_page(found: dict[str, Any]) -> str:
    """Return the Markdown page."""
    pairs = subjects(found)
    parts = [
        "# Attacks side by side",
        "Generated from `results/attacks.json` by `make docs`; do not edit.",
        *setting(found),
        "## In words",
        "\n".join(f"- {s}" for s in sentences(found)),
        "## Side by side",
        "Square brackets: 95 % t intervals over targets; with a star: widened, since few units "
        "differ or the targets hardly do. Thresholds of a TPR are chosen on the evaluated data. "
        "Reference-s: CPU seconds that the references took, trained and, where the models are "
        "pruned, pruned alike. Scoring s: CPU seconds for all targets, with the choice of a "
        "threshold; of an attack that trains networks, its training. An insider knows half of the "
        "members, so his rows do not compare with the others; nor do those of attackers who see "
        "both models.",
    ]
    for world, subject, title in pairs:
        parts += [f"### {title}", side_by_side(found, world, subject)]
    parts += [
        "## How many references",
        "![AUC and TPR at 1 % FPR against references, and against CPU seconds](attacks.svg)",
        "Mean over disjoint subsets of the references (up to 6; 2 of 64, 1 of 128) ± the standard "
        "deviation over subsets. `-`: does not run, see below.",
    ]
    for world, subject, title in pairs:
        for metric in (AUC, AT_1):
            parts += [f"### {title}: {TITLES[metric]}", power(found, world, subject, metric)]
    parts += [
        "What is missing, and why (of the records that one reference saw no reference out is left, "
        "of the others none in):",
        "\n".join(why_not(found)),
        "## The aim",
    ]
    parts.append(
        "Of what LiRA gets from 64 references, the percentage that each attack on the one model "
        "gets from 8; t intervals of the linearised ratio, paired over targets."
    )
    for world, subject, title in pairs:
        parts += [f"### {title}: percent from 8", aim_table(found, world, subject)]
    parts += [
        "## Agreement",
        "Above the diagonal the rank correlation of members' scores, below it the overlap "
        "(Jaccard) of the members found at 1 % FPR; mean over targets.",
    ]
    for world, subject, title in pairs:
        parts += [f"### {title}: agreement", agreement_table(found, world, subject)]
    parts += ["## Two seeds of a learned attack", stability_table(found)]
    parts += ["## Precision at a prior", precision_table(found)]
    return "\n\n".join(parts) + "\n"

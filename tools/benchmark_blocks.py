"""The tables of `benchmarks`, for docs/scaling.md."""

from __future__ import annotations

from typing import Any


def made_by(found: dict[str, Any]) -> str:
    """Return one line that says how and where a benchmark was run."""
    machine = found["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    return (
        f"Made by `{found['command']}` on {machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(machine['flags'])}; {versions}."
    )


def fleet_block(found: dict[str, Any]) -> str:
    """Return the table of `benchmarks.fleet`."""
    lines = [
        "Models x records per second of running workers, and the ratio to a plain loop (one "
        "process, a DataLoader without workers, torch's own Adam, the better of one thread and one "
        "per core) of the same round: median (smallest to largest) of "
        f"{found['rounds']} rounds. Peak: share of the matrix-product peak of the cores in use, "
        f"which is {found['peak_gflops_per_core']:.0f} GFLOP/s a core. Workers start in "
        f"{found['start_up_seconds']:.1f} s, once per fleet.",
        "",
        "| network | parameters | route | rate | ratio | peak % | MB a worker |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        for name, route in row["routes"].items():
            ratio = route["ratio"]
            lines.append(
                f"| {row['case']} | {row['parameters']:,} | {name} | "
                f"{route['rate']['median']:,.0f} | {ratio['median']:.2f} "
                f"({ratio['min']:.2f} to {ratio['max']:.2f}) | "
                f"{100 * route['share_of_peak']:.0f} | {route['megabytes']:.0f} |"
            )
    parts = list(found["rows"][0]["where"])
    lines += [
        "",
        "Where the time of one model after another goes, in percent:",
        "",
        f"| network | {' | '.join(parts)} |",
        f"| --- |{' --- |' * len(parts)}",
    ]
    for row in found["rows"]:
        shares = " | ".join(f"{100 * row['where'][part]:.0f}" for part in parts)
        lines.append(f"| {row['case']} | {shares} |")
    chosen = "; ".join(f"{row['case']}: {row['auto']['chosen']}" for row in found["rows"])
    return "\n".join([*lines, "", f"What `auto` chose: {chosen}.", "", made_by(found)])


def device_block(found: dict[str, Any]) -> str:
    """Return the table of `benchmarks.device`."""
    rounds = found["rounds"]
    how = "one round" if rounds == 1 else f"median (smallest to largest) of {rounds} rounds"
    lines = [
        f"Models x records per second on one {found['device']}, and the ratio to a plain loop on "
        "the same card (one model after another, records on the card beforehand, torch's own fused "
        f"Adam) of the same round: {how}.",
        "",
        "| network | batch | route | rate | ratio | TFLOP/s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        for name, route in row["routes"].items():
            about = f"| {row['case']} | {row['batch_size']} | {name} |"
            if "not_run" in route:
                lines.append(f"{about} not run: {route['not_run']} | - | - |")
                continue
            ratio = route["ratio"]
            spread = "" if rounds == 1 else f" ({ratio['min']:.2f} to {ratio['max']:.2f})"
            lines.append(
                f"{about} {route['rate']['median']:,.0f} | {ratio['median']:.2f}{spread} | "
                f"{route['tflops']:.2f} |"
            )
    return "\n".join([*lines, "", made_by(found)])


def references_block(found: dict[str, Any]) -> str:
    """Return the table of `benchmarks.references`."""
    lines = [
        f"Location-30, MLP 446-512-256-128-30, 1,000 members, then `{found['method']}`: wall "
        "seconds per reference, with the start of workers and the writing of models.",
        "",
        "| engine | references | s each | to train | ADMM and retraining | bytes a model | "
        "signals alone |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{row['engine']}` | {row['references']} | {row['seconds_per_reference']:.2f} | "
        f"{row['dense_seconds_per_reference']:.2f} | {row['admm_seconds_per_reference']:.2f} | "
        f"{row['bytes_per_model']:,.0f} | {row['bytes_without_weights']:,.0f} |"
        for row in found["rows"]
    ]
    gain = f"The second core gains {found['second_core']:.2f}x (processes)."
    return "\n".join([*lines, "", gain, "", made_by(found)])


def forward_block(found: dict[str, Any]) -> str:
    """Return the table of `benchmarks.forward`."""
    names = dict.fromkeys(n for row in found["rows"] for n in row["ratio"] if n != "64")
    sizes = [*sorted((n for n in names if n.isdigit()), key=int)]
    sizes += [n for n in names if not n.isdigit()]
    lines = [
        f"Process seconds of asking one network about {found['records']:,} records on one thread, "
        "by how many are asked at once, in units of 64 at once in the same round: median (smallest "
        f"to largest) of {found['rounds']}. With torch's own max pools 64 are asked at once.",
        "",
        "| network | ms a record, 64 at once | "
        + " | ".join(f"{n} at once" if n.isdigit() else n for n in sizes)
        + " |",
        "|" + " --- |" * (2 + len(sizes)),
    ]
    for row in found["rows"]:
        ratios = [row["ratio"].get(size) for size in sizes]
        cells = [
            "no pools" if r is None else f"{r['median']:.2f} ({r['min']:.2f} to {r['max']:.2f})"
            for r in ratios
        ]
        own = row["milliseconds"]["64"]["median"]
        lines.append(f"| {row['network']} | {own:.3f} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", made_by(found)])


def peers_block(found: dict[str, Any]) -> str:
    """Return the table of `benchmarks.peers`."""
    lines = [
        "Wall seconds, median (smallest to largest) of "
        f"{found['rounds']} processes each, and the ratio of the medians to ours; peak memory of "
        "the process, and of one of its workers.",
        "",
        "| what | by | seconds | ratio | MB | MB a worker |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["rows"]:
        for who, part in row["by"].items():
            name = f"{who} {found['packages'][who]}"
            if "failed" in part:
                lines.append(f"| {row['case']} | {name} | failed: {part['failed']} | - | - | - |")
                continue
            took = part["seconds"]
            lines.append(
                f"| {row['case']} | {name} | {took['median']:.2f} ({took['min']:.2f} to "
                f"{took['max']:.2f}) | {part['ratio']:.1f} | {part['megabytes']:.0f} | "
                f"{part['worker_megabytes']:.0f} |"
            )
    return "\n".join([*lines, "", made_by(found)])


def scoring_aims(rows: list[dict[str, Any]]) -> str:
    """Return what was aimed at in scoring and what is reached."""

    def found(case: str, place: str, what: str) -> dict[str, float]:
        return {
            row["dtype"]: row[what]["median"]
            for row in rows
            if row["case"] == case and row["from"] == place
        }

    said = []
    for place in ("memory", "cache"):
        readings = found("LiRA, scores", place, "readings")
        reached = "reached" if max(readings.values()) <= 2 else "not reached"
        each = ", ".join(f"{n:.1f} in {dtype}" for dtype, n in readings.items())
        said.append(f"from {place} {each}: {reached}")
    slowest = 1e3 * max(found("RMIA, scores and threshold", "cache", "seconds").values())
    return (
        f"The aim for LiRA's scores was two readings. They take {'; '.join(said)}. The aim for "
        f"RMIA was 50 ms; with its threshold it takes {slowest:.0f} ms: "
        f"{'reached' if slowest < 50 else 'not reached'}."
    )


def scoring_block(found: dict[str, Any]) -> str:
    """Return the tables of `benchmarks.scoring`."""
    by_case: dict[tuple[str, str], dict[str, str]] = {}
    for row in found["fast"]:
        took = f"{1e3 * row['seconds']['median']:.1f} | {row['readings']['median']:.1f}"
        by_case.setdefault((row["case"], row["from"]), {})[row["dtype"]] = took
    lines = [
        "20,000 records x 64 references, one target, RMIA with a population of 10,000; "
        f"milliseconds of one core, and the ratio to one reading of the same round; medians of "
        f"{found['rounds']} rounds. From cache: the signals of the call before; from memory: "
        "another copy at each call, of more copies than the caches hold. The threshold is chosen "
        "on 8 references played as targets.",
        "",
        "| what | signals from | float32 | readings | float64 | readings |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {case} | {place} | {took['float32']} | {took['float64']} |"
            for (case, place), took in by_case.items()
        ),
        "",
        scoring_aims(found["fast"]),
        "",
        "256 models x 50,000 records in float32 files mapped into memory, scores and threshold: "
        "memory beside the files' own pages, at the peak, and before with everything imported.",
        "",
        "| attack | queries | MB in the file | s | MB at the peak | MB before |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['case']} | {row['queries']} | {row['file_mb']:.0f} | {row['seconds']:.2f} | "
        f"{row['peak_mb']:.0f} | {row['before_mb']:.0f} |"
        for row in found["large"]
    ]
    return "\n".join([*lines, *bootstrap_lines(found), "", made_by(found)])


def bootstrap_lines(found: dict[str, Any]) -> list[str]:
    """Return the table of the bootstrap's part of `benchmarks.scoring`."""
    lines = [
        "",
        "1,000 bootstrap replicates over 20,000 records x 8 targets, the sorting of the scores "
        "with them: CPU seconds of one core; the ratio to drawing the 1,000 x 20,000 counts alone; "
        "and the ratio of sorting each replicate anew (of 20 replicates, scaled) to this. Median "
        f"(smallest to largest) of {found['rounds']} rounds.",
        "",
        "| metric | s | drawings | sorting anew / this |",
        "| --- | --- | --- | --- |",
    ]
    for row in found["bootstrap"]:
        cells = [ranged(row["seconds"], 2), ranged(row["drawings"], 1)]
        cells.append(ranged(row["loop"], 0) if "loop" in row else "sorts nothing")
        lines.append(f"| {row['case']} | {' | '.join(cells)} |")
    return lines


def ranged(values: dict[str, float], digits: int) -> str:
    """Return the median with the smallest and the largest."""
    low, middle, high = (f"{values[key]:.{digits}f}" for key in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"

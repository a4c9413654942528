"""The tables of `benchmarks.runtime`, for docs/runtime.md."""

from __future__ import annotations

from typing import Any

from tools.benchmark_blocks import made_by

AIMS: dict[tuple[str, int], dict[float, tuple[float, float]]] = {
    ("VGG16", 1): {0.8: (1.0, 2.5), 0.9: (1.9, 5), 0.95: (3.8, 10), 0.98: (5.1, 18)},
    ("VGG16", 32): {0.8: (4.5, 5.4), 0.9: (7.7, 9.5), 0.95: (10.7, 14), 0.98: (14.9, 24)},
    ("ResNet18", 1): {0.8: (1.4, 2.5), 0.9: (2.8, 4.5), 0.95: (4.6, 7.5), 0.98: (5.9, 14)},
    ("ResNet18", 32): {0.8: (4.3, 4.9), 0.9: (7.0, 8.5), 0.95: (9.6, 12.5), 0.98: (11.3, 19)},
}
"""By network and batch, at each share of zeros: what DeepSparse 1.8 reached over dense ONNX Runtime
on another machine with AVX-512, and what was aimed at on such a machine."""


def runtime_block(found: dict[str, Any], two: dict[str, Any] | None = None) -> str:
    """Return speed-ups over dense ONNX Runtime beside the aims, memory, and what two threads gain.

    Args:
        found: with one thread.
        two: with two threads, where it was measured.
    """
    rows = found["rows"]
    parts = [
        f"By {rows[0]['engine']}, beside {found['runtime']} running the dense network, in turn in "
        f"{found['rounds']} rounds: speed-up of the same round, median (smallest to largest). "
        f"Fresh weights, the smallest set to zero{_trained(rows)}: accuracy is not spoken of here.",
        "",
        *_speeds(rows),
        "",
        *_reached(rows),
        "",
        "Memory that loading and running adds at its highest, MB, and bytes of the file:",
        "",
        *_memory(rows),
    ]
    if found.get("gains"):
        parts += ["", *_gains(found["gains"])]
    if two is not None:
        parts += ["", *_threads(rows, two)]
    return "\n".join([*parts, "", made_by(found)])


def _trained(rows: list[dict[str, Any]]) -> str:
    if not any("by ADMM" in row["network"] for row in rows):
        return ""
    return (
        ", but for those by ADMM, trained for a moment, which shuffled have as many zeros in each "
        "layer at random"
    )


def _shown(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _speeds(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | zeros % | batch | ms | dense ONNX Runtime, ms | speed-up | DeepSparse 1.8, "
        "another machine | aim |",
        "|" + " --- |" * 8,
    ]
    for row in rows:
        other, aim = AIMS.get((row["network"], row["batch"]), {}).get(row["zeros"], (None, None))
        zeros = "trained" if row["zeros"] is None else f"{100 * row['zeros']:g}"
        times = row["median_ms"]
        lines.append(
            f"| {row['network']} | {zeros} | {row['batch']} | {times['sparse']:.3g} | "
            f"{times['ONNX Runtime']:.3g} | {_shown(row['ratio'])} | "
            f"{'-' if other is None else f'{other:g}x'} | {'-' if aim is None else f'{aim:g}x'} |"
        )
    return lines


def _reached(rows: list[dict[str, Any]]) -> list[str]:
    """Say how many of the aims were reached, and which of the published figures were passed."""
    known = [
        (row["ratio"]["median"], *AIMS[row["network"], row["batch"]][row["zeros"]])
        for row in rows
        if row["zeros"] in AIMS.get((row["network"], row["batch"]), {})
    ]
    if not known:
        return ["None of the aims is measured here."]
    reached = sum(own >= aim for own, _, aim in known)
    passed = sum(own >= other for own, other, _ in known)
    return [
        f"{reached} of {len(known)} aims are reached, and {passed} of {len(known)} of DeepSparse's "
        "figures. Both are ratios to ONNX Runtime, and that is faster on newer processors."
    ]


def _memory(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| network | zeros % | batch | sparse | dense ONNX Runtime | packed file | ONNX file |",
        "|" + " --- |" * 7,
    ]
    for row in rows:
        zeros = "trained" if row["zeros"] is None else f"{100 * row['zeros']:g}"
        memory, size = row["peak_memory"], row["bytes"]
        lines.append(
            f"| {row['network']} | {zeros} | {row['batch']} | {memory['sparse'] / 1e6:.1f} | "
            f"{memory['ONNX Runtime'] / 1e6:.1f} | {size['packed']:,} | {size['onnx']:,} |"
        )
    return lines


def _threads(rows: list[dict[str, Any]], two: dict[str, Any]) -> list[str]:
    one = {(r["network"], r["zeros"], r["batch"]): r for r in rows}
    lines = [
        f"With {two['rows'][0]['threads']} threads, both sides:",
        "",
        "| network | zeros % | batch | ms | as fast as with one | speed-up over ONNX Runtime |",
        "|" + " --- |" * 6,
    ]
    for row in two["rows"]:
        alone = one.get((row["network"], row["zeros"], row["batch"]))
        own = row["median_ms"]["sparse"]
        gain = "-" if alone is None else f"{alone['median_ms']['sparse'] / own:.2f}x"
        lines.append(
            f"| {row['network']} | {100 * (row['zeros'] or 0):g} | {row['batch']} | {own:.3g} | "
            f"{gain} | {_shown(row['ratio'])} |"
        )
    return lines


def _gains(gains: list[dict[str, Any]]) -> list[str]:
    lines = [
        "Two threads of the runtime beside one, timed in turn, at 90 % zeros where not trained:",
        "",
        "| network | batch | ms by one | ms by two | as fast as with one |",
        "|" + " --- |" * 5,
    ]
    for row in gains:
        one, two = row["median_ms"]["1 thread(s)"], row["median_ms"]["2 thread(s)"]
        lines.append(
            f"| {row['network']} | {row['batch']} | {one:.3g} | {two:.3g} | "
            f"{_shown(row['ratio'])} |"
        )
    return lines

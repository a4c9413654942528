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

TWICE = 1.8
"""How much faster two threads shall be than one."""

AVX2_AIMS: dict[tuple[str, int], dict[float, float]] = {
    ("VGG16", 1): {0.8: 2.5, 0.9: 5, 0.95: 10, 0.98: 18},
    ("VGG16", 32): {0.8: 3.3, 0.9: 5.5, 0.95: 9, 0.98: 17},
    ("ResNet18", 1): {0.8: 2.5, 0.9: 4.5, 0.95: 7.5, 0.98: 14},
}
"""What was aimed at without AVX-512: the same for one record, plain C's share for 32."""


def runtime_block(
    found: dict[str, Any],
    two: dict[str, Any] | None = None,
    avx2: dict[str, Any] | None = None,
    other: dict[str, Any] | None = None,
    other_avx2: dict[str, Any] | None = None,
) -> str:
    """Return speed-ups over dense ONNX Runtime beside the aims, memory, and what two threads gain.

    Args:
        found: with one thread.
        two: with two threads, where it was measured.
        avx2: with one thread and without AVX-512 on our side, where it was measured.
        other: as `found`, on another processor, where it was measured.
        other_avx2: as `avx2`, on that one.
    """
    rows = found["rows"]
    parts = [
        f"By {rows[0]['engine']}, beside {found['runtime']} running the dense network, in turn in "
        f"{found['rounds']} rounds: speed-up of the same round, median (smallest to largest). "
        f"Fresh weights, the smallest set to zero{_trained(rows)}: accuracy is not spoken of here.",
        "",
        *_speeds(rows),
        *_said_of_ways(rows),
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
        parts += ["", *_threads(two)]
    if avx2 is not None:
        parts += ["", *_without_avx512(rows, avx2)]
    parts += ["", made_by(found)]
    if other is not None:
        parts += ["", *_elsewhere(other, other_avx2), "", made_by(other)]
    return "\n".join(parts)


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
    told = any("layers" in row for row in rows)
    lines = [
        "| network | zeros % | batch | ms | dense ONNX Runtime, ms | speed-up | DeepSparse 1.8, "
        f"another machine | aim |{' layers by way |' if told else ''}",
        "|" + " --- |" * (9 if told else 8),
    ]
    for row in rows:
        other, aim = AIMS.get((row["network"], row["batch"]), {}).get(row["zeros"], (None, None))
        zeros = "trained" if row["zeros"] is None else f"{100 * row['zeros']:g}"
        times = row["median_ms"]
        lines.append(
            f"| {row['network']} | {zeros} | {row['batch']} | {times['sparse']:.3g} | "
            f"{times['ONNX Runtime']:.3g} | {_shown(row['ratio'])} | "
            f"{'-' if other is None else f'{other:g}x'} | {'-' if aim is None else f'{aim:g}x'} |"
            f"{f' {_ways(row)} |' if told else ''}"
        )
    return lines


def _ways(row: dict[str, Any]) -> str:
    """Return how many layers ran in which way, in the order of the words on the page."""
    ways = [way for _, way in row.get("layers", [])]
    counts = [(ways.count(way), way) for way in ("sparse", "dense", "code")]
    return ", ".join(f"{n} {way}" for n, way in counts if n) or "-"


def _said_of_ways(rows: list[dict[str, Any]]) -> list[str]:
    if not any("layers" in row for row in rows):
        return []
    return [
        "",
        "The last column counts the layers with weights by the way in which they ran, "
        "[as above](#from-a-file-to-a-run); each layer's is in the file of results.",
    ]


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
        "figures; both are ratios to ONNX Runtime."
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


def _threads(two: dict[str, Any]) -> list[str]:
    lines = [
        f"With {two['rows'][0]['threads']} threads, both sides:",
        "",
        "| network | zeros % | batch | ms | speed-up over ONNX Runtime |",
        "|" + " --- |" * 5,
    ]
    for row in two["rows"]:
        own = row["median_ms"]["sparse"]
        lines.append(
            f"| {row['network']} | {100 * (row['zeros'] or 0):g} | {row['batch']} | {own:.3g} | "
            f"{_shown(row['ratio'])} |"
        )
    return lines


def _without_avx512(rows: list[dict[str, Any]], avx2: dict[str, Any]) -> list[str]:
    """Set the times without AVX-512 beside those with it, and beside their aims."""
    with_it = {_key(row): row["median_ms"]["sparse"] for row in rows}
    lines = [
        f"Without AVX-512 on our side ({avx2['rows'][0]['engine']}), one thread. ONNX Runtime "
        "beside it takes all that the processor has, so on one without AVX-512 the ratios would "
        "be others. Torch can be kept from AVX-512, and is timed in the same rounds, dense:",
        "",
        "| network | zeros % | batch | ms | ms with AVX-512 | dense ONNX Runtime, ms | speed-up | "
        "aim | dense torch without AVX-512, ms | speed-up over it |",
        "|" + " --- |" * 10,
    ]
    known: list[bool] = []
    for row in avx2["rows"]:
        key = _key(row)
        aim = AVX2_AIMS.get((row["network"], row["batch"]), {}).get(row["zeros"])
        if aim is not None:
            known.append(row["ratio"]["median"] >= aim)
        times = row["median_ms"]
        lines.append(
            f"| {row['network']} | {100 * (row['zeros'] or 0):g} | {row['batch']} | "
            f"{times['sparse']:.3g} | {f'{with_it[key]:.3g}' if key in with_it else '-'} | "
            f"{times['ONNX Runtime']:.3g} | {_shown(row['ratio'])} | "
            f"{'-' if aim is None else f'{aim:g}x'} | {_beside_torch(times)} |"
        )
    return [*lines, "", f"{sum(known)} of {len(known)} aims without AVX-512 are reached."]


def _elsewhere(found: dict[str, Any], avx2: dict[str, Any] | None) -> list[str]:
    """Say what the same commands found on another processor."""
    lines = [
        f"On another processor ({found['machine']['processor']}), by the same commands. "
        f"{_spread(found['rows'])}",
        "",
        *_speeds(found["rows"]),
        *_said_of_ways(found["rows"]),
        "",
        *_reached(found["rows"]),
    ]
    if found.get("gains"):
        lines += ["", *_gains(found["gains"])]
    return lines if avx2 is None else [*lines, "", *_without_avx512(found["rows"], avx2)]


def _spread(rows: list[dict[str, Any]]) -> str:
    """Say how far the rounds of a row lie apart: how quiet the machine was."""
    apart = [row["ratio"]["max"] / row["ratio"]["min"] for row in rows]
    wide = sum(ratio > 1.3 for ratio in apart)
    return (
        f"In {wide} of {len(apart)} rows the fastest round is more than 1.3 times the slowest"
        + ("." if not wide else ": it was not alone on its machine, so compare no two rows.")
    )


def _key(row: dict[str, Any]) -> tuple[str, float | None, int]:
    return row["network"], row["zeros"], row["batch"]


def _beside_torch(times: dict[str, float]) -> str:
    if "torch" not in times:
        return "- | -"
    return f"{times['torch']:.3g} | {times['torch'] / times['sparse']:.2f}x"


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
    ratios = [row["ratio"]["median"] for row in gains]
    enough = sum(ratio >= TWICE for ratio in ratios)
    lines += ["", f"{enough} of {len(ratios)} are at least {TWICE:g} times as fast, the aim."]
    if min(ratios) < 1:
        lines[-1] += " Below 1x two threads are slower than one."
    return lines

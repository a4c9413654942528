"""The tables about the sparse runtime: aims reached and missed, memory, threads."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.runtime_block import runtime_block


def row(network="VGG16", zeros=0.9, batch=1, ratio=6.0, ms=1.0, threads=1):
    return {
        "network": network,
        "zeros": zeros,
        "batch": batch,
        "threads": threads,
        "engine": "compiled, avx512",
        "bytes": {"packed": 1000, "onnx": 9000},
        "peak_memory": {"sparse": 2_000_000, "ONNX Runtime": 30_000_000},
        "median_ms": {"sparse": ms, "ONNX Runtime": ratio * ms},
        "ratio": {"min": ratio - 0.5, "median": ratio, "max": ratio + 0.5},
    }


def report(rows):
    return {
        "rows": rows,
        "rounds": 5,
        "runtime": "ONNX Runtime 1, 1 thread(s)",
        "command": "python -m benchmarks.runtime",
        "machine": {"processor": "p", "cores": 2, "flags": ["avx512f"], "versions": {"torch": "1"}},
    }


def test_aims_are_counted_by_the_median():
    text = runtime_block(report([row(), row(batch=32, ratio=8.0), row(network="LeNet-5")]))
    assert "1 of 2 aims are reached, and 2 of 2 of DeepSparse's figures" in text
    assert "| VGG16 | 90 | 1 | 1 | 6 | 6.00x (5.50 to 6.50) | 1.9x | 5x |" in text
    assert "| LeNet-5 | 90 | 1 | 1 | 6 | 6.00x (5.50 to 6.50) | - | - |" in text


def test_the_ways_in_which_layers_ran_have_a_column_where_they_are_recorded():
    told = {**row(), "layers": [["0", "code"], ["3", "code"], ["7", "dense"], ["9", "sparse"]]}
    text = runtime_block(report([told, row(network="LeNet-5")]))
    assert "| DeepSparse 1.8, another machine | aim | layers by way |\n|" + " --- |" * 9 in text
    assert "1.9x | 5x | 1 sparse, 1 dense, 2 code |\n" in text
    assert "| LeNet-5 | 90 | 1 | 1 | 6 | 6.00x (5.50 to 6.50) | - | - | - |\n" in text
    assert "The last column counts the layers" in text
    assert "layers by way" not in runtime_block(report([row()]))
    assert "The last column" not in runtime_block(report([row()]))


def test_what_another_processor_gave_stands_apart_with_its_own_count_of_aims():
    told = {**row(ratio=4.0), "layers": [["0", "code"]]}
    there = report([told, row(network="LeNet-5", zeros=None)])
    there["machine"]["processor"] = "another one"
    slow = {"network": "VGG16", "batch": 1, "median_ms": {"1 thread(s)": 1, "2 thread(s)": 2}}
    there["gains"] = [{**slow, "ratio": {"min": 0.4, "median": 0.5, "max": 0.6}}]
    text = runtime_block(report([row()]), None, None, there, report([row(ratio=3.0)]))
    here, _, other = text.partition("On another processor (another one), by the same commands")
    assert "1 of 1 aims are reached" in here
    assert "another one" not in here
    assert "In 0 of 2 rows the fastest round is more than 1.3 times the slowest.\n" in other
    assert "| VGG16 | 90 | 1 | 1 | 4 | 4.00x (3.50 to 4.50) | 1.9x | 5x | 1 code |" in other
    assert "| LeNet-5 | trained | 1 | 1 | 6 | 6.00x (5.50 to 6.50) | - | - | - |" in other
    assert other.count("0 of 1 aims are reached") == 1
    assert "0 of 1 are at least 1.8 times as fast" in other
    assert "0 of 1 aims without AVX-512 are reached" in other
    assert "on another one, 2 cores" in other


def test_rounds_that_lie_far_apart_are_said():
    there = report([row(ratio=1.0), row(network="LeNet-5")])  # 0.5 to 1.5, and 5.5 to 6.5
    text = runtime_block(report([row()]), None, None, there)
    assert "In 1 of 2 rows the fastest round is more than 1.3 times the slowest: it was not" in text
    assert "Without AVX-512" not in text


def test_memory_and_a_trained_model_stand_beside():
    text = runtime_block(report([row(network="mine", zeros=None)]))
    assert "| mine | trained | 1 | 2.0 | 30.0 | 1,000 | 9,000 |" in text
    assert "None of the aims is measured here." in text


def test_two_threads_are_set_beside_one():
    two = report([row(ms=0.6, threads=2)])
    text = runtime_block(report([row()]), two)
    assert "With 2 threads, both sides:" in text
    assert "| VGG16 | 90 | 1 | 0.6 | 6.00x (5.50 to 6.50) |" in text


def test_threads_that_were_timed_in_turn_have_a_table_of_their_own():
    gain = {
        "network": "VGG16 by ADMM, shuffled",
        "batch": 32,
        "median_ms": {"1 thread(s)": 3.0, "2 thread(s)": 1.5},
        "ratio": {"min": 1.9, "median": 2.0, "max": 2.1},
    }
    text = runtime_block({**report([row()]), "gains": [gain]})
    assert "| VGG16 by ADMM, shuffled | 32 | 3 | 1.5 | 2.00x (1.90 to 2.10) |" in text
    assert "1 of 1 are at least 1.8 times as fast, the aim." in text and "slower" not in text
    slow = {**gain, "ratio": {"min": 0.6, "median": 0.7, "max": 0.8}}
    slower = runtime_block({**report([row()]), "gains": [gain, slow]})
    assert "1 of 2 are at least 1.8 times as fast, the aim. Below 1x two threads are" in slower
    assert "trained for a moment" in runtime_block(report([row(network="LeNet-5 by ADMM")]))
    assert "trained for" not in text
    assert "Two threads" not in runtime_block({**report([row()]), "gains": []})


def test_what_runs_without_avx512_stands_beside_what_runs_with_it_and_its_own_aims():
    plain = report([row(ratio=4.0, ms=1.5), row(batch=32, ratio=5.6, ms=2.0), row(zeros=None)])
    plain["rows"][0]["median_ms"]["torch"] = 9.0
    text = runtime_block(report([row()]), avx2=plain)
    assert "| VGG16 | 90 | 1 | 1.5 | 1 | 6 | 4.00x (3.50 to 4.50) | 5x | 9 | 6.00x |" in text
    assert "| VGG16 | 90 | 32 | 2 | - | 11.2 | 5.60x (5.10 to 6.10) | 5.5x | - | - |" in text
    assert "1 of 2 aims without AVX-512 are reached." in text
    assert "Without AVX-512" not in runtime_block(report([row()]))

"""Tables of benchmarks on the pages."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmark_blocks import forward_block


def spread(middle):
    return {"min": middle - 0.1, "median": middle, "max": middle + 0.1}


def test_sizes_of_batches_stand_in_order_and_beside_64_alone():
    ratios = {"16": spread(1.2), "2048": spread(2.5), "256": spread(1.6), "64": spread(1.0)}
    found = {
        "records": 2048,
        "rounds": 5,
        "command": "python -m benchmarks.forward",
        "cores": 2,
        "machine": {
            "processor": "a processor",
            "cores": 2,
            "flags": [],
            "versions": {"torch": "1"},
        },
        "rows": [
            {"network": "A", "milliseconds": {"64": spread(0.5)}, "ratio": ratios},
            {
                "network": "B",
                "milliseconds": {"64": spread(0.5)},
                "ratio": {**ratios, "torch's own pools": spread(3.0)},
            },
        ],
    }
    text = forward_block(found).splitlines()
    head = "| network | ms a record, 64 at once | 16 at once | 256 at once | 2048 at once |"
    assert f"{head} torch's own pools |" in text
    row = "0.500 | 1.20 (1.10 to 1.30) | 1.60 (1.50 to 1.70) | 2.50 (2.40 to 2.60) |"
    assert f"| A | {row} no pools |" in text
    assert f"| B | {row} 3.00 (2.90 to 3.10) |" in text
    assert "of 5" in text[0] and "2,048 records" in text[0]

"""Run every benchmark: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import sys

from benchmarks import fleet, scoring

if __name__ == "__main__":
    scoring.main(quick="--quick" in sys.argv)
    fleet.main()

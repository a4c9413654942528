"""Call networks from several threads at once, in a process whose engine watches for races.

    python raced.py ROUNDS

Threads share networks and make their own; calls have one thread or several, one record or many;
programs are built while others run, layers are timed, and networks end. Generated code is not
watched, so kernels run as well. It prints what ran once all answers are right.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from test_native_threads import native, records, skewed

SIZES = (1, 3, 5, 16, 38, 70)
CALLERS = 4


def work(engine: Any, answers: dict[int, Any], seed: int, rounds: int, wrong: list[str]) -> None:
    """Call an engine in an order of its own; note what differs."""
    rng = np.random.default_rng(seed)
    try:
        for turn in range(rounds):
            n, threads = int(rng.choice(SIZES)), int(rng.integers(1, 5))
            own = engine
            if turn % 4 == 3:  # made here, shared with nobody, ended at once
                own = native.NativeEngine(engine.plan, isa=engine.isa, ways=engine.ways)
            if turn % 5 == 4:
                own.seconds(records(engine.plan, n), rounds=1)
            if not np.array_equal(own.run(records(engine.plan, n), threads), answers[n]):
                wrong.append(f"{n} records by {threads} threads, {engine.isa}")
    except Exception as error:  # a thread's own would be printed and forgotten
        wrong.append(repr(error))


def main() -> None:
    plan, rounds, ran, wrong = skewed(24, 5), int(sys.argv[1]), 0, []
    for isa in native.instruction_sets():
        for way in ("sparse", "dense", "code"):
            ways = {(lanes, i): way for lanes in (1, 16) for i in (0, 1, 2, 4)}
            made = native.NativeEngine(plan, isa=isa, ways=ways)
            answers = {n: made.run(records(plan, n), 1) for n in SIZES}
            engine = native.NativeEngine(plan, isa=isa, ways=ways)  # all call it for the first time
            crowd = [
                threading.Thread(target=work, args=(engine, answers, seed, rounds, wrong))
                for seed in range(CALLERS)
            ]
            for one in crowd:
                one.start()
            for one in crowd:
                one.join()
            ran += CALLERS * rounds
    print(wrong or f"{ran} calls")


if __name__ == "__main__":
    main()

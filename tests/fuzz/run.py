"""Many random programs: `python tests/fuzz/run.py --count 10000`. Exit 1 if one fails; failures are shrunk and printed.

To repeat one failure: `--seed S --count 1` with the chip it was found on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from differential import Verdict, examine
from generate import Limits, generate
from shrink import shrink

from isa.chip import Chip, load_chip

CHIPS = Path(__file__).parent / "chips"
CHIPS_IN_TURN = ("small", "plain", "tiny")
OURS = tuple(sorted(p.stem for p in CHIPS.glob("*.toml")))


@cache
def chip_named(name: str) -> Chip:
    return load_chip(str(CHIPS / f"{name}.toml") if name in OURS else name)


def limits_for(chip: Chip) -> Limits:
    """Tensors that leave a chip room for many of them."""
    words = sum(chip.words(u.name) for u in chip.slices("sram"))
    return Limits(chip.lanes, min(64, words // 96), chip.mxm.transposed_load)


def judge(seed: int, chip_name: str) -> tuple[int, Verdict]:
    chip = chip_named(chip_name)
    return seed, examine(generate(seed, limits_for(chip)), chip, seed)


def report(seed: int, chip_name: str, verdict: Verdict) -> str:
    """The failure with its smallest program."""
    chip = chip_named(chip_name)
    text = generate(seed, limits_for(chip))
    if verdict.kind == "failed":
        text = shrink(text, lambda t: examine(t, chip, seed).what == verdict.what)
        verdict = examine(text, chip, seed)
    again = f"python tests/fuzz/run.py --chip {chip_name} --seed {seed} --count 1"
    return f"\n{verdict.kind} on {chip_name}, seed {seed}: {verdict.what}\nagain: {again}\n{text}\n{verdict.detail}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="programs")
    parser.add_argument("--seed", type=int, default=0, help="the first one's seed")
    parser.add_argument(
        "--chip", action="append", help=f"a chip; repeat for more, which take turns (default: {', '.join(CHIPS_IN_TURN)})"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--show", type=int, default=10, help="failures to shrink and print; the others are only counted")
    options = parser.parse_args()
    chips = options.chip or list(CHIPS_IN_TURN)
    work = [(seed, chips[seed % len(chips)]) for seed in range(options.seed, options.seed + options.count)]
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(judge, *zip(*work, strict=True), chunksize=4)
        for (seed, name), (_, verdict) in zip(work, verdicts, strict=True):
            counts[verdict.kind] += 1
            if verdict.kind in ("failed", "invalid"):
                known = counts["failed"] + counts["invalid"] > options.show
                print(
                    f"{verdict.kind} on {name}, seed {seed}: {verdict.what}" if known else report(seed, name, verdict),
                    flush=True,
                )
            if sys.stderr.isatty():
                done = sum(counts.values())
                print(f"\r{done}/{len(work)} programs, {counts['failed']} failed", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    seconds = time.monotonic() - begun
    share = 100 * counts["refused"] / len(work)
    print(
        f"{len(work)} programs on {', '.join(chips)}: {counts['passed']} passed, {counts['refused']} refused by the chip "
        f"({share:.1f} %), {counts['failed']} failed, {counts['invalid']} not valid, in {seconds:.0f} s"
    )
    return 1 if counts["failed"] or counts["invalid"] else 0


if __name__ == "__main__":
    sys.exit(main())

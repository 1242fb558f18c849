"""The fast machine against the reference machine: the same programs, the same bits, cycles and counters; seconds of each.

    python benchmarks/machines.py [--size M K N] [--large] [--repeat N] [--json]

Runs alternate, so that other work on this machine meets both. The fast machine is timed twice: with a new device, where it
first checks the program and plans its run, and with a device that has run the program before.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

from measure.cases import Array, product
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.cli.random_inputs import random_inputs
from compiler.session import Compiled, Device, Result, compile_file, difference
from isa.chip import load_chip

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
SIZE = (512, 640, 640)
LARGE = (2304, 4096, 3200)
MUST_RATIO, AIM_RATIO = 10.0, 50.0
SETTLED_SECONDS = 1.0
"""Programs are run more often than asked until their runs on the reference machine have taken this long together."""

TABLE: tuple[Column, ...] = (
    ("program", "program", ""), ("chip", "chip", ""), ("operations", "operations", ",d"), ("cycles", "cycles", ",d"),
    ("reference s", "reference_seconds", ".3f"), ("first run s", "first_run_seconds", ".3f"),
    ("next run s", "next_run_seconds", ".4f"), ("must ×", "must_ratio", ".0f"), ("aim ×", "aim_ratio", ".0f"),
    ("first ×", "first_run_ratio", ".1f"), ("", "first_run_reached", ""),
    ("next ×", "next_run_ratio", ".1f"), ("", "next_run_reached", ""), ("equal", "equal", ""), ("runs", "runs", "d"),
)  # fmt: skip


def measure(name: str, compiled: Compiled, inputs: dict[str, Array], repeat: int, judged: bool) -> Row:
    """One row: medians of `repeat` runs in turns, or more if they are short."""
    program = compiled.program
    ready = Device(program)
    cycles = ready.run(inputs).cycles
    seconds: dict[str, list[float]] = {"reference": [], "first_run": [], "next_run": []}
    equal = True
    while len(seconds["reference"]) < repeat or sum(seconds["reference"]) < SETTLED_SECONDS:
        begun = time.perf_counter()
        slow = Device(program, "reference").run(inputs)
        times = [time.perf_counter()]
        fast = Device(program).run(inputs)
        times.append(time.perf_counter())
        again = ready.run(inputs)
        times.append(time.perf_counter())
        for kind, start, end in zip(seconds, [begun, *times], times, strict=False):
            seconds[kind].append(end - start)
        equal = equal and same(slow, fast) and same(slow, again)
    reference, first, following = (median(each) for each in seconds.values())
    must, aim = (MUST_RATIO, AIM_RATIO) if judged else (None, None)
    return {
        "program": name, "chip": program.chip.name, "operations": len(program.operations), "cycles": cycles,
        "reference_seconds": reference, "first_run_seconds": first, "next_run_seconds": following,
        "first_run_ratio": reference / first, "next_run_ratio": reference / following,
        "must_ratio": must, "aim_ratio": aim, "first_run_reached": mark(reference / first, must, aim),
        "next_run_reached": mark(reference / following, must, aim), "equal": equal, "runs": len(seconds["reference"]),
    }  # fmt: skip


def same(a: Result, b: Result) -> bool:
    """Equal bits, cycles and counters. (Call after call from the same memory: the programs here have no state.)"""
    return not difference(a.outputs, b.outputs) and a.cycles == b.cycles and a.counters.facts() == b.counters.facts()


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("The fast machine against the reference machine.")
    parser.add_argument("--chip", default="lpu-rram", help="a preset or a TOML file (default lpu-rram)")
    parser.add_argument("--size", type=positive, nargs=3, default=SIZE, metavar=("M", "K", "N"), help="of the i8 product")
    parser.add_argument("--no-samples", action="store_true", help="only the product")
    parser.add_argument("--large", action="store_true", help="also the 2304 × 4096 × 3200 product on tsp, once (minutes)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    chip, repeat = load_chip(arguments.chip), arguments.repeat
    rows: list[Row] = []
    m, k, n = arguments.size
    compiled, a, _ = product(m, k, n, "i8", chip)
    rows.append(measure(f"{m} × {k} × {n} i8", compiled, {"a": a}, repeat, judged=(m, k, n) == SIZE))
    if not arguments.no_samples:
        for source in (SAMPLES / "digits" / "digits.lks", SAMPLES / "transformer" / "block.lks"):
            compiled = compile_file(source, chip)
            rows.append(measure(source.stem, compiled, random_inputs(compiled.declared, 0, 1)[0], repeat, judged=False))
    if arguments.large:
        compiled, a, _ = product(*LARGE, "i8", load_chip("tsp"))
        rows.append(measure(" × ".join(map(str, LARGE)) + " i8", compiled, {"a": a}, 1, judged=True))
    if arguments.json:
        print_json("machines", rows)
        return
    print_table("Fast machine against reference machine: medians of runs in turns", TABLE, rows)
    print(
        "\nfirst run: with check and plan, which do not depend on the inputs; next run: of a device that has run before."
        "\nmust and aim are for the products; the samples show what small programs get."
        "\nequal: bits, cycles and all counters of all three."
    )


if __name__ == "__main__":
    run_or_explain(main)

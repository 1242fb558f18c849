"""What a device with everything on costs a run: a chain of weights with RRAM without faults, and on a programmed device.

    python benchmarks/rram_device.py [--layers L] [--width D] [--years Y] [--repeat N] [--json]

The device is programmed with the chain's weights and then aged; its cells have drifted, are stuck, are disturbed by reads, and
every read has noise. Seconds are processor time of one run, without planning.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from statistics import median

from measure.cases import Array, layer_chain
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.session import Device
from isa.chip import load_chip
from isa.program import Program
from isa.rram_device import SECONDS_A_YEAR
from isa.rram_state import RramState
from sim.programming import program_device

LAYERS, WIDTH, YEARS = 4, 5120, 10
MUST_RATIO = 2.0

TABLE: tuple[Column, ...] = (
    ("weights MB", "weight_megabytes", ".1f"), ("without s", "seconds_without", ".3f"), ("on device s", "seconds_with", ".3f"),
    ("ratio", "ratio", ".2f"), ("must", "must_ratio", ".1f"), ("", "reached", ""), ("program s", "program_seconds", ".2f"),
    ("words corrected", "corrected", ",d"), ("bits equal", "bits_equal", ""),
)  # fmt: skip


def seconds_of(program: Program, x: Array, repeat: int, state: RramState | None) -> tuple[float, Array, int]:
    """Processor seconds of a run, its output, and the words that the code corrected in it."""
    device = Device(program, "fast", state)
    result = device.run({"x": x})
    times: list[float] = []
    for _ in range(repeat):
        begun = time.process_time()
        result = device.run({"x": x})
        times.append(time.process_time() - begun)
    return median(times), result.outputs["y"], sum(result.counters.corrected.values())


def measure(layers: int, width: int, years: float, repeat: int, judged: bool) -> Row:
    """The only row of the table."""
    compiled, x = layer_chain(layers, width, load_chip("lpu-rram"))
    program = compiled.program
    plain, expected, _ = seconds_of(program, x, repeat, None)
    state = RramState(program.chip, 7)
    begun = time.process_time()
    deque(program_device(state, program, "chain", lambda contents, rows: None), maxlen=0)
    programming = time.process_time() - begun
    state.clock_s = state.elapsed_s = years * SECONDS_A_YEAR
    full, found, corrected = seconds_of(program, x, repeat, state)
    must = MUST_RATIO if judged else None
    return {
        "weight_megabytes": layers * width * width / 1e6, "seconds_without": plain, "seconds_with": full, "ratio": full / plain,
        "must_ratio": must, "reached": mark(-full / plain, None if must is None else -must, None),
        "program_seconds": programming, "corrected": corrected, "years": years, "repeat": repeat,
        "bits_equal": bool((found == expected).all()),
    }  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("Simulation time on a device with errors.")
    parser.add_argument("--layers", type=positive, default=LAYERS, metavar="L", help=f"layers (default {LAYERS})")
    parser.add_argument("--width", type=positive, default=WIDTH, metavar="D", help=f"width of a layer (default {WIDTH})")
    parser.add_argument("--years", type=float, default=YEARS, metavar="Y", help=f"at 85 degrees C (default {YEARS})")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    judged = (arguments.layers, arguments.width) == (LAYERS, WIDTH)
    rows = [measure(arguments.layers, arguments.width, arguments.years, arguments.repeat, judged)]
    if arguments.json:
        print_json("rram_device", rows)
        return
    print_table("Runs on a device with errors", TABLE, rows)


if __name__ == "__main__":
    run_or_explain(main)

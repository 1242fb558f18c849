"""A chain of matrix-vector products over more than 100 MB of weights in RRAM: how close weights come to peak bandwidth.

    python benchmarks/weight_streaming.py [--layers L] [--width D] [--repeat N] [--json]

h ← requantize(h · W), layer after layer, W i8 [D × D]. Every weight is read once and used once, so nothing but the bandwidth of
the RRAM slices limits the chain.
"""

from __future__ import annotations

import argparse

from measure.cases import Array, layer_chain, timed
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.session import Compiled, Device, run_and_compare
from isa.chip import Chip, load_chip
from isa.errors import DataFault

LAYERS, WIDTH = 4, 5120
MUST_SHARE, AIM_SHARE = 0.90, 0.98

TABLE: tuple[Column, ...] = (
    ("chip", "chip", ""), ("layers", "layers", "d"), ("width", "width", "d"), ("weights MB", "weight_megabytes", ".1f"),
    ("cycles", "cycles", ",d"), ("share", "share", ".2%"), ("must", "must_share", ".0%"), ("aim", "aim_share", ".0%"),
    ("", "reached", ""), ("counted", "counted_share", ".2%"), ("bound", "bound_cycles", ",d"), ("set by", "bound_by", ""),
    ("RRAM bound", "rram_bound_cycles", ",d"), ("compile s", "compile_seconds", ".2f"),
    ("simulate s", "simulate_seconds", ".2f"), ("bits equal", "bits_equal", ""),
)  # fmt: skip


def peak_bytes(chip: Chip) -> float:
    """Bytes a cycle that all RRAM slices can give: a vector each, unless too few banks keep a slice waiting."""
    if chip.rram is None:
        raise DataFault(f"chip {chip.name} has no RRAM", hint="weight streaming is measured on chips with RRAM")
    vectors = min(1.0, chip.rram.banks / chip.rram.busy_cycles)
    return len(chip.slices("rram")) * chip.lanes * vectors


def measure(chip: Chip, layers: int, width: int, repeat: int, judged: bool) -> Row:
    """The only row of the table: compiles and runs the chain, and compares it with the reference evaluation."""
    peak = peak_bytes(chip)
    compiled, x = layer_chain(layers, width, chip)
    seconds, result = timed(repeat, lambda: Device(compiled.program).run({"x": x}))
    facts, useful = compiled.program.facts, layers * width * width
    share = useful / peak / result.cycles
    must, aim = (MUST_SHARE, AIM_SHARE) if judged else (None, None)
    return {
        "chip": chip.name, "layers": layers, "width": width, "weight_bytes": useful, "weight_megabytes": useful / 1e6,
        "cycles": result.cycles, "share": share, "must_share": must, "aim_share": aim, "reached": mark(share, must, aim),
        "counted_share": result.counters.rram_bandwidth_utilisation, "peak_bytes_per_cycle": peak,
        "bound_cycles": facts["bound_cycles"], "bound_by": facts["bound_by"], "rram_bound_cycles": int(-(-useful // peak)),
        "compile_seconds": compiled.seconds, "simulate_seconds": seconds, "repeat": repeat,
        "bits_equal": bits_equal(compiled, x),
    }  # fmt: skip


def bits_equal(compiled: Compiled, x: Array) -> bool:
    """True, or PromiseFault: every bit as the reference evaluation has it, cycles as predicted."""
    run_and_compare(compiled, [{"x": x}], ["fast"])
    return True


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("Weight streaming: achieved share of peak RRAM bandwidth.")
    parser.add_argument("--chip", default="lpu-rram", help="a preset or a TOML file (default lpu-rram)")
    parser.add_argument("--layers", type=positive, default=LAYERS, metavar="L", help=f"layers (default {LAYERS})")
    parser.add_argument("--width", type=positive, default=WIDTH, metavar="D", help=f"width of a layer (default {WIDTH})")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    judged = (arguments.chip, arguments.layers, arguments.width) == ("lpu-rram", LAYERS, WIDTH)
    rows = [measure(load_chip(arguments.chip), arguments.layers, arguments.width, arguments.repeat, judged)]
    if arguments.json:
        print_json("weight_streaming", rows)
        return
    print_table("Matrix-vector products, layer after layer, weights in RRAM", TABLE, rows)
    print(
        "\nshare: bytes of the weights over what all RRAM slices can give in the cycles of the whole program;"
        "\ncounted: the same from the machine's own count of vectors read, padding of tiles included;"
        "\nRRAM bound: the weights at peak bandwidth and nothing else."
        f"\nsimulate: check, plan and run; median of {arguments.repeat}."
    )


if __name__ == "__main__":
    run_or_explain(main)

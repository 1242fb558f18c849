"""Placement of weights over the banks of RRAM: what `naive`, `interleaved` and `scheduled` give.

    python benchmarks/rram.py [--programs chain mlp block] [--banks B …] [--busy T …] [--sweep] [--plot FILE.png] [--json]

Each program is compiled with each scheme of `place-memory` for chips that differ in banks a slice and cycles a read keeps a
bank busy; they are made from the preset here. `--sweep` takes 8, 10, 12 and 16 banks and 4 to 20 busy cycles. Every program is
checked; cycles are exact without a run. `--verify` also runs each and compares it with the reference evaluation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure.cases import SEED, Array, compile_text, layer_chain, random_array
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.pipeline import DEFAULT_PIPELINE
from compiler.scheduling.placement import SCHEMES
from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import Chip, Rram, load_chip
from isa.errors import DataFault

STREAM_MUST, SPEEDUP_MUST = 0.95, 5.0
JUDGED_BYTES = 10_000_000
"""Streams of fewer bytes are shown and not judged."""
SWEEP_BANKS, SWEEP_BUSY = (8, 10, 12, 16), tuple(range(4, 21))

TABLE: tuple[Column, ...] = (
    ("program", "program", ""), ("banks", "banks", "d"), ("busy", "busy_cycles", "d"), ("scheme", "scheme", ""),
    ("weights MB", "weight_megabytes", ".1f"), ("cycles", "cycles", ",d"), ("× naive", "speedup", ".2f"),
    ("most", "speedup_limit", ".2f"), ("stream", "stream_share", ".1%"), ("must", "must_share", ".0%"), ("", "reached", ""),
    ("program's", "share", ".1%"), ("bound", "bound_cycles", ",d"), ("set by", "bound_by", ""),
)  # fmt: skip

Program = Callable[[Chip, str], tuple[Compiled, dict[str, Array]]]


def with_banks(chip: Chip, banks: int, busy_cycles: int) -> Chip:
    """The chip with as much RRAM in so many banks a slice."""
    if chip.rram is None:
        raise DataFault(f"chip {chip.name} has no RRAM", hint="placement over banks is measured on chips with RRAM")
    rram = Rram.model_validate(chip.rram.model_dump() | {
        "banks": banks, "bank_words": chip.rram.words // banks, "busy_cycles": busy_cycles,
    })  # fmt: skip
    return chip.model_copy(update={"rram": rram})


def chain(chip: Chip, passes: str) -> tuple[Compiled, dict[str, Array]]:
    """Two matrix-vector products with as many whole tiles of weights on each plane: 13 MB on lpu-rram."""
    compiled, x = layer_chain(2, 8 * chip.lanes, chip, passes)
    return compiled, {"x": x}


def mlp(chip: Chip, passes: str) -> tuple[Compiled, dict[str, Array]]:
    """Sixteen rows through two layers of i8 weights, four times as wide in the middle."""
    width = 4 * chip.lanes
    weights = {"up": random_array((width, 4 * width), "i8", SEED), "down": random_array((4 * width, width), "i8", SEED + 1)}
    text = (
        f'param up: i8[{width}, {4 * width}] from "weights.npz"\n'
        f'param down: i8[{4 * width}, {width}] from "weights.npz"\n'
        f"input x: i8[16, {width}]\n"
        "output y = requantize(requantize(relu(x @ up), 0.0002) @ down, 0.0002)\n"
    )
    return compile_text(text, weights, chip, passes), {"x": random_array((16, width), "i8", SEED + 2)}


def block(chip: Chip, passes: str) -> tuple[Compiled, dict[str, Array]]:
    """The transformer block of the samples."""
    source = Path(__file__).resolve().parents[1] / "samples" / "transformer" / "block.lks"
    compiled = compile_file(source, chip, passes=passes)
    inputs = [symbol for symbol in compiled.program.symbols if symbol.role == "input"]
    random = np.random.default_rng(SEED)
    return compiled, {s.name: random.standard_normal(s.shape).astype(np.float32) for s in inputs}


PROGRAMS: dict[str, Program] = {"chain": chain, "mlp": mlp, "block": block}


def measure(name: str, chip: Chip, scheme: str, verify: bool) -> Row:
    """One program with one scheme."""
    rram = chip.rram
    assert rram is not None
    compiled, inputs = PROGRAMS[name](chip, DEFAULT_PIPELINE.replace("scheme=scheduled", f"scheme={scheme}"))
    if verify:
        run_and_compare(compiled, [inputs], ["fast"])
    facts, cycles = compiled.program.facts, compiled.program.facts["predicted_cycles"]
    reads = [op for op in compiled.program.operations if op.slot.startswith("rram.")]
    vectors = sum(op.rep for op in reads)
    first, last = min(op.cycle for op in reads), max(op.cycle + (op.rep - 1) * op.every for op in reads)
    at_peak = vectors * max(1.0, rram.busy_cycles / rram.banks) / len(chip.slices("rram"))
    # Behind the last read a turn over the banks takes its time to the end, where they are what limits the rate.
    stream_cycles = last + 1 - first + max(0, rram.busy_cycles - rram.banks)
    judged = scheme == "scheduled" and vectors * chip.lanes >= JUDGED_BYTES
    share, must = at_peak / stream_cycles, STREAM_MUST if judged else None
    return {
        "program": name, "chip": chip.name, "banks": rram.banks, "busy_cycles": rram.busy_cycles, "scheme": scheme,
        "weight_megabytes": vectors * chip.lanes / 1e6, "cycles": cycles, "stream_share": share, "must_share": must,
        "reached": mark(share, must, None), "share": at_peak / cycles, "bound_cycles": facts["bound_cycles"],
        "bound_by": facts["bound_by"], "speedup": None, "speedup_limit": None,
    }  # fmt: skip


def compare(name: str, chip: Chip, verify: bool) -> list[Row]:
    """All schemes on one chip, with their cycles against those of `naive`."""
    rows = [measure(name, chip, scheme, verify) for scheme in reversed(SCHEMES)]
    naive, rram = rows[0], chip.rram
    assert rram is not None
    for row in rows:
        row["speedup"] = naive["cycles"] / row["cycles"]
        # One bank gives a word every busy_cycles; all of them at most one a cycle, and at most one each in that time.
        row["speedup_limit"] = float(min(rram.banks, rram.busy_cycles))
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Share of peak bandwidth against busy cycles: a panel for each number of banks, a line for each scheme."""
    try:
        from matplotlib import pyplot
    except ImportError:
        sys.exit("error: a chart needs matplotlib\nhelp: pip install 'lockstep-lpu[plot]'")
    name = str(rows[0]["program"])
    rows = [row for row in rows if row["program"] == name]
    banks = sorted({int(row["banks"]) for row in rows})
    figure, axes = pyplot.subplots(1, len(banks), figsize=(3.2 * len(banks), 3.4), sharey=True, squeeze=False)
    for axis, count in zip(axes[0], banks, strict=True):
        for scheme, colour, style in (("scheduled", "C0", "o-"), ("interleaved", "C1", "s--"), ("naive", "C3", "^:")):
            mine = sorted((r["busy_cycles"], r["stream_share"]) for r in rows if r["banks"] == count and r["scheme"] == scheme)
            axis.plot([b for b, _ in mine], [100 * s for _, s in mine], style, color=colour, label=scheme, markersize=3.5)
        axis.axhline(100 * STREAM_MUST, color="0.6", linewidth=0.8)
        axis.set(title=f"{count} banks a slice", xlabel="busy cycles a read", ylim=(0, 104))
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(f"% of what the banks allow ({name})")
    axes[0][0].legend(loc="center right", fontsize="small")
    figure.tight_layout()
    with tempfile.TemporaryDirectory(dir=path.resolve().parent) as folder:
        figure.savefig(Path(folder) / "chart.png", dpi=150)
        (Path(folder) / "chart.png").replace(path)


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("Placement of weights over the banks of RRAM.")
    parser.add_argument("--chip", default="lpu-rram", help="a preset or a TOML file to vary (default lpu-rram)")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="which (default: all)")
    parser.add_argument("--banks", nargs="+", type=positive, metavar="B", help="banks a slice (default: the chip's)")
    parser.add_argument("--busy", nargs="+", type=positive, metavar="T", help="busy cycles of a read (default: the chip's)")
    parser.add_argument("--sweep", action="store_true", help="the chain for 8, 10, 12, 16 banks and 4 to 20 busy cycles")
    parser.add_argument("--verify", action="store_true", help="run every program and compare bits and cycles")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the share of peak against busy cycles")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    chip = load_chip(arguments.chip)
    if chip.rram is None:
        with_banks(chip, 1, 1)  # says what is missing
    else:
        programs = ["chain"] if arguments.sweep else arguments.programs
        banks = SWEEP_BANKS if arguments.sweep else arguments.banks or (chip.rram.banks,)
        busy = SWEEP_BUSY if arguments.sweep else arguments.busy or (chip.rram.busy_cycles,)
        variants = [with_banks(chip, b, t) for b in banks for t in busy]
        rows = [row for name in programs for variant in variants for row in compare(name, variant, arguments.verify)]
        if arguments.plot:
            draw(rows, arguments.plot)
        if arguments.json:
            print_json("rram", rows, speedup_must=SPEEDUP_MUST)
            return
        print_table("Weights over the banks of RRAM", TABLE, rows)
        print(
            "\nstream: vectors read over the most that the banks allow, from the first read of weights to the last;"
            "\nprogram's: the same over all cycles of the program, its start and its end included;"
            "\nmost: what × naive can be at most, for one bank gives a vector every busy cycles."
        )
        _judge(rows)


def _judge(rows: list[Row]) -> None:
    """One line on the rows that something is demanded of."""
    judged = [row for row in rows if row["must_share"] is not None]
    if judged:
        worst = min(judged, key=lambda row: row["stream_share"])
        able = [row for row in judged if row["speedup_limit"] > SPEEDUP_MUST]
        missed = [row for row in able if row["speedup"] < SPEEDUP_MUST]
        print(
            f"\nscheduled: {worst['stream_share']:.1%} of what the banks allow at the worst "
            f"({worst['banks']} banks, {worst['busy_cycles']} busy cycles; must {STREAM_MUST:.0%}); "
            f"at least {SPEEDUP_MUST:g} times faster than naive in {len(able) - len(missed)} of the {len(able)} cases "
            f"where more than {SPEEDUP_MUST:g} is possible"
        )


if __name__ == "__main__":
    run_or_explain(main)

"""Large matrix products: C[2304 × N] = A[2304 × 4096] · B[4096 × N], B a parameter.

    python benchmarks/gemm.py [--chip C] [--type T] [--columns N …] [--simulate] [--json]

The share is that of all multiply-accumulates the chip could do in the cycles of the whole program, from the first memory read
to the last write. `--simulate` also runs the i8 product with N = 3200 on the fast machine, in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from statistics import median

import numpy as np
from measure.cases import Array, peak_mib, product, timed
from measure.tables import Column, Row, arguments_of, mark, positive, print_json, print_table, run_or_explain

from compiler.session import Compiled, Device
from isa.chip import Chip, load_chip

ROWS, INNER = 2304, 4096
COLUMNS = (1376, 1600, 2048, 2560, 3200, 3500)
MEASURED = (("tsp", "i8"), ("tsp", "f16"), ("lpu-rram", "i8"))
"""(chip, type) of the table. lpu-rram keeps B in RRAM, tsp in SRAM."""
LARGE = 3200
"""The N of the simulated product, and of the higher demands."""
MUST_SHARE, AIM_SHARE = 0.80, 0.85
MUST_SHARE_LARGE = {"tsp": 0.95, "lpu-rram": 0.80}
AIM_SHARE_LARGE = {"tsp": 0.98, "lpu-rram": 0.95}
MUST_SECONDS, AIM_SECONDS = 20.0, 5.0
MUST_MIB, AIM_MIB = 2048.0, 1024.0

TABLE: tuple[Column, ...] = (
    ("chip", "chip", ""), ("type", "type", ""), ("N", "columns", "d"), ("cycles", "cycles", ",d"), ("share", "share", ".1%"),
    ("must", "must_share", ".0%"), ("aim", "aim_share", ".0%"), ("", "reached", ""),
    ("bound", "bound_cycles", ",d"), ("set by", "bound_by", ""), ("tile bound", "tile_bound_cycles", ",d"),
    ("its share", "tile_bound_share", ".1%"), ("compile s", "compile_seconds", ".2f"), ("", "compile_reached", ""),
)  # fmt: skip
SIMULATED: tuple[Column, ...] = (
    ("chip", "chip", ""), ("type", "type", ""), ("N", "columns", "d"), ("what", "what", ""), ("value", "value", ",.2f"),
    ("must", "must", ",.0f"), ("aim", "aim", ",.0f"), ("", "reached", ""),
)  # fmt: skip


def peak_macs(chip: Chip, type_name: str) -> int:
    """Multiply-accumulates a cycle that all planes can do: a plane lanes² in i8, a pair of planes f16_depth · lanes in f16."""
    if type_name == "i8":
        return len(chip.planes) * chip.lanes**2
    return len(chip.planes) // 2 * chip.mxm.f16_depth * chip.lanes


def tile_bound(chip: Chip, type_name: str, rows: int, inner: int, columns: int) -> int:
    """Cycles that all planes need to feed every row to every tile of weights: K and N round up to whole tiles."""
    planes = len(chip.planes) // (1 if type_name == "i8" else 2)
    tiles = -(-inner // chip.depth(type_name)) * -(-columns // chip.lanes)
    return -(-rows * tiles // planes)


def demands(chip: str, columns: int) -> tuple[float, float | None]:
    """(must, aim) as shares of peak. lpu-rram has an aim only for the large product."""
    if columns == LARGE:
        return MUST_SHARE_LARGE.get(chip, MUST_SHARE), AIM_SHARE_LARGE.get(chip, AIM_SHARE)
    return MUST_SHARE, AIM_SHARE if chip == "tsp" else None


def measure(chip: Chip, type_name: str, rows: int, inner: int, columns: int, judged: bool) -> Row:
    """One row of the table: compiles the product. Marks are given only where `judged`."""
    compiled, _, _ = product(rows, inner, columns, type_name, chip)
    facts = compiled.program.facts
    macs, peak = rows * inner * columns, peak_macs(chip, type_name)
    tiles = tile_bound(chip, type_name, rows, inner, columns)
    share = macs / peak / facts["predicted_cycles"]
    must, aim = demands(chip.name, columns) if judged else (None, None)
    return {
        "chip": chip.name, "type": type_name, "rows": rows, "inner": inner, "columns": columns,
        "cycles": facts["predicted_cycles"], "share": share, "must_share": must, "aim_share": aim,
        "reached": mark(share, must, aim),
        "bound_cycles": facts["bound_cycles"], "bound_by": facts["bound_by"],
        "tile_bound_cycles": tiles, "tile_bound_share": macs / peak / tiles, "peak_macs_per_cycle": peak,
        "compile_seconds": compiled.seconds,
        "compile_reached": mark(compiled.seconds, MUST_SECONDS, AIM_SECONDS, least=False) if judged else "",
    }  # fmt: skip


def simulate(chip_name: str, type_name: str, rows: int, inner: int, columns: int, repeat: int) -> Row:
    """Compile, check and run one product `repeat` times. Called in a fresh process, whose peak memory it reports."""
    chip = load_chip(chip_name)
    begun = time.perf_counter()
    compiled, a, b = product(rows, inner, columns, type_name, chip)
    seconds = [compiled.seconds]
    for _ in range(repeat - 1):
        seconds.append(product(rows, inner, columns, type_name, chip)[0].seconds)
    run_seconds, result = timed(repeat, lambda: Device(compiled.program).run({"a": a}))
    memory = peak_mib()
    found = result.outputs["c"]
    return {
        "chip": chip_name, "type": type_name, "rows": rows, "inner": inner, "columns": columns, "repeat": repeat,
        "compile_seconds": median(seconds), "simulate_seconds": run_seconds, "peak_mib": memory,
        "cycles": result.cycles, "cycles_as_predicted": result.cycles == compiled.program.facts["predicted_cycles"],
        "numerics_exact": found.tobytes() == expected(compiled, a, b).tobytes(),
        "all_seconds": time.perf_counter() - begun,
    }  # fmt: skip


def expected(compiled: Compiled, a: Array, b: Array) -> Array:
    """The product as it must be: i8 by a float64 product of integers, exact up to 2^53; f16 by the reference evaluation."""
    if a.dtype == np.int8:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int32)
    from compiler.reference import evaluate

    return evaluate(compiled.declared, {"a": a}, compiled.weights, compiled.program.chip, {}).outputs["c"]


def in_fresh_process(*case: str | int) -> Row:
    """`simulate` in a process that has done nothing else, so that its peak memory is that of this case."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(simulate, *case).result()  # type: ignore[arg-type]


def simulated_rows(found: Row, judged: bool) -> list[Row]:
    """The measures of a simulation as rows of the second table."""
    limits = {
        "compile_seconds": ("compile, s", MUST_SECONDS, AIM_SECONDS),
        "simulate_seconds": ("check + simulate, s", MUST_SECONDS, AIM_SECONDS),
        "peak_mib": ("peak memory of all, MiB", MUST_MIB, AIM_MIB),
    }
    rows: list[Row] = []
    for key, (what, must, aim) in limits.items():
        must, aim = (must, aim) if judged else (None, None)
        reached = mark(found[key], must, aim, least=False)
        rows.append({**found, "what": what, "value": found[key], "must": must, "aim": aim, "reached": reached})
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = arguments_of("Large matrix products: share of the chip's peak, and seconds to compile and simulate.")
    parser.add_argument("--chip", help="only this chip: a preset or a TOML file")
    parser.add_argument("--type", choices=("i8", "f16"), help="only this type")
    parser.add_argument("--columns", type=positive, nargs="+", metavar="N", help="only these N")
    parser.add_argument("--rows", type=positive, default=ROWS, metavar="M", help=f"rows of A (default {ROWS})")
    parser.add_argument("--inner", type=positive, default=INNER, metavar="K", help=f"columns of A (default {INNER})")
    parser.add_argument("--simulate", action="store_true", help="also simulate one product, in a process of its own")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    cases = [(c, t) for c, t in MEASURED if arguments.chip in (None, c) and arguments.type in (None, t)]
    cases = cases or [(arguments.chip or "tsp", arguments.type or "i8")]
    columns: list[int] = arguments.columns or list(COLUMNS)
    size = (arguments.rows, arguments.inner)
    judged = size == (ROWS, INNER)
    simulated: Row | None = None
    if arguments.simulate:
        # First, while this process is small: a child's peak memory begins with what its parent had.
        chip, type_name = cases[0]
        n = LARGE if LARGE in columns else columns[-1]
        simulated = in_fresh_process(chip, type_name, *size, n, arguments.repeat)
    chips = {name: load_chip(name) for name, _ in cases}
    rows = [measure(chips[name], kind, *size, n, judged and n in COLUMNS) for name, kind in cases for n in columns]
    if arguments.json:
        print_json("gemm", rows, simulated=simulated)
        return
    print_table(f"C[{size[0]} × N] = A[{size[0]} × {size[1]}] · B[{size[1]} × N]: whole program", TABLE, rows)
    print("\ntile bound: K and N rounded up to whole tiles of weights, and every row fed to every tile, on all planes at once.")
    if simulated:
        title = f"The same on the fast machine: medians of {simulated['repeat']}, in a fresh process"
        print_table(title, SIMULATED, simulated_rows(simulated, judged and simulated["columns"] in COLUMNS))
        exact, same = ("yes" if simulated[k] else "NO" for k in ("numerics_exact", "cycles_as_predicted"))
        print(f"\n{simulated['cycles']:,} cycles, as predicted: {same}; every number exact: {exact}")


if __name__ == "__main__":
    run_or_explain(main)

"""Bursts of one trip that read the constants of their epilogue once: of planes of a side that end their sums, of row ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.dialects.graph import MatmulOp
from compiler.dialects.graph_program import main_block
from compiler.lowering.matmul_plan import plan
from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip

TSP = load_chip("tsp")
TILES = 5


@pytest.mark.parametrize(("epilogue", "constants"), [("s + b", 4), ("i8(f32(s + b) * g)", 8), ("i8(f32(s) * 0.5)", 0)])
def test_planes_of_a_side_read_constants_once(epilogue: str, constants: int, tmp_path: Path) -> None:
    """`constants`: byte columns of them that the epilogue of a tile reads."""
    random, columns = np.random.default_rng(0), TILES * TSP.lanes - 7
    w = random.integers(-128, 128, (TSP.lanes, columns)).astype(np.int8)
    b, g = random.integers(-999, 999, columns).astype(np.int32), random.standard_normal(columns).astype(np.float32)
    np.savez(tmp_path / "w.npz", w=w, b=b, g=g)
    (tmp_path / "m.lks").write_text(f"""
        input x: i8[128, {TSP.lanes}]
        param w: i8[{TSP.lanes}, {columns}] from "w.npz"
        param b: i32[{columns}] from "w.npz"
        param g: f32[{columns}] from "w.npz"
        s = x @ w
        output y = {epilogue}
    """)
    compiled = compile_file(tmp_path / "m.lks", TSP)
    (op,) = [op for op in main_block(compiled.declared).ops if isinstance(op, MatmulOp)]
    assert [len(group) for group in plan(op, TSP).groups] == [2, 2]
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    repeated = [o for o in compiled.program.operations if o.mnemonic == "read" and o.rep > 1 and not o.get("step")]
    assert len(repeated) == TILES * 2 * constants, "each plane has two shares of the rows; both planes read together"


def test_planes_that_write_to_the_same_slices_take_turns_behind_the_epilogue(tmp_path: Path) -> None:
    """What is loaded as weights lies in stripes: both planes of a side write to all of them."""
    random, columns = np.random.default_rng(0), TILES * TSP.lanes
    w = random.integers(-128, 128, (TSP.lanes, columns)).astype(np.int8)
    b, g = random.integers(-999, 999, columns).astype(np.int32), random.standard_normal(columns).astype(np.float32)
    np.savez(tmp_path / "w.npz", w=w, b=b, g=g)
    (tmp_path / "m.lks").write_text(f"""
        input x: i8[128, {TSP.lanes}]
        input p: i8[128, 128]
        param w: i8[{TSP.lanes}, {columns}] from "w.npz"
        param b: i32[{columns}] from "w.npz"
        param g: f32[{columns}] from "w.npz"
        v = i8(f32(x @ w + b) * g)
        output y = p @ v
    """)
    compiled = compile_file(tmp_path / "m.lks", TSP)
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    operations = compiled.program.operations
    repeated = [o for o in operations if o.mnemonic == "read" and o.rep > 1 and not o.get("step")]
    assert len(repeated) == TILES * 2 * 8, "each plane has two shares of the rows; both planes read together"
    delayed = [o for o in operations if o.mnemonic == "imov" and o.get("delay")]
    assert len(delayed) == TILES * 2 * 2, "the second plane's results wait 64 cycles in two moves"


def test_row_ranges_read_the_constants_of_an_epilogue_together(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "w.npz", b=random.standard_normal(300).astype(np.float32), g=random.standard_normal(300).astype(np.float32)
    )
    (tmp_path / "m.lks").write_text("""
        input x: f32[128, 300]
        param b: f32[300] from "w.npz"
        param g: f32[300] from "w.npz"
        output y = i8(x * g + b)
    """)
    compiled = compile_file(tmp_path / "m.lks", TSP)
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    repeated = [o for o in compiled.program.operations if o.mnemonic == "read" and o.rep > 1 and not o.get("step")]
    assert len(repeated) == 8, "two ranges of 64 rows in one trip"

"""Products whose steps over K the sides share: sums of both meet at the vector unit."""

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


@pytest.mark.parametrize(("rows", "inner"), [(128, 1600), (128, 1290), (37, 1600)])
@pytest.mark.parametrize("epilogue", ["s", "f32(s) * 0.5 + x[:, :700]", "i8(s)"])
def test_bits_are_those_of_the_reference(rows: int, inner: int, epilogue: str, tmp_path: Path) -> None:
    w = np.random.default_rng(0).integers(-128, 128, (inner, 700)).astype(np.int8)
    np.savez(tmp_path / "w.npz", w=w)
    (tmp_path / "m.lks").write_text(f"""
        input x: f32[{rows}, {inner}]
        param w: i8[{inner}, 700] from "w.npz"
        s = i8(x * 60) @ w
        output y = {epilogue}
    """)
    compiled = compile_file(tmp_path / "m.lks", TSP)
    (op,) = [op for op in main_block(compiled.declared).ops if isinstance(op, MatmulOp)]
    assert plan(op, TSP).halved
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])

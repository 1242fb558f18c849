"""Long states lie on both sides of the chip: what is written where, products that load them, and folds over many tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.declare import Reading
from compiler.dialects.graph import MatmulOp
from compiler.dialects.graph_program import main_block
from compiler.lowering.long_states import LONG_ROWS
from compiler.session import compile_file, compile_source, run_and_compare
from isa.chip import load_chip
from isa.program import Program

LPU = load_chip("lpu-rram")
ROWS = 1700
ATTENTION = """
    input q: f16[4, 64]
    input k: f16[{count}, 64]
    input position: i32[{count}]
    state keys: f16[{rows}, 64]
    state values: f16[{rows}, 64]
    keys[position] = k
    values[position] = k * f16(2)
    score = q @ keys.T
    share = exp(score - max(score, axis=-1, keepdims=true))
    output y = (f16(share) @ values) * recip(sum(share, axis=-1, keepdims=true))
"""


def _sides(program: Program, name: str) -> dict[int, set[str]]:
    """The sides of the pieces of a symbol by their first row."""
    (symbol,) = [s for s in program.symbols if s.name == name]
    sides: dict[int, set[str]] = {}
    for piece in symbol.pieces:
        sides.setdefault(piece.row - piece.row % 320, set()).add(program.chip.units[piece.unit].side or "")
    return sides


@pytest.mark.parametrize("count", [1, 5])
def test_rows_of_both_sides_are_written_and_loaded(count: int, tmp_path: Path) -> None:
    (tmp_path / "m.lks").write_text(ATTENTION.format(rows=ROWS, count=count))
    compiled = compile_file(tmp_path / "m.lks", LPU)
    assert len([op for op in main_block(compiled.declared).ops if isinstance(op, MatmulOp)]) == 3, "a sum for each side"
    for name, sides in (("keys", [{"w"}, {"e"}]), ("values", [{"e"}, {"w"}])):
        assert sorted(map(sorted, _sides(compiled.program, name).values())) == sorted(map(sorted, sides))
        assert list(_sides(compiled.program, name)) == [0, 640]
    calls = random_inputs(compiled.declared, 0, 4)
    places = np.array([[0, 639, 640, 1699, 3], [641, 5, 638, 960, 1698], [639, 0, 1, 2, 4], [7, 640, 8, 9, 1000]], np.int32)
    for call, place in zip(calls, places, strict=True):
        call["position"] = place[:count]
    run_and_compare(compiled, calls, ["fast"])


def test_a_second_program_finds_a_long_state_where_it_lies(tmp_path: Path) -> None:
    for count in (1, 3):
        (tmp_path / f"{count}.lks").write_text(ATTENTION.format(rows=ROWS, count=count))
    first = compile_source(tmp_path / "1.lks", LPU, Reading())
    second = compile_source(tmp_path / "3.lks", LPU, Reading(), beside=first.program)
    for name in ("keys", "values"):
        (mine,), (others,) = ([s.pieces for s in c.program.symbols if s.name == name] for c in (first, second))
        assert mine == others


def test_a_short_state_lies_on_one_side(tmp_path: Path) -> None:
    (tmp_path / "m.lks").write_text(ATTENTION.format(rows=LONG_ROWS - 1, count=1))
    compiled = compile_file(tmp_path / "m.lks", LPU)
    assert all(len(sides) == 1 for sides in _sides(compiled.program, "keys").values())
    assert len(set(map(frozenset, _sides(compiled.program, "keys").values()))) == 1
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 2), ["fast"])


@pytest.mark.parametrize("rows", [1, 9, 40])
@pytest.mark.parametrize("fold", ["sum", "max", "min"])
def test_folds_over_many_tiles(rows: int, fold: str, tmp_path: Path) -> None:
    """Few rows: a running fold joins the parts of all tiles. Many rows: one part after the other."""
    (tmp_path / "m.lks").write_text(f"""
        input x: f32[{rows}, 1700]
        output y = {fold}(x, axis=-1, keepdims=true)
        output z = x * 2 - {fold}(x * 2, axis=-1, keepdims=true)
    """)
    compiled = compile_file(tmp_path / "m.lks", LPU)
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 2), ["fast"])
    joined = [op for op in compiled.program.operations if op.mnemonic in ("fsum", "fmaxt", "fmint")]
    assert bool(joined) == (rows * 6 <= 128)

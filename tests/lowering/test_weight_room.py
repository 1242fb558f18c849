"""Weights go to the side that has room: a table that fills slices of one side leaves the chip usable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.lowering.weight_room import WeightRoom
from compiler.scheduling.trip import Buffer
from compiler.session import compile_file, run_and_compare
from isa.chip import Chip, Side, load_chip

CHIP = load_chip("lpu-rram")


SOURCE = """const N = {}
param table: f16[400, 320] from "w.npz"
param w[i in 0..N]: f16[320, 320] from "w.npz" as "w{{i}}"
input ids: i32[2]
x = table[ids]
for i in 0..N {{ x = f16(x @ w[i] / 16.0) }}
output y = x
"""


def small_rram(bank_words: int) -> Chip:
    assert CHIP.rram
    return CHIP.model_copy(update={"rram": CHIP.rram.model_copy(update={"bank_words": bank_words})})


def test_blocks_take_turns_until_a_side_is_full() -> None:
    room = WeightRoom(small_rram(20), None)
    block = Buffer("w", (40, 320), "f16", "param", "rram", 320, 5)
    table = Buffer("t", (170, 320), "f16", "param", "rram", 320)
    table.sides = {(0, 0): "w"}
    room.take_buffer(table)
    sides: list[Side] = ["w", "e"]
    turns = [room.side_for(block, 0, sides[i % 2], sides) for i in range(8)]
    assert turns == ["w", "e", *"eeeeee"]


@pytest.mark.parametrize("count", [4, 8])
def test_a_program_whose_table_fills_one_side_compiles(count: int, tmp_path: Path) -> None:
    """Slices of 500 words: the table takes 400 in two of them, each of the products 2 · 32 on the side where it lies."""
    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.standard_normal((320, 320)).astype(np.float16) for i in range(count)}
    arrays["table"] = random.standard_normal((400, 320)).astype(np.float16)
    np.savez(tmp_path / "w.npz", **arrays)
    (tmp_path / "m.lks").write_text(SOURCE.format(count))
    compiled = compile_file(tmp_path / "m.lks", small_rram(50))
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])

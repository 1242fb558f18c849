"""The order of the list scheduler changes cycles, never bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compiler.pipeline import DEFAULT_PIPELINE
from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip

BLOCK = Path(__file__).resolve().parents[2] / "samples" / "transformer" / "block.lks"


def test_longest_path_is_shorter_than_program_order_on_the_block() -> None:
    chip = load_chip("lpu-rram")
    longest_first = DEFAULT_PIPELINE.rpartition(",place-again")[0]
    in_order = longest_first.removesuffix("schedule") + "schedule{program-order=true}"
    x = np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32)
    longest, program = (
        run_and_compare(compile_file(BLOCK, chip, passes=passes), [{"x": x}], ["fast"])[0]
        for passes in (longest_first, in_order)
    )
    assert longest.cycles < program.cycles
    assert longest.outputs["y"].tobytes() == program.outputs["y"].tobytes()

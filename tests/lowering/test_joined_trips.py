"""What shares a trip: several results of one value, and nothing across a write in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import load_chip


def compiled_text(text: str, chip: str, folder: Path) -> Compiled:
    (folder / "m.lks").write_text("\n".join(line.strip() for line in text.splitlines()))
    return compile_file(folder / "m.lks", load_chip(chip))


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram"])
def test_results_that_need_nothing_else_leave_with_what_they_are_made_of(chip: str, tmp_path: Path) -> None:
    text = """
        input x: f32[3, 20]
        h = x * 2 + 1
        output a = h
        output b = f16(h * f32([i for i in 0..20]))
        output c = sum(h, axis=-1, keepdims=true)
    """
    compiled = compiled_text(text, chip, tmp_path)
    x = np.random.default_rng(0).standard_normal((3, 20)).astype(np.float32)
    run_and_compare(compiled, [{"x": x}], ["fast", "reference"] if chip == "tiny" else ["fast"])
    if chip == "lpu-rram":
        operations = compiled.program.operations
        read = [op for op in operations if op.mnemonic == "read"]
        assert len(read) == 8, "the bytes of x and of the row of numbers, each once"


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram"])
def test_a_product_of_the_old_state_does_not_wait_for_a_user_behind_the_write(chip: str, tmp_path: Path) -> None:
    """The product's only user comes after rows of the state were replaced in place: it must not read the new ones."""
    text = """
        input x: f16[1, 8]
        input at: i32[1]
        state rows: f16[16, 8]
        product = x @ rows.T
        rows[at] = x
        output y = product * 2 + 1
    """
    compiled = compiled_text(text, chip, tmp_path)
    x = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float16)
    calls = [{"x": x * (i + 1), "at": np.array([i % 2], np.int32)} for i in range(3)]
    run_and_compare(compiled, calls, ["fast"])

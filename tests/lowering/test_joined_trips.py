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


def test_what_one_product_makes_narrow_is_not_left_wide_for_the_trip_of_another(tmp_path: Path) -> None:
    text = """
        input x: f16[16, 64]
        input gate: f16[64, 32]
        input up: f16[64, 32]
        g = f16(silu(x @ gate))
        output y = f16(f32(g) * (x @ up))
    """
    compiled = compiled_text(text, "lpu-rram", tmp_path)
    random = np.random.default_rng(0)
    shapes = {"x": (16, 64), "gate": (64, 32), "up": (64, 32)}
    run_and_compare(compiled, [{n: random.standard_normal(s).astype(np.float16) for n, s in shapes.items()}], ["fast"])
    written = [op for op in compiled.program.operations if op.mnemonic == "write"]
    assert len(written) == 4, "two bytes of g, two of y"


@pytest.mark.parametrize(("depth", "trips"), [(640, 1), (320, 3)])
def test_a_product_in_steps_takes_a_long_epilogue_along(depth: int, trips: int, tmp_path: Path) -> None:
    """Rotary embedding of a product with scales: its byte streams are many, but planes that sum up most of the time can wait
    for each other. Otherwise what is turned goes through memory."""
    text = f"""
        input x: f16[16, {depth}]
        input angle: f32[16, 64]
        input scale: f32[16, 1]
        input w: f16[{depth}, 64]
        y = (x @ w) * f32([l % 5 for l in 0..64])
        z = y[:, [l + 1 - l % 2 * 2 for l in 0..64]]
        output r = f16((y * angle + z * (angle + 1)) * scale)
    """
    compiled = compiled_text(text, "lpu-rram", tmp_path)
    random = np.random.default_rng(0)
    given = {n: random.standard_normal(s).astype(np.float16) for n, s in (("x", (16, depth)), ("w", (depth, 64)))}
    given |= {n: random.standard_normal(s).astype(np.float32) for n, s in (("angle", (16, 64)), ("scale", (16, 1)))}
    run_and_compare(compiled, [given], ["fast"])
    written = [op for op in compiled.program.operations if op.mnemonic == "write"]
    assert len(written) == 2 if trips == 1 else len(written) > 2

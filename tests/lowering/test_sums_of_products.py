"""A product that only a sum reads is made by the sum's operation, with the bits of both; narrow results go to memory narrow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import load_chip

PROGRAMS: dict[str, tuple[str, dict[str, int]]] = {
    "scale and bias": ("output y = x * s + b", {"fmadd": 1}),
    "one immediate": ("output y = b + x * 3", {"fmadd": 1}),
    "two immediates are one too many": ("output y = x * 3 + 2", {"fmul": 1, "fadd": 1}),
    "a product that others read": ("p = x * s\noutput y = p + b\noutput z = p", {"fmul": 1, "fadd": 1}),
    "two products": ("output y = x * s + b * x", {"fmul": 1, "fmadd": 1}),
    "a product that is rounded to f16 first": ("output y = f16(x) * f16(s) + f16(b)", {"fmul": 1, "fadd": 1}),
}


def compiled_program(text: str, folder: Path) -> Compiled:
    (folder / "m.lks").write_text("input x: f32[3, 5]\ninput s: f32[3, 5]\ninput b: f32[3, 5]\n" + text + "\n")
    return compile_file(folder / "m.lks", load_chip("lpu-rram"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_operations_and_bits(name: str, tmp_path: Path) -> None:
    text, expected = PROGRAMS[name]
    compiled = compiled_program(text, tmp_path)
    found = Counter(op.mnemonic for op in compiled.program.operations)
    assert {m: found[m] for m in ("fmadd", "fmul", "fadd") if found[m]} == expected
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])


def test_a_conversion_to_fewer_bytes_stays_with_its_operand(tmp_path: Path) -> None:
    """Two products that meet in a sum, one of them as i8: that one is in memory as i8, not as its sums of i32."""
    text = "w = i8(s)\nh = i8(f32(i8(x) @ w.T) * 0.5)\noutput y = f32(i8(b) @ w.T) + f32(h)"
    compiled = compiled_program(text, tmp_path)
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])
    converted = [op for op in compiled.program.operations if op.mnemonic == "fmul"]
    assert {op.result.type for op in converted if op.result is not None} == {"i8"}

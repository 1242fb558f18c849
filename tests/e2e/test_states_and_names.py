"""States that take each other's values, and names of the user's that could meet names of the compiler's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip
from isa.layout import NUMPY_TYPES

CALLS = 4

SWAP = """
state a: i32[2, 2]
state b: i32[2, 2]
input x: i32[2, 2]
c = a
a = b + x
b = c
output y = a
output z = b
"""
DELAY_LINE = """
state a: i32[2, 2]
state b: i32[2, 2]
input x: i32[2, 2]
c = a
a = x
b = c
output y = b
"""
PERMUTED_ITSELF = """
state s: i32[3, 3, 8]
input x: i32[3, 3, 8]
output y = s + x
s = transpose(s, [1, 0, 2])
s[0:1, :, :] = x[1:2, :, :]
"""
NAMED_AS_A_TEMPORARY = """
input x: f32[3, 4]
output t = softmax(x)[:, 1:3]
"""
STATE_AFTER_TEMPORARIES = """
input x: f32[3, 4]
z = sum(exp(x))
state t: f32[3, 4]
t = t + x * z
output index = t
"""
NAMED_AS_CONSTANTS = """
input t: f16[3, 4]
input select: f16[4, 5]
input identity: f16[3, 5]
output c = f16(t @ select) + identity
output w = t.T
"""


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram"])
@pytest.mark.parametrize(
    "source",
    [SWAP, DELAY_LINE, PERMUTED_ITSELF, NAMED_AS_A_TEMPORARY, STATE_AFTER_TEMPORARIES, NAMED_AS_CONSTANTS],
)
def test_runs_as_the_reference(source: str, chip: str, tmp_path: Path) -> None:
    path = tmp_path / "program.lks"
    path.write_text(source)
    compiled = compile_file(path, load_chip(chip))
    inputs = [s for s in compiled.program.symbols if s.role == "input"]
    rng = np.random.default_rng(0)
    calls = [{s.name: rng.integers(-9, 9, s.shape).astype(NUMPY_TYPES[s.type]) for s in inputs} for _ in range(CALLS)]
    results = run_and_compare(compiled, calls, ["fast", "reference"])
    assert len(results) == CALLS
    wanted = {line.split()[1].rstrip(":") for line in source.splitlines() if line.startswith(("input", "output", "state"))}
    assert {s.name for s in compiled.program.symbols if s.role != "param"} == wanted

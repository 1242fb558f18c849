"""A command line in an empty folder, and a small program to give it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from compiler.cli.main import lockstep

RELU = """\
.chip tiny
.symbol x input [2, 8] i8
  .piece sram.w0 base 0x0 count 2 row 0 tile 0 byte 0
.symbol y output [2, 8] i8
  .piece sram.e0 base 0x0 count 2 row 0 tile 0 byte 0
@0 sram.w0.rd read 0x0 step 1 rep 2 -> e0
@3 vxm.0 imax e0, #0 rep 2 -> e1
@5 sram.e0.wr write e1, 0x0 step 1 rep 2
"""
"""y = max(x, 0) in 7 cycles."""

SOURCE = """\
input x: f32[2, 4]
param w: f32[4, 3] from "w.npy"
output y = relu(x @ w)
"""

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with relu.lasm, model.lks and its w.npy, and x.npy (int8 [2, 8], -8 … 7)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relu.lasm").write_text(RELU)
    (tmp_path / "model.lks").write_text(SOURCE)
    np.save("w.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    np.save("x.npy", np.arange(-8, 8, dtype=np.int8).reshape(2, 8))
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """`lockstep` with these arguments. Errors of Lockstep itself are not caught: they fail the test."""

    def call(*arguments: str) -> Result:
        result = CliRunner(catch_exceptions=False).invoke(lockstep, list(arguments), prog_name="lockstep")
        assert result.exit_code in (0, 1, 2), result.stderr
        return result

    return call


@pytest.fixture
def relu_program(run: Run, folder: Path) -> Path:
    assert run("asm", "relu.lasm").exit_code == 0
    return folder / "relu.lbin"

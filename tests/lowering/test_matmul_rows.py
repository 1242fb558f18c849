"""Products with more rows than a plane has accumulators: their parts must not meet in the same entries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.session import compile_file, run_and_compare
from isa.chip import Chip, load_chip

CHIPS = Path(__file__).resolve().parents[1] / "fuzz" / "chips"
SMALL = load_chip(str(CHIPS / "small.toml"))


@pytest.mark.parametrize(("kind", "columns"), [("i8", 16), ("i8", 48), ("f16", 16), ("f16", 48)])
@pytest.mark.parametrize("shares", [1, 3])
def test_more_rows_than_accumulators(kind: str, columns: int, shares: int, tmp_path: Path) -> None:
    """`shares`: how many times the accumulators of all planes (pairs) the rows fill, so that planes work in several turns."""
    chip: Chip = SMALL
    planes = len(chip.planes) // (1 if kind == "i8" else 2)
    rows, inner = shares * planes * chip.mxm.accumulators + 3, 3 * chip.lanes + 5
    random = np.random.default_rng(rows + columns)
    dtype = np.int8 if kind == "i8" else np.float16
    np.save(tmp_path / "b.npy", random.integers(-9, 9, (inner, columns)).astype(dtype))
    source = tmp_path / "product.lks"
    source.write_text(f'param b: {kind}[{inner}, {columns}] from "b.npy"\ninput a: {kind}[{rows}, {inner}]\noutput c = a @ b\n')
    a = random.integers(-9, 9, (rows, inner)).astype(dtype)
    assert run_and_compare(compile_file(source, chip), [{"a": a}], ["fast"])[0].outputs["c"].shape == (rows, columns)

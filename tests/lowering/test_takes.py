"""Columns taken from the last axis: by a lane unit where they stay within their vectors, else by a product with a selection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import load_chip

PROGRAMS = {
    "from memory": "output y = x[..., [l + 1 - l % 2 * 2 for l in 0..20]]",
    "of two vectors on tiny": "output y = x[:, [l // 16 * 16 + (l + 3) % (16 - l // 16 * 12) for l in 0..20]]",
    "fewer, and one twice": "output y = x[:, [19, 0, 0, 7]]",
    "of a product, whose other use is as it was": """
        a = f16(x[:, :8]) @ w * 3
        output y = a * 2 + a[:, [l + 1 - l % 2 * 2 for l in 0..20]] * f32([l for l in 0..20])
    """,
    "of a sum of two": "output y = (x + exp(x))[:, [19 - l for l in 0..20]]",
}


def compiled_program(name: str, chip: str, folder: Path) -> Compiled:
    np.savez(folder / "w.npz", w=np.random.default_rng(0).standard_normal((8, 20)).astype(np.float16))
    lines = ['param w: f16[8, 20] from "w.npz"', "input x: f32[3, 20]", *map(str.strip, PROGRAMS[name].splitlines())]
    (folder / "m.lks").write_text("\n".join(lines) + "\n")
    return compile_file(folder / "m.lks", load_chip(chip))


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram", "tsp"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_bits_are_those_of_the_reference(name: str, chip: str, tmp_path: Path) -> None:
    compiled = compiled_program(name, chip, tmp_path)
    x = np.random.default_rng(1).standard_normal((3, 20)).astype(np.float32)
    run_and_compare(compiled, [{"x": x}], ["fast", "reference"] if chip == "tiny" else ["fast"])


def test_columns_of_a_product_are_taken_on_its_way(tmp_path: Path) -> None:
    operations = compiled_program("of a product, whose other use is as it was", "lpu-rram", tmp_path).program.operations
    feeds = [op for op in operations if op.mnemonic == "feed"]
    permutes = [op for op in operations if op.mnemonic == "permute"]
    assert len(feeds) == len(permutes) == 2, "one for each side's rows"
    assert {p.cycle - f.cycle for f, p in zip(feeds, permutes, strict=True)} == {25}, "a feed's latency, and a hop"

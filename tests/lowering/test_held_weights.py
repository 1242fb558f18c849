"""Weights whose rows are all alike are loaded once: for all steps over K, and for the products that follow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from compiler.cli.random_inputs import random_inputs
from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip

TSP = load_chip("tsp")
INNER = 900
"""Three steps over K."""


def loads(folder: Path, *products: str) -> int:
    """Loads of the program with these products, after its bits were compared."""
    random = np.random.default_rng(0)
    np.savez(folder / "w.npz", w=random.integers(-9, 9, (INNER, 300)).astype(np.int8), ones=np.ones((INNER, 1), np.int8))
    lines = [f"input {name}: i8[64, {INNER}]" for name in "vxyz"]
    lines += [f'param w: i8[{INNER}, 300] from "w.npz"', f'param ones: i8[{INNER}, 1] from "w.npz"']
    lines += [f"output p{i} = {product}" for i, product in enumerate(products)]
    (folder / "m.lks").write_text("\n".join(lines) + "\n")
    compiled = compile_file(folder / "m.lks", TSP)
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    return sum(op.mnemonic == "load" for op in compiled.program.operations)


def test_ones_are_loaded_once(tmp_path: Path) -> None:
    assert loads(tmp_path, "x @ ones", "y @ ones", "z @ ones") == len(TSP.planes)


def test_ones_are_near_every_plane(tmp_path: Path) -> None:
    loads(tmp_path, "x @ ones")
    compiled = compile_file(tmp_path / "m.lks", TSP)
    blocks = [op.slot[:6] for op in compiled.program.operations if op.mnemonic == "read" and op.rep == TSP.lanes // 16]
    assert Counter(blocks) == {"sram.w": 16, "sram.e": 16}, "one load a side, of 16 rows a cycle"


def test_other_weights_between_are_no_mistake(tmp_path: Path) -> None:
    one = loads(tmp_path, "v @ w")
    assert one > 3, "each step has rows of its own"
    assert loads(tmp_path, "x @ ones", "y @ ones", "v @ w", "z @ ones") == one + 2 * len(TSP.planes)

"""Sums of all rows of a product: made by the accumulators where each row is one step, with the bits of product and fold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.declare import Precision, Reading
from compiler.session import compile_source, run_and_compare
from isa.chip import load_chip

HEADER = """input a: f32[{batch}, {rows}, {inner}]
input x: f32[1, 40]
input w: f32[{batch}, {inner}, 40]
"""
FOLDS = ("fsum", "fadd")


def found(folder: Path, tail: str, *, batch: int = 2, rows: int = 3, inner: int = 24, chip: str = "lpu-rram",
          precision: Precision = "f16") -> Counter[str]:  # fmt: skip
    """Operations of the program, whose bits are those of the reference."""
    source = folder / "m.lks"
    source.write_text(HEADER.format(batch=batch, rows=rows, inner=inner) + tail + "\n")
    compiled = compile_source(source, load_chip(chip), Reading(precision))
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])
    return Counter(op.mnemonic for op in compiled.program.operations)


@pytest.mark.parametrize("chip", ["lpu-rram", "tsp"])
def test_accumulators_add_the_rows(chip: str, tmp_path: Path) -> None:
    operations = found(tmp_path, "output y = reshape(sum(a @ w, axis=[0, 1]), [1, 40]) * x", chip=chip)
    assert not any(operations[fold] for fold in FOLDS)
    assert operations["feed"] >= 6


@pytest.mark.parametrize(
    ("name", "tail", "shape"),
    [
        ("the product is wanted, too", "p = a @ w\noutput z = p\noutput y = sum(p, axis=[0, 1]) * x", {}),
        ("one axis stays", "output y = sum(a @ w, axis=0) * x", {}),
        ("rows of more steps than one", "output y = sum(a @ w, axis=[0, 1]) * reshape(x, [40])", {"inner": 330}),
        ("too many rows to feed them one by one", "output y = sum(a @ w, axis=[0, 1]) * reshape(x, [40])", {"rows": 20}),
    ],
)
def test_other_sums_are_folds(name: str, tail: str, shape: dict[str, int], tmp_path: Path) -> None:
    operations = found(tmp_path, tail, **shape)
    assert any(operations[fold] for fold in FOLDS), name


def test_matrices_whose_products_are_added_share_the_scales_of_their_columns(tmp_path: Path) -> None:
    """i8 weights: the sum is multiplied by the scales, once."""
    np.save(tmp_path / "w.npy", np.random.default_rng(1).standard_normal((3, 24, 40)).astype(np.float32))
    source = tmp_path / "m.lks"
    source.write_text(
        'param w: f32[3, 24, 40] from "w.npy"\ninput a: f32[3, 2, 24]\ninput x: f32[1, 40]\n'
        "output y = reshape(sum(a @ w, axis=[0, 1]), [1, 40]) + x\n"
    )
    compiled = compile_source(source, load_chip("lpu-rram"), Reading("i8f16"))
    given = random_inputs(compiled.declared, 0, 1)
    result = run_and_compare(compiled, given, ["fast"])[0].outputs["y"]
    assert Counter(op.mnemonic for op in compiled.program.operations)["fmadd"] == 1
    w = np.load(tmp_path / "w.npy")
    exact = np.einsum("gmk,gkn->n", given[0]["a"].astype(np.float64), w) + given[0]["x"]
    assert np.abs(result - exact).max() < 0.02 * np.abs(exact).max()

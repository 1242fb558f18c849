"""Folds over lanes that leave with the trip that makes their operand, over one tile and several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import load_chip

PROGRAMS = {
    "softmax": "output y = softmax(x * 2)",
    "softmax of a product": """
        param w: f16[8, 20] from "w.npz"
        output y = softmax(f16(x[:, :8]) @ w)
    """,
    "norms": """
        h = x + 1
        output y = rmsnorm(h, ones(f32[20]))
        output z = layernorm(h, ones(f32[20]), zeros(f32[20]))
    """,
    "norms without gains": """
        h = x + 1
        output y = h * rsqrt(mean(h * h, axis=-1, keepdims=true) + 0.00001)
        c = h - mean(h, axis=-1, keepdims=true)
        output z = c * rsqrt(mean(c * c, axis=-1, keepdims=true) + 0.00001)
    """,
    "who reads the parts": """
        e = exp(x)
        s = sum(e, axis=-1, keepdims=true)
        m = max(e, axis=-1, keepdims=true)
        output y = e * s - m
        output total = s
        output row = reshape(m, [1, 5])
    """,
    "integers, a fold that nobody else reads": """
        output y = sum(i32(x) * 3, axis=1, keepdims=true)
    """,
    "sums of bytes and of their squares": """
        q = i8(x * 60)
        output y = sum(q, axis=1, keepdims=true)
        output z = sum(i32(q) * i32(q), axis=1)
    """,
    "extremes of the rows of an integer product": """
        q = i8(x * 60)
        s = q @ transpose(q, [1, 0])
        output y = i32(q[:, :1]) + max(s, axis=1, keepdims=true)
        output z = min(s, axis=1)
    """,
}


def compiled_program(name: str, chip: str, folder: Path) -> Compiled:
    w = np.random.default_rng(0).standard_normal((8, 20)).astype(np.float16)
    np.savez(folder / "w.npz", w=w)
    lines = [line.strip() for line in PROGRAMS[name].splitlines()]
    (folder / "m.lks").write_text("\n".join(["input x: f32[5, 20]", *lines]) + "\n")
    return compile_file(folder / "m.lks", load_chip(chip))


@pytest.mark.parametrize("chip", ["tiny", "lpu-rram", "tsp"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_bits_are_those_of_the_reference(name: str, chip: str, tmp_path: Path) -> None:
    compiled = compiled_program(name, chip, tmp_path)
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast", "reference"] if chip == "tiny" else ["fast"])


def test_a_result_that_only_folds_read_is_not_written(tmp_path: Path) -> None:
    operations = compiled_program("integers, a fold that nobody else reads", "lpu-rram", tmp_path).program.operations
    assert [op.rep for op in operations if op.mnemonic == "reduce"] == [5]
    assert len({op.cycle for op in operations if op.mnemonic == "write"}) <= 4, "the four bytes of the sum, and nothing else"
    assert sum(op.mnemonic == "write" for op in operations) == 4


def test_softmax_of_one_tile_takes_three_trips(tmp_path: Path) -> None:
    """One for the maximum, one for exponentials and their sum, one for the quotients."""
    operations = compiled_program("softmax", "lpu-rram", tmp_path).program.operations
    assert len({op.slot for op in operations if op.mnemonic == "reduce"}) == 2
    assert sum(op.mnemonic == "frecip" for op in operations) == 1


BY_BLOCKS = {
    "several tiles, short blocks and groups": "input x: f32[37, 330]\noutput y = layernorm(x, ones(f32[330]), zeros(f32[330]))",
    "many rows of integers": "input x: i8[3, 150, 32]\noutput y = sum(x, axis=-1, keepdims=true)\noutput z = max(x, axis=-1)",
    "half floats": "input x: f16[20, 48]\noutput y = softmax(x)\noutput z = min(x, axis=1, keepdims=true)",
}


@pytest.mark.parametrize("name", BY_BLOCKS)
def test_folds_by_blocks(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.lks").write_text(BY_BLOCKS[name] + "\n")
    compiled = compile_file(tmp_path / "m.lks", load_chip("tsp"))
    used = {op.mnemonic for op in compiled.program.operations}
    assert {"transpose", "permute"} <= used
    assert "shift" not in used
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast", "reference"])


def test_maxima_of_scores_are_made_where_the_scores_leave_the_planes(tmp_path: Path) -> None:
    """Eight heads side by side on the lanes: two for each plane."""
    (tmp_path / "m.lks").write_text("""
        input x: f32[48, 128]
        input z: f32[48, 128]
        q = transpose(reshape(i8(x * 60), [48, 8, 16]), [1, 0, 2])
        k = transpose(reshape(i8(z * 60), [48, 8, 16]), [1, 0, 2])
        s = q @ transpose(k, [0, 2, 1])
        output y = s - max(s, axis=2, keepdims=true)
    """)
    compiled = compile_file(tmp_path / "m.lks", load_chip("tsp"))
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    folds = [op for op in compiled.program.operations if op.mnemonic == "imaxt"]
    assert [(op.rep, op.fields["group"]) for op in folds] == [(48, 48)] * 8, "every matrix at once, as it is made"
    spread = [op for op in compiled.program.operations if op.mnemonic == "permute" and op.rep == 48]
    assert len(spread) == 8, "on the way to the difference"


def test_rows_become_columns_by_as_few_walks_as_can_be(tmp_path: Path) -> None:
    """Eight heads side by side on the lanes; their maxima go out."""
    (tmp_path / "m.lks").write_text("""
        input x: f32[48, 128]
        q = transpose(reshape(i8(x * 60), [48, 8, 16]), [1, 0, 2])
        m = max(q @ transpose(q, [0, 2, 1]), axis=2, keepdims=true)
        output y = m
    """)
    compiled = compile_file(tmp_path / "m.lks", load_chip("tsp"))
    run_and_compare(compiled, random_inputs(compiled.declared, 1, 1), ["fast"])
    spread = [op for op in compiled.program.operations if op.mnemonic == "permute" and op.rep == 48]
    assert len(spread) == 8
    assert len({(op.cycle, op.slot.rsplit(".", 1)[0]) for op in spread}) == 2, "four matrices with one walk over the map"


def test_chips_without_a_lane_tree_sum_bytes_on_their_planes(tmp_path: Path) -> None:
    compiled = compiled_program("sums of bytes and of their squares", "tsp", tmp_path)
    operations = compiled.program.operations
    assert not any(op.mnemonic in ("transpose", "permute") for op in operations), "no folding by blocks"
    extremes = {"x": np.full((5, 20), -128 / 60, np.float32)}
    extremes["x"][1] = np.linspace(-128 / 60, 127 / 60, 20)
    (result,) = run_and_compare(compiled, [extremes], ["fast"])
    assert result.outputs["y"][0, 0] == -128 * 20
    assert result.outputs["z"][0] == 128 * 128 * 20

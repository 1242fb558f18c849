"""Heads of attention side by side in one product, on a chip whose lane units can make such weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.pipeline import DEFAULT_PIPELINE, compile_graph
from compiler.session import Compiled, compile_file, declare, run_and_compare
from isa.chip import load_chip

TSP = load_chip("tsp")

ATTENTION = """
input x: f32[{rows}, 40]
input z: f32[{keys}, 40]
param wq: i8[40, {wide}] from "w.npz"
param wk: i8[40, {wide}] from "w.npz"
param wv: i8[40, {wide}] from "w.npz"
param wo: i8[{wide}, 24] from "w.npz"
param bias: i32[{wide}] from "w.npz"
param steps: f32[{wide}] from "w.npz"
fn heads(t, n) {{ return transpose(reshape(t, [n, {heads}, {wide} / {heads}]), [1, 0, 2]) }}
q = heads(i8(f32(i8(x * 40) @ wq + bias) * steps), {rows})
k = heads(i8(f32(i8(z * 40) @ wk) * 0.004), {keys})
v = heads(i8(f32(i8(z * 40) @ wv + bias) * 0.004), {keys})
s = q @ transpose(k, [0, 2, 1])
{softmax}
output y = reshape(transpose(i8(mixed), [1, 0, 2]), [{rows}, {wide}]) @ wo
"""

SOFTMAX = """
m = f32(f16(f32(max(s, axis=2, keepdims=true)) * -0.002 + 4.8))
e = i8(exp(f32(s) * 0.002 + m))
mixed = f32(e @ v) * 3 / f32(sum(e, axis=2, keepdims=true))
"""

PLAIN = """
e = i8(relu(f32(s) * 0.004))
mixed = f32(e @ v) * 0.01
"""


def attention(folder: Path, softmax: str, rows: int = 32, keys: int = 32, heads: int = 4, width: int = 16) -> Path:
    """A program on random weights: so many heads of `width` columns."""
    random, wide = np.random.default_rng(0), heads * width
    arrays: dict[str, Any] = {name: random.integers(-60, 60, (40, wide)).astype(np.int8) for name in ("wq", "wk", "wv")}
    arrays["wo"] = random.integers(-60, 60, (wide, 24)).astype(np.int8)
    arrays["bias"] = random.integers(-99, 99, wide).astype(np.int32)
    arrays["steps"] = random.uniform(0.002, 0.006, wide).astype(np.float32)
    np.savez(folder / "w.npz", **arrays)
    text = ATTENTION.format(rows=rows, keys=keys, wide=wide, heads=heads, softmax=softmax)
    (folder / "m.lks").write_text(text)
    return folder / "m.lks"


def feed_cycles(compiled: Compiled) -> int:
    return sum(op.rep for op in compiled.program.operations if op.mnemonic == "feed")


def apart(source: Path) -> Compiled:
    """The program with a product for each head."""
    module, weights = declare(source, TSP)
    passes = DEFAULT_PIPELINE.replace("join-heads,", "")
    return Compiled(compile_graph(module.clone(), weights, TSP, passes), module, weights, 0)


@pytest.mark.parametrize(
    ("sizes", "together"),
    [
        ({}, 4),
        ({"rows": 48}, 4),
        ({"rows": 16, "keys": 144, "heads": 6}, 2),
        ({"heads": 5, "width": 64, "keys": 64, "rows": 64}, 1),
    ],
    ids=["as many queries as keys", "more queries", "few queries", "an odd number of heads"],
)
def test_heads_of_a_softmax(sizes: dict[str, int], together: int, tmp_path: Path) -> None:
    source = attention(tmp_path, SOFTMAX, **sizes)
    compiled, other = compile_file(source, TSP), apart(source)
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])
    rows, keys, heads = (sizes.get(name, value) for name, value in (("rows", 32), ("keys", 32), ("heads", 4)))
    # Scores, their maxima, values and sums, a row a head each; joined there are no sums, and a row does several heads.
    saved = heads * (3 * rows + keys) - heads // together * (2 * rows + keys) if together > 1 else 0
    assert feed_cycles(other) - feed_cycles(compiled) == saved


def test_heads_without_a_softmax(tmp_path: Path) -> None:
    source = attention(tmp_path, PLAIN)
    compiled, other = compile_file(source, TSP), apart(source)
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast"])
    assert feed_cycles(other) - feed_cycles(compiled) == 3 * 32 * 2


def test_what_others_read_stays_as_it_is(tmp_path: Path) -> None:
    source = attention(tmp_path, SOFTMAX + "output keys = k\n")
    compiled, other = compile_file(source, TSP), apart(source)
    assert compiled.program.operations == other.program.operations

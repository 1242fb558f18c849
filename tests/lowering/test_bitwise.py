"""Bitwise functions of integers on the chip against NumPy, operands broadcast and as immediates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.dialects import graph
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import new_program
from compiler.dialects.graph_types import kind_of
from compiler.pipeline import compile_graph
from compiler.session import Compiled, run_and_compare
from compiler.weights import WeightStore
from isa.chip import load_chip

Array = NDArray[Any]

EXPECTED = {
    "bitand": np.bitwise_and,
    "bitor": np.bitwise_or,
    "bitxor": np.bitwise_xor,
    "shl": lambda a, b: (a.astype(np.int64) << b).clip(np.iinfo(a.dtype).min, np.iinfo(a.dtype).max),
    "shr": np.right_shift,
}


def on_chip(fn: str, a: Array, b: Array, constant: bool) -> Array:
    x = graph.InputOp("x", Tensor(kind_of(a), a.shape))
    y = graph.ConstantOp(b) if constant else graph.InputOp("y", Tensor(kind_of(b), b.shape))
    op = graph.BinaryOp(fn, x.result, y.results[0])
    module = new_program([x, y, op, graph.OutputOp("r", op.result)])
    weights, chip = WeightStore(), load_chip("tiny")
    compiled = Compiled(compile_graph(module.clone(), weights, chip), module, weights, 0.0)
    call = {"x": a} if constant else {"x": a, "y": b}
    return run_and_compare(compiled, [call], ["fast"])[0].outputs["r"]


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
@pytest.mark.parametrize("fn", EXPECTED)
def test_bitwise(fn: str, dtype: type[np.signedinteger[Any]]) -> None:
    rng = np.random.default_rng(0)
    limits = np.iinfo(dtype)
    a = rng.integers(limits.min, limits.max, (3, 10), dtype=dtype, endpoint=True)
    low, high = (0, limits.bits - 1) if fn in ("shl", "shr") else (limits.min, limits.max)
    b = rng.integers(low, high, (10,), dtype=dtype, endpoint=True)
    np.testing.assert_array_equal(on_chip(fn, a, b, constant=False), EXPECTED[fn](a, b).astype(dtype))
    one = np.full((), b[0])
    np.testing.assert_array_equal(on_chip(fn, a, one, constant=True), EXPECTED[fn](a, one).astype(dtype))

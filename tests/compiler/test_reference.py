"""The reference evaluation against definitions written out again: exact fractions, explicit loops, float64 formulas."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph import Tensor
from compiler.dialects.graph_program import new_program
from compiler.dialects.graph_types import kind_of
from compiler.reference import evaluate
from compiler.reference.matmul import dot_f16, matmul
from compiler.reference.reductions import fold
from compiler.weights import WeightStore
from isa import numerics
from isa.chip import Chip, load_chip
from isa.errors import DataFault

Array = NDArray[Any]
TINY = load_chip("tiny")


def run(make: Any, *arrays: Array, chip: Chip = TINY) -> Array:
    """One operation on inputs; `make` takes the values."""
    inputs = [graph.InputOp(f"x{i}", Tensor(kind_of(a), a.shape)) for i, a in enumerate(arrays)]
    op: Operation = make(*[i.result for i in inputs])
    module = new_program([*inputs, op, graph.OutputOp("y", op.results[0])])
    module.verify()
    result = evaluate(module, {f"x{i}": a for i, a in enumerate(arrays)}, WeightStore(), chip).outputs["y"]
    assert Tensor(kind_of(result), result.shape) == graph.Tensor(*op.tensor)
    return result


def rounded_to_f32(value: Fraction) -> np.float32:
    """Nearest even, by comparing with the two neighbours."""
    near = np.float32(float(value))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    distance = [abs(Fraction(float(c)) - value) for c in around]
    best = [c for c, d in zip(around, distance, strict=True) if d == min(distance)]
    return best[0] if len(best) == 1 else next(c for c in best if c.view(np.uint32) % 2 == 0)


def exact_dot(a: Sequence[np.generic], b: Sequence[np.generic]) -> np.float32:
    return rounded_to_f32(sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0)))


def wide_f16(rng: np.random.Generator, *shape: int) -> Array:
    """f16 of all magnitudes, subnormals included, so that sums cancel and round in every way."""
    bits = rng.integers(0, 0x7C00, shape) | rng.integers(0, 2, shape) << 15
    return bits.astype(np.uint16).view(np.float16)


@pytest.mark.parametrize("seed", range(4))
def test_f16_dot_is_the_exact_sum_rounded_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = wide_f16(rng, 6, 40), wide_f16(rng, 40, 6)
    # Sums that cancel to nothing, and to one small term.
    a[1, 20:], b[20:, 1] = a[1, :20], -b[:20, 1]
    a[2, 0], b[0, 2] = 2**-24, 2**-24
    expected = np.array([[exact_dot(row, column) for column in b.T] for row in a])
    np.testing.assert_array_equal(dot_f16(a, b).view(np.uint32), (expected + np.float32(0)).view(np.uint32))


def test_f16_dot_rounds_ties_by_what_is_far_below() -> None:
    tie = np.array([[1, 2**-12, 2**-14]], np.float16)
    below = np.array([[2048.0], [2**-1], [2**-20]], np.float16)
    assert dot_f16(tie, below)[0, 0] == exact_dot(tie[0], below[:, 0]) == 2048 + 2**-12
    assert dot_f16(tie, -below)[0, 0] == -(2048 + 2**-12)
    below[2] = 0
    assert dot_f16(tie, below)[0, 0] == 2048


@pytest.mark.parametrize("seed", range(3))
def test_dots_agree_with_the_machines_path(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = wide_f16(rng, 20, 300), wide_f16(rng, 300, 20)
    np.testing.assert_array_equal(dot_f16(a, b), numerics.dot_f16(a, b))
    weights = rng.integers(-128, 128, (300, 20)).astype(np.int8)
    np.testing.assert_array_equal(dot_f16(a, weights), numerics.dot_f16(a, weights))
    a[3, 4], a[5, 6], a[7, 8], b[9, 10], b[4, 11], b[6, 12] = np.inf, -np.inf, np.nan, np.inf, np.nan, 0
    np.testing.assert_array_equal(dot_f16(a, b).view(np.uint32), numerics.dot_f16(a, b).view(np.uint32))


@pytest.mark.parametrize("name", ["tiny", "lpu-rram", "tsp"])
def test_f16_matmul_adds_steps_of_the_chips_depth_in_order(name: str) -> None:
    chip, rng = load_chip(name), np.random.default_rng(5)
    depth = chip.depth("f16")
    a, b = (rng.standard_normal(s).astype(np.float16) for s in ((3, 2 * depth + 3), (2 * depth + 3, 2)))
    expected = np.zeros((3, 2), np.float32)
    for i, j in np.ndindex(3, 2):
        steps = [exact_dot(a[i, k : k + depth], b[k : k + depth, j]) for k in range(0, a.shape[1], depth)]
        total = steps[0]
        for step in steps[1:]:
            total = np.float32(total + step)
        expected[i, j] = total
    np.testing.assert_array_equal(run(graph.MatmulOp, a, b, chip=chip), expected)


def test_mixed_matmul_has_the_depth_of_its_mode_where_there_is_one() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((3, 700)).astype(np.float16), rng.integers(-128, 128, (700, 2)).astype(np.int8)
    for name, depth in (("lpu-rram", load_chip("lpu-rram").lanes), ("tsp", load_chip("tsp").mxm.f16_depth)):
        total = dot_f16(a[:, :depth], b[:depth])
        for k in range(depth, 700, depth):
            total = total + dot_f16(a[:, k : k + depth], b[k : k + depth])
        np.testing.assert_array_equal(run(graph.MatmulOp, a, b, chip=load_chip(name)), total)


def test_batched_and_transposed_matmul_of_i8() -> None:
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-128, 128, s).astype(np.int8) for s in ((2, 3, 5, 21), (2, 3, 4, 21)))
    expected = a.astype(np.int64) @ b.astype(np.int64).swapaxes(-1, -2)
    np.testing.assert_array_equal(run(lambda x, y: graph.MatmulOp(x, y, True), a, b), expected)
    np.testing.assert_array_equal(run(lambda x, y: graph.MatmulOp(x, y, True), a, b[0, 0]), a.astype(np.int64) @ b[0, 0].T)


@pytest.mark.parametrize("transposed", [False, True])
def test_products_in_groups_stand_side_by_side(transposed: bool) -> None:
    rng = np.random.default_rng(7)
    a = rng.integers(-128, 128, (2, 5, 3 * 7)).astype(np.int8)
    b = rng.integers(-128, 128, (2, 4, 3 * 7) if transposed else (2, 7, 3 * 4)).astype(np.int8)
    parts = zip(np.split(a.astype(np.int64), 3, axis=-1), np.split(b, 3, axis=-1), strict=True)
    expected = np.concatenate([x @ (y.swapaxes(-1, -2) if transposed else y) for x, y in parts], axis=-1)
    np.testing.assert_array_equal(run(lambda x, y: graph.MatmulOp(x, y, transposed, groups=3), a, b), expected)


def test_f32_matmul_is_three_passes_and_much_better_than_one() -> None:
    rng = np.random.default_rng(8)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((6, 30), (30, 5)))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    ha, hb = a.astype(np.float16), b.astype(np.float16)
    la, lb = (((x - h.astype(np.float32)) * np.float32(2048)).astype(np.float16) for x, h in ((a, ha), (b, hb)))
    cross = matmul(ha, lb, False, None, TINY) + matmul(la, hb, False, None, TINY)
    passes = matmul(ha, hb, False, None, TINY) + cross * np.float32(2**-11)
    np.testing.assert_array_equal(run(graph.MatmulOp, a, b), passes)
    half = run(lambda x, y: graph.MatmulOp(x, y, False, "f16"), a, b)
    np.testing.assert_array_equal(half, matmul(ha, hb, False, None, TINY))
    assert np.abs(passes - exact).max() * 100 < np.abs(half - exact).max()


def slow_fold(x: Array, lanes: int) -> np.float32:
    """Sum of one row: tree within a tile of `lanes`, tiles in order."""
    tiles: list[np.float32] = []
    for start in range(0, len(x), lanes):
        part = [np.float32(v) for v in x[start : start + lanes]]
        while len(part) > 1:
            half = 1
            while half * 2 < len(part):
                half *= 2
            part = [np.float32(part[i] + part[i + half]) if i + half < len(part) else part[i] for i in range(half)]
        tiles.append(part[0])
    total = tiles[0]
    for tile in tiles[1:]:
        total = np.float32(total + tile)
    return total


def test_sums_go_rows_then_lanes_then_tiles() -> None:
    x = np.random.default_rng(9).standard_normal((3, 4, 21)).astype(np.float32)
    rows = x[:, 0]
    np.testing.assert_array_equal(fold("add", rows, [1], TINY)[:, 0], [slow_fold(row, 8) for row in rows])
    total = np.zeros(21, np.float32)
    for i, j in np.ndindex(3, 4):
        total = x[i, j] if (i, j) == (0, 0) else total + x[i, j]
    np.testing.assert_array_equal(run(lambda v: graph.ReduceOp("sum", v, [0, 1]), x), total)
    assert run(lambda v: graph.ReduceOp("sum", v, [0, 1, 2]), x) == slow_fold(total, TINY.lanes)
    mean = run(lambda v: graph.ReduceOp("mean", v, [1]), x)
    summed = ((x[:, 0] + x[:, 1]) + x[:, 2]) + x[:, 3]
    np.testing.assert_array_equal(mean, summed * np.float32(0.25))


def test_integer_sums_saturate_and_means_are_f32() -> None:
    x = np.full((4, 2), 2**30, np.int32)
    assert run(lambda v: graph.ReduceOp("sum", v, [0]), x).tolist() == [2**31 - 1] * 2
    b = np.array([[-128, 127], [-128, 127]], np.int8)
    assert run(lambda v: graph.ReduceOp("sum", v, [0]), b).tolist() == [-256, 254]
    assert run(lambda v: graph.ReduceOp("mean", v, [0]), b).tolist() == [-128.0, 127.0]
    assert run(lambda v: graph.ReduceOp("max", v, [0, 1]), b) == 127


def test_composites_are_near_their_float64_formulas() -> None:
    rng = np.random.default_rng(10)
    x, g, b = rng.standard_normal((5, 19)), rng.standard_normal(19), rng.standard_normal(19)
    x32, g32, b32 = (v.astype(np.float32) for v in (x, g, b))
    x, g, b = (v.astype(np.float64) for v in (x32, g32, b32))
    e = np.exp(x - x.max(-1, keepdims=True))
    d = x - x.mean(-1, keepdims=True)
    cases: list[tuple[Any, Array]] = [
        (lambda v, *_: graph.SoftmaxOp(v), e / e.sum(-1, keepdims=True)),
        (graph.LayerNormOp, d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * g + b),
        (lambda v, gain, _: graph.RmsNormOp(v, gain), x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * g),
        (lambda v, *_: graph.UnaryOp("silu", v), x / (1 + np.exp(-x))),
        (lambda v, gain, _: graph.BinaryOp("div", v, gain), x / g),
    ]
    for make, expected in cases:
        np.testing.assert_allclose(run(make, x32, g32, b32), expected, rtol=2e-6, atol=2e-6)


def test_f16_composites_round_once() -> None:
    x = np.random.default_rng(11).standard_normal((4, 9)).astype(np.float16)
    for make in (graph.SoftmaxOp, lambda v: graph.UnaryOp("gelu", v), lambda v: graph.UnaryOp("sigmoid", v)):
        wide = run(make, x.astype(np.float32))
        np.testing.assert_array_equal(run(make, x), wide.astype(np.float16))
        assert not np.array_equal(wide, wide.astype(np.float16))


def test_integers_saturate() -> None:
    low = np.array([-128, 127, 5], np.int8)
    assert run(lambda v: graph.UnaryOp("neg", v), low).tolist() == [127, -127, -5]
    assert run(lambda v: graph.UnaryOp("abs", v), low).tolist() == [127, 127, 5]
    assert run(lambda v: graph.UnaryOp("relu", v), low).tolist() == [0, 127, 5]
    assert run(lambda v: graph.BinaryOp("add", v, v), low).tolist() == [-128, 127, 10]
    assert run(lambda v: graph.BinaryOp("mul", v, v), low.astype(np.int32) * 2**20).tolist() == [2**31 - 1] * 3
    assert run(lambda v: graph.BinaryOp("lt", v, v), low).tolist() == [0, 0, 0]


def test_casts_round_to_even_saturate_and_send_nan_to_zero() -> None:
    x = np.array([0.5, 1.5, -2.5, 300, -300, np.nan, np.inf], np.float32)
    assert run(lambda v: graph.CastOp(v, "i8"), x).tolist() == [0, 2, -2, 127, -128, 0, 127]
    assert run(lambda v: graph.CastOp(v, "i32"), x * np.float32(2**25))[3:].tolist() == [2**31 - 1, -(2**31), 0, 2**31 - 1]
    assert run(lambda v: graph.CastOp(v, "f16"), np.array([65520], np.int32)).tolist() == [np.inf]
    assert run(lambda v: graph.CastOp(v, "i8"), np.array([1000, -1000], np.int32)).tolist() == [127, -128]


def test_quantisation() -> None:
    x, scale = np.array([[1.0, -3.0], [0.75, 1e9]], np.float32), np.array([0.5, 2.0], np.float32)
    q = run(graph.QuantizeOp, x, scale)
    assert q.tolist() == [[2, -2], [2, 127]]
    assert run(graph.DequantizeOp, q, scale).tolist() == [[1.0, -4.0], [1.0, 254.0]]
    assert run(graph.RequantizeOp, np.array([[5, 3], [-7, 99]], np.int32), scale).tolist() == [[2, 6], [-4, 127]]


def test_data_movement_is_numpys() -> None:
    x = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    cases: list[tuple[Any, Array]] = [
        (lambda v: graph.TransposeOp(v, [2, 0, 1]), x.transpose(2, 0, 1)),
        (lambda v: graph.ReshapeOp(v, [4, 6]), x.reshape(4, 6)),
        (lambda v: graph.SliceOp(v, [0, 0, 1], [2, 2, 2], [1, 2, 2]), x[:, ::2, 1::2]),
        (lambda v: graph.PadOp(v, [0, 1, 0], [1, 0, 2], -7), np.pad(x, [(0, 1), (1, 0), (0, 2)], constant_values=-7)),
        (lambda v: graph.ConcatOp([v, v], 1), np.concatenate([x, x], 1)),
        (lambda v: graph.BroadcastOp(v, [2, 2, 3, 4]), np.broadcast_to(x, (2, 2, 3, 4))),
    ]
    for make, expected in cases:
        np.testing.assert_array_equal(run(make, x), expected)
    block = np.full((1, 2, 2), 100, np.int32)
    changed = x.copy()
    changed[1:2, 0:2, 2:4] = 100
    np.testing.assert_array_equal(run(lambda v, w: graph.InsertOp(v, w, [1, 0, 2]), x, block), changed)
    index = np.array([[1, 0], [1, 1]], np.int32)
    np.testing.assert_array_equal(run(graph.GatherOp, x, index), x[index])
    rows = np.arange(2 * 2 * 3 * 4, dtype=np.int32).reshape(2, 2, 3, 4) + 1000
    changed = x.copy()
    changed[0], changed[1] = rows[0, 1], rows[1, 1]
    np.testing.assert_array_equal(run(graph.ScatterOp, x, rows, index), changed)
    choice = np.array([1, 0, 5, 0], np.int8)
    np.testing.assert_array_equal(run(graph.WhereOp, choice, x, -x), np.where(choice != 0, x, -x))


def accumulator() -> tuple[graph.InputOp, Any]:
    x, s = graph.InputOp("x", Tensor("f32", (2,))), graph.StateOp("s", Tensor("f32", (2,)))
    total = graph.BinaryOp("add", s.result, x.result)
    update = graph.UpdateOp("s", total.results[0])
    return x, new_program([x, s, total, update, graph.OutputOp("before", s.result)])


def test_states_start_at_zero_and_change_at_the_end_of_a_call() -> None:
    _, module = accumulator()
    x = {"x": np.array([1, 2], np.float32)}
    first = evaluate(module, x, WeightStore(), TINY)
    second = evaluate(module, x, WeightStore(), TINY, first.states)
    assert first.outputs["before"].tolist() == [0, 0]
    assert second.outputs["before"].tolist() == [1, 2]
    assert second.states["s"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "no value for input 'x'"),
        ({"x": np.zeros(3, np.float32)}, r"input 'x' is float32\[3\], the program has f32\[2\]"),
        ({"x": np.zeros(2, np.int8)}, "int8"),
        ({"x": np.zeros(2, np.float32), "z": np.zeros(2)}, "there is no input 'z'"),
    ],
)
def test_wrong_inputs_are_refused(inputs: dict[str, Array], message: str) -> None:
    with pytest.raises(DataFault, match=message):
        evaluate(accumulator()[1], inputs, WeightStore(), TINY)


def test_gather_outside_its_table_is_refused() -> None:
    for bad in (-1, 3):
        with pytest.raises(DataFault, match=f"gather: index {bad} into a table of 3 entries"):
            run(graph.GatherOp, np.zeros((3, 2), np.float32), np.array([0, bad], np.int32))


def test_a_parameter_without_data_is_refused() -> None:
    w = graph.ParamOp("w", "00", Tensor("i8", (2,)))
    result: SSAValue = w.result
    with pytest.raises(DataFault, match="no weights"):
        evaluate(new_program([w, graph.OutputOp("y", result)]), {}, WeightStore(), TINY)

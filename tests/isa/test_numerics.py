"""Conversions, elementwise rows, running folds and the lane tree against plain Python definitions."""

from __future__ import annotations

import itertools
import math
import struct
from functools import reduce
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import numerics
from isa.numerics import accumulate, apply, from_domain, lane_blocks, lane_tree, running, running_product, to_domain
from isa.spec import INSTRUCTIONS

MAX, MIN = 2**31 - 1, -(2**31)
INF, NAN = math.inf, math.nan
EDGES = [0, 1, -1, 2, -2, 7, -7, 31, 32, 40, 46341, -46341, 2**30, -(2**30), MAX - 1, MAX, MIN + 1, MIN]
VECTOR = [row for row in INSTRUCTIONS if row.ports == ("vxm",)]


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def bits(x: np.ndarray) -> list[int]:
    assert x.dtype in (np.float32, np.float16)
    return x.reshape(-1).view(np.uint32 if x.dtype == np.float32 else np.uint16).tolist()


def clamp(v: int, low: int = MIN, high: int = MAX) -> int:
    return max(low, min(high, v))


def test_every_row_of_the_vector_unit_is_defined() -> None:
    folding = {r.mnemonic for r in VECTOR if any(f.name == "group" for f in r.fields)}
    assert {*numerics.RUNNING, *numerics.RUNNING_PRODUCTS} == folding
    assert set(numerics.ELEMENTWISE) == {r.mnemonic for r in VECTOR} - folding


# Conversions


def test_to_float_domain_is_exact_for_bytes_and_halves() -> None:
    every_half = np.arange(2**16, dtype=np.uint16).view(np.float16)
    numbers = ~np.isnan(every_half)
    assert to_domain(every_half, "f")[numbers].tolist() == every_half[numbers].tolist()
    every_byte = np.arange(-128, 128).astype(np.int8)
    assert to_domain(every_byte, "f").tolist() == every_byte.tolist()
    assert to_domain(every_byte, "f").dtype == np.float32


def test_to_float_domain_rounds_words_to_nearest_even() -> None:
    x = i32(2**24 + 1, 2**24 + 3, -(2**24) - 1, MAX, MIN)
    assert to_domain(x, "f").tolist() == [2**24, 2**24 + 4, -(2**24), 2**31, -(2**31)]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_to_integer_domain_rounds_and_saturates(dtype: type) -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, 65504, INF, -INF, NAN], dtype)
    result = to_domain(x, "i")
    assert result.dtype == np.int32
    assert result.tolist() == [0, 2, 2, 0, -2, -2, 0, 65504, MAX, MIN, 0]


def test_to_integer_domain_at_the_limits() -> None:
    x = f32(2**31, 2**31 - 128, -(2**31), -(2**31) - 256, 3e38, -3e38)
    assert to_domain(x, "i").tolist() == [MAX, 2**31 - 128, MIN, MIN, MAX, MIN]
    assert to_domain(np.array([-128, 127], np.int8), "i").tolist() == [-128, 127]


def test_to_domain_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="float64"):
        to_domain(np.zeros(2), "f")


def test_floats_to_bytes_and_words() -> None:
    x = f32(0.5, 1.5, -0.5, -2.5, 126.5, 127.49, 127.5, -128.5, -129, 1e30, -1e30, INF, -INF, NAN)
    assert from_domain(x, "i8").tolist() == [0, 2, 0, -2, 126, 127, 127, -128, -128, 127, -128, 127, -128, 0]
    assert from_domain(x, "i8").dtype == np.int8
    assert from_domain(f32(2.5, 2**31, -(2**31), 1e30, NAN), "i32").tolist() == [2, MAX, MIN, MAX, 0]


def test_words_to_bytes_saturate() -> None:
    assert from_domain(i32(127, 128, -128, -129, MAX, MIN), "i8").tolist() == [127, 127, -128, -128, 127, -128]
    assert from_domain(i32(MAX, MIN), "i32").tolist() == [MAX, MIN]


def half_of(value: float) -> int:
    """f16 bits of a float64, rounded once, by the standard library."""
    try:
        return struct.unpack("<H", struct.pack("<e", float(value)))[0]
    except OverflowError:
        return 0x7C00 if value > 0 else 0xFC00


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(MIN, MAX), st.integers(-70000, 70000)))
def test_words_to_halves_are_rounded_once(v: int) -> None:
    assert bits(from_domain(i32(v), "f16")) == [half_of(v)]


def test_words_to_halves_at_ties_and_overflow() -> None:
    x = [2049, 2051, 4098, 4102, 65504, 65519, 65520, 65521, -65520, 2**24 + 1, MAX, MIN]
    assert bits(from_domain(i32(*x), "f16")) == [half_of(v) for v in x]
    assert from_domain(i32(2**24 + 1, 2**24 + 3), "f32").tolist() == [2**24, 2**24 + 4]


@settings(max_examples=300, deadline=None)
@given(st.floats(width=32, allow_nan=False))
def test_floats_to_halves_are_rounded_once(v: float) -> None:
    assert bits(from_domain(f32(v), "f16")) == [half_of(v)]


def test_nans_leave_as_the_canonical_one() -> None:
    odd = np.array([0xFFC00001, 0x7F800001, 0x7FC00000], np.uint32).view(np.float32)
    assert bits(from_domain(odd, "f32")) == [numerics.CANONICAL_NAN_F32] * 3
    assert bits(from_domain(odd, "f16")) == [numerics.CANONICAL_NAN_F16] * 3
    assert bits(odd) == [0xFFC00001, 0x7F800001, 0x7FC00000]


# Elementwise rows

INTEGER = {
    "iadd": lambda a, b: clamp(a + b),
    "isub": lambda a, b: clamp(a - b),
    "imul": lambda a, b: clamp(a * b),
    "imax": max,
    "imin": min,
    "ilt": lambda a, b: int(a < b),
    "ile": lambda a, b: int(a <= b),
    "ieq": lambda a, b: int(a == b),
    "iand": lambda a, b: a & b,
    "ior": lambda a, b: a | b,
    "ixor": lambda a, b: a ^ b,
    "ishl": lambda a, b: clamp(a << clamp(b, 0, 31)),
    "ishr": lambda a, b: a >> clamp(b, 0, 31),
}


@pytest.mark.parametrize("mnemonic", INTEGER)
def test_integer_rows(mnemonic: str) -> None:
    pairs = list(itertools.product(EDGES, EDGES))
    a, b = i32(*(p[0] for p in pairs)), i32(*(p[1] for p in pairs))
    result = apply(mnemonic, [a, b])
    assert result.dtype == np.int32
    assert result.tolist() == [INTEGER[mnemonic](*p) for p in pairs]


FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.3, -0.5, 3.3, 1e-45, -1e-45, 3e38, -3e38, INF, -INF, NAN]


def larger(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return NAN
    return max((math.copysign(1, a), a), (math.copysign(1, b), b))[1]


def smaller(a: float, b: float) -> float:
    return -larger(-a, -b)


def single(v: float) -> float:
    """Rounded to float32. Sums and products of two float32 round twice harmlessly (53 ≥ 2 · 24 + 2)."""
    return float(np.float64(v).astype(np.float32))


FLOAT = {
    "fadd": lambda a, b: single(a + b),
    "fsub": lambda a, b: single(a - b),
    "fmul": lambda a, b: single(a * b),
    "fmax": larger,
    "fmin": smaller,
    "flt": lambda a, b: float(a < b),
    "fle": lambda a, b: float(a <= b),
    "feq": lambda a, b: float(a == b),
}


@pytest.mark.parametrize("mnemonic", FLOAT)
def test_float_rows(mnemonic: str) -> None:
    pairs = list(itertools.product(f32(*FLOATS).tolist(), repeat=2))
    a, b = f32(*(p[0] for p in pairs)), f32(*(p[1] for p in pairs))
    with np.errstate(all="ignore"):
        expected = f32(*(FLOAT[mnemonic](*p) for p in pairs))
    expected[np.isnan(expected)] = np.nan
    assert bits(apply(mnemonic, [a, b])) == bits(expected)


def test_rows_with_one_float_operand() -> None:
    x = f32(0.0, -0.0, 0.5, 1.5, -0.5, -0.3, -1.5, INF, -INF)
    assert bits(apply("fabs", [x])) == bits(f32(0, 0, 0.5, 1.5, 0.5, 0.3, 1.5, INF, INF))
    assert bits(apply("fneg", [x])) == bits(f32(-0.0, 0, -0.5, -1.5, 0.5, 0.3, 1.5, -INF, INF))
    assert bits(apply("ffloor", [x])) == bits(f32(0, -0.0, 0, 1, -1, -1, -2, INF, -INF))
    assert bits(apply("fround", [x])) == bits(f32(0, -0.0, 0, 2, -0.0, -0.0, -2, INF, -INF))
    assert bits(apply("fmov", [x])) == bits(x)
    assert bits(apply("fround", [f32(2.5, 2**23 + 1, 1e30)])) == bits(f32(2, 2**23 + 1, 1e30))


def test_multiply_add_rounds_after_the_product_and_after_the_sum() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(1000).astype(np.float32) for _ in range(3))
    assert bits(apply("fmadd", [a, b, c])) == bits(apply("fadd", [apply("fmul", [a, b]), c]))
    # A fused product would keep the 2^-24 that the product's own rounding loses.
    x = f32(1 + 2**-12)
    assert apply("fmadd", [x, x, f32(-1)]).tolist() == [2**-11]
    assert bits(apply("fmadd", [f32(INF), f32(0), f32(1)])) == bits(f32(NAN))


def test_selection() -> None:
    assert apply("fsel", [f32(0, -0.0, 1, NAN), f32(1, 2, 3, 4), f32(5)]).tolist() == [5, 5, 3, 4]
    assert apply("isel", [i32(0, 1, MIN), i32(1, 2, 3), i32(7)]).tolist() == [7, 2, 3]


@pytest.mark.parametrize("length", [1, 3, 4, 7, 16, 33])
def test_zeros_of_both_signs_whatever_the_vector_length(length: int) -> None:
    plus, minus = np.zeros(length, np.float32), np.full(length, -0.0, np.float32)
    for a, b in ((plus, minus), (minus, plus)):
        assert bits(apply("fmax", [a, b])) == [0] * length
        assert bits(apply("fmin", [a, b])) == [0x80000000] * length


@pytest.mark.parametrize("row", [r for r in VECTOR if r.mnemonic in numerics.ELEMENTWISE], ids=lambda r: r.mnemonic)
def test_rows_give_fresh_arrays_of_the_domain_and_canonical_nans(row) -> None:
    dtype = np.float32 if row.domain == "f" else np.int32
    lanes = np.array([0x7FC00001, 0xFFC00000, 0x3F800000, 0, 0xFF800000], np.uint32).view(dtype)
    vectors = [np.stack([lanes, lanes[::-1]]) for _ in row.sources]
    for operands in (vectors, [*vectors[:-1], lanes[2].reshape(())], [*vectors[:-1], lanes[2:3]]):
        before = [x.tobytes() for x in operands]
        result = apply(row.mnemonic, operands)
        assert type(result) is np.ndarray
        assert result.dtype == dtype
        assert result.shape == np.broadcast_shapes(*(x.shape for x in operands))
        assert not any(np.shares_memory(result, x) for x in operands)
        assert before == [x.tobytes() for x in operands]
        if dtype is np.float32:
            assert set(bits(result[np.isnan(result)])) <= {numerics.CANONICAL_NAN_F32}
    assert apply(row.mnemonic, [x[:, :0] for x in vectors]).shape == (2, 0)
    scalar = apply(row.mnemonic, [lanes[1].reshape(())] * len(row.sources))
    assert isinstance(scalar, np.ndarray)
    assert scalar.shape == ()


# Folds


def test_running_sum_goes_in_order() -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((24, 5)) * 10.0 ** rng.integers(-4, 5, (24, 5))).astype(np.float32)
    for group in (1, 2, 8, 24):
        result = running("fsum", x, group)
        assert result.shape == (24 // group, 5)
        for g, lane in np.ndindex(*result.shape):
            total = x[g * group, lane]
            for v in x[g * group + 1 : (g + 1) * group, lane]:
                total = np.float32(total + v)
            assert result[g, lane] == total


def test_running_integer_sum_saturates_at_every_step() -> None:
    assert running("isum", i32(MAX, 1, -1, MIN, -5, 6).reshape(6, 1), 3).tolist() == [[MAX - 1], [MIN + 6]]


def test_running_extremes_and_zero() -> None:
    x = f32(-0.0, -0.0, -3.0, 2.0, 1.0, NAN).reshape(6, 1)
    assert bits(running("fmaxt", x, 2)) == bits(f32(-0.0, 2.0, NAN))
    assert bits(running("fmint", x, 2)) == bits(f32(-0.0, -3.0, NAN))
    assert bits(running("fsum", x[:1], 1)) == bits(f32(-0.0))
    assert running("imaxt", i32(1, 5, -3, MIN).reshape(4, 1), 2).tolist() == [[5], [-3]]
    assert running("imint", i32(1, 5, -3, MIN).reshape(4, 1), 2).tolist() == [[1], [MIN]]


def test_running_sums_of_products_are_products_and_running_sums() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((2, 24, 5)) * 10.0 ** rng.integers(-4, 5, (2, 24, 5))).astype(np.float32)
    assert bits(running_product("fdot", a, b, 8)) == bits(running("fsum", apply("fmul", [a, b]), 8))
    assert bits(running_product("fdot", a, f32(3).reshape(1, 1), 8)) == bits(running("fsum", apply("fmul", [a, f32(3)]), 8))
    assert running_product("idot", i32(2, -3, 4, 5).reshape(4, 1), i32(10, 1, -1, 2).reshape(4, 1), 2).tolist() == [[17], [6]]
    big = i32(MAX, MAX, -5).reshape(3, 1)
    assert running_product("idot", big, i32(2, 1, 1).reshape(3, 1), 3).tolist() == [[MAX - 5]], "both saturate"


def test_running_refuses_a_group_that_does_not_divide() -> None:
    for group in (0, 4):
        with pytest.raises(ValueError, match="groups"):
            running("fsum", np.zeros((6, 1), np.float32), group)


def tree(mnemonic: str, lanes: list[np.ndarray]) -> np.ndarray:
    """The definition, lane by lane."""
    half = 1
    while half * 2 < len(lanes):
        half *= 2
    while half:
        for lane in range(half):
            if lane + half < len(lanes):
                lanes[lane] = apply(mnemonic, [lanes[lane], lanes[lane + half]])
        lanes, half = lanes[:half], half // 2
    return lanes[0]


@pytest.mark.parametrize("op", ["add", "max", "min"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 31, 32, 33, 320])
def test_lane_tree(op: str, count: int) -> None:
    rng = np.random.default_rng(count)
    x = (rng.standard_normal((2, count)) * 10.0 ** rng.integers(-4, 5, (2, count))).astype(np.float32)
    words = rng.integers(MIN, MAX, (2, count)).astype(np.int32)
    for values, letter in ((x, "f"), (words, "i")):
        before = values.tobytes()
        result = lane_tree(op, values)
        assert result.shape == (2,)
        assert values.tobytes() == before
        expected = tree(letter + op, [values[:, lane] for lane in range(count)])
        assert result.tobytes() == expected.tobytes()


def test_lane_tree_saturates_at_nodes_and_keeps_zeros_and_nans() -> None:
    # (MAX + 1) saturates before -1 + 0 is added
    assert lane_tree("add", i32(MAX, -1, 1, 0)) == MAX - 1
    assert bits(lane_tree("add", f32(-0.0))) == bits(f32(-0.0))
    odd = np.array([0xFFC00001], np.uint32).view(np.float32)
    assert bits(lane_tree("max", odd)) == [numerics.CANONICAL_NAN_F32]
    with pytest.raises(ValueError, match="one lane"):
        lane_tree("add", f32())


def test_folds_and_rows_do_not_depend_on_the_shape() -> None:
    x = np.random.default_rng(4).standard_normal((40, 33)).astype(np.float32)
    whole = lane_tree("add", x)
    assert bits(whole) == [bits(lane_tree("add", row))[0] for row in x]
    sums = running("fsum", x, 40)
    assert bits(sums) == [bits(running("fsum", x[:, i : i + 1], 40))[0] for i in range(33)]


def test_accumulate() -> None:
    assert accumulate(i32(MAX, MIN, 3), i32(1, -1, 4)).tolist() == [MAX, MIN, 7]
    assert bits(accumulate(f32(1, INF, 3e38), f32(2**-24, -INF, 3e38))) == bits(f32(1, NAN, INF))


@pytest.mark.parametrize("op", ["add", "max"])
@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 13, 21])
def test_lane_blocks_go_by_tiles_then_lanes_of_blocks_then_blocks(op: Literal["add", "max"], count: int) -> None:
    values = np.random.default_rng(count).standard_normal((3, count)).astype(np.float32)
    fold = {"add": lambda a, b: np.float32(a + b), "max": max}[op]
    for row, found in zip(values, lane_blocks(op, values, 8, 4), strict=True):
        tiles = [row[i : i + 8] for i in range(0, count, 8)]
        lanes = [reduce(fold, [tile[lane] for tile in tiles if lane < len(tile)]) for lane in range(min(8, count))]
        assert found == reduce(fold, [reduce(fold, lanes[b : b + 4]) for b in range(0, len(lanes), 4)])

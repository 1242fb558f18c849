"""Dot products against exact integers, rounded once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa import dots
from isa.dots import dot_f16, dot_f16_prepared, dot_i8, dot_i8_prepared, prepare_f16, prepare_i8

FINITE = st.one_of(st.integers(0, 0x7BFF), st.integers(0x8000, 0xFBFF))
"""Bit patterns of finite halves."""


def halves(patterns: list[int] | np.ndarray) -> np.ndarray:
    return np.array(patterns, np.uint16).view(np.float16)


def bits(x: np.ndarray) -> list[int]:
    return x.reshape(-1).view(np.uint32).tolist()


def rounded(total: int) -> float:
    """total · 2^-48 to the nearest float32, halves to even, by integers alone. Zero is +0."""
    sign, size = (-1 if total < 0 else 1), abs(total)
    drop = max(0, size.bit_length() - 24)
    kept, rest = size >> drop, size & ((1 << drop) - 1)
    half = (1 << drop) >> 1
    if drop and (rest > half or (rest == half and kept & 1)):
        kept += 1
    return math.ldexp(sign * kept, drop - 48) if kept else 0.0


def oracle(a: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The definition for finite operands [m, k] × [k, n]."""
    left = [[int(math.ldexp(float(v), 24)) for v in row] for row in a]
    right = [[int(math.ldexp(float(v), 24)) for v in column] for column in w.T]
    sums = [[sum(p * q for p, q in zip(row, column, strict=True)) for column in right] for row in left]
    return np.array([[rounded(s) for s in row] for row in sums], np.float32)


def check(a: np.ndarray, w: np.ndarray) -> None:
    expected = bits(oracle(a, w))
    assert bits(dot_f16(a, w)) == expected
    prepared = prepare_f16(w)
    assert bits(dot_f16_prepared(a, prepared, dots.columns_f16(prepared))) == expected
    # The slow path alone gives the same.
    assert bits(dots._exact_block(prepare_f16(a), prepared)) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=24))
def test_any_finite_halves(pairs: list[tuple[int, int]]) -> None:
    check(halves([p[0] for p in pairs])[None, :], halves([p[1] for p in pairs])[:, None])


@settings(max_examples=200, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=12), st.lists(FINITE, min_size=1, max_size=3), st.randoms())
def test_massive_cancellation(main: list[int], rest: list[int], random) -> None:
    """Everything cancels but a few small products: only exact sums survive."""
    terms = [(p, 0x3C00) for p in main] + [(p ^ 0x8000, 0x3C00) for p in main] + [(p, 0x0001) for p in rest]
    random.shuffle(terms)
    check(halves([t[0] for t in terms])[None, :], halves([t[1] for t in terms])[:, None])


ONE, ULP, TINY, BIG = 1.0, 2.0**-24, 2.0**-24, 65504.0
ADVERSARIAL = [
    ("tie to even, down", [(1, 1), (ULP, 1)]),
    ("tie to even, up", [(1, 1), (2**-23, 1), (ULP, 1)]),
    ("just above a tie", [(1, 1), (ULP, 1), (TINY, TINY)]),
    ("just below a tie", [(1, 1), (ULP, 1), (-TINY, TINY)]),
    ("just above a large tie", [(32768, 32768), (64, 1), (TINY, TINY)]),
    ("just below a large tie", [(32768, 32768), (64, 1), (-TINY, TINY)]),
    ("large tie to even", [(32768, 32768), (64, 1)]),
    ("large negative, just past a tie", [(-32768, 32768), (-64, 1), (-TINY, TINY)]),
    ("power of two from below", [(32768, 32768), (-32, 1), (TINY, TINY)]),
    ("everything cancels", [(BIG, BIG), (-BIG, BIG)]),
    ("all but the smallest cancels", [(BIG, BIG), (-BIG, BIG), (TINY, TINY)]),
    ("negative zeros", [(-0.0, 1), (0.0, -1)]),
    ("subnormals", [(TINY, TINY), (3 * TINY, -5 * TINY), (1023 * TINY, 1)]),
    ("the largest sum", [(BIG, BIG)] * 320),
    ("largest and smallest", [(BIG, BIG)] * 300 + [(TINY, TINY)] * 20),
]


@pytest.mark.parametrize(("name", "terms"), ADVERSARIAL, ids=[c[0] for c in ADVERSARIAL])
def test_adversarial_sums(name: str, terms: list[tuple[float, float]]) -> None:
    a = np.array([[t[0] for t in terms]], np.float16)
    w = np.array([[t[1] for t in terms]], np.float16).T
    check(a, w)
    check(a[:, ::-1], w[::-1])


def test_the_oracle_itself() -> None:
    assert rounded(2**48) == 1
    assert rounded(2**48 + 2**24) == 1
    assert rounded(2**48 + 2**24 + 1) == 1 + 2**-23
    assert rounded(-(2**48) - 3 * 2**24) == -1 - 2**-22
    assert math.copysign(1, rounded(0)) == 1


@pytest.mark.parametrize("spread", ["bits", "normal", "near ties", "sparse"])
def test_full_depth(spread: str) -> None:
    rng = np.random.default_rng(5)
    m, k, n = 4, 320, 40
    if spread == "bits":
        a, w = (halves(rng.integers(0, 0x7BFF, s) | (rng.integers(0, 2, s) << 15)) for s in ((m, k), (k, n)))
    elif spread == "normal":
        a, w = (rng.standard_normal(s).astype(np.float16) for s in ((m, k), (k, n)))
    elif spread == "near ties":
        # 32768² + ±64 is half an ulp away from 32768²; a subnormal product decides.
        a, w = np.zeros((m, k), np.float16), np.zeros((k, n), np.float16)
        a[:, 0], w[0] = 32768, 32768
        a[:, 1], w[1] = 64, rng.choice([1, -1, 3, -3], n)
        a[:, 2], w[2] = TINY, rng.choice([TINY, -TINY, 0], n)
    else:
        a = halves(rng.integers(0, 0x7BFF, (m, k))) * (rng.random((m, k)) < 0.02)
        w = halves(rng.integers(0, 0x7BFF, (k, n))) * (rng.random((k, n)) < 0.5)
        a, w = a.astype(np.float16), w.astype(np.float16)
    check(a, w)


def test_result_does_not_depend_on_shape_or_order() -> None:
    rng = np.random.default_rng(6)
    a, w = (100 * rng.standard_normal((50, 320))).astype(np.float16), (10 * rng.standard_normal((320, 30))).astype(np.float16)
    whole = bits(dot_f16(a, w))
    order = rng.permutation(320)
    assert bits(dot_f16(np.ascontiguousarray(a[:, order]), w[order])) == whole
    assert bits(np.concatenate([dot_f16(row[None], w) for row in a])) == whole
    assert bits(np.concatenate([dot_f16(a, w[:, i : i + 1]) for i in range(30)], axis=1)) == whole


def test_doubtful_roundings_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near ties go the slow way, and ordinary data does not."""
    calls: list[tuple[int, ...]] = []
    exact = dots._exact_block
    monkeypatch.setattr(dots, "_exact_block", lambda a, w: calls.append(a.shape) or exact(a, w))
    rng = np.random.default_rng(8)
    dot_f16(rng.integers(-8, 8, (20, 320)).astype(np.float16), rng.integers(-8, 8, (320, 20)).astype(np.float16))
    assert calls == []
    terms = next(t for name, t in ADVERSARIAL if name == "just above a large tie")
    dot_f16(np.array([[t[0] for t in terms]], np.float16), np.array([[t[1]] for t in terms], np.float16))
    assert calls == [(1, 3)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FINITE, st.integers(-128, 127)), min_size=1, max_size=24))
def test_byte_weights(pairs: list[tuple[int, int]]) -> None:
    a, w = halves([p[0] for p in pairs])[None, :], np.array([[p[1]] for p in pairs], np.int8)
    assert bits(dot_f16(a, w)) == bits(oracle(a, w))
    assert bits(dot_f16_prepared(a, prepare_f16(w))) == bits(oracle(a, w))


SPECIAL = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1.0, -2.0, 2.0**-24]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SPECIAL), st.sampled_from(SPECIAL)), min_size=1, max_size=6))
def test_infinities_and_nans(terms: list[tuple[float, float]]) -> None:
    a, w = np.array([[t[0] for t in terms]], np.float16), np.array([[t[1]] for t in terms], np.float16)
    products = [x * y for x, y in terms]
    if any(map(math.isnan, products)) or {math.inf, -math.inf} <= set(products):
        expected = [0x7FC00000]
    elif math.inf in products or -math.inf in products:
        expected = bits(np.array([sum(products)], np.float32))
    else:
        expected = bits(oracle(a, w))
    assert bits(dot_f16(a, w)) == expected


def test_infinities_stay_in_their_row_and_column() -> None:
    rng = np.random.default_rng(9)
    a, w = rng.standard_normal((6, 40)).astype(np.float16), rng.standard_normal((40, 7)).astype(np.float16)
    clean = dot_f16(a, w)
    a[2, 3], w[5, 4] = np.nan, np.inf
    result = dot_f16(a, w)
    assert np.isnan(result[2]).all()
    rows = [0, 1, 3, 4, 5]
    assert np.array_equal(result[rows, 4], np.sign(a[rows, 5]) * np.float32(np.inf))
    columns = [0, 1, 2, 3, 5, 6]
    assert bits(result[np.ix_(rows, columns)]) == bits(clean[np.ix_(rows, columns)])


def test_quanta_divide_every_element() -> None:
    every = halves(np.concatenate([np.arange(0x7C00), np.arange(0x8000, 0xFC00)])).astype(np.float64)
    quanta = dots.columns_f16(every[None, :]).quanta
    assert np.array_equal(np.rint(every / quanta), every / quanta)
    assert set(np.frexp(quanta)[0]) == {0.5}
    assert quanta.min() == 2.0**-24
    both = dots.columns_f16(np.array([[0.0, 4.0], [-0.75, 0.0]]))
    assert both.quanta.tolist() == [2.0**-11, 2.0**-10]
    assert both.norms.tolist() == [0.75, 4.0]


def test_empty_operands() -> None:
    assert dot_f16(np.zeros((0, 5), np.float16), np.zeros((5, 2), np.float16)).shape == (0, 2)
    assert dot_f16(np.zeros((2, 5), np.float16), np.zeros((5, 0), np.float16)).shape == (2, 0)
    assert bits(dot_f16(np.zeros((2, 0), np.float16), np.zeros((0, 1), np.float16))) == [0, 0]
    assert dot_i8(np.zeros((2, 0), np.int8), np.zeros((0, 1), np.int8)).tolist() == [[0], [0]]


@pytest.mark.parametrize("depth", [1, 320, 1024, 1025, 3000])
def test_bytes_are_exact(depth: int) -> None:
    rng = np.random.default_rng(depth)
    a, w = rng.integers(-128, 128, (5, depth)).astype(np.int8), rng.integers(-128, 128, (depth, 6)).astype(np.int8)
    a[0], w[:, 0], a[1], w[:, 1] = -128, -128, 127, -127
    a[2, ::2], w[-1] = -128, 1
    expected = a.astype(np.int64) @ w.astype(np.int64)
    result = dot_i8(a, w)
    assert result.dtype == np.int32
    assert np.array_equal(result, expected)
    assert np.array_equal(dot_i8_prepared(a, prepare_i8(w)), expected)


def test_odd_sums_near_the_limit_of_float32() -> None:
    # 1023 products of 2^14 and one of 1: 2^24 - 2^14 + 1, odd, and the largest depth in one go
    a, w = np.full((1, 1024), -128, np.int8), np.full((1024, 1), -128, np.int8)
    a[0, 500] = w[500, 0] = 1
    assert dot_i8(a, w).tolist() == [[1023 * 2**14 + 1]]


def test_depths_that_cannot_be_exact_are_refused() -> None:
    with pytest.raises(ValueError, match="131072 int8 terms"):
        dot_i8(np.zeros((1, 131072), np.int8), np.zeros((131072, 1), np.int8))
    with pytest.raises(ValueError, match="4097 float16 terms"):
        dot_f16(np.zeros((1, 4097), np.float16), np.zeros((4097, 1), np.float16))

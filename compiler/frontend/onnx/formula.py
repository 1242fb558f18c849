"""Formulas over values: Python's operators build graph operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.values import Value

Number = int | float


@dataclass(frozen=True, slots=True)
class Term:
    """A value in a formula. Numbers take the element type of the term that they meet."""

    e: OnnxEmitter
    value: Value

    def of(self, number: Number) -> Term:
        """A number in this term's element type."""
        return Term(self.e, self.e.scalar(number, self.value))

    def _other(self, other: Term | Number) -> Term:
        return other if isinstance(other, Term) else self.of(other)

    def _binary(self, fn: str, other: Term | Number, swapped: bool = False) -> Term:
        a, b = self.value, self._other(other).value
        return Term(self.e, self.e.binary(fn, b, a) if swapped else self.e.binary(fn, a, b))

    def __add__(self, other: Term | Number) -> Term:
        return self._binary("add", other)

    def __radd__(self, other: Number) -> Term:
        return self._binary("add", other)

    def __sub__(self, other: Term | Number) -> Term:
        return self._binary("sub", other)

    def __rsub__(self, other: Number) -> Term:
        return self._binary("sub", other, swapped=True)

    def __mul__(self, other: Term | Number) -> Term:
        return self._binary("mul", other)

    def __rmul__(self, other: Number) -> Term:
        return self._binary("mul", other)

    def __truediv__(self, other: Term | Number) -> Term:
        """Of floats: a · recip(b)."""
        return self._binary("div", other)

    def __rtruediv__(self, other: Number) -> Term:
        return self._binary("div", other, swapped=True)

    def __neg__(self) -> Term:
        return self("neg")

    def __abs__(self) -> Term:
        return self("abs")

    def __lt__(self, other: Term | Number) -> Term:
        return self._binary("lt", other)

    def __le__(self, other: Term | Number) -> Term:
        return self._binary("le", other)

    def __gt__(self, other: Term | Number) -> Term:
        return self._binary("lt", other, swapped=True)

    def __ge__(self, other: Term | Number) -> Term:
        return self._binary("le", other, swapped=True)

    def equals(self, other: Term | Number) -> Term:
        return self._binary("eq", other)

    def __and__(self, other: Term) -> Term:
        """Of bools."""
        return self._binary("min", other)

    def __or__(self, other: Term) -> Term:
        """Of bools."""
        return self._binary("max", other)

    def __invert__(self) -> Term:
        """Of a bool."""
        return Term(self.e, self.e.negate(self.value))

    def __call__(self, fn: str) -> Term:
        """A function of `graph.unary`."""
        return Term(self.e, self.e.unary(fn, self.value))

    def bits(self, fn: str, other: Term | Number) -> Term:
        """bitand, bitor, bitxor, shl or shr of int32."""
        return self._binary(fn, other)

    def larger(self, other: Term | Number) -> Term:
        return self._binary("max", other)

    def smaller(self, other: Term | Number) -> Term:
        return self._binary("min", other)

    def where(self, chosen: Term | Number, other: Term | Number) -> Term:
        """Of a bool: `chosen` where it holds. Two numbers are int32 or float32."""
        like = next((t for t in (chosen, other) if isinstance(t, Term)), None)
        if like is None:
            kind = np.float32 if isinstance(chosen, float) or isinstance(other, float) else np.int32
            like = Term(self.e, self.e.constant(np.zeros((), kind)))
        a, b = like._other(chosen), like._other(other)
        return Term(self.e, self.e.where(self.value, a.value, b.value))

    def to(self, kind: str) -> Term:
        return Term(self.e, self.e.cast(self.value, kind))

    def reduce(self, fn: str, axes: Sequence[int], keepdims: bool = True) -> Term:
        return Term(self.e, self.e.reduce(fn, self.value, axes, keepdims))

    def reshaped(self, *shape: int) -> Term:
        return Term(self.e, self.e.reshaped(self.value, shape))

    @property
    def kind(self) -> str:
        return self.value.kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


def wide(e: OnnxEmitter, x: Value) -> Term:
    """For computing with: floats as float32, so that only the result is rounded to the model's type; integers as int32."""
    if x.is_float:
        return Term(e, e.cast(x, "float32"))
    return Term(e, e.cast(x, "int32"))


def iota(e: OnnxEmitter, size: int, axis: int, rank: int) -> Term:
    """0 … size-1 along an axis of a tensor of this rank whose other sizes are 1, as int32."""
    shape = [size if i == axis else 1 for i in range(rank)]
    return Term(e, e.constant(np.arange(size, dtype=np.int32).reshape(shape)))


def limits(x: Value) -> tuple[float, float]:
    """The lowest and the highest value of the element type."""
    if x.is_float:
        return -np.inf, np.inf
    if x.kind == "bool":
        return 0, 1
    found = np.iinfo(np.dtype(x.kind))
    return max(int(found.min), -(2**31)), min(int(found.max), 2**31 - 1)


def log1p(x: Term) -> Term:
    """ln(1 + x) for x ≥ 0, relatively accurate also for small x (W. Kahan's correction of the rounding of 1 + x)."""
    grown = 1 + x
    lost = grown.equals(1)
    return lost.where(x, grown("log") * (x / lost.where(1.0, grown - 1)))


def expm1(x: Term) -> Term:
    """e^x - 1 for x ≤ 0, relatively accurate also near 0: 2t / (1 - t) with t = tanh(x/2)."""
    t = (x * 0.5)("tanh")
    return (t + t) / (1 - t)


def truncated_quotient(a: Term, b: Term) -> Term:
    """a / b of int32 rounded towards zero, exact for |a|, |b| < 2^31; not defined where b is 0.

    A quotient in f32 is short of the true one by less than 2^-20 of it: a second one of what is left makes it exact, but for
    one step that a comparison adds.
    """
    left, size = abs(a), abs(b)
    inverse = size.to("float32")("recip") * (1 - 2.0**-21)
    total: Term | None = None
    for _ in range(2):
        part = (left.to("float32") * inverse)("floor").to("int32")
        left = left - part * size
        total = part if total is None else total + part
    assert total is not None
    total = total + (left >= size).to("int32")
    return (a < 0).to("int32").equals((b < 0).to("int32")).where(total, -total)

"""Built-ins that compute: elementwise functions, conversions, reductions, normalisation, products."""

from __future__ import annotations

from compiler.dialects import graph
from compiler.dialects.graph_shapes import Tensor
from compiler.frontend import numbers
from compiler.frontend.builtins import BUILTINS, Axes, Flag, Operand, builtin
from compiler.frontend.einsum import contract
from compiler.frontend.emitter import Emitter
from compiler.frontend.operators import alike, binary, product
from compiler.frontend.values import AnyValue, TensorValue, describe, is_list
from isa.errors import ModelFault
from isa.spec import TYPES, ElementType

UNARY = (
    "relu", "abs", "exp", "log", "sqrt", "rsqrt", "recip", "tanh", "erf", "sin", "cos", "atan",
    "floor", "round", "sigmoid", "gelu", "silu",
)  # fmt: skip


def _unary(name: str) -> None:
    def function(e: Emitter, x: Operand) -> AnyValue:
        return e.emit(graph.UnaryOp, name, x.ssa) if isinstance(x, TensorValue) else numbers.unary(name, x)

    BUILTINS[name] = function


def _cast(element: ElementType) -> None:
    def function(e: Emitter, x: AnyValue) -> AnyValue:
        return convert(e, x, element)

    BUILTINS[element] = function


for _name in UNARY:
    _unary(_name)
for _element in TYPES:
    _cast(_element)


def convert(e: Emitter, x: AnyValue, element: ElementType) -> TensorValue:
    """A tensor converted; a number or list as a constant. Raises ModelFault for anything else."""
    if isinstance(x, TensorValue):
        return x if x.type == element else e.emit(graph.CastOp, x.ssa, element)
    if isinstance(x, (int, float)) or is_list(x):
        return e.constant(numbers.mapped(x, lambda number: numbers.saturated(number, element)), element)
    raise ModelFault(f"{element}(…) of {describe(x)}")


@builtin
def cast(e: Emitter, x: AnyValue, to: Tensor) -> AnyValue:
    return convert(e, x, to.type)


def _reduce(e: Emitter, fn: str, x: TensorValue, axis: Axes, keepdims: bool) -> TensorValue:
    if not x.shape:
        raise ModelFault(f"{fn} of {x.tensor}: a scalar has no axis")
    return e.emit(graph.ReduceOp, fn, x.ssa, tuple(range(len(x.shape))) if axis is None else axis, keepdims)


@builtin
def sum_(e: Emitter, x: TensorValue, axis: Axes = None, keepdims: Flag = False) -> AnyValue:
    return _reduce(e, "sum", x, axis, keepdims)


@builtin
def mean(e: Emitter, x: TensorValue, axis: Axes = None, keepdims: Flag = False) -> AnyValue:
    return _reduce(e, "mean", x, axis, keepdims)


def _extreme(e: Emitter, fn: str, a: AnyValue, b: AnyValue | None, axis: Axes, keepdims: bool) -> AnyValue:
    if b is not None:
        if axis is not None or keepdims:
            raise ModelFault(f"{fn} of two values has no axis", hint=f"write {fn}(x, axis=…) or {fn}(a, b)")
        return binary(e, fn, a, b, ("a", "b"))
    if not isinstance(a, TensorValue):
        raise ModelFault(f"{fn} of {describe(a)} alone", hint=f"write {fn}(x, axis=…) or {fn}(a, b)")
    return _reduce(e, fn, a, axis, keepdims)


@builtin
def max_(e: Emitter, a: AnyValue, b: AnyValue | None = None, axis: Axes = None, keepdims: Flag = False) -> AnyValue:
    return _extreme(e, "max", a, b, axis, keepdims)


@builtin
def min_(e: Emitter, a: AnyValue, b: AnyValue | None = None, axis: Axes = None, keepdims: Flag = False) -> AnyValue:
    return _extreme(e, "min", a, b, axis, keepdims)


@builtin
def where(e: Emitter, condition: TensorValue, a: AnyValue, b: AnyValue) -> AnyValue:
    left, right = alike(e, "where", a, b, ("a", "b"))
    return e.emit(graph.WhereOp, condition.ssa, left.ssa, right.ssa)


def _scale(e: Emitter, scale: AnyValue) -> TensorValue:
    return scale if isinstance(scale, TensorValue) else e.constant(scale, "f32")


@builtin
def quantize(e: Emitter, x: TensorValue, scale: AnyValue) -> AnyValue:
    return e.emit(graph.QuantizeOp, x.ssa, _scale(e, scale).ssa)


@builtin
def dequantize(e: Emitter, x: TensorValue, scale: AnyValue) -> AnyValue:
    return e.emit(graph.DequantizeOp, x.ssa, _scale(e, scale).ssa)


@builtin
def requantize(e: Emitter, x: TensorValue, scale: AnyValue) -> AnyValue:
    return e.emit(graph.RequantizeOp, x.ssa, _scale(e, scale).ssa)


@builtin
def matmul(e: Emitter, a: TensorValue, b: TensorValue, precision: str | None = None) -> AnyValue:
    return product(e, a, b, ("a", "b")) if precision is None else e.matmul(a, b, precision=precision)


@builtin
def einsum(e: Emitter, equation: str, a: TensorValue, b: AnyValue | None = None) -> AnyValue:
    if b is not None and not isinstance(b, TensorValue):
        raise ModelFault(f"einsum: 'b' is a tensor; found {describe(b)}")
    return contract(e, equation, [a] if b is None else [a, b])


@builtin
def softmax(e: Emitter, x: TensorValue, axis: int = -1) -> AnyValue:
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise ModelFault(f"softmax: axis {axis} of {x.tensor}, which has {rank} axes")
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    return e.transpose(e.emit(graph.SoftmaxOp, e.transpose(x, swap).ssa), swap)


@builtin
def layernorm(e: Emitter, x: TensorValue, gain: TensorValue, bias: TensorValue, eps: float = 1e-5) -> AnyValue:
    return e.emit(graph.LayerNormOp, x.ssa, gain.ssa, bias.ssa, _epsilon(eps))


@builtin
def rmsnorm(e: Emitter, x: TensorValue, gain: TensorValue, eps: float = 1e-5) -> AnyValue:
    return e.emit(graph.RmsNormOp, x.ssa, gain.ssa, _epsilon(eps))


def _epsilon(eps: float) -> float:
    if not 0 < eps < 1:
        raise ModelFault(f"eps is above 0 and below 1; found {eps:g}")
    return eps

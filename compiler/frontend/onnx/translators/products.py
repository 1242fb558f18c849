"""Products of matrices."""

from __future__ import annotations

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@translator("MatMul")
def matmul(e: OnnxEmitter, call: Call) -> Value:
    return e.product(call.input(0), call.input(1))


@translator("Gemm")
def gemm(e: OnnxEmitter, call: Call) -> Value:
    """alpha · a · b + beta · c, a and b transposed as asked."""
    a, b, c = call.input(0), call.input(1), call.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise ModelFault(f"the operands must be matrices; they are {a} and {b}")
    if not a.is_float:
        raise ModelFault(f"a product of {a.kind} matrices is not supported", hint="use MatMulInteger")
    if call.integer("transA", 0):
        a = e.transposed(a, (1, 0))
    result = scaled(e, e.product(a, b, bool(call.integer("transB", 0))), call.number("alpha", 1.0))
    return result if c is None else e.binary("add", result, scaled(e, c, call.number("beta", 1.0)))


def scaled(e: OnnxEmitter, x: Value, factor: float) -> Value:
    return x if factor == 1 else e.binary("mul", x, e.scalar(factor, x))

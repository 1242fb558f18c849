"""An f32 product as three f16 ones (`compiler.reference.matmul.three_passes`), whatever the product is."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.reference.matmul import SPLIT_INVERSE, SPLIT_SCALE
from compiler.transforms.emitter import Emitter

Product = graph.MatmulOp | graph.Conv2dOp
Times = Callable[[SSAValue, SSAValue], SSAValue]


def split(emit: Emitter, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """f16 halves: x is nearly high + low · 2^-11."""
    high = emit.cast(x, "f16")
    rest = emit.binary("sub", x, emit.cast(high, "f32"))
    return high, emit.cast(emit.binary("mul", rest, emit.f32(SPLIT_SCALE)), "f16")


def three_passes(emit: Emitter, times: Times, a: SSAValue, b: SSAValue) -> SSAValue:
    """`times` emits an f16 product with an f32 result."""
    (ha, la), (hb, lb) = split(emit, a), split(emit, b)
    cross = emit.binary("add", times(ha, lb), times(la, hb))
    return emit.binary("add", times(ha, hb), emit.binary("mul", cross, emit.f32(SPLIT_INVERSE)))


def again(op: Product, a: SSAValue, b: SSAValue) -> Product:
    """The same product of other operands."""
    if isinstance(op, graph.MatmulOp):
        return graph.MatmulOp(a, b, op.transpose_b is not None)
    window = op.window
    return graph.Conv2dOp(a, b, window.strides, window.pads, window.dilations, op.groups.value.data)

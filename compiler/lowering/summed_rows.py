"""Sums of all rows of a product, which the accumulators of a plane make: they add in the order of the feeds, which is that of
the rows, so the bits are those of the product and a fold behind it.

That holds where each row is a single step: where its depth is within that of the plane.
"""

from __future__ import annotations

from math import prod

from xdsl.ir import Operation, SSAValue

from compiler.dialects.graph import MatmulOp, ReduceOp, ReshapeOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.context import mxm_mode
from isa.chip import Chip

MAX_ROWS = 16
"""Rows that are fed one by one; more of them are better off as a burst and a fold behind it (our choice)."""


def makers_of_sum(value: SSAValue) -> list[Operation]:
    """The sum over all rows of something, and the reshapes before and behind it; empty where the value is none."""
    found: list[Operation] = []
    while isinstance(value.owner, (ReshapeOp, ReduceOp)):
        op = value.owner
        if isinstance(op, ReduceOp):
            leading = tuple(range(len(tensor_of(op.x).shape) - 1))
            if op.fn.data != "sum" or tuple(sorted(op.axes.get_values())) != leading or not leading:
                break
        elif tensor_of(op.x).shape[-1:] != tensor_of(op.result).shape[-1:]:
            break
        found.append(op)
        value = op.x
    return found if sum(isinstance(op, ReduceOp) for op in found) == 1 else []


def summed_product(value: SSAValue, chip: Chip) -> MatmulOp | None:
    """The product of floats whose rows the value is the sum of, if nobody else wants them."""
    makers = makers_of_sum(value)
    product = makers[-1].operands[0].owner if makers else None
    if not isinstance(product, MatmulOp) or tensor_of(product.a).type != "f16":
        return None
    if prod(tensor_of(product.result).shape[:-1]) > MAX_ROWS:
        return None
    if any(len(list(op.results[0].uses)) > 1 for op in (*makers[1:], product)):
        return None
    return product if tensor_of(product.a).shape[-1] <= chip.depth(mxm_mode(product.a, product.b)) else None

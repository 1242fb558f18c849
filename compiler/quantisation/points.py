"""Which tensors become int8: what goes into products, where it is made rather than where it is moved to."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.transforms.set_precision import open_products

MOVES = (graph.ReshapeOp, graph.TransposeOp, graph.BroadcastOp, graph.PadOp)
"""Movement through which a scale passes unchanged (padding with zeros only)."""


def is_known(value: SSAValue) -> bool:
    return isinstance(value.owner, graph.ParamOp | graph.ConstantOp)


def source_of(value: SSAValue) -> SSAValue:
    """The value before it was moved."""
    owner = value.owner
    while isinstance(owner, MOVES) and not (isinstance(owner, graph.PadOp) and owner.fill != 0):
        value = owner.operands[0]
        owner = value.owner
    return value


def points(module: ModuleOp) -> list[SSAValue]:
    """The tensors to quantise with a scale from calibration, in program order. Known ones and those that a model has
    quantised itself are not among them."""
    found: dict[SSAValue, None] = {}
    for product in open_products(module):
        for operand in product.operands:
            source = source_of(operand)
            if not is_known(source) and not isinstance(source.owner, graph.DequantizeOp):
                found[source] = None
    return list(found)

"""`lower-to-flow`: the graph, operation by operation, to buffers and trips of data for one chip.

Needs a decomposed graph program and a chip; leaves a module with one `flow.program`, unplaced, in the program order of
the graph. Values of constants go into the weight store, the IR has their digests. The module says with which fuse-limit
it was lowered, since trips alone do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass

from compiler.context import beside_of, require_chip_of, weights_of
from compiler.dialects import graph
from compiler.dialects.flow_writer import program_of
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.lowering.lower import lower_graph
from compiler.scheduling.shared_memory import residents_of
from compiler.transforms.decompose import PRIMITIVE
from isa.errors import ModelFault

_PLAIN = (
    graph.InputOp, graph.OutputOp, graph.ParamOp, graph.StateOp, graph.UpdateOp, graph.ConstantOp, graph.WhereOp,
    graph.CastOp, graph.ReshapeOp, graph.TransposeOp, graph.SliceOp, graph.TakeOp, graph.ConcatOp, graph.PadOp,
    graph.GatherOp, graph.ScatterOp, graph.InsertOp, graph.BroadcastOp, graph.PackOp, graph.StencilOp,
    graph.DepthwiseOp, ReturnOp,
)  # fmt: skip
FUSE_LIMIT = "fuse_limit"
"""Attribute of a lowered module."""


def _primitive(op: Operation) -> bool:
    if isinstance(op, graph.UnaryOp):
        return op.fn.data in PRIMITIVE
    if isinstance(op, graph.BinaryOp):
        return op.fn.data != "div"
    if isinstance(op, graph.ReduceOp):
        return op.fn.data != "mean"
    if isinstance(op, graph.MatmulOp):
        return "f32" not in (tensor_of(op.a).type, tensor_of(op.b).type)
    return isinstance(op, _PLAIN)


@dataclass(frozen=True)
class LowerToFlowPass(ModulePass):
    """A decomposed graph becomes a flow."""

    name = "lower-to-flow"

    fuse_limit: int = 8
    """Most VXM operations in one trip. Long trips save memory traffic, short ones need fewer units and streams at once."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        chip = require_chip_of(ctx, self.name)
        if not 1 <= self.fuse_limit < 1 << 31:
            raise ModelFault(f"{self.name}: fuse-limit={self.fuse_limit} must be at least 1 and below 2³¹")
        for inner in main_block(op).ops:
            if not _primitive(inner):
                fn = getattr(inner, "fn", None)
                what = f"{inner.name} {fn.data}" if fn is not None else inner.name
                place = source_place(inner.location)
                raise ModelFault(f"{self.name}: {what} is not primitive", place, hint="run decompose before")
        beside = beside_of(ctx)
        flow = lower_graph(op, weights_of(ctx), chip, self.fuse_limit, residents_of(beside) if beside else None)
        program = program_of(flow, chip.lanes)
        for outer in reversed(list(op.body.block.ops)):
            op.body.block.erase_op(outer)
        op.body.block.add_op(program)
        op.attributes[FUSE_LIMIT] = IntegerAttr(self.fuse_limit, 64)

"""The graph, operation by operation, to buffers and trips."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation

from compiler.dialects.graph import (
    BroadcastOp,
    ConcatOp,
    ConstantOp,
    DepthwiseOp,
    GatherOp,
    InputOp,
    InsertOp,
    OutputOp,
    PackOp,
    PadOp,
    ParamOp,
    ReduceOp,
    ReshapeOp,
    ScatterOp,
    SliceOp,
    StateOp,
    StencilOp,
    TakeOp,
    TransposeOp,
    UpdateOp,
)
from compiler.dialects.graph_program import main_block
from compiler.dialects.graph_types import source_place, tensor_of
from compiler.lowering.boxes import copy_windows, lower_concat, lower_insert, lower_pad, lower_reshape, lower_slice, lower_take
from compiler.lowering.context import Lowering, describe
from compiler.lowering.copies import copy_rows
from compiler.lowering.depthwise import lower_depthwise
from compiler.lowering.elementwise import lower_cluster
from compiler.lowering.fusion import Cluster, clusters
from compiler.lowering.gather import lower_gather
from compiler.lowering.lane_tree import join_parts
from compiler.lowering.matmul import lower_matmul
from compiler.lowering.memory_hints import memory_hints, resident_hints
from compiler.lowering.reductions import lower_reduce
from compiler.lowering.scatter import lower_scatter
from compiler.lowering.stencil import lower_stencil
from compiler.lowering.transposes import lower_transpose
from compiler.lowering.views import View, view_of
from compiler.progress import stage
from compiler.scheduling.shared_memory import Residents
from compiler.scheduling.trip import Flow
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.errors import ModelFault


def lower_graph(
    module: ModuleOp, weights: WeightStore, chip: Chip, fuse_limit: int, residents: Residents | None = None
) -> Flow:
    """A decomposed graph as a flow, beside the residents of another program of the device.

    Raises ModelFault with the source place where the chip lacks what is needed.
    """
    block = main_block(module)
    lowering = Lowering(chip, weights, residents, copy_out=copy_windows, join_parts=join_parts)
    groups = clusters(block, chip, fuse_limit)
    lowering.hints = memory_hints(block, groups, chip, segmented=fuse_limit > 1)
    lowering.hints |= resident_hints(block, residents)
    ending: list[UpdateOp] = []
    on_the_way = {op for cluster in groups.values() for spread in cluster.spread for op in spread.makers}
    advance = stage("lower-to-flow", len(block.ops))
    for op in block.ops:
        advance(1)
        try:
            if isinstance(op, UpdateOp):
                ending.append(op)
            elif op in groups:
                _lower_clustered(lowering, op, groups[op])
            elif op not in on_the_way:
                _lower_single(lowering, op)
        except ModelFault as fault:
            fault.location = fault.location or source_place(op.location)
            raise
    _update_states(lowering, ending)
    return lowering.flow


def _update_states(lowering: Lowering, updates: list[UpdateOp]) -> None:
    """New values into the states, all at once: what is still only a view of a state that changes is copied out first."""
    buffers = lowering.flow.buffers
    changing = {op.label for op in updates}
    values: list[View] = []
    for op in updates:
        lowering.origin = describe(op)
        view = lowering.view(op.value)
        if view.buffer in changing and view != view_of(buffers[op.label]):
            apart = lowering.temporary(tensor_of(op.value).type, view.shape)
            copy_rows(lowering, view, apart)
            view = apart
        values.append(view)
    for op, view in zip(updates, values, strict=True):
        lowering.origin = describe(op)
        if view != view_of(buffers[op.label]):
            copy_rows(lowering, view, view_of(buffers[op.label]))


def _lower_clustered(lowering: Lowering, op: Operation, cluster: Cluster) -> None:
    if cluster.operations and op is not cluster.root:
        return
    if isinstance(cluster.matmul, StencilOp):
        lower_stencil(lowering, cluster.matmul, cluster)
    elif isinstance(cluster.matmul, DepthwiseOp):
        lower_depthwise(lowering, cluster.matmul, cluster)
    elif cluster.matmul:
        lower_matmul(lowering, cluster.matmul, cluster)
    else:
        lower_cluster(lowering, cluster)


def _lower_single(lowering: Lowering, op: Operation) -> None:
    lowering.origin = describe(op)
    if isinstance(op, InputOp) and all(isinstance(use.operation, PackOp) for use in op.result.uses) and op.result.uses:
        return
    if isinstance(op, PackOp):
        _lower_pack(lowering, op)
    elif isinstance(op, (InputOp, StateOp)):
        role = "input" if isinstance(op, InputOp) else "state"
        buffer = lowering.buffer(op.label, op.tensor, role, lowering.hints.get(op.result))
        lowering.move_in(buffer)
        lowering.views[op.result] = view_of(buffer)
    elif isinstance(op, OutputOp):
        _lower_output(lowering, op)
    elif isinstance(op, BroadcastOp):
        _lower_broadcast(lowering, op)
    elif not isinstance(op, (ParamOp, ConstantOp, ReturnOp)):
        if type(op) not in _SINGLE:
            raise ModelFault(f"{op.name} cannot be lowered", hint="run the pass decompose before")
        _SINGLE[type(op)](lowering, op)


_SINGLE: dict[type[Operation], Callable[..., None]] = {
    ReduceOp: lower_reduce,
    ReshapeOp: lower_reshape,
    TransposeOp: lower_transpose,
    SliceOp: lower_slice,
    TakeOp: lower_take,
    ConcatOp: lower_concat,
    PadOp: lower_pad,
    InsertOp: lower_insert,
    GatherOp: lower_gather,
    ScatterOp: lower_scatter,
}
"""Parameters and constants are not here: they are placed when they are used."""


def _lower_output(lowering: Lowering, op: OutputOp) -> None:
    """Nothing where the value was made in the output's own buffer; else a copy."""
    view = lowering.view(op.value)
    if op.label in lowering.flow.buffers and view == view_of(lowering.flow.buffers[op.label]):
        return
    buffer = lowering.buffer(op.label, op.tensor, "output")
    copy_rows(lowering, view, view_of(buffer))


def _lower_pack(lowering: Lowering, op: PackOp) -> None:
    """The input's buffer holds what the host makes of it."""
    maker = op.x.owner
    if not isinstance(maker, InputOp) or len(list(op.x.uses)) > 1:
        raise ModelFault("only inputs that nothing else uses are packed")
    buffer = lowering.buffer(maker.label, op.tensor, "input", lowering.hints.get(op.result))
    buffer.packing = op.packing
    lowering.views[op.result] = view_of(buffer)


def _lower_broadcast(lowering: Lowering, op: BroadcastOp) -> None:
    """Leading axes broadcast as a view, of windows too; a splat column read in every tile is what a broadcast last axis is."""
    to = tensor_of(op.result)
    leading = to.shape[:-1]
    if tensor_of(op.x).shape[-1:] == to.shape[-1:]:
        lowering.views[op.result] = lowering.window(op.x).broadcast(leading)
        return
    view = lowering.view(op.x)
    target = lowering.result(op.result)
    copy_rows(lowering, view.broadcast(leading), target)

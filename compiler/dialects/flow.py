"""The flow dialect: trips of data through the units of a chip, as lowering, placement and scheduling leave them.

A module holds one `flow.program`: buffers, then trips in program order. The operations say what the plain data of
`compiler.scheduling.trip` say, one for one (`flow_writer` and `flow_reader` turn each into the other). Three stages,
told apart by what is there: a *flow* has neither places nor cycles; a *placed* flow has places in all buffers; a
*scheduled* flow has also start, slots and streams in all trips. Illegal at every stage: operations on tensors, values
that cross trips or that nothing uses, control flow, nodes outside a trip, a node that names a buffer, a tile or rows
that do not exist.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from compiler.dialects.flow_memory import BufferOp, GatherOp, ReadBlockOp, ReadOp, ScatterOp, WriteOp
from compiler.dialects.flow_trips import ProgramOp, TripOp
from compiler.dialects.flow_types import BufferRole, Memory, MemoryAttr, Mode, ModeAttr, RoleAttr, StreamType
from compiler.dialects.flow_units import ComputeOp, FeedOp, LoadOp, SwapOp

Flow = Dialect(
    "flow",
    [ProgramOp, BufferOp, TripOp, ReadOp, ReadBlockOp, GatherOp, ScatterOp, WriteOp, LoadOp, SwapOp, FeedOp, ComputeOp],
    [StreamType, RoleAttr, MemoryAttr, ModeAttr],
)

__all__ = [
    "BufferOp",
    "BufferRole",
    "ComputeOp",
    "FeedOp",
    "Flow",
    "GatherOp",
    "LoadOp",
    "Memory",
    "MemoryAttr",
    "Mode",
    "ModeAttr",
    "ProgramOp",
    "ReadBlockOp",
    "ReadOp",
    "RoleAttr",
    "ScatterOp",
    "StreamType",
    "SwapOp",
    "TripOp",
    "WriteOp",
]

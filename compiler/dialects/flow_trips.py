"""Trips and whole programs of the flow dialect, and the rules that no single node can check."""

from __future__ import annotations

import re

from xdsl.dialects.builtin import I64, ArrayAttr, IntegerAttr, StringAttr
from xdsl.ir import Operation
from xdsl.irdl import IRDLOperation, irdl_op_definition, opt_prop_def, prop_def, region_def, traits_def
from xdsl.traits import IsolatedFromAbove, NoTerminator, SymbolTable
from xdsl.utils.exceptions import VerifyException

from compiler.dialects.flow_memory import BufferOp, GatherOp, ReadBlockOp, ReadOp, ScatterOp, WriteOp, buffer_name
from compiler.dialects.flow_types import at_least, stream_of
from compiler.dialects.flow_units import ComputeOp, FeedOp, LoadOp, SwapOp
from isa.spec import BYTES

NODES = (ReadOp, ReadBlockOp, GatherOp, ScatterOp, WriteOp, LoadOp, SwapOp, FeedOp, ComputeOp)
_STREAM = re.compile(r"[ew][0-9]{1,2}")


@irdl_op_definition
class TripOp(IRDLOperation):
    """One rigid journey of data: nodes joined by values, each value made before it is used. The text is the source place.

    `flow.trip "model.lks:3:5: add" { … }`; scheduling adds
    `start 17 slots ["sram.w0.rd", "vxm.0", "sram.e1.wr"] streams ["e0", "e4"]`: the first cycle, the slot of every
    operation that the trip consists of (a node may be several: one for each slice or plane), and the first byte
    stream of every value, eastward or westward, in the order of the values.
    """

    name = "flow.trip"
    origin = prop_def(StringAttr)
    start = opt_prop_def(IntegerAttr[I64])
    slots = opt_prop_def(ArrayAttr[StringAttr])
    streams = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")
    traits = traits_def(NoTerminator(), IsolatedFromAbove())
    assembly_format = "$origin (`start` $start^ `slots` $slots `streams` $streams)? attr-dict-with-keyword $body"

    @property
    def nodes(self) -> list[Operation]:
        return list(self.body.block.ops)

    def verify_(self) -> None:
        values = 0
        for node in self.body.block.ops:
            if not isinstance(node, NODES):
                raise VerifyException(f"{self.name}: {node.name} is no node of a trip")
            values += len(node.results)
            if any(not value.uses for value in node.results):
                raise VerifyException(f"{self.name}: nothing uses what {node.name} makes")
        if not self.body.block.first_op:
            raise VerifyException(f"{self.name}: the trip is empty")
        present = [p is not None for p in (self.start, self.slots, self.streams)]
        if any(present) and not all(present):
            raise VerifyException(f"{self.name}: a scheduled trip has start, slots and streams")
        at_least(self.name, 0, start=self.start)
        if self.streams is None:
            return
        if len(self.streams.data) != values:
            raise VerifyException(f"{self.name}: {len(self.streams.data)} streams for {values} values")
        for stream in self.streams.data:
            if not _STREAM.fullmatch(stream.data):
                raise VerifyException(f"{self.name}: '{stream.data}' is no stream; write e0, w4, …")


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A whole program: buffers, then trips in program order, for chips with vectors of so many lanes.

    `flow.program lanes 16 { flow.buffer … flow.trip … }`. Program order gives memory its meaning: a trip sees what the
    trips before it wrote.
    """

    name = "flow.program"
    lanes = prop_def(IntegerAttr[I64])
    body = region_def("single_block")
    traits = traits_def(NoTerminator(), IsolatedFromAbove(), SymbolTable())
    assembly_format = "`lanes` $lanes attr-dict-with-keyword $body"

    @property
    def buffers(self) -> list[BufferOp]:
        return [op for op in self.body.block.ops if isinstance(op, BufferOp)]

    @property
    def trips(self) -> list[TripOp]:
        return [op for op in self.body.block.ops if isinstance(op, TripOp)]

    def verify_(self) -> None:
        at_least(self.name, 1, lanes=self.lanes)
        trips_begun = False
        for op in self.body.block.ops:
            if not isinstance(op, (BufferOp, TripOp)) or (trips_begun and isinstance(op, BufferOp)):
                raise VerifyException(f"{self.name}: buffers, then trips; found {op.name}")
            trips_begun = isinstance(op, TripOp)
        buffers = {op.sym_name.data: op for op in self.buffers}
        self._verify_stages(list(buffers.values()))
        for op in buffers.values():
            _verify_tiles(op, self.lanes.value.data)
        for trip in self.trips:
            for node in trip.body.block.ops:
                if isinstance(node, (ReadOp, ReadBlockOp, GatherOp, ScatterOp, WriteOp)):
                    _verify_access(node, buffers, self.lanes.value.data)

    def _verify_stages(self, buffers: list[BufferOp]) -> None:
        placed = {op.units is not None for op in buffers}
        scheduled = {op.start is not None for op in self.trips}
        if len(placed) > 1:
            raise VerifyException(f"{self.name}: either all buffers have places or none has")
        if len(scheduled) > 1 or (True in scheduled and True not in placed):
            raise VerifyException(f"{self.name}: either all trips have a start, and all buffers places, or no trip has")


def _verify_tiles(op: BufferOp, lanes: int) -> None:
    tiles, segments = op.tiles(lanes), len(op.segments.get_values())
    if op.sides and len(op.sides.data) != segments * tiles:
        raise VerifyException(
            f"{op.name} @{op.sym_name.data}: sides has {len(op.sides.data)} letters, needs {segments * tiles}"
        )
    places = segments * tiles * op.stripes.value.data * BYTES[op.tensor.type]
    if op.bases is not None and len(op.bases.get_values()) != places:
        raise VerifyException(f"{op.name} @{op.sym_name.data}: {len(op.bases.get_values())} places, needs {places}")


def _verify_access(
    node: ReadOp | ReadBlockOp | GatherOp | ScatterOp | WriteOp, buffers: dict[str, BufferOp], lanes: int
) -> None:
    name = buffer_name(node)
    if name not in buffers:
        raise VerifyException(f"{node.name}: there is no buffer @{name}")
    buffer = buffers[name]
    if node.tile.value.data >= buffer.tiles(lanes):
        raise VerifyException(f"{node.name}: tile {node.tile.value.data} of @{name}, which has {buffer.tiles(lanes)}")
    if isinstance(node, ScatterOp):
        _verify_scatter(node, buffer)
        return
    if isinstance(node, GatherOp):
        first, last = 0, node.limit.value.data - 1
    else:
        step = 1 if isinstance(node, ReadBlockOp) else node.step.value.data
        first = node.row.value.data
        count = node.count.value.data if not isinstance(node, ReadBlockOp) else _rows_of_block(node, buffers)
        last = first + (count - 1) * step
        if isinstance(node, ReadOp) and node.run and node.run_step:
            first, last = _ends_of_runs(first, step, count, node.run.value.data, node.run_step.value.data)
    rows = apart = 1
    if isinstance(node, (ReadOp, WriteOp)) and node.abreast and node.apart:
        rows, apart = node.abreast.value.data, node.apart.value.data
    if not (0 <= first < buffer.rows() and 0 <= last < buffer.rows() and max(first, last) + (rows - 1) * apart < buffer.rows()):
        raise VerifyException(f"{node.name}: rows {first} … {last} of @{name}, which has {buffer.rows()}")
    byte = None if isinstance(node, ReadBlockOp) else node.byte
    if byte is not None and byte.value.data >= BYTES[buffer.tensor.type]:
        raise VerifyException(f"{node.name}: byte {byte.value.data} of @{name}, whose elements are {buffer.tensor.type}")
    if isinstance(node, (ReadOp, WriteOp)):
        value = node.result if isinstance(node, ReadOp) else node.source
        element, _, _, streams = stream_of(value).fields
        expected = ("i8", 1) if byte is not None else (buffer.tensor.type, BYTES[buffer.tensor.type])
        if rows > 1:
            if streams != rows or buffer.tensor.type != "i8" or byte is not None:
                raise VerifyException(f"{node.name}: {streams} streams from {rows} rows abreast of @{name}, which must be i8")
        elif (element, streams) != expected:
            found = f"{streams} streams of {element}"
            raise VerifyException(f"{node.name}: {found} and @{name}, where {expected[1]} of {expected[0]} are needed")


def _ends_of_runs(row: int, step: int, count: int, run: int, run_step: int) -> tuple[int, int]:
    """The first and the last row of all that a walk in runs comes to."""
    begins = [row + i * run_step for i in range(-(-count // run))]
    ends = [begin + (min(run, count - i * run) - 1) * step for i, begin in enumerate(begins)]
    return min(begins + ends), max(begins + ends)


def _rows_of_block(node: ReadBlockOp, buffers: dict[str, BufferOp]) -> int:
    """Rows that come from the block's own buffer."""
    count, together = node.count.value.data, node.rows_per_cycle.value.data
    if node.beside is None:
        return count
    name = node.beside.root_reference.data
    if name not in buffers:
        raise VerifyException(f"{node.name}: there is no buffer @{name}")
    beside = buffers[name].stripes.value.data
    rest = count // together * beside + max(0, count % together - (together - beside))
    first = node.beside_row.value.data if node.beside_row else 0
    if not 0 < beside < together or first < 0 or first + rest > buffers[name].rows():
        raise VerifyException(f"{node.name}: rows {first} … {first + rest - 1} of @{name}, {beside} of {together} a cycle")
    return count - rest


def _verify_scatter(node: ScatterOp, buffer: BufferOp) -> None:
    name, stripes = buffer_name(node), buffer.stripes.value.data
    segments, segment = buffer.segments.get_values(), node.segment.value.data
    if segment >= len(segments):
        raise VerifyException(f"{node.name}: segment {segment} of @{name}, which has {len(segments)}")
    rows = (*segments[1:], buffer.rows())[segment] - segments[segment]
    if node.stripe.value.data >= stripes:
        raise VerifyException(f"{node.name}: stripe {node.stripe.value.data} of @{name}, which has {stripes}")
    words = -(-rows // stripes) + (buffer.spare.value.data if buffer.spare else 0)
    if node.limit.value.data > words:
        raise VerifyException(f"{node.name}: limit {node.limit.value.data} in @{name}, where a stripe has {words} words")
    element, _, _, streams = stream_of(node.source).fields
    if (element, streams) != (buffer.tensor.type, BYTES[buffer.tensor.type]):
        raise VerifyException(f"{node.name}: {streams} streams of {element} into @{name} of {buffer.tensor.type}")

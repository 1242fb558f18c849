"""From the plain data that lowering makes and scheduling works on to the flow dialect; `flow_reader` is the exact inverse.

Attributes are made once and shared, because making them is what costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerAttr,
    LocationAttr,
    StringAttr,
    SymbolRefAttr,
    UnitAttr,
    UnknownLoc,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from compiler.dialects import flow as ir
from compiler.dialects.flow_reader import place_keys
from compiler.dialects.flow_types import Number, Numbers, StreamType, numbers
from compiler.dialects.graph_shapes import Tensor
from compiler.dialects.graph_types import source_location, tensor_type
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import Places
from compiler.scheduling.trip import (
    ALL_BYTES,
    Buffer,
    Compute,
    Feed,
    Flow,
    Gather,
    Load,
    Node,
    Read,
    ReadBlock,
    Scatter,
    Swap,
    Trip,
    Value,
    Write,
    location_of,
)
from isa.program import Immediate

_UNIT = UnitAttr()


class _Shared:
    """One attribute object for each value that was asked for."""

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}

    def _once(self, key: object, make: Callable[[], Attribute]) -> Any:
        found = self.made.get(key)
        if found is None:
            found = self.made[key] = make()
        return found

    def number(self, value: int) -> Number:
        return self._once(value, lambda: IntegerAttr(int(value), i64))

    def numbers(self, values: tuple[int, ...]) -> Numbers:
        return self._once(("numbers", values), lambda: numbers(values))

    def text(self, value: str) -> StringAttr:
        return self._once(value, lambda: StringAttr(value))

    def buffer(self, name: str) -> SymbolRefAttr:
        return self._once(("buffer", name), lambda: SymbolRefAttr(name))

    def mode(self, name: str) -> ir.ModeAttr:
        return self._once(("mode", name), lambda: ir.ModeAttr(ir.Mode(name)))

    def stream(self, v: Value) -> StreamType:
        key = ("stream", v.type, v.count, v.every, v.streams)
        return self._once(key, lambda: StreamType.new([self.text(v.type), *map(self.number, key[2:])]))

    def fields(self, given: tuple[tuple[str, int], ...]) -> DictionaryAttr:
        return self._once(("fields", given), lambda: DictionaryAttr({name: self.number(n) for name, n in given}))

    def location(self, origin: str) -> LocationAttr:
        def make() -> LocationAttr:
            place = location_of(origin)
            return source_location(place.file, place.line, place.column) if place else UnknownLoc()

        return self._once(("location", origin), make)


def program_of(flow: Flow, lanes: int) -> ir.ProgramOp:
    """A flow as IR, for chips of so many lanes. Values must be numbered in the order in which nodes make them."""
    shared = _Shared()
    operations: list[Operation] = [_buffer_op(b) for b in flow.buffers.values()]
    operations += [_trip_op(trip, shared) for trip in flow.trips]
    return ir.ProgramOp.create(properties={"lanes": shared.number(lanes)}, regions=[Region(Block(operations))])


def _buffer_op(buffer: Buffer) -> ir.BufferOp:
    properties: dict[str, Attribute] = {
        "sym_name": StringAttr(buffer.name),
        "role": ir.RoleAttr(ir.BufferRole(buffer.role)),
        "memory": ir.MemoryAttr(ir.Memory(buffer.memory)),
        "stripes": IntegerAttr(buffer.stripes, i64),
        "segments": numbers(buffer.segments),
        "type": tensor_type(Tensor(buffer.type, buffer.shape)),
    }
    if buffer.spare_words:
        properties["spare"] = IntegerAttr(buffer.spare_words, i64)
    if buffer.sides:
        groups = product(range(len(buffer.segments)), range(buffer.tiles))
        properties["sides"] = StringAttr("".join(buffer.sides.get(g, ".") for g in groups))
    if buffer.packing:
        properties["image"] = numbers(buffer.packing.host_shape)
        properties["packing"] = numbers(buffer.packing.numbers)
    if buffer.digest:
        properties["digest"] = StringAttr(buffer.digest)
    return ir.BufferOp.create(properties=properties)


def _trip_op(trip: Trip, shared: _Shared) -> ir.TripOp:
    values: list[SSAValue] = []
    nodes: list[Operation] = []
    for node in trip.nodes:
        kind, operands, properties = _WRITERS[type(node)](node, shared)
        result = getattr(node, "result", -1)
        assert result in (-1, len(values)), "values are numbered in the order in which nodes make them"
        types = () if result < 0 else (shared.stream(trip.values[result]),)
        op = kind.create(operands=[values[v] for v in operands], result_types=types, properties=properties)
        values += op.results
        nodes.append(op)
    return ir.TripOp.create(
        properties={"origin": shared.text(trip.origin)},
        regions=[Region(Block(nodes))],
        location=shared.location(trip.origin),
    )


_Written = tuple[type[Operation], Sequence[int], dict[str, Attribute]]


def _write_read(n: Read, a: _Shared) -> _Written:
    properties: dict[str, Attribute] = {
        "buffer": a.buffer(n.buffer),
        "tile": a.number(n.tile),
        "row": a.number(n.row),
        "step": a.number(n.row_step),
        "count": a.number(n.count),
    }
    if n.byte != ALL_BYTES:
        properties["byte"] = a.number(n.byte)
    if (n.run, n.run_step) != (0, 0):
        properties |= {"run": a.number(n.run), "run_step": a.number(n.run_step)}
    return ir.ReadOp, (), properties | _rows_abreast(n, a)


def _rows_abreast(n: Read | Write, a: _Shared) -> dict[str, Attribute]:
    return {"abreast": a.number(n.abreast), "apart": a.number(n.apart)} if (n.abreast, n.apart) != (1, 1) else {}


def _write_read_block(n: ReadBlock, a: _Shared) -> _Written:
    beside: dict[str, Attribute] = {"beside": a.buffer(n.beside), "beside_row": a.number(n.beside_row)} if n.beside else {}
    return ir.ReadBlockOp, (), {
        "buffer": a.buffer(n.buffer),
        "tile": a.number(n.tile),
        "row": a.number(n.row),
        "count": a.number(n.count),
        "rows_per_cycle": a.number(n.rows_per_cycle),
        **beside,
    }  # fmt: skip


def _write_gather(n: Gather, a: _Shared) -> _Written:
    return ir.GatherOp, (n.index,), {
        "buffer": a.buffer(n.buffer),
        "tile": a.number(n.tile),
        "byte": a.number(n.byte),
        "limit": a.number(n.limit),
        "count": a.number(n.count),
        "every": a.number(n.every),
    }  # fmt: skip


def _write_scatter(n: Scatter, a: _Shared) -> _Written:
    return ir.ScatterOp, (n.source, n.index), {
        "buffer": a.buffer(n.buffer),
        "segment": a.number(n.segment),
        "tile": a.number(n.tile),
        "stripe": a.number(n.stripe),
        "limit": a.number(n.limit),
        "count": a.number(n.count),
    }  # fmt: skip


def _write_write(n: Write, a: _Shared) -> _Written:
    properties: dict[str, Attribute] = {
        "buffer": a.buffer(n.buffer),
        "tile": a.number(n.tile),
        "row": a.number(n.row),
        "step": a.number(n.row_step),
        "count": a.number(n.count),
        "every": a.number(n.every),
    }
    if n.byte != ALL_BYTES:
        properties["byte"] = a.number(n.byte)
    if n.window:
        properties["window"] = a.numbers(n.window)
    return ir.WriteOp, (n.source,), properties | _rows_abreast(n, a)


def _write_load(n: Load, a: _Shared) -> _Written:
    properties: dict[str, Attribute] = {
        "planes": a.numbers(n.planes),
        "mode": a.mode(n.mode),
        "count": a.number(n.count),
        "row": a.number(n.row),
    }
    if n.transposed:
        properties["transposed"] = _UNIT
    return ir.LoadOp, (n.source,), properties


def _write_swap(n: Swap, a: _Shared) -> _Written:
    return ir.SwapOp, (), {"plane": a.number(n.plane), "mode": a.mode(n.mode)}


def _write_feed(n: Feed, a: _Shared) -> _Written:
    properties: dict[str, Attribute] = {
        "plane": a.number(n.plane),
        "mode": a.mode(n.mode),
        "depth": a.number(n.depth),
        "lane": a.number(n.lane),
        "accumulator": a.number(n.accumulator),
        "count": a.number(n.count),
    }
    if n.fresh:
        properties["fresh"] = _UNIT
    return ir.FeedOp, (n.source,), properties


def _write_compute(n: Compute, a: _Shared) -> _Written:
    properties: dict[str, Attribute] = {
        "mnemonic": a.text(n.mnemonic),
        "unit": a.text(n.unit),
        "count": a.number(n.count),
        "every": a.number(n.every),
    }
    values = [o for o in n.operands if not isinstance(o, Immediate)]
    if len(values) < len(n.operands):
        properties["immediates"] = a.numbers(tuple(o.bits if isinstance(o, Immediate) else -1 for o in n.operands))
    if n.fields:
        properties["fields"] = a.fields(tuple(n.fields.items()))
    return ir.ComputeOp, values, properties


_WRITERS: dict[type[Node], Callable[[Any, _Shared], _Written]] = {
    Read: _write_read,
    ReadBlock: _write_read_block,
    Gather: _write_gather,
    Scatter: _write_scatter,
    Write: _write_write,
    Load: _write_load,
    Swap: _write_swap,
    Feed: _write_feed,
    Compute: _write_compute,
}


def set_places(program: ir.ProgramOp, flow: Flow, places: Places) -> None:
    """Write what `place` found for the flow of this program."""
    for op, buffer in zip(program.buffers, flow.buffers.values(), strict=True):
        found = [places[buffer.name][key] for key in place_keys(buffer)]
        units = {unit: i for i, unit in enumerate(dict.fromkeys(p.unit for p in found))}
        op.properties["units"] = ArrayAttr([StringAttr(unit) for unit in units])
        op.properties["slices"] = numbers([units[p.unit] for p in found])
        op.properties["bases"] = numbers([p.base for p in found])
        op.properties.pop("word_step", None)
        if found and found[0].step != 1:
            op.properties["word_step"] = IntegerAttr(found[0].step, i64)


def replace_trips(program: ir.ProgramOp, flow: Flow, trips: Sequence[Sequence[Trip]]) -> None:
    """Write the trips that take the place of each trip of the flow of this program; those that stay as they are stay."""
    shared = _Shared()
    for op, old, new in zip(list(program.trips), flow.trips, trips, strict=True):
        if len(new) == 1 and new[0] is old:
            continue
        block = op.parent_block()
        assert block is not None
        for trip in new:
            block.insert_op_before(_trip_op(trip, shared), op)
        block.erase_op(op)


def set_schedule(program: ir.ProgramOp, schedule: Sequence[Scheduled]) -> None:
    """Write what the scheduler found for the trips of this program, in their order."""
    shared = _Shared()
    for op, found in zip(program.trips, schedule, strict=True):
        op.properties["start"] = IntegerAttr(found.start, i64)
        op.properties["slots"] = ArrayAttr([shared.text(slot) for slot in found.slots])
        op.properties["streams"] = ArrayAttr([shared.text(f"{direction}{base}") for direction, base in found.streams])


def drop_schedule(program: ir.ProgramOp) -> None:
    """Take back what `set_schedule` wrote."""
    for op in program.trips:
        for name in ("start", "slots", "streams"):
            op.properties.pop(name, None)

"""From the flow dialect to the plain data that scheduling works on; `flow_writer` is the exact inverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, cast

from xdsl.dialects.builtin import (
    ModuleOp,
)
from xdsl.ir import SSAValue

from compiler.dialects import flow as ir
from compiler.dialects.flow_types import stream_of
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import Place, Places
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
)
from isa.chip import Side
from isa.errors import ModelFault
from isa.program import Direction, Immediate


def program_in(module: ModuleOp, needed_by: str) -> ir.ProgramOp:
    """The one flow program of a module. Raises ModelFault."""
    found = [op for op in module.body.block.ops if isinstance(op, ir.ProgramOp)]
    if len(found) != 1:
        raise ModelFault(
            f"{needed_by} needs a module with one flow.program, this one has {len(found)}",
            hint="lower-to-flow makes it of a graph",
        )
    return found[0]


def flow_of(program: ir.ProgramOp) -> Flow:
    """The plain data of a program; places and schedule are read apart."""
    lanes = program.lanes.value.data
    buffers = [_buffer(op, lanes) for op in program.buffers]
    return Flow({b.name: b for b in buffers}, [_trip(op) for op in program.trips])


def _buffer(op: ir.BufferOp, lanes: int) -> Buffer:
    tensor = op.tensor
    buffer = Buffer(
        op.sym_name.data,
        tensor.shape,
        tensor.type,
        op.role.data.value,
        op.memory.data.value,
        lanes,
        op.stripes.value.data,
        tuple(op.segments.get_values()),
        op.digest.data if op.digest else "",
        spare_words=op.spare.value.data if op.spare else 0,
        packing=op.packed(),
    )
    if op.sides:
        groups = product(range(len(buffer.segments)), range(buffer.tiles))
        buffer.sides = {g: cast(Side, letter) for g, letter in zip(groups, op.sides.data, strict=True) if letter != "."}
    return buffer


def _trip(op: ir.TripOp) -> Trip:
    trip = Trip(op.origin.data)
    index: dict[SSAValue, int] = {}
    for node in op.body.block.ops:
        p = cast(dict[str, Any], node.properties)
        result = -1
        for value in node.results:
            result = index[value] = len(trip.values)
            element, count, every, streams = stream_of(value).fields
            trip.values.append(Value(element, streams, count, every))
        trip.nodes.append(_READERS[node.name](p, [index[o] for o in node.operands], result))
    return trip


def _int(p: dict[str, Any], name: str) -> int:
    return p[name].value.data


def _byte(p: dict[str, Any]) -> int:
    return p["byte"].value.data if "byte" in p else ALL_BYTES


def _rows_abreast(p: dict[str, Any]) -> tuple[int, int]:
    return (_int(p, "abreast"), _int(p, "apart")) if "abreast" in p else (1, 1)


def _name(p: dict[str, Any]) -> str:
    return p["buffer"].root_reference.data


def _read_compute(p: dict[str, Any], inputs: list[int], result: int) -> Compute:
    operands: tuple[int | Immediate, ...] = tuple(inputs)
    if "immediates" in p:
        rest = iter(inputs)
        operands = tuple(Immediate(bits) if bits >= 0 else next(rest) for bits in p["immediates"].get_values())
    fields = {name: number.value.data for name, number in p["fields"].data.items()} if "fields" in p else {}
    return Compute(p["unit"].data, p["mnemonic"].data, operands, fields, _int(p, "count"), _int(p, "every"), result)


_READERS: dict[str, Callable[[dict[str, Any], list[int], int], Node]] = {
    "flow.read": lambda p, i, r: Read(
        _name(p), _int(p, "tile"), _int(p, "row"), _int(p, "step"), _int(p, "count"), r, _byte(p),
        *_rows_abreast(p), *((_int(p, "run"), _int(p, "run_step")) if "run" in p else ()),
    ),
    "flow.read_block": lambda p, i, r: ReadBlock(
        _name(p), _int(p, "tile"), _int(p, "row"), _int(p, "count"), _int(p, "rows_per_cycle"), r,
        p["beside"].root_reference.data if "beside" in p else "",
        _int(p, "beside_row") if "beside_row" in p else 0,
    ),
    "flow.gather": lambda p, i, r: Gather(
        _name(p), _int(p, "tile"), _int(p, "byte"), i[0], _int(p, "limit"), _int(p, "count"), _int(p, "every"), r
    ),
    "flow.scatter": lambda p, i, r: Scatter(
        _name(p), _int(p, "segment"), _int(p, "tile"), _int(p, "stripe"), i[1], i[0], _int(p, "limit"), _int(p, "count")
    ),
    "flow.load": lambda p, i, r: Load(
        tuple(p["planes"].get_values()), i[0], p["mode"].data.value, _int(p, "count"), _int(p, "row"), "transposed" in p
    ),
    "flow.swap": lambda p, i, r: Swap(_int(p, "plane"), p["mode"].data.value),
    "flow.feed": lambda p, i, r: Feed(
        _int(p, "plane"), i[0], p["mode"].data.value, _int(p, "depth"), _int(p, "lane"), _int(p, "accumulator"),
        "fresh" in p, _int(p, "count"), r,
    ),
    "flow.compute": _read_compute,
    "flow.write": lambda p, i, r: Write(
        _name(p), _int(p, "tile"), _int(p, "row"), _int(p, "step"), i[0], _int(p, "count"), _int(p, "every"), _byte(p),
        tuple(p["window"].get_values()) if "window" in p else (), *_rows_abreast(p),
    ),
}  # fmt: skip


def place_keys(buffer: Buffer) -> Iterator[tuple[int, int, int, int]]:
    """(segment, stripe, tile, byte) of every place, in the order in which the IR has them."""
    return product(range(len(buffer.segments)), range(buffer.stripes), range(buffer.tiles), range(buffer.bytes))


def places_of(program: ir.ProgramOp, flow: Flow) -> Places:
    """The places of a placed flow. Raises ModelFault for one that is not placed."""
    places: Places = {}
    for op, buffer in zip(program.buffers, flow.buffers.values(), strict=True):
        if op.units is None or op.slices is None or op.bases is None:
            raise ModelFault(f"buffer @{buffer.name} has no place", hint="place-memory gives it one")
        units = [unit.data for unit in op.units.data]
        step = op.word_step.value.data if op.word_step else 1
        found = zip(op.slices.get_values(), op.bases.get_values(), strict=True)
        places[buffer.name] = {
            key: Place(units[number], base, step) for key, (number, base) in zip(place_keys(buffer), found, strict=True)
        }
    return places


def schedule_of(program: ir.ProgramOp) -> list[Scheduled]:
    """The schedule of every trip. Raises ModelFault for a flow that is not scheduled."""
    schedule: list[Scheduled] = []
    for op in program.trips:
        if op.start is None or op.slots is None or op.streams is None:
            raise ModelFault(f"a trip of '{op.origin.data}' has no start", hint="the pass schedule gives it one")
        streams: list[tuple[Direction, int]] = [("e" if s.data[0] == "e" else "w", int(s.data[1:])) for s in op.streams.data]
        schedule.append(Scheduled(op.start.value.data, [s.data for s in op.slots.data], streams))
    return schedule

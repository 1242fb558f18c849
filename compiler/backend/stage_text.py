"""A flow, and a scheduled flow, as text for people: what `lockstep compile --emit flow` and `--emit scheduled` print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields

from compiler.backend.emit import Schedule
from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import PlacedTrip
from compiler.scheduling.trip import ALL_BYTES, Buffer, Flow, Node, Trip, Value
from isa.program import Immediate
from isa.spec import BY_MNEMONIC

VALUE_FIELDS = ("source", "index")
"""Fields of nodes that hold the number of a value."""


def flow_text(flow: Flow) -> str:
    """Buffers, then trips: each node with the values it takes and makes. Nothing has a place or a cycle yet."""
    lines = [_buffer_line(buffer) for buffer in flow.buffers.values()]
    for number, trip in enumerate(flow.trips):
        lines += ["", _trip_line(number, trip.origin), *(f"  {_node_text(node, trip)}" for node in trip.nodes)]
    return "\n".join(lines) + "\n"


def schedule_text(schedule: Schedule) -> str:
    """Buffers with their places, then trips in order of their start, with cycle, slot and streams of every operation."""
    lines: list[str] = []
    for name, buffer in schedule.flow.buffers.items():
        lines.append(_buffer_line(buffer))
        for (segment, stripe, tile, byte), place in sorted(schedule.places[name].items()):
            lines.append(f"  segment {segment} stripe {stripe} tile {tile} byte {byte} at {place.unit} {place.base:#06x}")
    order = sorted(range(len(schedule.trips)), key=lambda i: (schedule.starts[i].start, i))
    for number in order:
        trip, found = schedule.trips[number], schedule.starts[number]
        span = f"cycles {found.start} to {found.start + trip.duration}"
        lines += ["", f"{_trip_line(number, trip.origin)}  {span}", *_step_lines(trip, found)]
    return "\n".join(lines) + "\n"


def _buffer_line(buffer: Buffer) -> str:
    extra = f" stripes {buffer.stripes}" if buffer.stripes > 1 else ""
    extra += f" segments {list(buffer.segments)}" if len(buffer.segments) > 1 else ""
    extra += f" digest {buffer.digest[:16]}" if buffer.digest else ""
    return f'buffer "{buffer.name}" {buffer.role} {buffer.type}{list(buffer.shape)} {buffer.memory}{extra}'


def _trip_line(number: int, origin: str) -> str:
    return f"trip {number}" + (f"  ; {origin}" if origin else "")


def _node_text(node: Node, trip: Trip) -> str:
    result: int = getattr(node, "result", -1)
    made = f"%{result} = " if result >= 0 else ""
    kind = f" : {_value_text(trip.values[result])}" if result >= 0 else ""
    return f"{made}{' '.join(_node_words(node))}{kind}"


def _node_words(node: Node) -> Iterator[str]:
    yield type(node).__name__.lower()
    for item in fields(node):
        value = getattr(node, item.name)
        if item.name == "result" or (item.default is not MISSING and value == item.default):
            continue
        if item.name in VALUE_FIELDS:
            yield f"%{value}"
        elif item.name == "operands":
            yield ", ".join(f"#{v.bits:#x}" if isinstance(v, Immediate) else f"%{v}" for v in value)
        elif item.name == "fields":
            yield from (f"{key} {number}" for key, number in value.items())
        elif item.name in ("buffer", "mnemonic", "unit"):
            yield f'"{value}"' if item.name == "buffer" else str(value)
        elif item.name != "byte" or value != ALL_BYTES:
            yield f"{item.name} {value}"


def _value_text(value: Value) -> str:
    spread = f" every {value.every}" if value.every != 1 else ""
    wide = f" on {value.streams} streams" if value.streams != value.alignment else ""
    return f"{value.count} x {value.type}{wide}{spread}"


def _step_lines(trip: PlacedTrip, found: Scheduled) -> Iterator[str]:
    steps = sorted(zip(trip.steps, found.slots, strict=True), key=lambda pair: pair[0].offset)
    for step, slot in steps:
        ends = [f"#{s.bits:#x}" if isinstance(s, Immediate) else _stream_text(s, found) for s in step.sources]
        rows = [f for f in BY_MNEMONIC[step.mnemonic].fields if step.fields.get(f.name, f.default) != f.default]
        words = [f"{f.name} {f.choices[step.fields[f.name]] if f.choices else step.fields[f.name]}" for f in rows]
        words += [f"rep {step.rep}"] if step.rep != 1 else []
        words += [f"every {step.every}"] if step.every != 1 else []
        words += [f"-> {_stream_text(step.result, found)}"] if step.result else []
        yield " ".join(
            [f"  @{found.start + step.offset:<6} {slot:11} {step.mnemonic}", *[", ".join(ends)] * bool(ends), *words]
        )


def _stream_text(end: tuple[int, int, str], found: Scheduled) -> str:
    wire, offset, kind = end
    direction, base = found.streams[wire]
    return f"{direction}{base + offset}" + (f":{kind}" if kind != "i8" else "")

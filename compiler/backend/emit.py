"""A schedule as an `isa.Program`: operations with their cycles, memory images, symbols, source map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.list_scheduler import Scheduled
from compiler.scheduling.placed import PlacedTrip, Places, Step
from compiler.scheduling.trip import Buffer, Flow, location_of
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.layout import NUMPY_TYPES, addresses, pack
from isa.program import Direction, Image, Immediate, Operation, Piece, Program, Stream, Symbol
from isa.spec import BY_MNEMONIC, ElementType


@dataclass(slots=True)
class Schedule:
    """Everything that emission needs to know of the scheduled flow."""

    flow: Flow
    places: Places
    trips: list[PlacedTrip]
    starts: list[Scheduled]


def emit(schedule: Schedule, weights: WeightStore, chip: Chip) -> Program:
    """The program; `facts` are left to the caller."""
    sources = {trip.origin: _source(trip.origin) for trip in schedule.trips}
    origins = ["", *dict.fromkeys(source for source in sources.values() if source)]
    number = {source: i for i, source in enumerate(origins)}
    operations = [
        operation
        for trip, found in zip(schedule.trips, schedule.starts, strict=True)
        for operation in _operations(trip, found, number[sources[trip.origin]])
    ]
    order = {name: slot.index for name, slot in chip.slots.items()}
    operations.sort(key=lambda op: (op.cycle, order[op.slot]))
    images: list[Image] = []
    symbols: list[Symbol] = []
    for buffer in schedule.flow.buffers.values():
        symbol = _symbol(buffer, schedule.places)
        if buffer.role in ("input", "output", "param", "state"):
            symbols.append(symbol)
        if buffer.role == "state":
            images += _images(buffer, symbol, np.zeros(buffer.shape, NUMPY_TYPES[buffer.type]), chip)
        elif buffer.digest:
            images += _images(buffer, symbol, weights.get(buffer.digest).reshape(buffer.shape), chip)
    return Program(chip, operations, images, symbols, origins)


def _source(origin: str) -> str:
    """An origin without the folders of its file: a program has the same bytes from wherever its source was compiled."""
    place = location_of(origin)
    return PurePath(place.file).name + origin.removeprefix(place.file) if place else origin


def _operations(trip: PlacedTrip, found: Scheduled, origin: int) -> list[Operation]:
    return [
        Operation(
            found.start + step.offset,
            slot,
            step.mnemonic,
            tuple(s if isinstance(s, Immediate) else _stream(s, found) for s in step.sources),
            _stream(step.result, found) if step.result else None,
            _fields(step),
            step.rep,
            step.every,
            origin,
        )
        for step, slot in zip(trip.steps, found.slots, strict=True)
    ]


def _fields(step: Step) -> dict[str, int]:
    """Fields that differ from their defaults, in table order: equal operations have equal fields."""
    rows = BY_MNEMONIC[step.mnemonic].fields
    return {f.name: step.fields[f.name] for f in rows if f.name in step.fields and step.fields[f.name] != f.default}


def _stream(end: tuple[int, int, str], found: Scheduled) -> Stream:
    wire, offset, kind = end
    direction: Direction
    direction, base = found.streams[wire]
    element: ElementType = kind  # pyright: ignore[reportAssignmentType]
    return Stream(direction, base + offset, element)


def buffer_pieces(buffer: Buffer, places: Places) -> tuple[Piece, ...]:
    """A buffer's rows in memory, as symbols tell them."""
    pieces: list[Piece] = []
    for (segment, stripe, tile, byte), place in sorted(places[buffer.name].items()):
        rows = buffer.segment_rows(segment)
        count = -(-(rows - stripe) // buffer.stripes)
        if count > 0:
            row = buffer.segments[segment] + stripe
            pieces.append(Piece(place.unit, place.base, count, row, tile, byte, place.step, buffer.stripes))
    return tuple(pieces)


def _symbol(buffer: Buffer, places: Places) -> Symbol:
    """A buffer as the symbol table and `isa.layout` see it; what the host does not know by name counts as a parameter."""
    role = "param" if buffer.role in ("constant", "temporary") else buffer.role
    shape = buffer.packing.host_shape if buffer.packing else buffer.shape
    return Symbol(buffer.name, role, shape, buffer.type, buffer_pieces(buffer, places), packing=buffer.packing)


def _images(buffer: Buffer, symbol: Symbol, array: NDArray[np.generic], chip: Chip) -> list[Image]:
    """One image for each stretch of neighbouring words of a slice."""
    parts: dict[str, list[tuple[NDArray[np.int64], NDArray[np.uint8]]]] = {}
    for piece, words in pack(array, symbol, chip.lanes):
        parts.setdefault(piece.unit, []).append((addresses(piece), words))
    images: list[Image] = []
    for unit, found in parts.items():
        places, words = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(places, kind="stable")
        borders = np.flatnonzero(np.diff(places[order]) != 1) + 1
        runs = np.split(order, borders)
        for run in runs:
            base = int(places[run[0]])
            name = f"{buffer.name}@{unit}" + (f"+{base:#x}" if len(runs) > 1 else "")
            images.append(Image(name, unit, base, words[run]))
    return images

"""Random well-formed operations and programs of a chip, for property tests. They keep the table, not the rules of time."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from isa.chip import Chip
from isa.form import CYCLE_BITS, MAX_EVERY, MAX_REP, field_ranges, takes
from isa.program import Image, Immediate, Operation, Piece, Program, Stream, Symbol
from isa.spec import BY_MNEMONIC, BYTES, TYPES, Field, Operand


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    """Numbers of a range, its ends often."""
    return st.sampled_from([low, high]) | st.integers(low, high)


_slots_by_row: dict[str, dict[str, list[str]]] = {}
"""Chip digest and mnemonic to the slots that take it: asked for every draw."""


def _rows(chip: Chip) -> dict[str, list[str]]:
    if chip.digest not in _slots_by_row:
        _slots_by_row[chip.digest] = {
            name: [slot.name for slot in chip.slot_list if takes(slot, row, chip)] for name, row in BY_MNEMONIC.items()
        }
    return _slots_by_row[chip.digest]


def slots_of(chip: Chip, mnemonic: str) -> list[str]:
    return _rows(chip)[mnemonic]


def mnemonics_of(chip: Chip) -> list[str]:
    return [name for name, slots in _rows(chip).items() if slots]


def stream(chip: Chip, operand: Operand, span: int) -> st.SearchStrategy[Stream]:
    types = [t for t in operand.types if BYTES[t] * span <= chip.streams]

    def of_type(kind: str) -> st.SearchStrategy[Stream]:
        groups = integers(0, (chip.streams - BYTES[kind] * span) // BYTES[kind])
        return st.builds(lambda d, g: Stream(d, g * BYTES[kind], kind), st.sampled_from("ew"), groups)

    return st.sampled_from(types).flatmap(of_type)


def field_value(chip: Chip, mnemonic: str, field: Field) -> st.SearchStrategy[int]:
    low, high, _ = field_ranges(mnemonic)[field.name]
    if field.name == "streams":
        return st.sampled_from(range(2, chip.streams + 1, 2))
    return integers(low, high)


@st.composite
def operations(draw: st.DrawFn, chip: Chip, mnemonic: str | None = None, origins: int = 1) -> Operation:
    """One well-formed operation, of a row or of any that the chip has."""
    name = mnemonic or draw(st.sampled_from(mnemonics_of(chip)))
    row = BY_MNEMONIC[name]
    fields: dict[str, int] = {}
    for field in row.fields:
        value = draw(field_value(chip, name, field))
        if value != field.default:
            fields[field.name] = value

    def span(operand: Operand) -> int:
        return operand.span if isinstance(operand.span, int) else fields[operand.span]

    immediate_at = draw(st.sampled_from([None, *(i for i, o in enumerate(row.sources) if o.immediate)]))
    sources = tuple(
        Immediate(draw(integers(0, 0xFFFF_FFFF))) if i == immediate_at else draw(stream(chip, operand, span(operand)))
        for i, operand in enumerate(row.sources)
    )
    result = None
    if row.results and not (row.results[0].optional and draw(st.booleans())):
        result = draw(stream(chip, row.results[0], span(row.results[0])))
    return Operation(
        draw(integers(0, 40) | integers(0, (1 << CYCLE_BITS) - 1)),
        draw(st.sampled_from(slots_of(chip, name))),
        name,
        sources,
        result,
        fields,
        draw(integers(1, MAX_REP)),
        draw(integers(1, MAX_EVERY)),
        draw(st.integers(0, origins - 1)),
    )


def ordered(ops: list[Operation], chip: Chip) -> list[Operation]:
    """In program order, one an operation slot and cycle."""
    by_place = {(op.cycle, chip.slots[op.slot].index): op for op in ops}
    return [by_place[place] for place in sorted(by_place)]


NAMES = st.sampled_from(["w1", "layer.0/w", "e4", "rep", "ü", "a b", 'quo"te\\', "x-y", ""])


@st.composite
def images(draw: st.DrawFn, chip: Chip) -> Image:
    unit = draw(st.sampled_from(chip.slices("sram") + chip.slices("rram"))).name
    base = draw(st.integers(0, 20))
    count = draw(st.integers(0, 4))
    octets = draw(st.binary(min_size=count * chip.lanes, max_size=count * chip.lanes))
    return Image(draw(NAMES), unit, base, np.frombuffer(octets, np.uint8).reshape(count, chip.lanes))


@st.composite
def symbols(draw: st.DrawFn, chip: Chip) -> Symbol:
    kind = draw(st.sampled_from(TYPES))
    small = st.integers(0, 9)
    piece = st.builds(
        Piece,
        st.sampled_from([u.name for u in chip.slices("sram")]),
        st.integers(10, 20),
        st.integers(1, 4),
        small,
        small,
        st.integers(0, BYTES[kind] - 1),
        st.integers(-3, 3),
        small,
    )
    return Symbol(
        draw(NAMES),
        draw(st.sampled_from(["input", "output", "param", "state"])),
        tuple(draw(st.lists(small, max_size=3))),
        kind,
        tuple(draw(st.lists(piece, max_size=3))),
        draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    )


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aä\n;"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=3,
)


@st.composite
def programs(draw: st.DrawFn, chip: Chip) -> Program:
    """A program with a few operations, images, symbols, origins and facts."""
    origins = ["", *draw(st.lists(st.sampled_from(["digits.lks:12:5: matmul", 'a "b" ; | @ ü\n', ""]), max_size=2))]
    ops = draw(st.lists(operations(chip, origins=len(origins)), max_size=6))
    return Program(
        chip,
        ordered(ops, chip),
        draw(st.lists(images(chip), max_size=3)),
        draw(st.lists(symbols(chip), max_size=2)),
        origins,
        draw(st.dictionaries(NAMES, JSON_VALUES, max_size=2)),
    )

"""Operations to 128-bit words and back.

The stream of words is a sequence of cycles that have something to do: a header word, then one word an operation in slot
order. Cycles without operations cost nothing. All words are little-endian; unused bits are zero.

- Header: opcode 0 (8 bits), number of operations (16), cycle (48, absolute).
- Operation: opcode (8), slot index (10), rep (16), every (12), sources and results of the row (10 each), the immediate (32)
  in rows that may have one, the fields of the row in table order. `word_parts` gives the exact places.

There is one encoding for an operation: `decode_operations` accepts nothing else, so encode(decode(data)) == data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Literal

from isa.chip import Chip
from isa.errors import ProgramFileFault, ScheduleFault
from isa.form import CYCLE_BITS, operation_problem
from isa.program import Immediate, Operation, Stream
from isa.spec import BY_OPCODE, COMMON, IMMEDIATE_BITS, OPCODE_BITS, OPERAND_BITS, SLOT_BITS, TYPES, WORD_BITS, Instruction

WORD_BYTES = WORD_BITS // 8
HEADER_OPCODE = 0
COUNT_BITS = 16
_IMMEDIATE_OPERAND = 0b11
_TYPE_CODE = {name: code for code, name in enumerate(TYPES)}

PartKind = Literal["opcode", "slot", "common", "source", "result", "immediate", "field"]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of bits of the operation word: `low` is its lowest bit."""

    kind: PartKind
    name: str
    low: int
    bits: int


def word_parts(row: Instruction) -> tuple[Part, ...]:
    """The bits of a row's operation word, lowest first."""
    wanted: list[tuple[PartKind, str, int]] = [("opcode", "opcode", OPCODE_BITS), ("slot", "slot", SLOT_BITS)]
    for field in COMMON:
        wanted.append(("common", field.name, field.bits))
    for operand in row.sources:
        wanted.append(("source", operand.name, OPERAND_BITS))
    for operand in row.results:
        wanted.append(("result", operand.name, OPERAND_BITS))
    if any(operand.immediate for operand in row.sources):
        wanted.append(("immediate", "immediate", IMMEDIATE_BITS))
    for field in row.fields:
        wanted.append(("field", field.name, field.bits))
    parts: list[Part] = []
    low = 0
    for kind, name, bits in wanted:
        parts.append(Part(kind, name, low, bits))
        low += bits
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class _Layout:
    """A row's word, laid out for speed."""

    mnemonic: str
    sources: tuple[int, ...]
    result: int | None
    immediate: int | None
    fields: tuple[tuple[str, int, int, int, int | None], ...]
    """name, low bit, mask, sign bit (0 if unsigned), default"""


_SLOT_AT, _REP_AT, _EVERY_AT = (p.low for p in word_parts(BY_OPCODE[1])[1:4])


@cache
def _layout(opcode: int) -> _Layout:
    row = BY_OPCODE[opcode]
    parts = word_parts(row)
    at = {p.name: p.low for p in parts if p.kind == "field"}
    return _Layout(
        row.mnemonic,
        tuple(p.low for p in parts if p.kind == "source"),
        next((p.low for p in parts if p.kind == "result"), None),
        next((p.low for p in parts if p.kind == "immediate"), None),
        tuple((f.name, at[f.name], (1 << f.bits) - 1, 1 << (f.bits - 1) if f.signed else 0, f.default) for f in row.fields),
    )


def _operand_bits(stream: Stream) -> int:
    return 1 | (stream.direction == "w") << 2 | int(stream.number) << 3 | _TYPE_CODE[stream.type] << 8


def _stream(bits: int) -> Stream:
    return Stream("w" if bits & 4 else "e", bits >> 3 & 31, TYPES[bits >> 8])


def _word(op: Operation, slot: int) -> int:
    """The word of a well-formed operation."""
    opcode = op.row.opcode
    layout = _layout(opcode)
    word = opcode | slot << _SLOT_AT | int(op.rep) << _REP_AT | int(op.every) << _EVERY_AT
    for source, low in zip(op.sources, layout.sources, strict=True):
        if isinstance(source, Immediate):
            word |= _IMMEDIATE_OPERAND << low | int(source.bits) << (layout.immediate or 0)
        else:
            word |= _operand_bits(source) << low
    if op.result is not None and layout.result is not None:
        word |= _operand_bits(op.result) << layout.result
    given = op.fields
    for name, low, mask, _sign, default in layout.fields:
        word |= (int(given.get(name, default or 0)) & mask) << low
    return word


def encode_operations(operations: Iterable[Operation], chip: Chip) -> bytes:
    """The words of operations that are ordered by (cycle, slot index). Origins are not in them.

    A field that is given its default is encoded as if left out. Raises ScheduleFault for an operation that is not
    well-formed or out of order.
    """
    words: list[int] = []
    last_cycle = -1
    slots = chip.slots
    for cycle, group in groupby(operations, key=lambda op: op.cycle):
        header = len(words)
        words.append(0)
        last_slot = -1
        for op in group:
            if problem := operation_problem(op, chip):
                raise ScheduleFault(f"cycle {op.cycle}, {op.slot}: {problem}")
            slot = slots[op.slot].index
            if cycle <= last_cycle or slot <= last_slot:
                raise ScheduleFault(f"cycle {op.cycle}, {op.slot}: operations are not in the order of cycles and slots")
            last_slot = slot
            words.append(_word(op, slot))
        last_cycle = cycle
        words[header] = HEADER_OPCODE | (len(words) - header - 1) << OPCODE_BITS | int(cycle) << (OPCODE_BITS + COUNT_BITS)
    return b"".join([word.to_bytes(WORD_BYTES, "little") for word in words])


def _decode_word(word: int, cycle: int, chip: Chip, origin: int) -> Operation | str:
    """The operation, or what is wrong with the word."""
    opcode = word & 0xFF
    if opcode not in BY_OPCODE:
        return f"no instruction has opcode 0x{opcode:02x}"
    slot = word >> _SLOT_AT & (1 << SLOT_BITS) - 1
    if slot >= len(chip.slot_list):
        return f"chip {chip.name} has no slot number {slot}"
    layout = _layout(opcode)
    sources: list[Stream | Immediate] = []
    for low in layout.sources:
        bits = word >> low & 0x3FF
        if bits & 2:
            sources.append(Immediate(word >> (layout.immediate or 0) & 0xFFFF_FFFF))
        elif bits:
            sources.append(_stream(bits))
    result = None
    if layout.result is not None and word >> layout.result & 0x3FF:
        result = _stream(word >> layout.result & 0x3FF)
    fields: dict[str, int] = {}
    for name, low, mask, sign, default in layout.fields:
        value = word >> low & mask
        if value & sign:
            value -= mask + 1
        if value != default:
            fields[name] = value
    rep, every = word >> _REP_AT & 0xFFFF, word >> _EVERY_AT & 0xFFF
    name = chip.slot_list[slot].name
    op = Operation(cycle, name, layout.mnemonic, tuple(sources), result, fields, rep, every, origin)
    if problem := operation_problem(op, chip):
        return problem
    return op if _word(op, slot) == word else "bits that must be zero are not"


def decode_operations(data: bytes, chip: Chip, origins: Sequence[int] | None = None, file: str = "") -> list[Operation]:
    """The operations of `encode_operations`; `origins` gives one index an operation, 0 where absent.

    Raises ProgramFileFault for anything that `encode_operations` would not have written.
    """
    place = f"{file}: " if file else ""
    if len(data) % WORD_BYTES:
        raise ProgramFileFault(f"{place}operation words: {len(data)} bytes are not whole words of {WORD_BYTES} bytes")
    words = [int.from_bytes(data[i : i + WORD_BYTES], "little") for i in range(0, len(data), WORD_BYTES)]
    operations: list[Operation] = []
    cycle, at = -1, 0
    while at < len(words):
        header, next_cycle = words[at], words[at] >> (OPCODE_BITS + COUNT_BITS)
        count = header >> OPCODE_BITS & (1 << COUNT_BITS) - 1
        if header & 0xFF != HEADER_OPCODE or not cycle < next_cycle < 1 << CYCLE_BITS or not 0 < count < len(words) - at:
            raise ProgramFileFault(f"{place}operation word {at}: not the header of a later cycle")
        cycle, last_slot = next_cycle, -1
        for i in range(at + 1, at + 1 + count):
            slot = words[i] >> _SLOT_AT & (1 << SLOT_BITS) - 1
            number = len(operations)
            if origins is not None and number >= len(origins):
                raise ProgramFileFault(f"{place}operation word {i}: no origin for operation {number}")
            op = _decode_word(words[i], cycle, chip, origins[number] if origins is not None else 0)
            if isinstance(op, str) or slot <= last_slot:
                problem = op if isinstance(op, str) else "slots are not in order"
                raise ProgramFileFault(f"{place}operation word {i}: {problem}")
            last_slot = slot
            operations.append(op)
        at += 1 + count
    return operations

"""One operation of assembly text: `slot mnemonic operands fields -> result !origin`."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence, Set

import numpy as np

from isa.asm_text import Line, Token, integer_of, listed
from isa.chip import Chip, Slot
from isa.form import MAX_EVERY, MAX_REP, field_ranges, operation_problem, stream_problem, takers, takes
from isa.program import Direction, Image, Immediate, Operation, Stream
from isa.spec import BY_MNEMONIC, TYPES, Domain, ElementType, Field, Instruction, Operand

POSITIONAL = "addr"
"""The field that is written without its name, after the operands."""
ADDRESSES = ("addr", "base")
"""Fields that may be written as label+offset."""
_STREAM = re.compile(r"([ew])([0-9]{1,9})(?::([a-z0-9]*))?")
_TYPE_OF: dict[str, ElementType] = {name: name for name in TYPES}
_SIDES: dict[str, Direction] = {"e": "e", "w": "w"}
_COMMON_LIMITS = {"rep": (1, MAX_REP), "every": (1, MAX_EVERY)}

Labels = Mapping[str, Sequence[Image]]


def immediate_text(bits: int, domain: Domain) -> str:
    """An immediate as the normal form has it: the shortest decimal that gives these bits back, else the bits."""
    if domain == "i":
        return f"#{bits - (1 << 32) if bits >> 31 else bits}"
    value = np.uint32(bits).view(np.float32)
    text = str(value)
    if np.isfinite(value) and bits != 0x8000_0000 and immediate_bits(text, domain) == bits:
        return f"#{text}"
    return f"#0x{bits:08x}"


def immediate_bits(text: str, domain: Domain) -> int | None:
    """The 32 bits of an immediate without its '#', or None if the text is not one."""
    whole = integer_of(text)
    if whole is not None and "x" in text.lower():
        return whole if 0 <= whole < 1 << 32 else None
    if domain == "i":
        return whole & 0xFFFF_FFFF if whole is not None and -(1 << 31) <= whole < 1 << 31 else None
    if not re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?", text):
        return None
    try:
        packed = struct.pack("<f", float(text))
    except OverflowError:
        return None
    bits = int.from_bytes(packed, "little")
    return bits if math.isfinite(struct.unpack("<f", packed)[0]) else None


class OperationParser:
    """Parses the operations of a program for a chip and its labels.

    Labels in `at_fault` come from data that was refused; their uses are not blamed.
    """

    def __init__(self, chip: Chip, labels: Labels, at_fault: Set[str], origins: int) -> None:
        self.chip = chip
        self.labels = labels
        self.at_fault = at_fault
        self.origins = origins

    def parse(self, line: Line, cycle: int) -> tuple[Slot, Operation]:
        """One operation, up to '|' or the end of the line. Raises SyntaxFault."""
        slot = self._slot(line)
        place = line.token
        row = self._row(line, slot)
        sources = self._sources(line, row)
        given = self._fields(line, row, slot)
        result = None
        if line.found("->"):
            arrow = line.advance()
            if not row.results:
                line.wrong(f"{row.mnemonic} has no result", arrow)
            result = self._stream(line, row.results[0], row)
        elif row.results and not row.results[0].optional:
            line.fault(f"a field of {row.mnemonic} or '->' and its result")
        origin = 0
        if line.found("!"):
            line.advance()
            origin = line.integer("the number of an origin", 0, self.origins - 1)
        if line.token.kind != "end" and not line.found("|"):
            line.fault("'|', '!' and an origin, or the end of the line" if result or origin else self._field_names(row))
        rep, every = given.pop("rep", 1), given.pop("every", 1)
        ordered = {f.name: given[f.name] for f in row.fields if given.get(f.name, f.default) != f.default}
        op = Operation(cycle, slot.name, row.mnemonic, sources, result, ordered, rep, every, origin)
        if problem := operation_problem(op, self.chip):
            line.wrong(problem, place)
        return slot, op

    def _slot(self, line: Line) -> Slot:
        token = line.word("a slot")
        slot = self.chip.slots.get(token.text)
        if slot is not None:
            return slot
        unit = token.text.rpartition(".")[0]
        near = [name for name in self.chip.slots if name.startswith((unit + ".", token.text + "."))] or list(self.chip.slots)
        return line.wrong(f"chip {self.chip.name} has no slot {token}", token, f"slots are {listed(near)}")

    def _row(self, line: Line, slot: Slot) -> Instruction:
        token = line.word(f"an instruction of {slot.name} ({listed(takers(slot, self.chip))})")
        row = BY_MNEMONIC.get(token.text)
        if row is None:
            line.wrong(f"there is no instruction {token}", token, f"{slot.name} takes {listed(takers(slot, self.chip), 60)}")
        if not takes(slot, row, self.chip):
            what = listed(takers(slot, self.chip), 60)
            line.wrong(f"{row.mnemonic} is not allowed in {slot.name} of chip {self.chip.name}", token, f"it takes {what}")
        return row

    def _sources(self, line: Line, row: Instruction) -> tuple[Stream | Immediate, ...]:
        sources: list[Stream | Immediate] = []
        for i, operand in enumerate(row.sources):
            if i:
                if not line.found(","):
                    line.fault(f"',' and operand {operand.name} of {row.mnemonic}")
                line.advance()
            if line.token.kind == "immediate":
                if not operand.immediate or any(isinstance(s, Immediate) for s in sources):
                    why = ": an operation has at most one immediate" if operand.immediate else ""
                    line.fault(f"a stream for operand {operand.name} of {row.mnemonic}{why}")
                sources.append(self._immediate(line, row))
            else:
                sources.append(self._stream(line, operand, row))
        return tuple(sources)

    def _immediate(self, line: Line, row: Instruction) -> Immediate:
        bits = immediate_bits(line.token.text[1:], row.domain)
        if bits is None:
            kind = "an int32" if row.domain == "i" else "a finite float32"
            line.fault(f"# and {kind} in decimal, or # and 32 bits as 0x…")
        line.advance()
        return Immediate(bits)

    def _stream(self, line: Line, operand: Operand, row: Instruction) -> Stream:
        """A stream group; where the span hangs on a field, only its first group is judged here."""
        token = line.token
        match = _STREAM.fullmatch(token.text) if token.kind == "word" else None
        if match is None:
            example = "e4" if "i8" in operand.types else f"e4:{operand.types[0]}"
            immediate = " or an immediate such as #1" if operand.immediate else ""
            line.fault(f"operand {operand.name} of {row.mnemonic}, a stream such as {example}{immediate}")
        kind = "i8" if match[3] is None else match[3]
        if kind not in _TYPE_OF:
            line.fault(f"a type ({listed(TYPES)}) after ':'")
        stream = Stream(_SIDES[match[1]], int(match[2]), _TYPE_OF[kind])
        span = operand.span if isinstance(operand.span, int) else 1
        if problem := stream_problem(stream, operand, span, self.chip):
            line.wrong(problem, token)
        line.advance()
        return stream

    def _field_names(self, row: Instruction) -> str:
        return (
            f"a field of {row.mnemonic} ({listed([*(f.name for f in row.fields), 'rep', 'every'])}), '|' or the end of the line"
        )

    def _fields(self, line: Line, row: Instruction, slot: Slot) -> dict[str, int]:
        given: dict[str, int] = {}
        by_name = {f.name: f for f in row.fields}
        if POSITIONAL in by_name and not line.found(POSITIONAL):
            if row.sources:
                if not line.found(","):
                    line.fault(f"',' and the address of {row.mnemonic}")
                line.advance()
            given[POSITIONAL] = self._value(line, by_name[POSITIONAL], row, slot)
        while line.token.kind == "word":
            token = line.token
            if token.text not in by_name and token.text not in _COMMON_LIMITS:
                line.fault(self._field_names(row))
            if token.text in given:
                line.wrong(f"{token.text} is given twice", token)
            line.advance()
            if token.text in by_name:
                given[token.text] = self._value(line, by_name[token.text], row, slot)
            else:
                given[token.text] = line.integer(f"a value of {token.text}", *_COMMON_LIMITS[token.text])
        for field in row.fields:
            if field.default is None and field.name not in given:
                line.fault(f"{field.name} of {row.mnemonic} ({field.doc})")
        return given

    def _value(self, line: Line, field: Field, row: Instruction, slot: Slot) -> int:
        low, high, _ = field_ranges(row.mnemonic)[field.name]
        if field.choices:
            if not line.found(*field.choices):
                line.fault(f"{field.name}: {listed(field.choices)}")
            return field.choices.index(line.advance().text)
        if field.name in ADDRESSES and line.token.kind in ("word", "string"):
            return self._label(line, slot)
        what = "an address or a label" if field.name in ADDRESSES else "a number"
        return line.integer(f"{what} for {field.name} of {row.mnemonic}", low, high)

    def _label(self, line: Line, slot: Slot) -> int:
        token: Token = line.token
        name = line.name("a label")
        images = self.labels.get(name, ())
        here = [image for image in images if image.unit == slot.unit.name]
        if not here and name not in self.at_fault:
            where = f"{name} is in {listed(i.unit for i in images)}" if images else "labels come from .data"
            line.wrong(f"no label {token} in {slot.unit.name}", token, where)
        if len(here) > 1:
            line.wrong(f"label {token} stands for {len(here)} images in {slot.unit.name}", token, "write the address")
        offset = 0
        if line.found("+"):
            line.advance()
            place = line.token
            offset = line.integer("the offset of a word", 0)
            if here and offset >= len(here[0].data):
                line.wrong(f"offset {offset} is outside the {len(here[0].data)} words of {name}", place)
        return here[0].base + offset if here else 0

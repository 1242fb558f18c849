"""The form of operations and programs: what encoder, assembler and program file insist on before any rule of time applies.

A well-formed operation has a slot that takes it, the operands and fields of its row, all within the widths of the table,
and aligned stream groups inside the chip. Whether it also keeps the rules of the chip is the checker's question.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from isa.chip import Chip, Slot
from isa.program import Image, Immediate, Operation, Program, Stream, Symbol
from isa.spec import BY_MNEMONIC, BYTES, SLOT_BITS, TYPES, Field, Instruction, Operand
from isa.timing import weight_type

CYCLE_BITS = 48
MAX_REP = 0xFFFF
MAX_EVERY = 0xFFF
AT_LEAST_ONE = frozenset({"group", "streams", "count", "limit", "depth", "lanes"})
"""Fields that count something of which there must be one."""


def takes(slot: Slot, row: Instruction, chip: Chip) -> bool:
    """Whether the row may stand in the slot on this chip."""
    return slot.port in row.ports and (slot.port != "sxm" or row.mnemonic in chip.sxm.instructions)


def takers(slot: Slot, chip: Chip) -> tuple[str, ...]:
    """Mnemonics that may stand in the slot, in table order."""
    return tuple(name for name, row in BY_MNEMONIC.items() if takes(slot, row, chip))


def least(field: Field) -> int:
    """Smallest legal value of a field."""
    return 1 if field.name in AT_LEAST_ONE else field.low


@cache
def field_ranges(mnemonic: str) -> dict[str, tuple[int, int, int | None]]:
    """Smallest value, largest value and default of every field of a row, in table order."""
    return {f.name: (least(f), f.high, f.default) for f in BY_MNEMONIC[mnemonic].fields}


def span_of(operand: Operand, op: Operation) -> int:
    """Consecutive groups that the operand takes in this operation."""
    return operand.span if isinstance(operand.span, int) else op.get(operand.span)


def stream_problem(stream: Stream, operand: Operand, span: int, chip: Chip) -> str | None:
    """What keeps a stream group from being this operand, or None."""
    direction, number, kind = stream
    if direction not in ("e", "w"):
        return f"operand {operand.name}: direction is e or w, not {direction!r}"
    if kind not in operand.types:
        return f"operand {operand.name} is {' or '.join(operand.types)}, found {stream} ({kind})"
    width = BYTES[kind]
    if number % width:
        return f"operand {operand.name}: {stream} is not aligned: {kind} takes {width} streams from a multiple of {width}"
    if not 0 <= number <= chip.streams - width * span:
        last = f" to {direction}{number + width * span - 1}" if width * span > 1 else ""
        return f"operand {operand.name}: {stream}{last} is outside {direction}0 to {direction}{chip.streams - 1} of the chip"
    return None


def _operand_problem(op: Operation, row: Instruction, chip: Chip) -> str | None:
    if len(op.sources) != len(row.sources):
        return f"{row.mnemonic} has {len(row.sources)} source operands, found {len(op.sources)}"
    immediates = 0
    for operand, source in zip(row.sources, op.sources, strict=True):
        if isinstance(source, Immediate):
            immediates += 1
            if not operand.immediate or immediates > 1:
                return f"operand {operand.name} of {row.mnemonic} is a stream, found an immediate" + (
                    ": an operation has at most one" if operand.immediate else ""
                )
            if not 0 <= source.bits < 1 << 32:
                return f"the immediate {source.bits} is not a 32-bit pattern"
        elif problem := stream_problem(source, operand, span_of(operand, op), chip):
            return problem
    if op.result is None:
        return f"{row.mnemonic} needs a result" if row.results and not row.results[0].optional else None
    if not row.results:
        return f"{row.mnemonic} has no result, found {op.result}"
    return stream_problem(op.result, row.results[0], span_of(row.results[0], op), chip)


def _field_problem(op: Operation, row: Instruction) -> str | None:
    ranges = field_ranges(row.mnemonic)
    for name, (low, high, default) in ranges.items():
        value = op.fields.get(name, default)
        if value is None:
            return f"{row.mnemonic} needs {name}"
        if not low <= value <= high:
            return f"{name} of {row.mnemonic} is {low} to {high}, found {value}"
    for name in op.fields:
        if name not in ranges:
            return f"{row.mnemonic} has no field {name}; it has {', '.join(ranges) or 'none'}"
    if row.mnemonic == "load" and op.fields["streams"] % BYTES[weight_type(op)]:
        return f"streams of a load of {weight_type(op)} weights is a multiple of {BYTES[weight_type(op)]}"
    return None


def operation_problem(op: Operation, chip: Chip) -> str | None:
    """Why an operation is not well-formed for the chip, or None."""
    row = BY_MNEMONIC.get(op.mnemonic)
    slot = chip.slots.get(op.slot)
    if row is None:
        return f"no instruction '{op.mnemonic}'"
    if slot is None or slot.index >= 1 << SLOT_BITS:
        return f"no slot '{op.slot}' on chip {chip.name}"
    if not takes(slot, row, chip):
        return f"{row.mnemonic} is not allowed in {slot.name}, which takes {', '.join(takers(slot, chip)) or 'nothing'}"
    if not 0 <= op.cycle < 1 << CYCLE_BITS:
        return f"cycle is 0 to {(1 << CYCLE_BITS) - 1}, found {op.cycle}"
    if not 1 <= op.rep <= MAX_REP:
        return f"rep is 1 to {MAX_REP}, found {op.rep}"
    if not 1 <= op.every <= MAX_EVERY:
        return f"every is 1 to {MAX_EVERY}, found {op.every}"
    return _field_problem(op, row) or _operand_problem(op, row, chip)


def image_problem(image: Image, chip: Chip) -> str | None:
    """Why an image is not words of a memory slice of the chip, or None."""
    unit = chip.units.get(image.unit)
    if unit is None or unit.kind not in ("sram", "rram"):
        return f"image {image.name}: no memory slice '{image.unit}' on chip {chip.name}"
    if image.data.dtype.name != "uint8" or image.data.ndim != 2 or image.data.shape[1] != chip.lanes:
        shape = f"{image.data.dtype} {list(image.data.shape)}"
        return f"image {image.name}: data is uint8 [words, {chip.lanes}], found {shape}"
    if image.base < 0 or image.base + len(image.data) > chip.words(image.unit):
        last = image.base + len(image.data) - 1
        return f"image {image.name}: words {image.base} to {last} are not in the {chip.words(image.unit)} words of {image.unit}"
    return None


def symbol_problem(symbol: Symbol, chip: Chip) -> str | None:
    """Why a symbol does not lie in memory slices of the chip, or None."""
    if symbol.type not in TYPES:
        return f"symbol {symbol.name}: no type '{symbol.type}'"
    if any(extent < 0 for extent in symbol.shape):
        return f"symbol {symbol.name}: shape {list(symbol.shape)} has a negative extent"
    if symbol.packing and (problem := symbol.packing.problem(symbol.shape, chip.lanes)):
        return f"symbol {symbol.name}: {problem}"
    for piece in symbol.pieces:
        unit = chip.units.get(piece.unit)
        if unit is None or unit.kind not in ("sram", "rram"):
            return f"symbol {symbol.name}: no memory slice '{piece.unit}' on chip {chip.name}"
        ends = (piece.base, piece.base + (piece.count - 1) * piece.step)
        if piece.count < 1 or min(ends) < 0 or max(ends) >= chip.words(piece.unit):
            return f"symbol {symbol.name}: a piece of {piece.count} words from {piece.base} is not in the words of {piece.unit}"
        if piece.byte not in range(symbol.byte_columns) or min(piece.row, piece.tile) < 0:
            return f"symbol {symbol.name}: a piece has row {piece.row}, tile {piece.tile}, byte {piece.byte}"
    return None


def facts_problem(facts: dict[str, Any]) -> str | None:
    """Why facts would not come back from JSON as they are, or None."""
    for name, value in facts.items():
        try:
            same = json.loads(json.dumps({name: value}, allow_nan=False)) == {name: value}
        except (TypeError, ValueError, RecursionError):
            same = False
        if not same:
            return f"fact {name} is not a JSON value: {value!r}"
    return None


def program_problem(program: Program) -> str | None:
    """Why images, symbols, origins or facts are not well-formed, or None. Operations are judged by the encoder."""
    if program.origins[:1] != [""]:
        return "origin 0 is the empty text, for operations from nowhere"
    for op in program.operations:
        if not 0 <= op.origin < len(program.origins):
            return f"cycle {op.cycle}, {op.slot}: there is no origin {op.origin}"
    for image in program.images:
        if problem := image_problem(image, program.chip):
            return problem
    for symbol in program.symbols:
        if problem := symbol_problem(symbol, program.chip):
            return problem
    return facts_problem(program.facts)

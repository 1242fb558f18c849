"""Programs to assembly text in normal form: assemble(disassemble(p)) is p, disassemble(assemble(t)) is t in normal form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

from isa.asm_data import word_text, words_digest
from isa.asm_operations import ADDRESSES, POSITIONAL, immediate_text
from isa.asm_text import quoted
from isa.atomic_file import write_whole
from isa.chip import Chip, load_chip, preset_names
from isa.errors import ScheduleFault
from isa.form import operation_problem, program_problem
from isa.program import Image, Operation, Piece, Program, Stream, Symbol
from isa.spec import Field

INLINE_BYTES = 4096
"""Largest image that `write_assembly` writes into the text itself."""
_CYCLE_WIDTH = 7


def _chip_text(chip: Chip) -> str:
    if chip.name in preset_names() and load_chip(chip.name) == chip:
        return chip.name
    return json.dumps(chip.model_dump(mode="json"), sort_keys=True)


def _piece_text(piece: Piece) -> str:
    text = (
        f"  .piece {piece.unit} base 0x{piece.base:04x} count {piece.count} row {piece.row} tile {piece.tile} byte {piece.byte}"
    )
    text += f" step {piece.step}" if piece.step != 1 else ""
    return text + (f" row_step {piece.row_step}" if piece.row_step != 1 else "")


def _symbol_lines(symbol: Symbol) -> list[str]:
    shape = ", ".join(str(extent) for extent in symbol.shape)
    scale = "" if symbol.scale is None else f" scale {float(symbol.scale)!r}"
    packed = f" packed {list(symbol.packing.numbers)}" if symbol.packing else ""
    return [
        f".symbol {quoted(symbol.name)} {symbol.role} [{shape}] {symbol.type}{scale}{packed}",
        *map(_piece_text, symbol.pieces),
    ]


def _image_lines(image: Image, key: str, side_file: str | None) -> list[str]:
    head = f".data {quoted(image.name)} {image.unit} base 0x{image.base:04x} words {len(image.data)}"
    if side_file is not None:
        return [f'{head} file {json.dumps(side_file)} key "{key}" sha256 "{words_digest(image.data)}"']
    return [head, *(f"  {word_text(word)}" for word in image.data)]


class _OperationWriter:
    """Writes operations with the labels of a program."""

    def __init__(self, program: Program) -> None:
        self.chip = program.chip
        self.labels: dict[str, list[Image]] = {}
        seen: set[tuple[str, str]] = set()
        twice: set[tuple[str, str]] = set()
        for image in program.images:
            (twice if (image.unit, image.name) in seen else seen).add((image.unit, image.name))
        for image in program.images:
            if (image.unit, image.name) not in twice:
                self.labels.setdefault(image.unit, []).append(image)

    def _address(self, value: int, unit: str) -> str:
        for image in self.labels.get(unit, ()):
            if 0 <= value - image.base < len(image.data):
                return f"{quoted(image.name)}+{value - image.base}"
        return f"0x{value:04x}"

    def _value(self, field: Field, value: int, unit: str) -> str:
        if field.choices:
            return field.choices[value]
        if field.name in ADDRESSES:
            return self._address(value, unit)
        return f"0x{value:08x}" if field.name == "mask" else str(value)

    def text(self, op: Operation) -> str:
        """`mnemonic operands fields -> result !origin` of a well-formed operation."""
        if problem := operation_problem(op, self.chip):
            raise ScheduleFault(f"cycle {op.cycle}, {op.slot}: {problem}")
        unit = self.chip.slots[op.slot].unit.name
        row = op.row
        places = [str(s) if isinstance(s, Stream) else immediate_text(s.bits, row.domain) for s in op.sources]
        named: list[str] = []
        for field in row.fields:
            value = op.fields.get(field.name, field.default)
            if value is None or value == field.default:
                continue
            if field.name == POSITIONAL:
                places.append(self._value(field, value, unit))
            else:
                named.append(f"{field.name} {self._value(field, value, unit)}")
        named += [f"rep {op.rep}"] if op.rep != 1 else []
        named += [f"every {op.every}"] if op.every != 1 else []
        parts = [row.mnemonic, ", ".join(places), *named, f"-> {op.result}" if op.result else ""]
        parts.append(f"!{op.origin}" if op.origin else "")
        return " ".join(part for part in parts if part)


def _operation_lines(program: Program) -> list[str]:
    writer = _OperationWriter(program)
    width = max((len(name) for name in program.chip.slots), default=0)
    lines: list[str] = []
    cycle = -1
    for op in program.operations:
        lead = f"@{op.cycle}" if op.cycle != cycle else "     |"
        cycle = op.cycle
        lines.append(f"{lead.ljust(_CYCLE_WIDTH - 1)} {op.slot.ljust(width)} {writer.text(op)}")
    return lines


def _text(program: Program, side_file: str | None) -> tuple[str, dict[str, NDArray[Any]]]:
    """The text, and the images that belong in the side file."""
    if problem := program_problem(program):
        raise ScheduleFault(problem)
    sections: list[list[str]] = [[f".chip {_chip_text(program.chip)}"]]
    facts = sorted(program.facts.items())
    sections.append([f".fact {quoted(k)} {json.dumps(v, sort_keys=True, allow_nan=False)}" for k, v in facts])
    sections.append([f".origin {i} {json.dumps(text)}" for i, text in enumerate(program.origins) if i])
    sections.append([line for symbol in program.symbols for line in _symbol_lines(symbol)])
    aside: dict[str, NDArray[Any]] = {}
    data: list[str] = []
    for i, image in enumerate(program.images):
        large = side_file is not None and image.data.nbytes > INLINE_BYTES
        if large:
            aside[str(i)] = np.ascontiguousarray(image.data)
        data += _image_lines(image, str(i), side_file if large else None)
    sections += [data, _operation_lines(program)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n", aside


def disassemble(program: Program) -> str:
    """The program as text that stands alone: every image is in it. Raises ScheduleFault if it is not well-formed."""
    return _text(program, None)[0]


def write_assembly(program: Program, path: str | Path) -> tuple[Path, ...]:
    """Write the text to a file, and images above INLINE_BYTES to `NAME.images` beside it. Returns the files written.

    Raises DataFault if they cannot be written, ScheduleFault if the program is not well-formed.
    """
    target = Path(path)
    side = target.with_name(f"{target.name}.images")
    text, aside = _text(program, side.name)
    if aside:
        write_whole(side, save_tensors(aside))
    write_whole(target, text.encode())
    return (target, side) if aside else (target,)

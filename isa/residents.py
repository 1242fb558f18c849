"""The rows that a program keeps in RRAM, and who lives in a row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.layout import addresses
from isa.program import Program


@dataclass(frozen=True, slots=True)
class ResidentRows:
    """Rows of one RRAM slice that a program needs, by address."""

    unit: str
    addresses: NDArray[np.int64]
    words: NDArray[np.uint8]
    """uint8 [rows, lanes]"""


def resident_rows(program: Program) -> list[ResidentRows]:
    """What must be in the RRAM of a chip before a program runs: its images, and zeros for the rest of its parameters."""
    chip = program.chip
    found: list[ResidentRows] = []
    for unit in chip.slices("rram"):
        there = np.zeros(chip.words(unit.name), np.bool_)
        images = [image for image in program.images if image.unit == unit.name]
        for image in images:
            there[image.base : image.base + len(image.data)] = True
        for symbol in program.symbols:
            for piece in symbol.pieces:
                if piece.unit == unit.name:
                    there[addresses(piece)] = True
        where = np.flatnonzero(there)
        if not len(where):
            continue
        words = np.zeros((len(where), chip.lanes), np.uint8)
        for image in images:
            first = int(np.searchsorted(where, image.base))
            words[first : first + len(image.data)] = image.data
        found.append(ResidentRows(unit.name, where, words))
    return found


def spans(rows: list[ResidentRows]) -> tuple[tuple[str, int, int], ...]:
    """Neighbouring rows as (unit, first address, end)."""
    found: list[tuple[str, int, int]] = []
    for part in rows:
        cut = np.flatnonzero(np.diff(part.addresses) != 1) + 1
        for run in np.split(part.addresses, cut):
            found.append((part.unit, int(run[0]), int(run[-1]) + 1))
    return tuple(found)


def rows_digest(chip: Chip, rows: list[ResidentRows]) -> str:
    """sha256 of rows, their places and their chip: equal for programs that need the same of a device."""
    digest = hashlib.sha256(chip.digest.encode())
    for part in rows:
        digest.update(f"{part.unit} {len(part.addresses)} ".encode())
        digest.update(part.addresses.astype("<i8").tobytes())
        digest.update(part.words.tobytes())
    return digest.hexdigest()


def tenant(program: Program, unit: str, address: int) -> str:
    """Whose word of RRAM this is, in words for people: the tensor, else the image, that has it."""
    for symbol in program.symbols:
        if any(piece.unit == unit and address in addresses(piece) for piece in symbol.pieces):
            return f"{symbol.role} '{symbol.name}'"
    for image in program.images:
        if image.unit == unit and image.base <= address < image.base + len(image.data):
            return f"image '{image.name}'"
    return "no tensor of this program"

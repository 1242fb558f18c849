"""Memory words of a whole program as arrays: word numbers, what is there from the start, and every plain access."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.chip import Chip
from isa.dispatches import Dispatches
from isa.layout import addresses
from isa.program import Program

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Accesses:
    """One row a dispatch of a memory operation."""

    operation: Indices
    cycle: Indices
    unit: Indices
    """Index into the list of `memories`."""
    address: Indices
    """-1 where only the run knows it (gather, scatter)."""
    write: NDArray[np.bool_]


def memories(chip: Chip) -> list[str]:
    """Names of the memory slices, SRAM first."""
    return [unit.name for kind in ("sram", "rram") for unit in chip.slices(kind)]


def first_words(chip: Chip) -> Indices:
    """Number of each slice's word 0 when all words of all memories are numbered in a row; one more entry for the end."""
    return np.cumsum([0] + [chip.words(name) for name in memories(chip)])


def initial_words(program: Program) -> NDArray[np.bool_]:
    """For every word of the chip: is it there before the first cycle (image, input, parameter or state)?"""
    names, start = memories(program.chip), first_words(program.chip)
    there = np.zeros(int(start[-1]), np.bool_)
    for image in program.images:
        base = int(start[names.index(image.unit)]) + image.base
        there[base : base + len(image.data)] = True
    for symbol in program.symbols:
        if symbol.role != "output":
            for piece in symbol.pieces:
                there[int(start[names.index(piece.unit)]) + addresses(piece)] = True
    return there


def collect_accesses(program: Program, dispatches: Dispatches) -> Accesses:
    """Every dispatch of a memory operation of a program whose operations are well formed."""
    operations = dispatches.where("read", "write", "gather", "scatter")
    numbers = {name: i for i, name in enumerate(memories(program.chip))}
    chosen = [program.operations[int(i)] for i in operations]
    slots = program.chip.slots
    unit = np.array([numbers[slots[op.slot].unit.name] for op in chosen], np.int64)
    plain = np.array([op.mnemonic in ("read", "write") for op in chosen], np.bool_)
    address = np.array([op.get("addr") if p else -1 for op, p in zip(chosen, plain, strict=True)], np.int64)
    step = np.array([op.get("step") if p else 0 for op, p in zip(chosen, plain, strict=True)], np.int64)
    write = np.array([op.mnemonic in ("write", "scatter") for op in chosen], np.bool_)
    row, element, cycle = dispatches.expand(operations)
    return Accesses(operations[row], cycle, unit[row], address[row] + element * step[row], write[row])

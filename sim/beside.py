"""Two programs on one device: whether each leaves alone what the other keeps in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.layout import addresses
from isa.program import Program, Symbol
from sim.memory import Memory

Flags = NDArray[np.bool_]


def clashes(memory: Memory, first: Program, second: Program) -> list[str]:
    """What is wrong with a second program in a memory that holds the first; empty if nothing is.

    Words that both keep must be words of parameters and states with the same name and place, parameters with the same bytes.
    """
    found = [*_tensors(first, second), *_images(memory, first, second)]
    found += _overwritten(first, second, "first") + _overwritten(second, first, "second")
    return found


def _tensors(first: Program, second: Program) -> list[str]:
    known = {s.name: s for s in first.symbols if s.role == "state"}
    return [
        f"the state '{s.name}' lies elsewhere, or is another tensor, in the second program"
        for s in second.symbols
        if s.role == "state" and s.name in known and _layout(s) != _layout(known[s.name])
    ]


def _layout(symbol: Symbol) -> tuple[object, ...]:
    return symbol.shape, symbol.type, symbol.pieces


def _images(memory: Memory, first: Program, second: Program) -> list[str]:
    """Images of the second program over words of the first that hold something else. States are the first's to keep."""
    states = _words(first, "state")
    found: list[str] = []
    for image in second.images:
        place = slice(image.base, image.base + len(image.data))
        both = memory.kept(image.unit)[place].copy()
        if image.unit in states:
            both &= ~states[image.unit][place]
        if (memory.unit_words(image.unit)[place][both] != image.data[both]).any():
            found.append(f"'{image.name}' of the second program is not what the first has in those words")
    return found


def _words(program: Program, *roles: str) -> dict[str, Flags]:
    found: dict[str, Flags] = {}
    for symbol in program.symbols:
        if symbol.role in roles:
            for piece in symbol.pieces:
                words = found.setdefault(piece.unit, np.zeros(program.chip.words(piece.unit), np.bool_))
                words[addresses(piece)] = True
    return found


def _overwritten(writer: Program, keeper: Program, which: str) -> list[str]:
    """Writes of one program into words that the other keeps, other than states of both."""
    kept = _words(keeper, "param", "state")
    for image in keeper.images:
        words = kept.setdefault(image.unit, np.zeros(keeper.chip.words(image.unit), np.bool_))
        words[image.base : image.base + len(image.data)] = True
    for unit, shared in _words(writer, "state").items():
        if unit in kept:
            kept[unit] &= ~shared
    written: dict[str, Flags] = {}
    for op in writer.operations:
        if op.mnemonic in ("write", "scatter"):
            unit = writer.chip.slots[op.slot].unit.name
            words = written.setdefault(unit, np.zeros(writer.chip.words(unit), np.bool_))
            if op.mnemonic == "scatter":
                words[op.get("base") : op.get("base") + op.get("limit")] = True
            else:
                words[op.get("addr") + op.get("step") * np.arange(op.rep)] = True
    for unit, inputs in _words(writer, "input").items():
        written[unit] = written[unit] | inputs if unit in written else inputs
    return [
        f"the {which} program writes words of {unit} that the other keeps"
        for unit, words in written.items()
        if unit in kept and (words & kept[unit]).any()
    ]

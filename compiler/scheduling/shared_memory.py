"""Two programs on one device: what one of them keeps in memory, and where a second one finds what both have.

Parameters and states of the same name lie where the first program has them. Everything else of the second program keeps
away from words that must keep their value between runs: its constants from all words that the first program writes, its
temporaries from the constants, parameters and states of the first.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from compiler.scheduling.placed import Place
from compiler.scheduling.trip import Buffer
from isa.errors import ModelFault
from isa.program import Piece, Program, Symbol

Key = tuple[int, int, int, int]


@dataclass(slots=True)
class Residents:
    """What a program leaves in the memory of a device. `kept` are (first word, word after the last) by slice; below word
    `touched` of a slice it may write."""

    tensors: dict[str, Symbol] = field(default_factory=dict[str, Symbol])
    kept: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    touched: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def residents_of(program: Program) -> Residents:
    """The words that keep their value from run to run, and those that a run may change."""
    found = Residents({s.name: s for s in program.symbols if s.role in ("param", "state")})
    for image in program.images:
        found.kept[image.unit].append((image.base, image.base + len(image.data)))
    for symbol in program.symbols:
        for piece in symbol.pieces:
            end = piece.base + (piece.count - 1) * piece.step + 1
            if symbol.role in ("param", "state"):
                found.kept[piece.unit].append((piece.base, end))
            found.touched[piece.unit] = max(found.touched[piece.unit], end)
    for op in program.operations:
        if op.mnemonic not in ("write", "scatter"):
            continue
        unit = program.chip.slots[op.slot].unit.name
        if op.mnemonic == "scatter":
            end = op.get("base") + op.get("limit")
        else:
            end = max(op.get("addr"), op.get("addr") + (op.rep - 1) * op.get("step")) + 1
        found.touched[unit] = max(found.touched[unit], end)
    for unit, ranges in found.kept.items():
        ranges.sort()
        found.touched[unit] = max(found.touched[unit], ranges[-1][1])
    return found


def shared_places(buffer: Buffer, residents: Residents | None) -> dict[Key, Place] | None:
    """The places of a parameter or state that the other program has too, or None where it has none that lies the same way.

    Raises ModelFault for a state of the same name that is another tensor or is laid out otherwise: it could not be shared.
    """
    symbol = residents.tensors.get(buffer.name) if residents else None
    if symbol is None or buffer.role not in ("param", "state"):
        return None
    same = (symbol.role, symbol.type, symbol.shape) == (buffer.role, buffer.type, buffer.shape)
    places = places_of_pieces(buffer, symbol.pieces) if same else None
    if places is None and buffer.role == "state":
        raise ModelFault(
            f"the state '{buffer.name}' cannot be shared: this program has {buffer.type}{list(buffer.shape)}, the other "
            f"{symbol.type}{list(symbol.shape)}, and both must lay it out alike",
            hint="give states that are not shared names of their own",
        )
    return places


def places_of_pieces(buffer: Buffer, known: tuple[Piece, ...]) -> dict[Key, Place] | None:
    """The places of a buffer in these pieces of an equal tensor, or None where that is laid out otherwise."""
    pieces = {(piece.row, piece.tile, piece.byte): piece for piece in known}
    found: dict[Key, Place] = {}
    for segment, first in enumerate(buffer.segments):
        rows = buffer.segment_rows(segment)
        for stripe in range(buffer.stripes):
            count = -(-(rows - stripe) // buffer.stripes)
            for tile in range(buffer.tiles):
                for byte in range(buffer.bytes):
                    piece = pieces.pop((first + stripe, tile, byte), None) if count > 0 else None
                    if piece is None or not _alike(piece, count, buffer.stripes):
                        return None
                    found[segment, stripe, tile, byte] = Place(piece.unit, piece.base, piece.step)
    return None if pieces else found


def _alike(piece: Piece, count: int, stripes: int) -> bool:
    return piece.count == count and (count == 1 or piece.row_step == stripes)

"""Rule 8 for what is in memory before the first cycle: images and symbols lie inside their slices, images apart, and only
parameters in RRAM."""

from __future__ import annotations

from isa.chip import Chip
from isa.form import image_problem, symbol_problem
from isa.program import Image, Program, Symbol
from isa.violations import Violation


def check_images(program: Program) -> list[Violation]:
    """Every fault of images and symbols; programs without any can be expanded word by word."""
    found: list[Violation] = []
    sound: list[Image] = []
    for image in program.images:
        problem = image_problem(image, program.chip)
        if problem:
            found.append(Violation("image", 0, -1, problem))
        else:
            sound.append(image)
    for first, second in _overlaps(sound):
        words = f"words {second.base} … {min(first.base + len(first.data), second.base + len(second.data)) - 1}"
        message = f"images {first.name} and {second.name} both hold {words} of {second.unit}"
        found.append(Violation("image", 0, -1, message))
    for symbol in program.symbols:
        problem = (
            symbol_problem(symbol, program.chip)
            or _shape_problem(symbol, program.chip.lanes)
            or _memory_problem(symbol, program.chip)
        )
        if problem:
            found.append(Violation("symbol", 0, -1, problem))
    return found


def _overlaps(images: list[Image]) -> list[tuple[Image, Image]]:
    """Pairs of images of one slice where the second begins inside the first."""
    found: list[tuple[Image, Image]] = []
    longest: Image | None = None
    for image in sorted(images, key=lambda i: (i.unit, i.base)):
        if longest is not None and longest.unit == image.unit:
            if image.base < longest.base + len(longest.data) and len(image.data):
                found.append((longest, image))
            if image.base + len(image.data) < longest.base + len(longest.data):
                continue
        longest = image
    return found


def _shape_problem(symbol: Symbol, lanes: int) -> str | None:
    """Why the pieces of a symbol are not rows and tiles of a tensor of its shape, or None."""
    shape = symbol.matrix_shape(lanes)
    columns = shape[-1] if shape else 1
    count = 1
    for extent in shape[:-1]:
        count *= extent
    tiles = -(-columns // lanes)
    for piece in symbol.pieces:
        ends = (piece.row, piece.row + (piece.count - 1) * piece.row_step)
        if min(ends) < 0 or max(ends) >= count or piece.tile >= tiles:
            held = f"rows {ends[0]} … {ends[1]} of tile {piece.tile}"
            return f"symbol {symbol.name}: a piece holds {held}, but the tensor has {count} rows and {tiles} tiles"
    return None


def _memory_problem(symbol: Symbol, chip: Chip) -> str | None:
    """Why the symbol cannot be written from run to run, or None: only parameters may lie in RRAM."""
    if symbol.role != "param":
        for piece in symbol.pieces:
            if chip.units[piece.unit].kind == "rram":
                return f"symbol {symbol.name}: {piece.unit} cannot be written while programs run; only a param may lie there"
    return None

"""The directives of assembly text: chip, facts, origins, symbols with their pieces, memory images."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from isa.asm_data import SideFiles, Words, parse_word
from isa.asm_text import Line, Token, listed
from isa.chip import Chip, load_chip, preset_names
from isa.form import image_problem, symbol_problem
from isa.packing import Packing
from isa.program import Image, Piece, Symbol
from isa.spec import TYPES, ElementType

Role = Literal["input", "output", "param", "state"]
_ROLES: dict[str, Role] = {"input": "input", "output": "output", "param": "param", "state": "state"}
_TYPE_OF: dict[str, ElementType] = {name: name for name in TYPES}
_PIECE_FIELDS = ("base", "count", "row", "tile", "byte", "step", "row_step")
_OPTIONAL_PIECE_FIELDS = ("step", "row_step")
_LIMIT = 1 << 40
_PACKING_NUMBERS = 12


@dataclass(slots=True)
class _OpenSymbol:
    symbol: Symbol
    pieces: list[Piece] = field(default_factory=list[Piece])


@dataclass(slots=True)
class _OpenData:
    """A .data whose hexadecimal lines are being read."""

    line: Line
    place: Token
    image: Image
    words: int
    lines: list[bytes] = field(default_factory=list[bytes])


class Directives:
    """What the directives of one text have said so far."""

    def __init__(self, file: str, chip: Chip | None) -> None:
        self.file = file
        self.chip = chip
        self.facts: dict[str, object] = {}
        self.origins = [""]
        self.images: list[Image] = []
        self._chip_given = chip is not None
        self._symbols: list[_OpenSymbol] = []
        self._side_files = SideFiles(file)
        self._data: _OpenData | None = None
        self._skip_words = False
        """The last .data was at fault: its words are passed over, not reported one by one."""
        self._skip_pieces = False
        """The last .symbol was at fault: so are not its pieces."""
        self.labels_at_fault: set[str] = set()
        """Names of images that were at fault: their uses are not."""

    @property
    def symbols(self) -> list[Symbol]:
        return [replace(given.symbol, pieces=tuple(given.pieces)) for given in self._symbols]

    @property
    def wants_words(self) -> bool:
        """Whether the next line may be a word of the last .data."""
        return self._skip_words or (self._data is not None and len(self._data.lines) < self._data.words)

    def read(self, line: Line) -> None:
        """Take in one directive line. Raises SyntaxFault, ChipFault for a chip file that is not one."""
        token = line.advance()
        if token.text == ".chip":
            return self._read_chip(line)
        if self.chip is None:
            line.fault("'.chip' and a chip before anything else", token)
        readers: dict[str, Callable[[Line, Chip], None]] = {
            ".fact": self._read_fact,
            ".origin": self._read_origin,
            ".symbol": self._read_symbol,
            ".piece": self._read_piece,
            ".data": self._read_data,
        }
        if token.text not in readers:
            line.fault(f"a directive ({listed(['.chip', *readers])})", token)
        return readers[token.text](line, self.chip)

    def _read_chip(self, line: Line) -> None:
        token = line.token
        chip = self._chip_of(line)
        if self.chip is not None and not self._chip_given:
            line.wrong(f"the chip is already {self.chip.name}", token)
        if self.chip is not None and self.chip.digest != chip.digest:
            line.wrong(f"this text is for chip {chip.name}, which is not the chip {self.chip.name} that was asked for", token)
        self.chip, self._chip_given = chip, False

    def _chip_of(self, line: Line) -> Chip:
        token = line.token
        if line.text[token.column - 1 :].startswith("{"):
            try:
                return Chip.model_validate(line.rest_as_json("a chip as JSON"))
            except ValidationError as error:
                first = error.errors()[0]
                path = ".".join(str(p) for p in first["loc"])
                line.wrong(f"this is not a chip: {path}: {first['msg']}", token)
        name = line.name(f"a chip ({listed(preset_names())}, or the path of a chip file in quotes)")
        line.end()
        if name in preset_names():
            return load_chip(name)
        if token.kind != "string":
            line.wrong(f"there is no chip {token}", token, f"chips are {listed(preset_names())}, or a path in quotes")
        path = Path(self.file).parent / name
        if "\0" in name or not path.is_file():
            line.wrong(f"there is no chip file {token}", token)
        return load_chip(str(path))

    def _read_fact(self, line: Line, chip: Chip) -> None:
        token = line.token
        name = line.name("the name of a fact")
        if name in self.facts:
            line.wrong(f"fact {token} is given twice", token)
        self.facts[name] = line.rest_as_json("a value as JSON")

    def _read_origin(self, line: Line, chip: Chip) -> None:
        count = len(self.origins)
        line.integer("the number of the next origin", count, count)
        text = line.string("the origin in quotes")
        line.end()
        self.origins.append(text)

    def _read_symbol(self, line: Line, chip: Chip) -> None:
        self._skip_pieces = True
        place = line.token
        name = line.name("the name of a symbol")
        if not line.found(*_ROLES):
            line.fault(f"the role of the symbol ({listed(_ROLES)})")
        role = _ROLES[line.advance().text]
        shape = self._shape(line)
        if not line.found(*TYPES):
            line.fault(f"a type ({listed(TYPES)})")
        kind = _TYPE_OF[line.advance().text]
        scale = None
        if line.found("scale"):
            line.advance()
            scale = _real(line)
        packing = None
        if line.found("packed"):
            line.advance()
            packing = self._packing(line, shape)
        line.end()
        symbol = Symbol(name, role, shape, kind, (), scale, packing)
        if packing and (problem := symbol_problem(symbol, chip)):
            line.wrong(problem, place)
        self._symbols.append(_OpenSymbol(symbol))
        self._skip_pieces = False

    def _shape(self, line: Line) -> tuple[int, ...]:
        return self._numbers(line, "an extent", 0)

    def _packing(self, line: Line, shape: tuple[int, ...]) -> Packing:
        place = line.token
        numbers = self._numbers(line, "a number of the packing", -_LIMIT)
        if len(numbers) != _PACKING_NUMBERS:
            line.wrong(f"a packing has {_PACKING_NUMBERS} numbers", place)
        return Packing.of(shape, numbers)

    def _numbers(self, line: Line, what: str, low: int) -> tuple[int, ...]:
        line.mark("[")
        numbers: list[int] = []
        while not line.found("]"):
            if numbers:
                line.mark(",")
            numbers.append(line.integer(what, low, _LIMIT))
        line.mark("]")
        return tuple(numbers)

    def _read_piece(self, line: Line, chip: Chip) -> None:
        if self._skip_pieces:
            return
        if not self._symbols:
            line.fault("'.symbol' before its pieces", Token("directive", ".piece", line.text.index(".piece") + 1))
        place = line.token
        unit = line.word("a memory slice").text
        given: dict[str, int] = {}
        while line.found(*_PIECE_FIELDS):
            name = line.advance()
            if name.text in given:
                line.wrong(f"{name.text} is given twice", name)
            given[name.text] = line.integer(f"a value of {name.text}", -_LIMIT, _LIMIT)
        for wanted in _PIECE_FIELDS:
            if wanted not in given and wanted not in _OPTIONAL_PIECE_FIELDS:
                line.fault(f"{wanted} of the piece")
        line.end()
        piece = Piece(unit, **given)
        last = self._symbols[-1]
        alone = Symbol(last.symbol.name, last.symbol.role, last.symbol.shape, last.symbol.type, (piece,))
        if problem := symbol_problem(alone, chip):
            line.wrong(problem, place)
        last.pieces.append(piece)

    def _read_data(self, line: Line, chip: Chip) -> None:
        self._skip_words = True
        place = line.token
        name = line.name("the name of an image")
        self.labels_at_fault.add(name)
        unit = line.word("a memory slice").text
        line.keyword("base")
        base = line.integer("an address", 0, _LIMIT)
        line.keyword("words")
        words = line.integer("the number of words", 0, _LIMIT)
        # A view of one zero stands for the words that are still to come.
        probe = Image(name, unit, base, np.broadcast_to(np.uint8(0), (words, chip.lanes)))
        if problem := image_problem(probe, chip):
            line.wrong(problem, place)
        if line.found("file"):
            data = self._side_words(line, (words, chip.lanes))
            self._add(Image(name, unit, base, data))
            self._skip_words = False
            return
        line.end()
        self._skip_words = False
        self._data = _OpenData(line, place, probe, words)

    def _side_words(self, line: Line, shape: tuple[int, int]) -> Words:
        line.keyword("file")
        place = line.token
        file = line.string("the name of a side file in quotes")
        line.keyword("key")
        key = line.string("the name of the image in the file, in quotes")
        line.keyword("sha256")
        digest = line.string("the sha256 of the image in quotes")
        line.end()
        return self._side_files.words(line, place, file, key, shape, digest)

    def read_word(self, number: int, text: str) -> None:
        """Take in one hexadecimal line of the last .data. Raises SyntaxFault."""
        if self._data is not None and self.chip is not None:
            self._data.lines.append(bytes(self.chip.lanes))
            self._data.lines[-1] = parse_word(self.file, number, text, self.chip.lanes)

    def finish_data(self) -> None:
        """End the last .data: all its words must be there. Raises SyntaxFault."""
        data, self._data, self._skip_words = self._data, None, False
        if data is None:
            return
        image = data.image
        if len(data.lines) != data.words:
            data.line.wrong(f"image {image.name} has {data.words} words, found {len(data.lines)} lines of them", data.place)
        words = np.frombuffer(b"".join(data.lines), np.uint8).reshape(image.data.shape)
        self._add(Image(image.name, image.unit, image.base, words))

    def _add(self, image: Image) -> None:
        self.images.append(image)
        self.labels_at_fault.discard(image.name)


def _real(line: Line) -> float:
    text = line.token.text
    if line.token.kind != "number" or not re.fullmatch(r"-?[0-9]+\.?[0-9]*([eE][-+]?[0-9]+)?", text):
        line.fault("a number")
    value = float(text)
    if abs(value) == float("inf"):
        line.fault("a finite number")
    line.advance()
    return value

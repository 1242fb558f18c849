"""Program files (`.lbin`): one safetensors file with everything that a program is.

Tensors: `operations` uint8 [words, 16] (`isa/encode.py`), `origins` uint32 [operations], `image.N` uint8 [words, lanes].
The metadata has one entry, `lockstep program`: format number, sha256, then JSON with chip, symbols, origins and facts. One
entry and sorted keys make the bytes depend on nothing but the program. The sha256 is over the whole file with its own
digits as zeros, so no bit of the file is outside it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from isa.atomic_file import write_whole
from isa.chip import Chip
from isa.encode import WORD_BYTES, decode_operations, encode_operations
from isa.errors import Location, ProgramFileFault, ScheduleFault
from isa.form import program_problem
from isa.packing import Packing
from isa.program import FORMAT_VERSION, Image, Piece, Program, Symbol
from isa.spec import ElementType

_ENTRY = "lockstep program"
_START = re.compile(rb'\{"__metadata__":\{"lockstep program":"format ([0-9]{1,9}) sha256 ([0-9a-f]{64}) ')
_LENGTH_BYTES = 8
_NO_SUM = b"0" * 64

Tensors = dict[str, NDArray[Any]]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ImageEntry(_Entry):
    name: str
    unit: str
    base: int


class _SymbolEntry(_Entry):
    name: str
    role: Literal["input", "output", "param", "state"]
    shape: tuple[int, ...]
    type: ElementType
    scale: float | None
    pieces: list[tuple[str, int, int, int, int, int, int, int]]
    packing: tuple[int, int, int, int, int, int, int, int, int, int, int, int] | None = None


class _Header(_Entry):
    """The JSON of the metadata."""

    chip: dict[str, Any]
    chip_digest: str
    images: list[_ImageEntry]
    symbols: list[_SymbolEntry]
    origins: list[str]
    facts: dict[str, Any]


def _packing(symbol: _SymbolEntry) -> Packing | None:
    return None if symbol.packing is None else Packing.of(symbol.shape, symbol.packing)


def _piece_row(piece: Piece) -> list[object]:
    numbers = (piece.base, piece.count, piece.row, piece.tile, piece.byte, piece.step, piece.row_step)
    return [piece.unit, *map(int, numbers)]


def _header_text(program: Program) -> str:
    symbols = [
        {
            "name": s.name,
            "role": s.role,
            "shape": [int(d) for d in s.shape],
            "type": s.type,
            "scale": None if s.scale is None else float(s.scale),
            "pieces": [_piece_row(p) for p in s.pieces],
        }
        | ({"packing": list(map(int, s.packing.numbers))} if s.packing else {})
        for s in program.symbols
    ]
    header = {
        "chip": program.chip.model_dump(mode="json"),
        "chip_digest": program.chip.digest,
        "images": [{"name": i.name, "unit": i.unit, "base": int(i.base)} for i in program.images],
        "symbols": symbols,
        "origins": program.origins,
        "facts": program.facts,
    }
    try:
        text = json.dumps(header, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError) as error:
        raise ScheduleFault(f"the program holds a value that a file cannot: {error}") from None
    return text


def _sum(data: bytes | bytearray, at: int) -> str:
    view = memoryview(data)
    digest = hashlib.sha256(view[:at])
    digest.update(_NO_SUM)
    digest.update(view[at + len(_NO_SUM) :])
    return digest.hexdigest()


def program_bytes(program: Program) -> bytes:
    """The file of a program. Raises ScheduleFault if the program is not well-formed (`isa/form.py`)."""
    if problem := program_problem(program):
        raise ScheduleFault(problem)
    words = np.frombuffer(encode_operations(program.operations, program.chip), np.uint8).reshape(-1, WORD_BYTES)
    origins = np.fromiter((op.origin for op in program.operations), np.uint32, len(program.operations))
    tensors: Tensors = {"operations": words, "origins": origins}
    tensors |= {f"image.{i}": np.ascontiguousarray(image.data) for i, image in enumerate(program.images)}
    entry = f"format {FORMAT_VERSION} sha256 {_NO_SUM.decode()} {_header_text(program)}"
    data = bytearray(save_tensors(tensors, metadata={_ENTRY: entry}))
    start = _START.match(data, _LENGTH_BYTES)
    if start is None:
        raise ScheduleFault("the installed safetensors writes its metadata in a way that program files do not have")
    at = start.start(2)
    data[at : at + len(_NO_SUM)] = _sum(data, at).encode()
    return bytes(data)


def save_program(program: Program, path: str | Path) -> None:
    """Write a program file, whole or not at all. Raises DataFault if it cannot be written, ScheduleFault as program_bytes."""
    write_whole(path, program_bytes(program))


def _checked_entry(data: bytes, file: str) -> None:
    """Refuse what is not a whole program file of this format, before anything in it is believed."""
    start = _START.match(data, _LENGTH_BYTES)
    if start is None:
        raise ProgramFileFault(
            "this is not a Lockstep program file, or its beginning is damaged",
            Location(file),
            hint="program files are written by `lockstep compile -o` and `lockstep asm -o`",
        )
    version = int(start[1])
    if version != FORMAT_VERSION:
        age = "a newer Lockstep wrote this file" if version > FORMAT_VERSION else "no Lockstep writes this format"
        raise ProgramFileFault(f"{age}: its format is {version}, this Lockstep reads {FORMAT_VERSION}", Location(file))
    if _sum(data, start.start(2)).encode() != start[2]:
        raise ProgramFileFault(
            "the program file is damaged or truncated: its checksum does not match its content",
            Location(file),
            hint="copy it again or compile it again",
        )


def _read_header(data: bytes, file: str) -> tuple[_Header, Chip, Tensors]:
    try:
        length = int.from_bytes(data[:_LENGTH_BYTES], "little")
        entry: str = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])["__metadata__"][_ENTRY]
        header = _Header.model_validate_json(entry.split(" ", 4)[4])
        chip = Chip.model_validate(header.chip)
        tensors: Tensors = load_tensors(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(p) for p in first["loc"])
        raise ProgramFileFault(
            f"the program file does not hold what it should: {path}: {first['msg']}", Location(file)
        ) from None
    except (SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ProgramFileFault(f"the program file does not hold what it should: {error}", Location(file)) from None
    if chip.digest != header.chip_digest:
        raise ProgramFileFault("the chip in the program file is not the one that its digest names", Location(file))
    return header, chip, tensors


def _tensors_problem(tensors: Mapping[str, NDArray[Any]], images: int) -> str | None:
    expected = {"operations": "uint8", "origins": "uint32"} | {f"image.{i}": "uint8" for i in range(images)}
    if set(tensors) != set(expected):
        return f"tensors are {', '.join(sorted(tensors)) or 'none'}, expected {', '.join(sorted(expected))}"
    for name, kind in expected.items():
        if tensors[name].dtype.name != kind or tensors[name].ndim != (1 if name == "origins" else 2):
            return f"tensor {name} is {tensors[name].dtype} {list(tensors[name].shape)}"
    if tensors["operations"].shape[1] != WORD_BYTES:
        return f"tensor operations is {list(tensors['operations'].shape)}, expected {WORD_BYTES} bytes a word"
    return None


def program_from_bytes(data: bytes, file: str) -> Program:
    """The program in the bytes of a file; `file` is for messages.

    Raises ProgramFileFault if they are damaged, truncated, newer, or not what `program_bytes` writes.
    """
    _checked_entry(data, file)
    header, chip, tensors = _read_header(data, file)
    if problem := _tensors_problem(tensors, len(header.images)):
        raise ProgramFileFault(problem, Location(file))
    origins: list[int] = tensors["origins"].tolist()
    operations = decode_operations(tensors["operations"].tobytes(), chip, origins, file)
    if len(operations) != len(origins):
        raise ProgramFileFault(f"{len(origins)} origins for {len(operations)} operations", Location(file))
    symbols = [
        Symbol(s.name, s.role, s.shape, s.type, tuple(Piece(*piece) for piece in s.pieces), s.scale, _packing(s))
        for s in header.symbols
    ]
    images = [Image(e.name, e.unit, e.base, tensors[f"image.{i}"]) for i, e in enumerate(header.images)]
    program = Program(chip, operations, images, symbols, header.origins, header.facts)
    if problem := program_problem(program):
        raise ProgramFileFault(problem, Location(file))
    return program


def load_program(path: str | Path) -> Program:
    """Read a program file. Raises ProgramFileFault if it cannot be read or is not one."""
    file = Path(path)
    try:
        if not file.is_file():
            raise ProgramFileFault("there is no such program file", Location(str(file)))
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProgramFileFault(f"cannot read the program file: {reason}", Location(str(file))) from None
    return program_from_bytes(data, str(file))


def programs_equal(a: Program, b: Program) -> bool:
    """Whether two programs are the same in everything: chip, operations, images, symbols, origins, facts."""
    if len(a.images) != len(b.images):
        return False
    for x, y in zip(a.images, b.images, strict=True):
        if (x.name, x.unit, x.base) != (y.name, y.unit, y.base) or not np.array_equal(x.data, y.data):
            return False
    return (a.chip, a.operations, a.symbols, a.origins, a.facts) == (b.chip, b.operations, b.symbols, b.origins, b.facts)

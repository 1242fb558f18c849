"""A chip: the sizes, places and latencies that everything else asks for. Read from TOML, validated, never repeated.

Positions count stream-register hops from the west edge. Units are named by hemisphere and by distance from the VXM:
`sram.w0` is the SRAM slice just west of it. MXM planes are numbered from the west: `mxm0`, `mxm1`, ….
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, ValidationError, model_validator

from isa.energy import Energy
from isa.errors import ChipFault, Location
from isa.rram_device import RramDevice
from isa.spec import BY_MNEMONIC, TIMING_KEYS, TRANSPOSE_SPAN

Side = Literal["w", "e"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Timing(_Table):
    """Cycles from dispatch to operands (`skew`) and to the result in the stream register (`latency`)."""

    latency: PositiveInt
    skew: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Timing:
        if not 0 <= self.skew < self.latency:
            raise ValueError("skew must be at least 0 and less than latency")
        return self


class Sram(_Table):
    """One SRAM slice. A word's half is its address modulo `halves`."""

    words: PositiveInt
    halves: PositiveInt


class Rram(_Table):
    """One RRAM slice. A word's bank is its address modulo `banks`; a read keeps its bank busy `busy_cycles`."""

    banks: PositiveInt
    bank_words: PositiveInt
    busy_cycles: PositiveInt
    device: RramDevice | None = None
    """What its cells are like; without it a program can run on such a chip, but nothing can be programmed into one."""

    @property
    def words(self) -> int:
        return self.banks * self.bank_words


class Mxm(_Table):
    """The matrix planes: `lanes` × `lanes` weights each, two planes of one side form a pair."""

    planes_per_side: PositiveInt
    accumulators: PositiveInt
    load_streams: PositiveInt
    modes: tuple[Literal["i8", "f16", "i8f16"], ...]
    f16_depth: PositiveInt
    transposed_load: bool


class Vxm(_Table):
    alus: PositiveInt
    max_delay: int


class Sxm(_Table):
    slots: PositiveInt
    instructions: tuple[str, ...]

    @model_validator(mode="after")
    def _known(self) -> Sxm:
        known = {name for name, row in BY_MNEMONIC.items() if row.ports == ("sxm",)}
        wrong = sorted(set(self.instructions) - known)
        if wrong:
            raise ValueError(f"unknown instructions {', '.join(wrong)}; known are {', '.join(sorted(known))}")
        return self


@dataclass(frozen=True, slots=True)
class Unit:
    """One functional unit at its place. `kind` is mxm (one plane), sxm, rram, sram or vxm."""

    name: str
    kind: str
    position: int
    side: Side | None


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of the instruction word: `index` orders them, `port` says what may stand there."""

    name: str
    index: int
    port: str
    unit: Unit


class Chip(_Table):
    """A validated chip description. Equal descriptions have equal `digest`s."""

    name: str
    description: str
    format: Literal[1]
    clock_ghz: PositiveFloat
    lanes: PositiveInt
    superlane: PositiveInt
    streams: PositiveInt
    row: tuple[str, ...]
    sram: Sram
    rram: Rram | None = None
    mxm: Mxm
    vxm: Vxm
    sxm: Sxm
    timing: dict[str, Timing]
    energy: Energy
    sources: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> Chip:
        problems = list(_row_problems(self)) + list(_size_problems(self)) + list(_source_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @cached_property
    def units(self) -> dict[str, Unit]:
        """Every unit by name, west to east."""
        return {unit.name: unit for unit in _units(self.row, self.mxm.planes_per_side)}

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """Every slot by name, in the order of the instruction word."""
        found: dict[str, Slot] = {}
        for unit in self.units.values():
            for suffix, port in _ports(unit, self):
                name = f"{unit.name}.{suffix}"
                found[name] = Slot(name, len(found), port, unit)
        return found

    @cached_property
    def slot_list(self) -> tuple[Slot, ...]:
        return tuple(self.slots.values())

    @cached_property
    def width(self) -> int:
        """Number of positions: legal ones are 0 … width-1."""
        return max(unit.position for unit in self.units.values()) + 1

    @cached_property
    def planes(self) -> tuple[Unit, ...]:
        """The MXM planes in number order."""
        return tuple(u for u in self.units.values() if u.kind == "mxm")

    def slices(self, kind: str, side: Side | None = None) -> tuple[Unit, ...]:
        """The `sram` or `rram` slices (of one side), nearest to the VXM first, west before east."""
        chosen = [u for u in self.units.values() if u.kind == kind and side in (None, u.side)]
        middle = self.units["vxm"].position
        return tuple(sorted(chosen, key=lambda u: (u.side == "e", abs(u.position - middle))))

    def words(self, unit: str) -> int:
        """Words of a memory slice."""
        kind = self.units[unit].kind
        return self.rram.words if kind == "rram" and self.rram else self.sram.words

    def depth(self, mode: str) -> int:
        """Most rows of weights that a feed of this mode can use."""
        return self.mxm.f16_depth if mode == "f16" else self.lanes

    @property
    def fold_block(self) -> int:
        """Lanes of the blocks by which lanes are folded on a chip that has no lane tree but transposes blocks; else 0."""
        turns = {"transpose", "permute"} <= set(self.sxm.instructions) and self.superlane == TRANSPOSE_SPAN
        return TRANSPOSE_SPAN if turns and "reduce" not in self.sxm.instructions else 0

    def source_of(self, path: str) -> str | None:
        """Where the figure at this path of the chip file (`rram.banks`), or the table that it is in, comes from."""
        matches = (text for p, text in self.sources.items() if any(fnmatch.fnmatchcase(path, q) for q in (p, f"{p}.*")))
        return next(matches, None)

    @cached_property
    def digest(self) -> str:
        """sha256 over everything that the machine does; names and sources do not count."""
        facts = self.model_dump(mode="json", exclude={"name", "description", "sources"})
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _units(row: tuple[str, ...], planes_per_side: int) -> list[Unit]:
    kinds: list[str] = []
    for entry in row:
        kind, _, times = entry.partition("*")
        kinds += [kind] * int(times or 1)
    vxm = kinds.index("vxm")
    units: list[Unit] = []
    planes = 0
    for position, kind in enumerate(kinds):
        side: Side = "w" if position < vxm else "e"
        if kind == "vxm":
            units.append(Unit("vxm", "vxm", position, None))
        elif kind == "mxm":
            for _ in range(planes_per_side):
                units.append(Unit(f"mxm{planes}", "mxm", position, side))
                planes += 1
        else:
            between = kinds[position + 1 : vxm] if side == "w" else kinds[vxm + 1 : position]
            number = between.count(kind)
            name = f"sxm.{side}" if kind == "sxm" else f"{kind}.{side}{number}"
            units.append(Unit(name, kind, position, side))
    return units


def _ports(unit: Unit, chip: Chip) -> list[tuple[str, str]]:
    if unit.kind == "mxm":
        return [(p, f"mxm.{p}") for p in ("ld", "sw", "fd")]
    if unit.kind == "sram":
        return [("rd", "sram.rd"), ("wr", "sram.wr")]
    if unit.kind == "rram":
        return [("rd", "rram.rd")]
    count = chip.sxm.slots if unit.kind == "sxm" else chip.vxm.alus
    return [(str(i), unit.kind) for i in range(count)]


def _row_problems(chip: Chip) -> list[str]:
    problems: list[str] = []
    kinds: list[str] = []
    for i, entry in enumerate(chip.row):
        match = re.fullmatch(r"(mxm|sxm|rram|sram|vxm)(\*[1-9][0-9]{0,2})?", entry)
        if match:
            kinds.append(match[1])
        else:
            problems.append(f"row.{i}: '{entry}' is not a unit; write mxm, sxm, rram, sram or vxm, or one of them with *count")
    if problems:
        return problems
    if [e for e in chip.row if e.startswith("vxm")] != ["vxm"]:
        problems.append("row: exactly one vxm is needed")
    if any(chip.row.count(s) > 2 or f"{s}*" in " ".join(chip.row) for s in ("sxm", "mxm")):
        problems.append("row: at most one mxm and one sxm a side, without *count")
    vxm = kinds.index("vxm") if "vxm" in kinds else 0
    for kind in ("mxm", "sxm"):
        if kinds[:vxm].count(kind) > 1 or kinds[vxm:].count(kind) > 1:
            problems.append(f"row: more than one {kind} on a side")
    if "sram" not in kinds or "mxm" not in kinds:
        problems.append("row: at least one sram and one mxm are needed")
    if ("rram" in kinds) != (chip.rram is not None):
        problems.append("rram: the table must be there exactly when the row has rram slices")
    return problems


def _size_problems(chip: Chip) -> list[str]:
    problems: list[str] = []
    if chip.lanes % chip.superlane or chip.lanes // chip.superlane > 32:
        problems.append(f"superlane: {chip.superlane} must divide lanes ({chip.lanes}), into at most 32 parts")
    if chip.lanes > 511:
        problems.append("lanes: at most 511 (the width of the lane fields)")
    if chip.streams % 4 or chip.streams > 32:
        problems.append("streams: a multiple of 4, at most 32 (the width of the stream field)")
    if chip.sram.words >= 1 << 17 or (chip.rram and chip.rram.words >= 1 << 17):
        problems.append("sram.words, rram: a slice has fewer than 131072 words (the width of the address field)")
    device = chip.rram.device if chip.rram else None
    if device and 8 * chip.lanes % device.word_bits:
        problems.append(f"rram.device.word_bits: {device.word_bits} must divide the {8 * chip.lanes} bits of a row")
    if chip.mxm.accumulators > 1024:
        problems.append("mxm.accumulators: at most 1024 (the width of the field)")
    if chip.mxm.load_streams > chip.streams:
        problems.append("mxm.load_streams: more than there are streams")
    if chip.lanes % chip.mxm.f16_depth:
        problems.append(f"mxm.f16_depth: {chip.mxm.f16_depth} must divide lanes ({chip.lanes})")
    if set(chip.mxm.modes) & {"f16", "i8f16"} and chip.mxm.planes_per_side % 2:
        problems.append("mxm.modes: the f16 modes need pairs of planes on each side")
    if not 0 <= chip.vxm.max_delay <= 31:
        problems.append("vxm.max_delay: 0 to 31 (the width of the field)")
    lanes_moved = {f"sxm.{BY_MNEMONIC[name].timing}" for name in chip.sxm.instructions}
    needed = {k for k in TIMING_KEYS if (chip.rram or k[:4] != "rram") and (k[:3] != "sxm" or k in lanes_moved)}
    problems += [f"timing.{key}: missing" for key in sorted(needed - set(chip.timing))]
    problems += [f"timing.{key}: nothing on this chip has this timing" for key in sorted(set(chip.timing) - needed)]
    return problems


def _numbers(value: object, path: str) -> list[str]:
    if isinstance(value, dict):
        table = cast(dict[str, object], value)
        return [p for k, v in table.items() for p in _numbers(v, f"{path}.{k}" if path else k)]
    return [path] if isinstance(value, (int, float)) else []


def _source_problems(chip: Chip) -> list[str]:
    facts = chip.model_dump(exclude={"sources", "format", "name", "description"}, exclude_defaults=True)
    return [f"sources: nothing says where {path} comes from" for path in _numbers(facts, "") if chip.source_of(path) is None]


def parse_chip(text: str, file: str) -> Chip:
    """Chip from TOML text. Raises ChipFault that lists every problem with its path."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (0, 0)
        lines = text.splitlines()
        excerpt = lines[line - 1] if 0 < line <= len(lines) else ""
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise ChipFault(f"not TOML: {reason}", Location(file, line, column, excerpt)) from None
    try:
        return Chip.model_validate(data)
    except ValidationError as error:
        notes: list[str] = []
        for item in error.errors():
            path = ".".join(str(p) for p in item["loc"])
            for line in item["msg"].removeprefix("Value error, ").splitlines():
                notes.append(f"{path}: {line}" if path else line)
        raise ChipFault(
            f"{len(notes)} problem{'s' if len(notes) > 1 else ''} in this chip description",
            Location(file),
            notes=tuple(notes),
        ) from None


def preset_names() -> tuple[str, ...]:
    """Chips that come with Lockstep."""
    folder = resources.files("isa") / "chips"
    return tuple(sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")))


def load_chip(name_or_path: str) -> Chip:
    """A preset by name, or a TOML file by path. Raises ChipFault."""
    if name_or_path in preset_names():
        return parse_chip((resources.files("isa") / "chips" / f"{name_or_path}.toml").read_text(), f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        raise ChipFault(f"no chip '{name_or_path}'", hint=f"presets are {', '.join(preset_names())}; or give a .toml file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ChipFault(f"cannot read the chip file: {reason}", Location(str(path))) from None
    return parse_chip(text, str(path))

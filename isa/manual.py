"""The instruction manual, `docs/isa.md`, derived from the table and the preset chips. `python -m isa.manual` prints it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from isa.chip import Chip, load_chip, preset_names
from isa.encode import COUNT_BITS, word_parts
from isa.form import CYCLE_BITS, least
from isa.spec import (
    BYTES,
    COMMON,
    IMMEDIATE_BITS,
    INSTRUCTIONS,
    OPCODE_BITS,
    OPERAND_BITS,
    TIMING_KEYS,
    TYPES,
    WORD_BITS,
    Field,
    Instruction,
    Operand,
    Port,
)

INTRODUCTION = """\
# Instruction set

This page is derived from `isa/spec.py` and `isa/chips/*.toml` by `python -m isa.manual > docs/isa.md`; do not edit it by
hand. The rules of the chip (when operands meet, what may be used when) are in `architecture.md`."""

UNITS: dict[str, str] = {
    "sram": "memory slice that is read and written",
    "rram": "memory slice for weights, read only",
    "mxm": "one plane of the matrix unit: multiplies vectors by weights that it holds",
    "sxm": "moves values between lanes",
    "vxm": "arithmetic on whole vectors",
}

ASSEMBLY = """\
## Assembly

A text is lines; `;` starts a comment. Names that are not a letter followed by letters, digits, `_`, `.` or inner `-`
are written in quotes, as in JSON. Numbers are decimal or `0x…`.

```
.chip tiny
.fact predicted_cycles 6
.origin 1 "digits.lks:12:5: matmul"
.symbol x input [4, 8] i8 scale 0.05
  .piece sram.w2 base 0x0010 count 4 row 0 tile 0 byte 0
.data w1 rram.w0 base 0x0000 words 2
  0102030405060708
  ff
@0     rram.w0.rd read w1+0 step 1 rep 2 -> e4 !1     ; w1+0 is 0x0000
     | sram.w2.rd read 0x0010 step 1 rep 4 -> w0
@31    mxm0.ld    load e0 streams 4 count 8 rep 2 | vxm.0 fmul e4:i32, #0.05 -> w4:f16
```

| line | meaning |
|---|---|
| `.chip NAME` | a preset; or a chip file in quotes, beside the text; or a whole chip as JSON. Comes first |
| `.fact NAME JSON` | what the compiler says of the program |
| `.origin N "TEXT"` | where operations marked `!N` come from; numbered from 1 |
| `.symbol NAME ROLE [SHAPE] TYPE scale S` | a tensor: input, output, param or state; `scale` may be left out |
| `.piece UNIT base N count N row N tile N byte N step N row_step N` | a part of it; steps of 1 may be left out |
| `.data NAME UNIT base N words N` | words in memory before cycle 0, a line of hexadecimal each; lanes left out are 0 |
| `.data … file "FILE" key "K" sha256 "…"` | the same, from a safetensors file beside the text |
| `@CYCLE OPERATION \\| OPERATION …` | what is dispatched at a cycle; `\\|` may end or begin a line. Cycles increase |

An operation is `SLOT MNEMONIC OPERANDS FIELDS -> RESULT !ORIGIN`:

- Operands are separated by commas: streams (`e4` is a byte stream eastward, `w8:f32` the group w8 … w11) or one immediate.
  `#0.05` and `#-3` are values in the instruction's domain (float32 or int32), `#0x7fc00000` is a bit pattern.
- `addr` follows the operands, after a comma and without its name. `addr` and `base` may be a label with an offset in words
  (`w1+4`) when that image lies in the slot's slice.
- Other fields are `name value`, in any order; those with a default may be left out. `rep n every d` dispatches n times, d
  cycles apart.

The normal form, which the disassembler writes, has each operation on a line of its own in slot order, fields in table
order, no defaults, and labels wherever an image of one name covers the address."""

PROGRAM_FILE = """\
## Program file

A program file (`.lbin`) is a safetensors file: `operations` (the words above), `origins` (for each operation an index into the
texts of origins), one tensor for each memory image, and one metadata entry `lockstep program` with format number, sha256 and
JSON for chip, symbols, origins and facts. The sha256 is over the whole file with its own digits as zeros. The same program
gives the same bytes."""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _slot_name(port: str) -> str:
    kind, _, suffix = port.partition(".")
    if suffix:
        return f"{kind}0.{suffix}" if kind == "mxm" else f"{kind}.w0.{suffix}"
    return "sxm.w.0" if kind == "sxm" else f"{kind}.0"


def _units() -> str:
    rows = [
        [f"`{kind}`", doc, ", ".join(f"`{p}` (`{_slot_name(p)}`)" for p in get_args(Port) if p.split(".")[0] == kind)]
        for kind, doc in UNITS.items()
    ]
    text = (
        "Every port of a unit is a slot of the instruction word: in a cycle it takes at most one operation. Units are "
        "named by\nside (`w`, `e`) and distance from the VXM; planes are numbered from the west."
    )
    return f"## Units and ports\n\n{text}\n\n{_table(['unit', 'what it does', 'ports (first slot of the kind)'], rows)}"


def _word() -> str:
    example = INSTRUCTIONS[0]
    fixed = word_parts(example)[: 2 + len(COMMON)]
    rows = [[p.name, f"{p.low} … {p.low + p.bits - 1}", str(p.bits)] for p in fixed]
    types = ", ".join(f"{i} = {t}" for i, t in enumerate(TYPES))
    widths = ", ".join(f"{t} {BYTES[t]}" for t in TYPES)
    return f"""## Words

A program is a sequence of {WORD_BITS}-bit little-endian words. Each cycle that dispatches anything has a header, then one
word an operation in slot order; cycles without operations take no space. Unused bits are zero; there is one encoding for a
program.

Header: opcode 0 ({OPCODE_BITS} bits), number of operations ({COUNT_BITS}), cycle ({CYCLE_BITS}), from bit 0 upwards.

Operation, from bit 0 upwards:

{_table(["part", "bits", "width"], rows)}

then {OPERAND_BITS} bits for each source and result of the instruction, then {IMMEDIATE_BITS} bits for the immediate
where the instruction may have one, then the fields in the order of its row below. An operand is, from its lowest bit:
present (1 bit), immediate (1), westward (1), number (5), type (2: {types}). One that is absent is
all zero; an immediate has the first two bits set and no others. A type takes so many streams: {widths}."""


def _operand(operand: Operand) -> str:
    kinds = "any" if operand.types == TYPES else "/".join(operand.types)
    span = "" if operand.span == 1 else f" × {operand.span}"
    marks = [m for m, there in (("#", operand.immediate), ("?", operand.optional)) if there]
    return f"{operand.name}: {kinds}{span}{' ' + ' '.join(marks) if marks else ''}"


def _range(field: Field) -> str:
    if field.choices:
        return ", ".join(field.choices)
    return f"0x0 … 0x{field.high:x}" if field.bits == 32 else f"{least(field)} … {field.high}"


def _default(field: Field) -> str:
    if field.default is None:
        return "must be given"
    if field.choices:
        return field.choices[field.default]
    return f"0x{field.default:x}" if field.bits == 32 else str(field.default)


def _instructions_of(kinds: tuple[str, ...], title: str) -> str:
    rows = [row for row in INSTRUCTIONS if row.ports[0].split(".")[0] in kinds]
    table = _table(
        ["mnemonic", "opcode", "ports", "sources", "result", "fields", "timing", "bits", "meaning"],
        ([*_instruction_cells(row)] for row in rows),
    )
    fields = {(f.name, f.bits, f.default, f.doc): f for row in rows for f in row.fields}
    if not fields:
        return f"### {title}\n\n{table}"
    numbers = [
        [f"`{f.name}`", ", ".join(r.mnemonic for r in rows if f in r.fields), str(f.bits), _range(f), _default(f), f.doc]
        for f in fields.values()
    ]
    return f"### {title}\n\n{table}\n\n{_table(['field', 'of', 'bits', 'values', 'default', 'meaning'], numbers)}"


def _instruction_cells(row: Instruction) -> Iterable[str]:
    parts = word_parts(row)
    yield f"`{row.mnemonic}`"
    yield f"0x{row.opcode:02x}"
    yield ", ".join(row.ports)
    yield ", ".join(map(_operand, row.sources))
    yield ", ".join(map(_operand, row.results))
    yield ", ".join(f.name for f in row.fields)
    yield row.timing
    yield str(parts[-1].low + parts[-1].bits)
    yield row.doc


def _instructions() -> str:
    common = [[f"`{f.name}`", str(f.bits), f"1 … {f.high}", _default(f), f.doc] for f in COMMON]
    head = (
        "`#`: the operand may be an immediate, at most one an operation. `?`: the result may be left out. `× n`: n "
        "consecutive groups.\nInstructions whose names begin with f compute in float32, those with i in saturating "
        "int32 (VXM): operands are converted on\nentry, results on exit. `bits` is how much of the word is used."
    )
    sections = [
        _instructions_of(("sram", "rram"), "Memory"),
        _instructions_of(("mxm",), "Matrix unit"),
        _instructions_of(("sxm",), "Lane moves"),
        _instructions_of(("vxm",), "Vector unit"),
    ]
    every = f"Fields of every instruction:\n\n{_table(['field', 'bits', 'values', 'default', 'meaning'], common)}"
    return "\n\n".join(["## Instructions", head, every, *sections])


def _latency(chip: Chip, key: str) -> str:
    timing = chip.timing.get(key)
    if timing is None:
        return "none"
    return f"{timing.latency}" + (f", operands at {timing.skew}" if timing.skew else "")


def _chips() -> str:
    chips = [load_chip(name) for name in preset_names()]
    memory = [f"{c.sram.words} × {len(c.slices('sram'))}" for c in chips]
    weights = [f"{c.rram.words} × {len(c.slices('rram'))}" if c.rram else "none" for c in chips]
    rows = [
        ["clock (GHz)", *(f"{c.clock_ghz}" for c in chips)],
        ["lanes", *(str(c.lanes) for c in chips)],
        ["streams each way", *(str(c.streams) for c in chips)],
        ["SRAM (words × slices)", *memory],
        ["RRAM (words × slices)", *weights],
        ["planes", *(str(len(c.planes)) for c in chips)],
        ["modes of a plane", *(", ".join(c.mxm.modes) for c in chips)],
        ["lane moves", *(", ".join(c.sxm.instructions) for c in chips)],
        ["slots", *(str(len(c.slots)) for c in chips)],
    ]
    latencies = [[f"`{key}`", *(_latency(c, key) for c in chips)] for key in TIMING_KEYS]
    names = [c.name for c in chips]
    return (
        f"## Chips\n\n{_table(['', *names], rows)}\n\nLatencies in cycles from dispatch to result, by unit and timing:\n\n"
        f"{_table(['timing', *names], latencies)}"
    )


def manual_text() -> str:
    """The text of docs/isa.md."""
    return "\n\n".join([INTRODUCTION, _units(), _word(), _instructions(), _chips(), ASSEMBLY, PROGRAM_FILE]) + "\n"


if __name__ == "__main__":
    print(manual_text(), end="")

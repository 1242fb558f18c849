"""The instruction table: every operation of the chip, once.

Assembler, disassembler, encoder, checker, both machines and `docs/isa.md` are derived from `INSTRUCTIONS` or tested
against it. Sizes and latencies are not here: they belong to a chip (`isa/chip.py`); a row names the *timing key* under
which the chip keeps its latency.

An operation carries `rep` and `every`: it is dispatched `rep` times, `every` cycles apart, and holds its slot from its
first dispatch to its last. Dispatch number i is called element i below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ElementType = Literal["i8", "f16", "i32", "f32"]
TYPES: tuple[ElementType, ...] = ("i8", "f16", "i32", "f32")
"""Element types in encoding order."""

BYTES: dict[str, int] = {"i8": 1, "f16": 2, "i32": 4, "f32": 4}
"""Byte streams that one value of a type takes: an aligned group (`index % bytes == 0`)."""

Domain = Literal["f", "i", ""]
"""Where an operation computes: float32, saturating int32, or bytes untouched."""

Port = Literal["sram.rd", "sram.wr", "rram.rd", "mxm.ld", "mxm.sw", "mxm.fd", "sxm", "vxm"]
"""Kinds of slot. A chip has one slot for each port of each unit (`sram.e2.rd`, `mxm0.fd`, `sxm.w.1`, `vxm.7`)."""

ANY: tuple[ElementType, ...] = TYPES
BYTE: tuple[ElementType, ...] = ("i8",)
WORD: tuple[ElementType, ...] = ("i32",)


@dataclass(frozen=True, slots=True)
class Operand:
    """A stream group that an operation reads or writes.

    `span` is the number of consecutive groups: 1, a constant, or the name of the field that holds it.
    `immediate` operands may be replaced by the operation's one 32-bit immediate.
    """

    name: str
    types: tuple[ElementType, ...]
    span: int | str = 1
    immediate: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A number in the operation word. `default` None means that the text must give it."""

    name: str
    bits: int
    doc: str
    default: int | None = 0
    signed: bool = False
    choices: tuple[str, ...] = ()
    """Names of the values 0, 1, …, where the number stands for a name."""

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        if self.choices:
            return len(self.choices) - 1
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row of the table."""

    mnemonic: str
    opcode: int
    ports: tuple[Port, ...]
    sources: tuple[Operand, ...]
    results: tuple[Operand, ...]
    fields: tuple[Field, ...]
    timing: str
    doc: str
    domain: Domain = ""


REP = Field("rep", 16, "number of dispatches", default=1)
EVERY = Field("every", 12, "cycles between dispatches", default=1)
COMMON = (REP, EVERY)
"""Fields of every operation."""

IMMEDIATE_BITS = 32
OPERAND_BITS = 10
"""present 1 · immediate 1 · direction 1 · index 5 · type 2."""
OPCODE_BITS = 8
SLOT_BITS = 10
WORD_BITS = 128
"""One encoded operation. Cycle headers and the order of words: `isa/encode.py`."""

TRANSPOSE_SPAN = 16
"""Byte streams, and lanes of a block, that a transpose exchanges."""

ADDR = Field("addr", 17, "word address of element 0", default=None)
STEP = Field("step", 17, "address increment an element", default=0, signed=True)
BASE = Field("base", 17, "word address that index 0 stands for", default=None)
LIMIT = Field("limit", 17, "indices 0 … limit-1 are legal", default=None)
MASK = Field("mask", 32, "superlanes written, bit 0 = lanes 0 … superlane-1", default=0xFFFF_FFFF)
MODE = Field("mode", 2, "operand types of the plane", default=0, choices=("i8", "f16", "i8f16"))
DELAY = Field("delay", 5, "extra cycles of latency", default=0)
GROUP = Field("group", 16, "elements folded into one result", default=None)
LANES = Field("lanes", 9, "lanes 0 … lanes-1 take part", default=None)


def _vector(opcode: int, mnemonic: str, sources: int, timing: str, doc: str, *extra: Field) -> Instruction:
    """A VXM row. Any source may be any type; it is converted to the domain on entry, the result on exit."""
    names = ("a", "b", "c")[:sources]
    operands = tuple(Operand(n, ANY, immediate=sources > 1) for n in names)
    return Instruction(
        mnemonic,
        opcode,
        ("vxm",),
        operands,
        (Operand("r", ANY),),
        extra,
        timing,
        doc,
        "f" if mnemonic[0] == "f" else "i",
    )


INSTRUCTIONS: tuple[Instruction, ...] = (
    # Memory -----------------------------------------------------------------------------------------------------
    Instruction("read", 0x01, ("sram.rd", "rram.rd"), (), (Operand("r", BYTE),), (ADDR, STEP), "read",
                "word addr + i·step onto the stream"),
    Instruction("write", 0x02, ("sram.wr",), (Operand("a", BYTE),), (), (ADDR, STEP, MASK), "write",
                "the stream's vector into word addr + i·step, in the superlanes of the mask"),
    Instruction("gather", 0x03, ("sram.rd", "rram.rd"), (Operand("index", WORD),), (Operand("r", BYTE),), (BASE, LIMIT),
                "gather", "word base + index onto the stream; the index is lane 0 of the index vector"),
    Instruction("scatter", 0x04, ("sram.wr",), (Operand("index", WORD), Operand("a", BYTE)), (), (BASE, LIMIT), "scatter",
                "the stream's vector into word base + index; the index is lane 0 of the index vector"),
    # Matrix unit ------------------------------------------------------------------------------------------------
    Instruction("load", 0x10, ("mxm.ld",), (Operand("a", BYTE, span="streams"),), (),
                (MODE, Field("streams", 6, "byte streams read, from a's index upwards", default=None),
                 Field("row", 9, "first row (column if transposed) installed", default=0),
                 Field("count", 10, "rows (columns) installed in all", default=None),
                 Field("transposed", 1, "1: vectors are columns of the weights, 0: rows", default=0)), "load",
                "install weights into the shadow buffer; element i brings rows row + i·S … row + i·S + S-1, where "
                "S = streams / bytes of a weight; streams past the last row are not read"),
    Instruction("swap", 0x11, ("mxm.sw",), (), (), (MODE,), "swap",
                "exchange shadow and active weights (of both planes of the side in the f16 and i8f16 modes)"),
    Instruction("feed", 0x12, ("mxm.fd",), (Operand("a", ("i8", "f16")),), (Operand("r", ("i32", "f32"), optional=True),),
                (MODE, Field("depth", 9, "rows of the weights that take part", default=None),
                 Field("lane", 9, "row r is multiplied by lane lane + r of a", default=0),
                 Field("acc", 10, "accumulator entry of element 0; element i uses acc + i", default=0),
                 Field("fresh", 1, "1: start from zero, 0: add to the entry", default=1)), "feed",
                "activations × active weights, added to an accumulator entry; with a result the sum goes to the stream "
                "and the entry becomes empty, without one it stays in the entry"),
    # Lane moves -------------------------------------------------------------------------------------------------
    Instruction("shift", 0x20, ("sxm",), (Operand("a", ANY),), (Operand("r", ANY),),
                (Field("by", 10, "lanes towards higher numbers", default=None, signed=True),), "shift",
                "r[l] = a[l - by], zero where there is none"),
    Instruction("rotate", 0x21, ("sxm",), (Operand("a", ANY),), (Operand("r", ANY),),
                (Field("by", 10, "lanes towards higher numbers", default=None, signed=True), LANES), "shift",
                "r[l] = a[(l - by) mod lanes] below lanes, zero above"),
    Instruction("permute", 0x22, ("sxm",), (Operand("a", ANY), Operand("map", WORD)), (Operand("r", ANY),), (), "permute",
                "r[l] = a[map[l]], zero where map[l] is not a lane"),
    Instruction("select", 0x23, ("sxm",), (Operand("a", ANY), Operand("b", ANY)), (Operand("r", ANY),),
                (Field("split", 9, "first lane taken from b", default=None),), "shift",
                "r[l] = a[l] below split, b[l] from split on"),
    Instruction("broadcast", 0x24, ("sxm",), (Operand("a", ANY),), (Operand("r", ANY),),
                (Field("lane", 9, "the lane to copy", default=None),), "shift", "r[l] = a[lane] for every l"),
    Instruction("transpose", 0x25, ("sxm",), (Operand("a", BYTE, span=TRANSPOSE_SPAN),),
                (Operand("r", BYTE, span=TRANSPOSE_SPAN),), (), "transpose",
                "16 streams × 16 lanes within each 16 lanes: r_i[16b + j] = a_j[16b + i]"),
    Instruction("reduce", 0x26, ("sxm",), (Operand("a", ("i32", "f32")),), (Operand("r", ("i32", "f32")),),
                (Field("op", 2, "what to fold with", default=None, choices=("add", "max", "min")), LANES), "reduce",
                "fold the first lanes by the halving tree of isa.numerics.lane_tree; every lane gets the result"),
    # Vector unit ------------------------------------------------------------------------------------------------
    _vector(0x40, "fmov", 1, "alu", "r = a (conversion, delay)", DELAY),
    _vector(0x41, "fadd", 2, "alu", "r = a + b"),
    _vector(0x42, "fsub", 2, "alu", "r = a - b"),
    _vector(0x43, "fmul", 2, "alu", "r = a · b"),
    _vector(0x44, "fmax", 2, "alu", "r = the larger; NaN if either is"),
    _vector(0x45, "fmin", 2, "alu", "r = the smaller; NaN if either is"),
    _vector(0x46, "flt", 2, "alu", "r = 1 if a < b else 0"),
    _vector(0x47, "fle", 2, "alu", "r = 1 if a ≤ b else 0"),
    _vector(0x48, "feq", 2, "alu", "r = 1 if a = b else 0"),
    _vector(0x49, "fsel", 3, "alu", "r = b if a ≠ 0 else c"),
    _vector(0x4A, "fabs", 1, "alu", "r = |a|"),
    _vector(0x4B, "fneg", 1, "alu", "r = -a"),
    _vector(0x4C, "ffloor", 1, "alu", "r = the largest integer ≤ a"),
    _vector(0x4D, "fround", 1, "alu", "r = the nearest integer, halves to even"),
    _vector(0x4E, "fmadd", 3, "alu", "r = a · b + c, rounded after the product and after the sum"),
    _vector(0x50, "fexp", 1, "function", "r = e^a"),
    _vector(0x51, "flog", 1, "function", "r = ln a"),
    _vector(0x52, "fsqrt", 1, "function", "r = √a"),
    _vector(0x53, "frsqrt", 1, "function", "r = 1 / √a"),
    _vector(0x54, "frecip", 1, "function", "r = 1 / a"),
    _vector(0x55, "ftanh", 1, "function", "r = tanh a"),
    _vector(0x56, "ferf", 1, "function", "r = erf a"),
    _vector(0x57, "fsin", 1, "function", "r = sin a, a in radians"),
    _vector(0x58, "fcos", 1, "function", "r = cos a, a in radians"),
    _vector(0x59, "fatan", 1, "function", "r = arctan a, in -π/2 … π/2"),
    _vector(0x60, "imov", 1, "alu", "r = a (conversion, delay)", DELAY),
    _vector(0x61, "iadd", 2, "alu", "r = a + b, saturating"),
    _vector(0x62, "isub", 2, "alu", "r = a - b, saturating"),
    _vector(0x63, "imul", 2, "alu", "r = a · b, saturating"),
    _vector(0x64, "imax", 2, "alu", "r = the larger"),
    _vector(0x65, "imin", 2, "alu", "r = the smaller"),
    _vector(0x66, "ilt", 2, "alu", "r = 1 if a < b else 0"),
    _vector(0x67, "ile", 2, "alu", "r = 1 if a ≤ b else 0"),
    _vector(0x68, "ieq", 2, "alu", "r = 1 if a = b else 0"),
    _vector(0x69, "isel", 3, "alu", "r = b if a ≠ 0 else c"),
    _vector(0x6A, "iand", 2, "alu", "r = a and b, bit by bit"),
    _vector(0x6B, "ior", 2, "alu", "r = a or b, bit by bit"),
    _vector(0x6C, "ixor", 2, "alu", "r = a exclusive-or b, bit by bit"),
    _vector(0x6D, "ishl", 2, "alu", "r = a · 2^b, saturating; b is taken from 0 to 31"),
    _vector(0x6E, "ishr", 2, "alu", "r = a / 2^b rounded down; b is taken from 0 to 31"),
    _vector(0x70, "fsum", 1, "alu", "running sum along time, one result every group elements", GROUP),
    _vector(0x71, "fmaxt", 1, "alu", "running maximum along time, one result every group elements", GROUP),
    _vector(0x72, "fmint", 1, "alu", "running minimum along time, one result every group elements", GROUP),
    _vector(0x73, "isum", 1, "alu", "running saturating sum along time, one result every group elements", GROUP),
    _vector(0x74, "imaxt", 1, "alu", "running maximum along time, one result every group elements", GROUP),
    _vector(0x75, "imint", 1, "alu", "running minimum along time, one result every group elements", GROUP),
    _vector(0x76, "fdot", 2, "alu", "running sum of products a · b along time, one result every group elements", GROUP),
    _vector(0x77, "idot", 2, "alu", "running saturating sum of saturating products a · b along time, one result every group "
            "elements", GROUP),
)  # fmt: skip

TIMING_KEYS: tuple[str, ...] = (
    "sram.read", "sram.write", "sram.gather", "sram.scatter", "rram.read", "rram.gather",
    "mxm.load", "mxm.swap", "mxm.feed",
    "sxm.shift", "sxm.permute", "sxm.transpose", "sxm.reduce",
    "vxm.alu", "vxm.function",
)  # fmt: skip
"""What a chip file must give a latency for: unit kind and the row's timing key."""


def operation_bits(row: Instruction) -> int:
    """Bits of the operation word that a row uses."""
    fields = sum(f.bits for f in (*COMMON, *row.fields))
    immediate = IMMEDIATE_BITS if any(o.immediate for o in row.sources) else 0
    return OPCODE_BITS + SLOT_BITS + fields + OPERAND_BITS * len(row.sources + row.results) + immediate


def _table() -> dict[str, Instruction]:
    by_name: dict[str, Instruction] = {}
    opcodes: set[int] = set()
    for row in INSTRUCTIONS:
        if row.mnemonic in by_name or row.opcode in opcodes:
            raise ValueError(f"isa table: {row.mnemonic} repeats a mnemonic or an opcode")
        if not row.doc or operation_bits(row) > WORD_BITS:
            raise ValueError(f"isa table: {row.mnemonic} lacks a meaning or does not fit the word")
        by_name[row.mnemonic] = row
        opcodes.add(row.opcode)
    return by_name


BY_MNEMONIC: dict[str, Instruction] = _table()
BY_OPCODE: dict[int, Instruction] = {row.opcode: row for row in INSTRUCTIONS}

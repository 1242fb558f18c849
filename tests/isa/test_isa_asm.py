"""Assembly text: there and back, exactly; and a fault with place, found and expected for everything else."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.asm import MAX_FAULTS, assemble, read_assembly
from isa.asm_operations import immediate_bits, immediate_text
from isa.chip import Chip, load_chip, preset_names
from isa.container import program_bytes, programs_equal
from isa.disasm import disassemble, write_assembly
from isa.errors import ChipFault, DataFault, ScheduleFault, SyntaxFault, ToolchainError
from isa.program import Image, Immediate, Operation, Program, Stream
from isa.spec import INSTRUCTIONS

TINY = load_chip("tiny")
NORMAL = """\
.chip tiny

.fact bound_by "streams"
.fact predicted_cycles 42

.origin 1 "digits.lks:12:5: matmul"
.origin 2 "a \\"quoted\\" \\u00e9"

.symbol x input [4, 8] i8 scale 0.05
  .piece sram.w2 base 0x0010 count 4 row 0 tile 0 byte 0
  .piece sram.w3 base 0x0010 count 4 row 8 tile 1 byte 0 step -1 row_step 2
.symbol "out 1" output [] f32

.data w1 rram.w0 base 0x0002 words 3
  0102
  00
  ff00000000000001
.data "layer 2/w" sram.e1 base 0x0000 words 1
  07

@0     rram.w0.rd read w1+0 step 1 rep 3 -> e4 !1
     | sram.w2.rd read 0x0010 step -1 rep 8 every 2 -> w0
     | sram.e1.wr write e0, "layer 2/w"+0 mask 0x00000001
@31    mxm0.ld    load e0 mode f16 streams 4 count 8 rep 2 !2
     | mxm0.sw    swap
@40    mxm0.fd    feed e0:f16 mode f16 depth 8 -> w0:f32
     | mxm1.fd    feed e0 depth 8 acc 3 fresh 0
     | sxm.w.0    reduce e0:f32 op max lanes 8 -> w0:f32
     | vxm.0      fmul e4:i32, #0.05 -> w3
     | vxm.1      fmul #0x7fc00000, e4:i32 -> w5
     | vxm.2      iadd e4:i32, #-5 -> w6
     | vxm.3      fsel e4, #1e+20, w4:f32 -> w6:f16
@281474976710655 rram.w1.rd gather e0:i32 base 0x0000 limit 32 -> e0
"""


def fault_of(text: str, chip: Chip | None = None) -> SyntaxFault:
    with pytest.raises(SyntaxFault) as caught:
        assemble(text, "t.lasm", chip)
    return caught.value


def test_normal_text_survives() -> None:
    program = assemble(NORMAL, "t.lasm")
    assert disassemble(program) == NORMAL
    assert programs_equal(assemble(disassemble(program), "again"), program)


def test_what_the_text_means() -> None:
    program = assemble(NORMAL, "t.lasm")
    first = program.operations[0]
    assert first == Operation(0, "rram.w0.rd", "read", (), Stream("e", 4), {"addr": 2, "step": 1}, 3, origin=1)
    assert program.operations[-3].sources == (Stream("e", 4, "i32"), Immediate(0xFFFF_FFFB))
    assert program.operations[3].fields == {"mode": 1, "streams": 4, "count": 8}
    assert program.images[0].data.tolist()[0] == [1, 2, 0, 0, 0, 0, 0, 0]
    assert program.symbols[0].pieces[1].row_step == 2
    assert program.facts == {"bound_by": "streams", "predicted_cycles": 42}


def test_text_that_people_write_has_a_normal_form() -> None:
    text = """
    ; a comment
    .chip tiny ; another
    @0x0 vxm.1 fadd e0, #1.50 rep 1 -> e0  |  vxm.0 fmov e0 -> e1 |
         sram.w0.rd read every 1 addr w+1 -> e0
       | mxm0.ld load e0 count 8 streams 4 mode i8
    @2 vxm.0 imov e0 -> w1   ; last
    .data w sram.w0 base 3 words 2\r
      01 02 03 ; three lanes
      FF
    """
    expected = """\
.chip tiny

.data w sram.w0 base 0x0003 words 2
  010203
  ff

@0     mxm0.ld    load e0 streams 4 count 8
     | sram.w0.rd read w+1 -> e0
     | vxm.0      fmov e0 -> e1
     | vxm.1      fadd e0, #1.5 -> e0
@2     vxm.0      imov e0 -> w1
"""
    assert disassemble(assemble(text.replace("read every 1 addr w+1", "read addr w+1 every 1"), "t.lasm")) == expected


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_every_row_survives_the_text(row, random_isa: ModuleType) -> None:
    chip = TINY if random_isa.slots_of(TINY, row.mnemonic) else load_chip("lpu-rram")

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(op=random_isa.operations(chip, row.mnemonic))
    def there_and_back(op: Operation) -> None:
        text = disassemble(Program(chip, [op]))
        program = assemble(text, "t.lasm")
        assert program.operations == [op]
        assert disassemble(program) == text

    there_and_back()


@pytest.mark.parametrize("name", preset_names())
def test_random_programs_survive_the_text(name: str, random_isa: ModuleType) -> None:
    chip = load_chip(name)

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(program=random_isa.programs(chip))
    def there_and_back(program: Program) -> None:
        text = disassemble(program)
        again = assemble(text, "t.lasm")
        assert programs_equal(again, program)
        assert program_bytes(again) == program_bytes(program)
        assert disassemble(again) == text

    there_and_back()


def test_a_chip_of_the_users_own_is_in_the_text(tmp_path: Path) -> None:
    data = TINY.model_dump()
    data["timing"]["vxm.alu"]["latency"] = 7
    program = Program(Chip.model_validate(data), [])
    assert programs_equal(assemble(disassemble(program), "t.lasm"), program)


def test_a_chip_file_is_found_beside_the_text(tmp_path: Path) -> None:
    toml = (Path(__file__).resolve().parents[2] / "isa" / "chips" / "tiny.toml").read_text()
    (tmp_path / "mine.toml").write_text(toml.replace('name = "tiny"', 'name = "mine"'))
    (tmp_path / "bad.toml").write_text(toml.replace("lanes = 8", "lanes = 9"))
    assert assemble('.chip "mine.toml"\n', str(tmp_path / "t.lasm")).chip.name == "mine"
    with pytest.raises(ChipFault, match="superlane"):
        assemble('.chip "bad.toml"\n', str(tmp_path / "t.lasm"))


def test_the_given_chip_is_the_texts_chip() -> None:
    assert assemble("@0 vxm.0 fmov e0 -> e0\n", "t.lasm", TINY).chip == TINY
    assert assemble(NORMAL, "t.lasm", TINY).chip == TINY
    assert "which is not the chip tsp that was asked for" in str(fault_of(NORMAL, load_chip("tsp")))


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        (0x3D4C_CCCD, "#0.05"),
        (0x0000_0000, "#0.0"),
        (0x8000_0000, "#0x80000000"),
        (0x7F80_0000, "#0x7f800000"),
        (0x7FC0_0001, "#0x7fc00001"),
        (0x0000_0001, "#1e-45"),
        (0x7F7F_FFFF, "#3.4028235e+38"),
        (0xBF80_0000, "#-1.0"),
    ],
)
def test_float_immediates_are_the_shortest_decimal(bits: int, text: str) -> None:
    assert immediate_text(bits, "f") == text
    assert immediate_bits(text[1:], "f") == bits


@settings(max_examples=400, deadline=None, derandomize=True)
@given(bits=st.integers(0, 0xFFFF_FFFF), domain=st.sampled_from("fi"))
def test_every_immediate_survives(bits: int, domain) -> None:
    assert immediate_bits(immediate_text(bits, domain)[1:], domain) == bits


FAULTS = [
    (".chip tiny", ".chip tyni", "1:7", "there is no chip 'tyni'"),
    (
        ".chip tiny",
        ".chip",
        "1:6",
        "expected a chip (lpu-rram, tiny or tsp, or the path of a chip file in quotes), found the end",
    ),
    (".chip tiny", '.chip "no.toml"', "1:7", "there is no chip file"),
    (".chip tiny", ".chip {", "1:7", "expected a chip as JSON"),
    (".chip tiny", '.chip {"name": 1}', "1:7", "this is not a chip: name: "),
    (".chip tiny\n", "", "2:1", "expected '.chip' and a chip before anything else, found '.fact'"),
    (".chip tiny\n", ".chip tiny\n.chip tsp\n", "2:7", "the chip is already tiny"),
    ('"streams"', "streams", "3:16", "expected a value as JSON, found 'streams'"),
    ('"streams"', "NaN", "3:16", "expected a value as JSON, found 'NaN'"),
    (".fact predicted", ".fact bound_by 1\n.fact predicted", "4:7", "fact 'bound_by' is given twice"),
    (".origin 2", ".origin 3", "7:9", "expected the number of the next origin: 2 to 2, found '3'"),
    ('12:5: matmul"', "12:5: matmul", "6:11", "expected a word, a number or a mark, found '\"digits.lks:12:5:'"),
    ("x input", "x inputs", "9:11", "expected the role of the symbol (input, output, param or state), found 'inputs'"),
    ("[4, 8]", "[4 8]", "9:20", "expected ',', found '8'"),
    ("[4, 8]", "[4, -8]", "9:21", "expected an extent: 0 to"),
    ("i8 scale", "i9 scale", "9:24", "expected a type (i8, f16, i32 or f32), found 'i9'"),
    ("scale 0.05", "scale e", "9:33", "expected a number, found 'e'"),
    ("scale 0.05", "scale 1e999", "9:33", "expected a finite number"),
    (".piece sram.w2", ".piece vxm", "10:10", "no memory slice 'vxm' on chip tiny"),
    ("count 4 row 0", "row 0", "10:49", "expected count of the piece, found the end of the line"),
    ("count 4 row 0", "count 99 row 0", "10:10", "a piece of 99 words from 16 is not in the words of sram.w2"),
    ("count 4 row 0", "count 4 count 4 row 0", "10:38", "count is given twice"),
    (".piece sram.w2", ".peace sram.w2", "10:3", "expected a directive (.chip, .fact, .origin, .symbol, .piece or .data)"),
    ("rram.w0 base", "rram.w7 base", "14:7", "no memory slice 'rram.w7'"),
    ("words 3", "words 100", "14:7", "words 2 to 101 are not in the 32 words of rram.w0"),
    ("words 3", "words 4", "14:7", "image w1 has 4 words, found 3 lines of them"),
    ("  0102\n", "  010\n", "15:3", "expected a word of data in hexadecimal, two digits a lane, found '010'"),
    ("ff00000000000001", "ff0000000000000102", "17:3", "a word has 8 lanes, found 9 bytes"),
    ("@0     rram.w0.rd", "@0     rram.w9.rd", "21:8", "chip tiny has no slot 'rram.w9.rd'"),
    ("rram.w0.rd read", "rram.w0.rd raed", "21:19", "there is no instruction 'raed'"),
    ("rram.w0.rd read", "rram.w0.rd write", "21:19", "write is not allowed in rram.w0.rd of chip tiny"),
    ("read w1+0", "read", "21:24", "no label 'step' in rram.w0"),
    ("read w1+0", "read w2+0", "21:24", "no label 'w2' in rram.w0"),
    ("read w1+0", "read w1+3", "21:27", "offset 3 is outside the 3 words of w1"),
    ("read w1+0", "read w1+", "21:28", "expected the offset of a word, found 'step'"),
    ("read w1+0", "read e0, w1+0", "21:24", "no label 'e0' in rram.w0"),
    ("read w1+0", "read 131072", "21:24", "expected an address or a label for addr of read: 0 to 131071, found '131072'"),
    ("step 1 rep 3 -> e4", "step 1 rep 3", "21:42", "expected a field of read or '->' and its result, found '!'"),
    ("step 1 rep 3 -> e4", "step 1 rep 0 -> e4", "21:40", "expected a value of rep: 1 to 65535, found '0'"),
    ("step 1 rep 3 -> e4", "step 1 stop 3 -> e4", "21:36", "expected a field of read (addr, step, rep or every)"),
    ("step 1 rep 3 -> e4", "step 1 step 3 -> e4", "21:36", "step is given twice"),
    ("step 1 rep 3 -> e4", "step 1 rep 3 -> e8", "21:45", "operand r: e8 is outside e0 to e7 of the chip"),
    ("step 1 rep 3 -> e4", "step 1 rep 3 -> e4:i32", "21:45", "operand r is i8, found e4:i32"),
    ("-> e4 !1", "-> e4 !3", "21:49", "expected the number of an origin: 0 to 2, found '3'"),
    ("-> e4 !1", "-> e4 e5", "21:48", "expected '|', '!' and an origin, or the end of the line, found 'e5'"),
    ('write e0, "layer', 'write "layer', "23:25", "expected operand a of write, a stream such as e4, found"),
    ('write e0, "layer', 'write e0 "layer', "23:28", "expected ',' and the address of write"),
    ("mask 0x00000001", "mask 0x00000001 -> e0", "23:59", "write has no result"),
    ("mode f16 streams 4", "mode f32 streams 4", "24:32", "expected mode: i8, f16 or i8f16, found 'f32'"),
    ("mode f16 streams 4", "mode f16 streams 3", "24:19", "streams of a load of f16 weights is a multiple of 2"),
    ("mode f16 streams 4", "mode f16 streams 40", "24:19", "operand a: e0 to e39 is outside e0 to e7"),
    ("mode f16 streams 4", "mode f16", "24:50", "expected streams of load"),
    ("@31 ", "@0  ", "24:2", "cycle 0 does not come after cycle 0"),
    ("@31 ", "@x  ", "24:2", "expected a cycle, found 'x'"),
    (
        "| mxm0.sw    swap",
        "| mxm0.ld    load e0 streams 1 count 1",
        "25:8",
        "slot mxm0.ld is used twice in cycle 31, first in line 24",
    ),
    ("     | mxm0.sw", "       mxm0.sw", "25:8", "expected a directive, '@' and a cycle, or '|' and an operation"),
    ("     | mxm0.sw", "     | | mxm0.sw", "25:8", "expected a slot, found '|'"),
    ("feed e0:f16", "feed e1:f16", "26:24", "operand a: e1:f16 is not aligned: f16 takes 2 streams from a multiple of 2"),
    ("feed e0:f16", "feed e0:f64", "26:24", "expected a type (i8, f16, i32 or f32) after ':', found 'e0:f64'"),
    ("feed e0:f16", "feed #1", "26:24", "expected a stream for operand a of feed, found '#1'"),
    ("fmul e4:i32, #0.05", "fmul e4:i32", "29:31", "expected ',' and operand b of fmul, found '->'"),
    ("fmul e4:i32, #0.05", "fmul e4:i32, #0.05, e0", "29:37", "expected a field of fmul or '->' and its result, found ','"),
    ("fmul e4:i32, #0.05", "fmul #1, #0.05", "29:28", "expected a stream for operand b of fmul: an operation has at most one"),
    ("#0.05", "#0.0.5", "29:32", "expected # and a finite float32 in decimal, or # and 32 bits as 0x…, found '#0.0.5'"),
    ("#0.05", "#1e39", "29:32", "expected # and a finite float32"),
    ("#-5", "#2147483648", "31:32", "expected # and an int32 in decimal"),
    ("#-5", "?", "31:32", "expected a word, a number or a mark, found '?'"),
    ("\n@2814", " |\n@2814", "33:1", "expected an operation after '|', found '@'"),
    ("limit 32 -> e0\n", "limit 32 -> e0 |\n", "33:71", "expected an operation after '|', found the end of the line"),
    ("@281474976710655", "@281474976710656", "33:2", "expected a cycle: 0 to 281474976710655"),
]


@pytest.mark.parametrize(("old", "new", "place", "message"), FAULTS, ids=[f"{f[2]}-{f[1].strip()[:24]}" for f in FAULTS])
def test_faults_name_place_found_and_expected(old: str, new: str, place: str, message: str) -> None:
    assert old in NORMAL
    text = NORMAL.replace(old, new, 1)
    fault = fault_of(text)
    line, column = (int(n) for n in place.split(":"))
    shown = fault.render().splitlines()
    assert shown[0].startswith(f"t.lasm:{place}: error: ")
    assert message in shown[0]
    assert shown[1] == "  " + text.split("\n")[line - 1]
    assert shown[2] == " " * (column + 1) + "^"


def test_every_fault_of_a_text_is_told_up_to_a_limit() -> None:
    two = fault_of(".chip tiny\n@0 vxm.9 fmov e0 -> e0\n@1 vxm.0 fmov e9 -> e0\n@2 vxm.0 fmov e0 -> e0\n")
    assert "vxm.9" in two.message
    assert two.notes == ("t.lasm:3:15: operand a: e9 is outside e0 to e7 of the chip",)
    many = fault_of(".chip tiny\n" + "what\n" * 100)
    assert len(many.notes) == MAX_FAULTS - 1


def test_what_hangs_on_a_fault_is_not_blamed() -> None:
    data = fault_of(".chip tiny\n.data w rram.w0 base 0 words 99\n  01\n  02\n@0 rram.w0.rd read w+7 -> e0\n@1 vxm.9\n")
    assert [note.split(": ")[0] for note in data.notes] == ["t.lasm:6:4"]
    symbol = fault_of(".chip tiny\n.symbol x gift [4] i8\n.piece what\n.piece ever\n")
    assert symbol.notes == ()


def test_the_empty_text_lacks_a_chip() -> None:
    assert "expected '.chip' and a chip, found none" in str(fault_of(""))
    assert programs_equal(assemble("", "t.lasm", TINY), Program(TINY, []))


def test_a_label_that_stands_for_two_images_is_not_used() -> None:
    images = [Image("w", "rram.w0", base, np.full((1, 8), base, np.uint8)) for base in (0, 4)]
    read = Operation(0, "rram.w0.rd", "read", (), Stream("e", 0), {"addr": 4})
    program = Program(TINY, [read], images)
    text = disassemble(program)
    assert "read 0x0004 -> e0" in text
    assert programs_equal(assemble(text, "t.lasm"), program)
    assert "label 'w' stands for 2 images in rram.w0" in str(fault_of(text.replace("0x0004 -> e0", "w -> e0")))


def big_program() -> Program:
    data = np.arange(30 * 320).reshape(30, 320).astype(np.uint8)
    images = [Image("w", "rram.w0", 0, data), Image("small", "rram.w0", 90, data[:2]), Image("w", "rram.e0", 0, data[::-1])]
    return Program(load_chip("lpu-rram"), [], images)


def test_large_images_go_beside_the_text(tmp_path: Path) -> None:
    files = write_assembly(big_program(), tmp_path / "p.lasm")
    assert [file.name for file in files] == ["p.lasm", "p.lasm.images"]
    assert (tmp_path / "p.lasm").stat().st_size < 4000
    assert programs_equal(read_assembly(tmp_path / "p.lasm"), big_program())
    assert write_assembly(assemble(NORMAL, "t"), tmp_path / "q.lasm") == (tmp_path / "q.lasm",)
    assert (tmp_path / "q.lasm").read_text() == NORMAL


def test_side_files_that_do_not_fit_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "p.lasm"
    write_assembly(big_program(), path)
    text = path.read_text()

    def told(changed: str) -> str:
        with pytest.raises(SyntaxFault) as caught:
            assemble(changed, str(path))
        return str(caught.value)

    assert "has no image '7'" in told(text.replace('key "0"', 'key "7"'))
    assert "there is no file" in told(text.replace("p.lasm.images", "q.images"))
    assert "its sha256 differs" in told(re.sub('sha256 "..', 'sha256 "zz', text, count=1))
    assert "expected uint8 [29, 320]" in told(text.replace("words 30", "words 29", 1))
    (tmp_path / "p.lasm.images").write_bytes(b"\xff" * 100)
    assert "cannot read images from p.lasm.images" in told(text)


def test_files_that_cannot_be_read_or_written_are_data_faults(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="cannot read the assembly file: No such file"):
        read_assembly(tmp_path / "none.lasm")
    (tmp_path / "latin.lasm").write_bytes(b"\xe9")
    with pytest.raises(DataFault, match="it is not UTF-8 text"):
        read_assembly(tmp_path / "latin.lasm")
    with pytest.raises(DataFault, match="cannot write the file"):
        write_assembly(Program(TINY, []), tmp_path / "none" / "p.lasm")


def test_a_program_that_is_not_well_formed_has_no_text() -> None:
    with pytest.raises(ScheduleFault, match=r"cycle 0, vxm\.0: fmov needs a result"):
        disassemble(Program(TINY, [Operation(0, "vxm.0", "fmov", (Stream("e", 0),))]))
    with pytest.raises(ScheduleFault, match="origin 0"):
        disassemble(Program(TINY, [], origins=[]))


PIECES = st.sampled_from(
    [*sorted(set(re.findall(r"\S+|\s", NORMAL))), "\0", "é", "1" * 5000, '"', "[" * 2000, "{", "0x", "#", "\u2028"]
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, len(NORMAL)), st.integers(0, 12), PIECES), min_size=1, max_size=4))
def test_mutated_text_is_assembled_or_refused(edits: list[tuple[int, int, str]]) -> None:
    text = NORMAL
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]
    try:
        program = assemble(text, "t.lasm")
    except ToolchainError:
        return
    normal = disassemble(program)
    assert disassemble(assemble(normal, "t.lasm")) == normal


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_is_assembled_or_refused(text: str) -> None:
    try:
        program = assemble(".chip tiny\n" + text, "t.lasm")
    except ToolchainError:
        return
    assert program.operations == []

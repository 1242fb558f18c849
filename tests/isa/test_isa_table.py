"""Every row of the instruction table has all its pieces; what is missing is listed, as isa/ADDING_AN_INSTRUCTION.md has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa.chip import load_chip, preset_names
from isa.encode import HEADER_OPCODE
from isa.form import AT_LEAST_ONE, takes
from isa.numerics import ELEMENTWISE, RUNNING, RUNNING_PRODUCTS
from isa.spec import INSTRUCTIONS, OPCODE_BITS, TIMING_KEYS, Instruction
from sim.semantics import SEMANTICS

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "isa.md").read_text(encoding="utf-8")
CHIPS = [load_chip(name) for name in preset_names()]


def missing_pieces(row: Instruction) -> list[str]:
    """What a row still lacks, in the order of the steps of adding it."""
    missing: list[str] = []
    if not HEADER_OPCODE < row.opcode < 1 << OPCODE_BITS:
        missing.append(f"isa/spec.py: opcode 0x{row.opcode:02x} is not one of 0x01 to 0xff")
    if len(row.results) > 1:
        missing.append("isa/spec.py: an operation has at most one result")
    for port in row.ports:
        if f"{port.split('.')[0]}.{row.timing}" not in TIMING_KEYS:
            missing.append(f"isa/spec.py: TIMING_KEYS lacks {port.split('.')[0]}.{row.timing}")
    if not any(takes(slot, row, chip) for chip in CHIPS for slot in chip.slot_list):
        missing.append("isa/chips: no preset has a slot that takes it")
    if row.ports == ("vxm",) and row.mnemonic not in {*ELEMENTWISE, *RUNNING, *RUNNING_PRODUCTS}:
        missing.append("isa/numerics.py: no definition in ELEMENTWISE, RUNNING or RUNNING_PRODUCTS")
    if row.mnemonic not in SEMANTICS:
        missing.append("sim/semantics.py: no meaning")
    if f"| `{row.mnemonic}` | 0x{row.opcode:02x} |" not in MANUAL:
        missing.append("docs/isa.md: python -m isa.manual > docs/isa.md")
    return missing


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_a_row_has_all_its_pieces(row: Instruction) -> None:
    missing = missing_pieces(row)
    assert not missing, f"{row.mnemonic} is not finished:\n" + "\n".join(missing)


def test_a_row_that_has_nothing_but_itself_lacks_every_piece() -> None:
    new = Instruction("frob", 0x1FF, ("vxm",), (), (), (), "slow", "a new row")
    assert [problem.split(":")[0] for problem in missing_pieces(new)] == [
        "isa/spec.py",
        "isa/spec.py",
        "isa/numerics.py",
        "sim/semantics.py",
        "docs/isa.md",
    ]


def test_definitions_belong_to_rows() -> None:
    names = {row.mnemonic for row in INSTRUCTIONS}
    assert set(ELEMENTWISE) | set(RUNNING) | set(RUNNING_PRODUCTS) | set(SEMANTICS) <= names


def test_counting_fields_are_fields() -> None:
    assert {f.name for row in INSTRUCTIONS for f in row.fields} >= AT_LEAST_ONE

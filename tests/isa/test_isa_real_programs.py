"""Programs that really run keep every bit through text and file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from isa.asm import assemble, read_assembly
from isa.container import load_program, program_bytes, programs_equal, save_program
from isa.disasm import disassemble, write_assembly


@pytest.mark.parametrize("name", ["matvec", "lookup"])
def test_a_program_written_by_hand_survives_text_and_file(name: str, hand_programs: ModuleType, tmp_path: Path) -> None:
    program = getattr(hand_programs, name)()
    assert len(program.operations) > 2
    assert programs_equal(assemble(disassemble(program), "t.lasm"), program)
    save_program(program, tmp_path / "p.lbin")
    write_assembly(load_program(tmp_path / "p.lbin"), tmp_path / "p.lasm")
    assert program_bytes(read_assembly(tmp_path / "p.lasm")) == (tmp_path / "p.lbin").read_bytes()

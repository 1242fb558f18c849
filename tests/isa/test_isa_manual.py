"""The manual is the table's, and fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from isa.asm import assemble
from isa.chip import load_chip, preset_names
from isa.disasm import disassemble
from isa.manual import manual_text
from isa.spec import INSTRUCTIONS, TIMING_KEYS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "isa.md"
REFRESH = "docs/isa.md is stale; refresh it with: python -m isa.manual > docs/isa.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual_text(), REFRESH


def test_the_command_prints_the_page() -> None:
    run = subprocess.run([sys.executable, "-m", "isa.manual"], capture_output=True, check=True)
    assert run.stdout.decode() == manual_text()


def test_every_row_has_its_line() -> None:
    text = manual_text()
    for row in INSTRUCTIONS:
        line = next(line for line in text.splitlines() if line.startswith(f"| `{row.mnemonic}` |"))
        assert f"| 0x{row.opcode:02x} |" in line
        assert line.replace("\\|", "|").endswith(f"| {row.doc} |")
        for field in row.fields:
            assert re.search(rf"^\| `{field.name}` \|.*\b{row.mnemonic}\b", text, re.MULTILINE), field.name


def test_every_latency_of_every_preset_is_there() -> None:
    text = manual_text()
    for key in TIMING_KEYS:
        cells = next(line for line in text.splitlines() if line.startswith(f"| `{key}` |")).split(" | ")[1:]
        for cell, name in zip(cells, preset_names(), strict=True):
            timing = load_chip(name).timing.get(key)
            assert cell.rstrip(" |") == (str(timing.latency) if timing else "none")


def test_the_example_assembles() -> None:
    example = next(block for block in manual_text().split("```\n") if block.startswith(".chip"))
    program = assemble(example, "isa.md")
    assert len(program.operations) == 4
    assert assemble(disassemble(program), "again").operations == program.operations

"""`--report`: busy slots and source places, counted by hand for a program small enough."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from compiler.cli.main import lockstep
from compiler.cli.report import busiest_slots, program_report, source_times
from isa.asm import assemble

TEXT = """.chip tiny
.origin 1 "a.lks:1:1: copy"
.data w rram.w0 base 0 words 2
  0101010101010101
  0202020202020202
@0 rram.w0.rd read w+0 step 1 rep 2 every 3 -> e0 !1
@12 vxm.0 imov e0 rep 2 every 3 -> e1
"""


def test_slots_are_held_from_first_to_last_dispatch() -> None:
    program = assemble(TEXT, "t.lasm")
    assert busiest_slots(program) == [
        {"slot": "rram.w0.rd", "busy_cycles": 4, "share": round(4 / 16, 4)},
        {"slot": "vxm.0", "busy_cycles": 4, "share": round(4 / 16, 4)},
    ]


def test_places_of_the_source_come_in_order_of_their_work() -> None:
    assert source_times(assemble(TEXT, "t.lasm")) == [
        {"place": "a.lks:1:1: copy", "first_cycle": 0, "end_cycle": 6, "operations": 1},
        {"place": "", "first_cycle": 12, "end_cycle": 16, "operations": 1},
    ]


def test_the_command_writes_it(tmp_path: Path) -> None:
    source, report = tmp_path / "a.lks", tmp_path / "r.json"
    source.write_text("input x: i8[4, 8]\noutput y = relu(x)\n")
    done = CliRunner().invoke(
        lockstep, ["compile", str(source), "--chip", "tiny", "-o", str(tmp_path / "a.lbin"), "--report", str(report)]
    )
    assert done.exit_code == 0
    values = json.loads(report.read_text())
    assert set(values) >= set(program_report(assemble(TEXT, "t.lasm")))
    assert values["source"][0]["place"].startswith(f"{source.name}:2:")
    assert max(s["end_cycle"] for s in values["source"]) == values["predicted_cycles"]

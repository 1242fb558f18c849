"""Operands that are made at run time and needed transposed, on a chip whose planes cannot load them so."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.session import compile_file, run_and_compare
from isa.chip import load_chip
from isa.errors import ModelFault

PROGRAMS = {
    "bytes, in order": "input q: i8[16, 64]\ninput k: i8[32, 64]\noutput y = q @ k.T",
    "no whole blocks": "input q: i8[5, 40]\ninput k: i8[37, 40]\noutput y = q @ k.T",
    "several tiles both ways": "input q: i8[3, 340]\ninput k: i8[330, 340]\noutput y = q @ k.T",
    "one column, in every lane": "input q: i8[5, 40]\ninput k: i8[1, 40]\noutput y = (q @ k.T) * 3",
    "heads": """
        input q: i8[32, 128]
        input k: i8[32, 128]
        fn heads(x) { return transpose(reshape(x, [32, 4, 32]), [1, 0, 2]) }
        output y = heads(q) @ heads(k).T""",
    "heads of half a block": """
        input q: i8[16, 32]
        input k: i8[16, 32]
        fn heads(x) { return transpose(reshape(x, [16, 4, 8]), [1, 0, 2]) }
        output y = heads(q) @ heads(k).T""",
    "wider types": "input q: f16[2, 5, 24]\ninput k: f16[2, 17, 24]\noutput y = q @ transpose(k, [0, 2, 1])",
    "in memory": "input x: f32[18, 330]\noutput y = transpose(x, [1, 0])",
    "every second row": "input x: i8[20, 3, 35]\noutput y = transpose(x, [1, 2, 0])",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_lane_units_transpose(name: str, tmp_path: Path) -> None:
    source = tmp_path / "m.lks"
    source.write_text("\n".join(line.strip() for line in PROGRAMS[name].splitlines()) + "\n")
    compiled = compile_file(source, load_chip("tsp"))
    assert any(op.mnemonic == "transpose" for op in compiled.program.operations)
    run_and_compare(compiled, random_inputs(compiled.declared, 0, 1), ["fast", "reference"])


def test_a_chip_that_can_do_neither_says_so(tmp_path: Path) -> None:
    chip = load_chip("tsp")
    poor = chip.model_copy(update={"sxm": chip.sxm.model_copy(update={"instructions": ("shift",)})})
    source = tmp_path / "m.lks"
    source.write_text("input q: i8[5, 40]\ninput k: i8[37, 40]\noutput y = q @ k.T\n")
    with pytest.raises(ModelFault, match="neither load transposed weights nor"):
        compile_file(source, poor)

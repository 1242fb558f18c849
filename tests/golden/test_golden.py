"""Programs and cycle counts as they were reviewed: a change shows as a diff of these files.

`pytest tests/golden --update-golden` writes them anew.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import pytest

from compiler.session import compile_file
from isa.chip import load_chip, preset_names
from isa.disasm import disassemble
from isa.errors import ModelFault

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WITH_WEIGHTS = [path for path in (ROOT / "samples").glob("*/*.lks") if path.parent.name != "smollm2"]  # its own are downloaded
SAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in WITH_WEIGHTS)


def agree(path: Path, text: str, update: bool) -> None:
    """Compare with a golden file, or write it."""
    if update:
        path.write_text(text, encoding="utf-8")
        return
    golden = path.read_text(encoding="utf-8") if path.exists() else ""
    if text == golden:
        return
    name = path.relative_to(ROOT).as_posix()
    diff = difflib.unified_diff(golden.splitlines(), text.splitlines(), f"golden {name}", "now", lineterm="", n=1)
    shown = "\n".join(list(diff)[:40])
    pytest.fail(
        f"{shown}\n\nIf this is meant: pytest tests/golden --update-golden, and look at git diff tests/golden.", pytrace=False
    )


@pytest.mark.parametrize("sample", ["counter", "norm"])
def test_assembly_on_tiny(sample: str, update_golden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small enough to read: every operation with its cycle, slot, streams and place in the source."""
    monkeypatch.chdir(ROOT)
    compiled = compile_file(Path("samples") / sample / f"{sample}.lks", load_chip("tiny"))
    agree(HERE / f"{sample}.tiny.lasm", disassemble(compiled.program), update_golden)


def measure(sample: str, chip: str) -> dict[str, object]:
    """Cycles, their lower bound and what sets it; or why the chip cannot take the model."""
    try:
        facts = compile_file(Path(sample), load_chip(chip)).program.facts
    except ModelFault as fault:
        return {"refused": fault.message}
    return {"cycles": facts["predicted_cycles"], "bound": facts["bound_cycles"], "bound_by": facts["bound_by"]}


def test_cycles_of_the_samples(update_golden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample on every chip: what an optimisation gains, and what it costs elsewhere."""
    monkeypatch.chdir(ROOT)
    found = {sample: {chip: measure(sample, chip) for chip in preset_names()} for sample in SAMPLES}
    agree(HERE / "cycles.json", json.dumps(found, indent=2) + "\n", update_golden)

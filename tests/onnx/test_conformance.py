"""Node cases of the `onnx` package across all families, by the benchmark that runs every one of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.frontend.onnx.translators import TRANSLATORS

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).with_name("conformance_sample.txt")
PARTS = 2


def sample() -> list[tuple[str, list[str]]]:
    """Modules, each with the names of its cases."""
    lines = [line for line in SAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return [(module, cases.split()) for module, cases in (line.split(":") for line in lines)]


@pytest.mark.parametrize("part", range(PARTS))
def test_sample_of_every_family(part: int) -> None:
    chosen = sample()[part::PARTS]
    options = [word for module, cases in chosen for word in ("--module", module, *(w for c in cases for w in ("--case", c)))]
    script = ROOT / "benchmarks" / "onnx_conformance.py"
    command = [sys.executable, str(script), "--json", "--workers", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert sorted(row["case"] for row in rows) == sorted(case for _, cases in chosen for case in cases)
    assert [row for row in rows if row["status"] != "passed"] == []
    assert all(row["cycles"] > 0 for row in rows)


def test_the_page_lists_every_operator_that_has_a_translator() -> None:
    text = (ROOT / "docs" / "onnx.md").read_text().split("## Operators")[1]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("|")][2:]
    listed = {(kind if kind.startswith("ai.") else "", operator) for kind, names in rows for operator in names.split()}
    assert listed == set(TRANSLATORS)

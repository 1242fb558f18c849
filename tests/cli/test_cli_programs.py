"""asm, disasm, check, run and chip do what their help says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

Run = Callable[..., Result]
KEYS = [
    *("cycles", "predicted_cycles", "bound_cycles", "bound_by", "clock_ghz", "latency_us"),
    *("mxm_utilisation", "rram_bandwidth_utilisation", "energy_uj", "energy", "calls", "machine", "simulate_seconds"),
    "outputs",
]
"""Of `run --json`: a promise to scripts."""


def test_assembly_comes_back_as_the_same_program(run: Run, relu_program: Path) -> None:
    assert run("disasm", "relu.lbin", "-o", "again.lasm").exit_code == 0
    assert run("asm", "again.lasm", "-o", "again.lbin").exit_code == 0
    assert Path("again.lbin").read_bytes() == relu_program.read_bytes()
    assert run("disasm", "relu.lbin").stdout == Path("again.lasm").read_text()


@pytest.mark.parametrize("program", ["relu.lasm", "relu.lbin"])
@pytest.mark.parametrize("machine", ["fast", "reference"])
def test_run_writes_outputs(run: Run, relu_program: Path, program: str, machine: str) -> None:
    result = run("run", program, "--input", "x=x.npy", "--output", "made/here", "--machine", machine)
    assert result.exit_code == 0
    assert result.stdout.startswith("7 cycles = 0.007 us at 1 GHz")
    assert np.array_equal(np.load("made/here/y.npy"), np.maximum(np.load("x.npy"), 0))
    assert [path.name for path in Path("made/here").iterdir()] == ["y.npy"]


def test_json_has_the_keys_of_the_manual(run: Run, relu_program: Path) -> None:
    values = json.loads(run("run", "relu.lbin", "--input", "x=x.npy", "--json").stdout)
    assert list(values) == KEYS
    assert values["cycles"] == values["predicted_cycles"] == 7
    assert values["outputs"]["y"]["shape"] == [2, 8]
    assert values["outputs"]["y"]["dtype"] == "int8"
    other = json.loads(run("run", "relu.lbin", "--input", "x=x.npy", "--json", "--machine", "reference").stdout)
    timed = ("machine", "simulate_seconds")
    assert {k: v for k, v in values.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}


def test_calls_take_stacked_inputs(run: Run, relu_program: Path) -> None:
    stacked = np.arange(-24, 24, dtype=np.int8).reshape(3, 2, 8)
    np.save("many.npy", stacked)
    assert run("run", "relu.lbin", "--input", "x=many.npy", "--calls", "3", "--output", "out").exit_code == 0
    assert np.array_equal(np.load("out/y.npy"), np.maximum(stacked, 0))


def test_check_passes_a_legal_program(run: Run, relu_program: Path) -> None:
    assert run("check", "relu.lbin").stdout == "relu.lbin: 3 operations in 7 cycles keep every rule of tiny\n"
    assert json.loads(run("check", "relu.lasm", "--json").stdout) == {
        "chip": "tiny",
        "operations": 3,
        "cycles": 7,
        "faults": [],
    }


def test_check_names_the_broken_rule(run: Run, folder: Path) -> None:
    (folder / "late.lasm").write_text((folder / "relu.lasm").read_text().replace("@5", "@6"))
    result = run("check", "late.lasm", "--json")
    assert result.exit_code == 1
    faults = json.loads(result.stdout)["faults"]
    assert {fault["rule"] for fault in faults} >= {"meeting"}
    text = run("check", "late.lasm")
    assert text.exit_code == 1
    assert "@6 sram.e0.wr write" in text.stderr
    assert text.stdout == ""


def test_asm_refuses_a_broken_rule_unless_told(run: Run, folder: Path) -> None:
    (folder / "late.lasm").write_text((folder / "relu.lasm").read_text().replace("@5", "@6"))
    assert run("asm", "late.lasm").exit_code == 1
    assert not Path("late.lbin").exists()
    assert run("asm", "late.lasm", "--no-check").exit_code == 0
    assert run("run", "late.lbin", "--input", "x=x.npy").exit_code == 1


def test_chips_are_listed_and_shown(run: Run) -> None:
    names = [chip["name"] for chip in json.loads(run("chip", "list", "--json").stdout)["chips"]]
    assert names == ["lpu-rram", "tiny", "tsp"]
    assert all(name in run("chip", "list").stdout for name in names)
    shown = run("chip", "show", "lpu-rram").stdout
    assert "rram.read" in shown
    assert "524,288,000" in shown


def test_a_shown_chip_can_be_changed_and_used(run: Run, folder: Path) -> None:
    text = run("chip", "show", "tiny", "--toml").stdout
    (folder / "mine.toml").write_text(text.replace('name = "tiny"', 'name = "mine"'))
    mine = json.loads(run("chip", "show", "mine.toml", "--json").stdout)
    assert mine["name"] == "mine"
    assert mine["digest"] == json.loads(run("chip", "show", "tiny", "--json").stdout)["digest"]


def test_graph_stage_can_be_printed_or_written(run: Run) -> None:
    printed = run("compile", "model.lks", "--emit", "graph")
    assert printed.exit_code == 0
    assert "graph.matmul" in printed.stdout
    assert run("compile", "model.lks", "--emit", "graph", "-o", "model.mlir").exit_code == 0
    assert Path("model.mlir").read_text() == printed.stdout

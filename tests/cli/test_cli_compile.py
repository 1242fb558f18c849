"""compile and verify: what they write, what they print, and that nothing is left of a compilation that fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from compiler import pipeline
from compiler.backend.emit import Schedule, emit
from compiler.cli.main import lockstep
from compiler.weights import WeightStore
from isa.chip import Chip
from isa.container import load_program
from isa.program import Program

Run = Callable[..., Result]
PERFORMANCE = ["cycles", "predicted_cycles", "bound_cycles", "bound_by", "clock_ghz", "latency_us"]
TINY = ("--chip", "tiny", "--precision", "f16")
USE = ["mxm_utilisation", "rram_bandwidth_utilisation", "energy_uj", "energy"]


def test_compile_writes_the_program_and_its_report(run: Run, folder: Path) -> None:
    result = run("compile", "model.lks", "--report", "report.json")
    assert result.exit_code == 0
    assert "model.lbin: " in result.stdout
    report = json.loads(Path("report.json").read_text())
    assert list(report)[: len(PERFORMANCE)] == PERFORMANCE
    assert 0 < report["bound_cycles"] <= report["predicted_cycles"]
    assert run("check", "model.lbin").exit_code == 0
    np.save("in.npy", np.ones((2, 4), np.float32))
    ran = json.loads(run("run", "model.lbin", "--input", "x=in.npy", "--output", "out", "--json").stdout)
    assert ran["cycles"] == report["predicted_cycles"]
    assert np.array_equal(np.load("out/y.npy"), np.full((2, 3), [18, 22, 26], np.float32))


def test_compile_says_the_same_in_json(run: Run) -> None:
    values = json.loads(run("compile", "model.lks", "-o", "here.lbin", *TINY, "--json").stdout)
    assert list(values)[: len(PERFORMANCE)] == PERFORMANCE
    assert values["cycles"] is None
    assert values["chip"] == "tiny"
    assert values["program_bytes"] == Path(values["program"]).stat().st_size


def test_the_same_source_gives_the_same_bytes(run: Run) -> None:
    for name in ("a.lbin", "b.lbin"):
        assert run("compile", "model.lks", "-o", name).exit_code == 0
    assert Path("a.lbin").read_bytes() == Path("b.lbin").read_bytes()


def test_the_folder_of_the_source_is_not_in_the_program(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("compile", "model.lks", "-o", "here.lbin").exit_code == 0
    assert run("compile", str(folder / "model.lks"), "-o", "absolute.lbin").exit_code == 0
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert run("compile", "../model.lks", "-o", "there.lbin").exit_code == 0
    here = (folder / "here.lbin").read_bytes()
    assert (folder / "absolute.lbin").read_bytes() == here
    assert Path("there.lbin").read_bytes() == here
    assert {origin.split(":")[0] for origin in load_program("there.lbin").origins} == {"", "model.lks"}


def test_emitted_assembly_is_the_program(run: Run) -> None:
    assert run("compile", "model.lks", *TINY).exit_code == 0
    assert run("compile", "model.lks", *TINY, "--emit", "lasm", "-o", "model.lasm").exit_code == 0
    assert run("asm", "model.lasm", "-o", "again.lbin").exit_code == 0
    assert Path("again.lbin").read_bytes() == Path("model.lbin").read_bytes()


def test_an_illegal_program_of_ours_is_not_blamed_on_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def emit_late(found: Schedule, weights: WeightStore, chip: Chip) -> Program:
        program = emit(found, weights, chip)
        program.operations = [replace(op, cycle=op.cycle + 1) if op.mnemonic == "write" else op for op in program.operations]
        return program

    monkeypatch.setattr(pipeline, "emit", emit_late)
    result = CliRunner().invoke(lockstep, ["compile", "model.lks"])
    assert result.exit_code == 70
    assert result.stderr.startswith("error: the compiled program is not legal: ")
    assert "this is a fault of Lockstep, not of your program" in result.stderr
    assert not Path("model.lbin").exists()


@pytest.mark.parametrize(("chip", "precision"), [("lpu-rram", "f32"), ("tiny", "f16"), ("tiny", "i8f16")])
def test_verify_runs_both_machines(run: Run, chip: str, precision: str) -> None:
    arguments = ("verify", "model.lks", "--chip", chip, "--precision", precision, "--machine", "both", "--calls", "2")
    values = json.loads(run(*arguments, "--json").stdout)
    assert list(values)[: len(PERFORMANCE + USE)] == PERFORMANCE + USE
    assert values["cycles"] == values["predicted_cycles"]
    assert values["outputs"]["y"]["shape"] == [2, 2, 3]
    assert "cycles as predicted" in run(*arguments).stdout


def test_verify_takes_inputs_and_seeds(run: Run) -> None:
    np.save("in.npy", np.ones((2, 4), np.float32))
    sums = [
        json.loads(run("verify", "model.lks", *more, "--json").stdout)["outputs"]["y"]["sha256"]
        for more in (("--input", "x=in.npy"), ("--seed", "1"), ("--seed", "1"), ("--seed", "2"))
    ]
    assert sums[1] == sums[2]
    assert len(set(sums)) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compile", "model.lks", "-o", "x.npy/a.lbin"), "cannot write here"),
        (("compile", "model.lks", "--report", "missing/r.json"), "cannot write here"),
        (("verify", "model.lks", "--input", "z=x.npy"), "'z'"),
        (("verify", "model.lks", "--input", "x=x.npy"), "expected f32"),
        (("verify", "model.lks", "--input", "x=no.npy"), "cannot read"),
        (("compile", "model.lks", "--passes", "no-such-pass"), "no-such-pass"),
        (("compile", "model.lks", "--passes", "decompose{"), "decompose{"),
        (("compile", "model.lks", "--passes", "decompose{no-option=1}"), "decompose"),
    ],
)
def test_refusals_write_nothing(run: Run, folder: Path, arguments: tuple[str, ...], words: str) -> None:
    before = sorted(folder.rglob("*"))
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "error: " in result.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_model_that_does_not_fit_says_what_needs_how_much(run: Run, folder: Path) -> None:
    np.save("w.npy", np.zeros((512, 512), np.float32))
    (folder / "large.lks").write_text('param w: f32[512, 512] from "w.npy"\ninput x: f32[1, 512]\noutput y = x @ w\n')
    result = run("compile", "large.lks", "--chip", "tiny")
    assert result.exit_code == 1
    assert "tiny" in result.stderr
    assert any(character.isdigit() for character in result.stderr)
    assert not Path("large.lbin").exists()


def test_the_pipeline_can_be_printed_and_given_back(run: Run) -> None:
    pipeline = run("compile", "--print-pipeline").stdout.strip()
    assert "canonicalize-graph" in pipeline
    assert run("compile", "model.lks", "-o", "default.lbin").exit_code == 0
    assert run("compile", "model.lks", "-o", "given.lbin", "--passes", pipeline).exit_code == 0
    assert Path("default.lbin").read_bytes() == Path("given.lbin").read_bytes()


def emitted(run: Run, stage: str) -> str:
    result = run("compile", "model.lks", *TINY, "--emit", stage)
    assert result.exit_code == 0
    assert not Path("model.lbin").exists()
    return result.stdout


def test_the_graph_is_the_declared_one_or_what_passes_leave(run: Run, folder: Path) -> None:
    (folder / "model.lks").write_text("input x: f32[2, 4]\noutput y = softmax(x)\n")
    declared = emitted(run, "graph")
    assert "graph.softmax" in declared
    decomposed = run("compile", "model.lks", *TINY, "--emit", "graph", "--passes", "decompose").stdout
    assert "graph.softmax" not in decomposed
    assert "graph.reduce" in decomposed
    later = "decompose,lower-to-flow,place-memory"
    assert run("compile", "model.lks", *TINY, "--emit", "graph", "--passes", later).stdout == decomposed
    assert run("compile", "model.lks", *TINY, "--emit", "graph", "--passes", "decompse").exit_code == 1


def test_i8f16_quantises_parameters_of_two_axes_on_the_right(run: Run, folder: Path) -> None:
    """What the help and the page of the language say."""
    assert "parameters of two axes that stand on the right" in " ".join(run("compile", "--help").stdout.split())
    right = ["x @ w", "x @ w.T"]
    others = ["w @ x", "x @ (w * 2)", "x @ x", "b @ b"]
    declarations = 'input x: f32[4, 4]\nparam w: f32[4, 4] from "m.npz"\nparam b: f32[2, 4, 4] from "m.npz"\n'
    np.savez("m.npz", w=np.ones((4, 4), np.float32), b=np.ones((2, 4, 4), np.float32))
    for product in right + others:
        (folder / "model.lks").write_text(f"{declarations}output y = {product}\n")
        text = run("compile", "model.lks", "--precision", "i8f16", "--emit", "graph").stdout
        assert ('graph.param "w.i8' in text) == (product in right), product
        assert ("precision f16" in text) == (product in others), product


def test_the_flow_has_buffers_and_trips_without_places(run: Run) -> None:
    text = emitted(run, "flow")
    assert "flow.buffer @x input in sram stripes 1 segments [0] : tensor<2x4xf32>" in text
    assert re.search(r'flow.trip "model.lks:3:\d+: matmul" \{\n +%0 = flow.read', text)


def test_a_placed_flow_has_places_and_no_cycles(run: Run) -> None:
    text = emitted(run, "placed")
    assert re.search(r'flow.buffer @x .* at \["sram\.', text)
    assert " start " not in text


def test_the_schedule_has_the_slots_of_the_program(run: Run) -> None:
    text = emitted(run, "scheduled")
    assert '" start 0 slots [' in text
    slots = [slot for line in re.findall(r" slots \[(.*?)\]", text) for slot in re.findall(r'"(.*?)"', line)]
    assert run("compile", "model.lks", *TINY).exit_code == 0
    assert sorted(slots) == sorted(op.slot for op in load_program("model.lbin").operations)

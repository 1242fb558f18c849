"""A device's life on the command line: made, programmed, run on, aged, broken, scrubbed; and everything that must not work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from isa.container import load_program
from isa.device_file import open_device
from isa.residents import resident_rows

Run = Callable[..., Result]

MODEL = """\
param w: i8[8, 8] from "w8.npy"
input x: i8[2, 8]
output y = x @ w
"""


@pytest.fixture
def model(run: Run, folder: Path) -> Path:
    """m.lbin for tiny, its weights in RRAM, and x8.npy."""
    random = np.random.default_rng(3)
    np.save("w8.npy", random.integers(-9, 9, (8, 8), np.int8))
    np.save("x8.npy", random.integers(-9, 9, (2, 8), np.int8))
    (folder / "m.lks").write_text(MODEL)
    assert run("compile", "m.lks", "--chip", "tiny", "-o", "m.lbin").exit_code == 0
    assert run("device", "new", "d.dev", "--chip", "tiny", "--seed", "3").exit_code == 0
    return folder / "m.lbin"


def facts(run: Run, *arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(run: Run, *arguments: str) -> str:
    """The message of a command that must fail and leave d.dev as it is."""
    before = Path("d.dev").read_bytes() if Path("d.dev").exists() else b""
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert not before or Path("d.dev").read_bytes() == before
    return result.stderr


def test_a_device_s_life(run: Run, model: Path) -> None:
    plain = facts(run, "run", "m.lbin", "--input", "x=x8.npy")
    made = facts(run, "program", "m.lbin", "--device", "d.dev")
    assert made["written"] == made["rows"] == 8
    assert facts(run, "program", "m.lbin", "--device", "d.dev")["skipped"] == 8
    on = facts(run, "run", "m.lbin", "--input", "x=x8.npy", "--device", "d.dev")
    assert (on["outputs"], on["cycles"]) == (plain["outputs"], plain["cycles"])
    assert on["rram_words"] == {"corrected": 0, "miscorrected": 0, "device": "d.dev"}
    assert facts(run, "device", "age", "d.dev", "--years", "2", "--celsius", "85")["elapsed_years"] == 2
    facts(run, "device", "inject", "d.dev", "--cell", "rram.w0:0:3", "--cell", "rram.w0:1:4")
    for machine in ("fast", "reference"):
        corrected = facts(run, "run", "m.lbin", "--input", "x=x8.npy", "--device", "d.dev", "--machine", machine)
        assert corrected["outputs"] == plain["outputs"]
        assert corrected["rram_words"]["corrected"] == 2  # pyright: ignore
    shown = facts(run, "device", "show", "d.dev")
    assert shown["runs"] == 3
    assert shown["total"]["corrected"] == 4  # pyright: ignore
    assert shown["total"]["wrong_cells"] == 2  # pyright: ignore
    assert [p["name"] for p in shown["programs"]] == ["m.lbin"]  # pyright: ignore
    assert "rram.w0.b1" in run("device", "show", "d.dev", "--by", "bank").stdout
    facts(run, "device", "inject", "d.dev", "--cell", "rram.w0:0:5")
    scrubbed = facts(run, "device", "scrub", "d.dev", "--program", "m.lbin", "--requests", "50", "--celsius", "105")
    assert scrubbed["scrub"]["rewritten"] == 1  # pyright: ignore
    assert scrubbed["plan"]["corners"][0]["limited_by"] == "reads"  # pyright: ignore
    assert facts(run, "device", "show", "d.dev")["total"]["wrong_cells"] == 1  # pyright: ignore
    table = run("device", "scrub", "d.dev", "--program", "m.lbin", "--plan-only").stdout
    assert "scrub every" in table


def test_a_word_past_correction_traps_and_the_device_remembers(run: Run, model: Path) -> None:
    assert run("program", "m.lbin", "--device", "d.dev").exit_code == 0
    three = [word for bit in (1, 2, 4) for word in ("--cell", f"rram.w0:1:{bit}")]
    assert run("device", "inject", "d.dev", *three).exit_code == 0
    result = run("run", "m.lbin", "--input", "x=x8.npy", "--device", "d.dev")
    assert result.exit_code == 1
    assert "row 0 of bank 1 of rram.w0 (address 1)" in result.stderr
    assert "param 'w' lives there" in result.stderr
    assert facts(run, "device", "show", "d.dev")["total"]["uncorrectable"] == 1  # pyright: ignore
    assert facts(run, "device", "inject", "d.dev", "--random", "7")["faults"] == 10


def test_pictures(run: Run, model: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run("device", "show", "d.dev", "--plot", "d.png").exit_code == 0
    assert Path("d.png").read_bytes().startswith(b"\x89PNG")


def test_what_must_not_work(run: Run, model: Path) -> None:
    assert "never programmed into this device" in refused(run, "run", "m.lbin", "--input", "x=x8.npy", "--device", "d.dev")
    assert "something of that name" in refused(run, "device", "new", "d.dev", "--chip", "tiny")
    assert "has no RRAM" in refused(run, "device", "new", "other.dev", "--chip", "tsp")
    assert run("device", "new", "big.dev").exit_code == 0
    for command in (("program", "m.lbin", "--device", "big.dev"), ("device", "scrub", "big.dev", "--program", "m.lbin")):
        assert "the device is another: 'lpu-rram'" in refused(run, *command)
    assert "nothing in RRAM" in refused(run, "program", "relu.lasm", "--device", "d.dev")
    for what, words in (
        (("--cell", "rram.w9:0:0"), "no RRAM slice"),
        (("--cell", "rram.w0:99:0"), "addresses 0 to 31"),
        (("--cell", "rram.w0:0:80"), "cells 0 to 79"),
        (("--row", "soup"), "is not UNIT:ADDRESS"),
        (("--random", "5"), "5 cells are asked for"),
    ):
        assert words in refused(run, "device", "inject", "d.dev", *what)
    data = Path("d.dev").read_bytes()
    Path("d.dev").write_bytes(data[: len(data) // 2])
    for command in (
        ("program", "m.lbin", "--device", "d.dev"),
        ("run", "m.lbin", "--input", "x=x8.npy", "--device", "d.dev"),
        ("device", "show", "d.dev"),
        ("device", "age", "d.dev", "--days", "1"),
        ("device", "scrub", "d.dev"),
    ):
        assert "damaged" in refused(run, *command)
    assert "no such device file" in refused(run, "device", "show", "none.dev")
    assert sorted(p.name for p in Path().glob("*.dev*")) == ["big.dev", "d.dev"]


@pytest.mark.parametrize(
    "arguments", [("age", "d.dev"), ("inject", "d.dev"), ("scrub", "d.dev", "--plan-only"), ("age", "d.dev", "--years", "-1")]
)
def test_wrong_usage(run: Run, model: Path, arguments: tuple[str, ...]) -> None:
    result = run("device", *arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def placed(path: str) -> set[tuple[str, int]]:
    """Rows of RRAM that a program file needs."""
    return {(part.unit, int(a)) for part in resident_rows(load_program(path)) for a in part.addresses}


def test_programs_are_placed_around_bad_rows_and_share_what_is_there(run: Run, model: Path) -> None:
    """Rows 0 and 2 of rram.w0 cannot be written, nor their spare rows: --device finds others, and a run is right."""
    plain = facts(run, "run", "m.lbin", "--input", "x=x8.npy")
    with open_device(Path("d.dev")) as file:
        file.state.slice("rram.w0").bad[[0, 2, 32, 34]] = True
        file.save(rows={"rram.w0": np.arange(36)})
    assert "no spare rows" in run("program", "m.lbin", "--device", "d.dev").stderr
    assert run("compile", "m.lks", "--chip", "tiny", "--device", "d.dev", "-o", "around.lbin").exit_code == 0
    assert not placed("around.lbin") & {("rram.w0", 0), ("rram.w0", 2)}
    assert run("program", "around.lbin", "--device", "d.dev").exit_code == 0
    found = facts(run, "run", "around.lbin", "--input", "x=x8.npy", "--device", "d.dev")
    assert found["outputs"] == plain["outputs"]
    Path("more.lks").write_text(MODEL + 'param v: i8[8, 8] from "v8.npy"\noutput z = x @ v\n')
    np.save("v8.npy", np.arange(64, dtype=np.int8).reshape(8, 8))
    assert run("compile", "more.lks", "--chip", "tiny", "--device", "d.dev", "-o", "more.lbin").exit_code == 0
    assert placed("around.lbin") < placed("more.lbin")
    report = facts(run, "program", "more.lbin", "--device", "d.dev")
    assert (report["skipped"], report["written"], report["displaced"]) == (8, 8, [])
    for name in ("around.lbin", "more.lbin"):
        assert facts(run, "run", name, "--input", "x=x8.npy", "--device", "d.dev")["outputs"]["y"] == plain["outputs"]["y"]  # pyright: ignore


def test_weights_keep_off_worn_rows_and_find_their_banks_behind_bad_ones(run: Run, model: Path) -> None:
    assert run("device", "new", "l.dev").exit_code == 0
    assert run("compile", "m.lks", "-o", "plain.lbin").exit_code == 0
    with open_device(Path("l.dev")) as file:
        for unit in file.state.chip.slices("rram"):
            file.state.slice(unit.name).wear[:7] = 6000
            file.state.slice(unit.name).bad[10::10] = True  # all of bank 0, where the first weights begin
        file.save(rows={unit: np.arange(file.state.rows) for unit in file.state.slices})
    assert run("compile", "m.lks", "--device", "l.dev", "-o", "kept.lbin").exit_code == 0
    kept = placed("kept.lbin")
    assert len(kept) == len(placed("plain.lbin"))
    assert min(address for _, address in kept) >= 7
    assert not [address for _, address in kept if address % 10 == 0]
    assert run("program", "kept.lbin", "--device", "l.dev").exit_code == 0


def test_a_second_program_of_the_same_weights_writes_nothing(run: Run, folder: Path, model: Path) -> None:
    """As prefill beside decode: placed beside the first, it finds its rows written, and both run."""
    (folder / "n.lks").write_text(MODEL.replace("x @ w", "relu(x @ w)"))
    assert run("compile", "n.lks", "--chip", "tiny", "--beside", "m.lbin", "-o", "n.lbin").exit_code == 0
    assert facts(run, "program", "m.lbin", "--device", "d.dev")["written"] == 8
    again = facts(run, "program", "n.lbin", "--device", "d.dev")
    assert (again["written"], again["skipped"]) == (0, 8)
    for program in ("m.lbin", "n.lbin"):
        plain = facts(run, "run", program, "--input", "x=x8.npy")
        assert facts(run, "run", program, "--input", "x=x8.npy", "--device", "d.dev")["outputs"] == plain["outputs"]


def test_stages_without_places_take_no_device(run: Run, model: Path) -> None:
    for option in (("--device", "d.dev"), ("--beside", "m.lbin")):
        result = run("compile", "m.lks", "--chip", "tiny", "--emit", "placed", *option)
        assert result.exit_code == 2
        assert "shows a stage without them" in result.stderr


def test_a_device_of_another_chip_is_no_help(run: Run, model: Path) -> None:
    assert "not the 'lpu-rram'" in refused(run, "compile", "m.lks", "--device", "d.dev", "-o", "n.lbin")
    assert not Path("n.lbin").exists()

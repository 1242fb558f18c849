"""Campaigns: what is decided without a run is what runs give, what theory says of the codes is what comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.session import compile_file
from isa.chip import Chip, load_chip
from isa.errors import DataFault, SyntaxFault, Trap
from isa.program import Program
from isa.residents import resident_rows
from isa.rram_state import FLIP, STUCK_0, STUCK_1, WHOLE_ROW, RramState
from sim.campaign import OUTCOMES, Campaign, Tally, total, wilson
from sim.cell_faults import CellOutcome, ProgramCells, distinct
from sim.code_theory import undetected_share
from sim.device import Device, Machine
from sim.ecc import code_of
from sim.fault_spec import FaultSpec, parse_faults
from sim.secded import stream_code


def faultless(chip: Chip) -> Chip:
    """The chip with cells that never err by themselves."""
    assert chip.rram is not None
    assert chip.rram.device is not None
    rates = ("ber_fresh", "ber_worn", "ber_aged", "ber_disturbed", "read_noise", "stuck_rate", "write_failure")
    device = chip.rram.device.model_copy(update=dict.fromkeys(rates, 0.0))
    return chip.model_copy(update={"rram": chip.rram.model_copy(update={"device": device})})


TINY = faultless(load_chip("tiny"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("model")
    np.savez(folder / "w.npz", w=np.random.default_rng(0).integers(-128, 128, (16, 8), np.int8))
    (folder / "m.lks").write_text('param w: i8[16, 8] from "w.npz"\ninput x: i8[4, 16]\noutput y = x @ w\n')
    return compile_file(folder / "m.lks", TINY).program


X = {"x": np.random.default_rng(1).integers(-128, 128, (4, 16), np.int8)}


def campaign(program: Program, faults: str, seed: int = 0) -> Campaign:
    return Campaign(program, [X], parse_faults(faults), seed)


def outcomes(found: Tally) -> dict[str, int]:
    return dict(zip(OUTCOMES, found.runs.tolist(), strict=True))


def all_runs(program: Program, faults: str, runs: int, seed: int = 0) -> Tally:
    made = campaign(program, faults, seed)
    return total([made.run_chunk(*chunk) for chunk in made.chunks(runs)])


# What must hold ---------------------------------------------------------------------------------------------------------


def test_ten_thousand_runs_with_up_to_two_wrong_bits_in_any_word_are_all_corrected(program: Program) -> None:
    found = all_runs(program, "cells:words=all:bits=0-2", 10_000)
    assert outcomes(found) == {"corrected": 10_000, "trapped": 0, "masked": 0, "silent": 0, "clean": 0}
    assert found.rram_words[:3, 1:].sum() == 0
    assert found.rram_words[1, 0] > 40_000
    assert found.rram_words[2, 0] > 40_000


@pytest.mark.parametrize("bits", [3, 4])
def test_more_wrong_bits_are_mistaken_as_often_as_theory_says(program: Program, bits: int) -> None:
    """Tolerance: four standard deviations of the binomial law, about one failure in 16,000 seeds; the seed is fixed."""
    runs, theory = 10_000, undetected_share(code_of(64), bits)
    _, refused, mistaken = all_runs(program, f"cells:bits={bits}", runs).rram_words[bits].tolist()
    assert refused + mistaken == runs
    assert abs(mistaken - runs * theory) < 4 * (runs * theory * (1 - theory)) ** 0.5


def test_the_full_code_mistakes_three_wrong_bits_as_often_as_theory_says(tmp_path: Path) -> None:
    """BCH (144, 128) of lpu-rram, 20,000 words; tolerance as above."""
    np.savez(tmp_path / "w.npz", w=np.random.default_rng(0).integers(-128, 128, (20, 40), np.int8))
    (tmp_path / "m.lks").write_text('param w: i8[20, 40] from "w.npz"\ninput x: i8[1, 20]\noutput y = x @ w\n')
    cells = ProgramCells(compile_file(tmp_path / "m.lks", load_chip("lpu-rram")).program)
    found = cells.draw((FaultSpec("cells", 20, (3, 3)),), 1000, np.random.default_rng(5))
    runs, theory = 20_000, undetected_share(code_of(128), 3)
    assert found.words[3].tolist()[0] == 0
    assert found.words[3].sum() == runs
    assert abs(int(found.words[3, 2]) - runs * theory) < 4 * (runs * theory * (1 - theory)) ** 0.5


def test_one_wrong_bit_on_a_stream_is_corrected_and_two_trap(program: Program) -> None:
    assert outcomes(all_runs(program, "streams:bits=1", 300))["corrected"] == 300
    assert outcomes(all_runs(program, "streams:bits=2", 300))["trapped"] == 300


def test_three_wrong_bits_on_a_stream_are_mistaken_as_often_as_theory_says(program: Program) -> None:
    """Tolerance as above."""
    runs, theory = 2_000, undetected_share(stream_code(2), 3)
    _, refused, mistaken = all_runs(program, "streams:bits=3", runs).stream_words[3].tolist()
    assert refused + mistaken == runs
    assert abs(mistaken - runs * theory) < 4 * (runs * theory * (1 - theory)) ** 0.5


def test_sram_words_that_nobody_reads_any_more_are_masked(program: Program) -> None:
    found = outcomes(all_runs(program, "sram:bits=1", 400))
    assert found["corrected"] > 0
    assert found["masked"] > 0
    assert found["corrected"] + found["masked"] == 400


# What is decided without a run is what runs give -------------------------------------------------------------------------


def run_with_planted(program: Program, faults: dict[tuple[str, int, int], int], machine: Machine) -> str:
    """A real run on a device with these faults: 'trapped', 'right' or 'wrong'."""
    state = RramState(program.chip, 1)
    for part in resident_rows(program):
        state.slice(part.unit).wear[state.physical(part.unit, part.addresses)] += 1
        state.hold(part.unit, part.addresses, part.words)
    state.faults = dict(faults)
    clean = Device(program).run(X).outputs["y"]
    try:
        return "right" if np.array_equal(Device(program, machine, state).run(X).outputs["y"], clean) else "wrong"
    except Trap:
        return "trapped"


def decided(campaign_: Campaign, found: CellOutcome) -> str:
    """The same as the campaign decides it."""
    if found.refused[0]:
        return "trapped"
    outputs = campaign_.outputs(X, masks=found.masks.get(0, []))
    return "right" if outputs["y"].tobytes() == campaign_.golden[0]["y"] else "wrong"


@pytest.mark.parametrize("machine", ["fast", "reference"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7])
def test_wrong_cells_are_decided_as_a_device_decides_them(program: Program, machine: Machine, bits: int) -> None:
    made = campaign(program, "cells")
    cells = made.cells
    assert cells is not None
    rng, seen = np.random.default_rng(bits), set[str]()
    for _ in range(25 if bits > 2 else 4):
        word, bit = int(rng.integers(cells.words)), rng.choice(cells.code.bits, bits, replace=False)
        found = cells.decode(np.sort(word * cells.code.bits + bit), 1)
        row, place = divmod(word, cells.words_a_row)
        planted = {(*cells.rows[row], place * cells.code.bits + int(b)): FLIP for b in bit}
        result = run_with_planted(program, planted, machine)
        assert decided(made, found) == result
        seen.add(result)
    assert seen == {"right"} if bits <= 2 else "trapped" in seen


@pytest.mark.parametrize("value", [STUCK_0, STUCK_1])
def test_stuck_rows_are_decided_as_a_device_decides_them(program: Program, value: int) -> None:
    """A row of zeros is a code word, so no linear code sees a row that is stuck at 0."""
    made = campaign(program, "rows")
    assert made.cells is not None
    for row, place in enumerate(made.cells.rows):
        found = made.cells.decode_stuck(np.array([row]), 1, np.array([value == STUCK_1]))
        assert decided(made, found) == run_with_planted(program, {(*place, WHOLE_ROW): value}, "fast")


def test_runs_that_are_not_made_would_give_the_fault_free_outputs(program: Program) -> None:
    """Every run of a campaign with streams and SRAM, made for once."""
    made = campaign(program, "streams:bits=1-3,sram:bits=1-2", seed=3)
    rng, words = np.random.default_rng(9), np.zeros((13, 3), np.int64)
    seen: set[str] = set()
    for _ in range(60):
        upsets = made.draw_upsets(rng)
        _, refused, sees_other, _ = made.settle(upsets, words)
        try:
            right = made.outputs(X, upsets)["y"].tobytes() == made.golden[0]["y"]
        except Trap:
            assert refused
            seen.add("trapped")
            continue
        assert not refused
        assert right or sees_other
        seen.add("right" if right else "wrong")
    assert seen == {"trapped", "right", "wrong"}


def test_the_same_seed_gives_the_same_campaign(program: Program) -> None:
    faults = "cells:rate=1e-3,streams:bits=0-3"
    first, again, other = (all_runs(program, faults, 300, seed) for seed in (4, 4, 5))
    assert np.array_equal(first.runs, again.runs)
    assert np.array_equal(first.rram_words, again.rram_words)
    assert not np.array_equal(first.rram_words, other.rram_words)


def test_rates_are_those_of_the_cells(program: Program) -> None:
    made = campaign(program, "cells")
    assert made.cells is not None
    wrong = made.cells.at_rate(1e-2, 2000, np.random.default_rng(0))
    expected = 2000 * made.cells.words * made.cells.code.bits * 1e-2
    assert abs(len(wrong) - expected) < 4 * expected**0.5
    assert len(np.unique(wrong)) == len(wrong)


def test_distinct_draws_sets() -> None:
    row, value = distinct(np.random.default_rng(0), np.array([3, 0, 5, 9]), 5)
    assert np.bincount(row, minlength=4).tolist() == [3, 0, 5, 5]
    assert len(set(zip(row.tolist(), value.tolist(), strict=True))) == len(row)
    assert value[row == 2].tolist() == [0, 1, 2, 3, 4]


# Words of the command -----------------------------------------------------------------------------------------------------


def test_faults_as_text() -> None:
    assert parse_faults("cells:words=all:bits=0-2,streams:bits=2") == (
        FaultSpec("cells", None, (0, 2)),
        FaultSpec("streams", 1, (2, 2)),
    )
    assert parse_faults("rows:count=3, cells:rate=1e-5") == (FaultSpec("rows", 3), FaultSpec("cells", rate=1e-5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell", "there is no kind of fault 'cell'"),
        ("cells:bits", "found 'bits' in cells, expected words=… or bits=… or rate=…"),
        ("rows:bits=2", "found 'bits=2' in rows, expected count=…"),
        ("cells:bits=2-1", "the range must rise"),
        ("cells:bits=0", "the range must rise"),
        ("cells:rate=2", "rate=2 is no probability"),
        ("cells:rate=1e-3:bits=1", "it stands alone"),
        ("streams:words=all", "'all' is no number"),
        ("sram:words=0", "'0' is no number"),
    ],
)
def test_faults_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse_faults(text)
    assert message in str(caught.value)


def test_programs_without_weights_have_no_cells(tmp_path: Path) -> None:
    (tmp_path / "m.lks").write_text("input x: i8[4, 8]\noutput y = relu(x)\n")
    with pytest.raises(DataFault, match="reads nothing from RRAM"):
        Campaign(compile_file(tmp_path / "m.lks", TINY).program, [{"x": np.ones((4, 8), np.int8)}], parse_faults("cells"), 0)


def test_intervals_hold_the_share() -> None:
    assert wilson(0, 10_000) == (0.0, pytest.approx(3.84e-4, rel=1e-2))
    low, high = wilson(50, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))

"""RRAM with errors: both machines find the same, words past correction trap by name, all is counted."""

from __future__ import annotations

import dataclasses
from importlib import resources
from types import ModuleType

import numpy as np
import pytest

from isa.chip import Chip, load_chip, parse_chip
from isa.errors import ChipFault, DataFault
from isa.program import Program
from isa.residents import resident_rows
from isa.rram_state import FLIP, STUCK_0, STUCK_1, WHOLE_ROW, RramState
from sim.cells import Cells
from sim.device import Device
from sim.draws import DRIFT, NOISE, uniform, weak_cells
from sim.traps import MachineTrap
from sim.word_errors import OUTCOMES


def chip_with(**numbers: float) -> Chip:
    """tiny with other device numbers; rates that are not named are 0."""
    text = (resources.files("isa") / "chips" / "tiny.toml").read_text()
    quiet = dict.fromkeys(
        ("ber_fresh", "ber_worn", "ber_aged", "ber_disturbed", "read_noise", "stuck_rate", "write_failure"), 0.0
    )
    for name, value in (quiet | numbers).items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(line, f"{name} = {value}")
    return parse_chip(text, "tiny.toml")


def holding(program: Program, seed: int = 1, wear: int = 1) -> RramState:
    state = RramState(program.chip, seed)
    for part in resident_rows(program):
        state.slice(part.unit).wear[state.physical(part.unit, part.addresses)] += wear
        state.hold(part.unit, part.addresses, part.words)
    return state


def outcome(program: Program, machine: str, state: RramState, runs: int = 1) -> list[object]:
    """What every run gave, and what it left in the state."""
    device = Device(program, machine, state)  # pyright: ignore[reportArgumentType]
    found: list[object] = []
    for _ in range(runs):
        try:
            result = device.run()
            sram = {u: w.tobytes() for u, w in device.memory.words.items() if u.startswith("sram")}
            found.append((result.counters.facts(), sram))
        except MachineTrap as trap:
            found.append((trap.cycle, trap.operation, trap.render()))
        arrays = {u: [a.tobytes() for a in dataclasses.astuple(s)] for u, s in state.slices.items()}
        found.append((state.runs, arrays))
    return found


@pytest.mark.parametrize("seed", range(8, 18))
def test_machines_agree_under_faults(seed: int, random_programs: ModuleType) -> None:
    rates = ({"stuck_rate": 0.01}, {"read_noise": 0.01}, {"ber_fresh": 0.01}, {"read_noise": 3e-3, "ber_disturbed": 5.0})[
        seed % 4
    ]
    program = random_programs.random_program(chip_with(**rates), seed, proposals=24)
    fast, reference = (outcome(program, machine, holding(program, seed), runs=3) for machine in ("fast", "reference"))
    assert fast == reference


@pytest.mark.parametrize("noise", [0.004, 0.02, 0.08])
def test_machines_agree_on_every_outcome_there_is(noise: float, hand_programs: ModuleType) -> None:
    copies = [hand_programs.copy(f"rram.w{i}", f"sram.w{i}", f"e{i}", addr=2, rep=24, every=1 + i) for i in (0, 1)]
    images = [hand_programs.words(f"rram.w{i}", 0, 30) for i in (0, 1)]
    plain = hand_programs.program([op for ops in copies for op in ops], images)
    program = Program(chip_with(read_noise=noise, ber_fresh=1e-3), plain.operations, images)
    state = holding(program)
    fast = outcome(program, "fast", state, runs=20)
    assert fast == outcome(program, "reference", holding(program), runs=20)
    found = [sum(int(getattr(s, name).sum()) for s in state.slices.values()) for name in OUTCOMES]
    assert found[0] > 0
    assert noise < 0.05 or all(found)
    assert noise > 0.05 or len({str(run) for run in fast[::2]}) > 8  # every run has its own noise


def one_row(hand_programs: ModuleType, chip: Chip) -> Program:
    """Row 5 of rram.w0 (bank 1) to SRAM."""
    plain = hand_programs.program(
        hand_programs.copy("rram.w0", "sram.w0", "e0", addr=5), [hand_programs.words("rram.w0", 5, 1)]
    )
    return Program(chip, plain.operations, plain.images)


@pytest.mark.parametrize("machine", ["fast", "reference"])
@pytest.mark.parametrize("wrong", [(), (0,), (79,), (3, 70), (64, 65)])
def test_two_wrong_bits_a_word_are_corrected_and_counted(
    wrong: tuple[int, ...], machine: str, hand_programs: ModuleType
) -> None:
    program = one_row(hand_programs, chip_with())
    state = holding(program)
    state.faults = {("rram.w0", 5, bit): FLIP for bit in wrong}
    device = Device(program, machine, state)  # pyright: ignore[reportArgumentType]
    counts = device.run().counters
    assert device.memory.words["sram.w0"][0].tobytes() == program.images[0].data.tobytes()
    assert counts.corrected == ({"rram.w0.b1": 1} if wrong else {})
    assert not counts.uncorrectable
    assert not counts.miscorrected
    assert state.slice("rram.w0").corrected.tolist() == [0, bool(wrong)]
    assert state.slice("rram.w0").reads[5] == 1


@pytest.mark.parametrize("machine", ["fast", "reference"])
def test_a_word_past_correction_traps_and_names_bank_row_and_tensor(machine: str, hand_programs: ModuleType) -> None:
    program = one_row(hand_programs, chip_with())
    state = holding(program)
    state.faults = {("rram.w0", 5, bit): FLIP for bit in (1, 2, 4)}
    with pytest.raises(MachineTrap) as caught:
        Device(program, machine, state).run()  # pyright: ignore[reportArgumentType]
    text = caught.value.render()
    assert "word 0 of row 2 of bank 1 of rram.w0 (address 5)" in text
    assert "image 'rram.w0+5' lives there" in text
    assert "scrub" in text
    assert state.slice("rram.w0").uncorrectable.tolist() == [0, 1]


def test_stuck_cells_err_only_where_the_value_is_not_theirs() -> None:
    state = RramState(chip_with(), 1)
    words = np.full((1, 8), 0b0101_0101, np.uint8)
    state.slice("rram.w0").wear[3] = 1
    state.hold("rram.w0", np.array([3]), words)
    state.faults = {
        ("rram.w0", 3, 0): STUCK_1,
        ("rram.w0", 3, 1): STUCK_1,
        ("rram.w0", 3, 2): STUCK_0,
        ("rram.w0", 3, 3): STUCK_0,
    }
    assert Cells(state).wrong("rram.w0", np.array([3]), words).cell.tolist() == [1, 2]
    state.hold("rram.w0", np.array([3]), ~words)
    assert Cells(state).wrong("rram.w0", np.array([3]), ~words).cell.tolist() == [0, 3]


def test_a_row_that_is_stuck_whole_holds_one_value(hand_programs: ModuleType) -> None:
    program = one_row(hand_programs, chip_with())
    state = holding(program)
    state.faults = {("rram.w0", 5, WHOLE_ROW): STUCK_0}
    wrong = Cells(state).wrong("rram.w0", np.array([5]), program.images[0].data).cell
    ones = np.unpackbits(program.images[0].data, bitorder="little")
    assert set(np.flatnonzero(ones).tolist()) == {bit for bit in wrong.tolist() if bit < 64}


def test_planted_flips_go_with_the_next_write_and_stuck_cells_stay() -> None:
    state = RramState(chip_with(), 1)
    state.faults = {("rram.w0", 3, 9): FLIP, ("rram.w0", 3, 4): STUCK_1, ("rram.w0", 4, 9): FLIP, ("rram.w1", 3, 9): FLIP}
    state.hold("rram.w0", np.array([3]), np.zeros((1, 8), np.uint8))
    assert set(state.faults) == {("rram.w0", 3, 4), ("rram.w0", 4, 9), ("rram.w1", 3, 9)}


@pytest.mark.parametrize(
    ("cause", "numbers"), [("wear", {"ber_worn": 1e-3}), ("age", {"ber_aged": 1e-3}), ("reads", {"ber_disturbed": 1e-3})]
)
def test_stress_raises_the_raw_error_rate_and_keeps_the_errors_there_are(cause: str, numbers: dict[str, float]) -> None:
    state = RramState(chip_with(**numbers), 7)
    rows, words = np.arange(32), np.zeros((32, 8), np.uint8)
    held = state.slice("rram.w0")
    device = state.device
    counts: list[int] = []
    errors: set[tuple[int, int]] = set()
    for share in (0.0, 0.5, 1.0, 8.0):
        if cause == "wear":
            held.wear[:32] = share * device.endurance_writes
        elif cause == "age":
            state.clock_s = share * device.retention_years * 365.25 * 86400
        else:
            held.reads[:32] = share * device.disturb_reads
        cells = Cells(state)
        assert cells.rates("rram.w0", rows) == pytest.approx(min(1e-3 * share, 1e-2))
        found = cells.wrong("rram.w0", rows, words)
        now = set(zip(found.row.tolist(), found.cell.tolist(), strict=True))
        assert cause == "wear" or errors <= now  # a row that is written again has new cells to err
        errors = now
        counts.append(len(now))
    assert counts[0] == 0
    assert 8 <= counts[-1] <= 40  # 32 · 80 · 8e-3 = 20


def test_weak_cells_are_as_many_as_the_rate_says_and_spread_evenly() -> None:
    rows, cells, rate = 40_000, 2880, 1e-4
    row, cell = weak_cells(3, NOISE, (np.arange(rows),), rate, cells, rows)
    mean = rows * cells * rate
    assert abs(len(row) - mean) < 5 * mean**0.5
    assert len(np.unique(row * cells + cell)) == len(row)
    counts = np.bincount(np.bincount(row, minlength=rows), minlength=4)[:4] / rows
    poisson = [np.exp(-0.288) * 0.288**k / (1, 1, 2, 6)[k] for k in range(4)]
    assert np.abs(counts - poisson).max() < 0.01
    assert np.abs(np.histogram(cell, 10)[0] / len(cell) - 0.1).max() < 0.02


def test_draws_depend_on_their_keys_alone() -> None:
    keys = np.arange(10_000)
    whole = uniform(5, DRIFT, keys, 3)
    assert np.array_equal(whole[::-1], uniform(5, DRIFT, keys[::-1], 3))
    assert not np.isin(whole, uniform(6, DRIFT, keys, 3)).any()
    assert np.abs(np.histogram(whole, 20, (0, 1))[0] / 500 - 1).max() < 0.2
    assert abs(np.corrcoef(whole[:-1], whole[1:])[0, 1]) < 0.04


def test_rows_fail_by_the_endurance_that_the_chip_is_rated_for() -> None:
    device = load_chip("lpu-rram").rram.device  # pyright: ignore[reportOptionalMemberAccess]
    limits = device.row_limits(uniform(1, DRIFT, np.arange(400_000)))
    share = (limits <= device.endurance_writes).mean()
    assert abs(share - device.endurance_failed) < 5e-5


def test_a_program_that_is_not_on_the_device_is_refused(hand_programs: ModuleType) -> None:
    program = one_row(hand_programs, chip_with())
    with pytest.raises(DataFault, match="never programmed into this device"):
        Device(program, "fast", RramState(program.chip, 1))
    state = holding(program)
    state.slice("rram.w0").words[5, 0] ^= 1
    with pytest.raises(DataFault, match="hold something else"):
        Device(program, "fast", state)
    with pytest.raises(DataFault, match="the device is another"):
        Device(program, "fast", RramState(chip_with(read_noise=0.5), 1))


def test_chips_without_cells_have_no_devices() -> None:
    with pytest.raises(ChipFault, match="no RRAM"):
        RramState(load_chip("tsp"), 1)
    tiny = load_chip("tiny")
    assert tiny.rram is not None
    bare = tiny.model_copy(update={"rram": tiny.rram.model_copy(update={"device": None})})
    with pytest.raises(ChipFault, match="does not say what its RRAM cells are like"):
        RramState(bare, 1)

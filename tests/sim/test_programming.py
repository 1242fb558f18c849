"""Programming and scrubbing: rows that err are tried again, replaced or given up; time is exact; being killed loses nothing."""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
import signal
from collections import deque
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from isa.chip import Chip, load_chip, parse_chip
from isa.device_file import create_device, open_device
from isa.errors import DataFault, DeviceFault
from isa.program import Image, Operation, Piece, Program, Stream, Symbol
from isa.rram_state import FLIP, STUCK_0, STUCK_1, WHOLE_ROW, RramState
from sim.programming import ProgramReport, program_device
from sim.row_writer import write_rows
from sim.scrubbing import ScrubReport, reads_a_run, scrub_device, scrub_plan
from sim.write_time import MaintenanceWork

QUIET = ("ber_fresh", "ber_worn", "ber_aged", "ber_disturbed", "read_noise", "stuck_rate", "write_failure")
WRITE, BUSY = 100, 2
"""Cycles of tiny."""


def chip_with(**numbers: float) -> Chip:
    """tiny with other device numbers; rates that are not named are 0."""
    text = (resources.files("isa") / "chips" / "tiny.toml").read_text()
    for name, value in (dict.fromkeys(QUIET, 0.0) | numbers).items():
        line = next(line for line in text.splitlines() if line.startswith(f"{name} = "))
        text = text.replace(line, f"{name} = {value}")
    return parse_chip(text, "tiny.toml")


def weights(chip: Chip, seed: int = 0, base: int = 0, count: int = 8) -> Program:
    """`count` words in each of both RRAM slices; one read of the first five, twice of the first."""
    data = np.random.default_rng(seed).integers(0, 256, (2, count, chip.lanes), np.uint8)
    images = [Image(f"w{i}", f"rram.w{i}", base, data[i]) for i in (0, 1)]
    symbols = [
        Symbol(f"w{i}", "param", (count, chip.lanes), "i8", (Piece(f"rram.w{i}", base, count, 0, 0, 0),)) for i in (0, 1)
    ]
    reads = [
        Operation(c, "rram.w0.rd", "read", (), Stream("e", 0), {"addr": base, "step": 1}, rep=n, every=2)
        for c, n in ((0, 5), (40, 1))
    ]
    return Program(chip, reads, images, symbols)


def nothing(contents: object, rows: object) -> None:
    """Saves nowhere."""


def programmed(state: RramState, program: Program, name: str = "p") -> ProgramReport:
    (report,) = deque(program_device(state, program, name, nothing, batch_rows=3), maxlen=1)
    return report


def scrubbed(state: RramState, due_share: float = 0.8) -> ScrubReport:
    (report,) = deque(scrub_device(state, nothing, due_share, batch_rows=3), maxlen=1)
    return report


def test_rows_are_written_once_and_then_skipped() -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    first = programmed(state, program)
    assert (first.rows, first.done, first.skipped, first.written, first.retries) == (16, 16, 0, 16, 0)
    # Reads: 8 rows a slice, 4 a bank. Writes: 4 rows in each of 4 banks, two banks at a time.
    assert (first.work.read_cycles, first.work.write_cycles) == (4 * BUSY, 2 * 4 * WRITE)
    energy = first.work.energy_uj()
    assert energy.typical == pytest.approx(16 * 80 * (1 + 100) * 1e-6 + 20 * first.work.seconds * 1e6)
    again = programmed(state, program)
    assert (again.skipped, again.written, again.work.cycles) == (16, 0, 4 * BUSY)
    assert state.slice("rram.w0").wear[:9].tolist() == [1] * 8 + [0]
    assert [r.name for r in state.residents] == ["p"]
    assert (state.slice("rram.w1").words[:8] == program.images[1].data).all()


@pytest.mark.parametrize(
    ("queues", "writers", "expected"), [((5, 4, 3), 2, 7), ((5, 4, 3), 1, 12), ((1,) * 8, 4, 2), ((), 4, 0)]
)
def test_banks_are_written_longest_first_by_as_many_as_can(queues: tuple[int, ...], writers: int, expected: int) -> None:
    work = MaintenanceWork(RramState(chip_with(write_banks=writers), 1))
    for i, rows in enumerate(queues):
        work.add_writes(f"slice {i}", np.zeros(rows, np.int64), np.ones(rows, np.int64))
    assert work.write_cycles == expected * WRITE


def test_a_cell_that_does_not_take_its_value_is_written_again() -> None:
    state = RramState(chip_with(write_failure=0.004), 3)
    report = programmed(state, weights(state.chip))
    assert report.retries > 2  # 16 rows of 80 cells, each fails once in 250 times
    assert report.write_cycles == int(sum(part.wear.sum() for part in state.slices.values()))
    assert not report.spared


def test_a_row_with_a_stuck_cell_is_kept_and_one_with_two_in_a_word_goes_to_a_spare_row() -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    ones = np.flatnonzero(np.unpackbits(program.images[0].data[3], bitorder="little"))
    state.faults = {("rram.w0", 3, int(ones[0])): STUCK_0}
    report = programmed(state, program)
    assert (report.spared, report.retries) == (0, state.device.write_attempts - 1)
    state = RramState(chip_with(), 1)
    state.faults = {("rram.w0", 3, int(cell)): STUCK_0 for cell in ones[:2]}
    assert programmed(state, program).spared == 1
    assert state.spares == {("rram.w0", 3): 33}  # bank 1 has the spare rows 33 and 35
    assert state.slice("rram.w0").bad.nonzero()[0].tolist() == [3]
    assert programmed(state, program).written == 0


def test_a_row_without_a_spare_row_is_said_and_the_rest_stays(tmp_path: Path) -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    state.faults = {("rram.w1", row, WHOLE_ROW): STUCK_1 for row in (2, 32, 34)}
    with pytest.raises(DeviceFault, match=r"rram\.w1 cannot be written .* address 2"):
        programmed(state, program)
    assert not state.residents
    assert state.slice("rram.w1").held[:4].tolist() == [True, True, False, False]
    assert state.slice("rram.w0").held[:8].all()


def test_rows_whose_cycles_are_used_up_move_to_spare_rows() -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    state.slice("rram.w0").wear[5] = 100_000
    assert programmed(state, program).spared == 1
    assert list(state.spares) == [("rram.w0", 5)]


def test_programs_share_rows_and_displace_each_other() -> None:
    state = RramState(chip_with(), 1)
    small, large, other = (weights(state.chip, seed, base, count) for seed, base, count in ((0, 0, 8), (0, 0, 8), (1, 6, 4)))
    large = Program(state.chip, [], [*large.images, Image("more", "rram.w1", 20, np.ones((2, 8), np.uint8))])
    programmed(state, small, "prefill")
    assert programmed(state, large, "decode").written == 2
    assert [r.name for r in state.residents] == ["prefill", "decode"]
    assert len(state.tensors) == 2
    assert programmed(state, other, "other").displaced == ("prefill", "decode")
    assert [r.name for r in state.residents] == ["other"]
    assert len(state.tensors) == 2  # those of `other`


def test_programs_that_cannot_go_there_are_refused() -> None:
    state = RramState(chip_with(), 1)
    with pytest.raises(DataFault, match="the device is another"):
        programmed(state, weights(chip_with(read_noise=0.5)))
    with pytest.raises(DataFault, match="nothing in RRAM"):
        programmed(state, Program(state.chip, []))
    assert not state.slices


# Scrubbing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["reads", "age", "errors"])
def test_rows_near_a_limit_are_written_again_and_others_are_not(cause: str) -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    programmed(state, program)
    assert scrubbed(state).rewritten == 0
    part, device = state.slice("rram.w0"), state.device
    if cause == "reads":
        part.reads[3:5] = 0.8 * device.disturb_reads
    elif cause == "age":
        state.clock_s = 0.8 * device.retention_years * 365.25 * 86400
        part.written_s[:] = part.written_s[:] + state.clock_s / 2
        state.slice("rram.w1").written_s[:] = state.clock_s
        part.written_s[3:5] = 0
    else:
        state.faults = {("rram.w0", 3, 1): FLIP, ("rram.w0", 3, 2): FLIP, ("rram.w0", 4, 1): FLIP, ("rram.w0", 4, 70): FLIP}
    report = scrubbed(state)
    assert (report.due_reads, report.due_age, report.due_errors) == tuple(2 * (cause == c) for c in ("reads", "age", "errors"))
    assert report.rewritten == 2
    assert report.work.cycles == 4 * BUSY + WRITE  # one row in each of two banks, two writers
    assert part.wear[:8].tolist() == [1, 1, 1, 2, 2, 1, 1, 1]
    assert not state.faults
    assert report.corrected == 2 * (cause == "errors")
    assert scrubbed(state).rewritten == 0


def test_what_is_past_correction_is_given_up_and_said() -> None:
    state, program = RramState(chip_with(), 1), weights(chip_with())
    programmed(state, program)
    state.faults = {("rram.w0", 3, bit): FLIP for bit in (1, 2, 4)}
    assert scrubbed(state).lost == (("rram.w0", 3),)
    assert not state.slice("rram.w0").held[3]
    assert programmed(state, program).written == 1
    assert scrubbed(state).lost == ()


def test_how_often_to_scrub_and_how_long_a_chip_lives() -> None:
    state, program = RramState(load_chip("tiny"), 1), weights(load_chip("tiny"))
    assert reads_a_run(program)["rram.w0"][:6].tolist() == [2, 1, 1, 1, 1, 0]
    (plan,) = scrub_plan(state, program, 10.0, 85.0)
    assert plan.interval_s == pytest.approx(0.8 * 1000 / (2 * 10))
    assert plan.limited_by == "reads"
    assert plan.life_years == pytest.approx(50 * plan.interval_s / (365.25 * 86400))
    assert plan.scrub_s == pytest.approx((4 * BUSY + 2 * 4 * WRITE) * 1e-9)
    (hot,) = scrub_plan(state, program, 1e-9, 125.0)
    assert hot.limited_by == "age"
    assert hot.interval_s == pytest.approx(0.8 * 10 * 365.25 * 86400 / state.device.acceleration(125))
    assert state.device.acceleration(85.0) == 1.0
    big = RramState(load_chip("lpu-rram"), 1)
    image = Image("w", "rram.w0", 0, np.zeros((4, 320), np.uint8))
    read = Operation(0, "rram.w0.rd", "read", (), Stream("e", 0), {"addr": 0, "step": 1}, rep=4)
    plans = scrub_plan(big, Program(big.chip, [read], [image]), 1000.0, 85.0)
    assert [p.corner for p in plans] == ["typical", "optimistic", "pessimistic"]
    assert plans[1].interval_s > plans[0].interval_s > plans[2].interval_s
    assert plans[1].life_years > plans[0].life_years > plans[2].life_years


# Killed ---------------------------------------------------------------------------------------------------------------


def everything(state: RramState, *, reads: bool = True) -> tuple[object, ...]:
    fields = [f.name for f in dataclasses.fields(state.slice("rram.w0")) if reads or f.name != "reads"]
    arrays = {unit: [getattr(part, name).tobytes() for name in fields] for unit, part in state.slices.items()}
    return arrays, state.spares, state.faults, state.residents, state.tensors


def program_file(path: Path, program: Program) -> None:
    with open_device(path) as file:
        deque(program_device(file.state, program, "p", file.save, batch_rows=2), maxlen=0)


def in_a_child_that_is_killed(path: Path, program: Program, seconds: float) -> bool:
    """Program in another process, killed by the system after `seconds`. True if it was, False if it had ended."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        program_file(path, program)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_killed_at_any_point_and_run_again_ends_as_if_never_killed(tmp_path: Path) -> None:
    """No row is written twice, none is lost, and the program is resident only when it is whole."""
    chip = chip_with(write_failure=0.01, stuck_rate=0.005)
    program = weights(chip, count=16)
    create_device(tmp_path / "whole.dev", RramState(chip, 1))
    program_file(tmp_path / "whole.dev", program)
    with open_device(tmp_path / "whole.dev") as file:
        expected = everything(file.state, reads=False)
    rng, kills = random.Random(4), 0
    path = tmp_path / "d.dev"
    create_device(path, RramState(chip, 1))
    for attempt in itertools.count():
        killed = in_a_child_that_is_killed(path, program, rng.uniform(0.001, 0.02 + 0.008 * attempt))
        kills += killed
        with open_device(path) as file:
            state = file.state
            held = [int(part.held.sum()) for part in state.slices.values()]
            assert bool(state.residents) == (sum(held) == 32)
            for i, part in enumerate(state.slices[u] for u in sorted(state.slices)):
                assert (part.words[:16] == program.images[i].data)[part.held[:16]].all()
                assert not part.words[~part.held].any()
            if not killed:
                assert everything(state, reads=False) == expected
                break
        assert attempt < 200
    assert kills > 2


def test_write_rows_touches_only_its_rows() -> None:
    state = RramState(chip_with(), 1)
    done = write_rows(state, "rram.w0", np.array([2, 7]), np.ones((2, 8), np.uint8))
    assert done.cycles.tolist() == [1, 1]
    assert done.physical.tolist() == [2, 7]
    assert state.slice("rram.w0").held.nonzero()[0].tolist() == [2, 7]

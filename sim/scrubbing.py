"""Scrubbing: rows that near the limit of their reads or their age, or err already, are read, corrected and written again.

A scrub reads every row that the device holds and writes those that are due. A row with a word past correction cannot be
restored from itself: it is given up, and its program must be programmed again. A word that the code has changed into another
is written as it was read, for the chip does not know.

interface: `for report in scrub_device(state, save): …` yields after every batch; `scrub_plan(…)` says how often a model must.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.program import Program
from isa.residents import resident_rows
from isa.rram_device import SECONDS_A_YEAR, Corner, RramDevice
from isa.rram_state import RramState
from sim.cells import Cells
from sim.programming import BATCH_ROWS, Save
from sim.row_writer import write_rows
from sim.word_errors import OUTCOMES, WordErrors, decode_errors
from sim.write_time import MaintenanceWork

Numbers = NDArray[np.int64]
DUE_SHARE = 0.8
"""Of its limit of reads or age: from there on a row is due."""


@dataclass(slots=True)
class ScrubReport:
    """What a scrub did so far."""

    work: MaintenanceWork
    rows: int
    """That the device holds."""
    done: int = 0
    due_reads: int = 0
    """Rows near their limit of reads; below, of age; and rows with a word of more wrong bits than a write may leave. A row may
    be due for several reasons."""
    due_age: int = 0
    due_errors: int = 0
    rewritten: int = 0
    write_cycles: int = 0
    corrected: int = 0
    """Words with wrong bits that the code set right."""
    spared: int = 0
    most_worn: int = 0
    lost: tuple[tuple[str, int], ...] = ()
    """(unit, address) of rows that hold their value no longer."""


def scrub_device(
    state: RramState, save: Save, due_share: float = DUE_SHARE, batch_rows: int = BATCH_ROWS
) -> Iterator[ScrubReport]:
    """Scrub all rows that the device holds."""
    held = {unit: np.flatnonzero(part.held) for unit, part in sorted(state.slices.items())}
    report = ScrubReport(MaintenanceWork(state), sum(len(rows) for rows in held.values()))
    for unit, rows in held.items():
        for first in range(0, len(rows), batch_rows):
            addresses = rows[first : first + batch_rows]
            physical = _scrub_batch(state, unit, addresses, report, due_share)
            save({unit: addresses}, {unit: physical})
            yield report


def _scrub_batch(state: RramState, unit: str, addresses: Numbers, report: ScrubReport, due_share: float) -> Numbers:
    """The physical rows that were touched."""
    device, part, cells = state.device, state.slice(unit), Cells(state)
    before = state.physical(unit, addresses)
    report.work.add_reads(unit, addresses)
    part.reads[before] += np.uint64(1)
    wrong = cells.wrong(unit, before, part.words[addresses])
    found = decode_errors(cells.code, state.cells, wrong.row * state.cells + wrong.cell)
    lost = _take_as_read(state, unit, addresses, found)
    by_reads = part.reads[before] >= due_share * device.disturb_reads
    by_age = state.clock_s - part.written_s[before] >= due_share * device.retention_years * SECONDS_A_YEAR
    by_errors = np.zeros(len(addresses), np.bool_)
    by_errors[found.read[found.count > device.accepted_bits]] = True
    due = np.flatnonzero((by_reads | by_age | by_errors) & ~lost)
    done = write_rows(state, unit, addresses[due], part.words[addresses[due]])
    report.work.add_writes(unit, addresses[due], done.cycles)
    after = state.physical(unit, addresses)
    report.done += len(addresses)
    report.due_reads += int(by_reads.sum())
    report.due_age += int(by_age.sum())
    report.due_errors += int(by_errors.sum())
    report.rewritten += len(due) - int(done.failed.sum())
    report.write_cycles += int(done.cycles.sum())
    report.corrected += int((found.outcome == OUTCOMES.index("corrected")).sum())
    report.spared += done.spared
    report.most_worn = max(report.most_worn, int(part.wear[after].max(initial=0)))
    gone = [*addresses[lost].tolist(), *addresses[due[done.failed]].tolist()]
    report.lost += tuple((unit, address) for address in sorted(gone))
    return np.union1d(np.union1d(before, after), done.physical)


def _take_as_read(state: RramState, unit: str, addresses: Numbers, found: WordErrors) -> NDArray[np.bool_]:
    """Words as the code gives them become what the device holds. Returns the rows with a word past correction: given up."""
    part, banks = state.slice(unit), state.rram.banks
    for outcome, name in enumerate(OUTCOMES):
        np.add.at(getattr(part, name), addresses[found.read[found.outcome == outcome]] % banks, np.uint64(1))
    for row, bit in zip(*(flips.tolist() for flips in found.flips), strict=True):
        part.words[addresses[row], bit // 8] ^= np.uint8(1 << bit % 8)
    lost = np.zeros(len(addresses), np.bool_)
    lost[found.read[found.outcome == OUTCOMES.index("uncorrectable")]] = True
    part.held[addresses[lost]] = False
    return lost


# How often, and for how long -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScrubPlan:
    """What a model at a rate of requests asks of a device, for one corner of the chip file's ranges."""

    corner: Corner
    interval_s: float
    """Between two scrubs, so that no row reaches its limit."""
    limited_by: str
    """`reads` or `age`"""
    scrub_s: float
    """One scrub of the program's rows, all of them written once."""
    busy_share: float
    """Of all time, spent on scrubs."""
    life_years: float
    """Until the first row has had its rated write cycles."""


def reads_a_run(program: Program) -> dict[str, Numbers]:
    """Reads of every address of each RRAM slice in one run. A gather may ask for one row every time, and counts so."""
    chip = program.chip
    reads = {unit.name: np.zeros(chip.words(unit.name), np.int64) for unit in chip.slices("rram")}
    for op in program.operations:
        unit = chip.slots[op.slot].unit.name if op.mnemonic in ("read", "gather") else ""
        if unit in reads and op.mnemonic == "read":
            np.add.at(reads[unit], op.get("addr") + op.get("step") * np.arange(op.rep), 1)
        elif unit in reads:
            reads[unit][op.get("base") : op.get("base") + op.get("limit")] += op.rep
    return reads


def scrub_plan(
    state: RramState, program: Program, requests_per_s: float, celsius: float, due_share: float = DUE_SHARE
) -> list[ScrubPlan]:
    """For the device's own corner, then the optimistic and the pessimistic one. Every request is one run of the program at
    `celsius` degrees."""
    described = state.chip.rram.device if state.chip.rram else None
    assert described is not None
    corners: tuple[Corner, ...] = ("typical", "optimistic", "pessimistic") if described.ranges else ("typical",)
    reads = reads_a_run(program)
    each: list[tuple[Numbers, Numbers]] = []
    work = MaintenanceWork(state)
    for part in resident_rows(program):
        wear = state.slice(part.unit).wear[state.physical(part.unit, part.addresses)].astype(np.int64)
        each.append((reads[part.unit][part.addresses], wear))
        work.add_reads(part.unit, part.addresses)
        work.add_writes(part.unit, part.addresses, np.ones(len(part.addresses), np.int64))
    counts, wear = np.concatenate([c for c, _ in each]), np.concatenate([w for _, w in each])
    return [_plan(corner, described.at(corner), counts, wear, requests_per_s, celsius, due_share, work) for corner in corners]


def _plan(
    corner: Corner, device: RramDevice, reads: Numbers, wear: Numbers, rate: float, celsius: float, due: float,
    work: MaintenanceWork,
) -> ScrubPlan:  # fmt: skip
    with np.errstate(divide="ignore"):
        by_reads = due * device.disturb_reads / (reads * rate)
    by_age = due * device.retention_years * SECONDS_A_YEAR / device.acceleration(celsius)
    interval = np.minimum(by_reads, by_age)
    shortest = float(interval.min())
    scrub_s = work.seconds_with(device)
    life = float((np.maximum(device.endurance_writes - wear, 0) * interval).min())
    limited = "reads" if shortest < by_age else "age"
    return ScrubPlan(corner, shortest, limited, scrub_s, scrub_s / (scrub_s + shortest), life / SECONDS_A_YEAR)

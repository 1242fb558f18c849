"""How the banks of a device are: rows in use, wear, reads, age, and the cells that are wrong now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isa.rram_device import SECONDS_A_YEAR
from isa.rram_state import RramState
from sim.cells import Cells
from sim.word_errors import OUTCOMES, decode_errors


@dataclass(frozen=True, slots=True)
class BankHealth:
    """One bank of one slice that anything was done to."""

    unit: str
    bank: int
    rows_held: int
    bad_rows: int
    spares_used: int
    mean_wear: float
    """Write cycles, of the rows that hold something."""
    most_wear: int
    most_reads: int
    """Reads since its last write, of the row with most."""
    oldest_years: float
    """Since its last write, at the temperature of retention."""
    wrong_cells: int
    """Now, in rows that hold something."""
    uncorrectable_now: int
    """Words past correction now."""
    corrected: int
    """Words so far, as the two below."""
    uncorrectable: int
    miscorrected: int


def bank_health(state: RramState) -> list[BankHealth]:
    """Every bank of every slice of the state, west before east, nearest to the VXM first."""
    units = [unit.name for unit in state.chip.slices("rram") if unit.name in state.slices]
    return [bank for unit in units for bank in _slice_health(state, unit)]


def _slice_health(state: RramState, unit: str) -> list[BankHealth]:
    part, cells, banks = state.slice(unit), Cells(state), state.rram.banks
    addresses = np.flatnonzero(part.held)
    rows, bank = state.physical(unit, addresses), addresses % banks
    wrong = cells.wrong(unit, rows, part.words[addresses])
    found = decode_errors(cells.code, state.cells, wrong.row * state.cells + wrong.cell)
    lost = found.read[found.outcome == OUTCOMES.index("uncorrectable")]
    wrong_cells, lost_words = (np.bincount(bank[read], minlength=banks) for read in (wrong.row, lost))
    bad = np.bincount(np.flatnonzero(part.bad) % banks, minlength=banks)
    spares = np.bincount([row % banks for (name, _), row in state.spares.items() if name == unit] or [0], minlength=banks)
    spares[0] -= not any(name == unit for name, _ in state.spares)
    result: list[BankHealth] = []
    for b in range(banks):
        mine = rows[bank == b]
        wear, reads, since = part.wear[mine], part.reads[mine], state.clock_s - part.written_s[mine]
        result.append(
            BankHealth(
                unit, b, len(mine), int(bad[b]), int(spares[b]),
                float(wear.mean()) if len(mine) else 0.0, int(part.wear[b::banks].max(initial=0)), int(reads.max(initial=0)),
                float(since.max(initial=0.0)) / SECONDS_A_YEAR, int(wrong_cells[b]), int(lost_words[b]),
                *(int(getattr(part, name)[b]) for name in OUTCOMES),
            )
        )  # fmt: skip
    return result

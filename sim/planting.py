"""Faults that somebody plants in a device: places named in words, or drawn at random."""

from __future__ import annotations

import re

import numpy as np

from isa.errors import DataFault
from isa.rram_state import WHOLE_ROW, RramState
from sim.draws import PLANT, hashed

Place = tuple[str, int, int]
"""(unit, physical row, cell or WHOLE_ROW)"""


def cell_named(state: RramState, text: str) -> Place:
    """`rram.w0:17:5` is cell 5 of the row at address 17. Raises DataFault."""
    unit, address, cell = _numbers(state, text, 2)
    if cell >= state.cells:
        raise DataFault(f"'{text}': a row has cells 0 to {state.cells - 1}")
    return unit, _row(state, unit, address, text), cell


def row_named(state: RramState, text: str) -> Place:
    """`rram.w0:17` is the whole row at address 17. Raises DataFault."""
    unit, address, _ = _numbers(state, text, 1)
    return unit, _row(state, unit, address, text), WHOLE_ROW


def _numbers(state: RramState, text: str, count: int) -> tuple[str, int, int]:
    form = "UNIT:ADDRESS:CELL" if count == 2 else "UNIT:ADDRESS"
    found = re.fullmatch(r"([a-z0-9.]+)" + r":([0-9]{1,9})" * count, text)
    if not found:
        raise DataFault(f"'{text}' is not {form}", hint="for example rram.w0:17:5")
    units = [unit.name for unit in state.chip.slices("rram")]
    if found[1] not in units:
        raise DataFault(f"'{text}': the chip has no RRAM slice '{found[1]}'", hint=f"it has {', '.join(units)}")
    return found[1], int(found[2]), int(found[3]) if count == 2 else 0


def _row(state: RramState, unit: str, address: int, text: str) -> int:
    if address >= state.rram.words:
        raise DataFault(f"'{text}': a slice has addresses 0 to {state.rram.words - 1}")
    return int(state.physical(unit, np.array([address]))[0])


def random_cells(state: RramState, count: int, seed: int) -> list[Place]:
    """`count` different cells of rows that hold something. Raises DataFault where there are not so many."""
    held = [(unit, np.flatnonzero(part.held)) for unit, part in sorted(state.slices.items())]
    ends = np.cumsum([len(rows) for _, rows in held])
    total = int(ends[-1]) * state.cells if len(ends) else 0
    if count > total:
        raise DataFault(f"{count:,} cells are asked for, and the rows that hold something have {total:,}")
    chosen: dict[int, None] = {}
    draw = 0
    while len(chosen) < count:
        numbers = hashed(seed, PLANT, state.seed, draw, np.arange(2 * count)) % np.uint64(total)
        chosen |= dict.fromkeys(numbers.tolist())
        draw += 1
    places: list[Place] = []
    for code in list(chosen)[:count]:
        row, cell = divmod(code, state.cells)
        part = int(np.searchsorted(ends, row, "right"))
        unit, rows = held[part]
        address = rows[row - (int(ends[part - 1]) if part else 0)]
        places.append((unit, int(state.physical(unit, np.array([address]))[0]), cell))
    return places


def plant(state: RramState, places: list[Place], kind: int) -> None:
    """Faults of a kind (`isa.rram_state`) at these places."""
    for place in places:
        state.slice(place[0])
        state.faults[place] = kind

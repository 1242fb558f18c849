"""Rules 5 and 6: ports and halves of SRAM, busy banks of RRAM."""

from __future__ import annotations

import numpy as np

from isa.memory_words import Accesses, memories
from isa.program import Program
from isa.violations import Violation, earliest, operation_words


def check_halves(program: Program, accesses: Accesses, limit: int) -> list[Violation]:
    """In one cycle a slice reads one half and writes another; a gather or a scatter may touch either and needs both."""
    chip, names = program.chip, memories(program.chip)
    sram = np.flatnonzero(accesses.unit < len(chip.slices("sram")))
    key = accesses.unit[sram] * (int(accesses.cycle.max(initial=0)) + 1) + accesses.cycle[sram]
    chosen = sram[np.argsort(key, kind="stable")]
    unit, cycle, address = accesses.unit[chosen], accesses.cycle[chosen], accesses.address[chosen]
    half = np.where(address < 0, -1, address % chip.sram.halves)
    together = (unit[1:] == unit[:-1]) & (cycle[1:] == cycle[:-1])
    clash = 1 + np.flatnonzero(together & ((half[1:] == half[:-1]) | (half[1:] < 0) | (half[:-1] < 0)))
    found: list[Violation] = []
    for k in earliest(cycle[clash], limit):
        here, before = int(chosen[clash[k]]), int(chosen[clash[k] - 1])
        other = operation_words(program.operations[int(accesses.operation[before])])
        which = "both halves are" if min(half[clash[k] - 1 : clash[k] + 1]) < 0 else f"half {int(half[clash[k]])} is"
        message = f"{which} needed in {names[int(accesses.unit[here])]} by two accesses in one cycle; the other is {other}"
        found.append(Violation("sram", int(accesses.cycle[here]), int(accesses.operation[here]), message))
    return found


def check_banks(program: Program, accesses: Accesses, limit: int) -> list[Violation]:
    """Reads of one RRAM bank are `busy_cycles` apart; a gather takes every bank of its slice."""
    rram = program.chip.rram
    if rram is None:
        return []
    chosen = np.flatnonzero(accesses.unit >= len(program.chip.slices("sram")))
    known = chosen[accesses.address[chosen] >= 0]
    gathers = np.repeat(chosen[accesses.address[chosen] < 0], rram.banks)
    access = np.concatenate([known, gathers])
    every_bank = np.tile(np.arange(rram.banks), len(gathers) // rram.banks)
    bank = np.concatenate([accesses.address[known] % rram.banks, every_bank])
    place = accesses.unit[access] * rram.banks + bank
    key = place * (int(accesses.cycle.max(initial=0)) + 1) + accesses.cycle[access]
    order = np.argsort(key, kind="stable")
    access, place, bank = access[order], place[order], bank[order]
    cycle = accesses.cycle[access]
    clash = 1 + np.flatnonzero((place[1:] == place[:-1]) & (cycle[1:] - cycle[:-1] < rram.busy_cycles))
    _, once = np.unique(access[clash], return_index=True)
    clash = clash[once]
    found: list[Violation] = []
    for k in earliest(cycle[clash], limit):
        here, before = int(clash[k]), int(clash[k]) - 1
        op = program.operations[int(accesses.operation[access[before]])]
        free = int(cycle[before]) + rram.busy_cycles
        message = (
            f"bank {int(bank[here])} is busy until cycle {free}, since cycle {int(cycle[before])} with {operation_words(op)}"
        )
        found.append(Violation("rram", int(cycle[here]), int(accesses.operation[access[here]]), message))
    return found

"""Rule 5, second half: a word is read only when it is there: from the start, or written and no longer under way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.dispatches import Dispatches
from isa.layout import addresses
from isa.memory_words import Accesses, first_words, initial_words, memories
from isa.program import Operation, Program
from isa.timing import program_cycles
from isa.violations import Violation, earliest, operation_words

Indices = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Writes:
    """Plain writes, ordered by (word, dispatch cycle), with the cycle from which a read sees each."""

    operation: Indices
    word: Indices
    cycle: Indices
    seen: Indices
    span: int
    """More than the last cycle: word · span + cycle orders both."""

    def last_before(self, word: Indices, cycle: Indices) -> Indices:
        """Index of the last write of each word dispatched no later than the cycle, -1 if there is none."""
        index = np.searchsorted(self.word * self.span + self.cycle, word * self.span + cycle, "right") - 1
        if not len(self.word):
            return index
        return np.where((index >= 0) & (self.word[index] == word), index, -1)


def check_words(program: Program, dispatches: Dispatches, accesses: Accesses, limit: int) -> list[Violation]:
    """Reads of words that are not there, and outputs that never are; the first `limit` of each kind."""
    start, there = first_words(program.chip), initial_words(program)
    writes = _collect_writes(dispatches, accesses, start)
    found = _check_reads(program, accesses, writes, start, there, limit)
    ready = np.where(there, -1, NEVER)
    words, first = np.unique(writes.word, return_index=True)
    ready[words] = np.minimum(ready[words], writes.seen[first])
    numbers = {name: i for i, name in enumerate(memories(program.chip))}
    for i in dispatches.where("gather"):
        op = program.operations[int(i)]
        base = int(start[numbers[program.chip.slots[op.slot].unit.name]]) + op.get("base")
        found += _check_gather(dispatches, int(i), op, writes, base, ready)
    for i in dispatches.where("scatter"):
        found += _check_scatter(program, dispatches, accesses, int(i), numbers)
    return found + _check_outputs(program, start, numbers, ready)


def _collect_writes(dispatches: Dispatches, accesses: Accesses, start: Indices) -> _Writes:
    chosen = np.flatnonzero(accesses.write & (accesses.address >= 0))
    word = start[accesses.unit[chosen]] + accesses.address[chosen]
    span = int(accesses.cycle.max(initial=0)) + 1
    order = np.argsort(word * span + accesses.cycle[chosen], kind="stable")
    chosen = chosen[order]
    operation, cycle = accesses.operation[chosen], accesses.cycle[chosen]
    return _Writes(operation, word[order], cycle, cycle + dispatches.latency[operation], span)


def _check_reads(
    program: Program, accesses: Accesses, writes: _Writes, start: Indices, there: NDArray[np.bool_], limit: int
) -> list[Violation]:
    chosen = np.flatnonzero(~accesses.write & (accesses.address >= 0))
    word, cycle = start[accesses.unit[chosen]] + accesses.address[chosen], accesses.cycle[chosen]
    last = writes.last_before(word, cycle)
    unwritten = (last < 0) & ~there[word]
    under_way = (last >= 0) & (writes.seen[last] > cycle) if len(writes.word) else np.zeros(len(last), np.bool_)
    bad = np.flatnonzero(unwritten | under_way)
    names = memories(program.chip)
    found: list[Violation] = []
    for k in bad[earliest(cycle[bad], limit)]:
        access = int(chosen[k])
        place = f"word {int(accesses.address[access])} of {names[int(accesses.unit[access])]}"
        if unwritten[k]:
            message = f"{place} is read but was never written"
        else:
            op = program.operations[int(writes.operation[last[k]])]
            message = f"{place} is being written until cycle {int(writes.seen[last[k]])}, by {operation_words(op)}"
        found.append(Violation("sram", int(cycle[k]), int(accesses.operation[access]), message))
    return found


def _check_gather(dispatches: Dispatches, i: int, op: Operation, writes: _Writes, base: int, ready: Indices) -> list[Violation]:
    """A gather may touch any word of its range: all must be there, and none be under way at any of its dispatches."""
    limit, first = op.get("limit"), op.cycle
    rule = "rram" if op.slot.startswith("rram") else "sram"
    late = np.flatnonzero(ready[base : base + limit] > first)
    if len(late):
        word = op.get("base") + int(late[0])
        return [Violation(rule, first, i, f"word {word} may be read but is not there: it is not written before cycle {first}")]
    low, high = np.searchsorted(writes.word, [base, base + limit])
    begin, seen = writes.cycle[low:high], writes.seen[low:high]
    dispatch = first + np.maximum(0, -(-(begin - first) // op.every)) * op.every
    clash = np.flatnonzero((dispatch < seen) & (dispatch <= dispatches.last[i]))
    if not len(clash):
        return []
    k = int(clash[np.argmin(dispatch[clash])])
    word = op.get("base") + int(writes.word[low + k]) - base
    return [Violation(rule, int(dispatch[k]), i, f"word {word} may be read while it is being written, until cycle {seen[k]}")]


def _check_scatter(
    program: Program, dispatches: Dispatches, accesses: Accesses, i: int, numbers: dict[str, int]
) -> list[Violation]:
    """A scatter may touch any word of its range: none may be read, or gathered from, while one of its writes is under way."""
    op, slots = program.operations[i], program.chip.slots
    base, limit = op.get("base"), op.get("limit")
    same_unit = ~accesses.write & (accesses.unit == numbers[slots[op.slot].unit.name])
    in_range = (accesses.address >= base) & (accesses.address < base + limit)
    gathers = [
        int(g)
        for g in dispatches.where("gather")
        if slots[program.operations[int(g)].slot].unit == slots[op.slot].unit
        and program.operations[int(g)].get("base") < base + limit
        and base < program.operations[int(g)].get("base") + program.operations[int(g)].get("limit")
    ]
    reads = np.flatnonzero(same_unit & (in_range | np.isin(accesses.operation, gathers)))
    cycle = accesses.cycle[reads]
    element = np.minimum((cycle - op.cycle) // op.every, op.rep - 1)
    dispatch = op.cycle + element * op.every
    clash = np.flatnonzero((element >= 0) & (cycle < dispatch + dispatches.latency[i]))
    return [
        Violation(
            "sram", int(cycle[k]), int(accesses.operation[reads[k]]), f"a word may be read that {operation_words(op)} writes"
        )
        for k in clash[earliest(cycle[clash], 1)]
    ]


def _check_outputs(program: Program, start: Indices, numbers: dict[str, int], ready: Indices) -> list[Violation]:
    found: list[Violation] = []
    end = program_cycles(program.operations, program.chip)
    for symbol in program.symbols:
        if symbol.role != "output":
            continue
        for piece in symbol.pieces:
            where = addresses(piece)
            missing = where[ready[int(start[numbers[piece.unit]]) + where] == NEVER]
            if len(missing):
                message = f"word {int(missing[0])} of {piece.unit}, in output '{symbol.name}', is never written"
                found.append(Violation("symbol", end, -1, message))
    return found

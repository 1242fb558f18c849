"""What must be executed before what: pairs of pieces, for the fast machine.

Values on streams: producer before reader. Words of memory: in the order of dispatch, wherever one of two accesses writes.
Planes: loads of a buffer in order, then the feeds that use it; the feeds of a plane in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from isa.checks_ranges import mode_name
from isa.dispatches import Dispatches
from isa.memory_words import Accesses, first_words, memories
from isa.program import Program
from sim.pieces import Facts, Indices, Links, Pieces
from sim.planes import planes_held

Pairs = NDArray[np.int64]
"""[n, 2]: before, after."""


@dataclass(frozen=True, slots=True)
class PlaneEpochs:
    """When the buffers of a plane change. Epoch k is what swap k makes active; loads before the first swap are epoch 0."""

    swaps: Indices
    """Dispatch cycles, in order."""
    latency: int

    def of_load(self, cycle: Indices) -> Indices:
        return np.searchsorted(self.swaps, cycle, "right")

    def of_feed(self, cycle: Indices) -> Indices:
        return np.searchsorted(self.swaps + self.latency, cycle, "right") - 1


def plane_epochs(program: Program) -> dict[str, PlaneEpochs]:
    """The epochs of every plane; swaps of a pair count on both."""
    chip = program.chip
    cycles: dict[str, list[int]] = {plane.name: [] for plane in chip.planes}
    for op in program.operations:
        if op.mnemonic == "swap":
            for plane in planes_held(op, chip.slots[op.slot].unit, chip):
                cycles[plane.name] += [op.cycle + i * op.every for i in range(op.rep)]
    latency = chip.timing["mxm.swap"].latency
    return {name: PlaneEpochs(np.array(sorted(found), np.int64), latency) for name, found in cycles.items()}


def epochs_of(program: Program, epochs: dict[str, PlaneEpochs], operation: int) -> Indices:
    """The epoch of each element of a load or feed."""
    op = program.operations[operation]
    plane = epochs[program.chip.slots[op.slot].unit.name]
    cycle = op.cycle + op.every * np.arange(op.rep, dtype=np.int64)
    return plane.of_load(cycle) if op.mnemonic == "load" else plane.of_feed(cycle)


def cut_at_swaps(program: Program, epochs: dict[str, PlaneEpochs], pieces: Pieces) -> Pieces:
    """Pieces of loads and feeds that belong to one epoch each."""
    where: list[int] = []
    elements: list[int] = []
    operations: list[int] = pieces.operation.tolist()
    for piece, number in enumerate(operations):
        if program.operations[number].mnemonic in ("load", "feed"):
            changes = 1 + np.flatnonzero(np.diff(epochs_of(program, epochs, number)))
            for element in changes:
                where.append(piece)
                elements.append(int(element))
    if not where:
        return pieces
    return pieces.cut(np.array(where, np.int64), np.array(elements, np.int64))


def dependences(program: Program, pieces: Pieces, links: Links, words: WordAccesses, epochs: dict[str, PlaneEpochs]) -> Pairs:
    """Every pair, once; a piece that depends on itself is paired with itself."""
    streams = np.stack([links.producer, links.reader], axis=1)
    found = [streams, _memory_pairs(pieces, words), _plane_pairs(program, pieces, epochs)]
    pairs = np.concatenate(found)
    key = np.unique(pairs[:, 0] * (len(pieces) + 1) + pairs[:, 1])
    return np.stack(np.divmod(key, len(pieces) + 1), axis=1)


@dataclass(frozen=True, slots=True)
class WordAccesses:
    """Accesses of words that something writes, ordered by (word, dispatch cycle)."""

    operation: Indices
    element: Indices
    word: Indices
    write: NDArray[np.bool_]


def word_accesses(program: Program, dispatches: Dispatches, accesses: Accesses, facts: Facts, pieces: Pieces) -> WordAccesses:
    """The accesses of a legal program that constrain the order of its pieces."""
    start = first_words(program.chip)
    plain = accesses.address >= 0
    operation, cycle, write = accesses.operation[plain], accesses.cycle[plain], accesses.write[plain]
    word = start[accesses.unit[plain]] + accesses.address[plain]
    element = (cycle - facts.cycle[operation]) // facts.every[operation]
    changed = np.zeros(int(start[-1]), np.bool_)
    changed[word[write]] = True
    spans = _indexed_spans(program, dispatches, start)
    for number, low, high in spans:
        if program.operations[number].mnemonic == "scatter":
            changed[low:high] = True
    rows = [np.stack([operation, element, word, cycle, write.astype(np.int64)])[:, changed[word]]]
    everything = rows[0]
    for number, low, high in spans:
        cuts = pieces.first[pieces.operation == number]
        rows.append(_indexed_rows(program, facts, (number, low, high), cuts, everything, changed, spans))
    table = np.concatenate(rows, axis=1)
    table = table[:, np.lexsort((table[0], table[3], table[2]))]
    return WordAccesses(table[0], table[1], table[2], table[4].astype(np.bool_))


def _indexed_spans(program: Program, dispatches: Dispatches, start: Indices) -> list[tuple[int, int, int]]:
    """(operation, first word, word after the last) of every gather and scatter."""
    numbers = {name: i for i, name in enumerate(memories(program.chip))}
    spans: list[tuple[int, int, int]] = []
    for i in map(int, dispatches.where("gather", "scatter")):
        op = program.operations[i]
        low = int(start[numbers[program.chip.slots[op.slot].unit.name]]) + op.get("base")
        spans.append((i, low, low + op.get("limit")))
    return spans


def _indexed_rows(
    program: Program,
    facts: Facts,
    span: tuple[int, int, int],
    cuts: Indices,
    plain: Indices,
    changed: NDArray[np.bool_],
    spans: list[tuple[int, int, int]],
) -> Indices:
    """Rows (operation, element, word, cycle, write) of a gather or scatter: it may touch any word of its range.

    Elements of a piece between which nothing else touches the range stand in the same order to everything, so the first of
    them stands for them all.
    """
    number, low, high = span
    words = low + np.flatnonzero(changed[low:high])
    if not len(words):
        return np.zeros((5, 0), np.int64)
    op = program.operations[number]
    inside = (plain[2] >= low) & (plain[2] < high)
    others = [plain[3][inside]]
    for other, other_low, other_high in spans:
        if other != number and other_low < high and low < other_high:
            others.append(facts.cycle[other] + facts.every[other] * np.arange(facts.rep[other]))
    element = np.searchsorted(op.cycle + op.every * np.arange(op.rep), np.concatenate(others))
    begin = np.unique(np.concatenate([element[element < op.rep], cuts]))
    elements, word = np.repeat(begin, len(words)), np.tile(words, len(begin))
    write = np.full(len(word), op.mnemonic == "scatter", np.int64)
    return np.stack([np.full(len(word), number), elements, word, op.cycle + op.every * elements, write])


def _memory_pairs(pieces: Pieces, accesses: WordAccesses) -> Pairs:
    """Of the accesses of a word, in order: each write before what follows up to the next write; each read before that."""
    if not len(accesses.word):
        return np.zeros((0, 2), np.int64)
    piece = pieces.of(accesses.operation, accesses.element)
    count = len(piece)
    order = np.arange(count)
    before = np.append(-1, np.maximum.accumulate(np.where(accesses.write, order, -1))[:-1])
    after = np.append(np.minimum.accumulate(np.where(accesses.write, order, count)[::-1])[::-1][1:], count)
    reads_it = np.flatnonzero((before >= 0) & (accesses.word[before] == accesses.word))
    replaced = np.flatnonzero((after < count) & (accesses.word[np.minimum(after, count - 1)] == accesses.word))
    pairs = np.concatenate(
        [
            np.stack([piece[before[reads_it]], piece[reads_it]], axis=1),
            np.stack([piece[replaced], piece[after[replaced]]], axis=1),
        ]
    )
    # Elements of one piece keep their order within it, unless a word is read that the piece itself wrote: impossible for one
    # operation, which only reads or only writes.
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _plane_pairs(program: Program, pieces: Pieces, epochs: dict[str, PlaneEpochs]) -> Pairs:
    chip = program.chip
    loads: dict[tuple[str, int], list[tuple[int, int]]] = {}
    feeds: dict[str, list[tuple[int, int]]] = {}
    users: list[tuple[str, int, int]] = []
    numbers: list[int] = pieces.operation.tolist()
    firsts: list[int] = pieces.first.tolist()
    for piece, (number, first) in enumerate(zip(numbers, firsts, strict=True)):
        op = program.operations[number]
        if op.mnemonic not in ("load", "feed"):
            continue
        cycle = op.cycle + first * op.every
        epoch = epoch_of_piece(program, epochs, number, first)
        unit = chip.slots[op.slot].unit
        if op.mnemonic == "load":
            loads.setdefault((unit.name, epoch), []).append((cycle, piece))
            continue
        users.append((unit.name, epoch, piece))
        for plane in planes_held(op, unit, chip):
            feeds.setdefault(plane.name, []).append((cycle, piece))
    found: list[tuple[int, int]] = []
    for together in (*loads.values(), *feeds.values()):
        together.sort()
        found += [(a, b) for (_, a), (_, b) in pairwise(together)]
    found += [(loads[plane, epoch][-1][1], piece) for plane, epoch, piece in users]
    return np.array(found, np.int64).reshape(len(found), 2)


def epoch_of_piece(program: Program, epochs: dict[str, PlaneEpochs], number: int, first: int) -> int:
    """The epoch of a load or feed piece, which begins with element `first`."""
    op = program.operations[number]
    plane = epochs[program.chip.slots[op.slot].unit.name]
    cycle = np.array([op.cycle + first * op.every], np.int64)
    return int((plane.of_load(cycle) if op.mnemonic == "load" else plane.of_feed(cycle))[0])


def weights_name(program: Program, epochs: dict[str, PlaneEpochs], number: int, first: int) -> tuple[str, int, str]:
    """(plane, epoch, mode) of the buffer that a load or feed piece touches."""
    op = program.operations[number]
    unit = program.chip.slots[op.slot].unit.name
    return unit, epoch_of_piece(program, epochs, number, first), mode_name(op)

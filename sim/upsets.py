"""Bits that flip while a program runs: in values under way on streams, and in words of SRAM. What readers find is settled here.

A stream upset hits the value that an operation puts on one byte stream, before anybody reads it. An SRAM upset hits a word at
the beginning of a cycle, and stays until a write of the superlane lands. Check bits travel from SRAM over the stream to the
reader, so both show as wrong bits of values, and every reader decodes them (`sim/secded.py`): it corrects, refuses, or takes
the word for another. Upsets of the same bit take each other back.

The fast machine asks `settle` for all values at once and puts only what is left behind the decoder into the results. The
reference machine keeps the wrong bits with words and values and decodes them bit by bit where they are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.dispatches import collect_dispatches
from isa.layout import addresses
from isa.memory_words import Accesses, collect_accesses, memories
from isa.program import Program
from isa.timing import latency, stream_reads
from isa.wiring import Wiring
from sim.ecc import UNCORRECTABLE
from sim.secded import SecdedCode, stream_code
from sim.semantics import lane_mask
from sim.traps import Violation

Wrong = frozenset[int]
"""Wrong bits of a vector of one byte stream: superlane · code bits + bit of the word."""
NOTHING: Wrong = frozenset()


@dataclass(frozen=True, slots=True)
class StreamUpset:
    """Wrong bits in element `element` on the byte stream `stream` (its ordinal in `stream_writes`) of an operation."""

    operation: int
    stream: int
    element: int
    wrong: Wrong


@dataclass(frozen=True, slots=True)
class SramUpset:
    """Bits of an SRAM word that flip at the beginning of a cycle."""

    unit: str
    address: int
    cycle: int
    wrong: Wrong


Upset = StreamUpset | SramUpset
ValueKey = tuple[int, int, int]
"""(operation, stream, element) of a value."""


RIGHT, REFUSED, MISTAKEN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a reader makes of one vector with wrong bits."""

    words: tuple[tuple[int, int], ...]
    """(wrong bits, RIGHT | REFUSED | MISTAKEN) of each wrong word."""
    refused: int
    """First word that is past correction, or -1."""
    mask: NDArray[np.uint8] | None
    """uint8 [lanes]: what the reader's data differs by from the true data; None where it does not."""


def decoded(wrong: Wrong, lanes: int, code: SecdedCode) -> Decoded:
    """By syndromes alone, for the code is linear: what data the vector holds does not matter."""
    by_word: defaultdict[int, list[int]] = defaultdict(list)
    for bit in sorted(wrong):
        by_word[bit // code.bits].append(bit % code.bits)
    words: list[tuple[int, int]] = []
    refused = -1
    mask = np.zeros(lanes, np.uint8)
    octets = code.data_bits // 8
    for word, bits in by_word.items():
        syndrome = np.bitwise_xor.reduce(code.syndromes[bits])
        found = code.correct(np.array([syndrome], np.uint16))
        if found.status[0] == UNCORRECTABLE:
            refused = word if refused < 0 else refused
            words.append((len(bits), REFUSED))
            continue
        left = set(bits) ^ {int(bit) for bit in found.flips[0] if bit >= 0}
        words.append((len(bits), MISTAKEN if left else RIGHT))
        for bit in left:
            if bit < code.data_bits:
                mask[word * octets + bit // 8] ^= np.uint8(1 << bit % 8)
    return Decoded(tuple(words), refused, mask if mask.any() else None)


def decoded_vector(data: NDArray[np.uint8], wrong: Wrong, code: SecdedCode) -> tuple[NDArray[np.uint8], int]:
    """One vector uint8 [lanes] as its reader decodes it, and the first word past correction, or -1: from the bits themselves.

    A word past correction is given as it should be: what is made of it does not matter, for a trap is certain.
    """
    true = data.reshape(-1, code.data_bits // 8)
    words = true.copy()
    checks = code.encode(words)
    for bit in wrong:
        word, place = divmod(bit, code.bits)
        if place < code.data_bits:
            words[word, place // 8] ^= np.uint8(1 << place % 8)
        else:
            checks[word] ^= np.uint16(1 << place - code.data_bits)
    fixed, found = code.decode(words, checks)
    refused = np.flatnonzero(found.status == UNCORRECTABLE)
    fixed[refused] = true[refused]
    return fixed.reshape(-1), int(refused[0]) if len(refused) else -1


def refusal_text(stream: str, element: int, word: int) -> str:
    """What a reader's trap says."""
    return f"superlane {word} of element {element} on {stream} has more wrong bits than its code can correct"


def in_lanes(wrong: Wrong, lanes: NDArray[np.bool_], code: SecdedCode) -> Wrong:
    """The wrong bits of the superlanes among these lanes (whole superlanes of them)."""
    octets = code.data_bits // 8
    return frozenset(bit for bit in wrong if lanes[bit // code.bits * octets])


@dataclass(frozen=True, slots=True)
class Settled:
    """What upsets come to, by value and by word that stays wrong to the end."""

    values: dict[ValueKey, Wrong]
    left: dict[tuple[str, int], Wrong]
    """(unit, address): what the host would read."""


class UpsetTimeline:
    """Which values a program's SRAM words with wrong bits go into. Made once a program."""

    def __init__(self, program: Program) -> None:
        self.program, self.chip = program, program.chip
        self.code = stream_code(program.chip.superlane)
        self.accesses: Accesses = collect_accesses(program, collect_dispatches(program))
        self._number = {name: i for i, name in enumerate(memories(program.chip))}
        operation = self.accesses.operation
        starts = np.flatnonzero(np.diff(operation, prepend=-1))
        self._element = np.arange(len(operation)) - np.repeat(starts, np.diff(starts, append=len(operation)))
        self.indexed = {self.chip.slots[op.slot].unit.name for op in program.operations if op.mnemonic in ("gather", "scatter")}
        """Slices with words that only a run knows the readers or writers of."""

    def settle(self, upsets: Iterable[Upset]) -> Settled:
        """Wrong bits of values and of words at the end. SRAM upsets in `indexed` slices are not for this method."""
        values: defaultdict[ValueKey, Wrong] = defaultdict(frozenset)
        by_word: defaultdict[tuple[str, int], list[SramUpset]] = defaultdict(list)
        for upset in upsets:
            if isinstance(upset, StreamUpset):
                values[upset.operation, upset.stream, upset.element] ^= upset.wrong
            else:
                by_word[upset.unit, upset.address].append(upset)
        left: dict[tuple[str, int], Wrong] = {}
        for place, hits in by_word.items():
            wrong = NOTHING
            for kind, number, element in self._events(*place, hits):
                if kind == _HIT:
                    wrong ^= hits[number].wrong
                elif kind == _LANDED:
                    wrong = self._after_write(number, wrong)
                elif wrong:
                    values[number, 0, element] ^= wrong
            if wrong:
                left[place] = wrong
        return Settled({key: wrong for key, wrong in values.items() if wrong}, left)

    def _events(self, unit: str, address: int, hits: list[SramUpset]) -> Iterator[tuple[int, int, int]]:
        """(kind, operation or index of the hit, element) of one word in the order of time."""
        a = self.accesses
        events = [(hit.cycle, _HIT, i, 0) for i, hit in enumerate(hits)]
        for i in np.flatnonzero((a.unit == self._number[unit]) & (a.address == address)).tolist():
            number = int(a.operation[i])
            if a.write[i]:
                events.append((int(a.cycle[i]) + latency(self.program.operations[number], self.chip), _LANDED, number, 0))
            else:
                events.append((int(a.cycle[i]), _READ, number, int(self._element[i])))
        for _, kind, number, element in sorted(events):
            yield kind, number, element

    def _after_write(self, operation: int, wrong: Wrong) -> Wrong:
        mask = lane_mask(self.program.operations[operation].get("mask"), self.chip.lanes, self.chip.superlane)
        return NOTHING if mask is None else in_lanes(wrong, ~mask, self.code)


_HIT, _LANDED, _READ = 0, 1, 2
"""In one cycle words flip first, then writes land, then reads are dispatched."""


def refusals(program: Program, wiring: Wiring, key: ValueKey, word: int) -> Iterator[Violation]:
    """What everyone who reads a value with a word past correction reports."""
    operation, stream, element = key
    chip = program.chip
    mine = (wiring.producer == operation) & (wiring.write_stream == stream)
    offset, step = element - wiring.write_first, wiring.write_step
    mine &= (offset >= 0) & (offset % step == 0) & (offset // step < wiring.count)
    for link in np.flatnonzero(mine).tolist():
        number = int(wiring.reader[link])
        op = program.operations[number]
        burst = stream_reads(op, chip)[int(wiring.read_stream[link])]
        read = int(wiring.read_first[link]) + int(offset[link] // step[link]) * int(wiring.read_step[link])
        text = refusal_text(f"{burst.direction}{burst.index}", read, word)
        yield Violation(burst.cycle + read * burst.every, chip.slots[op.slot].index, number, text)


@dataclass(frozen=True, slots=True)
class Strikes:
    """What upsets do to one run of the fast machine."""

    masks: dict[int, list[tuple[int, int, NDArray[np.uint8]]]]
    """Operation → (stream, element, mask uint8 [lanes]) that its readers get wrong."""
    violations: list[Violation]


def strikes(timeline: UpsetTimeline, wiring: Wiring, upsets: Iterable[Upset]) -> Strikes:
    """Every upset settled and decoded, for all readers of a value find the same."""
    masks: defaultdict[int, list[tuple[int, int, NDArray[np.uint8]]]] = defaultdict(list)
    violations: list[Violation] = []
    for key, wrong in timeline.settle(upsets).values.items():
        found = decoded(wrong, timeline.chip.lanes, timeline.code)
        if found.refused >= 0:
            violations += refusals(timeline.program, wiring, key, found.refused)
        if found.mask is not None:
            masks[key[0]].append((key[1], key[2], found.mask))
    return Strikes(dict(masks), violations)


def named_words(program: Program, role: str) -> dict[tuple[str, int], str]:
    """(unit, address) → name of the tensor of this role that lies there."""
    return {
        (piece.unit, int(address)): symbol.name
        for symbol in program.symbols
        if symbol.role == role
        for piece in symbol.pieces
        for address in addresses(piece)
    }

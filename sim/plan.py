"""How the fast machine will run a program: pieces in order, and where each finds its operands. Made once a program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from isa.dispatches import collect_dispatches
from isa.memory_words import collect_accesses
from isa.program import Immediate, Operation, Program
from isa.spec import BYTES
from isa.timing import skew
from isa.wiring import Wiring
from sim.dependences import cut_at_swaps, dependences, plane_epochs, weights_name, word_accesses
from sim.order import Pairs, executable_order
from sim.pieces import Facts, Links, Pieces, cut_links, one_piece_each
from sim.semantics import operand_layout


class Tap(NamedTuple):
    """Some elements of one byte stream that a piece reads, and the elements of the producing piece that they are."""

    stream: int
    target: slice
    producer: int
    source_stream: int
    source: slice


@dataclass(frozen=True, slots=True)
class OperandPlan:
    """One source operand of a piece. An immediate has no taps."""

    type: str
    groups: int
    first_stream: int
    taps: tuple[Tap, ...]
    whole: Tap | None
    """Set where one group of one producer, of the same width, is the operand: its typed values can be taken as they are."""


@dataclass(slots=True)
class Step:
    """A piece to execute."""

    piece: int
    op: Operation
    number: int
    """Index into `program.operations`."""
    first: int
    count: int
    operands: list[OperandPlan]
    weights: tuple[str, int, str] | None
    """(plane, epoch, mode) of the buffer of a load or feed."""
    release: list[int] = field(default_factory=list[int])
    """Pieces whose results nobody needs after this step."""


@dataclass(slots=True)
class Plan:
    """Steps in order."""

    steps: list[Step]
    buffer_uses: Counter[tuple[str, int, str]]


def make_plan(program: Program, wiring: Wiring) -> Plan | None:
    """The plan of a legal program; None where its elements cannot be put in order one by one."""
    dispatches = collect_dispatches(program)
    chip = program.chip
    facts = Facts(
        dispatches.cycle,
        dispatches.rep,
        dispatches.every,
        np.array([skew(op, chip) for op in program.operations], np.int64),
        np.array([op.fields.get("group", 1) for op in program.operations], np.int64),
    )
    accesses = collect_accesses(program, dispatches)
    epochs = plane_epochs(program)

    def pairs_of(pieces: Pieces) -> Pairs:
        words = word_accesses(program, dispatches, accesses, facts, pieces)
        return dependences(program, pieces, cut_links(wiring, pieces, facts), words, epochs)

    found = executable_order(cut_at_swaps(program, epochs, one_piece_each(program, facts)), facts, pairs_of)
    if found is None:
        return None
    pieces, order = found
    taps = _taps(cut_links(wiring, pieces, facts), len(pieces))
    steps: list[Step] = []
    for piece in order:
        number, first = int(pieces.operation[piece]), int(pieces.first[piece])
        op = program.operations[number]
        weights = weights_name(program, epochs, number, first) if op.mnemonic in ("load", "feed") else None
        count = int(pieces.count[piece])
        operands = _operands(program, pieces, op, count, taps[piece])
        steps.append(Step(piece, op, number, first, count, operands, weights))
    _release_after_last_use(steps)
    return Plan(steps, Counter(step.weights for step in steps if step.weights is not None))


def _taps(links: Links, count: int) -> list[list[Tap]]:
    """The taps of every piece, by stream and first element."""
    taps: list[list[Tap]] = [[] for _ in range(count)]
    columns = (
        links.reader, links.read_stream, links.read_first, links.read_step, links.count,
        links.producer, links.write_stream, links.write_first, links.write_step,
    )  # fmt: skip
    rows: list[list[int]] = np.stack(columns, axis=1).tolist()
    for reader, stream, first, step, n, producer, source_stream, write_first, write_step in rows:
        target = slice(first, first + (n - 1) * step + 1, step)
        source = slice(write_first, write_first + (n - 1) * write_step + 1, write_step)
        taps[reader].append(Tap(stream, target, producer, source_stream, source))
    return taps


def _operands(program: Program, pieces: Pieces, op: Operation, count: int, taps: list[Tap]) -> list[OperandPlan]:
    operands: list[OperandPlan] = []
    for source, (type_name, groups, first) in zip(op.sources, operand_layout(op), strict=True):
        if isinstance(source, Immediate):
            operands.append(OperandPlan("", 0, first, (), None))
            continue
        width = BYTES[type_name]
        mine = tuple(tap for tap in taps if first <= tap.stream < first + groups * width)
        whole = _whole(program, pieces, mine, width, count) if groups == 1 else None
        operands.append(OperandPlan(type_name, groups, first, mine, whole))
    return operands


def _whole(program: Program, pieces: Pieces, taps: tuple[Tap, ...], width: int, count: int) -> Tap | None:
    """The first tap, if together they are one whole group of one producer's result."""
    if len(taps) != width or taps[0].source_stream % width:
        return None
    head = taps[0]
    result = program.operations[int(pieces.operation[head.producer])].result
    if result is None or BYTES[result.type] != width or head.target.start or head.target.stop != count or head.target.step != 1:
        return None
    for i, tap in enumerate(taps):
        same = tap.producer == head.producer and tap.source == head.source and tap.target == head.target
        if not same or tap.source_stream != head.source_stream + i:
            return None
    return head


def _release_after_last_use(steps: list[Step]) -> None:
    last: dict[int, Step] = {}
    for step in steps:
        for operand in step.operands:
            for tap in operand.taps:
                last[tap.producer] = step
    for producer, step in last.items():
        step.release.append(producer)

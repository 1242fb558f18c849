"""Wrong programs made from a right one: one operation moved by a cycle, on another stream, in another slot, on a doubled bank.

A mutant that the checker accepts may only compute the same. These changes never matter and are therefore not made: another
slot of the same unit (which ALU computes makes no difference), and a swap moved so little that every load and feed finds the
same weights.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from isa.program import Operation, Program, Stream
from isa.spec import BYTES

KINDS = ("cycle", "stream", "slot", "bank")


@dataclass(frozen=True)
class Mutant:
    label: str
    program: Program


def mutants(program: Program, kinds: Iterable[str] = KINDS, sample: int | None = None, seed: int = 0) -> Iterator[Mutant]:
    """Every mutant of the kinds, or `sample` operations' worth of them, drawn with the seed."""
    chosen = range(len(program.operations))
    if sample is not None and sample < len(chosen):
        chosen = sorted(random.Random(seed).sample(chosen, sample))
    for i in chosen:
        for kind in kinds:
            for label, changed in CHANGES[kind](program.operations[i], program):
                yield Mutant(
                    f"{kind}: operation {i} ({describe(program.operations[i])}): {label}", with_operation(program, i, changed)
                )


def survivors(program: Program, check: Callable[[Program], object], **options) -> list[str]:
    """Labels of the mutants in which `check` finds nothing."""
    return [m.label for m in mutants(program, **options) if not check(m.program)]


def describe(op: Operation) -> str:
    return f"@{op.cycle} {op.slot} {op.mnemonic}"


def with_operation(program: Program, i: int, changed: Operation) -> Program:
    slots = program.chip.slots
    operations = [*program.operations[:i], changed, *program.operations[i + 1 :]]
    operations.sort(key=lambda o: (o.cycle, slots[o.slot].index))
    return Program(program.chip, operations, program.images, program.symbols, program.origins, program.facts)


def moved(op: Operation, program: Program) -> Iterator[tuple[str, Operation]]:
    for by in (-1, 1):
        if op.mnemonic != "swap" or sides(op, 0, program) != sides(op, by, program):
            yield f"moved by {by}", replace(op, cycle=op.cycle + by)


def sides(swap: Operation, by: int, program: Program) -> list[bool]:
    """For every dispatch on the swap's planes: does it come after the swap, moved by some cycles?"""
    chip = program.chip
    own = planes(swap, program)
    at = swap.cycle + by
    found: list[bool] = []
    for op in program.operations:
        if op.mnemonic in ("load", "feed") and own & planes(op, program):
            span = chip.timing["mxm.load"].latency if op.mnemonic == "load" else 1
            for cycle in range(op.cycle, op.cycle + op.rep * op.every, op.every):
                found += [cycle >= at + chip.timing["mxm.swap"].latency, cycle + span > at]
    return found


def planes(op: Operation, program: Program) -> set[int]:
    first = [u.name for u in program.chip.planes].index(program.chip.slots[op.slot].unit.name)
    return {first, first + 1} if op.fields.get("mode", 0) else {first}


def other_streams(stream: Stream, program: Program) -> Iterator[Stream]:
    for direction in ("e", "w"):
        for number in range(0, program.chip.streams, BYTES[stream.type]):
            if (direction, number) != (stream.direction, stream.number):
                yield Stream(direction, number, stream.type)


def on_other_streams(op: Operation, program: Program) -> Iterator[tuple[str, Operation]]:
    for k, source in enumerate(op.sources):
        if isinstance(source, Stream):
            for other in other_streams(source, program):
                yield f"reads {other}, not {source}", replace(op, sources=(*op.sources[:k], other, *op.sources[k + 1 :]))
    if op.result is not None:
        for other in other_streams(op.result, program):
            yield f"writes {other}, not {op.result}", replace(op, result=other)


def in_other_units(op: Operation, program: Program) -> Iterator[tuple[str, Operation]]:
    own = program.chip.slots[op.slot]
    for slot in program.chip.slot_list:
        if slot.port == own.port and slot.unit != own.unit:
            yield f"in {slot.name}", replace(op, slot=slot.name)


def on_one_bank(op: Operation, program: Program) -> Iterator[tuple[str, Operation]]:
    """The second element of a burst of reads on the bank of the first, while that one is busy."""
    rram = program.chip.rram
    if rram and op.slot.startswith("rram.") and op.mnemonic == "read" and op.rep > 1 and op.every < rram.busy_cycles:
        for step in (0, rram.banks):
            yield f"step {step}", replace(op, fields={**op.fields, "step": step})


CHANGES: dict[str, Callable[[Operation, Program], Iterator[tuple[str, Operation]]]] = {
    "cycle": moved,
    "stream": on_other_streams,
    "slot": in_other_units,
    "bank": on_one_bank,
}

"""Checker and reference machine were made apart from the same rules: what one refuses, the other traps on.

Only what data decide can differ: an index out of its range is the machine's alone to see.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isa.checker import check
from isa.errors import ToolchainError
from isa.layout import NUMPY_TYPES
from isa.program import Operation, Program, Symbol
from sim.device import Device

SLICES = ("sram.w2", "sram.w0", "sram.e1", "sram.e4")


def trap(program: Program) -> str:
    """Why the reference machine does not run the program, all inputs zero; empty if it does."""
    inputs = {s.name: np.zeros(s.shape, NUMPY_TYPES[s.type]) for s in program.symbols if s.role == "input"}
    try:
        Device(program, "reference").run(inputs)
    except ToolchainError as fault:
        return fault.message
    return ""


def random_copy(h: ModuleType, rng: random.Random) -> list[Operation]:
    source, target = rng.choice([*SLICES, "rram.w0"]), rng.choice(SLICES)
    way = "e" if h.TINY.units[source].position <= h.TINY.units[target].position else "w"
    return h.copy(
        source, target, f"{way}{rng.randint(0, 7)}", rng.randint(0, 30), rng.randint(0, 12), rng.randint(0, 14),
        rng.randint(1, 4), rng.randint(1, 3), rng.choice([0, 1, 1, 2]),
    )  # fmt: skip


def random_matvec(h: ModuleType, rng: random.Random) -> Program:
    """`matvec` on either plane, or with one thing about its weights or sums that may be wrong."""
    program = h.matvec(rng.choice(["i8", "f16", "i8f16"]), batch=rng.randint(1, 4), depth=rng.choice([2, 4]))
    change = rng.choice(["plane", "sum", "no swap", "swap", "transposed", "none", "none"])
    operations = []
    for o in program.operations:
        if change == "plane":
            o = replace(o, slot=o.slot.replace("mxm0", "mxm1"))
        elif change == "sum" and o.mnemonic == "feed":
            o = replace(o, fields={**o.fields, "fresh": rng.randint(0, 1), "acc": rng.randint(2, 4)})
        elif change == "swap" and o.mnemonic == "swap":
            o = replace(o, cycle=o.cycle + rng.choice([-1, 1]))
        elif change == "transposed" and o.mnemonic == "load":
            o = replace(o, fields={**o.fields, "transposed": 1})
        if change != "no swap" or o.mnemonic != "swap":
            operations.append(o)
    return Program(program.chip, operations, symbols=program.symbols)


def random_program(h: ModuleType, seed: int) -> Program:
    """Trips that are legal alone, started at random; sometimes one operation of the whole is moved."""
    rng = random.Random(seed)
    operations: list[Operation] = []
    symbols: list[Symbol] = []
    for n in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.6:
            operations += random_copy(h, rng)
            continue
        part = random_matvec(h, rng) if kind < 0.85 else h.lookup()
        start = rng.randint(0, 20)
        operations += [replace(o, cycle=o.cycle + start) for o in part.operations]
        symbols += [replace(s, name=f"{s.name}{n}") for s in part.symbols if s.role != "output"]
    if rng.random() < 0.3:
        i = rng.randrange(len(operations))
        operations[i] = replace(operations[i], cycle=max(0, operations[i].cycle + rng.choice([-1, 1])))
    words = [("sram.w2", 12), ("sram.e4", 10), ("rram.w0", 20), ("rram.w1", 8)]
    return h.program(operations, [h.words(unit, 0, count) for unit, count in words], symbols)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_checker_and_reference_machine_agree(first: int, hand_programs: ModuleType) -> None:
    verdicts: Counter[bool] = Counter()
    for seed in range(first, first + 100):
        program = random_program(hand_programs, seed)
        found, trapped = check(program), trap(program)
        if "index" not in trapped:
            assert bool(found) == bool(trapped), f"seed {seed}: checker {found[:1]}, machine '{trapped}'"
        verdicts[bool(found)] += 1
    assert min(verdicts[True], verdicts[False]) >= 10


@pytest.mark.parametrize("name", ["matvec", "lookup"])
def test_the_machine_traps_on_every_mutant(name: str, hand_programs: ModuleType, mutations: ModuleType) -> None:
    program = getattr(hand_programs, name)()
    assert trap(program) == ""
    kinds = mutations.KINDS if name == "matvec" else ("cycle", "slot")
    assert mutations.survivors(program, trap, kinds=kinds) == []

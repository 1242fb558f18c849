"""The two machines give the same bits, cycles, counts and traps; the checker refuses exactly what the reference traps on."""

from __future__ import annotations

import random
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isa.checker import check
from isa.chip import load_chip
from isa.program import Image, Operation, Program, Stream
from isa.timing import program_cycles

FOUND_LATER = ("nobody reads", "never fed")
"""Faults that the checker names where they begin, and a machine only when the value or the weights are gone."""
TRAPS_OF_THEIR_OWN_TIME = ("before anything had read it", "nothing was fed", "is not among")
"""The same faults as the machine words them; and indices out of range, which the checker cannot know."""


def assert_same(random_programs: ModuleType, program: Program) -> tuple[object, ...]:
    fast, reference = (random_programs.outcome(program, machine) for machine in ("fast", "reference"))
    assert fast == reference
    if fast[0] == "done":
        assert fast[1]["cycles"] == program_cycles(program.operations, program.chip)
    return fast


@pytest.mark.parametrize("seed", range(14))
def test_random_programs_on_tiny(seed: int, random_programs: ModuleType) -> None:
    program = random_programs.random_program(load_chip("tiny"), seed, proposals=24)
    assert len(program.operations) > 5
    assert_same(random_programs, program)


@pytest.mark.parametrize("seed", range(4))
def test_random_programs_on_lpu_rram(seed: int, random_programs: ModuleType) -> None:
    assert_same(random_programs, random_programs.random_program(load_chip("lpu-rram"), seed, proposals=14))


def test_the_random_programs_use_all_kinds_of_operations_and_some_trap(random_programs: ModuleType) -> None:
    programs = [random_programs.random_program(load_chip("tiny"), seed, proposals=20) for seed in range(6)]
    used = {op.mnemonic for program in programs for op in program.operations}
    assert {"read", "write", "gather", "scatter", "load", "swap", "feed"} <= used
    assert {random_programs.outcome(program, "fast")[0] for program in programs} >= {"done"}


def test_sixteen_streams_transposed_on_tsp(random_programs: ModuleType) -> None:
    chip = load_chip("tsp")
    mover, data = chip.units["sxm.w"], np.random.default_rng(0).integers(0, 256, (16, 3, chip.lanes), np.uint8)
    read, turn = chip.timing["sram.read"].latency, chip.timing["sxm.transpose"].latency
    operations = [Operation(100, "sxm.w.0", "transpose", (Stream("w", 4),), Stream("e", 2), rep=3)]
    for i in range(16):
        near, far = (chip.units[f"sram.w{n}"] for n in (i, 16 + i))
        start = 100 - read - (near.position - mover.position)
        operations.append(Operation(start, f"{near.name}.rd", "read", (), Stream("w", 4 + i), {"addr": 0, "step": 1}, rep=3))
        done = 100 + turn + far.position - mover.position
        operations.append(
            Operation(done, f"{far.name}.wr", "write", (Stream("e", 2 + i),), None, {"addr": 0, "step": 1}, rep=3)
        )
    operations.sort(key=lambda o: (o.cycle, chip.slots[o.slot].index))
    program = Program(chip, operations, [Image(f"i{i}", f"sram.w{i}", 0, data[i]) for i in range(16)])
    result = assert_same(random_programs, program)
    assert result[0] == "done"
    turned = data.reshape(16, 3, -1, 16).transpose(3, 1, 2, 0).reshape(16, 3, chip.lanes)
    for i in range(16):
        assert result[2][f"sram.w{16 + i}"] == turned[i].tobytes()


@pytest.mark.parametrize("seed", range(2))
def test_random_programs_on_tsp(seed: int, random_programs: ModuleType) -> None:
    assert_same(random_programs, random_programs.random_program(load_chip("tsp"), seed, proposals=10))


def assert_checker_agrees(random_programs: ModuleType, program: Program, label: str) -> None:
    found = check(program, 10_000)
    result = random_programs.outcome(program, "reference")
    if not found:
        assert random_programs.outcome(program, "fast") == result, label
        return
    assert result[0] == "trap", label
    at_once = [v for v in found if not any(words in v.message for words in FOUND_LATER)]
    if any(words in result[3] for words in TRAPS_OF_THEIR_OWN_TIME):
        assert not at_once or result[1] <= at_once[0].cycle, label
    else:
        assert (result[1], result[2]) in {(v.cycle, v.operation) for v in at_once if v.cycle == at_once[0].cycle}, label


@pytest.mark.parametrize("mode", ["i8", "f16", "i8f16", "lookup"])
def test_mutants_of_hand_made_programs(
    mode: str, hand_programs: ModuleType, mutations: ModuleType, random_programs: ModuleType
) -> None:
    program = hand_programs.lookup() if mode == "lookup" else hand_programs.matvec(mode)
    for mutant in list(mutations.mutants(program))[::3]:
        assert_checker_agrees(random_programs, mutant.program, mutant.label)


@pytest.mark.parametrize("seed", range(100, 104))
def test_mutants_of_random_programs(seed: int, mutations: ModuleType, random_programs: ModuleType) -> None:
    program = random_programs.random_program(load_chip("tiny"), seed, proposals=16)
    made = list(mutations.mutants(program))
    for mutant in random.Random(seed).sample(made, min(20, len(made))):
        assert_checker_agrees(random_programs, mutant.program, mutant.label)


def with_a_change(program: Program, rng: random.Random) -> Program:
    """One operation dropped, repeated later, or with another number in rep, every or a field."""
    i = rng.randrange(len(program.operations))
    op = program.operations[i]
    kind = rng.choice(("drop", "again", "rep", "every", "field", "field", "field"))
    changed = [op]
    if kind == "drop":
        changed = []
    elif kind == "again":
        changed = [op, replace(op, cycle=op.cycle + rng.randrange(1, 12))]
    elif kind == "field" and op.row.fields:
        name = rng.choice(op.row.fields).name
        changed = [replace(op, fields={**op.fields, name: op.get(name) + rng.choice((-2, -1, 1, 2, 8))})]
    elif kind in ("rep", "every"):
        changed = [replace(op, **{kind: max(1, getattr(op, kind) + rng.choice((-1, 1)))})]
    slots = program.chip.slots
    operations = [*program.operations[:i], *changed, *program.operations[i + 1 :]]
    operations.sort(key=lambda o: (o.cycle, slots[o.slot].index))
    return Program(program.chip, operations, program.images)


@pytest.mark.parametrize("seed", range(200, 204))
def test_programs_with_a_number_changed(seed: int, random_programs: ModuleType) -> None:
    program, rng = random_programs.random_program(load_chip("tiny"), seed, proposals=16), random.Random(seed)
    for case in range(25):
        changed = with_a_change(program, rng)
        if any(v.rule == "range" for v in check(changed, 1)):
            # The checker names nothing else then; the machines may trap on something earlier.
            assert assert_same(random_programs, changed)[0] == "trap"
        else:
            assert_checker_agrees(random_programs, changed, f"seed {seed}, case {case}")

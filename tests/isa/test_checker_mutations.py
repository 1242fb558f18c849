"""A legal program without slack stops being legal whichever operation is moved, rerouted or displaced."""

from __future__ import annotations

from collections import Counter
from types import ModuleType

import pytest

from isa.checker import check

PROGRAMS = {"i8": ("matvec", "i8"), "f16": ("matvec", "f16"), "i8f16": ("matvec", "i8f16"), "lookup": ("lookup",)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_hand_made_programs_are_legal(name: str, hand_programs: ModuleType) -> None:
    make, *arguments = PROGRAMS[name]
    assert check(getattr(hand_programs, make)(*arguments)) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_mutant_is_refused(name: str, hand_programs: ModuleType, mutations: ModuleType) -> None:
    make, *arguments = PROGRAMS[name]
    program = getattr(hand_programs, make)(*arguments)
    assert mutations.survivors(program, check) == []


def test_every_operation_is_mutated_in_every_way_it_can_be(hand_programs: ModuleType, mutations: ModuleType) -> None:
    program = hand_programs.matvec("i8")
    made = Counter(m.label.split(":")[0] for m in mutations.mutants(program))
    count = len(program.operations)
    assert made["cycle"] == 2 * count
    assert made["bank"] == 6
    assert made["stream"] > 10 * count
    assert made["slot"] > count


def test_a_sample_is_the_same_every_time(hand_programs: ModuleType, mutations: ModuleType) -> None:
    program = hand_programs.matvec("i8")
    first, second = ([m.label for m in mutations.mutants(program, sample=2, seed=7)] for _ in range(2))
    assert first == second
    assert 0 < len(first) < len(list(mutations.mutants(program)))

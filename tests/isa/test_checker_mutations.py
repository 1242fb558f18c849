"""A legal program without slack stops being legal whichever operation is moved, rerouted or displaced."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
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
    assert made["bank"] == 4
    assert made["stream"] > 10 * count
    assert made["slot"] > count


def test_a_swap_with_slack_is_moved_only_as_far_as_it_matters(hand_programs: ModuleType, mutations: ModuleType) -> None:
    tight = hand_programs.matvec("i8")
    early = ("rram.w0.rd", "rram.w1.rd", "mxm0.ld")
    later = [o if o.slot in early else replace(o, cycle=o.cycle + 1) for o in tight.operations]
    slack = hand_programs.program(later, tight.images, tight.symbols)
    assert check(slack) == []
    swaps = {
        name: [m for m in mutations.mutants(p, kinds=["cycle"]) if " swap" in m.label]
        for name, p in (("tight", tight), ("slack", slack))
    }
    assert [m.label[-2:] for m in swaps["tight"]] == ["-1", " 1"]
    assert [m.label[-2:] for m in swaps["slack"]] == [" 1"]


def test_a_sample_is_the_same_every_time(hand_programs: ModuleType, mutations: ModuleType) -> None:
    program = hand_programs.matvec("i8")
    first, second = ([m.label for m in mutations.mutants(program, sample=2, seed=7)] for _ in range(2))
    assert first == second
    assert 0 < len(first) < len(list(mutations.mutants(program)))

"""Bursts that exchange data too finely to be executed whole: the fast machine cuts them, and stays exact."""

from __future__ import annotations

from importlib import resources
from types import ModuleType

import numpy as np
import pytest

from isa.checker import check, require_valid
from isa.chip import Chip, parse_chip
from isa.program import Image, Immediate, Program
from sim.fast import FastMachine
from sim.memory import Memory
from sim.plan import make_plan
from sim.reference import ReferenceMachine


def through_memory(hp: ModuleType, rep: int) -> Program:
    """Each element reads the word that the one before has written: word a + i becomes word a plus i."""
    d = hp.hops("sram.w0", "vxm")
    add = hp.LATENCY["sram.read"] + d
    write = add + hp.LATENCY["vxm.alu"] + d
    every = write + hp.LATENCY["sram.write"]
    operations = [
        hp.op(0, "sram.w0.rd", "read", to="e0", addr=0, step=1, rep=rep, every=every),
        hp.op(add, "vxm.0", "iadd", "e0", Immediate(1), to="w0", rep=rep, every=every),
        hp.op(write, "sram.w0.wr", "write", "w0", addr=1, step=1, rep=rep, every=every),
    ]
    return hp.program(operations, [hp.words("sram.w0", 0, 1)])


def through_itself(hp: ModuleType, rep: int) -> Program:
    """An addition whose every element but the first reads its own last result, every cycle."""
    add = hp.LATENCY["sram.read"] + hp.hops("sram.w0", "vxm")
    done = add + rep - 1 + hp.LATENCY["vxm.alu"] + hp.hops("vxm", "sram.e0")
    operations = [
        hp.op(0, "sram.w0.rd", "read", to="e0", addr=0),
        hp.op(add, "vxm.0", "iadd", "e0", Immediate(3), to="e0", rep=rep),
        hp.op(done, "sram.e0.wr", "write", "e0", addr=5),
    ]
    return hp.program(operations, [hp.words("sram.w0", 0, 1)])


def folded(hp: ModuleType, groups: int) -> Program:
    """A running sum of pairs: the first of each pair is the sum before, the second a word. Pairs are never cut."""
    operations = [
        hp.op(0, "sram.w0.rd", "read", to="e0", addr=0),
        hp.op(1, "sram.w0.rd", "read", to="e0", addr=0, rep=groups, every=2),
        hp.op(3, "vxm.0", "isum", "e0", to="e0", group=2, rep=2 * groups),
        hp.op(4 + 2 * groups, "sram.e0.wr", "write", "e0", addr=5),
    ]
    return hp.program(operations, [hp.words("sram.w0", 0, 1)])


def run_both(program: Program) -> list[Memory]:
    assert check(program) == []
    memories: list[Memory] = []
    counts: list[dict[str, object]] = []
    for machine in (FastMachine, ReferenceMachine):
        memory = Memory(program.chip)
        memory.lay_images(program)
        made = machine(program, memory)
        result = made.run()
        counts.append((made.counters if isinstance(made, ReferenceMachine) else result).facts())
        memories.append(memory)
    assert counts[0] == counts[1]
    for unit, words in memories[1].words.items():
        assert np.array_equal(memories[0].unit_words(unit), words), unit
    return memories


@pytest.mark.parametrize("rep", [1, 2, 17])
def test_a_ring_through_memory(rep: int, hand_programs: ModuleType) -> None:
    program = through_memory(hand_programs, rep)
    words = run_both(program)[0].unit_words("sram.w0")
    assert (words[: rep + 1] == words[0] + np.arange(rep + 1)[:, None]).all()
    plan = make_plan(program, require_valid(program))
    assert plan is not None
    assert len(plan.steps) == 3 * rep


@pytest.mark.parametrize("rep", [2, 12])
def test_a_ring_of_one_operation(rep: int, hand_programs: ModuleType) -> None:
    program = through_itself(hand_programs, rep)
    memory = run_both(program)[0]
    assert (memory.unit_words("sram.e0")[5] == memory.unit_words("sram.w0")[0] + 3 * rep).all()
    plan = make_plan(program, require_valid(program))
    assert plan is not None
    assert len(plan.steps) == rep + 2


def test_a_ring_of_one_operation_that_folds_along_time(hand_programs: ModuleType) -> None:
    program = folded(hand_programs, 9)
    memory = run_both(program)[0]
    assert (memory.unit_words("sram.e0")[5] == memory.unit_words("sram.w0")[0] * 10).all()
    plan = make_plan(program, require_valid(program))
    assert plan is not None
    assert [step.count for step in plan.steps if step.op.mnemonic == "isum"] == [2] * 9


def test_two_bursts_that_only_follow_each_other_stay_whole(hand_programs: ModuleType) -> None:
    hp = hand_programs
    first = hp.copy("sram.w1", "sram.e1", "e0", rep=8)
    chase = hp.copy("sram.e1", "sram.e4", "e1", cycle=first[1].cycle + 1, rep=8)
    program = hp.program(first + chase, [hp.words("sram.w1", 0, 8)])
    run_both(program)
    plan = make_plan(program, require_valid(program))
    assert plan is not None
    assert [step.number for step in plan.steps] == [0, 1, 2, 3]


def test_a_word_is_read_before_it_is_replaced(hand_programs: ModuleType) -> None:
    """Both words of a slice move on: each is read a cycle before the other's value takes its place."""
    hp = hand_programs
    out = hp.copy("sram.e1", "sram.e4", "e1", cycle=5, rep=2)
    back = hp.copy("sram.w1", "sram.e1", "e0", cycle=0, rep=2)
    program = hp.program(out + back, [hp.words("sram.w1", 0, 2), hp.words("sram.e1", 0, 2)])
    memory = run_both(program)[0]
    assert (memory.unit_words("sram.e4")[:2] == np.arange(16).reshape(2, 8) % 5).all()
    assert (memory.unit_words("sram.e1")[:2] == memory.unit_words("sram.w1")[:2]).all()


def late_index_chip() -> Chip:
    text = (resources.files("isa") / "chips" / "tiny.toml").read_text()
    return parse_chip(
        text.replace('"sram.gather" = { latency = 3 }', '"sram.gather" = { latency = 12, skew = 8 }'), "late.toml"
    )


def test_an_index_made_of_a_word_that_replaced_the_gathered_one(hand_programs: ModuleType) -> None:
    """The gather sees its word as it was when dispatched; its index is read from the same word after a write: no order of
    whole operations, nor of single elements, does both."""
    hp, chip = hand_programs, late_index_chip()
    zero = [hp.op(8 - 2 - hp.hops(f"sram.e{k}", "sram.w0"), f"sram.e{k}.rd", "read", to=f"w{k}", addr=0) for k in (1, 2, 3)]
    operations = [
        hp.op(4, "sram.w0.rd", "gather", "w0:i32", to="e4", base=1, limit=1),
        hp.op(2, "sram.w1.rd", "read", to="e5", addr=0),
        hp.op(5, "sram.w0.wr", "write", "e5", addr=1),
        hp.op(6, "sram.w0.rd", "read", to="e6", addr=1),
        hp.op(9, "vxm.0", "imov", "e6", to="w0", delay=1),
        *(hp.op(o.cycle + 4, o.slot, o.mnemonic, to=f"w{k}", addr=0) for k, o in enumerate(zero, 1)),
        hp.op(4 + 12 + 2, "sram.e0.wr", "write", "e4", addr=9),
    ]
    images = [hp.words("sram.w0", 0, 2), *(Image(f"z{u}", u, 0, np.zeros((1, 8), np.uint8)) for u in ZEROS)]
    legal = hp.program(operations, images)
    program = Program(chip, legal.operations, legal.images)
    memory = run_both(program)[0]
    assert make_plan(program, require_valid(program)) is None
    assert (memory.unit_words("sram.e0")[9] == np.arange(8, 16) % 5).all()
    assert not memory.unit_words("sram.w0")[1].any()


ZEROS = ("sram.w1", "sram.e1", "sram.e2", "sram.e3")

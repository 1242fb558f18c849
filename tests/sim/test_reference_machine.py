"""The reference machine on programs small enough to follow with a pencil: cycles, registers, words."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from isa.program import Immediate, Program
from isa.timing import program_cycles
from sim.memory import Memory
from sim.reference import ReferenceMachine


def machine_of(program: Program) -> ReferenceMachine:
    memory = Memory(program.chip)
    memory.lay_images(program)
    return ReferenceMachine(program, memory)


@pytest.fixture
def copy_program(hand_programs: ModuleType) -> Program:
    """Two words from sram.w1 to sram.e1: four hops, read latency 2, write latency 1."""
    return hand_programs.program(
        hand_programs.copy("sram.w1", "sram.e1", "e0", cycle=3, addr=4, to=9, rep=2), [hand_programs.words("sram.w1", 4, 2)]
    )


def test_a_copy_takes_the_cycles_that_a_pencil_gives(copy_program: Program) -> None:
    machine = machine_of(copy_program)
    assert machine.run() == "done"
    # Read at 3, shown at 5, four hops to 9, second element at 10, seen in memory at 11.
    assert machine.counters.cycles == 11 == program_cycles(copy_program.operations, copy_program.chip)
    source, target = machine.memory.unit_words("sram.w1"), machine.memory.unit_words("sram.e1")
    assert (target[9:11] == source[4:6]).all()
    assert machine.memory.unit_written("sram.e1").nonzero()[0].tolist() == [9, 10]


def test_values_can_be_watched_on_their_way(copy_program: Program) -> None:
    machine = machine_of(copy_program)
    at = copy_program.chip.units["sram.w1"].position
    first = machine.memory.unit_words("sram.w1")[4]
    while machine.cycle <= 5:
        assert machine.peek_stream("e", 0, at) is None
        machine.step()
    assert np.array_equal(machine.peek_stream("e", 0, at), first)
    machine.step()
    assert np.array_equal(machine.peek_stream("e", 0, at + 1), first)
    assert machine.peek_stream("e", 0, at + 2) is None
    assert machine.peek_stream("w", 0, at + 1) is None


def test_run_stops_at_cycles_slots_and_words(copy_program: Program) -> None:
    machine = machine_of(copy_program)
    assert machine.run(until_cycle=4) == "cycle"
    assert machine.cycle == 4
    assert machine.run(break_at=["sram.e1.wr"]) == "break"
    assert machine.cycle == 9
    assert machine.peek_word("sram.e1", 9) is None
    assert machine.run(watch=[("sram.e1", 9)]) == "watch"
    assert machine.cycle == 11
    assert machine.peek_word("sram.e1", 9) is not None
    assert machine.peek_word("sram.e1", 10) is None
    assert machine.run() == "done"
    assert machine.peek_word("sram.e1", 10) is not None
    assert machine.finished


def test_idle_time_is_skipped_without_being_lost(hand_programs: ModuleType) -> None:
    late = hand_programs.copy("sram.w1", "sram.e1", "e0", cycle=10**9, addr=4)
    machine = machine_of(hand_programs.program(late, [hand_programs.words("sram.w1", 4, 1)]))
    assert machine.run(until_cycle=10**6) == "cycle"
    assert machine.cycle == 10**6
    assert machine.run() == "done"
    assert machine.counters.cycles == 10**9 + 7


def test_a_chain_in_the_vector_unit_meets_without_hops(hand_programs: ModuleType) -> None:
    hp = hand_programs
    d = hp.hops("sram.w0", "vxm")
    operations = [
        hp.op(0, "sram.w0.rd", "read", to="e0", addr=0),
        hp.op(2 + d, "vxm.0", "iadd", "e0", Immediate(5), to="e4:i32"),
        hp.op(3 + d, "vxm.1", "imul", "e4:i32", "e4:i32", to="e1"),
        hp.op(4 + d + 1, "sram.e0.wr", "write", "e1", addr=0),
    ]
    machine = machine_of(hp.program(operations, [hp.words("sram.w0", 0, 1)]))
    machine.run()
    x = machine.memory.unit_words("sram.w0")[0].astype(int)
    assert (machine.memory.unit_words("sram.e0")[0] == np.minimum((x + 5) ** 2, 127)).all()
    assert machine.counters.cycles == 4 + d + 2


def test_a_matrix_product_is_exact(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec("i8", batch=3, depth=4)
    machine = machine_of(program)
    x = np.arange(12, dtype=np.int8).reshape(3, 4) - 6
    machine.memory.put(program.symbols[0], x)
    machine.run()
    rows = [machine.memory.unit_words(f"rram.w{k % 2}")[k // 2].view(np.int8) for k in range(4)]
    expected = np.clip(x.astype(int) @ np.array(rows, int) + 1, -128, 127)
    assert (machine.memory.get(program.symbols[1]) == expected).all()


def test_a_write_is_seen_after_its_latency_and_not_before(hand_programs: ModuleType) -> None:
    hp = hand_programs
    first = hp.copy("sram.w1", "sram.e1", "e0", cycle=0, addr=0, to=6)
    seen = first[1].cycle + hp.LATENCY["sram.write"]
    second = hp.copy("sram.e1", "sram.e2", "e1", cycle=seen, addr=6, to=0)
    machine = machine_of(hp.program(first + second, [hp.words("sram.w1", 0, 1)]))
    assert machine.run() == "done"
    assert np.array_equal(machine.peek_word("sram.e2", 0), machine.peek_word("sram.w1", 0))


def test_an_empty_program_takes_no_cycle(hand_programs: ModuleType) -> None:
    machine = machine_of(hand_programs.program([]))
    assert machine.run() == "done"
    assert machine.counters.cycles == 0

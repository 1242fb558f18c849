"""Tensors by name: inputs checked all at once, outputs, parameters, and states that live from run to run."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isa.errors import DataFault, ScheduleFault
from isa.program import Image, Immediate, Piece, Program, Symbol
from isa.timing import program_cycles
from sim.device import Device, Machine

MACHINES: tuple[Machine, ...] = ("fast", "reference")


def counter_program(hp: ModuleType) -> Program:
    """State n (i8 [1, 8] in sram.e1) grows by x; y is the new value."""
    d = hp.hops("sram.w0", "vxm")
    add = 5 + hp.LATENCY["sram.read"] + d
    done = add + hp.LATENCY["vxm.alu"]
    operations = [
        hp.op(5, "sram.w0.rd", "read", to="e0", addr=3),
        hp.op(add - 2 - hp.hops("sram.e1", "vxm"), "sram.e1.rd", "read", to="w0", addr=0),
        hp.op(add, "vxm.0", "iadd", "e0", "w0", to="e1"),
        hp.op(done + hp.hops("vxm", "sram.e1"), "sram.e1.wr", "write", "e1", addr=0),
        hp.op(done + hp.hops("vxm", "sram.e2"), "sram.e2.wr", "write", "e1", addr=0),
    ]
    symbols = [
        Symbol("x", "input", (1, 8), "i8", (Piece("sram.w0", 3, 1, 0, 0, 0),)),
        Symbol("n", "state", (1, 8), "i8", (Piece("sram.e1", 0, 1, 0, 0, 0),)),
        Symbol("y", "output", (1, 8), "i8", (Piece("sram.e2", 0, 1, 0, 0, 0),)),
    ]
    return hp.program(operations, [Image("n", "sram.e1", 0, np.full((1, 8), 10, np.uint8))], symbols)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_state_lives_from_run_to_run(machine: Machine, hand_programs: ModuleType) -> None:
    device = Device(counter_program(hand_programs), machine)
    x = np.arange(8, dtype=np.int8)[None]
    for n in (1, 2, 3):
        result = device.run({"x": x})
        assert (result.outputs["y"] == 10 + n * x).all()
        assert (device.read("n") == 10 + n * x).all()
        assert result.cycles == program_cycles(device.program.operations, device.program.chip) == result.counters.cycles
    device.write("n", np.zeros((1, 8), np.int8))
    assert (device.run({"x": x}).outputs["y"] == x).all()


@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_run_wrote_is_not_there_for_the_next(machine: Machine, hand_programs: ModuleType) -> None:
    """The output of a run whose program reads it first: a fault every time, not only the first."""
    program = hand_programs.program(
        hand_programs.copy("sram.w1", "sram.e1", "e0", cycle=2),
        [],
        [Symbol("w", "output", (8,), "i8", (Piece("sram.w1", 0, 1, 0, 0, 0),))],
    )
    device = Device(program, machine)
    device.memory.unit_written("sram.w1")[0] = True
    with pytest.raises(Exception, match=r"word 0 of sram\.w1 was never written"):
        device.run()


@pytest.mark.parametrize("mode", ["i8", "f16", "i8f16"])
def test_both_machines_give_the_same_product(mode: str, hand_programs: ModuleType) -> None:
    program = hand_programs.matvec(mode)
    dtype = np.int8 if mode == "i8" else np.float16
    x = (np.arange(12).reshape(3, 4) - 5).astype(dtype)
    fast, reference = (Device(program, machine).run({"x": x}) for machine in MACHINES)
    assert np.array_equal(fast.outputs["y"], reference.outputs["y"])
    assert fast.counters.facts() == reference.counters.facts()


def test_all_faults_of_inputs_are_told_at_once(hand_programs: ModuleType) -> None:
    device = Device(hand_programs.lookup())
    with pytest.raises(DataFault) as caught:
        device.run({"i": np.zeros((2, 1), np.int64), "k": np.zeros(3)})
    assert "3 problems" in caught.value.message
    assert set(caught.value.notes) == {
        "input 'j' is missing: it is i32 1×1",
        "there is no input 'k'",
        "input 'i' must be i32 2×1, found int64 2×1",
    }
    assert "i (i32 2×1), j (i32 1×1)" in caught.value.hint


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 5), np.int8), "must be i8 3×4, found int8 3×5"),
        (np.zeros((3, 4), np.float32), "must be i8 3×4, found float32 3×4"),
        ([[0] * 4] * 3, "must be an array, i8 3×4, not list"),
        (np.int8(0), "not int8"),
    ],
)
def test_wrong_arrays(array: object, words: str, hand_programs: ModuleType) -> None:
    with pytest.raises(DataFault) as caught:
        Device(hand_programs.matvec()).run({"x": array})  # type: ignore[dict-item]
    assert words in caught.value.notes[0]


def test_unknown_names(hand_programs: ModuleType) -> None:
    device = Device(counter_program(hand_programs))
    with pytest.raises(DataFault, match="no parameter or state 'x'"):
        device.write("x", np.zeros((1, 8), np.int8))
    with pytest.raises(DataFault, match="no tensor 'z'"):
        device.read("z")
    with pytest.raises(DataFault, match="state 'n' must be i8 1×8, found int8 8"):
        device.write("n", np.zeros(8, np.int8))


@pytest.mark.parametrize("machine", MACHINES)
def test_an_output_that_nothing_writes(machine: Machine, hand_programs: ModuleType) -> None:
    program = counter_program(hand_programs)
    program.symbols[2] = replace(program.symbols[2], pieces=(Piece("sram.e2", 4, 1, 0, 0, 0),))
    with pytest.raises(DataFault, match=r"output 'y' has words in sram\.e2 that nothing has written"):
        Device(program, machine).run({"x": np.zeros((1, 8), np.int8)})


@pytest.mark.parametrize("machine", MACHINES)
def test_images_and_symbols_outside_memory_are_refused(machine: Machine, hand_programs: ModuleType) -> None:
    program = counter_program(hand_programs)
    program.images[0] = replace(program.images[0], base=64)
    program.symbols[0] = replace(program.symbols[0], pieces=(Piece("sram.w99", 0, 1, 0, 0, 0),))
    with pytest.raises(ScheduleFault) as caught:
        Device(program, machine)
    assert "image n" in caught.value.message
    assert "sram.w99" in caught.value.notes[0]


def test_counters_of_a_product_by_hand(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec("i8", batch=3, depth=4)
    result = Device(program).run({"x": np.ones((3, 4), np.int8)})
    counters = result.counters
    assert counters.macs == {"mxm0.i8": 3 * 4 * 8}
    assert counters.mxm_utilisation == pytest.approx(3 * 4 * 8 / (2 * 64 * result.cycles))
    assert counters.bank_reads == {"rram.w0": [1, 1], "rram.w1": [1, 1]}
    assert counters.rram_bandwidth_utilisation == pytest.approx(4 / (2 * result.cycles))
    assert counters.slot_busy["mxm0.ld"] == 2
    assert counters.slot_busy["vxm.0"] == 3
    assert counters.reads == {"rram.w0": 2, "rram.w1": 2, "sram.w7": 3}
    assert counters.writes == {"sram.w0": 3}
    assert counters.stream_values["e0"] == 3
    # From mxm0, at the west edge, to the last register: every hop of the row.
    assert counters.stream_hops["e0"] == 3 * (program.chip.width - 1)


def test_a_masked_write_counts_the_bytes_that_it_changes(hand_programs: ModuleType) -> None:
    hp = hand_programs
    read, write = hp.copy("sram.w1", "sram.e1", "e0")
    masked = replace(write, fields={**write.fields, "mask": 0b0011})
    program = hp.program([read, masked], [hp.words("sram.w1", 0, 1)])
    for machine in MACHINES:
        device = Device(program, machine)
        assert device.run().counters.written_lanes == {"sram.e1": 4}
        assert device.memory.unit_words("sram.e1")[0].tolist() == [0, 1, 2, 3, 0, 0, 0, 0]


def test_immediates_keep_their_bits(hand_programs: ModuleType) -> None:
    hp = hand_programs
    d = hp.hops("sram.w0", "vxm")
    operations = [
        hp.op(0, "sram.w0.rd", "read", to="e0", addr=0),
        hp.op(2 + d, "vxm.0", "iadd", "e0", Immediate(0xFFFF_FFFE), to="e1"),
        hp.op(3 + d + 1, "sram.e0.wr", "write", "e1", addr=0),
    ]
    for machine in MACHINES:
        device = Device(hp.program(operations, [hp.words("sram.w0", 0, 1)]), machine)
        device.run()
        assert device.memory.unit_words("sram.e0")[0].view(np.int8).tolist() == [-2, -1, 0, 1, 2, -2, -1, 0]

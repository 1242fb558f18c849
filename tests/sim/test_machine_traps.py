"""Every rule of docs/architecture.md, section 2, broken once: both machines name cycle, slot, operation and reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isa.chip import load_chip
from isa.errors import Trap
from isa.program import Image, Immediate, Operation, Program
from sim.fast import FastMachine
from sim.memory import Memory
from sim.reference import ReferenceMachine
from sim.traps import MachineTrap

Case = tuple[list[Operation], list[object], int, str, str]
"""(operations, images, cycle, slot and mnemonic, words of the message)"""


def missing(hp: ModuleType) -> Case:
    return hp.copy("sram.w1", "sram.e1", "e0")[1:], [], 6, "sram.e1.wr write", "finds nothing on e0"


def unread(hp: ModuleType) -> Case:
    read = hp.op(0, "sram.e6.rd", "read", to="e3", addr=0)
    return [read], [hp.words("sram.e6", 0, 1)], 4, "sram.e6.rd read", "its value 0 left the chip"


def replaced(hp: ModuleType) -> Case:
    read = hp.op(0, "sram.w2.rd", "read", to="e3", addr=0)
    return (
        [read, *hp.copy("sram.w1", "sram.e1", "e3", cycle=1)],
        [hp.words("sram.w2", 0, 1), hp.words("sram.w1", 0, 1)],
        3,
        "sram.w2.rd read",
        "was replaced on e3",
    )


def collision(hp: ModuleType) -> Case:
    both = [hp.op(4, f"vxm.{k}", "imov", "e0", to="e1") for k in (0, 1)]
    read = hp.op(4 - 2 - hp.hops("sram.w0", "vxm"), "sram.w0.rd", "read", to="e0", addr=0)
    write = hp.op(6, "sram.e0.wr", "write", "e1", addr=0)
    return [read, *both, write], [hp.words("sram.w0", 0, 1)], 5, "vxm.0 imov", "was replaced on e1"


def slot_held(hp: ModuleType) -> Case:
    first = hp.copy("sram.w1", "sram.e1", "e0", rep=3, every=2)
    second = hp.copy("sram.w1", "sram.e2", "e1", cycle=3)
    return first + second, [hp.words("sram.w1", 0, 3)], 3, "sram.w1.rd read", "is held by operation 0 until cycle 4"


def odd_plane_held(hp: ModuleType) -> Case:
    swaps = [hp.op(5, "mxm0.sw", "swap", mode=1), hp.op(5, "mxm1.sw", "swap")]
    return swaps, [], 5, "mxm1.sw swap", "mxm1.sw is held by operation 0"


def same_half(hp: ModuleType) -> Case:
    first = hp.copy("sram.w1", "sram.e1", "e0", addr=0, to=2)
    arrival = first[1].cycle
    second = hp.copy("sram.e1", "sram.e2", "e1", cycle=arrival, addr=4, to=0)
    images = [hp.words("sram.w1", 0, 1), hp.words("sram.e1", 4, 1)]
    return first + second, images, arrival, "sram.e1.wr write", "half 0 of sram.e1"


def unwritten(hp: ModuleType) -> Case:
    return hp.copy("sram.w1", "sram.e1", "e0", addr=7), [], 0, "sram.w1.rd read", "word 7 of sram.w1 was never written"


def bank_busy(hp: ModuleType) -> Case:
    flow = hp.copy("rram.w0", "sram.e1", "e0", cycle=2, rep=2, step=2)
    return flow, [hp.words("rram.w0", 0, 3)], 3, "rram.w0.rd read", "bank 0 of rram.w0 is busy until cycle 4"


def rram_write(hp: ModuleType) -> Case:
    first, second = hp.copy("sram.w1", "rram.w0", "w0")
    return (
        [first, replace(second, slot="rram.w0.rd")],
        [hp.words("sram.w1", 0, 1)],
        second.cycle,
        "rram.w0.rd write",
        "cannot write RRAM",
    )


def out_of_range(hp: ModuleType) -> Case:
    return hp.copy("sram.w1", "sram.e1", "e0", addr=63, rep=2), [], 0, "sram.w1.rd read", "addresses 63 … 64"


def out_of_order(hp: ModuleType) -> Case:
    flow = hp.copy("sram.w1", "sram.e1", "e0")
    return [flow[1], flow[0]], [hp.words("sram.w1", 0, 1)], 0, "sram.w1.rd read", "stands after"


def index_out_of_range(hp: ModuleType) -> Case:
    reads = [hp.op(4 + k, f"sram.w{4 + k}.rd", "read", to=f"w{k}", addr=0) for k in range(4)]
    at = 4 + 2 + hp.hops("sram.w4", "rram.w0")
    gather = hp.op(at, "rram.w0.rd", "gather", "w0:i32", to="e1", base=0, limit=1)
    write = hp.op(at + 4 + hp.hops("rram.w0", "sram.e0"), "sram.e0.wr", "write", "e1", addr=0)
    images = [hp.words(f"sram.w{4 + k}", 0, 1) for k in range(4)]
    images[0].data[:] = 9
    for image in images[1:]:
        image.data[:] = 0
    return [*reads, gather, write], [*images, hp.words("rram.w0", 0, 1)], at, "rram.w0.rd gather", "index 9 of element 0 is not"


@pytest.mark.parametrize(
    "make",
    [
        missing, unread, replaced, collision, slot_held, odd_plane_held, same_half, unwritten, bank_busy, rram_write,
        out_of_range, out_of_order, index_out_of_range,
    ],
)  # fmt: skip
def test_a_broken_rule_traps_on_both_machines(make: Callable[[ModuleType], Case], hand_programs: ModuleType) -> None:
    operations, images, cycle, who, words = make(hand_programs)
    program = hand_programs.program(operations, images)
    if make is out_of_order:
        program.operations[:] = operations
    expect_trap(program, cycle, who, words)


def expect_trap(program: Program, cycle: int, who: str, words: str) -> None:
    found: list[tuple[object, ...]] = []
    for machine in (ReferenceMachine, FastMachine):
        memory = Memory(program.chip)
        memory.lay_images(program)
        for symbol in program.symbols:
            if symbol.role != "output":
                memory.keep(symbol)
        with pytest.raises(MachineTrap) as caught:
            machine(program, memory).run()
        trap = caught.value
        assert isinstance(trap, Trap)
        assert trap.message.startswith(f"cycle {cycle}, {who}: ")
        assert words in trap.message
        found.append((trap.cycle, trap.slot, trap.operation, trap.mnemonic))
    assert found[0] == found[1]
    assert found[0][:2] == (cycle, who.split()[0])


def changed(program: Program, slot: str, **changes: object) -> Program:
    """The program with the (last) operation of a slot changed; `fields` are added to its own."""
    operations = list(program.operations)
    i = max(i for i, o in enumerate(operations) if o.slot == slot)
    fields = {**operations[i].fields, **changes.pop("fields", {})}  # type: ignore[dict-item]
    operations[i] = replace(operations[i], fields=fields, **changes)  # type: ignore[arg-type]
    slots = program.chip.slots
    operations.sort(key=lambda o: (o.cycle, slots[o.slot].index))
    return Program(program.chip, operations, program.images, program.symbols)


def at(program: Program, slot: str) -> int:
    return next(o.cycle for o in program.operations if o.slot == slot)


def test_a_feed_deeper_than_what_was_loaded(hand_programs: ModuleType) -> None:
    program = changed(hand_programs.matvec(), "mxm0.fd", fields={"depth": 5})
    expect_trap(program, at(program, "mxm0.fd"), "mxm0.fd feed", "needs rows 0 to 4 of the weights; row 4 was never loaded")


def test_a_feed_of_another_mode(hand_programs: ModuleType) -> None:
    program = changed(hand_programs.matvec("i8f16"), "mxm0.fd", fields={"mode": 1})
    expect_trap(program, at(program, "mxm0.fd"), "mxm0.fd feed", "needs weights of mode f16")


def test_a_swap_of_another_mode(hand_programs: ModuleType) -> None:
    program = changed(hand_programs.matvec("i8f16"), "mxm0.sw", fields={"mode": 1})
    expect_trap(program, at(program, "mxm0.sw"), "mxm0.sw swap", "swaps in mode f16, but the shadow buffer holds mode i8f16")


def test_a_feed_that_adds_to_an_empty_entry(hand_programs: ModuleType) -> None:
    program = changed(hand_programs.matvec(), "mxm0.fd", fields={"fresh": 0})
    expect_trap(program, at(program, "mxm0.fd"), "mxm0.fd feed", "entry 2, which holds no such sum")


def test_a_load_in_the_cycle_of_a_swap(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec()
    swap = at(program, "mxm0.sw")
    words = f"a swap is under way until cycle {swap}"
    expect_trap(changed(program, "mxm0.sw", cycle=swap - 1), swap - 1, "mxm0.ld load", words)


def on_lpu_rram(operations: list[Operation]) -> Program:
    """A chip whose loads and writes take more than a cycle; word 0 of sram.w0 and sram.w1 have a value."""
    chip = load_chip("lpu-rram")
    images = [Image(unit, unit, 0, np.ones((1, chip.lanes), np.uint8)) for unit in ("sram.w0", "sram.w1")]
    return Program(chip, sorted(operations, key=lambda o: (o.cycle, chip.slots[o.slot].index)), images)


def test_a_swap_while_a_load_is_under_way(hand_programs: ModuleType) -> None:
    hp, chip = hand_programs, load_chip("lpu-rram")
    load = chip.timing["sram.read"].latency + chip.units["sram.w0"].position
    program = on_lpu_rram(
        [
            hp.op(0, "sram.w0.rd", "read", to="w0", addr=0),
            hp.op(load, "mxm0.ld", "load", "w0", streams=1, count=1),
            hp.op(load + 3, "mxm0.sw", "swap"),
        ]
    )
    expect_trap(program, load + 3, "mxm0.sw swap", f"a load is under way until cycle {load + 4}")


def test_a_swap_in_the_middle_of_a_feed(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec()
    feed = at(program, "mxm0.fd")
    extra = hand_programs.op(feed + 1, "mxm0.sw", "swap")
    mixed = hand_programs.program([*program.operations, extra], program.images, program.symbols)
    expect_trap(mixed, feed + 2, "mxm0.fd feed", "needs weights of mode i8; the active buffer is empty")


def test_weights_that_nobody_uses(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec()
    end = max(o.cycle for o in program.operations) + 1
    extra = hand_programs.op(end + 2, "mxm0.sw", "swap")
    wasteful = hand_programs.program([*program.operations, extra], program.images, program.symbols)
    reference = ReferenceMachine(wasteful, Memory(wasteful.chip))
    reference.memory.lay_images(wasteful)
    reference.memory.keep(wasteful.symbols[0])
    with pytest.raises(MachineTrap, match="nothing was fed to the weights"):
        reference.run()


def test_more_streams_loaded_than_the_position_takes(hand_programs: ModuleType) -> None:
    hp = hand_programs
    loads = [
        hp.op(12, "mxm0.ld", "load", "w0", streams=4, count=4),
        hp.op(12, "mxm1.ld", "load", "w4", streams=1, count=1),
    ]
    reads = [
        hp.op(12 - 2 - hp.hops(f"sram.w{7 - k}", "mxm0"), f"sram.w{7 - k}.rd", "read", to=f"w{k}", addr=0) for k in range(5)
    ]
    program = hp.program([*loads, *reads], [hp.words(f"sram.w{7 - k}", 0, 1) for k in range(5)])
    expect_trap(program, 12, "mxm0.ld load", "5 streams are loaded here at once; the limit is 4")


def test_reading_a_word_that_is_being_written(hand_programs: ModuleType) -> None:
    hp, read = hand_programs, load_chip("lpu-rram").timing["sram.read"].latency
    program = on_lpu_rram(
        [
            hp.op(0, "sram.w1.rd", "read", to="e0", addr=0),
            hp.op(read + 1, "sram.w0.wr", "write", "e0", addr=0),
            hp.op(read + 2, "sram.w0.rd", "read", to="e1", addr=0),
            hp.op(2 * read + 3, "sram.e0.wr", "write", "e1", addr=0),
        ]
    )
    expect_trap(program, read + 2, "sram.w0.rd read", "word 0 of sram.w0 is being written")


def test_the_trap_names_where_the_operation_comes_from(hand_programs: ModuleType) -> None:
    program = hand_programs.program([hand_programs.op(2, "vxm.0", "iadd", "e0", Immediate(1), to="e1")])
    program.origins.append("net.lks:3:5: add")
    program.operations[0] = replace(program.operations[0], origin=1)
    with pytest.raises(MachineTrap) as caught:
        FastMachine(program, Memory(program.chip)).run()
    assert "it comes from net.lks:3:5: add" in caught.value.render()

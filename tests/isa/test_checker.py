"""Each rule of the chip: a program that just keeps it, and one that just breaks it. What surrounds the broken rule is legal."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isa.checker import check, require_valid
from isa.errors import ScheduleFault
from isa.program import Image, Immediate, Operation, Piece, Program, Symbol


@pytest.fixture
def h(hand_programs: ModuleType) -> ModuleType:
    return hand_programs


def rules(program: Program) -> set[str]:
    return {v.rule for v in check(program)}


def only(program: Program, rule: str, text: str) -> bool:
    """Whether the program breaks this rule, and no other, and a message says why."""
    violations = check(program)
    return {v.rule for v in violations} == {rule} and any(text in v.message for v in violations)


def changed(program: Program, h: ModuleType, find: str, by: int = 0, **changes: object) -> Program:
    """The program with the operations of a mnemonic or slot replaced; `by` moves them."""
    operations = [replace(o, cycle=o.cycle + by, **changes) if find in (o.mnemonic, o.slot) else o for o in program.operations]
    return h.program(operations, program.images, program.symbols)


def with_fields(program: Program, h: ModuleType, mnemonic: str, **fields: int) -> Program:
    operations = [replace(o, fields={**o.fields, **fields}) if o.mnemonic == mnemonic else o for o in program.operations]
    return h.program(operations, program.images, program.symbols)


# Rules 1 to 3: streams ---------------------------------------------------------------------------------------------


def test_a_copy_meets(h: ModuleType) -> None:
    assert check(h.program(h.copy("sram.w2", "sram.e1", "e3", rep=4), [h.words("sram.w2", 0, 4)])) == []


def test_reads_that_find_nothing(h: ModuleType) -> None:
    copy = h.copy("sram.w2", "sram.e1", "e3", rep=4)
    assert only(h.program(copy[1:]), "meeting", "there is no value to read on e3 at position 14 in cycle 7 (elements 0 … 3)")


def test_values_that_nobody_reads(h: ModuleType) -> None:
    copy = h.copy("sram.w2", "sram.e1", "e3", rep=4)
    assert only(
        h.program(copy[:1], [h.words("sram.w2", 0, 4)]), "waste", "nobody reads what is put on e3 at position 9 in cycle 2"
    )


def test_one_value_may_have_two_readers_on_its_way(h: ModuleType) -> None:
    first, second = h.copy("sram.w2", "sram.w0", "e3"), h.copy("sram.w2", "sram.e1", "e3")
    assert check(h.program([*first, second[1]], [h.words("sram.w2", 0, 1)])) == []


def test_two_writes_of_a_register_in_a_cycle(h: ModuleType) -> None:
    def moves(second: str) -> Program:
        read = h.copy("sram.w2", "sram.e1", "e3")[0]
        at_vxm = 2 + h.hops("sram.w2", "vxm")
        write = h.op(at_vxm + 1 + 1, "sram.e0.wr", "write", "e4", addr=0)
        other = h.op(at_vxm + 1 + 1, "sram.w0.wr", "write", "w5", addr=0)
        movers = [h.op(at_vxm, f"vxm.{k}", "imov", "e3", to=to) for k, to in enumerate(("e4", second))]
        return h.program([read, *movers, write, *([other] if second == "w5" else [])], [h.words("sram.w2", 0, 1)])

    assert check(moves("w5")) == []
    assert rules(moves("e4")) == {"collision", "waste"}


# Rule 4: slots -----------------------------------------------------------------------------------------------------


def test_a_slot_is_held_between_dispatches(h: ModuleType) -> None:
    def two(start: int) -> Program:
        first, second = h.copy("sram.w2", "sram.e1", "e3", rep=3, every=2), h.copy("sram.w2", "sram.e1", "e4", start, 8, 9)
        return h.program([*first, *second], [h.words("sram.w2", 0, 9)])

    assert check(two(5)) == []
    assert only(two(3), "slot", "slot sram.w2.rd is held by @0 sram.w2.rd read")
    assert "slot" in rules(two(4))


def test_a_pair_holds_the_port_of_its_odd_plane(h: ModuleType) -> None:
    pair = h.matvec("f16")
    at = next(o for o in pair.operations if o.mnemonic == "load").cycle
    loads = h.op(at, "mxm1.ld", "load", "w0", streams=2, count=2)
    assert "slot mxm1.ld is held by" in " ".join(
        v.message for v in check(h.program([*pair.operations, loads], pair.images, pair.symbols))
    )
    single = h.matvec("i8")
    at = next(o for o in single.operations if o.mnemonic == "load").cycle
    loads = h.op(at, "mxm1.ld", "load", "w0", streams=2, count=2)
    assert check(h.program([*single.operations, loads], single.images, single.symbols)) == []


def test_operations_stand_in_order(h: ModuleType) -> None:
    program = h.matvec()
    program.operations.reverse()
    assert only(program, "order", "later cycle or slot")


# Rule 5: SRAM ------------------------------------------------------------------------------------------------------


def read_and_write(h: ModuleType, address: int) -> Program:
    """In sram.w0 word 0 is read in the cycle in which `address` is written."""
    write = h.copy("sram.w2", "sram.w0", "e3", 0, 0, address)
    read = h.copy("sram.w0", "sram.e1", "e4", write[1].cycle)
    return h.program([*write, *read], [h.words("sram.w2", 0, 1), h.words("sram.w0", 0, 1)])


def test_reads_and_writes_use_different_halves(h: ModuleType) -> None:
    assert check(read_and_write(h, 3)) == []
    assert only(read_and_write(h, 2), "sram", "half 0 is needed in sram.w0 by two accesses in one cycle")


@pytest.mark.parametrize(("later", "text"), [(0, "is being written until"), (-1, "was never written")])
def test_a_written_word_is_read_once_the_latency_has_passed(h: ModuleType, later: int, text: str) -> None:
    def program(after: int) -> Program:
        write = h.copy("sram.w2", "sram.w0", "e3", 0, 0, 9)
        return h.program([*write, *h.copy("sram.w0", "sram.e1", "e4", write[1].cycle + after, 9)], [h.words("sram.w2", 0, 1)])

    assert check(program(h.LATENCY["sram.write"])) == []
    assert only(program(later), "sram", text)


def test_inputs_parameters_states_and_images_are_there_and_outputs_are_not(h: ModuleType) -> None:
    copy = h.copy("sram.w2", "sram.e1", "e3", addr=6)
    piece = (Piece("sram.w2", 6, 1, 0, 0, 0),)
    for role in ("input", "param", "state"):
        assert check(h.program(copy, symbols=[Symbol("s", role, (8,), "i8", piece)])) == []
    assert rules(h.program(copy, symbols=[Symbol("s", "output", (8,), "i8", piece)])) == {"sram", "symbol"}
    assert check(h.program(copy, [h.words("sram.w2", 6, 1)])) == []


def test_outputs_are_written_by_the_end(h: ModuleType) -> None:
    copy = h.copy("sram.w2", "sram.e1", "e3", to=4, rep=2)
    for words, expected in ((2, set()), (3, {"symbol"})):
        symbol = Symbol("y", "output", (words, 8), "i8", (Piece("sram.e1", 4, words, 0, 0, 0),))
        assert rules(h.program(copy, [h.words("sram.w2", 0, 2)], [symbol])) == expected


def gathering(h: ModuleType, unit: str, **fields: int) -> list[Operation]:
    """One gather in sram.e4, or in rram.w0 with an index from the east, and its index from four slices."""
    east = unit == "sram.e4"
    slices, way = ([f"sram.e{k}" for k in range(4)], "e") if east else ([f"sram.w{7 - k}" for k in range(4)], "w")
    at = 20
    index = [h.op(at - 2 - h.hops(s, unit), f"{s}.rd", "read", to=f"{way}{k}", addr=1) for k, s in enumerate(slices)]
    to, target = ("e6", "sram.e6") if east else ("e6", "sram.w2")
    latency = h.LATENCY[f"{unit.partition('.')[0]}.gather"]
    out = h.op(at + latency + h.hops(unit, target), f"{target}.wr", "write", to, addr=0)
    return [*index, h.op(at, f"{unit}.rd", "gather", f"{way}0:i32", to=to, **fields), out]


def index_images(h: ModuleType) -> list[Image]:
    return [h.words(f"sram.e{k}", 1, 1) for k in range(4)] + [h.words(f"sram.w{7 - k}", 1, 1) for k in range(4)]


def test_every_word_that_a_gather_may_touch_is_there(h: ModuleType) -> None:
    operations = gathering(h, "sram.e4", base=4, limit=6)
    assert check(h.program(operations, [*index_images(h), h.words("sram.e4", 4, 6)])) == []
    assert only(
        h.program(operations, [*index_images(h), h.words("sram.e4", 4, 5)]), "sram", "word 9 may be read but is not there"
    )


@pytest.mark.parametrize(("cycle", "address", "expected"), [
    (20, 4, {"sram"}), (20, 30, {"sram"}), (19, 4, set()), (21, 5, set()),
])  # fmt: skip
def test_a_gather_needs_its_slice_alone(h: ModuleType, cycle: int, address: int, expected: set[str]) -> None:
    """A write in the cycle of the gather (20) is refused wherever it goes; one cycle earlier or later it is not."""
    write = h.copy("sram.w1", "sram.e4", "e7", cycle - 2 - h.hops("sram.w1", "sram.e4"), 0, address)
    images = [*index_images(h), h.words("sram.e4", 4, 6), h.words("sram.w1", 0, 1)]
    assert rules(h.program([*gathering(h, "sram.e4", base=4, limit=6), *write], images)) == expected


def test_a_gather_waits_for_the_writes_of_its_range(h: ModuleType) -> None:
    slow = replace_timing(h, "sram.write", 3)
    write = h.copy("sram.w1", "sram.e4", "e7", 18 - 2 - h.hops("sram.w1", "sram.e4"), 0, 5)
    images = [*index_images(h), h.words("sram.e4", 4, 6), h.words("sram.w1", 0, 1)]
    operations = [*gathering(h, "sram.e4", base=4, limit=6), *write]
    assert check(h.program(operations, images)) == []
    program = Program(slow, h.program(operations).operations, images)
    assert only(program, "sram", "word 5 may be read while it is being written, until cycle 21")


def replace_timing(h: ModuleType, key: str, latency: int):
    timing = {**h.TINY.timing, key: h.TINY.timing[key].model_copy(update={"latency": latency})}
    return h.TINY.model_copy(update={"timing": timing})


@pytest.mark.parametrize(("after", "address", "expected"), [
    (1, 16, {"sram"}), (1, 19, {"sram"}), (1, 20, set()), (2, 16, set()), (0, 30, {"sram"}), (-1, 16, set()),
])  # fmt: skip
def test_no_word_that_a_scatter_may_write_is_read_too_early(
    h: ModuleType, after: int, address: int, expected: set[str]
) -> None:
    """The scatter of `lookup` may write words 16 … 19 and takes 2 cycles; in its own cycle the slice does nothing else."""
    lookup = h.lookup()
    scatter = next(o for o in lookup.operations if o.mnemonic == "scatter")
    read = h.copy("sram.e4", "sram.e6", "e7", scatter.cycle + after, address)
    images = [*lookup.images, h.words("sram.e4", 20, 12)]
    assert rules(h.program([*lookup.operations, *read], images, lookup.symbols)) == expected


# Rule 6: RRAM ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "address", "legal"), [(2, 3, False), (2, 4, True), (3, 3, True), (3, 4, True)])
def test_a_bank_is_busy_after_a_read(h: ModuleType, start: int, address: int, legal: bool) -> None:
    """tiny: two banks, busy two cycles; words 0 and 1 are read in cycles 0 and 1."""
    first, second = h.copy("rram.w0", "sram.w1", "e3", rep=2), h.copy("rram.w0", "sram.w1", "e4", start, address, 9)
    program = h.program([*first, *second], [h.words("rram.w0", 0, 9)])
    assert check(program) == [] if legal else only(program, "rram", "bank 1 is busy until cycle 3")


@pytest.mark.parametrize(("cycle", "address"), [(18, 0), (22, 0), (18, 1), (22, 1)])
def test_a_gather_keeps_all_banks_busy(h: ModuleType, cycle: int, address: int) -> None:
    def program(at: int) -> Program:
        images = [*index_images(h), h.words("rram.w0", 0, 16)]
        read = h.copy("rram.w0", "sram.w1", "e3", at, address, 9)
        return h.program([*gathering(h, "rram.w0", base=4, limit=6), *read], images)

    assert check(program(cycle)) == []
    assert only(program(cycle + (1 if cycle < 20 else -1)), "rram", "is busy until")


def test_gathers_are_busy_cycles_apart(h: ModuleType) -> None:
    lookup = h.lookup()
    close = [replace(o, every=1) if o.every == 2 else o for o in lookup.operations]
    assert "rram" in rules(h.program(close, lookup.images, lookup.symbols))
    assert check(lookup) == []


def test_a_program_cannot_write_rram(h: ModuleType) -> None:
    write = h.op(3, "rram.w0.rd", "write", "e0", addr=0)
    assert only(h.program([write]), "range", "a running program cannot write RRAM")


# Rule 7: MXM -------------------------------------------------------------------------------------------------------


def test_a_feed_needs_as_many_rows_as_it_is_deep(h: ModuleType) -> None:
    for depth, expected in ((4, set()), (3, set()), (5, {"mxm"})):
        assert rules(with_fields(h.matvec(), h, "feed", depth=depth)) == expected


def test_rows_are_loaded_from_row_zero_on(h: ModuleType) -> None:
    assert only(with_fields(h.matvec(), h, "load", row=1), "mxm", "rows from 0 on are not all loaded")


def test_columns_bring_all_rows(h: ModuleType) -> None:
    assert check(with_fields(h.matvec(), h, "load", row=1, transposed=1)) == []


def test_weights_and_feed_are_of_one_mode(h: ModuleType) -> None:
    assert only(with_fields(h.matvec("i8f16"), h, "swap", mode=0), "mxm", "the shadow buffer holds weights of another mode")
    i8_loads = with_fields(with_fields(h.matvec("i8f16"), h, "swap", mode=0), h, "load", mode=0)
    assert only(i8_loads, "mxm", "the weights were loaded in another mode")


def test_without_a_swap_there_are_no_weights(h: ModuleType) -> None:
    program = h.matvec()
    program.operations = [o for o in program.operations if o.mnemonic != "swap"]
    assert only(program, "mxm", "there are no weights")


def test_a_swap_waits_for_loads_and_feeds_for_the_swap(h: ModuleType) -> None:
    assert rules(changed(h.matvec(), h, "swap", by=-1)) == {"mxm"}
    assert rules(changed(h.matvec(), h, "swap", by=1)) == {"mxm"}
    assert "loads during a swap that lasts until cycle 13" in check(changed(h.matvec(), h, "swap", by=-1))[0].message
    slow = replace_timing(h, "mxm.load", 2)
    assert only(replace(h.matvec(), chip=slow), "mxm", "a load is under way until cycle 14")


def test_loads_wait_for_the_swap(h: ModuleType) -> None:
    """The next weights may begin to be loaded when the swap is done; then they must be swapped in and used."""
    program = h.matvec()
    swap = next(o for o in program.operations if o.mnemonic == "swap").cycle

    def reload(load: int) -> Program:
        reads = [
            h.op(load - 3 - h.hops(u, "mxm0"), f"{u}.rd", "read", to=f"w{k}", addr=1)
            for k, u in enumerate(("rram.w0", "rram.w1"))
        ]
        return h.program(
            [*program.operations, *reads, h.op(load, "mxm0.ld", "load", "w0", streams=2, count=2)],
            program.images,
            program.symbols,
        )

    assert check(reload(swap + 1)) == []
    assert "loads during a swap that lasts until cycle 14" in " ".join(v.message for v in check(reload(swap)))


def test_after_a_swap_the_shadow_is_empty(h: ModuleType) -> None:
    program = h.matvec()
    last = max(o.cycle for o in program.operations if o.mnemonic == "feed")
    again = h.op(last + 3, "mxm0.sw", "swap")
    assert only(h.program([*program.operations, again], program.images, program.symbols), "mxm", "never fed to")


def test_a_feed_keeps_its_weights(h: ModuleType) -> None:
    program = h.matvec()
    feed = next(o for o in program.operations if o.mnemonic == "feed").cycle
    again = h.program([*program.operations, h.op(feed + 1, "mxm0.sw", "swap")], program.images, program.symbols)
    assert "the weights are swapped between elements 0 and 2" in " ".join(v.message for v in check(again))


def accumulating(h: ModuleType, first: dict[str, int], second: dict[str, int], result: bool = False) -> Program:
    """`matvec` with another feed before its own, of a word that sram.w5 sends (with a result, sram.e1 keeps its low byte)."""
    program = h.matvec(batch=1)
    program.symbols[1] = replace(program.symbols[1], shape=(1, 8))
    own = next(o for o in program.operations if o.mnemonic == "feed")
    shifted = [
        replace(o, cycle=o.cycle + (1 if o.cycle >= own.cycle or o.slot == "sram.w7.rd" else 0)) for o in program.operations
    ]
    shifted = [replace(o, fields={**o.fields, **second}) if o.mnemonic == "feed" else o for o in shifted]
    read = h.op(own.cycle - 2 - h.hops("sram.w5", "mxm0"), "sram.w5.rd", "read", to="w4", addr=0)
    feed = h.op(own.cycle, "mxm0.fd", "feed", "w4", to="", depth=4, **first)
    return h.program([*shifted, read, feed], [*program.images, h.words("sram.w5", 0, 1)], program.symbols)


@pytest.mark.parametrize(("first", "second", "expected"), [
    ({"acc": 2}, {"fresh": 0}, set()),
    ({"acc": 2}, {"fresh": 1}, set()),
    ({"acc": 3}, {"fresh": 0}, {"mxm"}),
    ({"acc": 2, "fresh": 0}, {"fresh": 0}, {"mxm"}),
])  # fmt: skip
def test_only_sums_that_are_there_are_added_to(
    h: ModuleType, first: dict[str, int], second: dict[str, int], expected: set[str]
) -> None:
    assert rules(accumulating(h, first, second)) == expected


def test_a_result_leaves_the_entry_empty(h: ModuleType) -> None:
    assert only(with_fields(h.matvec(), h, "feed", fresh=0), "mxm", "adds to accumulator entry 2, which holds no sum")


@pytest.mark.parametrize(("second", "expected"), [("w2", set()), ("w3", {"mxm"})])
def test_load_streams_of_a_position_count_once(h: ModuleType, second: str, expected: set[str]) -> None:
    """tiny loads four streams at a position: both planes w2 … w5, or one of them w2 … w5 and the other w3 … w6."""
    at, units = 20, ("sram.w7", "sram.w6", "sram.w5", "sram.w4", "sram.w3")
    reads = [h.op(at - 2 - h.hops(u, "mxm0"), f"{u}.rd", "read", to=f"w{2 + k}", addr=0) for k, u in enumerate(units)]
    reads = reads if second == "w3" else reads[:4]
    loads = [h.op(at, f"mxm{p}.ld", "load", s, streams=4, count=4) for p, s in enumerate(("w2", second))]
    assert rules(h.program([*reads, *loads], [h.words(u, 0, 1) for u in units])) == expected


# Rule 8: ranges ----------------------------------------------------------------------------------------------------


def test_operations_outside_the_chip(h: ModuleType) -> None:
    one = Immediate(1)
    cases = [
        (h.op(0, "sram.w9.rd", "read", to="e0", addr=0), "no slot"),
        (h.op(0, "vxm.0", "read", to="e0", addr=0), "not allowed in vxm.0"),
        (h.op(0, "vxm.0", "nop", "e0"), "no instruction"),
        (h.op(0, "sxm.w.0", "transpose", "e0", to="e0"), "transpose"),
        (h.op(-1, "sram.w0.rd", "read", to="e0", addr=0), "cycle"),
        (h.op(1 << 41, "sram.w0.rd", "read", to="e0", addr=0), "cycle"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=0, rep=0), "rep"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=0, every=0), "every"),
        (h.op(0, "sram.w0.rd", "read", to="e0"), "needs addr"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=0, base=0), "no field base"),
        (h.op(0, "sram.w0.rd", "read", to="e8", addr=0), "e8"),
        (h.op(0, "sram.w0.rd", "read", to="e0:f16", addr=0), "f16"),
        (h.op(0, "sram.w0.rd", "read", addr=0), "result"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=64), "addresses 64 … 64 are not within 0 … 63 of sram.w0"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=60, step=1, rep=5), "addresses 60 … 64"),
        (h.op(0, "sram.w0.rd", "read", to="e0", addr=1, step=-1, rep=3), "addresses 1 … -1"),
        (h.op(0, "rram.w0.rd", "read", to="e0", addr=32), "addresses 32 … 32 are not within 0 … 31 of rram.w0"),
        (h.op(0, "sram.w0.wr", "write", "e0", addr=0, mask=16), "mask 0x10"),
        (h.op(0, "sram.w0.wr", "write", "e0", addr=0, mask=0), "mask 0x0"),
        (h.op(0, "sram.w0.rd", "gather", "e0:i32", to="e4", base=60, limit=5), "5 words from 60"),
        (h.op(0, "sram.w0.rd", "gather", "e0:i32", to="e4", base=0, limit=0), "limit"),
        (h.op(0, "vxm.0", "iadd", one, one, to="e0"), "immediate"),
        (h.op(0, "vxm.0", "iabs", "e0", to="e0"), "no instruction"),
        (h.op(0, "vxm.0", "imov", one, to="e0"), "immediate"),
        (h.op(0, "vxm.0", "iadd", "e2:i32", one, to="e4"), "aligned"),
        (h.op(0, "vxm.0", "iadd", "e0:i32", to="e4"), "operands"),
        (h.op(0, "vxm.0", "imov", "e0", to="e0", delay=32), "delay"),
        (h.op(0, "vxm.0", "isum", "e0", to="e0", group=2, rep=3), "rep 3 is not a multiple of group 2"),
        (h.op(0, "sxm.w.0", "rotate", "e0", to="e0", by=1, lanes=9), "lanes 9"),
        (h.op(0, "sxm.w.0", "broadcast", "e0", to="e0", lane=8), "lane 8"),
        (h.op(0, "sxm.w.0", "select", "e0", "e1", to="e0", split=9), "split 9"),
        (h.op(0, "sxm.w.0", "shift", "e0:i32", to="e0", by=1), "one type"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=5, count=5), "5 streams"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=3, count=1, mode=1), "streams"),
        (h.op(0, "mxm0.ld", "load", "w6", streams=4, count=4), "w6"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=4, count=12, rep=3), "rows 0 … 11 are not within 0 … 7"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=4, count=4, row=5), "rows 5 … 8"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=4, count=4, rep=2), "take 1 dispatches, not 2"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=4, count=5), "take 2 dispatches, not 1"),
        (h.op(0, "mxm1.ld", "load", "w0", streams=2, count=1, mode=1), "even plane"),
        (h.op(0, "mxm1.sw", "swap", mode=2), "even plane"),
        (h.op(0, "mxm0.fd", "feed", "w0", depth=9), "depth 9"),
        (h.op(0, "mxm0.fd", "feed", "w0:f16", depth=8), "mode i8 takes i8 and gives i32, not f16"),
        (h.op(0, "mxm0.fd", "feed", "w0:f16", to="e0:i32", depth=8, mode=1), "mode f16 takes f16 and gives f32, not i32"),
        (h.op(0, "mxm0.fd", "feed", "w0", depth=8, acc=14, rep=3), "accumulator entries 14 … 16"),
    ]  # fmt: skip
    wrong = [(o.mnemonic, text, check(h.program([]))) for o, text in cases if not only(Program(h.TINY, [o]), "range", text)]
    assert wrong == []


def test_what_a_chip_lacks(h: ModuleType) -> None:
    poor = h.TINY.mxm.model_copy(update={"modes": ("i8", "f16"), "transposed_load": False})
    chip = h.TINY.model_copy(update={"mxm": poor, "vxm": h.TINY.vxm.model_copy(update={"max_delay": 3})})
    for operation, text in (
        (h.op(0, "mxm0.sw", "swap", mode=2), "no mode i8f16"),
        (h.op(0, "mxm0.ld", "load", "w0", streams=1, count=1, transposed=1), "no transposed load"),
        (h.op(0, "vxm.0", "imov", "e0", to="e0", delay=4), "delay 4 is more than the chip's 3"),
    ):
        assert only(Program(chip, [operation]), "range", text)


@pytest.mark.parametrize(("images", "text"), [
    ([("rram.w0", 30, 3)], "30"),
    ([("vxm", 0, 1)], "vxm"),
    ([("sram.w0", 0, 4), ("sram.w0", 3, 2)], "both hold words 3 … 3 of sram.w0"),
    ([("sram.w0", 0, 9), ("sram.w0", 1, 1), ("sram.w0", 5, 2)], "both hold words 5 … 6 of sram.w0"),
])  # fmt: skip
def test_images_lie_apart_inside_their_slices(h: ModuleType, images: list[tuple[str, int, int]], text: str) -> None:
    made = [Image(f"{u}+{b}", u, b, np.zeros((n, 8), np.uint8)) for u, b, n in images]
    assert only(Program(h.TINY, [], made), "image", text)
    assert check(Program(h.TINY, [], made[:1])) == [] or len(images) == 1


@pytest.mark.parametrize("piece", [
    Piece("sram.w0", 62, 3, 0, 0, 0), Piece("sxm.w", 0, 1, 0, 0, 0), Piece("sram.w0", 0, 4, 0, 0, 0),
    Piece("sram.w0", 0, 3, 0, 1, 0), Piece("sram.w0", 0, 3, 0, 0, 1), Piece("sram.w0", 1, 3, 0, 0, 0, -1),
])  # fmt: skip
def test_pieces_hold_their_tensor_inside_their_slices(h: ModuleType, piece: Piece) -> None:
    good = Piece("sram.w0", 61, 3, 0, 0, 0)
    assert check(Program(h.TINY, [], symbols=[Symbol("x", "input", (3, 8), "i8", (good,))])) == []
    assert rules(Program(h.TINY, [], symbols=[Symbol("x", "input", (3, 8), "i8", (good, piece))])) == {"symbol"}


@pytest.mark.parametrize(("role", "expected"), [("param", set()), ("input", {"symbol"}), ("state", {"symbol"})])
def test_only_parameters_lie_in_rram(h: ModuleType, role: str, expected: set[str]) -> None:
    symbol = Symbol("x", role, (3, 8), "i8", (Piece("rram.w0", 0, 3, 0, 0, 0),))
    assert rules(Program(h.TINY, [], symbols=[symbol])) == expected


# The report --------------------------------------------------------------------------------------------------------


def test_violations_come_in_order_of_cycle_and_are_limited(h: ModuleType) -> None:
    program = h.program(h.copy("sram.w2", "sram.e1", "e3", rep=30)[:1] + h.copy("sram.w3", "sram.e2", "w3", 2, rep=20)[1:])
    found = check(program)
    assert [v.cycle for v in found] == sorted(v.cycle for v in found)
    assert check(program, limit=3) == found[:3]
    assert len(found) > 3


def test_a_legal_program_gives_its_wiring(h: ModuleType) -> None:
    wiring = require_valid(h.matvec())
    assert len(wiring.reader) == 2 + 1 + 4 + 4 + 1
    assert len(wiring.missing) == 0


def test_a_fault_names_cycle_operation_and_origin(h: ModuleType) -> None:
    program = changed(h.matvec(), h, "vxm.1", by=1, origin=1)
    program.origins.append("net.lks:3:5: matmul")
    with pytest.raises(ScheduleFault) as caught:
        require_valid(program)
    fault = caught.value
    assert "cycle 31" in fault.message
    assert "vxm.0 iadd e0:i32 #0x1 rep 3 -> e4:i32" in fault.message
    assert any("@32 vxm.1 imov e4:i32 rep 3 -> w3 (from net.lks:3:5: matmul)" in note for note in fault.notes)
    assert fault.hint
    assert len(fault.notes) <= 5


def test_an_empty_program_is_legal(h: ModuleType) -> None:
    assert check(h.program([])) == []

"""The wiring against a machine of registers that moves every value one hop a cycle, and against hand-made cases."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from isa.chip import load_chip
from isa.program import Operation, Program, Stream
from isa.timing import stream_reads, stream_writes
from isa.wiring import Touches, Wiring, resolve

TINY = load_chip("tiny")


def op(
    cycle: int,
    slot: str,
    mnemonic: str,
    *sources: Stream,
    to: Stream | None = None,
    rep: int = 1,
    every: int = 1,
    **fields: int,
):
    return Operation(cycle, slot, mnemonic, sources, to, fields, rep, every)


def touch_cycles(program: Program, write: bool):
    """(operation, ordinal, element, burst, cycle) of every single touch."""
    for i, o in enumerate(program.operations):
        for ordinal, b in enumerate((stream_writes if write else stream_reads)(o, program.chip)):
            for element in range(b.count):
                yield i, ordinal, element, b, b.cycle + element * b.every


def moved_by_hand(program: Program):
    """(seen, missing, wasted, collisions) of a machine that holds every register and shifts them all, cycle by cycle."""
    width = program.chip.width
    writes, reads = {}, {}
    for table, write in ((writes, True), (reads, False)):
        for i, ordinal, element, b, cycle in touch_cycles(program, write):
            table.setdefault(cycle, []).append(((i, ordinal, element), (b.direction, b.index), b.position))
    registers: dict = {}
    seen, missing, collisions = {}, set(), 0
    for cycle in range(max([*writes, *reads, 0]) + width):
        moved = {}
        for (stream, x), value in registers.items():
            there = x + (1 if stream[0] == "e" else -1)
            if 0 <= there < width:
                moved[stream, there] = value
        registers, written = moved, set()
        for value, stream, x in writes.get(cycle, []):
            collisions += (stream, x) in written
            written.add((stream, x))
            registers[stream, x] = value
        for reader, stream, x in reads.get(cycle, []):
            if (stream, x) in registers:
                seen[reader] = registers[stream, x]
            else:
                missing.add(reader)
    all_writes = {(i, ordinal, element) for i, ordinal, element, _, _ in touch_cycles(program, True)}
    return seen, missing, all_writes - set(seen.values()), collisions


def spread(touches: Touches) -> Counter:
    rows = zip(touches.operation, touches.stream, touches.element, touches.count, strict=True)
    return Counter((int(o), int(s), int(e) + i) for o, s, e, n in rows for i in range(n))


def links(wiring: Wiring) -> list[tuple[int, ...]]:
    columns = (
        wiring.reader, wiring.read_stream, wiring.read_first, wiring.read_step, wiring.count,
        wiring.producer, wiring.write_stream, wiring.write_first, wiring.write_step,
    )  # fmt: skip
    return [tuple(int(v) for v in row) for row in zip(*columns, strict=True)]


def pairs(wiring: Wiring) -> Counter:
    return Counter(
        ((r, rs, rf + i * rstep), (p, ws, wf + i * wstep))
        for r, rs, rf, rstep, n, p, ws, wf, wstep in links(wiring)
        for i in range(n)
    )


def random_program(rng: random.Random) -> Program:
    """Stream traffic without sense: few streams and few cycles, so that bursts cross, hide and collide often."""
    operations = []
    for _ in range(rng.randint(1, 14)):
        kind = rng.choice(["read", "write", "fmov", "fadd", "fsum", "load", "shift", "feed"])
        cycle, rep, every = rng.randint(0, 12), rng.randint(1, 6), rng.choice([1, 1, 1, 2, 3])
        byte = [Stream(rng.choice("ew"), rng.randint(0, 3)) for _ in range(2)]
        pair = [Stream(rng.choice("ew"), 2 * rng.randint(0, 1), "f16") for _ in range(2)]
        slot = f"sram.{rng.choice('we')}{rng.randint(0, 3)}"
        common = {"rep": rep, "every": every}
        if kind == "read":
            new = op(cycle, f"{slot}.rd", kind, to=byte[0], addr=0, step=1, **common)
        elif kind == "write":
            new = op(cycle, f"{slot}.wr", kind, byte[0], addr=0, step=1, **common)
        elif kind == "fmov":
            new = op(cycle, "vxm.0", kind, byte[0], to=pair[0], delay=rng.randint(0, 2), **common)
        elif kind == "fadd":
            new = op(cycle, "vxm.1", kind, *pair, to=byte[1], **common)
        elif kind == "fsum":
            new = op(cycle, "vxm.2", kind, pair[0], to=byte[0], group=3, rep=3 * rep, every=every)
        elif kind == "load":
            new = op(cycle, "mxm0.ld", kind, byte[0], streams=3, count=rng.randint(max(1, 3 * rep - 3), 3 * rep), **common)
        elif kind == "shift":
            new = op(cycle, "sxm.w.0", kind, byte[0], to=byte[1], by=1, **common)
        else:
            new = op(
                cycle,
                "mxm1.fd",
                kind,
                byte[0],
                to=Stream(rng.choice("ew"), 0, "i32") if rng.random() < 0.5 else None,
                depth=4,
                **common,
            )
        operations.append(new)
    return Program(TINY, sorted(operations, key=lambda o: o.cycle))


@pytest.mark.parametrize("seed", range(300))
def test_wiring_is_what_moving_registers_give(seed: int) -> None:
    program = random_program(random.Random(seed))
    seen, missing, wasted, collisions = moved_by_hand(program)
    wiring = resolve(program)
    found = pairs(wiring)
    if collisions:  # which of two colliding values is seen is nobody's business: only who reads something is compared
        assert Counter(reader for reader, _ in found) == Counter(seen.keys())
    else:
        assert found == Counter(seen.items())
        assert spread(wiring.wasted) == Counter(wasted)
    assert spread(wiring.missing) == Counter(missing)
    assert sum(wiring.collisions[0].count) == sum(wiring.collisions[1].count) == collisions


def test_random_programs_show_every_case() -> None:
    totals = Counter()
    for seed in range(100):
        wiring = resolve(random_program(random.Random(seed)))
        totals += Counter(
            links=len(wiring.reader), missing=len(wiring.missing), wasted=len(wiring.wasted),
            collisions=len(wiring.collisions[0]),
            gaps=int((wiring.read_step > 1).sum()), skips=int((wiring.write_step > 1).sum()),
        )  # fmt: skip
    assert min(totals[k] for k in ("links", "missing", "wasted", "collisions", "gaps", "skips")) > 10, totals


@pytest.mark.parametrize("seed", range(100))
def test_links_are_ordered_maximal_and_their_touch_cycles_right(seed: int) -> None:
    wiring = resolve(random_program(random.Random(seed)))
    rows = links(wiring)
    assert [r[:3] for r in rows] == sorted(r[:3] for r in rows)
    ends = Counter(
        (r, rs, rf + n * rstep, p, ws, wf + n * wstep, rstep) for r, rs, rf, rstep, n, p, ws, wf, wstep in rows if n > 1
    )
    starts = Counter((r, rs, rf, p, ws, wf, rstep) for r, rs, rf, rstep, _, p, ws, wf, wstep in rows)
    assert not ends & starts


def test_one_burst_into_one_burst_is_one_link() -> None:
    # tiny: a read is shown 2 cycles after its dispatch and seen at sram.w0 `hops` cycles later.
    x = {name: TINY.units[name].position for name in ("sram.w3", "sram.w0")}
    hops = x["sram.w0"] - x["sram.w3"]
    a, b = op(0, "sram.w3.rd", "read", to=Stream("e", 5), addr=0, step=1, rep=9), Stream("e", 5)
    program = Program(TINY, [a, op(2 + hops, "sram.w0.wr", "write", b, addr=0, step=1, rep=9)])
    wiring = resolve(program)
    assert links(wiring) == [(1, 0, 0, 1, 9, 0, 0, 0, 1)]
    assert len(wiring.missing) + len(wiring.wasted) == 0


def test_a_write_on_the_way_hides_what_arrives() -> None:
    hops = TINY.units["sram.w0"].position - TINY.units["sram.w3"].position
    near = TINY.units["sram.w0"].position - TINY.units["sram.w1"].position
    stream = Stream("e", 5)
    program = Program(TINY, [
        op(0, "sram.w3.rd", "read", to=stream, addr=0, step=1, rep=9),
        op(hops - near + 3, "sram.w1.rd", "read", to=stream, addr=0, step=1, rep=2),
        op(2 + hops, "sram.w0.wr", "write", stream, addr=0, step=1, rep=9),
    ])  # fmt: skip
    wiring = resolve(program)
    assert links(wiring) == [(2, 0, 0, 1, 3, 0, 0, 0, 1), (2, 0, 3, 1, 2, 1, 0, 0, 1), (2, 0, 5, 1, 4, 0, 0, 5, 1)]
    assert spread(wiring.wasted) == Counter([(0, 0, 3), (0, 0, 4)])
    assert int(wiring.wasted.cycle[0]) == 5


def test_a_program_without_streams_has_no_wiring() -> None:
    wiring = resolve(Program(TINY, [op(0, "mxm0.sw", "swap")]))
    assert links(wiring) == []
    assert len(wiring.missing) + len(wiring.wasted) + len(wiring.collisions[0]) == 0

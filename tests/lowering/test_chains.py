"""Chains of VXM operations: operands meet whatever the expression, with no more moves than the delays need."""

from __future__ import annotations

import random
from itertools import product

import pytest

from compiler.lowering.chains import Chain
from compiler.scheduling.placed import Place, PlacedTrip, Places, place_trip
from compiler.scheduling.trip import Buffer, Compute, Trip, Write
from isa.chip import Chip, load_chip
from isa.program import Immediate
from isa.spec import BYTES, ElementType

ROWS = 4
ONE = Immediate(0x3F800000)


def operands_on(chip: Chip, kinds: list[ElementType]) -> tuple[dict[str, Buffer], Places]:
    """Buffers x0, x1, … and y, each byte column in a slice of its own, sides in turn."""
    kinds = [*kinds, "f32"]
    buffers = {
        name: Buffer(name, (ROWS, chip.lanes), kind, "temporary", "sram", chip.lanes)
        for name, kind in zip([*(f"x{i}" for i in range(len(kinds) - 1)), "y"], kinds, strict=True)
    }
    units = list(chip.slices("sram"))
    random.Random(len(kinds)).shuffle(units)
    places: Places = {}
    for name, buffer in buffers.items():
        side = units[0].side
        mine = [u for u in units if u.side == side][: buffer.bytes]
        units = [u for u in units if u not in mine]
        places[name] = {(0, 0, 0, byte): Place(unit.name, 0) for byte, unit in enumerate(mine)}
    return buffers, places


def random_chain(chip: Chip, seed: int) -> tuple[Trip, dict[str, Buffer], Places]:
    """A random expression over up to three operands, in which old values are used again and again."""
    rng = random.Random(seed)
    kinds: list[ElementType] = [rng.choice(["i8", "f16"]) for _ in range(rng.randint(1, 3))]
    buffers, places = operands_on(chip, kinds)
    trip = Trip(f"expression {seed}")
    chain = Chain(trip, chip, ROWS)
    values: list[int] = []

    def operand() -> int:
        if values and rng.random() < 0.6:
            return rng.choice(values)
        i = rng.randrange(len(kinds))
        return chain.read(f"x{i}", kinds[i], 0, 0, 1)

    unused: list[int] = []
    for _ in range(rng.randint(1, 8)):
        mnemonic = rng.choice(["fadd", "fmul", "fsel", "fmadd", "fexp", "frecip", "fabs"])
        count = {"fadd": 2, "fmul": 2, "fsel": 3, "fmadd": 3}.get(mnemonic, 1)
        immediate = count > 1 and rng.random() < 0.3
        arguments: list[int | Immediate] = [operand() for _ in range(count - immediate)]
        values.append(chain.operation(mnemonic, [*arguments, *[ONE] * immediate], rng.choice(["f16", "f32"])))
        unused = [*(v for v in unused if v not in arguments), values[-1]]
    final = unused.pop()
    for value in unused:
        final = chain.operation("fadd", [value, final], "f32")
    final = chain.operation("fmov", [final], "f32")
    trip.nodes.append(Write("y", 0, 0, 1, final, ROWS))
    return trip, buffers, places


def meetings(placed: PlacedTrip) -> None:
    """Every step reads each of its wires on the wire's own diagonal: the time rule, counted again from offsets alone."""
    diagonals: dict[int, set[int]] = {}
    for step in placed.steps:
        ends = [(s[0], step.offset + step.skew) for s in step.sources if not isinstance(s, Immediate)]
        ends += [(step.result[0], step.offset + step.latency)] if step.result else []
        for wire, cycle in ends:
            west = placed.wires[wire].direction == "w"
            diagonals.setdefault(wire, set()).add(cycle + step.position if west else cycle - step.position)
    assert all(len(found) == 1 for found in diagonals.values())


@pytest.mark.parametrize("name", ["tiny", "tsp", "lpu-rram"])
def test_random_expressions_meet(name: str) -> None:
    chip = load_chip(name)
    for seed in range(60):
        trip, buffers, places = random_chain(chip, seed)
        meetings(place_trip(trip, buffers, places, chip))


def moves(trip: Trip) -> list[tuple[str, int]]:
    """(mnemonic, delay) of every operation that only waits."""
    return [
        (n.mnemonic, n.fields.get("delay", 0)) for n in trip.nodes if isinstance(n, Compute) and n.mnemonic in ("fmov", "imov")
    ]


def test_operands_from_memory_need_no_moves() -> None:
    chip = load_chip("lpu-rram")
    trip = Trip("x0 + x1")
    chain = Chain(trip, chip, ROWS)
    a, b = chain.read("x0", "f16", 0, 0, 1), chain.read("x1", "f16", 0, 0, 1)
    chain.operation("fadd", [a, b], "f32")
    assert moves(trip) == []


def test_a_late_operand_makes_the_early_one_wait_in_one_move() -> None:
    """x · exp x: x waits as long as exp takes, once."""
    chip = load_chip("lpu-rram")
    alu, function = chip.timing["vxm.alu"].latency, chip.timing["vxm.function"].latency
    trip = Trip("x exp x")
    chain = Chain(trip, chip, ROWS)
    x = chain.read("x0", "f16", 0, 0, 1)
    y = chain.operation("fmul", [x, chain.operation("fexp", [x], "f32")], "f32")
    assert moves(trip) == [("fmov", function - alu)]
    chain.operation("fadd", [y, chain.operation("fabs", [y], "f32")], "f32")
    assert moves(trip)[1:] == [("fmov", 0)]


@pytest.mark.parametrize("name", ["tiny", "tsp", "lpu-rram"])
def test_any_wait_is_made_of_legal_moves(name: str) -> None:
    """x + f(f(…x)) for waits of every length: the moves add up to the wait, none too long, none shorter than a move."""
    chip = load_chip(name)
    alu, function = chip.timing["vxm.alu"].latency, chip.timing["vxm.function"].latency
    for slow, quick in product(range(6), range(12)):
        trip = Trip(f"{slow} {quick}")
        chain = Chain(trip, chip, ROWS)
        x = value = chain.read("x0", "f32", 0, 0, 1)
        for mnemonic in ["fexp"] * slow + ["fabs"] * quick:
            value = chain.operation(mnemonic, [value], "f32")
        chain.operation("fadd", [x, value], "f32")
        found = moves(trip)
        assert sum(delay + alu for _, delay in found) == slow * function + quick * alu
        assert all(0 <= delay <= chip.vxm.max_delay for _, delay in found)


def test_a_wait_longer_than_one_move_takes_several() -> None:
    chip = load_chip("lpu-rram")
    trip = Trip("x + exp … exp x")
    chain = Chain(trip, chip, ROWS)
    x = value = chain.read("x0", "f32", 0, 0, 1)
    rounds = 1 + (chip.vxm.max_delay + chip.timing["vxm.alu"].latency) // chip.timing["vxm.function"].latency
    for _ in range(rounds):
        value = chain.operation("fexp", [value], "f32")
    chain.operation("fadd", [x, value], "f32")
    found = moves(trip)
    assert len(found) == 2
    assert all(0 <= delay <= chip.vxm.max_delay for _, delay in found)
    waited = sum(delay + chip.timing["vxm.alu"].latency for _, delay in found)
    assert waited == rounds * chip.timing["vxm.function"].latency


def test_rows_are_read_once() -> None:
    trip = Trip("x + x")
    chain = Chain(trip, load_chip("tiny"), ROWS)
    assert chain.read("x0", "f16", 0, 0, 1) == chain.read("x0", "f16", 0, 0, 1)
    assert chain.read("x0", "f16", 0, 1, 1) != chain.read("x0", "f16", 0, 0, 1)
    assert len(trip.nodes) == 2
    assert [v.streams for v in trip.values] == [BYTES["f16"]] * 2

"""Placement: what is touched together lies apart, words are shared only by the dead, and a chip that is too small is named."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.scheduling.placed import Place, Places
from compiler.scheduling.placement import APART_OPERATIONS, place
from compiler.scheduling.trip import Buffer, Flow, Read, Role, Trip, Write, touched
from isa.chip import load_chip
from isa.errors import ModelFault

TINY = load_chip("tiny")
TIGHT = TINY.model_copy(update={"sram": TINY.sram.model_copy(update={"words": 10})})
"""Like `tiny`, with so little memory that buffers must follow each other in the same words."""


def group_places(places: Places, group: tuple[str, int, int]) -> list[Place]:
    """Places of a (buffer, segment, tile)."""
    name, segment, tile = group
    return [p for (s, _, t, _), p in places[name].items() if (s, t) == (segment, tile)]


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Buffers of several tiles, segments, stripes and types; trips that move rows between them."""
    flow = Flow()
    for i in range(draw(st.integers(2, 6))):
        rows = draw(st.integers(1, 8))
        segments = draw(st.sampled_from([(0,), (0, rows // 2)] if rows > 1 else [(0,)]))
        kind = draw(st.sampled_from(["i8", "f16"]))
        role = draw(st.sampled_from(["temporary", "temporary", "input", "output", "state"]))
        shape = (rows, draw(st.sampled_from([4, 16])))
        flow.buffers[f"b{i}"] = Buffer(f"b{i}", shape, kind, role, "sram", 8, draw(st.sampled_from([1, 1, 2])), segments)
    names = list(flow.buffers)
    for _ in range(draw(st.integers(1, 8))):
        a, b = draw(st.permutations(names))[:2]
        trip = Trip(f"{a} to {b}")
        value = trip.value("i8", 1)
        rows_of = {n: draw(st.integers(0, flow.buffers[n].rows - 1)) for n in (a, b)}
        trip.nodes = [Read(a, 0, rows_of[a], 1, 1, value, 0), Write(b, 0, rows_of[b], 1, value, 1, 1, 0)]
        flow.trips.append(trip)
    return flow


@settings(max_examples=60, deadline=None)
@given(flows())
def test_what_a_trip_touches_lies_in_different_slices(flow: Flow) -> None:
    places = place(flow, TINY)
    for trip in flow.trips:
        groups = dict.fromkeys(g for node in trip.nodes for g in touched(node, flow.buffers))
        units = [p.unit for g in groups for p in group_places(places, g)]
        assert len(units) == len(set(units))


@settings(max_examples=60, deadline=None)
@given(flows())
def test_every_column_has_its_words_on_one_side(flow: Flow) -> None:
    places = place(flow, TINY)
    for name, buffer in flow.buffers.items():
        for segment in range(len(buffer.segments)):
            for tile in range(buffer.tiles):
                found = group_places(places, (name, segment, tile))
                assert len(found) == buffer.stripes * buffer.bytes
                assert len({TINY.units[p.unit].side for p in found}) == 1
                assert all(0 <= p.base <= TINY.sram.words - buffer.words_per_place(segment) for p in found)


def lives(flow: Flow) -> dict[str, set[int]]:
    """Moments (before the first trip, each trip, after the last) at which a buffer's words matter."""
    found: dict[str, set[int]] = {}
    end = len(flow.trips)
    for name, buffer in flow.buffers.items():
        used = [i for i, t in enumerate(flow.trips) if any(g[0] == name for n in t.nodes for g in touched(n, flow.buffers))]
        used += [-1] if buffer.role in ("input", "state", "param", "constant") else []
        used += [end] if buffer.role in ("output", "state") else []
        found[name] = set(range(min(used), max(used) + 1)) if used else set()
    return found


def words_held(flow: Flow, places: Places) -> list[tuple[str, str, int]]:
    """(buffer, slice, word) of everything placed."""
    return [
        (name, p.unit, word)
        for name, where in places.items()
        for (segment, _, _, _), p in where.items()
        for word in range(p.base, p.base + flow.buffers[name].words_per_place(segment))
    ]


@settings(max_examples=60, deadline=None)
@given(flows())
def test_no_word_is_two_living_buffers(flow: Flow) -> None:
    check_words(flow, place(flow, TINY))


@settings(max_examples=150, deadline=None)
@given(flows())
def test_no_word_is_two_living_buffers_where_words_are_scarce(flow: Flow) -> None:
    try:
        places = place(flow, TIGHT)
    except ModelFault:
        return
    check_words(flow, places)


def check_words(flow: Flow, places: Places) -> int:
    """Shared words; fails where two buffers share one while both live."""
    owners: dict[tuple[str, int], list[str]] = {}
    for name, unit, word in words_held(flow, places):
        owners.setdefault((unit, word), []).append(name)
    alive = lives(flow)
    for (unit, word), names in owners.items():
        for a, b in combinations(names, 2):
            assert a != b, f"{unit} word {word} is {a} twice"
            assert not alive[a] & alive[b], f"{unit} word {word} is {a} and {b}"
    return sum(len(names) > 1 for names in owners.values())


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("role", ["temporary", "input", "output", "state", "param", "constant"])
def test_dead_words_are_used_again_when_fresh_ones_run_out(role: Role, which: int, random_flows: ModuleType) -> None:
    """A chain of copies through buffers that together are larger than all slices of the chip."""
    count = 2 * len(TINY.slices("sram"))
    names = [f"b{i}" for i in range(count)]
    flow = Flow({n: random_flows.buffer(n, TINY.sram.words * 2 // 3, TINY) for n in names})
    flow.buffers[names[which]].role = role
    flow.trips = [random_flows.copy_trip(a, b, 4) for a, b in pairwise(names)]
    assert check_words(flow, place(flow, TINY)) > 0


@pytest.mark.parametrize("inputs", [14, 15])
def test_words_of_an_input_wait_for_it(inputs: int, random_flows: ModuleType) -> None:
    """What only the first trip needs must not lie where an input already is, though no trip touches both."""
    names = ["first", "second", *(f"x{i}" for i in range(inputs))]
    flow = Flow({n: random_flows.buffer(n, 8, TIGHT) for n in names})
    flow.trips = [random_flows.copy_trip(name, "second", 1) for name in names if name != "second"]
    for name in names[2:]:
        flow.buffers[name].role = "input"
    if len(names) <= len(TIGHT.slices("sram")):
        assert check_words(flow, place(flow, TIGHT)) == 0
    else:
        with pytest.raises(ModelFault):
            place(flow, TIGHT)


def test_fresh_words_come_first(random_flows: ModuleType) -> None:
    names = [f"b{i}" for i in range(8)]
    flow = Flow({n: random_flows.buffer(n, 4, TINY) for n in names})
    flow.trips = [random_flows.copy_trip(a, b, 4) for a, b in pairwise(names)]
    assert check_words(flow, place(flow, TINY)) == 0


def products(count: int, weight_rows: int, image_rows: int, random_flows: ModuleType) -> Flow:
    """Products one after the other, each with constant weights of its own on the west side."""
    flow = Flow({"x0": random_flows.buffer("x0", image_rows, TINY)})
    for i in range(count):
        weights = random_flows.buffer(f"w{i}", weight_rows, TINY, stripes=4)
        weights.role, weights.sides = "constant", {(0, 0): "w"}
        flow.buffers |= {f"w{i}": weights, f"x{i + 1}": random_flows.buffer(f"x{i + 1}", image_rows, TINY, "i32")}
        for trip in random_flows.product_trips(weights, "x0", f"x{i + 1}", image_rows, 4, 0):
            trip.origin = f"product {i}"
            flow.trips.append(trip)
    return flow


def test_weights_leave_equal_room_in_the_slices_that_they_need(random_flows: ModuleType) -> None:
    """Seven blocks, of which five would fill the words of four slices."""
    rows = 4 * (TINY.sram.words // 5)
    flow = products(7, rows, 4, random_flows)
    places = place(flow, TINY)
    held = Counter(unit for name, unit, _ in words_held(flow, places) if name.startswith("w"))
    assert len(held) == 8
    assert max(held.values()) == 4 * (rows // 4)


def test_images_keep_off_slices_that_their_operation_loads_from(random_flows: ModuleType) -> None:
    """The sums of the first product may lie beside weights of the second, but not beside its own."""
    flow = products(2, 4 * (TINY.sram.words // 2 + 1), 4, random_flows)
    places = place(flow, TINY)
    for i in range(2):
        weights = {p.unit for p in group_places(places, (f"w{i}", 0, 0))}
        assert weights.isdisjoint(p.unit for p in group_places(places, (f"x{i + 1}", 0, 0)))


def test_words_that_died_long_ago_count_as_fresh(random_flows: ModuleType) -> None:
    """Buffers of a chain take words of those before the last few, and all slices go on being used."""
    count = 4 * len(TINY.slices("sram"))
    flow = Flow({f"b{i}": random_flows.buffer(f"b{i}", TINY.sram.words // 2, TINY) for i in range(count)})
    flow.trips = [random_flows.copy_trip(a, b, 4) for a, b in pairwise(flow.buffers)]
    places = place(flow, TINY)
    check_words(flow, places)
    owners: dict[tuple[str, int], list[int]] = {}
    for name, unit, word in words_held(flow, places):
        owners.setdefault((unit, word), []).append(int(name[1:]))
    apart = [b - a for numbers in owners.values() for a, b in pairwise(sorted(numbers))]
    assert apart
    assert min(apart) > APART_OPERATIONS


def test_what_does_not_fit_is_named_with_what_there_is(random_flows: ModuleType) -> None:
    rows = TINY.sram.words + 1
    flow = Flow({"wide": random_flows.buffer("wide", rows, TINY, "f32")})
    with pytest.raises(ModelFault) as caught:
        place(flow, TINY)
    text = caught.value.render()
    assert "'wide' does not fit" in text
    assert f"4 SRAM slices of one side with {rows} words free in each" in text
    assert f"'wide' takes {4 * rows * TINY.lanes:,} bytes in all" in text
    assert f"chip tiny has {len(TINY.slices('sram')) * TINY.sram.words * TINY.lanes:,} bytes of SRAM" in text
    assert "help: " in text


def test_too_many_columns_at_once_are_refused(random_flows: ModuleType) -> None:
    """Seventeen byte columns in one trip, of sixteen slices."""
    flow = Flow({f"b{i}": random_flows.buffer(f"b{i}", 1, TINY) for i in range(17)})
    trip = Trip("all at once")
    for name in flow.buffers:
        trip.nodes.append(Read(name, 0, 0, 1, 1, trip.value("i8", 1), 0))
    flow.trips = [trip]
    with pytest.raises(ModelFault, match="16 slices are out because the same operation reads or writes them at the same time"):
        place(flow, TINY)


def test_operands_and_results_share_the_directions(random_flows: ModuleType) -> None:
    """A chain of f32 additions: three times four byte streams at the VXM, where `tiny` has eight in each direction."""
    names = [f"b{i}" for i in range(6)]
    flow = Flow({n: random_flows.buffer(n, 4, TINY, "f32") for n in names})
    for a, b, c in zip(names, names[1:], names[2:], strict=False):
        flow.trips.append(random_flows.vector_trip("fadd", [(a, "f32"), (b, "f32")], c, "f32", 4))
    places = place(flow, TINY)
    sides = [TINY.units[places[n][0, 0, 0, 0].unit].side for n in names]
    for a, b, c in zip(sides, sides[1:], sides[2:], strict=False):
        eastward = 4 * ((a == "w") + (b == "w") + (c == "e"))
        assert 12 - TINY.streams <= eastward <= TINY.streams

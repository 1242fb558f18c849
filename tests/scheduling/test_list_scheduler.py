"""The list scheduler against an independent judge, against the best of all schedules, and against starts counted by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from types import ModuleType

import pytest

from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import NoPlaceError, Scheduled, schedule
from compiler.scheduling.placed import PlacedTrip
from compiler.scheduling.trip import Flow, Read
from isa.chip import Chip, load_chip

TINY = load_chip("tiny")
RATIO_CEILING = 1.25
"""List schedules of a handful of trips are at most this far from the best; larger programs are judged by their bounds."""


def scheduled(trips: list[PlacedTrip], chip: Chip = TINY) -> list[Scheduled]:
    return schedule(trips, dependence_graph(trips, chip), chip)


def makespan(trips: list[PlacedTrip], starts: list[Scheduled]) -> int:
    return max(s.start + t.duration for t, s in zip(trips, starts, strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_random_flows_are_scheduled_legally(seed: int, schedule_oracle: ModuleType, random_flows: ModuleType) -> None:
    flow = random_flows.random_flow(TINY, seed, 16)
    trips = random_flows.placed(flow, TINY)
    assert schedule_oracle.violations(trips, scheduled(trips), TINY) == []


def test_the_same_trips_give_the_same_schedule(random_flows: ModuleType) -> None:
    trips = random_flows.placed(random_flows.random_flow(TINY, 3, 12), TINY)
    assert scheduled(trips) == scheduled(trips)


def test_the_judge_sees_an_operation_moved(schedule_oracle: ModuleType, random_flows: ModuleType) -> None:
    """Where a trip starts as early as its place allows, one cycle less breaks a rule."""
    refused = tried = 0
    for seed in range(12):
        trips = random_flows.placed(random_flows.random_flow(TINY, seed, 8), TINY)
        good = scheduled(trips)
        for i, one in enumerate(good):
            tried += one.start > 0
            earlier = [replace(s, start=s.start - (j == i)) for j, s in enumerate(good)]
            refused += bool(schedule_oracle.violations(trips, earlier, TINY)) and one.start > 0
    # The scheduler fills holes: nearly every trip stands against something that it waits for.
    assert tried > 30
    assert refused >= 0.9 * tried


@pytest.mark.parametrize("seed", range(16))
def test_near_the_best_of_all_schedules(seed: int, schedule_oracle: ModuleType, random_flows: ModuleType) -> None:
    trips = random_flows.placed(random_flows.random_flow(TINY, 100 + seed, 4), TINY)[:6]
    found = makespan(trips, scheduled(trips))
    best = best_makespan(trips, schedule_oracle, found)
    assert best <= found <= RATIO_CEILING * best


@pytest.mark.parametrize("seed", range(12))
def test_near_the_best_where_ports_are_scarce(seed: int, schedule_oracle: ModuleType, random_flows: ModuleType) -> None:
    """Copies of different lengths between three slices: it is their order that counts."""
    rng = random.Random(seed)
    flow = Flow()
    where: dict[str, str] = {}
    for i in range(5):
        source, target = rng.sample(["sram.w0", "sram.w1", "sram.e0"], 2)
        for name, unit in ((f"a{i}", source), (f"b{i}", target)):
            flow.buffers[name] = random_flows.buffer(name, 5, TINY)
            where[name] = f"{unit}+{10 * i + 5 * (name[0] == 'b')}"
        flow.trips.append(random_flows.copy_trip(f"a{i}", f"b{i}", rng.randint(1, 5)))
    trips = random_flows.placed(flow, TINY, random_flows.at(**where))
    found = scheduled(trips)
    assert schedule_oracle.violations(trips, found, TINY) == []
    best = best_makespan(trips, schedule_oracle, makespan(trips, found))
    assert best <= makespan(trips, found) <= RATIO_CEILING * best


def best_makespan(trips: list[PlacedTrip], oracle: ModuleType, limit: int) -> int:
    """The shortest schedule by search over all starts; streams and VXM slots are left out, so it is a true bound."""
    allowed = {
        (i, j): _allowed_differences(trips[i], trips[j], oracle, limit)
        for i in range(len(trips))
        for j in range(i + 1, len(trips))
    }
    best = limit
    while best > max(t.duration for t in trips):
        domains = [(1 << (best - 1 - t.duration + 1)) - 1 for t in trips]
        if not _can_start(domains, allowed, {}, limit):
            return best
        best -= 1
    return best


def _allowed_differences(a: PlacedTrip, b: PlacedTrip, oracle: ModuleType, limit: int) -> int:
    """Bit `limit` + start of b - start of a is set where the two may stand so."""
    bits = 0
    for difference in range(-limit, limit + 1):
        starts = [Scheduled(limit), Scheduled(limit + difference)]
        if not oracle.violations([a, b], starts, TINY, streams=False):
            bits |= 1 << (limit + difference)
    return bits


def _can_start(domains: list[int], allowed: dict[tuple[int, int], int], fixed: dict[int, int], limit: int) -> bool:
    """Whether every trip has a start in its domain (a set of bits) so that all pairs are allowed."""
    open_trips = [i for i in range(len(domains)) if i not in fixed]
    if not open_trips:
        return True
    i = min(open_trips, key=lambda t: domains[t].bit_count())
    for start in (s for s in range(domains[i].bit_length()) if domains[i] >> s & 1):
        narrowed = list(domains)
        for j in open_trips:
            if i < j:
                differences = allowed[i, j] >> (limit - start) if start <= limit else allowed[i, j] << (start - limit)
                narrowed[j] &= differences
            elif j < i:
                # start of i minus start of j is allowed: mirror the bits.
                narrowed[j] &= sum(1 << s for s in range(start + limit + 1) if allowed[j, i] >> (limit + start - s) & 1)
        if all(narrowed[j] for j in open_trips if j != i) and _can_start(narrowed, allowed, {**fixed, i: start}, limit):
            return True
    return False


# Starts counted by hand. On `tiny` a read takes 2 cycles, a write 1, sram.w0 … w7 stand at 11 … 4 and sram.e0 … at 13 …. A copy
# of n rows from w0 to e0 (2 hops) writes from cycle 2 + 2 = 4 on, and takes n + 4 cycles in all.


def starts_of(flow: Flow, random_flows: ModuleType, **where: str) -> list[int]:
    trips = random_flows.placed(flow, TINY, random_flows.at(**where))
    return [s.start for s in scheduled(trips)]


def copies(random_flows: ModuleType, *pairs: tuple[str, str], rows: int = 4) -> Flow:
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return Flow({n: random_flows.buffer(n, 8, TINY) for n in names}, [random_flows.copy_trip(a, b, rows) for a, b in pairs])


def test_a_copy_takes_what_the_time_rule_says(random_flows: ModuleType) -> None:
    flow = copies(random_flows, ("a", "b"))
    (trip,) = random_flows.placed(flow, TINY, random_flows.at(a="sram.w0", b="sram.e0"))
    assert [(s.mnemonic, s.offset) for s in trip.steps] == [("read", 0), ("write", 4)]
    assert trip.duration == 8


def test_copies_apart_start_together(random_flows: ModuleType) -> None:
    flow = copies(random_flows, ("a", "b"), ("c", "d"))
    assert starts_of(flow, random_flows, a="sram.w0", b="sram.e0", c="sram.w1", d="sram.e1") == [0, 0]


def test_one_read_port_is_used_in_turn(random_flows: ModuleType) -> None:
    """Both read w0. The second write port is further by one hop, which costs the first copy nothing."""
    flow = copies(random_flows, ("a", "b"), ("c", "d"))
    assert sorted(starts_of(flow, random_flows, a="sram.w0", b="sram.e0", c="sram.w0+8", d="sram.e1")) == [0, 4]


def test_a_consumer_chases_its_producer(random_flows: ModuleType) -> None:
    """b's first word is written at 4 and readable at 5: the second copy follows one word behind."""
    flow = copies(random_flows, ("a", "b"), ("b", "c"))
    assert starts_of(flow, random_flows, a="sram.w0", b="sram.e0", c="sram.w1") == [0, 5]


def test_a_word_is_not_replaced_before_it_is_read(random_flows: ModuleType) -> None:
    """The second copy's first write (cycle start + 4) comes after the first copy's first read (0): no wait at all."""
    flow = copies(random_flows, ("a", "b"), ("c", "a"))
    assert starts_of(flow, random_flows, a="sram.w0", b="sram.e0", c="sram.e1") == [0, 0]


def test_read_and_write_of_one_half_take_turns(random_flows: ModuleType) -> None:
    """a is read from w0 at 0 … 3 and d is written to w0 from start + 5 on (3 hops): never in one cycle, so no wait."""
    flow = copies(random_flows, ("a", "b"), ("c", "d"))
    assert starts_of(flow, random_flows, a="sram.w0", b="sram.e0", c="sram.e1", d="sram.w0+8") == [0, 0]
    longer = copies(random_flows, ("a", "b"), ("c", "d"), rows=8)
    # Eight rows: read at 0 … 7, written from 5 on at addresses of the other parity (word 5 is read when word 8 is written).
    assert starts_of(longer, random_flows, a="sram.w0", b="sram.e0", c="sram.e1", d="sram.w0+8") == [0, 0]
    # One address further both are in one half at 5, 6 and 7. The copy with the longer way goes first, the other one later.
    assert starts_of(longer, random_flows, a="sram.w0", b="sram.e0", c="sram.e1", d="sram.w0+9") == [1, 0]


def test_a_bank_is_busy_for_two_cycles(random_flows: ModuleType) -> None:
    """RRAM words 0, 2, 4 are one bank's, to be read two cycles apart; word 1 is another bank's and fits between."""
    flow = copies(random_flows, ("a", "b"), ("a", "c"), ("a", "d"), rows=1)
    for trip, row in zip(flow.trips, (0, 2, 1), strict=True):
        read = trip.nodes[0]
        assert isinstance(read, Read)
        read.row = row
    found = starts_of(flow, random_flows, a="rram.w0", b="sram.w1", c="sram.w2", d="sram.w3")
    assert sorted(found) == [0, 1, 2]
    assert abs(found[0] - found[1]) == 2


@pytest.mark.parametrize(
    ("pairs", "where"),
    [
        ("a-b c-d", {"a": "sram.w0", "b": "sram.e0", "c": "sram.w1", "d": "sram.e1"}),
        ("a-b c-d", {"a": "sram.w0", "b": "sram.e0", "c": "sram.w0+8", "d": "sram.e1"}),
        ("a-b b-c c-d", {"a": "sram.w0", "b": "sram.e0", "c": "sram.w1", "d": "sram.e1"}),
        ("a-b c-b", {"a": "sram.w0", "b": "sram.e0", "c": "sram.w1"}),
        ("a-b b-c d-a", {"a": "sram.w0", "b": "sram.e0", "c": "sram.w1", "d": "rram.w1"}),
    ],
)
def test_hand_cases_are_the_best_there_is(
    pairs: str, where: dict[str, str], schedule_oracle: ModuleType, random_flows: ModuleType
) -> None:
    flow = copies(random_flows, *((p[0], p[2]) for p in pairs.split()))
    trips = random_flows.placed(flow, TINY, random_flows.at(**where))
    found = scheduled(trips)
    assert schedule_oracle.violations(trips, found, TINY) == []
    assert makespan(trips, found) == best_makespan(trips, schedule_oracle, makespan(trips, found))


def test_a_trip_that_meets_itself_has_no_place(random_flows: ModuleType) -> None:
    """Twelve byte streams eastward at the VXM, of eight, in neighbouring cycles: no start helps, and the search ends."""
    buffers = {name: random_flows.buffer(name, 4, TINY, "f32") for name in ("a", "b", "c")}
    trip = random_flows.vector_trip("fadd", [("a", "f32"), ("b", "f32")], "c", "f32", 4)
    units = {"a": "sram.w0 sram.w1 sram.w2 sram.w3", "b": "sram.w4 sram.w5 sram.w6 sram.w7"}
    east, west = "sram.e0 sram.e1 sram.e2 sram.e3", "sram.w0+8 sram.w1+8 sram.w2+8 sram.w3+8"
    for target, fits in ((east, False), (west, True)):
        places = {
            name: {(0, 0, 0, byte): random_flows.at(x=unit)["x"][0, 0, 0, 0] for byte, unit in enumerate(text.split())}
            for name, text in {**units, "c": target}.items()
        }
        trips = random_flows.placed(Flow(buffers, [trip]), TINY, places)
        if fits:
            assert scheduled(trips)[0].start == 0
        else:
            with pytest.raises(NoPlaceError, match="fadd to c"):
                scheduled(trips)

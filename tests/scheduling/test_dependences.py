"""Distances between trips that touch the same words or planes, against brute force over every word."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import waiters
from compiler.scheduling.placed import PlacedTrip, Step
from isa.chip import load_chip

TINY = load_chip("tiny")
LATENCY = {"read": 2, "gather": 3, "write": 1, "load": 1, "swap": 1, "feed": 4}


def memory_step(mnemonic: str, offset: int, address: int, step: int, rep: int, every: int) -> Step:
    if mnemonic == "gather":
        fields = {"base": address, "limit": abs(step) + 1}
    else:
        fields = {"addr": address} | ({"step": step} if step else {})
    port = "wr" if mnemonic == "write" else "rd"
    latency = LATENCY[mnemonic]
    return Step(mnemonic, (f"sram.w0.{port}",), (), None, fields, rep, every, latency, 11, 0, offset)


def touches(step: Step) -> list[tuple[int, int]]:
    """(cycle, word) of everything the step may touch."""
    f = step.fields
    cycles = [step.offset + i * step.every for i in range(step.rep)]
    if step.mnemonic == "gather":
        return [(c, f["base"] + w) for c in cycles for w in range(f["limit"])]
    return [(c, f["addr"] + i * f.get("step", 0)) for i, c in enumerate(cycles)]


def brute_distance(a: Step, b: Step) -> int | None:
    """Least start of b after a's, if any word is common and one of the two writes."""
    if "write" not in (a.mnemonic, b.mnemonic):
        return None
    gap = a.latency if b.mnemonic in ("read", "gather") else 1
    return max((ca + gap - cb for ca, wa in touches(a) for cb, wb in touches(b) if wa == wb), default=None)


def edges(*trips: list[Step], origins: str = "") -> dict[tuple[int, int], int]:
    """`origins` has a letter for each trip; by default each is of an origin of its own."""
    names = origins or [f"trip {i}" for i in range(len(trips))]
    graph = dependence_graph([PlacedTrip(name, steps) for name, steps in zip(names, trips, strict=True)], TINY)
    return {(a, b): distance for a in graph.nodes for b, distance in waiters(graph, a)}


accesses = st.builds(
    memory_step,
    st.sampled_from(["read", "write", "gather"]),
    st.integers(0, 9),
    st.integers(20, 30),
    st.sampled_from([1, 1, 1, 0, -1, -2, 2, 3]),
    st.integers(1, 6),
    st.integers(1, 3),
)


@settings(max_examples=400, deadline=None)
@given(accesses, accesses)
def test_distances_are_exact(a: Step, b: Step) -> None:
    """Steps 0, 1, negative and strided; reads, writes and gathers; every way of following each other."""
    expected = brute_distance(a, b)
    assert edges([a], [b]) == ({} if expected is None else {(0, 1): expected})


@given(st.lists(accesses, min_size=2, max_size=6))
def test_chains_of_accesses_wait_long_enough(steps: list[Step]) -> None:
    """Edges may be left out only where other edges imply them: longest paths reach every brute-force distance."""
    found = edges(*([s] for s in steps))
    longest: dict[tuple[int, int], int] = {}
    for b in range(len(steps)):
        for a in reversed(range(b)):
            ways = [found[a, b]] if (a, b) in found else []
            ways += [longest[a, m] + longest[m, b] for m in range(a + 1, b) if (a, m) in longest and (m, b) in longest]
            if ways:
                longest[a, b] = max(ways)
            expected = brute_distance(steps[a], steps[b])
            assert expected is None or longest[a, b] >= expected


def test_slices_do_not_wait_for_each_other() -> None:
    near, far = memory_step("write", 0, 0, 1, 4, 1), memory_step("read", 0, 0, 1, 4, 1)
    far.slots = ("sram.w1.rd",)
    assert edges([near], [far]) == {}


def test_two_accesses_of_a_pair_count_the_longer_wait() -> None:
    writes = [memory_step("write", 3, 0, 1, 4, 1), memory_step("write", 9, 8, 1, 1, 1)]
    reads = [memory_step("read", 0, 8, 1, 1, 1), memory_step("read", 0, 0, 1, 4, 1)]
    # Word 8 is written at 9 and readable at 10; words 0 … 3 at 4 ….
    assert edges(writes, reads) == {(0, 1): 10}


def plane_step(mnemonic: str, offset: int, rep: int = 1, plane: int = 0, hold: tuple[str, ...] = (), entry: int = 0) -> Step:
    port = {"load": "ld", "swap": "sw", "feed": "fd"}[mnemonic]
    slots = (f"mxm{plane}.{port}",)
    return Step(mnemonic, slots, (), None, {"acc": entry} if entry else {}, rep, 1, LATENCY[mnemonic], 0, 0, offset, 0, hold)


def test_planes_load_swap_and_feed_in_order() -> None:
    load, swap, feed = plane_step("load", 5, 4), plane_step("swap", 0), plane_step("feed", 7, 3)
    found = edges([load], [swap], [feed], [load], [swap], [feed])
    assert found == {
        (0, 1): 9,  # the last dispatch at 8 is complete at 9
        (1, 2): 1 - 7,  # a feed at swap + latency, itself at offset 7
        (1, 3): 1 - 5,  # a load from swap + latency on, itself at offset 5
        (1, 4): 1,
        (2, 4): 9 + 1 - 1,  # the last feed at 9 comes before swap + latency
        (3, 4): 9,
        (4, 5): 1 - 7,
    }


def test_feeds_of_a_plane_keep_their_order() -> None:
    first, second = plane_step("feed", 2, 5), plane_step("feed", 0, 2)
    assert edges([first], [second]) == {(0, 1): 7}
    other = plane_step("feed", 0, 2, plane=1)
    assert edges([first], [other]) == {}


def test_feeds_of_two_products_wait_only_for_entries_that_they_share() -> None:
    """Weights are alike for both, or there would be a swap between them; the next swap waits for all."""
    first, apart, across, swap = (
        plane_step("feed", 0, 4),
        plane_step("feed", 0, 4, entry=4),
        plane_step("feed", 0, 4, entry=2),
        plane_step("swap", 0),
    )
    assert edges([first], [apart], origins="ab") == {}
    assert edges([first], [apart], origins="aa") == {(0, 1): 4}, "feeds of one product keep their order"
    assert edges([first], [across], origins="ab") == {(0, 1): 4}
    assert edges([first], [apart], [first], origins="abb") == {(0, 2): 4, (1, 2): 4}
    assert edges([first], [apart], [swap], origins="abc") == {(0, 2): 3, (1, 2): 3}
    assert edges([first], [across], [swap], origins="abc") == {(0, 1): 4, (0, 2): 3, (1, 2): 3}, (
        "entries 0 and 1 are of the first"
    )


def test_a_pair_of_planes_is_ordered_as_both() -> None:
    pair = plane_step("feed", 0, 4, hold=("mxm1.fd",))
    assert edges([pair], [plane_step("feed", 0, 1, plane=1)]) == {(0, 1): 4}

"""Lower bounds: never above what was reached, exact where one resource is all there is, and said in words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from compiler.backend.bounds import lower_bound
from compiler.backend.emit import Schedule
from compiler.scheduling.dependences import dependence_graph
from compiler.scheduling.list_scheduler import schedule
from compiler.scheduling.placed import Places
from compiler.scheduling.placement import place
from compiler.scheduling.trip import Flow, Read
from compiler.session import compile_file
from isa.chip import Chip, load_chip

ROOT = Path(__file__).resolve().parents[2]
TINY = load_chip("tiny")


@pytest.fixture(scope="module")
def flows() -> ModuleType:
    """`random_flow`, `copy_trip` and others, which tests of the scheduler use too."""
    path = ROOT / "tests" / "scheduling" / "random_flows.py"
    spec = importlib.util.spec_from_file_location("flows_for_bounds", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def bound_and_cycles(flow: Flow, flows: ModuleType, chip: Chip = TINY, places: Places | None = None) -> tuple[int, str, int]:
    """The bound, what sets it, and the cycles that the scheduler reaches."""
    where = place(flow, chip) if places is None else places
    trips = flows.placed(flow, chip, where)
    starts = schedule(trips, dependence_graph(trips, chip), chip)
    bound, by = lower_bound(Schedule(flow, where, trips, starts), chip)
    return bound, by, max(s.start + t.duration for s, t in zip(starts, trips, strict=True))


@pytest.mark.parametrize("sample", ["counter/counter", "norm/norm", "digits/digits", "transformer/block"])
def test_no_sample_is_better_than_its_bound(sample: str) -> None:
    facts = compile_file(ROOT / "samples" / f"{sample}.lks", load_chip("lpu-rram")).program.facts
    assert 0 < facts["bound_cycles"] <= facts["predicted_cycles"] <= 1.5 * facts["bound_cycles"]


@pytest.mark.parametrize("seed", range(40))
def test_no_random_flow_is_better_than_its_bound(seed: int, flows: ModuleType) -> None:
    bound, _, cycles = bound_and_cycles(flows.random_flow(TINY, seed, 3 + seed % 12), flows)
    assert 0 < bound <= cycles <= 2 * bound


def test_nothing_takes_no_time() -> None:
    assert lower_bound(Schedule(Flow(), {}, [], []), TINY) == (0, "nothing to do")


def copies(flows: ModuleType, *pairs: tuple[str, str], rows: int = 4) -> Flow:
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return Flow({n: flows.buffer(n, 8, TINY) for n in names}, [flows.copy_trip(a, b, rows) for a, b in pairs])


def test_a_chain_is_its_own_bound(flows: ModuleType) -> None:
    flow = copies(flows, ("a", "b"), ("b", "c"), ("c", "d"))
    bound, by, cycles = bound_and_cycles(flow, flows)
    assert (bound, by) == (cycles, "longest chain of steps")


def test_one_read_port_is_the_bound_of_many_copies(flows: ModuleType) -> None:
    """Three copies of four rows from w0: 12 cycles of reading; the last word then travels 2 + 2 hops and is written in 1,
    one of which its own dispatch has counted."""
    flow = copies(flows, ("a", "x"), ("b", "y"), ("c", "z"))
    where = flows.at(a="sram.w0", b="sram.w0+8", c="sram.w0+16", x="sram.e0", y="sram.e1", z="sram.e2")
    bound, by, cycles = bound_and_cycles(flow, flows, places=where)
    assert (bound, by) == (3 * 4 + 4, "SRAM slice w0 read port")
    assert bound <= cycles <= bound + 2


def test_one_bank_is_the_bound_of_reads_that_only_it_serves(flows: ModuleType) -> None:
    """Six reads of bank 0 are two cycles apart: the port would be free for twice as many."""
    flow = copies(flows, *[("a", f"x{i}") for i in range(6)], rows=1)
    for i, trip in enumerate(flow.trips):
        read = trip.nodes[0]
        assert isinstance(read, Read)
        read.row = 2 * (i % 3)
    where = flows.at(a="rram.w0", **{f"x{i}": f"sram.w{i}" for i in range(6)})
    bound, by, cycles = bound_and_cycles(flow, flows, places=where)
    assert by == "RRAM slice w0 bank 0"
    assert bound >= 5 * 2 + 1 + 3
    assert bound <= cycles <= bound + 8


def product_flow(flows: ModuleType, planes: tuple[int, ...], rows: int) -> Flow:
    """The same weights loaded into each plane, `rows` rows through each of them, again and again."""
    flow = Flow()
    flow.buffers["w"] = flows.buffer("w", 8, TINY, memory="rram", stripes=2)
    flow.buffers["w"].sides[0, 0] = "w"
    for i, plane in enumerate(planes):
        for name, kind in ((f"a{i}", "i8"), (f"s{i}", "i32")):
            flow.buffers[name] = flows.buffer(name, rows, TINY, kind)
        flow.buffers[f"s{i}"].sides[0, 0] = "we"[i % 2]
        load, swap, feed = flows.product_trips(flow.buffers["w"], f"a{i}", f"s{i}", rows, 2, plane)
        flow.trips += [load, swap, *[feed] * 4]
    return flow


def test_planes_that_are_all_busy_are_named_together(flows: ModuleType) -> None:
    bound, by, cycles = bound_and_cycles(product_flow(flows, (0, 1), 16), flows)
    assert by == "matrix planes"
    assert 4 * 16 < bound <= cycles


def test_one_busy_plane_is_named_alone(flows: ModuleType) -> None:
    bound, by, cycles = bound_and_cycles(product_flow(flows, (1,), 16), flows)
    assert by == "feeds of matrix plane 1"
    assert 4 * 16 < bound <= cycles

"""Weights over the banks of RRAM: schemes, rhythm of loads, start banks. Every combination gives a legal program."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.pipeline import DEFAULT_PIPELINE
from compiler.scheduling.bank_colouring import BankColouring, wait_cycles
from compiler.scheduling.bank_rhythm import in_rhythm
from compiler.scheduling.placed import Places
from compiler.scheduling.placement import SCHEMES, place
from compiler.scheduling.reservation import Reservations
from compiler.scheduling.trip import Buffer, Flow, Group, Load, ReadBlock, Trip
from compiler.session import Compiled, compile_file, run_and_compare
from isa.chip import Chip, Rram, load_chip

TINY = load_chip("tiny")


def with_banks(banks: int, busy: int) -> Chip:
    return TINY.model_copy(update={"rram": Rram(banks=banks, bank_words=96, busy_cycles=busy)})


def weights_flow(blocks: int, rows: int, loads: list[int]) -> Flow:
    """A buffer of so many blocks of rows, of which these are loaded in this order. Two slices give a row a cycle each."""
    flow = Flow()
    segments = tuple(range(0, blocks * rows, rows))
    sides = {(segment, 0): "w" for segment in range(blocks)}
    flow.buffers["w"] = Buffer("w", (blocks * rows, 8), "i8", "param", "rram", 8, 2, segments, "9f", dict(sides))  # type: ignore[arg-type]
    for block in loads:
        trip = Trip(f"load {block}")
        value = trip.value("i8", -(-rows // 2), streams=2)
        trip.nodes = [ReadBlock("w", 0, block * rows, rows, 2, value), Load((0,), value, "i8", rows)]
        flow.trips.append(trip)
    return flow


def words_of(places: Places, flow: Flow, group: tuple[int, int]) -> list[int]:
    """Addresses of a (block, stripe) of the weights."""
    start, buffer = places["w"][group[0], group[1], 0, 0], flow.buffers["w"]
    return [start.base + i * start.step for i in range(buffer.words_per_place(group[0]))]


def test_naive_blocks_stay_in_one_bank_each() -> None:
    flow = weights_flow(6, 8, list(range(6)))
    places = place(flow, with_banks(4, 4), "naive")
    for block in range(6):
        assert {word % 4 for word in words_of(places, flow, (block, 0))} == {block % 4}


def test_interleaved_words_are_neighbours_in_the_order_of_declaration() -> None:
    flow = weights_flow(5, 6, [4, 2, 0, 1, 3])
    places = place(flow, with_banks(4, 4), "interleaved")
    assert [word for block in range(5) for word in words_of(places, flow, (block, 0))] == list(range(15))


def test_scheduled_words_are_neighbours_in_the_order_of_the_loads() -> None:
    flow = weights_flow(5, 6, [4, 2, 0, 1, 3])
    places = place(flow, with_banks(4, 4), "scheduled")
    assert [word for block in (4, 2, 0, 1, 3) for word in words_of(places, flow, (block, 0))] == list(range(15))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_word_has_two_owners(scheme: str) -> None:
    flow = weights_flow(9, 7, [0, 1, 2, 0, 3, 4, 5, 3, 6, 7, 8])
    places = place(flow, with_banks(6, 9), scheme)
    for stripe in (0, 1):
        words = [word for block in range(9) for word in words_of(places, flow, (block, stripe))]
        assert len(words) == len(set(words))


@given(
    banks=st.integers(1, 9),
    busy=st.integers(1, 14),
    scheme=st.sampled_from(list(SCHEMES)),
    rows=st.integers(1, 40),
    loads=st.lists(st.integers(0, 3), min_size=1, max_size=5),
)
def test_every_read_finds_its_bank_free_and_no_row_is_lost(
    banks: int, busy: int, scheme: str, rows: int, loads: list[int]
) -> None:
    chip = with_banks(banks, busy)
    flow = weights_flow(4, rows, loads)
    places = place(flow, chip, scheme)
    tables = Reservations(chip, 64)
    for trip, pieces in zip(flow.trips, in_rhythm(flow, places, chip), strict=True):
        block, covered, loaded = trip.nodes[0], [], []
        assert isinstance(block, ReadBlock)
        for piece in pieces:
            read, load = piece.nodes
            assert isinstance(read, ReadBlock)
            assert isinstance(load, Load)
            covered += range(read.row, read.row + read.count)
            loaded += range(load.row, load.row + load.count)
            value = piece.values[0]
            assert value.count == -(-read.count // read.rows_per_cycle)
            first = read.row - flow.buffers["w"].segments[flow.buffers["w"].segment_of(read.row)]
            start = places["w"][flow.buffers["w"].segment_of(read.row), 0, 0, 0]
            address = start.base + first // 2 * start.step
            assert tables.bank_windows(address, start.step, value.count, value.every) is not None
        assert covered == list(range(block.row, block.row + block.count))
        assert loaded == list(range(rows))


@given(
    banks=st.integers(1, 8), busy=st.integers(1, 8), first=st.integers(0, 7), second=st.integers(0, 7),
    words=st.integers(1, 20), after=st.integers(1, 20),
)  # fmt: skip
def test_waits_are_those_of_the_reservation_tables(
    banks: int, busy: int, first: int, second: int, words: int, after: int
) -> None:
    """Where banks can give a word a cycle, the formula is exact."""
    busy = min(busy, banks)
    chip = with_banks(banks, busy)
    tables = Reservations(chip, 256)
    tables.take_bank("rram.w0", tables.bank_windows(first, 1, words, 1) or [], 0)
    start = words
    while later := tables.conflict_bank("rram.w0", tables.bank_windows(second, 1, after, 1) or [], start):
        start += later
    assert wait_cycles(banks, busy, first % banks, words, second % banks, after) == start - words


def test_start_banks_let_repeated_loads_go_on() -> None:
    """Three blocks of 7 words over 10 banks, loaded again and again: one after the other they would wait at every return."""
    rram = Rram(banks=10, bank_words=64, busy_cycles=6)
    graph: nx.DiGraph[Group] = nx.DiGraph()
    blocks: list[Group] = [("w", i, 0) for i in range(3)]
    order = blocks * 4
    for block in blocks:
        graph.add_node(block, words=7)
    for a, b in pairwise(order):
        graph.add_edge(a, b, times=graph.edges[a, b]["times"] + 1 if graph.has_edge(a, b) else 1)

    def waits(starts: dict[Group, int]) -> int:
        return sum(wait_cycles(10, 6, starts[a], 7, starts[b], 7) for a, b in pairwise(order))

    colouring, free, starts = BankColouring(graph, rram), 0, dict[Group, int]()
    for block in blocks:
        starts[block] = colouring.choose(block, free)
        free += (starts[block] - free) % 10 + 7
    packed = {block: 7 * i % 10 for i, block in enumerate(blocks)}
    best = min(waits(dict(zip(blocks, (0, a, b), strict=True))) for a in range(10) for b in range(10))
    assert (best, waits(packed)) == (0, 15)
    assert waits(starts) <= 3  # a cycle a return: choices are final


MODEL = 'param w: i8[48, 16] from "w.npz"\ninput x: i8[{rows}, 48]\noutput y = x @ w\n'


def compiled(folder: Path, chip: Chip, scheme: str, rows: int = 1) -> Compiled:
    np.savez(folder / "w.npz", w=np.random.default_rng(0).integers(-128, 128, (48, 16), np.int8))
    (folder / "m.lks").write_text(MODEL.format(rows=rows))
    return compile_file(folder / "m.lks", chip, passes=DEFAULT_PIPELINE.replace("scheduled", scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("banks", "busy"), [(2, 2), (4, 3), (3, 4), (3, 6), (2, 5), (1, 3), (8, 2)])
def test_programs_are_legal_and_exact_with_any_banks(scheme: str, banks: int, busy: int, tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(-128, 128, (1, 48), np.int8)
    run_and_compare(compiled(tmp_path, with_banks(banks, busy), scheme), [{"x": x}], ["fast", "reference"])


@pytest.mark.parametrize(("banks", "busy"), [(6, 6), (4, 6), (8, 6)])
def test_the_schemes_are_in_order(banks: int, busy: int, tmp_path: Path) -> None:
    cycles = [
        compiled(tmp_path, with_banks(banks, busy), scheme).program.facts["predicted_cycles"]
        for scheme in ("scheduled", "interleaved", "naive")
    ]
    assert cycles == sorted(cycles)
    assert cycles[-1] > 1.5 * cycles[0]


def test_weights_loaded_again_are_exact(tmp_path: Path) -> None:
    """More rows than accumulators: every block is loaded more than once."""
    program = compiled(tmp_path, with_banks(4, 5), "scheduled", rows=40)
    x = np.random.default_rng(1).integers(-128, 128, (40, 48), np.int8)
    run_and_compare(program, [{"x": x}], ["fast"])

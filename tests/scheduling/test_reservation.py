"""The reservation tables one by one: what conflicts, how far a request must move, and that they grow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.scheduling.reservation import ANY_HALF, Reservations
from isa.chip import load_chip

TINY = load_chip("tiny")
BUSY = TINY.rram.busy_cycles if TINY.rram else 0


@pytest.fixture
def tables() -> Reservations:
    return Reservations(TINY, horizon=64)


def test_a_slot_conflict_says_how_far_to_move(tables: Reservations) -> None:
    tables.take_slot("vxm.0", 10, 14)
    assert tables.conflict_slot("vxm.0", 5, 9) == 0
    assert tables.conflict_slot("vxm.0", 15, 20) == 0
    assert tables.conflict_slot("vxm.1", 10, 14) == 0
    # To just behind the last conflict in the window; what lies behind that is seen at the next attempt.
    for first, last, later in ((5, 10, 6), (11, 11, 1), (12, 13, 2), (14, 30, 1), (0, 40, 15)):
        assert tables.conflict_slot("vxm.0", first, last) == later


def test_the_last_conflict_counts(tables: Reservations) -> None:
    tables.take_slot("sxm.w.0", 4, 4)
    tables.take_slot("sxm.w.0", 9, 9)
    assert tables.conflict_slot("sxm.w.0", 0, 12) == 10


def test_tables_grow_and_keep_what_they_hold(tables: Reservations) -> None:
    tables.take_slot("vxm.0", 60, 63)
    tables.take_streams("e", tables.mask(0, 3), 2, 1, 60, 4, 1)
    tables.reserve_horizon(65)
    assert tables.horizon >= 128
    assert tables.conflict_slot("vxm.0", 63, 100) == 1
    assert tables.conflict_slot("vxm.0", 64, 127) == 0
    assert not tables.free_streams("e", tables.mask(3, 5), 63, 2, 1)[2]
    assert tables.free_streams("e", tables.mask(3, 5), 64, 60, 1).all()
    tables.take_half("sram.w0", "rd", tables.half_windows(0, 1, 70, 8, 1))
    assert tables.conflict_half("sram.w0", "wr", tables.half_windows(0, 1, 70, 1, 1))
    before = tables.horizon
    tables.reserve_horizon(100)
    assert tables.horizon == before


burst = st.tuples(st.integers(0, 31), st.integers(-6, 6), st.integers(0, 20), st.integers(1, 9), st.integers(1, 4))
"""Address, step, cycle, count, every."""


def touched_halves(address: int, step: int, cycle: int, count: int, every: int) -> dict[int, int]:
    return {cycle + i * every: (address + i * step) % TINY.sram.halves for i in range(count)}


@given(burst)
def test_half_windows_are_the_halves_of_every_cycle(request: tuple[int, int, int, int, int]) -> None:
    found = {c: half for half, window in Reservations(TINY, 64).half_windows(*request) for c in range(100)[window]}
    assert found == touched_halves(*request)


@given(burst, burst)
def test_halves_conflict_when_both_ports_are_in_one(
    a: tuple[int, int, int, int, int], b: tuple[int, int, int, int, int]
) -> None:
    tables = Reservations(TINY, 128)
    tables.take_half("sram.w0", "rd", tables.half_windows(*a))
    reads, writes = touched_halves(*a), touched_halves(*b)
    meet = any(reads.get(cycle) == half for cycle, half in writes.items())
    assert tables.conflict_half("sram.w0", "wr", tables.half_windows(*b)) == meet
    assert not tables.conflict_half("sram.w1", "wr", tables.half_windows(*b))


def test_a_gather_is_in_every_half(tables: Reservations) -> None:
    gather = [(ANY_HALF, slice(10, 14, 2))]
    tables.take_half("sram.w0", "rd", gather)
    for address in (0, 1):
        assert tables.conflict_half("sram.w0", "wr", tables.half_windows(address, 0, 10, 1, 1))
        assert tables.conflict_half("sram.w0", "wr", tables.half_windows(address, 0, 12, 1, 1))
        assert not tables.conflict_half("sram.w0", "wr", tables.half_windows(address, 0, 11, 1, 1))
    tables.take_half("sram.w1", "wr", tables.half_windows(5, 0, 20, 1, 1))
    assert tables.conflict_half("sram.w1", "rd", [(ANY_HALF, slice(20, 21))])
    assert not tables.conflict_half("sram.w1", "rd", [(ANY_HALF, slice(21, 25))])


@given(burst)
def test_bank_windows_are_the_busy_cycles_of_every_read(request: tuple[int, int, int, int, int]) -> None:
    address, step, cycle, count, every = request
    assert TINY.rram is not None
    busy: dict[tuple[int, int], int] = {}
    for i in range(count):
        for c in range(BUSY):
            key = ((address + i * step) % TINY.rram.banks, cycle + i * every + c)
            busy[key] = busy.get(key, 0) + 1
    windows = Reservations(TINY, 64).bank_windows(address, step, count, every)
    if windows is None:
        assert max(busy.values()) > 1
    else:
        assert {(bank, c) for bank, first, end in windows for c in range(cycle + first, cycle + end)} == set(busy)
        assert max(busy.values()) == 1


def test_a_bank_conflict_says_how_far_to_move(tables: Reservations) -> None:
    windows = tables.bank_windows(0, 1, 4, 1)
    assert windows is not None
    tables.take_bank("rram.w0", windows, 10)
    # Bank 0 is read at 10 and 12: it is busy up to 13.
    one = tables.bank_windows(0, 0, 1, 1)
    assert one is not None
    assert tables.conflict_bank("rram.w0", one, 12) == 2
    assert tables.conflict_bank("rram.w1", one, 12) == 0
    assert tables.conflict_bank("rram.w0", tables.bank_windows(0, 0, 1, 1) or [], 14) == 0
    # Bank 1 is read at 11 and 13: it is busy up to 14.
    assert tables.conflict_bank("rram.w0", tables.bank_windows(1, 0, 1, 1) or [], 14) == 1


def test_loads_share_the_load_streams_of_a_side(tables: Reservations) -> None:
    limit = TINY.mxm.load_streams
    tables.take_load("w", 10, 4, 1, limit - 1)
    assert tables.conflict_load("w", 10, 4, 1, 1) == 0
    assert tables.conflict_load("w", 8, 4, 1, 2) == 4
    assert tables.conflict_load("w", 12, 4, 1, 2) == 2
    assert tables.conflict_load("w", 14, 4, 1, limit) == 0
    assert tables.conflict_load("e", 10, 4, 1, limit) == 0
    tables.take_load("w", 10, 4, 1, 1)
    assert tables.conflict_load("w", 13, 1, 1, 1) == 1


def test_loads_with_gaps_fit_between_each_other(tables: Reservations) -> None:
    limit = TINY.mxm.load_streams
    tables.take_load("w", 10, 3, 2, limit)
    assert tables.conflict_load("w", 11, 3, 2, limit) == 0
    assert tables.conflict_load("w", 12, 3, 2, limit) == 1
    assert tables.conflict_load("w", 15, 3, 1, limit) == 0


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_stream_masks_meet_where_positions_do(a: int, b: int, c: int, d: int) -> None:
    """Exact on a chip of at most 64 positions."""
    tables = Reservations(TINY, 64)
    one, other = tables.mask(min(a, b), max(a, b)), tables.mask(min(c, d), max(c, d))
    apart = max(a, b) < min(c, d) or max(c, d) < min(a, b)
    assert bool(one & other) != apart


@pytest.mark.parametrize("name", ["tiny", "tsp", "lpu-rram"])
def test_stream_masks_never_miss_a_meeting(name: str) -> None:
    """On wide chips a bit stands for a few positions."""
    tables = Reservations(load_chip(name), 64)
    for low in range(0, tables.chip.width, 7):
        for high in range(low, tables.chip.width, 9):
            assert all(tables.mask(low, high) & tables.mask(p, p) for p in range(low, high + 1))
            assert not tables.mask(low, high) & tables.mask(high + tables.scale, high + tables.scale)


def test_streams_are_free_on_other_diagonals_directions_and_numbers(tables: Reservations) -> None:
    mask = tables.mask(4, 9)
    first = tables.column("e", -tables.chip.width + 1)
    assert first >= 0
    tables.take_streams("e", mask, 4, 2, 20, 3, 2)
    assert [bool(f) for f in tables.free_streams("e", mask, 20, 1, 1)] == [True] * 4 + [False] * 2 + [True] * 2
    assert tables.free_streams("e", mask, 21, 2, 2).all()
    assert tables.free_streams("w", mask, 20, 3, 2).all()
    assert tables.free_streams("e", tables.mask(10, 12), 20, 3, 2).all()
    assert not tables.free_streams("e", mask, 24, 1, 1)[5]
    assert np.array_equal(tables.free_streams("e", mask, 26, 10, 1), np.ones(TINY.streams, bool))

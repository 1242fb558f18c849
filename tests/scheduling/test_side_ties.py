"""Ties between sides: two f32 operands fill a side of `tiny`, and their result would have to cross with both of them."""

from __future__ import annotations

from types import ModuleType

import pytest

from compiler.scheduling.side_ties import SideTies
from compiler.scheduling.stream_demand import StreamDemand
from compiler.scheduling.trip import Flow, Group
from isa.chip import Side, load_chip

TINY = load_chip("tiny")
SCALE, TILES = ("scale", 0, 0), [(f"tile{i}", 0, 0) for i in range(3)]


def scaled_tiles(random_flows: ModuleType, chip: str = "tiny") -> StreamDemand:
    """`result` i = `tile` i · `scale`, in f32."""
    flow = Flow()
    for name, *_ in (SCALE, *TILES, *(("result" + tile[0], 0, 0) for tile in TILES)):
        flow.buffers[name] = random_flows.buffer(name, 4, TINY, "f32")
    for tile, *_ in TILES:
        flow.trips.append(random_flows.vector_trip("fmul", [(tile, "f32"), ("scale", "f32")], f"result{tile}", "f32", 4))
    return StreamDemand(flow, load_chip(chip))


@pytest.mark.parametrize(("side", "other"), [("w", "e"), ("e", "w")])
def test_one_choice_decides_for_all_tiles(side: Side, other: Side, random_flows: ModuleType) -> None:
    ties = SideTies(scaled_tiles(random_flows), {})
    assert [ties.wanted(group) for group in (SCALE, *TILES)] == [None] * 4
    ties.chosen(TILES[1], side)
    assert ties.wanted(SCALE) == other
    assert [ties.wanted(tile) for tile in TILES] == [side] * 3


def test_given_sides_count_as_chosen(random_flows: ModuleType) -> None:
    given: dict[Group, Side] = {SCALE: "e"}
    ties = SideTies(scaled_tiles(random_flows), given)
    assert [ties.wanted(tile) for tile in TILES] == ["w"] * 3


def test_a_chip_with_streams_enough_ties_nothing(random_flows: ModuleType) -> None:
    ties = SideTies(scaled_tiles(random_flows, "lpu-rram"), {})
    ties.chosen(SCALE, "w")
    assert all(ties.wanted(tile) is None for tile in TILES)

"""Weights that are brought near: the same bits in fewer cycles, in memory that blocks go through in turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from compiler.cli.random_inputs import random_inputs
from compiler.declare import Reading
from compiler.scheduling import prefetch
from compiler.scheduling.prefetch import direct_part, near_part, prefetched, rows_near
from compiler.scheduling.trip import Buffer, Feed, Flow, Load, Read, ReadBlock, Swap, Trip, Write
from compiler.session import Compiled, compile_source, run_and_compare
from compiler.transforms.prefetch_weights import PrefetchWeightsPass
from compiler.weights import WeightStore
from isa.chip import load_chip
from isa.program import Program
from sim.device import Device

CHIP = load_chip("lpu-rram")
STEPS = 4


def compiled(folder: Path, rows: int, beside: Program | None = None) -> Compiled:
    """A chain of products with i8 weights, to and fro between 576 and 1,536 columns."""
    random = np.random.default_rng(0)
    source = folder / f"chain{rows}.lks"
    lines = [f"input x: f32[{rows}, 576]"]
    for step in range(STEPS):
        shape = (1536, 576) if step % 2 else (576, 1536)
        np.save(folder / f"w{step}.npy", random.standard_normal(shape).astype(np.float32))
        lines += [f'param w{step}: f32{list(shape)} from "w{step}.npy"', f"x = x @ w{step}"]
        lines += [f"x = x * rsqrt(mean(x * x, axis=-1, keepdims=true) + {k})" for k in range(1, 4)]
    source.write_text("\n".join([*lines, "output y = x\n"]))
    return compile_source(source, CHIP, Reading("i8f16"), beside=beside)


def loads(program: Program) -> Counter[int]:
    """Loads by the byte streams they take at once."""
    return Counter(op.get("streams") for op in program.operations if op.mnemonic == "load")


def cycles(program: Program) -> int:
    return int(program.facts["predicted_cycles"])


def test_loads_take_all_their_streams_where_there_was_time_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compiled(tmp_path, rows=1)
    with monkeypatch.context() as without:
        without.setattr(PrefetchWeightsPass, "apply", lambda *_: None)  # pyright: ignore[reportUnknownLambdaType]
        plain = compiled(tmp_path, rows=1)
    assert set(loads(plain.program)) == {10}
    assert loads(found.program)[16] > 0
    assert cycles(found.program) < cycles(plain.program)
    run_and_compare(found, random_inputs(found.declared, 0, 2), ["fast"])


def test_products_of_many_rows_hide_their_loads(tmp_path: Path) -> None:
    assert set(loads(compiled(tmp_path, rows=64).program)) == {10}


@pytest.mark.parametrize("first", [1, 64])
def test_two_programs_share_weights_as_the_first_one_has_them(first: int, tmp_path: Path) -> None:
    one = compiled(tmp_path, rows=first)
    other = compiled(tmp_path, rows=65 - first, beside=one.program)
    assert set(loads(other.program)) == set(loads(one.program))
    weights = [{s.name: s.pieces for s in p.symbols if s.role == "param"} for p in (one.program, other.program)]
    assert weights[0] == weights[1]
    for found in (one, other):
        run_and_compare(found, random_inputs(found.declared, 0, 1), ["fast"])
    device = Device(one.program)
    device.load(other.program)


@pytest.mark.parametrize("room", [20, 33, 41, 50, 57, 1000])
def test_blocks_go_through_their_memory_in_turns(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what brings a block near and its load nothing else is written there, and the words are the block's own rows."""
    monkeypatch.setattr(prefetch, "_pays", lambda *_: True)  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.setattr(prefetch, "_room", lambda *_: room)  # pyright: ignore[reportUnknownLambdaType]
    blocks = random_blocks(room)
    flow, weights = chain_of_loads(blocks, before=12)
    made = prefetched(flow, CHIP, weights)
    ring = made.buffers["%near.w"]
    assert ring.words_per_place(0) <= max(room, 40)
    held: dict[int, np.ndarray] = {}
    arrays: Mapping[str, np.ndarray] = {name: weights.get(b.digest) for name, b in made.buffers.items() if b.digest}
    loaded = 0
    for trip in made.trips:
        read, *rest = trip.nodes
        if isinstance(read, ReadBlock) and isinstance(rest[0], Write):
            rows = arrays[read.buffer][read.row : read.row + read.count]
            held |= {rest[0].row + i: row for i, row in enumerate(rows)}
        elif isinstance(read, ReadBlock):
            together, near = read.rows_per_cycle, ring.stripes
            count = read.count // together
            direct = arrays[read.buffer][read.row : read.row + count * (together - near)].reshape(count, together - near, -1)
            beside = np.array([held[read.beside_row + i] for i in range(count * near)]).reshape(count, near, -1)
            found = np.concatenate([direct, beside], 1).reshape(read.count, -1)
            segment = made.buffers[read.buffer].segments.index(read.row)
            first = flow.buffers["w"].segments[segment]
            np.testing.assert_array_equal(found, weights.get(flow.buffers["w"].digest)[first : first + read.count])
            loaded += 1
    assert loaded == len(blocks)


def random_blocks(seed: int) -> tuple[int, ...]:
    """Rows of 40 blocks."""
    return tuple(int(n) * 16 for n in np.random.default_rng(seed).integers(1, 21, 40))


@pytest.mark.parametrize(("before", "rows"), [(0, 1), (3, 9)])
def test_what_begins_with_its_loads_or_is_fed_many_rows_stays(before: int, rows: int) -> None:
    flow, weights = chain_of_loads((320, 256), before, rows)
    assert prefetched(flow, CHIP, weights) is flow


def chain_of_loads(blocks: tuple[int, ...], before: int = 3, rows: int = 1) -> tuple[Flow, WeightStore]:
    """Loads of one matrix, block by block, behind a chain of steps; each is fed so many rows."""
    weights, flow = WeightStore(), Flow()
    array = np.random.default_rng(0).integers(-9, 9, (sum(blocks), 320)).astype(np.int8)
    borders = tuple(int(b) for b in np.cumsum([0, *blocks[:-1]]))
    sides = {(segment, 0): "w" for segment in range(len(blocks))}
    flow.buffers["w"] = Buffer("w", array.shape, "i8", "param", "rram", 320, 10, borders, weights.add(array), sides)  # pyright: ignore[reportArgumentType]
    names = [f"x{i}" for i in range(before + 1)]
    for name in names:
        flow.buffers[name] = Buffer(name, (rows, 320), "f16", "temporary", "sram", 320)
    for source, target in pairwise(names):
        trip = Trip("earlier")
        value = trip.value("f16", rows)
        trip.nodes = [Read(source, 0, 0, 1, rows, value), Write(target, 0, 0, 1, value, rows)]
        flow.trips.append(trip)
    for first, count in zip(borders, blocks, strict=True):
        load, swap, feed = Trip("load"), Trip("swap"), Trip("feed")
        value = load.value("i8", -(-count // 10), streams=10)
        load.nodes = [ReadBlock("w", 0, first, count, 10, value), Load((0,), value, "i8f16", count)]
        swap.nodes = [Swap(0, "i8f16")]
        row = feed.value("f16", rows)
        feed.nodes = [Read(names[-1], 0, 0, 1, rows, row), Feed(0, row, "i8f16", count, 0, 0, True, rows)]
        flow.trips += [load, swap, feed]
    return flow, weights


def test_what_can_be_split() -> None:
    def weights(rows: int, kind: str = "i8", memory: str = "rram") -> Buffer:
        return Buffer("w", (rows, 320), kind, "param", memory, 320, 10, (0,))  # pyright: ignore[reportArgumentType]

    assert rows_near(weights(320), CHIP) == 6
    assert rows_near(weights(328), CHIP) == 0, "not whole cycles of a load"
    assert rows_near(weights(320, "f16"), CHIP) == 0
    assert rows_near(weights(320, memory="sram"), CHIP) == 0
    assert rows_near(weights(320), load_chip("tsp")) == 0
    assert direct_part(weights(320), 6).rows == 200
    assert near_part(weights(320), 6).rows == 120

"""Packings hold their image; stencils between any two are the convolution; the chosen packings are the cheapest."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.layout.choose import Factor, cheapest
from compiler.layout.stencil import Stencil, complete, reach, reads_outside, stencil
from compiler.layout.window import Window
from compiler.reference import spatial
from isa.asm import assemble
from isa.chip import load_chip
from isa.container import program_bytes, program_from_bytes
from isa.disasm import disassemble
from isa.errors import ModelFault
from isa.packing import Packing, plain
from isa.program import Piece, Program, Symbol

Array = NDArray[Any]


def random_packing(rng: random.Random, image: tuple[int, int, int], lanes: int) -> Packing:
    channels = min(-(-image[2] // rng.choice((1, 2))), lanes)
    positions, origin = rng.randint(1, max(1, lanes // channels)), -rng.choice((0, 0, 1, 2))
    groups = -(-(image[1] - origin) // positions) + rng.choice((0, 0, 1))
    if rng.random() < 0.5:
        return Packing(image, image[0], groups, positions, channels, origin)
    height, row_origin = rng.randint(1, max(1, lanes // (channels * positions))), -rng.choice((0, 0, 1, 2))
    row_step = rng.randint(max(1, height - 2), height)
    rows = -(-(image[0] - row_origin - (height - row_step)) // row_step)
    step = rng.randint(max(1, positions - 2), positions)
    groups = max(1, -(-(image[1] - origin - (positions - step)) // step))
    return Packing(image, max(1, rows), groups, positions, channels, origin, step, height, row_step, row_origin)


def multiply(how: Stencil, packed: Array, lanes: int, tiles: int) -> Array:
    """What the stencil says, vector by vector."""
    vectors = packed.reshape(-1, packed.shape[2])
    vectors = np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % lanes))).astype(np.int64)
    result = np.zeros((how.rows, how.groups, tiles * lanes), np.int64)
    for block, matrix in zip(how.blocks, how.matrices, strict=True):
        for y, q in product(range(*block.y), range(*block.q)):
            row = block.offset + y * how.row_step + q * how.group_step
            if 0 <= row < len(vectors):
                part = vectors[row, block.source * lanes : block.source * lanes + matrix.shape[0]]
                first = block.target * lanes
                r, g = y * how.phases[0] + block.phase[0], q * how.phases[1] + block.phase[1]
                result[r, g, first : first + matrix.shape[1]] += part @ matrix
    return result


def test_stencils_are_convolutions() -> None:
    rng, checked = random.Random(0), 0
    for seed in range(250):
        lanes, groups = rng.choice((8, 16)), rng.choice((1, 1, 2, 0))
        inner, each = rng.choice((1, 2, 3, 5)), rng.choice((1, 2, 4))
        channels, columns = (inner * groups, each * groups) if groups else (inner, inner * rng.choice((1, 2)))
        groups = groups or channels
        pads = (rng.randint(0, 1), rng.randint(0, 1), rng.randint(0, 1), rng.randint(0, 1))
        strides, dilations = (rng.choice((1, 1, 2)), rng.choice((1, 1, 2))), (rng.choice((1, 1, 2)), rng.choice((1, 2)))
        window = Window((rng.randint(1, 3), rng.randint(1, 3)), strides, pads, dilations)
        image = (rng.randint(1, 9), rng.randint(1, 9), channels)
        try:
            rows, places = window.sizes("conv2d", *image[:2])
        except ModelFault:
            continue
        source, target = random_packing(rng, image, lanes), random_packing(rng, (rows, places, columns), lanes)
        how = reach(window, source, target)
        if how is None or not complete(how, source, target):
            continue
        draw = np.random.default_rng(seed)
        x = draw.integers(-9, 9, image).astype(np.int8)
        kernel = draw.integers(-9, 9, (*window.kernel, channels // groups, columns)).astype(np.int8)
        packed = source.pack(x, lanes)
        if not reads_outside(window, source, target):
            packed = packed + np.where(source.pack(np.ones_like(x), lanes) == 0, 77, 0)
        found = multiply(stencil(kernel, window, groups, source, target, lanes), packed, lanes, target.tiles)
        found = found[:, :, : target.columns(lanes)]
        want = spatial.conv2d(x, kernel, window, groups, load_chip("tiny")).astype(np.int64)
        inside = target.pack(np.ones_like(want), lanes)
        assert np.array_equal(found * inside, target.pack(want, lanes)), (seed, window, source, target)
        checked += 1
    assert checked > 80


@pytest.mark.parametrize("seed", range(6))
def test_the_cheapest_choice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(1, 4, 6)]
    pairs = [(a, b) for a in range(6) for b in range(a + 1, 6) if rng.random() < 0.5]
    factors = [Factor(pair, rng.random([sizes[v] for v in pair])) for pair in pairs]
    factors += [Factor((v,), rng.random(sizes[v])) for v in range(6)]

    def cost(choice: tuple[int, ...]) -> float:
        return sum(float(f.costs[tuple(choice[v] for v in f.variables)]) for f in factors)

    best = min(map(cost, product(*(range(n) for n in sizes))))
    assert cost(tuple(cheapest(sizes, factors))) == pytest.approx(best)


def test_packing_and_back() -> None:
    image = (5, 7, 3)
    x = np.arange(105, dtype=np.int8).reshape(image)
    for packing in (plain(image, 8), Packing(image, 5, 4, 2, 3, -1), Packing(image, 3, 3, 5, 3, -1, 2, 3, 2, -1)):
        assert np.array_equal(packing.unpack(packing.pack(x, 48), 48), x)
        turned = Packing.of((1, 3, 5, 7), (*packing.numbers[:-3], 2, 3, 1))
        nchw = np.ascontiguousarray(x.transpose(2, 0, 1))[None]
        assert np.array_equal(turned.pack(nchw, 48), packing.pack(x, 48))
        assert np.array_equal(turned.unpack(turned.pack(nchw, 48), 48), nchw)


@pytest.mark.parametrize("axes", [(1, 2, 4), (0, 2, 3), (2, 2, 1), (-1, 2, 3)])
def test_axes_that_are_no_image(axes: tuple[int, int, int]) -> None:
    assert Packing.of((1, 3, 5, 7), (5, 7, 1, 3, 0, 0, 1, 1, 0, *axes)).problem((1, 3, 5, 7), 48)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0)])
def test_a_packed_symbol_comes_back_from_text_and_file(axes: tuple[int, int, int]) -> None:
    shape = (4, 6, 2) if axes == (0, 1, 2) else (2, 6, 4)
    packing = Packing.of(shape, (4, 4, 2, 2, -1, 0, 1, 1, 0, *axes))
    symbol = Symbol("x", "input", shape, "i8", (Piece("sram.w0", 0, 16, 0, 0, 0),), None, packing)
    program = Program(load_chip("tiny"), [], [], [symbol])
    assert assemble(disassemble(program), "x.lasm").symbols == [symbol]
    assert program_from_bytes(program_bytes(program), "x.lbin").symbols == [symbol]

"""Depthwise convolutions on the vector unit: each vector of the result is a running sum of products along time.

A matrix plane would have one weight in each row that it loads. An ALU instead takes a vector of the image and one of weights a
cycle, place by place under the window, and gives the sum with the last; places beside the image take no part. Many ALUs work at
once, each on a vector of its own, and a slice has one read port: so image and weights lie in several slices, the image on one
side, the weights on the other. Weights come from RRAM, where there is any, while it is idle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from compiler.dialects.graph import DepthwiseOp, Tensor
from compiler.dialects.graph_types import tensor_of
from compiler.layout.cost import products_at_once
from compiler.lowering.chains import Chain
from compiler.lowering.context import Hint, Lowering, describe, mxm_sides
from compiler.lowering.elementwise import MAX_ROWS, ClusterBody
from compiler.lowering.fusion import Cluster
from compiler.lowering.views import View, runs, view_of
from compiler.scheduling.trip import Buffer, Compute, Read, ReadBlock, Trip, Write
from isa.chip import Side

MOST_BANDS = 4
"""Bands of rows that an image of one tile is copied in (our choice)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Along one axis: places first … end-1 of the kernel are over the image, the first of them at `place`."""

    first: int
    end: int
    place: int


def reach_of(size: int, kernel: int, output: int, stride: int, pad: int, dilation: int) -> Reach:
    """Of the window of one output along an axis of the image."""
    begin = output * stride - pad
    inside = [k for k in range(kernel) if 0 <= begin + k * dilation < size]
    return Reach(inside[0], inside[-1] + 1, begin + inside[0] * dilation)


def lower_depthwise(lowering: Lowering, op: DepthwiseOp, cluster: Cluster) -> None:
    """A depthwise convolution and the cluster that it feeds (which may be empty)."""
    lowering.origin = describe(op)
    source = lowering.view(op.x)
    body = ClusterBody(lowering, cluster, {source.buffer: source}) if cluster.operations else None
    result = body.views[0] if body else lowering.result(op.result)
    lowering.copy_beside(cluster.result, result)
    _Depthwise(lowering, op, source, result, body).run()


class _Depthwise:
    """Trips of one depthwise convolution."""

    def __init__(self, lowering: Lowering, op: DepthwiseOp, source: View, result: View, body: ClusterBody | None) -> None:
        self.lowering, self.op, self.result, self.body = lowering, op, result, body
        chip = lowering.chip
        self.tiles = -(-source.columns // chip.lanes)
        self.bands = max(1, MOST_BANDS // self.tiles)
        self.copies = -(-products_at_once(chip) // (self.tiles * self.bands))
        image, weights = _sides(lowering)
        origin, lowering.origin = lowering.origin, f"{lowering.origin}: operands"
        self.images = [self.image_copy(image) for _ in range(self.copies)]
        self.copy_image(source)
        self.weights = self.weights_beside(weights, self.copies * self.bands)
        self.constants = self.constant_rows()
        lowering.origin = origin
        self.turns = Counter[tuple[int, int]]()

    def image_copy(self, side: Side) -> View:
        """A copy in which rows of the image are so far apart that a walk under the window changes between the halves of memory
        with every word: so does whoever writes what comes next. Bands of rows lie in slices of their own, each written while
        others are."""
        height, width, channels = tensor_of(self.op.x).shape
        pitch = width + (width + self.op.window.kernel[1]) % 2
        borders = tuple(dict.fromkeys(height * band // self.bands * pitch for band in range(self.bands)))
        hint = Hint(borders, tile_sides=(side,) * self.tiles)
        whole = view_of(self.lowering.buffer("t", Tensor("i8", (height, pitch, channels)), "temporary", hint))
        return replace(whole, leading=(height, width))

    def copy_image(self, source: View) -> None:
        """Every tile past the vector unit into all copies at once."""
        lowering, buffers = self.lowering, self.lowering.flow.buffers
        views = [source, *self.images]
        for run in [piece for walk in runs(views, buffers) for piece in walk.cut(MAX_ROWS)]:
            for tile in range(self.tiles):
                trip = lowering.trip()
                chain = Chain(trip, lowering.chip, run.count)
                read = chain.read(source.buffer, "i8", source.tile + tile, run.starts[0], run.steps[0])
                moved = chain.operation("imov", [read], "i8")
                for view, start, step in zip(self.images, run.starts[1:], run.steps[1:], strict=True):
                    trip.nodes.append(Write(view.buffer, tile, start, step, moved, run.count))

    def weights_beside(self, side: Side, copies: int) -> list[str]:
        """The kernel, a row for each of its places, in several slices for each tile."""
        lowering, chip = self.lowering, self.lowering.chip
        kernel = lowering.array_of(self.op.w)
        assert kernel is not None, "the kernel is known"
        rows = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[2]))
        digest, tensor, sides = lowering.weights.add(rows), tensor_of(self.op.w), Hint(tile_sides=(side,) * self.tiles)
        if chip.rram is None:
            return [lowering.buffer("w", tensor, "constant", sides, digest).name for _ in range(copies)]
        far = Buffer("w", rows.shape, "i8", "constant", "rram", chip.lanes, digest=digest)
        far.sides |= {(0, tile): side for tile in range(self.tiles)} if chip.slices("rram", side) else {}
        lowering.add(far)
        near = [lowering.buffer("t", tensor, "temporary", sides).name for _ in range(copies)]
        for name in near:
            for tile in range(self.tiles):
                trip = lowering.trip()
                value = trip.value("i8", len(rows))
                trip.nodes.append(ReadBlock(far.name, tile, 0, len(rows), 1, value))
                trip.nodes.append(Write(name, tile, 0, 1, value, len(rows)))
        return near

    def constant_rows(self) -> dict[int, View]:
        """By number those views of the body that are constants, the same in every row, which become a row for each side."""
        found: dict[int, View] = {}
        if self.body is None:
            return found
        for value, (i, *_) in self.body.where.items():
            array = self.lowering.array_of(value)
            if array is not None and array.size == (array.shape[-1] if array.ndim else 1):
                found[i] = self.lowering.constant_for_sides(array.reshape(-1), mxm_sides(self.lowering.chip))
                self.body.views[i] = found[i]
        return found

    def run(self) -> None:
        height, width, _ = tensor_of(self.op.result).shape
        for number in range(height * width):
            for tile in range(self.tiles):
                self.output(number, tile)

    def output(self, number: int, tile: int) -> None:
        """One vector of the result, and what follows."""
        trip = self.lowering.trip()
        total = self.sum_of_products(trip, number, tile)
        if self.body is None:
            trip.nodes.append(Write(self.result.buffer, self.result.tile + tile, self.result.offset + number, 1, total, 1))
        else:
            starts, steps = [v.offset + number for v in self.body.views], [1] * len(self.body.views)
            for turn, (i, view) in enumerate(self.constants.items()):
                starts[i], steps[i] = turn % self.lowering.flow.buffers[view.buffer].rows, 0
            chain = Chain(trip, self.lowering.chip, 1)
            chain.anchor(total)
            self.body.emit(trip, chain, {self.op.result: total}, tile, starts, steps)
        self.lowering.write_copies(trip)

    def sum_of_products(self, trip: Trip, number: int, tile: int) -> int:
        """The value of one vector of the result. Bands have copies of the weights of their own, which are read as theirs of the
        image are: so pairs of slices are busy together."""
        window, (rows, columns, _), (height, width, _) = (
            self.op.window,
            tensor_of(self.op.x).shape,
            tensor_of(self.op.result).shape,
        )
        y, x = divmod(number, width)
        down, right = (
            reach_of(size, window.kernel[axis], at, window.strides[axis], window.pads[axis], window.dilations[axis])
            for axis, (size, at) in enumerate(((rows, y), (columns, x)))
        )
        run, pitch = right.end - right.first, self.images[0].strides[0]
        count = run * (down.end - down.first)
        band = y * self.bands // height
        turn = self.turns[band, tile] % self.copies
        self.turns[band, tile] += 1
        image, weights = self.images[turn], self.weights[band * self.copies + turn]
        a, b = trip.value("i8", count), trip.value("i8", count)
        trip.nodes.append(
            Read(image.buffer, tile, down.place * pitch + right.place, window.dilations[1], count, a,
                 run=run, run_step=window.dilations[0] * pitch)
        )  # fmt: skip
        first = down.first * window.kernel[1] + right.first
        trip.nodes.append(Read(weights, tile, first, 1, count, b, run=run, run_step=window.kernel[1]))
        total = trip.value("i32", 1)
        trip.nodes.append(Compute("vxm", "idot", (a, b), {"group": count}, count, 1, total))
        return total


def _sides(lowering: Lowering) -> tuple[Side, Side]:
    """A side for the image and one for the weights, in turns."""
    sides: list[Side] = [side for side in ("w", "e") if lowering.chip.slices("sram", side)]
    lowering.depthwise_turns += 1
    turn = lowering.depthwise_turns
    return sides[turn % len(sides)], sides[(turn + 1) % len(sides)]

"""Packings: how an image [H, W, C] becomes rows of vectors, neighbouring positions and their channels side by side on lanes.

A packed image is a matrix of rows (y, g) and tiles t. Lane (j·positions + i)·channels + c of row (y, g), tile t, holds element

    [y·row_step + row_origin + j, g·step + origin + i, t·channels + c],    j < height, i < positions, c < channels

The host writes zeros for what lies outside the image. The image may be a tensor seen with its axes in another order, without
those of size 1. `plain` is the layout of every other tensor: a row for each position, its
channels on lanes. With height > row_step or positions > step neighbouring rows overlap: elements lie in memory several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Line:
    """A packing along one axis of an image of `size`: vector n of `count` holds n·pitch + origin … + width - 1."""

    size: int
    count: int
    width: int
    pitch: int
    origin: int

    def covers(self, place: int) -> bool:
        """Whether some vector holds a place (where vectors leave nothing out between them)."""
        return self.origin <= place < self.origin + (self.count - 1) * self.pitch + self.width


@dataclass(frozen=True, slots=True)
class Packing:
    """Counts, steps and origins as above; `image` is (H, W, C)."""

    image: tuple[int, int, int]
    rows: int
    groups: int
    positions: int
    channels: int
    origin: int = 0
    step: int = 0
    """0 stands for `positions`: groups side by side."""
    height: int = 1
    row_step: int = 1
    row_origin: int = 0
    tensor: tuple[int, ...] = ()
    """Shape of the tensor whose `axes` are H, W and C; () where it is the image."""
    axes: tuple[int, int, int] = (0, 1, 2)

    @staticmethod
    def of(shape: Sequence[int], numbers: Sequence[int]) -> Packing:
        """The packing of a tensor of this shape with these `numbers`; one with a `problem` where they do not fit together."""
        *counts, height, width, channels = numbers
        axes = (height, width, channels)
        known = all(0 <= axis < len(shape) for axis in axes)
        image = (shape[height], shape[width], shape[channels]) if known else (0, 0, 0)
        identity = tuple(shape) == image and axes == (0, 1, 2)
        return Packing(image, *counts, tensor=() if identity else tuple(shape), axes=axes)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Everything but the sizes of image and tensor, in the order of the fields."""
        return (self.rows, self.groups, self.positions, self.channels, self.origin, self.step,
                self.height, self.row_step, self.row_origin, *self.axes)  # fmt: skip

    @property
    def host_shape(self) -> tuple[int, ...]:
        """Shape of the tensor that the host gives."""
        return self.tensor or self.image

    def problem(self, shape: Sequence[int], lanes: int) -> str | None:
        """Why this is no packing of a tensor of this shape on a chip with so many lanes, or None."""
        if tuple(shape) != self.host_shape:
            return f"its packing is for {list(self.host_shape)}, the shape is {list(shape)}"
        others = [size for axis, size in enumerate(shape) if axis not in self.axes]
        if (
            len(set(self.axes)) < len(self.axes)
            or not all(0 <= a < len(shape) for a in self.axes)
            or others.count(1) < len(others)
        ):
            return f"axes {list(self.axes)} are not those of an image in {list(shape)}"
        counts = (self.rows, self.groups, self.positions, self.channels, self.height, self.row_step)
        if min(self.image) < 1 or min(counts) < 1 or self.step < 0:
            return f"packing {list(self.numbers)} has a count below 1"
        if self.lanes > lanes:
            return f"packing {list(self.numbers)} takes {self.lanes} lanes, there are {lanes}"
        return None

    @property
    def pitch(self) -> int:
        """Positions from one group to the next."""
        return self.step or self.positions

    @property
    def tiles(self) -> int:
        return -(-self.image[2] // self.channels)

    @property
    def lanes(self) -> int:
        """Lanes of a vector that hold something."""
        return self.height * self.positions * self.channels

    def columns(self, lanes: int) -> int:
        """Columns of the packed matrix on a chip with so many lanes: whole vectors but for the last."""
        last = self.image[2] - (self.tiles - 1) * self.channels
        return (self.tiles - 1) * lanes + (last if self.height * self.positions == 1 else self.lanes)

    def shape(self, lanes: int) -> tuple[int, int, int]:
        return self.rows, self.groups, self.columns(lanes)

    @property
    def by_rows(self) -> bool:
        """Whether a vector holds positions of one row of the image, and each row of vectors those of the row of its number."""
        return self.height == self.row_step == 1 and self.row_origin == 0

    @property
    def lines(self) -> tuple[Line, Line]:
        """Along rows and along positions of the image."""
        rows = Line(self.image[0], self.rows, self.height, self.row_step, self.row_origin)
        return rows, Line(self.image[1], self.groups, self.positions, self.pitch, self.origin)

    def pack(self, array: NDArray[Any], lanes: int) -> NDArray[Any]:
        """The packed matrix [rows, groups, columns] of the tensor; zeros outside the image."""
        array = array.transpose(*self.axes, *self._unit_axes).reshape(self.image)
        rows = np.arange(self.rows)[:, None] * self.row_step + self.row_origin + np.arange(self.height)
        places = np.arange(self.groups)[:, None] * self.pitch + self.origin + np.arange(self.positions)
        inside_rows, inside_places = (rows >= 0) & (rows < self.image[0]), (places >= 0) & (places < self.image[1])
        packed = np.zeros(self.shape(lanes), array.dtype)
        for t in range(self.tiles):
            channels = array[:, :, t * self.channels : (t + 1) * self.channels]
            windows = np.zeros((self.rows, self.groups, self.height, self.positions, self.channels), array.dtype)
            taken = channels[rows.clip(0, self.image[0] - 1)][:, :, places.clip(0, self.image[1] - 1)]
            inside = inside_rows[:, :, None, None] & inside_places[None, None]
            windows[..., : channels.shape[2]] = np.where(inside[..., None], taken, 0).transpose(0, 2, 1, 3, 4)
            flat = windows.reshape(self.rows, self.groups, self.lanes)
            width = min(self.lanes, packed.shape[2] - t * lanes)
            packed[:, :, t * lanes : t * lanes + width] = flat[:, :, :width]
        return packed

    def unpack(self, packed: NDArray[Any], lanes: int) -> NDArray[Any]:
        """The tensor of a packed matrix [rows, groups, columns]; an element that lies there several times is taken once."""
        array = np.zeros(self.image, packed.dtype)
        rows = np.arange(self.rows)[:, None] * self.row_step + self.row_origin + np.arange(self.height)
        places = np.arange(self.groups)[:, None] * self.pitch + self.origin + np.arange(self.positions)
        y, j = np.nonzero((rows >= 0) & (rows < self.image[0]))
        g, i = np.nonzero((places >= 0) & (places < self.image[1]))
        for c in range(self.image[2]):
            tile, channel = divmod(c, self.channels)
            lane = tile * lanes + (j[:, None] * self.positions + i) * self.channels + channel
            array[rows[y, j][:, None], places[g, i], c] = packed[y[:, None], g, lane]
        order = [*self.axes, *self._unit_axes]
        return array.reshape(*self.image, *(1 for _ in self._unit_axes)).transpose([order.index(a) for a in range(len(order))])

    @property
    def _unit_axes(self) -> list[int]:
        return [axis for axis in range(len(self.host_shape)) if axis not in self.axes]

    def spread(self, row: NDArray[Any], lanes: int) -> NDArray[Any]:
        """Numbers of channels [C] as a row [columns] of the packed matrix, the same at every position; zeros elsewhere."""
        spread = np.zeros(self.columns(lanes), row.dtype)
        for t in range(self.tiles):
            part = row[t * self.channels : (t + 1) * self.channels]
            each = np.zeros((self.height * self.positions, self.channels), row.dtype)
            each[:, : len(part)] = part
            width = min(self.lanes, len(spread) - t * lanes)
            spread[t * lanes : t * lanes + width] = each.reshape(-1)[:width]
        return spread


def plain(image: tuple[int, int, int], lanes: int) -> Packing:
    """The layout of a tensor outside of convolutions."""
    return Packing(image, image[0], image[1], 1, min(lanes, image[2]))

"""How a kernel moves over an image."""

from __future__ import annotations

from dataclasses import dataclass

from isa.errors import ModelFault


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves over an image. `pads` are top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def sizes(self, op: str, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the result. Raises ModelFault."""
        for what, values, low in (("strides", self.strides, 1), ("dilations", self.dilations, 1), ("pads", self.pads, 0)):
            if min(values) < low:
                raise ModelFault(f"{op}: {what} {list(values)} must be at least {low}")
        found: list[int] = []
        for axis, size in enumerate((height, width)):
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            room = size + self.pads[axis] + self.pads[axis + 2]
            if room < reach:
                raise ModelFault(
                    f"{op}: a window of {reach} {('rows', 'columns')[axis]} is larger than the padded image, which has {room}"
                )
            found.append((room - reach) // self.strides[axis] + 1)
        return found[0], found[1]

    def meets_image(self, height: int, width: int) -> bool:
        """Whether every window has a place in the image, along each axis."""
        for axis, (size, count) in enumerate(zip((height, width), self.sizes("window", height, width), strict=True)):
            for i in range(count):
                first = i * self.strides[axis] - self.pads[axis]
                places = range(first, first + self.kernel[axis] * self.dilations[axis], self.dilations[axis])
                if not any(0 <= place < size for place in places):
                    return False
        return True

"""The packing of every image of a region: candidates, their costs as tables, and the cheapest choice."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import TypeGuard

import numpy as np
from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from compiler.layout.choose import MOST_ROWS, Factor, Reaching, Table, candidates, cheapest
from compiler.layout.cost import Kernel, Machine, cycles, depthwise_cycles, products_at_once
from compiler.layout.window import Window
from compiler.transforms.host_layout import host_view
from compiler.transforms.packing_regions import Region
from isa.chip import Chip
from isa.packing import Packing, plain

POINT = Window((1, 1))
"""The window of a change of packing."""

Image = tuple[int, int, int]


def machine_of(chip: Chip) -> Machine:
    sides = {plane.side for plane in chip.planes}
    kind = "rram" if chip.rram else "sram"
    rows = min(chip.mxm.load_streams, max(len(chip.slices(kind, side)) for side in ("w", "e")))
    gap = chip.timing["mxm.load"].latency + chip.timing["mxm.swap"].latency
    return Machine(chip.lanes, len(chip.planes), len(sides), rows, chip.vxm.alus, gap, products_at_once(chip))


def shifts(op: graph.MaxPool2dOp) -> list[Window]:
    """For each column of a pool's kernel the window of one place that gives its elements, for every row of the image."""
    window = op.window
    return [
        Window((1, 1), (1, window.strides[1]), (0, window.pads[1] - k * window.dilations[1], 0, 0))
        for k in range(window.kernel[1])
    ]


def kernel_of(op: graph.Conv2dOp) -> Kernel:
    return Kernel(op.window, op.groups.value.data, tensor_of(op.x).shape[2], tensor_of(op.result).shape[2])


def on_vector_unit(op: graph.Conv2dOp, source: Packing, target: Packing, chip: Chip) -> bool:
    """Whether a convolution between these packings takes the vector unit less time than the planes."""
    return _vector_cycles(op, source, target, machine_of(chip)) < cycles(kernel_of(op), source, target, machine_of(chip))


def _vector_cycles(op: graph.Conv2dOp, source: Packing, target: Packing, machine: Machine) -> float:
    """Of bytes in the plain layout; infinity for anything else."""
    layouts = [plain(packing.image, machine.lanes) for packing in (source, target)]
    if layouts != [source, target] or tensor_of(op.x).type != "i8" or tensor_of(op.w).type != "i8":
        return float("inf")
    return depthwise_cycles(kernel_of(op), source.image, machine)


def choose_packings(region: Region, chip: Chip) -> list[Packing]:
    """A packing for every class of the region."""
    machine = machine_of(chip)
    members = region.members
    inside = set(region.operations)
    offers = [_offers(values, region, inside, chip) for values in members]
    for number, values in enumerate(members):
        offers[number] += _host_windows(values, region, inside, offers, chip.lanes)
    for op in region.operations:
        if isinstance(op, graph.Conv2dOp):
            number = region.classes[op.x]
            offers[number] += _overlapping_as(op, offers[number], offers[region.classes[op.result]], chip.lanes)
    factors = [_boundary(number, values, inside, offers[number], machine) for number, values in enumerate(members)]
    for op in region.operations:
        if isinstance(op, graph.Conv2dOp | graph.MaxPool2dOp):
            factors.append(_edge(op, region, offers, machine))
    chosen = cheapest([len(offer) for offer in offers], factors)
    return [offer[choice] for offer, choice in zip(offers, chosen, strict=True)]


def image_of(value: SSAValue) -> Image:
    height, width, channels = tensor_of(value).shape
    return height, width, channels


def _entered(value: SSAValue, inside: set[Operation]) -> bool:
    """Whether the value comes into the region from outside."""
    return value.owner not in inside


def packed_by_host(value: SSAValue, inside: set[Operation]) -> bool:
    """Whether the value is an input, maybe with its axes in another order, of which only the region makes use."""
    return host_view(value) is not None and all(use.operation in inside for use in value.uses)


def leaves(value: SSAValue, inside: set[Operation]) -> bool:
    """Whether something outside the region uses the value."""
    return any(use.operation not in inside for use in value.uses)


def _offers(values: list[SSAValue], region: Region, inside: set[Operation], chip: Chip) -> list[Packing]:
    """Candidates of a class. Sums of floats keep their order only in the plain layout; only bytes can be packed or unpacked."""
    image = image_of(values[0])
    fixed = [plain(image, chip.lanes)]
    for value in values:
        crosses = (_entered(value, inside) and not packed_by_host(value, inside)) or leaves(value, inside)
        if crosses and tensor_of(value).type != "i8":
            return fixed
        for op in [value.owner, *(use.operation for use in value.uses)]:
            if isinstance(op, graph.Conv2dOp) and op in inside and tensor_of(op.x).type != "i8":
                return fixed
    reading = [use.operation for value in values for use in value.uses if use.operation in inside]
    readers = [op for op in reading if _has_window(op)]
    makers = [value.owner for value in values if value.owner in inside and _has_window(value.owner)]
    grouped = any(_is_grouped(op) for op in (*readers, *makers))
    windows = [list(dict.fromkeys(_reaching(op) for op in ops)) for ops in (readers, makers)]
    most_rows = MOST_ROWS if any(_is_grouped(op) for op in inside) else 1
    return candidates(image, windows[0], windows[1], chip.lanes, grouped, most_rows)


def _is_grouped(op: Operation | Block) -> bool:
    return isinstance(op, graph.Conv2dOp) and op.groups.value.data > 1


def _has_window(op: Operation | Block) -> TypeGuard[graph.Conv2dOp | graph.MaxPool2dOp]:
    return isinstance(op, graph.Conv2dOp | graph.MaxPool2dOp)


def _reaching(op: graph.Conv2dOp | graph.MaxPool2dOp) -> tuple[Reaching, Reaching]:
    """An operation's window along rows and along positions."""
    window, outputs = op.window, tensor_of(op.result).shape
    rows, places = (
        Reaching((window.kernel[i] - 1) * window.dilations[i] + 1, window.strides[i], window.pads[i], outputs[i])
        for i in (0, 1)
    )
    return rows, places


def _host_windows(
    values: list[SSAValue], region: Region, inside: set[Operation], offers: list[list[Packing]], lanes: int
) -> list[Packing]:
    """Packings of an input in which one vector holds all that a vector of a convolution's result needs."""
    if not all(packed_by_host(v, inside) for v in values if _entered(v, inside)) or any(leaves(v, inside) for v in values):
        return []
    if any(isinstance(v.owner, graph.Conv2dOp | graph.MaxPool2dOp) for v in values):
        return []
    found: list[Packing] = []
    for op in dict.fromkeys(use.operation for v in values for use in v.uses):
        if not isinstance(op, graph.Conv2dOp) or tensor_of(op.x).type != "i8":
            continue
        window, image = op.window, image_of(op.x)
        for target in offers[region.classes[op.result]]:
            height = (target.height - 1) * window.strides[0] + (window.kernel[0] - 1) * window.dilations[0] + 1
            width = (target.positions - 1) * window.strides[1] + (window.kernel[1] - 1) * window.dilations[1] + 1
            if height * width * image[2] > lanes:
                continue
            origin, step = target.origin * window.strides[1] - window.pads[1], target.pitch * window.strides[1]
            found.append(
                Packing(image, target.rows, target.groups, width, image[2], origin, step,
                        height, window.strides[0] * target.row_step, window.strides[0] * target.row_origin - window.pads[0])
            )  # fmt: skip
    return list(dict.fromkeys(found))


def _overlapping_as(op: graph.Conv2dOp, sources: list[Packing], targets: list[Packing], lanes: int) -> list[Packing]:
    """For a convolution of single positions packings of the image that overlap as those of its result do, so that each vector
    of the result needs one of the image a tile."""
    window, image = op.window, image_of(op.x)
    if window.kernel != (1, 1) or window.strides != (1, 1) or any(window.pads) or len(sources) < 2:
        return []
    found = [
        Packing(image, t.rows, t.groups, t.positions, image[2], t.origin, t.pitch, t.height, t.row_step, t.row_origin)
        for t in targets
        if (t.pitch, t.row_step) != (t.positions, t.height) and t.positions * t.height * image[2] <= lanes
    ]
    return [packing for packing in dict.fromkeys(found) if packing not in sources]


def _boundary(number: int, values: list[SSAValue], inside: set[Operation], offer: list[Packing], machine: Machine) -> Factor:
    """What it costs to change the packing of values that come from outside, or go there."""
    costs = np.zeros(len(offer))
    for value in values:
        image = image_of(value)
        simple, kernel = plain(image, machine.lanes), Kernel(POINT, image[2], image[2], image[2], 1)
        for i, packing in enumerate(offer):
            if packing == simple:
                continue
            if _entered(value, inside) and not packed_by_host(value, inside):
                costs[i] += cycles(kernel, simple, packing, machine)
            if leaves(value, inside):
                costs[i] += cycles(kernel, packing, simple, machine)
    return Factor((number,), costs)


def _edge(op: graph.Conv2dOp | graph.MaxPool2dOp, region: Region, offers: list[list[Packing]], machine: Machine) -> Factor:
    """Costs of a convolution or a pool over the packings of its image and its result."""
    a, b = region.classes[op.x], region.classes[op.result]
    if isinstance(op, graph.Conv2dOp):
        table = _convolution(kernel_of(op), tuple(offers[a]), tuple(offers[b]), machine)
        simple = offers[a][0], offers[b][0]
        table[0, 0] = min(table[0, 0], _vector_cycles(op, *simple, machine))
    else:
        channels = tensor_of(op.x).shape[2]
        kernels = [Kernel(window, channels, channels, channels, 2) for window in shifts(op)]
        table = np.full((len(offers[a]), len(offers[b])), np.inf)
        for (i, source), (j, target) in product(enumerate(offers[a]), enumerate(offers[b])):
            if source.by_rows and target.by_rows:
                between = replace(target, image=(source.image[0], *target.image[1:]), rows=source.image[0])
                table[i, j] = sum(cycles(kernel, source, between, machine) for kernel in kernels)
    if a == b:
        return Factor((a,), np.diagonal(table).copy())
    return Factor((a, b), table) if a < b else Factor((b, a), table.T.copy())


@lru_cache(maxsize=64)
def _known_table(kernel: Kernel, sources: tuple[Packing, ...], targets: tuple[Packing, ...], machine: Machine) -> Table:
    return np.array([[cycles(kernel, source, target, machine) for target in targets] for source in sources])


def _convolution(kernel: Kernel, sources: tuple[Packing, ...], targets: tuple[Packing, ...], machine: Machine) -> Table:
    """Costs of a convolution on the planes over packings of its image and its result. Networks repeat their layers."""
    return _known_table(kernel, sources, targets, machine).copy()

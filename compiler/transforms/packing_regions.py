"""Which values of a graph can be packed, and which of them must lie alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.ir import Block, Operation, SSAValue

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from isa.chip import Chip

ELEMENTWISE = (graph.UnaryOp, graph.BinaryOp, graph.WhereOp, graph.CastOp, graph.ScaledOp)
KNOWN = (graph.ParamOp, graph.ConstantOp)


@dataclass(slots=True)
class Region:
    """Packable operations of a block, and the class of every value that they touch: values of one class lie alike."""

    operations: list[Operation] = field(default_factory=list[Operation])
    classes: dict[SSAValue, int] = field(default_factory=dict[SSAValue, int])

    @property
    def members(self) -> list[list[SSAValue]]:
        """The values of each class, in program order."""
        found: list[list[SSAValue]] = [[] for _ in range(max(self.classes.values(), default=-1) + 1)]
        for value, number in self.classes.items():
            found[number].append(value)
        return found


def find_region(block: Block, chip: Chip) -> Region:
    """Convolutions with known weights, pools of i8, and the elementwise operations that touch their images."""
    operations = list(block.ops)
    chosen = {op for op in operations if _is_kernel(op, chip)}
    images = {value for op in chosen for value in _images(op)}
    grown = True
    while grown:
        grown = False
        for op in operations:
            if op in chosen or not isinstance(op, ELEMENTWISE) or not _fits(op):
                continue
            values = _images(op)
            if images.intersection(values):
                chosen.add(op)
                images.update(values)
                grown = True
    inside = [op for op in operations if op in chosen]
    return Region(inside, _classes(inside))


def _is_kernel(op: Operation, chip: Chip) -> bool:
    if isinstance(op, graph.MaxPool2dOp):
        return tensor_of(op.x).type == "i8" and op.window.dilations[0] == 1
    if not isinstance(op, graph.Conv2dOp) or not isinstance(op.w.owner, KNOWN):
        return False
    kinds = tensor_of(op.x).type, tensor_of(op.w).type
    mode = {("i8", "i8"): "i8", ("f16", "f16"): "f16", ("f16", "i8"): "i8f16"}[kinds]
    return mode in chip.mxm.modes and chip.depth(mode) == chip.lanes and op.window.meets_image(*tensor_of(op.x).shape[:2])


def _images(op: Operation) -> list[SSAValue]:
    """Operands and result that are images."""
    if isinstance(op, graph.Conv2dOp | graph.MaxPool2dOp):
        return [op.x, op.result]
    return [*(v for v in op.operands if not isinstance(v.owner, KNOWN)), op.results[0]]


def _fits(op: Operation) -> bool:
    """Whether all images of an elementwise operation have one shape, and all else is known and spread over positions."""
    shape = tensor_of(op.results[0]).shape
    if len(shape) != 3:
        return False
    for value in op.operands:
        found = tensor_of(value).shape
        if isinstance(value.owner, KNOWN):
            alike = found == shape or (
                len(found) <= 3 and all(n == 1 for n in found[:-1]) and found[-1:] in ((), (1,), shape[-1:])
            )
            if not alike:
                return False
        elif found != shape:
            return False
    return True


def _classes(operations: Iterable[Operation]) -> dict[SSAValue, int]:
    parent: dict[SSAValue, SSAValue] = {}

    def root(value: SSAValue) -> SSAValue:
        parent.setdefault(value, value)
        while parent[value] is not value:
            value = parent[value]
        return value

    for op in operations:
        images = _images(op)
        for value in images:
            root(value)
        if isinstance(op, ELEMENTWISE):
            for value in images[1:]:
                parent[root(value)] = root(images[0])
    numbers: dict[SSAValue, int] = {}
    return {value: numbers.setdefault(root(value), len(numbers)) for value in parent}

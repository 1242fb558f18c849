"""Shape and type rules of the graph dialect, without IR: what each operation accepts and what it gives.

Front ends, the dialect's constructors and its verifiers all ask here. Every function raises ModelFault that names the
operation and the two things that do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from isa.errors import ModelFault
from isa.spec import ElementType

FLOATS: tuple[ElementType, ...] = ("f16", "f32")
INTEGERS: tuple[ElementType, ...] = ("i8", "i32")
EXACT_UNARY = ("relu", "neg", "abs")
"""Unary functions that integers have too."""
COMPARISONS = ("lt", "le", "eq")
BITWISE = ("bitand", "bitor", "bitxor", "shl", "shr")
"""Binary functions that only integers have."""
SUM_TYPES: dict[ElementType, ElementType] = {"i8": "i32", "i32": "i32", "f16": "f32", "f32": "f32"}
MATMUL_TYPES: dict[tuple[ElementType, ElementType], ElementType] = {
    ("i8", "i8"): "i32",
    ("f16", "f16"): "f32",
    ("f16", "i8"): "f32",
    ("f32", "f32"): "f32",
}


class Tensor(NamedTuple):
    """Element type and static shape of a value; a scalar has the shape ()."""

    type: ElementType
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.type}[{', '.join(map(str, self.shape))}]"

    @property
    def elements(self) -> int:
        return prod(self.shape)


def require_type(op: str, what: str, x: Tensor, allowed: Sequence[ElementType]) -> None:
    if x.type not in allowed:
        raise ModelFault(f"{op}: {what} is {x}, its type must be {' or '.join(allowed)}")


def normal_axis(op: str, axis: int, rank: int) -> int:
    """A possibly negative axis as 0 … rank-1."""
    if not -rank <= axis < rank:
        raise ModelFault(f"{op}: axis {axis} of a tensor of rank {rank}")
    return axis % rank


def normal_axes(op: str, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes sorted, each once, none negative."""
    normal = sorted(normal_axis(op, axis, rank) for axis in axes)
    if not normal or len(set(normal)) != len(normal):
        raise ModelFault(f"{op}: axes {list(axes)} must name at least one axis and none twice")
    return tuple(normal)


def broadcast_shapes(op: str, *tensors: Tensor) -> tuple[int, ...]:
    """NumPy broadcasting: shapes aligned at the right, sizes equal or 1."""
    rank = max(len(t.shape) for t in tensors)
    padded = [(1,) * (rank - len(t.shape)) + t.shape for t in tensors]
    result: list[int] = []
    for sizes in zip(*padded, strict=True):
        wanted = [n for n in sizes if n != 1]
        if any(n != wanted[0] for n in wanted):
            raise ModelFault(f"{op}: shapes do not broadcast: {' and '.join(str(t) for t in tensors)}")
        result.append(wanted[0] if wanted else 1)
    return tuple(result)


def unary(fn: str, x: Tensor) -> Tensor:
    require_type(fn, "the operand", x, (*FLOATS, *INTEGERS) if fn in EXACT_UNARY else FLOATS)
    return x


def binary(fn: str, a: Tensor, b: Tensor) -> Tensor:
    if a.type != b.type:
        raise ModelFault(f"{fn}: element types differ: {a} and {b}", hint="convert one of them with cast")
    if fn == "div":
        require_type(fn, "the operand", a, FLOATS)
    if fn in BITWISE:
        require_type(fn, "the operand", a, INTEGERS)
    return Tensor("i8" if fn in COMPARISONS else a.type, broadcast_shapes(fn, a, b))


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    require_type("where", "the condition", condition, ("i8",))
    if a.type != b.type:
        raise ModelFault(f"where: element types differ: {a} and {b}", hint="convert one of them with cast")
    return Tensor(a.type, broadcast_shapes("where", condition, a, b))


def scaled(op: str, x: Tensor, scale: Tensor) -> Tensor:
    """quantize, dequantize, requantize: `scale` broadcasts to the shape of `x`."""
    accepted: dict[str, tuple[ElementType, ...]] = {"quantize": FLOATS, "dequantize": INTEGERS, "requantize": ("i32",)}
    require_type(op, "the operand", x, accepted[op])
    require_type(op, "the scale", scale, ("f32",))
    if broadcast_shapes(op, x, scale) != x.shape:
        raise ModelFault(f"{op}: the scale {scale} does not broadcast to {x}")
    return Tensor("f32" if op == "dequantize" else "i8", x.shape)


def reduce(fn: str, x: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    chosen = normal_axes(fn, axes, len(x.shape))
    kept = [1 if i in chosen else n for i, n in enumerate(x.shape) if keepdims or i not in chosen]
    kind = SUM_TYPES[x.type] if fn == "sum" else "f32" if fn == "mean" else x.type
    return Tensor(kind, tuple(kept))


def matmul(a: Tensor, b: Tensor, transpose_b: bool = False, precision: str | None = None, groups: int = 1) -> Tensor:
    if (a.type, b.type) not in MATMUL_TYPES:
        pairs = ", ".join(f"{x}·{y}" for x, y in MATMUL_TYPES)
        raise ModelFault(f"matmul: no product of {a} and {b}; there are {pairs}", hint="convert an operand with cast")
    if precision not in (None, "f32", "f16"):
        raise ModelFault(f"matmul: precision '{precision}' must be f32 or f16")
    if precision and a.type != "f32":
        raise ModelFault(f"matmul: precision is for f32·f32, not for {a.type}·{b.type}")
    if len(a.shape) < 2 or len(b.shape) < 2:
        raise ModelFault(f"matmul: operands need two axes or more, they are {a} and {b}")
    inner, columns = (b.shape[-1], b.shape[-2]) if transpose_b else (b.shape[-2], b.shape[-1])
    if groups != 1:
        if groups < 1 or (a.type, b.type) != ("i8", "i8"):
            raise ModelFault(f"matmul: groups are for i8·i8, not {groups} of them for {a.type}·{b.type}")
        if b.shape[-1] % groups:
            raise ModelFault(f"matmul: the last axis of {b} does not fall into {groups} groups")
        inner, columns = (inner, columns * groups) if transpose_b else (inner * groups, columns)
    if a.shape[-1] != inner:
        raise ModelFault(f"matmul: inner sizes differ: {a.shape[-1]} and {inner} ({a} and {b}{', transposed' * transpose_b})")
    if len(b.shape) > 2 and b.shape[:-2] != a.shape[:-2]:
        raise ModelFault(f"matmul: batch sizes differ: {list(a.shape[:-2])} and {list(b.shape[:-2])}")
    return Tensor(MATMUL_TYPES[a.type, b.type], (*a.shape[:-1], columns))


def normalised(op: str, x: Tensor, **rows: Tensor) -> Tensor:
    """softmax, layernorm, rmsnorm over the last axis; `rows` (gain, bias) have its size."""
    require_type(op, "the operand", x, FLOATS)
    if not x.shape:
        raise ModelFault(f"{op}: the operand is a scalar, it needs an axis")
    for name, row in rows.items():
        require_type(op, f"the {name}", row, FLOATS)
        if row.shape != x.shape[-1:]:
            raise ModelFault(f"{op}: the {name} is {row}, its shape must be [{x.shape[-1]}] as the last axis of {x}")
    return x


def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    result = Tensor(x.type, tuple(shape))
    if min(shape, default=1) < 1 or result.elements != x.elements:
        raise ModelFault(f"reshape: {x} has {x.elements} elements, {result} has {result.elements}")
    return result


def transpose(x: Tensor, permutation: Sequence[int]) -> Tensor:
    if sorted(permutation) != list(range(len(x.shape))):
        raise ModelFault(f"transpose: {list(permutation)} is no permutation of the {len(x.shape)} axes of {x}")
    return Tensor(x.type, tuple(x.shape[axis] for axis in permutation))


def slice_of(x: Tensor, offsets: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Tensor:
    if not len(offsets) == len(sizes) == len(strides) == len(x.shape):
        raise ModelFault(f"slice: {x} needs {len(x.shape)} offsets, sizes and strides")
    for axis, (offset, size, stride, extent) in enumerate(zip(offsets, sizes, strides, x.shape, strict=True)):
        if offset < 0 or size < 1 or stride < 1 or offset + (size - 1) * stride >= extent:
            raise ModelFault(f"slice: offset {offset}, size {size}, stride {stride} leave axis {axis} of {x}")
    return Tensor(x.type, tuple(sizes))


def take(x: Tensor, columns: Sequence[int]) -> Tensor:
    if not x.shape or not columns:
        raise ModelFault(f"take: {x} needs a last axis, and at least one column of it")
    outside = [c for c in columns if not 0 <= c < x.shape[-1]]
    if outside:
        raise ModelFault(f"take: column {outside[0]} is none of the {x.shape[-1]} of {x}")
    return Tensor(x.type, (*x.shape[:-1], len(columns)))


def concat(parts: Sequence[Tensor], axis: int) -> Tensor:
    if not parts:
        raise ModelFault("concat: nothing to put together")
    first = parts[0]
    axis = normal_axis("concat", axis, len(first.shape))
    for part in parts[1:]:
        fits = len(part.shape) == len(first.shape) and part.type == first.type
        if not fits or any(m != n for i, (m, n) in enumerate(zip(first.shape, part.shape, strict=True)) if i != axis):
            raise ModelFault(f"concat: {first} and {part} differ in more than axis {axis}")
    length = sum(part.shape[axis] for part in parts)
    return Tensor(first.type, (*first.shape[:axis], length, *first.shape[axis + 1 :]))


def pad(x: Tensor, low: Sequence[int], high: Sequence[int]) -> Tensor:
    if not len(low) == len(high) == len(x.shape) or min((*low, *high), default=0) < 0:
        raise ModelFault(f"pad: {x} needs {len(x.shape)} amounts before and after, none negative")
    return Tensor(x.type, tuple(b + n + a for b, n, a in zip(low, x.shape, high, strict=True)))


def gather(table: Tensor, index: Tensor) -> Tensor:
    require_type("gather", "the index", index, ("i32",))
    if not table.shape:
        raise ModelFault("gather: the table is a scalar, it needs an axis")
    return Tensor(table.type, (*index.shape, *table.shape[1:]))


def scatter(x: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    require_type("scatter", "the index", index, ("i32",))
    if not x.shape:
        raise ModelFault("scatter: the target is a scalar, it needs an axis")
    if rows != Tensor(x.type, (*index.shape, *x.shape[1:])):
        wanted = Tensor(x.type, (*index.shape, *x.shape[1:]))
        raise ModelFault(f"scatter: {rows} into {x} at {index}: the rows must be {wanted}")
    return x


def insert(x: Tensor, block: Tensor, offsets: Sequence[int]) -> Tensor:
    if block.type != x.type or len(block.shape) != len(x.shape) or len(offsets) != len(x.shape):
        raise ModelFault(f"insert: {block} at {list(offsets)} does not fit {x}: same type, rank and one offset an axis")
    for axis, (offset, size, extent) in enumerate(zip(offsets, block.shape, x.shape, strict=True)):
        if offset < 0 or offset + size > extent:
            raise ModelFault(f"insert: {size} from {offset} on leave axis {axis} of {x}")
    return x


def broadcast(x: Tensor, shape: Sequence[int]) -> Tensor:
    result = Tensor(x.type, tuple(shape))
    if min(shape, default=1) < 1 or broadcast_shapes("broadcast", x, result) != result.shape:
        raise ModelFault(f"broadcast: {x} does not broadcast to {result}")
    return result

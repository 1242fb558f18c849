"""einsum for one or two tensors: transposes and reshapes around one matrix product."""

from __future__ import annotations

import re
from math import prod

from compiler.dialects import graph
from compiler.frontend.emitter import Emitter
from compiler.frontend.operators import alike, product
from compiler.frontend.values import TensorValue
from isa.errors import ModelFault

FORM = "einsum is written as 'hsd,htd->hst': a letter an axis, one or two operands, the result's letters last"


def contract(e: Emitter, equation: str, operands: list[TensorValue]) -> TensorValue:
    """The sum over all letters that the result leaves out. Raises ModelFault when letters and shapes do not fit."""
    labels, result = _parse(equation, len(operands))
    _check_sizes(equation, labels, operands)
    kept = set(result)
    if len(operands) == 1:
        x, letters = _drop(e, operands[0], labels[0], kept)
        return e.transpose(x, [letters.index(c) for c in result])
    a, left = _drop(e, operands[0], labels[0], kept | set(labels[1]))
    b, right = _drop(e, operands[1], labels[1], kept | set(labels[0]))
    return _product(e, a, left, b, right, result)


def _parse(equation: str, count: int) -> tuple[list[str], str]:
    match = re.fullmatch(r"([A-Za-z]+)(?:,([A-Za-z]+))?->([A-Za-z]*)", equation.replace(" ", ""))
    if not match:
        raise ModelFault(f"einsum: cannot read '{equation}'", hint=FORM)
    labels = [group for group in (match[1], match[2]) if group]
    if len(labels) != count:
        raise ModelFault(f"einsum: '{equation}' is for {len(labels)} tensors; found {count}", hint=FORM)
    for letters in (*labels, match[3]):
        if len(set(letters)) != len(letters):
            raise ModelFault(f"einsum: a letter is there twice in '{letters}'; diagonals are not supported")
    unknown = sorted(set(match[3]) - set("".join(labels)))
    if unknown:
        raise ModelFault(f"einsum: '{unknown[0]}' is in the result and in no operand")
    return labels, match[3]


def _check_sizes(equation: str, labels: list[str], operands: list[TensorValue]) -> None:
    sizes: dict[str, int] = {}
    for letters, x in zip(labels, operands, strict=True):
        if len(letters) != len(x.shape):
            raise ModelFault(f"einsum: '{letters}' names {len(letters)} axes; {x.tensor} has {len(x.shape)}")
        for letter, size in zip(letters, x.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ModelFault(
                    f"einsum: '{letter}' of '{equation}' is {sizes[letter]} in one operand and {size} in the other"
                )


def _drop(e: Emitter, x: TensorValue, letters: str, wanted: set[str]) -> tuple[TensorValue, str]:
    """Sum over the letters that nothing else has."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in wanted]
    if not axes:
        return x, letters
    return e.emit(graph.ReduceOp, "sum", x.ssa, axes), "".join(c for c in letters if c in wanted)


def _product(e: Emitter, a: TensorValue, left: str, b: TensorValue, right: str, result: str) -> TensorValue:
    """[batch, rows, inner] × [batch, inner, columns], whichever way round b has its last two groups already."""
    batch = "".join(c for c in result if c in left and c in right)
    inner = "".join(c for c in left if c in right and c not in result)
    rows = "".join(c for c in left if c not in right)
    columns = "".join(c for c in right if c not in left)
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    size = {group: prod(sizes[c] for c in group) for group in (rows, inner, columns)}
    outer = tuple(sizes[c] for c in batch)
    if not inner:
        x = e.reshape(_ordered(e, a, left, batch + rows), (*outer, *(sizes[c] for c in rows), *[1] * len(columns)))
        y = e.reshape(_ordered(e, b, right, batch + columns), (*outer, *[1] * len(rows), *(sizes[c] for c in columns)))
        left_side, right_side = alike(e, "einsum", x, y, ("a", "b"))
        spread = e.emit(graph.BinaryOp, "mul", left_side.ssa, right_side.ssa)
        return _ordered(e, spread, batch + rows + columns, result)
    transposed = right == batch + columns + inner
    x = e.reshape(_ordered(e, a, left, batch + rows + inner), (*outer, size[rows], size[inner]))
    first, last = (columns, inner) if transposed else (inner, columns)
    y = e.reshape(_ordered(e, b, right, batch + first + last), (*outer, size[first], size[last]))
    z = product(e, x, y, ("a", "b"), transposed)
    spread = e.reshape(z, (*outer, *(sizes[c] for c in rows + columns)))
    return _ordered(e, spread, batch + rows + columns, result)


def _ordered(e: Emitter, x: TensorValue, letters: str, wanted: str) -> TensorValue:
    return e.transpose(x, [letters.index(c) for c in wanted])

"""Einsum: operands contracted from left to right, each time by one product of matrices."""

from __future__ import annotations

import string
from math import prod

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@translator("Einsum")
def einsum(e: OnnxEmitter, call: Call) -> Value:
    operands = call.all_inputs()
    labels, result = parse(call.text("equation"), [x.rank for x in operands])
    kind = operands[0].kind
    terms = [diagonal(wide(e, x), letters) for x, letters in zip(operands, labels, strict=True)]
    total, have = terms[0]
    for i, (term, letters) in enumerate(terms[1:], 1):
        later = set(result).union(*(held for _, held in terms[i + 1 :]))
        total, have = contracted(total, have, term, letters, later)
    total, have = summed(total, have, set(result))
    return Term(e, e.transposed(total.value, [have.index(c) for c in result])).to(kind).value


def parse(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """A letter for every axis of every operand, those of an ellipsis included, and of the result. Raises ModelFault."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    groups = left.split(",")
    if len(groups) != len(ranks):
        raise ModelFault(f"equation '{equation}' is for {len(groups)} operands; found {len(ranks)}")
    unused = [c for c in string.ascii_letters if c not in equation]
    most = max((r - len(g.replace("...", "")) for g, r in zip(groups, ranks, strict=True) if "..." in g), default=0)
    hidden = "".join(unused[:most])
    labels = [
        g.replace("...", hidden[most - (r - len(g.replace("...", ""))) :] if "..." in g else "")
        for g, r in zip(groups, ranks, strict=True)
    ]
    if any(len(g) != r for g, r in zip(labels, ranks, strict=True)):
        raise ModelFault(f"equation '{equation}' does not fit operands of {ranks} axes")
    if arrow:
        return labels, right.replace("...", hidden)
    letters = "".join(labels)
    return labels, hidden + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in hidden))


def diagonal(x: Term, letters: str) -> tuple[Term, str]:
    """A letter that an operand has twice: the sum over one of the axes of what is on the diagonal."""
    for i, c in enumerate(letters):
        j = letters.find(c, i + 1)
        if j < 0:
            continue
        size = x.shape[i]
        eye = np.eye(size, dtype=np.bool_).reshape([size if axis in (i, j) else 1 for axis in range(len(letters))])
        kept = Term(x.e, x.e.constant(eye)).where(x, 0).reduce("sum", (j,), keepdims=False)
        return diagonal(kept, letters[:j] + letters[j + 1 :])
    return x, letters


def summed(x: Term, letters: str, wanted: set[str]) -> tuple[Term, str]:
    """Summed over all letters that nothing wants."""
    axes = [i for i, c in enumerate(letters) if c not in wanted]
    return (x.reduce("sum", axes, keepdims=False) if axes else x), "".join(c for c in letters if c in wanted)


def contracted(a: Term, left: str, b: Term, right: str, later: set[str]) -> tuple[Term, str]:
    """The product of two operands, summed over the letters of both that nothing later has."""
    a, left = summed(a, left, later | set(right))
    b, right = summed(b, right, later | set(left))
    sizes = {c: n for letters, x in ((left, a), (right, b)) for c, n in zip(letters, x.shape, strict=True) if n != 1}
    shared = [c for c in left if c in right]
    batch = "".join(c for c in shared if c in later)
    inner = "".join(c for c in shared if c not in later)
    rows, columns = "".join(c for c in left if c not in right), "".join(c for c in right if c not in left)

    def arranged(x: Term, letters: str, *groups: str) -> Term:
        """Axes in this order, one a group but for the batch, whose sizes of 1 are spread."""
        order = [letters.index(c) for group in groups for c in group]
        moved = Term(x.e, x.e.transposed(x.value, order))
        full = [sizes.get(c, 1) for group in groups for c in group]
        moved = Term(x.e, x.e.broadcasted(moved.value, full))
        return moved.reshaped(*(prod(sizes.get(c, 1) for c in group) for group in groups))

    if not inner:
        x, y = arranged(a, left, batch, rows, ""), arranged(b, right, batch, "", columns)
        made = x * y
    else:
        x, y = arranged(a, left, batch, rows, inner), arranged(b, right, batch, inner, columns)
        made = Term(a.e, a.e.product(x.value, y.value))
    letters = batch + rows + columns
    return made.reshaped(*(sizes.get(c, 1) for c in letters)), letters

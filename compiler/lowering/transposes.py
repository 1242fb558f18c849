"""Transposes: leading axes only in the view; the last axis by a transposed load and a feed of the identity."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from compiler.dialects.graph import TransposeOp
from compiler.dialects.graph_types import tensor_of
from compiler.lowering.boxes import join_columns, split_columns
from compiler.lowering.context import Lowering
from compiler.lowering.copies import copy_rows
from compiler.lowering.exchange import exchange_matrix
from compiler.lowering.views import View


def lower_transpose(lowering: Lowering, op: TransposeOp) -> None:
    source = lowering.window(op.x)
    permutation = list(op.permutation.get_values())
    last = len(permutation) - 1
    if last < 0 or permutation[last] == last:
        lowering.views[op.result] = source.permuted(permutation[:-1])
        return
    source = lowering.view(op.x)
    # Bring the axis that becomes the last one next to the last, exchange the two, then order the rest.
    becomes_last = permutation[last]
    rest = [a for a in range(last) if a != becomes_last]
    rows = source.permuted([*rest, becomes_last])
    shape = (*(source.leading[a] for a in rest), source.columns, source.leading[becomes_last])
    where = [*rest, last]
    order = [where.index(a) for a in permutation[:-1]]
    direct = order == list(range(len(order)))
    target = lowering.result(op.result) if direct else lowering.temporary(tensor_of(op.x).type, shape)
    exchange(lowering, rows, target)
    if not direct:
        lowering.views[op.result] = target.permuted(order)


def exchange(lowering: Lowering, source: View, target: View) -> None:
    """[…, R, C] to […, C, R], matrix by matrix."""
    for index in product(*(range(s) for s in source.leading[:-1])):
        matrix, result = source.at(index), target.at(index)
        rows, columns = matrix.leading[0], matrix.columns
        if columns == 1 and rows == 1:
            copy_rows(lowering, matrix, result)
        elif rows == 1:
            split_columns(lowering, replace(matrix, leading=(), strides=()), result, columns)
        elif columns == 1:
            join_rows = replace(matrix, leading=(1, rows), strides=(0, matrix.strides[0]))
            join_columns(lowering, _dense(lowering, join_rows), result)
        else:
            exchange_matrix(lowering, matrix, result)


def _dense(lowering: Lowering, view: View) -> View:
    if view.strides[1] == 1:
        return replace(view, strides=(view.leading[1], 1))
    target = lowering.temporary(lowering.flow.buffers[view.buffer].type, (*view.leading, 1))
    copy_rows(lowering, view, target)
    return target

"""Softmax in int8, of which `late_division` left e^(x - max x): exponentials that are the integers they become.

With m = f16(log(PEAK) - max x) they are e^(x + m), in steps of 1: the largest of a row is PEAK, as nearly as f16 says m, and
the division by their sum takes that off again, for all of a row have the same m. So a row's largest element takes two bytes,
and what follows the product is one sum and one function.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from compiler.dialects import graph
from compiler.transforms.emitter import Emitter, replace

PEAK = 125.0
"""What f16 may make of it stays near 127: where it is more, it saturates."""

LARGEST = 64.0
"""Up to this magnitude f16 is wrong by 1/64 at most, and PEAK by that part of it."""


def maximum_of(shares: SSAValue) -> SSAValue | None:
    """max x where `shares` is e^(x - max x) over some axis."""
    op = shares.owner
    below = op.x.owner if isinstance(op, graph.UnaryOp) and op.fn.data == "exp" else None
    if not isinstance(below, graph.BinaryOp) or below.fn.data != "sub":
        return None
    most = below.b.owner
    return below.b if isinstance(most, graph.ReduceOp) and most.fn.data == "max" and most.x is below.a else None


def in_steps(shares: SSAValue) -> SSAValue:
    """The shares as e^(x + m), which are up to PEAK; the old ones are gone."""
    op = shares.owner
    assert isinstance(op, graph.UnaryOp)
    below, emit = op.x.owner, Emitter.before(op)
    assert isinstance(below, graph.BinaryOp)
    less = emit.binary("add", emit.binary("mul", below.b, emit.f32(-1)), emit.f32(np.log(PEAK)))
    moved = emit.cast(emit.cast(less, "f16"), "f32")
    found = emit.unary("exp", emit.binary("add", below.a, moved))
    replace(op, found)
    return found

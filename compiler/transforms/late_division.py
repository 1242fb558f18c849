"""softmax(x) · b as (exp(x - max x) · b) / sum: the rows of the product are divided, not the shares.

So the largest share is 1 in every row, which a narrow type holds best, and the product need not wait for the sums. This changes
bits, so only who decides them may call it: `set-precision` for f16, calibration for int8.
"""

from __future__ import annotations

from compiler.dialects import graph
from compiler.dialects.graph_types import tensor_of
from compiler.transforms.emitter import Emitter, replace


def divide_after(product: graph.MatmulOp) -> None:
    """Nothing where the left operand is no softmax, or one that others read, too."""
    softmax = product.a.owner
    if not isinstance(softmax, graph.SoftmaxOp) or not softmax.result.has_one_use():
        return
    emit, last = Emitter.before(softmax), [len(tensor_of(softmax.x).shape) - 1]
    shares = emit.unary("exp", emit.binary("sub", softmax.x, emit.reduce("max", softmax.x, last)))
    total = emit.reduce("sum", shares, last)
    replace(softmax, shares)
    value = product.result
    divided = Emitter.after(product).binary("div", value, total)
    value.replace_uses_with_if(divided, lambda use: use.operation is not divided.owner)

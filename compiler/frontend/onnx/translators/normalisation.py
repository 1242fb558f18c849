"""Functions of a whole axis: softmax and norms. All compute in float32 and round once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from compiler.dialects import graph
from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.movement import normal_axes
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


def last_axis_form(e: OnnxEmitter, call: Call, x: Value) -> tuple[Value, list[int] | None]:
    """Softmax's operand with its axis last, and how to go back: by a permutation, or (before operator set 13, where all
    axes from `axis` on are one) by a reshape."""
    if call.version < 13:
        (axis,) = normal_axes((call.integer("axis", 1),), x.rank)
        return e.reshaped(x, (prod(x.shape[:axis]), prod(x.shape[axis:]))), None
    (axis,) = normal_axes((call.integer("axis", -1),), x.rank)
    swap = list(range(x.rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    return e.transposed(x, swap), swap


@translator("Softmax", "LogSoftmax")
def softmax(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    rows, swap = last_axis_form(e, call, x)
    found = e.softmax(rows) if call.node.op == "Softmax" else log_softmax(wide(e, rows)).to(x.kind).value
    return e.reshaped(found, x.shape) if swap is None else e.transposed(found, swap)


def log_softmax(x: Term) -> Term:
    """Over the last axis."""
    last = (len(x.shape) - 1,)
    low = x - x.reduce("max", last)
    return low - low("exp").reduce("sum", last)("log")


def centred(x: Term, axes: Sequence[int]) -> tuple[Term, Term, Term]:
    """Mean, difference from it, and the mean of its square."""
    mean = x.reduce("mean", axes)
    difference = x - mean
    return mean, difference, (difference * difference).reduce("mean", axes)


@translator("LayerNormalization")
def layer_norm(e: OnnxEmitter, call: Call) -> list[Value]:
    """Over all axes from `axis` on; mean and inverse deviation where they are asked for."""
    x, gain, bias = call.input(0), call.input(1), call.optional(2)
    (axis,) = normal_axes((call.integer("axis", -1),), x.rank)
    eps, shape, row = call.number("epsilon", 1e-5), x.shape[axis:], prod(x.shape[axis:])
    if bias is not None and gain.shape == bias.shape == shape and call.outputs == 1:
        flat, *vectors = (e.reshaped(v, s) for v, s in ((x, (*x.shape[:axis], row)), (gain, (row,)), (bias, (row,))))
        return [e.reshaped(e.layernorm(flat, vectors[0], vectors[1], eps), x.shape)]
    axes = range(axis, x.rank)
    mean, difference, variance = centred(wide(e, x), axes)
    inverse = (variance + eps)("rsqrt")
    result = difference * inverse * wide(e, gain)
    result = result if bias is None else result + wide(e, bias)
    return [result.to(x.kind).value, mean.to("float32").value, inverse.to("float32").value]


@translator("RMSNormalization")
def rms_norm(e: OnnxEmitter, call: Call) -> Value:
    x, gain = call.input(0), call.input(1)
    (axis,) = normal_axes((call.integer("axis", -1),), x.rank)
    eps, row = call.number("epsilon", 1e-5), prod(x.shape[axis:])
    if gain.shape == x.shape[axis:]:
        flat, vector = e.reshaped(x, (*x.shape[:axis], row)), e.reshaped(gain, (row,))
        normed = e.emit(graph.RmsNormOp, e.tensor(flat).ssa, e.tensor(vector).ssa, eps)
        return e.reshaped(e.value(normed, x.kind), x.shape)
    wide_x = wide(e, x)
    square = (wide_x * wide_x).reduce("mean", range(axis, x.rank))
    return (wide_x * (square + eps)("rsqrt") * wide(e, gain)).to(x.kind).value


def along_channels(x: Term, rank: int) -> Term:
    """A [C] vector as [C, 1, …], to go with axis 1 of a tensor of this rank."""
    return x.reshaped(*x.shape, *[1] * (rank - 2)) if rank > 1 else x


@translator("BatchNormalization")
def batch_norm(e: OnnxEmitter, call: Call) -> list[Value]:
    """With the statistics that are given; with `training_mode` those of the batch, and the running ones brought forward."""
    source, eps = call.input(0), call.number("epsilon", 1e-5)
    gain, bias, mean, variance = (wide(e, call.input(i)) for i in range(1, 5))
    x, outputs = wide(e, source), []
    if call.integer("training_mode", 0):
        momentum = call.number("momentum", 0.9)
        axes = [i for i in range(source.rank) if i != 1]
        batch_mean, _, batch_variance = centred(x, axes)
        fresh = [batch_mean.reshaped(*mean.shape), batch_variance.reshaped(*variance.shape)]
        outputs = [
            (old * momentum + new * (1 - momentum)).to(call.input(3 + i).kind).value
            for i, (old, new) in enumerate(zip((mean, variance), fresh, strict=True))
        ]
        mean, variance = fresh
    scale = gain * (variance + eps)("rsqrt")
    scale, shift = along_channels(scale, source.rank), along_channels(bias - mean * scale, source.rank)
    return [(x * scale + shift).to(source.kind).value, *outputs]


@translator("InstanceNormalization")
def instance_norm(e: OnnxEmitter, call: Call) -> Value:
    x, gain, bias = call.input(0), call.input(1), call.input(2)
    _, difference, variance = centred(wide(e, x), range(2, x.rank))
    scale = along_channels(wide(e, gain), x.rank) * (variance + call.number("epsilon", 1e-5))("rsqrt")
    return (difference * scale + along_channels(wide(e, bias), x.rank)).to(x.kind).value


@translator("GroupNormalization")
def group_norm(e: OnnxEmitter, call: Call) -> Value:
    """Gain and bias are per channel, before operator set 21 per group."""
    x, groups = call.input(0), call.integer("num_groups")
    n, c, *spatial = x.shape
    if c % groups:
        raise ModelFault(f"the {c} channels of {x} do not divide into {groups} groups")
    _, difference, variance = centred(wide(e, x).reshaped(n, groups, c // groups * prod(spatial)), (2,))
    normed = (difference * (variance + call.number("epsilon", 1e-5))("rsqrt")).reshaped(n, groups, c // groups, prod(spatial))
    gain, bias = (wide(e, call.input(i)) for i in (1, 2))
    each = (groups, 1, 1) if gain.shape == (groups,) and call.version < 21 else (groups, c // groups, 1)
    return (normed * gain.reshaped(*each) + bias.reshaped(*each)).reshaped(*x.shape).to(x.kind).value


@translator("MeanVarianceNormalization")
def mean_variance_norm(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    axes = normal_axes(call.integers("axes", (0, 2, 3)), x.rank)
    _, difference, variance = centred(wide(e, x), sorted(axes))
    return (difference / (variance("sqrt") + 1e-9)).to(x.kind).value


@translator("LpNormalization")
def lp_norm(e: OnnxEmitter, call: Call) -> Value:
    """x over its norm; 0 where the norm is 0."""
    x, p = call.input(0), call.integer("p", 2)
    if p not in (1, 2):
        raise ModelFault(f"p={p} must be 1 or 2")
    axes = normal_axes((call.integer("axis", -1),), x.rank)
    wide_x = wide(e, x)
    norm = abs(wide_x).reduce("sum", axes) if p == 1 else (wide_x * wide_x).reduce("sum", axes)("sqrt")
    zero = norm.equals(0)
    return zero.where(0.0, wide_x / zero.where(1.0, norm)).to(x.kind).value


@translator("LRN")
def local_response_norm(e: OnnxEmitter, call: Call) -> Value:
    """x / (bias + alpha / size · Σ x²)^beta, the sum over `size` neighbouring channels."""
    x, size = wide(e, call.input(0)), call.integer("size")
    low = [(size - 1) // 2 if i == 1 else 0 for i in range(len(x.shape))]
    high = [size // 2 if i == 1 else 0 for i in range(len(x.shape))]
    square = e.padded((x * x).value, low, high)
    total: Term | None = None
    for i in range(size):
        neighbour = Term(e, e.sliced(square, [i if axis == 1 else 0 for axis in range(len(x.shape))], x.shape))
        total = neighbour if total is None else total + neighbour
    assert total is not None
    base = total * (call.number("alpha", 1e-4) / size) + call.number("bias", 1.0)
    return (x * (base("log") * -call.number("beta", 0.75))("exp")).to(call.input(0).kind).value

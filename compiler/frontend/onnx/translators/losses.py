"""Losses that classification models end with."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, iota, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.normalisation import log_softmax
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


def likelihood(e: OnnxEmitter, call: Call, scores: Term, target: Value, weight: Value | None) -> Term:
    """-weight[class] · score[class] of every place, averaged or summed as `reduction` says. scores are [N, C, …]."""
    n, c, *rest = scores.shape
    classes = wide(e, target).reshaped(n, 1, *rest)
    chosen = classes.equals(iota(e, c, 1, len(scores.shape)))
    ignored = call.integer("ignore_index") if call.has("ignore_index") else None
    each = (1, c, *[1] * len(rest))
    share = chosen.where(1.0 if weight is None else wide(e, weight).reshaped(*each), 0.0)
    if ignored is not None:
        share = classes.equals(ignored).where(0.0, share)
    share_of_place = share.reduce("sum", (1,))
    loss = -(chosen.where(scores, 0.0).reduce("sum", (1,))) * share_of_place
    axes = [0, *range(2, len(scores.shape))]
    match call.text("reduction", "mean"):
        case "none":
            return loss.reshaped(n, *rest)
        case "sum":
            return loss.reduce("sum", range(len(loss.shape)), keepdims=False)
        case "mean":
            total, weights = (v.reduce("sum", [*axes, 1], keepdims=False) for v in (loss, share_of_place))
            return total / weights
        case other:
            raise ModelFault(f"reduction '{other}' must be none, sum or mean")


@translator("NegativeLogLikelihoodLoss")
def negative_log_likelihood(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return likelihood(e, call, wide(e, x), call.input(1), call.optional(2)).to(x.kind).value


@translator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(e: OnnxEmitter, call: Call) -> Sequence[Value]:
    """And the logarithms of the probabilities, over axis 1."""
    x = call.input(0)
    n, c, *rest = x.shape
    rows = e.transposed(e.reshaped(wide(e, x).value, (n, c, prod(rest))), (0, 2, 1))
    logs = e.reshaped(e.transposed(log_softmax(Term(e, rows)).value, (0, 2, 1)), x.shape)
    loss = likelihood(e, call, Term(e, logs), call.input(1), call.optional(2))
    return [loss.to(x.kind).value, e.cast(logs, x.kind)]

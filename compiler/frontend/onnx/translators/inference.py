"""Operators that do nothing, or next to nothing, when a model is not trained."""

from __future__ import annotations

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault


@translator("Dropout")
def dropout(e: OnnxEmitter, call: Call) -> list[Value]:
    """The input, and a mask that is true everywhere."""
    x, training = call.input(0), call.known(2, "training_mode")
    ratio = call.known(1, "the ratio")
    if training is not None and training.reshape(-1)[0] and (ratio is None or ratio.reshape(-1)[0] != 0):
        raise ModelFault("training_mode drops elements at random", hint="export the model for inference")
    return [x, e.constant(np.ones(x.shape, np.bool_))]


@translator("CastLike")
def cast_like(e: OnnxEmitter, call: Call) -> Value:
    return e.cast(call.input(0), call.input(1).kind)


@translator("Binarizer", domain="ai.onnx.ml")
def binarizer(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    above = e.binary("lt", e.scalar(call.number("threshold", 0.0), x), x)
    return e.cast(above, x.kind)

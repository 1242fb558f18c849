"""Functions of one tensor, element by element: activations, trigonometry, rounding, powers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, expm1, log1p, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

Formula = Callable[[Term], Term]


def softplus(x: Term) -> Term:
    """ln(1 + e^x)."""
    return x.larger(0) + log1p((-abs(x))("exp"))


def acos(x: Term) -> Term:
    """2 · arctan √((1 - x) / (1 + x)): relatively accurate near 1, unlike π/2 - arcsin x."""
    return 2 * (((1 - x) / (1 + x))("sqrt"))("atan")


def asin(x: Term) -> Term:
    return (x * ((1 - x) * (1 + x))("rsqrt"))("atan")


def sinh(x: Term) -> Term:
    """2t / (1 - t²) with t = tanh(x/2) near 0, where e^x - e^-x would cancel."""
    t, grown = (x * 0.5)("tanh"), x("exp")
    return (abs(x) < 1).where((t + t) / (1 - t * t), (grown - grown("recip")) * 0.5)


def cosh(x: Term) -> Term:
    grown = x("exp")
    return (grown + grown("recip")) * 0.5


def tan(x: Term) -> Term:
    return x("sin") / x("cos")


def with_sign_of(x: Term, size: Term) -> Term:
    return (x < 0).where(-size, size)


def asinh(x: Term) -> Term:
    """ln(|x| + √(x² + 1)) = ln1p(|x| + x² / (1 + √(x² + 1))), which keeps small x."""
    size = abs(x)
    return with_sign_of(x, log1p(size + size * (size / (1 + (size * size + 1)("sqrt")))))


def acosh(x: Term) -> Term:
    return log1p((x - 1) + ((x - 1) * (x + 1))("sqrt"))


def atanh(x: Term) -> Term:
    size = abs(x)
    return with_sign_of(x, 0.5 * log1p((size + size) / (1 - size)))


def sign(x: Term) -> Term:
    """-1, 0 or 1; NaN stays."""
    return (x < 0).where(-1, (x > 0).where(1, x))


FORMULAS: dict[str, Formula] = {
    "Acos": acos, "Acosh": acosh, "Asin": asin, "Asinh": asinh, "Atanh": atanh, "Cosh": cosh, "Sinh": sinh, "Tan": tan,
    "Atan": lambda x: x("atan"), "Sin": lambda x: x("sin"), "Cos": lambda x: x("cos"), "Floor": lambda x: x("floor"),
    "Round": lambda x: x("round"), "Reciprocal": lambda x: x("recip"), "Ceil": lambda x: -((-x)("floor")),
    "Softplus": softplus, "Softsign": lambda x: x / (1 + abs(x)), "Mish": lambda x: x * softplus(x)("tanh"),
    "HardSwish": lambda x: x * (x * (1 / 6) + 0.5).larger(0).smaller(1),
}  # fmt: skip


@translator(*FORMULAS)
def formula(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return FORMULAS[call.node.op](wide(e, x)).to(x.kind).value


@translator("Sign")
def sign_of(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return sign(wide(e, x)).to(x.kind).value


def elu(x: Term, call: Call) -> Term:
    return (x < 0).where(call.number("alpha", 1.0) * expm1(x.smaller(0)), x)


def selu(x: Term, call: Call) -> Term:
    alpha, gamma = call.number("alpha", 1.67326319217681884765625), call.number("gamma", 1.05070102214813232421875)
    return gamma * (x < 0).where(alpha * expm1(x.smaller(0)), x)


def celu(x: Term, call: Call) -> Term:
    alpha = call.number("alpha", 1.0)
    return x.larger(0) + alpha * expm1((x * (1 / alpha)).smaller(0))


def shrink(x: Term, call: Call) -> Term:
    bias, limit = call.number("bias", 0.0), call.number("lambd", 0.5)
    return (x < -limit).where(x + bias, (x > limit).where(x - bias, x * 0))


def hard_sigmoid(x: Term, call: Call) -> Term:
    return (x * call.number("alpha", 0.2) + call.number("beta", 0.5)).larger(0).smaller(1)


def swish(x: Term, call: Call) -> Term:
    return x * (x * call.number("alpha", 1.0))("sigmoid")


def thresholded(x: Term, call: Call) -> Term:
    return (x > call.number("alpha", 1.0)).where(x, x * 0)


def leaky(x: Term, call: Call) -> Term:
    return (x < 0).where(x * call.number("alpha", 0.01), x)


PARAMETRIC: dict[str, Callable[[Term, Call], Term]] = {
    "Elu": elu, "Selu": selu, "Celu": celu, "Shrink": shrink, "HardSigmoid": hard_sigmoid, "Swish": swish,
    "ThresholdedRelu": thresholded, "LeakyRelu": leaky,
}  # fmt: skip


@translator(*PARAMETRIC)
def parametric(e: OnnxEmitter, call: Call) -> Value:
    x = call.input(0)
    return PARAMETRIC[call.node.op](wide(e, x), call).to(x.kind).value


def gelu_by_tanh(x: Term) -> Term:
    inner = (x + 0.044715 * x * x * x) * math.sqrt(2 / math.pi)
    return 0.5 * x * (1 + inner("tanh"))


@translator("Gelu")
def gelu(e: OnnxEmitter, call: Call) -> Value:
    x, approximate = call.input(0), call.text("approximate", "none")
    if approximate == "tanh":
        return gelu_by_tanh(wide(e, x)).to(x.kind).value
    if approximate != "none":
        raise ModelFault(f"approximate='{approximate}' must be none or tanh")
    return e.unary("gelu", x)


@translator("PRelu")
def prelu(e: OnnxEmitter, call: Call) -> Value:
    x, slope = call.input(0), call.input(1)
    wide_x = wide(e, x)
    return (wide_x < 0).where(wide_x * wide(e, slope), wide_x).to(x.kind).value


@translator("IsNaN")
def is_nan(e: OnnxEmitter, call: Call) -> Value:
    x = Term(e, call.input(0))
    return (~x.equals(x)).value


@translator("IsInf")
def is_inf(e: OnnxEmitter, call: Call) -> Value:
    x = Term(e, call.input(0))
    signs = [s for s, name in ((-1, "detect_negative"), (1, "detect_positive")) if call.integer(name, 1)]
    if not signs:
        return e.constant(np.zeros(x.shape, np.bool_))
    found = [x.equals(s * math.inf) for s in signs]
    return (found[0] if len(found) == 1 else found[0] | found[1]).value


@translator("Clip")
def clip(e: OnnxEmitter, call: Call) -> Value:
    """Before operator set 11 the limits are attributes."""
    x = Term(e, call.input(0))
    low = Term(e, call.input(1)) if call.optional(1) else x.of(call.number("min")) if call.has("min") else None
    high = Term(e, call.input(2)) if call.optional(2) else x.of(call.number("max")) if call.has("max") else None
    x = x if low is None else x.larger(low)
    return (x if high is None else x.smaller(high)).value


@translator("SwiGLU")
def swiglu(e: OnnxEmitter, call: Call) -> Value:
    """swish(gate) · up, of two inputs."""
    gate, up = call.input(0), call.input(1)
    return (swish(wide(e, gate), call) * wide(e, up)).to(gate.kind).value

"""RNN, GRU and LSTM, unrolled over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.frontend.onnx.emitter import OnnxEmitter
from compiler.frontend.onnx.formula import Term, expm1, wide
from compiler.frontend.onnx.registry import Call, translator
from compiler.frontend.onnx.translators.functions import softplus
from compiler.frontend.onnx.translators.slicing import part
from compiler.frontend.onnx.values import Value
from isa.errors import ModelFault

Activation = Callable[[Term, float, float], Term]

ACTIVATIONS: dict[str, tuple[Activation, float, float]] = {
    "sigmoid": (lambda x, a, b: x("sigmoid"), 0, 0),
    "tanh": (lambda x, a, b: x("tanh"), 0, 0),
    "relu": (lambda x, a, b: x.larger(0), 0, 0),
    "affine": (lambda x, a, b: x * a + b, 1, 0),
    "leakyrelu": (lambda x, a, b: (x < 0).where(x * a, x), 0.01, 0),
    "thresholdedrelu": (lambda x, a, b: (x > a).where(x, x * 0), 1, 0),
    "scaledtanh": (lambda x, a, b: (x * b)("tanh") * a, 1, 1),
    "hardsigmoid": (lambda x, a, b: (x * a + b).larger(0).smaller(1), 0.2, 0.5),
    "elu": (lambda x, a, b: (x < 0).where(a * expm1(x.smaller(0)), x), 1, 0),
    "softsign": (lambda x, a, b: x / (1 + abs(x)), 0, 0),
    "softplus": (lambda x, a, b: softplus(x), 0, 0),
}
"""By lower-case name: the function, and what alpha and beta are where nobody says."""

DEFAULTS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True, slots=True)
class Cell:
    """One direction: weights as terms with the gates as columns, and what turns their sums into the new state."""

    call: Call
    weights: Term
    """[input, gates · hidden]"""
    recurrence: Term
    """[hidden, gates · hidden]"""
    bias: tuple[Term, Term]
    """Of the input and of the recurrence: [gates · hidden]"""
    peepholes: Term | None
    activations: tuple[Callable[[Term], Term], ...]
    hidden: int

    def gate(self, x: Term, index: int, count: int = 1) -> Term:
        return Term(x.e, part(x.e, x.value, len(x.shape) - 1, index * self.hidden, count * self.hidden))

    def product(self, a: Term, b: Term) -> Term:
        return Term(a.e, a.e.product(a.value, b.value))


def rnn_step(cell: Cell, x: Term, state: Sequence[Term]) -> list[Term]:
    """x has been multiplied by the weights of the input; so in the others."""
    return [cell.activations[0](x + cell.product(state[0], cell.recurrence) + (cell.bias[0] + cell.bias[1]))]


def gru_step(cell: Cell, x: Term, state: Sequence[Term]) -> list[Term]:
    """Gates z, r, h."""
    f, g = cell.activations
    (old,) = state
    x = x + cell.bias[0]
    first = cell.gate(x, 0, 2) + cell.product(old, cell.gate(cell.recurrence, 0, 2)) + cell.gate(cell.bias[1], 0, 2)
    z, r = f(cell.gate(first, 0)), f(cell.gate(first, 1))
    last, shift = cell.gate(cell.recurrence, 2), cell.gate(cell.bias[1], 2)
    if cell.call.integer("linear_before_reset", 0):
        candidate = g(cell.gate(x, 2) + r * (cell.product(old, last) + shift))
    else:
        candidate = g(cell.gate(x, 2) + cell.product(r * old, last) + shift)
    return [candidate + z * (old - candidate)]


def lstm_step(cell: Cell, x: Term, state: Sequence[Term]) -> list[Term]:
    """Gates i, o, f, c; peepholes i, o, f."""
    f, g, h = cell.activations
    old, memory = state
    sums = x + cell.product(old, cell.recurrence) + (cell.bias[0] + cell.bias[1])
    i, o, forget, c = (cell.gate(sums, n) for n in range(4))
    if cell.peepholes is not None:
        i, forget = i + cell.gate(cell.peepholes, 0) * memory, forget + cell.gate(cell.peepholes, 2) * memory
    admitted = f(i)
    kept = 1 - admitted if cell.call.integer("input_forget", 0) else f(forget)
    fresh = kept * memory + admitted * g(c)
    if cell.peepholes is not None:
        o = o + cell.gate(cell.peepholes, 1) * fresh
    return [f(o) * h(fresh), fresh]


STEPS: dict[str, Callable[[Cell, Term, Sequence[Term]], list[Term]]] = {
    "RNN": rnn_step, "GRU": gru_step, "LSTM": lstm_step,
}  # fmt: skip


def activations_of(call: Call, direction: int) -> tuple[Callable[[Term], Term], ...]:
    names = DEFAULTS[call.node.op]
    given = call.node.attributes.get("activations") or names * 2
    alphas, betas = (list(call.node.attributes.get(n) or ()) for n in ("activation_alpha", "activation_beta"))
    clip = call.number("clip", 0.0)
    made: list[Callable[[Term], Term]] = []
    for i in range(direction * len(names), (direction + 1) * len(names)):
        name = str(given[i]).lower() if i < len(given) else ""
        if name not in ACTIVATIONS:
            raise ModelFault(f"activation '{name}' must be one of {', '.join(ACTIVATIONS)}")
        function, alpha, beta = ACTIVATIONS[name]
        alpha, beta = alphas[i] if i < len(alphas) else alpha, betas[i] if i < len(betas) else beta

        def activation(x: Term, f: Activation = function, a: float = alpha, b: float = beta) -> Term:
            return f(x.larger(-clip).smaller(clip) if clip else x, a, b)

        made.append(activation)
    return tuple(made)


def row(e: OnnxEmitter, x: Value, direction: int) -> Term:
    """What belongs to a direction, which is the first axis, as float32."""
    return Term(e, e.reshaped(wide(e, part(e, x, 0, direction, 1)).value, x.shape[1:]))


def cell_of(e: OnnxEmitter, call: Call, direction: int) -> Cell:
    w, r, bias = call.input(1), call.input(2), call.optional(3)
    hidden, gates = r.shape[2], GATES[call.node.op]
    if w.shape[1] != gates * hidden or r.shape[1] != gates * hidden:
        raise ModelFault(f"weights {w} and {r} do not have {gates} gates of {hidden}")
    both = row(e, bias, direction) if bias is not None else Term(e, e.constant(np.zeros(2 * gates * hidden, np.float32)))
    halves = [Term(e, part(e, both.value, 0, i * gates * hidden, gates * hidden)) for i in (0, 1)]
    weights, recurrence = (Term(e, e.transposed(row(e, v, direction).value, (1, 0))) for v in (w, r))
    peepholes = call.optional(7) if call.node.op == "LSTM" else None
    turned = None if peepholes is None else row(e, peepholes, direction)
    bias_halves = halves[0], halves[1]
    return Cell(call, weights, recurrence, bias_halves, turned, activations_of(call, direction), hidden)


@translator("RNN", "GRU", "LSTM")
def recurrent(e: OnnxEmitter, call: Call) -> list[Value]:
    """All hidden states, the last one, and of LSTM the last memory."""
    source, op = call.input(0), call.node.op
    layout, direction = call.integer("layout", 0), call.text("direction", "forward")
    x = e.transposed(source, (1, 0, 2)) if layout else source
    steps, batch = x.shape[:2]
    backwards = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(direction)
    if backwards is None or len(backwards) != call.input(1).shape[0]:
        raise ModelFault(f"direction '{direction}' does not fit weights of {call.input(1).shape[0]} directions")
    lengths = None if call.optional(4) is None else wide(e, call.input(4)).reshaped(batch, 1)
    found: list[tuple[list[Term], list[Term]]] = []
    for number, reverse in enumerate(backwards):
        cell = cell_of(e, call, number)
        state = [initial(e, call, 5 + i, number, (batch, cell.hidden), layout) for i in range(2 if op == "LSTM" else 1)]
        rows = e.reshaped(wide(e, x).value, (steps * batch, x.shape[2]))
        driven = Term(e, e.product(rows, cell.weights.value))
        outputs: dict[int, Term] = {}
        for time in reversed(range(steps)) if reverse else range(steps):
            drive = Term(e, part(e, driven.value, 0, time * batch, batch))
            fresh = STEPS[op](cell, drive, state)
            outputs[time] = fresh[0]
            if lengths is not None:
                runs = lengths > time
                outputs[time] = runs.where(fresh[0], 0.0)
                fresh = [runs.where(new, old) for new, old in zip(fresh, state, strict=True)]
            state = fresh
        found.append(([outputs[time] for time in range(steps)], state))
    hidden = call.input(2).shape[2]
    every = e.concatenated(
        [e.reshaped(outputs[t].value, (1, 1, batch, hidden)) for t in range(steps) for outputs, _ in found], 0
    )
    y = e.reshaped(every, (steps, len(found), batch, hidden))
    y = e.cast(e.transposed(y, (2, 0, 1, 3)) if layout else y, source.kind)
    return [y, *(last(e, [state[i] for _, state in found], source.kind, layout) for i in range(len(found[0][1])))]


def initial(e: OnnxEmitter, call: Call, index: int, direction: int, shape: tuple[int, ...], layout: int) -> Term:
    given = call.optional(index)
    if given is None:
        return Term(e, e.constant(np.zeros(shape, np.float32)))
    return row(e, e.transposed(given, (1, 0, 2)) if layout else given, direction)


def last(e: OnnxEmitter, states: list[Term], kind: str, layout: int) -> Value:
    """[directions, batch, hidden], or the batch first."""
    stacked = e.concatenated([s.reshaped(1, *s.shape).value for s in states], 0)
    return e.cast(e.transposed(stacked, (1, 0, 2)) if layout else stacked, kind)

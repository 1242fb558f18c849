"""One node case on the chip: imported, compiled, checked, run, and compared with what ONNX expects."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from isa.chip import Chip, load_chip
from isa.errors import DataFault, ModelFault, PromiseFault, ToolchainError
from measure.onnx_cases import Array, Case, out_of_scope, with_constants

Status = Literal["passed", "folded", "unsupported", "wrong", "outside"]

STATUSES: dict[Status, str] = {
    "passed": "computed on the chip, as ONNX expects",
    "folded": "known at compile time, as ONNX expects: nothing is left to run",
    "unsupported": "refused, with a reason",
    "wrong": "other values, shapes or types, a broken promise or a crash",
    "outside": "not meant to run: element types, control flow, strings, sequences, random numbers, training",
}

TOLERANCES: dict[str, tuple[float, float, str]] = {
    "DFT": (1e-3, 1e-6, "sums of many products that cancel to 0: each keeps about 22 bits in three f16 passes"),
    "float16": (2.0**-9, 1e-7, "two units in the last place: the expected values are rounded at every step, the chip's once"),
}
"""Operator or element type of an output: rtol, atol and why the declared numerics ask for more than the runner's 1e-3, 1e-7."""


class TooLong(Exception):
    """A case took longer than its time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    case: str
    operator: str
    status: Status
    reason: str = ""
    cycles: int | None = None
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        return asdict(self)


@cache
def _chip(name: str) -> Chip:
    return load_chip(name)


def judge(case: Case, chip: str, seconds: float) -> Verdict:
    """Never raises. A case that takes longer than `seconds` is unsupported."""
    if reason := out_of_scope(case):
        return Verdict(case.name, case.operator, "outside", reason)
    begun = time.perf_counter()
    cycles: int | None = None
    status: Status
    try:
        with _time_limit(seconds):
            cycles, reason = _run(case, _chip(chip))
        status = "wrong" if reason else "passed" if cycles else "folded"
    except TooLong:
        status, reason = "unsupported", f"takes longer than {seconds:g} seconds to compile and run"
    except (PromiseFault, DataFault) as fault:
        status, reason = "wrong", _text(fault)
    except ModelFault as fault:
        status, reason = "unsupported", _text(fault)
    except Exception as error:
        status, reason = "wrong", f"{type(error).__name__}: {error}"
    return Verdict(case.name, case.operator, status, " ".join(reason.split())[:300], cycles, time.perf_counter() - begun)


def _text(fault: ToolchainError) -> str:
    """The message, or that of the first node where the fault is a list of nodes."""
    return str(fault.notes[0]) if fault.notes else fault.message


def _run(case: Case, chip: Chip) -> tuple[int | None, str]:
    """Cycles (None if nothing was left to run) and what is wrong."""
    from compiler.context import new_context
    from compiler.dialects import graph
    from compiler.dialects.graph_program import main_block
    from compiler.frontend.onnx.element_types import from_chip, to_chip
    from compiler.frontend.onnx.importer import import_model
    from compiler.pipeline import compile_graph
    from compiler.session import Compiled, run_and_compare
    from compiler.transforms.integer_products import IntegerProductsPass
    from compiler.transforms.set_precision import SetPrecisionPass
    from compiler.weights import WeightStore

    model, arrays = with_constants(case)
    weights = WeightStore()
    try:
        found = import_model(model, case.name, weights)
    except DataFault as fault:
        # Of shapes: empty inputs, and dimensions that the model leaves open.
        raise ModelFault(_text(fault)) from None
    context = new_context(weights, chip)
    IntegerProductsPass().apply(context, found.module)
    SetPrecisionPass(matmul="f32").apply(context, found.module)
    works = any(isinstance(op, graph.GraphOp | graph.InputOp) for op in main_block(found.module).ops)
    compiled = Compiled(compile_graph(found.module.clone(), weights, chip), found.module, weights, 0.0)
    call = {c.symbol: to_chip(arrays[c.port.name], c.port.kind, f"input '{c.port.name}'") for c in found.inputs}
    (result,) = run_and_compare(compiled, [call], ["fast"])
    outputs = [from_chip(result.outputs[c.symbol], c.port.kind) for c in found.outputs]
    return result.cycles if works else None, _difference(case, outputs)


def _difference(case: Case, outputs: list[Array]) -> str:
    """As the runner of the `onnx` package compares: types and shapes exactly, values within rtol and atol."""
    for i, (want, have) in enumerate(zip(case.outputs, outputs, strict=True)):
        if (want.dtype, want.shape) != (have.dtype, have.shape):
            return f"output {i} is {have.dtype}{list(have.shape)}, expected {want.dtype}{list(want.shape)}"
        exact = want.dtype.kind in "iub"
        rtol, atol, _ = TOLERANCES.get(case.operator) or TOLERANCES.get(want.dtype.name) or (case.rtol, case.atol, "")
        try:
            np.testing.assert_allclose(have, want, rtol=0 if exact else rtol, atol=0 if exact else atol)
        except AssertionError as error:
            lines = [line for line in str(error).splitlines() if "ismatch" in line or "difference" in line]
            return f"output {i}: {'; '.join(lines)}"
    return ""


@contextmanager
def _time_limit(seconds: float) -> Generator[None, None, None]:
    """TooLong after this time. By a signal: for main threads of processes of their own only."""

    def stop(signum: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

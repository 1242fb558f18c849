"""One program, judged: compiled, checked, run on both machines, compared with the reference evaluation bit for bit.

Everything that a program needs besides its text (values of inputs and parameters) follows from its names, types and a seed,
so a text that was shrunk runs as it stands.
"""

from __future__ import annotations

import re
import signal
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from compiler.pipeline import compile_graph
from compiler.session import Compiled, Device, declare, difference, predicted_cycles, reference_calls
from isa.checker import require_valid
from isa.chip import Chip
from isa.errors import ModelFault, ToolchainError
from isa.layout import NUMPY_TYPES

TENSOR = re.compile(r"^(input|param|state) (\w+): (\w+)(?:\[([\d, ]*)\])?.*?(?:# below (\d+))?$", re.MULTILINE)
TOO_LARGE = ("does not fit", "too large", "do not fit", "larger than")
"""Words of the messages that say that a chip has too little memory."""
TOO_NARROW = "twice at once"
"""Of the message that an operation needs more streams, slices or ALUs at once than there are."""
FEW_STREAMS = 8
"""Chips with at most so many streams a direction may say that: three 32-bit operands and a result need more."""

SPECIAL_FLOATS = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-8, -3e-7, 65504.0, 65520.0, -7e4, 1e38, -1e38, 1e-40, -1e-45)
CALLS_WITH_STATES = 3

Array = NDArray[Any]
Kind = Literal["passed", "refused", "failed", "invalid"]


@dataclass(frozen=True)
class Verdict:
    """`what` is the same for two runs of one fault; `detail` is for people."""

    kind: Kind
    what: str = ""
    detail: str = ""


class WrongError(Exception):
    """A promise that was not kept; the first argument names it."""


def values(name: str, kind: str, shape: tuple[int, ...], below: int, seed: int) -> Array:
    """Elements of a tensor: plain ones, some of many magnitudes, some with extremes; indices below `below`."""
    rng = np.random.default_rng([seed, crc32(name.encode())])
    dtype = NUMPY_TYPES[kind]
    if below:
        return rng.integers(0, below, shape).astype(dtype)
    style = rng.choice(["plain", "plain", "wide", "extreme"])
    if dtype.kind == "i":
        info = np.iinfo(dtype)
        small = rng.integers(-20, 21, shape)
        if style == "plain":
            return small.astype(dtype)
        array = rng.integers(info.min, info.max, shape, endpoint=True)
        extremes = rng.choice([info.min, info.max, 0, -1], shape)
        return np.where(rng.random(shape) < (0.4 if style == "extreme" else 0.0), extremes, array).astype(dtype)
    array = rng.standard_normal(shape)
    if style == "wide":
        array = array * np.exp2(rng.integers(-20, 16, shape))
    if style == "extreme":
        array = np.where(rng.random(shape) < 0.15, rng.choice(SPECIAL_FLOATS, shape), array)
    with np.errstate(all="ignore"):
        array = np.asarray(array).astype(dtype)
    # A host may bring any NaN: moves keep its bits, functions give the canonical one.
    odd = {2: 0xFE01, 4: 0xFFC00123}[dtype.itemsize]
    array[np.isnan(array) & (rng.random(shape) < 0.5)] = np.array(odd, f"<u{dtype.itemsize}").view(dtype)
    return array


def tensors(text: str, role: str, seed: int) -> dict[str, Array]:
    """Values for all inputs or parameters that a source declares."""
    found: dict[str, Array] = {}
    for where, name, kind, sizes, below in TENSOR.findall(text):
        if where == role:
            shape = tuple(int(n) for n in sizes.split(",")) if sizes else ()
            found[name] = values(name, kind, shape, int(below or 0), seed)
            if role == "param" and kind == "f32":
                found[name] = within_f16(found[name])
    return found


def within_f16(array: Array) -> Array:
    """Finite values as an f16 can hold them: a parameter of a product that holds others is refused, not computed with."""
    largest = np.float32(np.finfo(np.float16).max)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(array) & (np.abs(array) > largest), np.copysign(largest, array), array)


def write_source(text: str, folder: Path, seed: int) -> Path:
    """The source and its parameters as files."""
    source = folder / "fuzz.lks"
    source.write_text(text, encoding="utf-8")
    np.savez(folder / "fuzz.npz", **tensors(text, "param", seed))
    return source


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in the main thread: a compiler that never ends is a failure like any other."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def examine(text: str, chip: Chip, seed: int, seconds: int = 60) -> Verdict:
    """Never raises for a fault of the project: it is the verdict. More than so many seconds are one."""
    with tempfile.TemporaryDirectory() as name:
        source = write_source(text, Path(name), seed)
        try:
            declared, weights = declare(source, chip)
        except ToolchainError as fault:
            return Verdict("invalid", type(fault).__name__, fault.render())
        except Exception as error:
            return _failed(error)
        try:
            with time_limit(seconds):
                program = compile_graph(declared.clone(), weights, chip)
                compare(Compiled(program, declared, weights, 0.0), text, seed)
        except ModelFault as fault:
            narrow = chip.streams <= FEW_STREAMS and TOO_NARROW in fault.message
            if narrow or any(words in fault.message for words in TOO_LARGE):
                return Verdict("refused", "streams" if narrow else "memory", fault.render())
            return _failed(fault)
        except Exception as error:
            return _failed(error)
    return Verdict("passed")


def _failed(error: Exception) -> Verdict:
    what = type(error).__name__
    if isinstance(error, WrongError):
        what = str(error.args[0])
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].name}"
    return Verdict("failed", f"{what} in {place}", "".join(traceback.format_exception(error)))


def compare(compiled: Compiled, text: str, seed: int) -> None:
    """Raises WrongError unless both machines do what was promised, call after call."""
    program = compiled.program
    require_valid(program)
    calls = [tensors(text, "input", seed + 1000 * call) for call in range(CALLS_WITH_STATES if "state " in text else 1)]
    expected, states = reference_calls(compiled, calls)
    promised = predicted_cycles(program)
    devices = [Device(program, "fast"), Device(program, "reference")]
    for number, (inputs, want) in enumerate(zip(calls, expected, strict=True), 1):
        results = [device.run(inputs) for device in devices]
        for device, result in zip(devices, results, strict=True):
            if problem := difference(want, result.outputs):
                raise WrongError("bits", f"call {number} on {device.machine}: output {problem}")
            if result.cycles != promised:
                raise WrongError("cycles", f"call {number} on {device.machine}: {result.cycles}, not {promised}")
        counts = [result.counters.facts() for result in results]
        if counts[0] != counts[1]:
            raise WrongError("counters", f"call {number}: {counts[0]} and {counts[1]}")
    for device in devices:
        if problem := difference(states, {name: device.read(name) for name in states}):
            raise WrongError("states", f"{device.machine}: state {problem}")

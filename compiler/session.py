"""The library door: compile a source file, run the program, compare it with the reference evaluation.

session = Session("model.onnx"); outputs = session.run(None, {"x": x}); session.cycles
compiled = compile_file(Path("model.lks"), load_chip("lpu-rram"))
result = Device(compiled.program).run({"x": x})             # arrays in and out by name, states live on
results = run_and_compare(compiled, [{"x": x}], ["fast"])   # raises PromiseFault unless cycles and bits are as promised
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compiler.declare import Precision, Reading, declare_source
from isa.asm import read_assembly
from isa.chip import Chip, load_chip
from isa.container import load_program
from isa.errors import DataFault, PromiseFault
from isa.program import Program
from isa.timing import program_cycles
from sim.device import Device, Machine, Result

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from compiler.interface import Argument
    from compiler.quantisation.ranges import Method
    from compiler.scheduling.device_rows import DeviceRows
    from compiler.weights import WeightStore
    from sim.energy import EnergyReport

__all__ = [
    "Compiled",
    "Device",
    "Machine",
    "PromiseFault",
    "Result",
    "Session",
    "compile_file",
    "performance",
    "run_and_compare",
]

Array = NDArray[Any]
Arrays = dict[str, Array]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program and what it was made from. `declared` is the graph as the reference evaluates it."""

    program: Program
    declared: ModuleOp
    weights: WeightStore
    seconds: float


def read_program(path: Path) -> Program:
    """A program from a program file or, if the name ends in .lasm, from assembly text. Raises ToolchainError."""
    return read_assembly(path) if path.suffix == ".lasm" else load_program(path)


def declare(path: Path, chip: Chip, precision: Precision = "f32") -> tuple[ModuleOp, WeightStore]:
    """The declared graph of a source file, with the arrays of its parameters (`compiler.declare`). Raises ToolchainError."""
    declared = declare_source(path, chip, Reading(precision))
    return declared.module, declared.weights


def compile_file(
    path: Path, chip: Chip, precision: Precision = "f32", passes: str | None = None, shapes: Shapes | None = None
) -> Compiled:
    """`compile_source` with a precision and the shapes of an ONNX model's inputs."""
    return compile_source(path, chip, Reading(precision, shapes or {}), passes)


def compile_source(
    path: Path,
    chip: Chip,
    reading: Reading,
    passes: str | None = None,
    beside: Program | None = None,
    device: DeviceRows | None = None,
) -> Compiled:
    """Compile a source file, by the default pipeline or by these passes. The program has passed the checker.

    With `beside` it is a program for the same device: parameters and states of the same name are the same memory, and
    `Device.load` takes it. With `device` it is placed on the rows of that device's RRAM. Raises ToolchainError for anything
    wrong with the source, its parameters, the passes, or the fit to the chip.
    """
    from compiler.interface import FACT, fact_of
    from compiler.pipeline import compile_graph
    from compiler.progress import stage

    begun = time.perf_counter()
    stage("reading")
    declared = declare_source(path, chip, reading)
    program = compile_graph(declared.module.clone(), declared.weights, chip, passes, beside, device)
    if declared.inputs or declared.outputs:
        program.facts[FACT] = fact_of(declared.inputs, declared.outputs)
    return Compiled(program, declared.module, declared.weights, time.perf_counter() - begun)


def rows_of_device(path: Path, chip: Chip) -> DeviceRows:
    """What placement should know of the device in a file. Raises DeviceFault, DataFault for another chip's device."""
    from compiler.scheduling.device_rows import device_rows
    from isa.device_file import open_device

    with open_device(path) as file:
        if file.state.chip.digest != chip.digest:
            raise DataFault(f"the device is a chip '{file.state.chip.name}', not the '{chip.name}' that is compiled for")
        return device_rows(file.state)


def program_of(
    path: Path,
    chip: Chip,
    reading: Reading,
    passes: str | None = None,
    beside: Program | None = None,
    device: DeviceRows | None = None,
    *,
    use_cache: bool = True,
) -> tuple[Program, bool]:
    """The program of a source file, and whether it was compiled before (`compiler.cache`). Raises ToolchainError."""
    from compiler import cache

    alone = beside is None and device is None
    key = cache.key_of(path, chip, reading, passes) if use_cache and alone else None
    found = cache.find(key)
    if found is not None:
        return found, True
    program = compile_source(path, chip, reading, passes, beside, device).program
    cache.keep(key, program)
    return program, False


class Session:
    """A model on a chip, shaped like onnxruntime's:

    session = Session("model.onnx", chip="lpu-rram", precision="f16", shapes={"batch": 1})
    outputs = session.run(None, {"input": x})
    session.cycles
    """

    def __init__(
        self,
        model: str | Path,
        chip: str | Chip = "lpu-rram",
        *,
        precision: Precision = "f32",
        shapes: Mapping[str, int | Sequence[int]] | None = None,
        samples: str | Path | Mapping[str, Array] | None = None,
        calibration: Method = "mse",
        machine: Machine = "fast",
        use_cache: bool = True,
    ) -> None:
        """`model` is a source file (.onnx, .lks), compiled now or taken from the cache, or a program (.lbin, .lasm), which has
        its chip and precision in it. `samples` is for the precision int8. Raises ToolchainError."""
        from compiler.interface import interface_of

        path = Path(model)
        if path.suffix in (".lbin", ".lasm"):
            self.program = read_program(path)
        else:
            target = load_chip(chip) if isinstance(chip, str) else chip
            sizes = {name: (size,) if isinstance(size, int) else tuple(size) for name, size in (shapes or {}).items()}
            reading = Reading(precision, sizes, Path(samples) if isinstance(samples, str) else samples, calibration)
            self.program, _ = program_of(path, target, reading, use_cache=use_cache)
        self._interface = interface_of(self.program)
        self._device = Device(self.program, machine)
        self.last: Result | None = None
        """What the last run gave: cycles, outputs as the chip holds them, counters."""

    def get_inputs(self) -> list[Argument]:
        """`name`, `shape` and `type` of each input."""
        return list(self._interface.inputs)

    def get_outputs(self) -> list[Argument]:
        """`name`, `shape` and `type` of each output."""
        return list(self._interface.outputs)

    def run(self, output_names: Sequence[str] | None, feed: Mapping[str, Array]) -> list[Array]:
        """The outputs of these names, or all, in order. States live from call to call. Raises DataFault and MachineTrap."""
        known = [argument.name for argument in self._interface.outputs]
        unknown = [name for name in output_names or () if name not in known]
        if unknown:
            raise DataFault(f"there is no output '{unknown[0]}'", hint=f"the model has {', '.join(known) or 'none'}")
        self.last = self._device.run(self._interface.to_program(feed))
        outputs = self._interface.from_program(self.last.outputs)
        return [outputs[name] for name in output_names or known]

    @property
    def cycles(self) -> int:
        """Of one run: exact, and the same for every input."""
        return predicted_cycles(self.program) if self.last is None else self.last.cycles


def predicted_cycles(program: Program) -> int:
    """What the compiler says; for programs written by hand, what the time rule says."""
    return int(program.facts.get("predicted_cycles", program_cycles(program.operations, program.chip)))


def reference_calls(
    compiled: Compiled, calls: Iterable[Mapping[str, Array]]
) -> tuple[list[dict[str, Array]], dict[str, Array]]:
    """The outputs of call after call by the reference evaluation, and the states after the last. Raises DataFault."""
    from compiler.reference import evaluate

    outputs: list[Arrays] = []
    states: Arrays = {}
    for inputs in calls:
        done = evaluate(compiled.declared, inputs, compiled.weights, compiled.program.chip, states)
        outputs.append(done.outputs)
        states = done.states
    return outputs, states


def run_and_compare(compiled: Compiled, calls: Sequence[Mapping[str, Array]], machines: Sequence[Machine]) -> list[Result]:
    """Run all calls on each machine and give back the results of the first.

    Raises PromiseFault at the first call that differs from the reference in a bit or from the prediction in a cycle.
    """
    expected, states = reference_calls(compiled, calls)
    predicted = predicted_cycles(compiled.program)
    results: dict[Machine, list[Result]] = {machine: [] for machine in machines}
    for machine in machines:
        device = Device(compiled.program, machine)
        for number, (inputs, want) in enumerate(zip(calls, expected, strict=True), 1):
            result = device.run(inputs)
            where = f"call {number} on the {machine} machine"
            if problem := difference(want, result.outputs):
                raise PromiseFault(f"{where}: output {problem}")
            if result.cycles != predicted:
                raise PromiseFault(f"{where}: {result.cycles} cycles, predicted were {predicted}")
            results[machine].append(result)
        if problem := difference(states, {name: device.read(name) for name in states}):
            raise PromiseFault(f"after {len(calls)} calls on the {machine} machine: state {problem}")
    return results[machines[0]]


def difference(expected: Mapping[str, Array], found: Mapping[str, Array]) -> str:
    """The first byte that differs, in words; empty if there is none. Compares names, types, shapes and bits."""
    if set(expected) != set(found):
        return f"names are {', '.join(sorted(found))}, expected {', '.join(sorted(expected))}"
    for name, want in expected.items():
        have = found[name]
        if (want.dtype, want.shape) != (have.dtype, have.shape):
            return f"'{name}' is {have.dtype} {list(have.shape)}, expected {want.dtype} {list(want.shape)}"
        width = want.dtype.itemsize
        octets = [np.ascontiguousarray(a).reshape(-1).view(np.uint8).reshape(-1, width) for a in (want, have)]
        wrong = np.argwhere((octets[0] != octets[1]).any(axis=1).reshape(want.shape))
        if len(wrong):
            place: list[int] = wrong[0].tolist()
            values = [array[tuple(place)].item() for array in (have, want)]
            share = f"{len(wrong)} of {want.size} elements"
            return f"'{name}' differs in {share}, first at {place}: {values[0]!r}, expected {values[1]!r}"
    return ""


def performance(program: Program, result: Result | None = None) -> dict[str, Any]:
    """What a program takes, under the keys of `--json`; with a result also what its run took. Energy is that of one call."""
    from sim.energy import program_energy

    chip, facts = program.chip, program.facts
    predicted = predicted_cycles(program)
    found: dict[str, Any] = {
        "cycles": result.cycles if result else None,
        "predicted_cycles": predicted,
        "bound_cycles": facts.get("bound_cycles"),
        "bound_by": facts.get("bound_by"),
        "clock_ghz": chip.clock_ghz,
        "latency_us": (result.cycles if result else predicted) / chip.clock_ghz * 1e-3,
    }
    if result:
        found |= {
            "mxm_utilisation": result.counters.mxm_utilisation,
            "rram_bandwidth_utilisation": result.counters.rram_bandwidth_utilisation,
        }
    energy = program_energy(program)
    return found | {"energy_uj": energy.total.typical, "energy": describe_energy(energy)}


def describe_energy(energy: EnergyReport) -> dict[str, Any]:
    """Microjoules as JSON: the low, typical and high value of the whole, by kind of unit, by unit, by place in the source."""
    tables = {"by_unit_kind": energy.by_kind, "by_unit": energy.by_unit, "by_layer": energy.by_place}
    split = {name: {key: cost.model_dump() for key, cost in table.items()} for name, table in tables.items()}
    return {"total": energy.total.model_dump(), **split}

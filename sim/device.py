"""A chip with a program on it: tensors in by name, runs, tensors out by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from isa.checks_images import check_images
from isa.errors import DataFault, ScheduleFault, Trap
from isa.layout import NUMPY_TYPES
from isa.program import Program, Symbol
from isa.rram_state import RramState
from sim.beside import clashes
from sim.counters import Counters
from sim.fast import FastMachine
from sim.memory import Memory
from sim.reference import ReferenceMachine
from sim.traps import MachineTrap
from sim.upsets import Upset, UpsetTimeline, decoded, named_words
from sim.word_errors import OUTCOMES

Machine = Literal["fast", "reference"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one run gave."""

    cycles: int
    """As the machine counted them."""
    outputs: dict[str, NDArray[Any]]
    counters: Counters


class Device:
    """Holds the memory from run to run: images and parameters stay, states keep what the last run left in them."""

    def __init__(self, program: Program, machine: Machine = "fast", rram: RramState | None = None) -> None:
        """`rram`: the RRAM of a device into which the program has been programmed, with its errors; runs leave their reads in
        it. Without it RRAM has no faults.

        Raises ScheduleFault for images or symbols that are not in the memories of the chip, DataFault where the device does
        not hold what the program needs.
        """
        faults = [violation.message for violation in check_images(program)]
        if faults:
            raise ScheduleFault(faults[0], notes=tuple(faults[1:]))
        self.program = program
        """The program that runs where none is named."""
        self.machine: Machine = machine
        self.memory = Memory(program.chip)
        if rram is not None:
            self.memory.attach(rram, program)
        self.memory.lay_images(program)
        for symbol in program.symbols:
            if symbol.role in ("param", "state"):
                self.memory.keep(symbol)
        self._machines = {id(program): self._machine_for(program)}

    def load(self, program: Program) -> None:
        """A further program beside the first: one that was compiled so (`compiler.scheduling.shared_memory`).

        What both have keeps its value. Raises ScheduleFault where the programs are not for one chip or would destroy what
        the other keeps in memory, DataFault on a device whose RRAM has been programmed: that holds one program.
        """
        if self.memory.rram:
            raise DataFault("a device with programmed RRAM holds one program", hint="leave the device out")
        faults = [violation.message for violation in check_images(program)]
        if program.chip != self.program.chip:
            faults.append(f"a program for {program.chip.name} beside one for {self.program.chip.name}")
        faults = faults or clashes(self.memory, self.program, program)
        if faults:
            raise ScheduleFault(faults[0], notes=tuple(faults[1:]), hint="compile it with --beside the first program")
        self.memory.lay_images(program, again=False)
        for symbol in program.symbols:
            if symbol.role in ("param", "state"):
                self.memory.keep(symbol)
        self._machines[id(program)] = self._machine_for(program)

    def _machine_for(self, program: Program) -> FastMachine | None:
        return FastMachine(program, self.memory) if self.machine == "fast" else None

    def _named(self, role: str, program: Program | None = None) -> dict[str, Symbol]:
        return {s.name: s for s in (program or self.program).symbols if s.role == role}

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Put a parameter or state into memory. Raises DataFault."""
        known = {s.name: s for s in self.program.symbols if s.role in ("param", "state")}
        if name not in known:
            names = ", ".join(known) or "none"
            raise DataFault(f"the program has no parameter or state '{name}'", hint=f"it has {names}")
        problem = _array_problem(known[name], array)
        if problem:
            raise DataFault(problem)
        if self.memory.rram and any(self.program.chip.units[p.unit].kind == "rram" for p in known[name].pieces):
            raise DataFault(
                f"'{name}' lies in the RRAM of a device, which only programming writes",
                hint="`lockstep program P.lbin --device D`",
            )
        self.memory.put(known[name], array)

    def read(self, name: str) -> NDArray[Any]:
        """A named tensor as it lies in memory now. Raises DataFault."""
        symbol = self.program.symbol(name)
        if symbol is None:
            names = ", ".join(s.name for s in self.program.symbols) or "none"
            raise DataFault(f"the program has no tensor '{name}'", hint=f"it has {names}")
        return self.memory.get(symbol)

    def run(
        self,
        inputs: Mapping[str, NDArray[Any]] | None = None,
        upsets: Sequence[Upset] = (),
        program: Program | None = None,
    ) -> Result:
        """Run the program, or another one that has been loaded, once, with bits that flip meanwhile (`sim/upsets.py`).

        Raises DataFault for wrong inputs (all problems at once) and MachineTrap; what is in memory after a trap is undefined.
        """
        given = dict(inputs or {})
        program = program or self.program
        if id(program) not in self._machines:
            raise DataFault("this program has not been loaded into the device", hint="Device.load(program)")
        self._check(given, program)
        self.memory.begin_run()
        for name, symbol in self._named("input", program).items():
            self.memory.put(symbol, given[name])
        counters = self._counted_run(program, upsets)
        outputs = {name: self.memory.get(symbol) for name, symbol in self._named("output", program).items()}
        if upsets:
            outputs = self._outputs_with(program, upsets)
        return Result(counters.cycles, outputs, counters)

    def _outputs_with(self, program: Program, upsets: Sequence[Upset]) -> dict[str, NDArray[Any]]:
        """Outputs as the host decodes them. Raises Trap where a word that flipped since is past correction."""
        timeline = UpsetTimeline(program)
        words = named_words(program, "output")
        masks: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        for place, wrong in timeline.settle(upsets).left.items():
            if place not in words:
                continue
            found = decoded(wrong, program.chip.lanes, timeline.code)
            if found.refused >= 0:
                where = f"output '{words[place]}', word {place[1]} of {place[0]}"
                raise Trap(f"{where}: superlane {found.refused} has more wrong bits than its code can correct")
            if found.mask is not None:
                masks.append((self.memory.unit_words(place[0])[place[1]], found.mask))
        for word, mask in masks:
            word ^= mask
        outputs = {name: self.memory.get(symbol) for name, symbol in self._named("output", program).items()}
        for word, mask in masks:
            word ^= mask
        return outputs

    def _counted_run(self, program: Program, upsets: Sequence[Upset]) -> Counters:
        """What the machine counts, and the code of the device's RRAM."""
        rram = self.memory.rram
        if rram is None:
            return self._machine_run(program, upsets)
        rram.begin_run()
        try:
            counters = self._machine_run(program, upsets)
        except MachineTrap as trap:
            rram.end_run(trap.cycle)
            raise
        found = rram.end_run()
        for outcome in OUTCOMES:
            getattr(counters, outcome).update(getattr(found, outcome))
        return counters

    def _machine_run(self, program: Program, upsets: Sequence[Upset]) -> Counters:
        fast = self._machines[id(program)]
        if fast is not None:
            return fast.run(upsets)
        machine = ReferenceMachine(program, self.memory, upsets)
        machine.run()
        return machine.counters

    def _check(self, given: Mapping[str, NDArray[Any]], program: Program) -> None:
        wanted = self._named("input", program)
        problems = [f"input '{name}' is missing: it is {_described(s)}" for name, s in wanted.items() if name not in given]
        problems += [f"there is no input '{name}'" for name in given if name not in wanted]
        checked = ((wanted[name], array) for name, array in given.items() if name in wanted)
        problems += [problem for symbol, array in checked if (problem := _array_problem(symbol, array))]
        if problems:
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            expected = ", ".join(f"{name} ({_described(s)})" for name, s in wanted.items())
            raise DataFault(
                f"{count} with the inputs of this program",
                notes=tuple(problems),
                hint=f"the program takes {expected or 'no inputs'}",
            )


def _described(symbol: Symbol) -> str:
    shape = "×".join(str(extent) for extent in symbol.shape) or "scalar"
    return f"{symbol.type} {shape}"


def _array_problem(symbol: Symbol, array: object) -> str | None:
    if not isinstance(array, np.ndarray):
        return f"{symbol.role} '{symbol.name}' must be an array, {_described(symbol)}, not {type(array).__name__}"
    found = cast(NDArray[Any], array)
    if found.shape != symbol.shape or found.dtype != NUMPY_TYPES[symbol.type]:
        shape = "×".join(str(extent) for extent in found.shape) or "scalar"
        return f"{symbol.role} '{symbol.name}' must be {_described(symbol)}, found {found.dtype} {shape}"
    return None

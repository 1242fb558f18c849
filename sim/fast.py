"""The fast machine: same results as the reference machine."""

from __future__ import annotations

from isa.program import Program
from sim.counters import Counters
from sim.memory import Memory
from sim.reference import ReferenceMachine


class FastMachine:
    """Runs a program on a memory, as often as wanted."""

    def __init__(self, program: Program, memory: Memory) -> None:
        self._program = program
        self._memory = memory

    def run(self) -> Counters:
        """One run. Raises MachineTrap."""
        machine = ReferenceMachine(self._program, self._memory)
        machine.run()
        return machine.counters

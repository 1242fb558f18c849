"""How busy the SRAM slices are at each stage of a program, as far as placement has gone.

A slice does one read and one write a cycle: columns that are walked at about the same time are better off in different slices.
Time is the order of trips, for when they run is not known yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.operations import Operations
from compiler.scheduling.trip import Flow, Gather, Group, Read, ReadBlock, Write, touched
from isa.chip import Chip

STAGES = 512
"""Stages into which the trips of a program are divided at most (our choice)."""

NEAR_OPERATIONS = 2
"""Operations so far apart may run at the same time (our choice)."""


class Traffic:
    """Accesses a slice by stage, and those that each column group will add to one."""

    def __init__(self, flow: Flow, chip: Chip, operations: Operations) -> None:
        self.numbers = {unit.name: i for i, unit in enumerate(chip.slices("sram"))}
        self.trips_a_stage = max(1, -(-len(flow.trips) // STAGES))
        self.stages = len(flow.trips) // self.trips_a_stage + 1
        self.busy: NDArray[np.float64] = np.zeros((len(self.numbers), self.stages))
        self.of: defaultdict[Group, dict[int, float]] = defaultdict(dict)
        """Accesses to one slice of the group, by stage."""
        self.longest_walk: defaultdict[Group, float] = defaultdict(float)
        """Most cycles for which a trip reads or writes the group: many also where it reads one row again and again."""
        self.touched_about: defaultdict[Group, set[int]] = defaultdict(set)
        """Operations that touch the group, and those that may run at the same time."""
        self.loaded_in: defaultdict[Group, set[int]] = defaultdict(set)
        """Operations that load weights from the group."""
        self.loads: defaultdict[str, Counter[int]] = defaultdict(Counter)
        """Of each slice, groups that operations load weights from."""
        for index, trip in enumerate(flow.trips):
            stage, operation = index // self.trips_a_stage, operations.of[index]
            for node in trip.nodes:
                if not isinstance(node, (Read, ReadBlock, Gather, Write)):
                    continue
                abreast = node.abreast if isinstance(node, (Read, Write)) else 1
                stripes = node.rows_per_cycle if isinstance(node, ReadBlock) else flow.buffers[node.buffer].stripes
                cycles = node.count * abreast / stripes
                for group in touched(node, flow.buffers):
                    self.longest_walk[group] = max(self.longest_walk[group], cycles)
                    self.touched_about[group].update(range(operation - NEAR_OPERATIONS, operation + NEAR_OPERATIONS + 1))
                    if isinstance(node, ReadBlock):
                        self.loaded_in[group].add(operation)
                    self.of[group][stage] = self.of[group].get(stage, 0.0) + cycles

    def at_once(self, group: Group, unit: str) -> int:
        """Accesses of the slice in the stages in which the group is touched, and in those between them."""
        stages = self.of.get(group)
        if not stages:
            return 0
        return int(self.busy[self.numbers[unit], min(stages) : max(stages) + 1].sum())

    def beside_loads(self, group: Group, unit: str) -> bool:
        """Whether weights are loaded from the slice when the group is touched: in bursts that would keep others waiting."""
        loads = self.loads.get(unit)
        return loads is not None and any(loads[operation] > 0 for operation in self.touched_about.get(group, ()))

    def add(self, group: Group, units: tuple[str, ...]) -> None:
        """The group lies in these slices now."""
        self._count(group, units, 1)

    def remove(self, group: Group, units: tuple[str, ...]) -> None:
        """It does no longer."""
        self._count(group, units, -1)

    def _count(self, group: Group, units: tuple[str, ...], sign: int) -> None:
        for operation in self.loaded_in.get(group, ()):
            for unit in units:
                self.loads[unit][operation] += sign
        for stage, cycles in self.of.get(group, {}).items():
            for unit in units:
                self.busy[self.numbers[unit], stage] += sign * cycles

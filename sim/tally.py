"""The counters that follow from a program alone: everything but the banks that a gather reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isa.bursts import Bursts
from isa.checks_ranges import mode_name
from isa.chip import Chip
from isa.program import Operation, Program
from isa.wiring import cut_streams
from sim.counters import Counters
from sim.planes import planes_held
from sim.semantics import lane_mask


def program_counters(program: Program, bursts: Bursts) -> Counters:
    """What a run of a legal program counts, without `cycles` and the RRAM banks read by gathers."""
    counters = Counters(program.chip)
    for op in program.operations:
        _count_operation(counters, op)
    _count_streams(counters, bursts)
    return counters


def _count_operation(counters: Counters, op: Operation) -> None:
    chip = counters.chip
    slot = chip.slots[op.slot]
    if slot.unit.kind == "mxm":
        suffix = op.slot.rpartition(".")[2]
        for plane in planes_held(op, slot.unit, chip):
            counters.slot_busy[f"{plane.name}.{suffix}"] += op.rep
        if op.mnemonic == "feed":
            counters.macs[f"{slot.unit.name}.{mode_name(op)}"] += op.rep * op.get("depth") * chip.lanes
        return
    counters.slot_busy[op.slot] += op.rep
    if op.mnemonic in ("read", "gather"):
        counters.reads[slot.unit.name] += op.rep
        if op.mnemonic == "read" and slot.unit.kind == "rram":
            counters.add_bank_reads(slot.unit.name, op.get("addr") + op.get("step") * np.arange(op.rep))
    elif op.mnemonic in ("write", "scatter"):
        lanes = lane_mask(op.get("mask"), chip.lanes, chip.superlane) if op.mnemonic == "write" else None
        counters.writes[slot.unit.name] += op.rep
        counters.written_lanes[slot.unit.name] += op.rep * (chip.lanes if lanes is None else int(lanes.sum()))


def hops_written(bursts: Bursts, chip: Chip) -> NDArray[np.int64]:
    """Register-to-register moves of the values that each burst writes, one entry a burst (0 for one that reads).

    A value moves until the next write on its diagonal replaces it, or to the last register.
    """
    pieces = cut_streams(bursts, chip.width)
    chosen = np.flatnonzero(pieces.write)
    burst, place = pieces.burst[chosen], pieces.place[chosen]
    begin = bursts.along[burst]
    end = np.full(len(chosen), chip.width - 1)
    end[:-1] = np.where(place[1:] == place[:-1], begin[1:], chip.width - 1)
    hops = np.zeros(len(bursts.along), np.int64)
    np.add.at(hops, burst, (end - begin) * pieces.count[chosen])
    return hops


def _count_streams(counters: Counters, bursts: Bursts) -> None:
    """Values written and their hops, by byte stream."""
    chip = counters.chip
    hops, values = np.zeros((2, 2 * chip.streams), np.int64)
    np.add.at(hops, bursts.stream, hops_written(bursts, chip))
    np.add.at(values, bursts.stream, bursts.count * bursts.write)
    for number in range(2 * chip.streams):
        name = f"{'e' if number < chip.streams else 'w'}{number % chip.streams}"
        if values[number]:
            counters.stream_values[name] = int(values[number])
            counters.stream_hops[name] = int(hops[number])

"""The counters that follow from a program alone: everything but the banks that a gather reads."""

from __future__ import annotations

import numpy as np

from isa.bursts import Bursts
from isa.checks_ranges import mode_name
from isa.program import Operation, Program
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


def _count_streams(counters: Counters, bursts: Bursts) -> None:
    """Values written, and hops: on each diagonal of a stream something moves from the first write to the last register."""
    chip = counters.chip
    written = np.flatnonzero(bursts.write)
    count = bursts.count[written]
    row = np.repeat(written, count)
    element = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    diagonal = bursts.diagonal[row] + element * bursts.every[row]
    low = int(diagonal.min(initial=0))
    span = int(diagonal.max(initial=0)) - low + 1
    places = np.sort((bursts.stream[row] * span + diagonal - low) * chip.width + bursts.along[row])
    first = np.flatnonzero(np.diff(places // chip.width, prepend=-1))
    stream = places[first] // chip.width // span
    hops = np.zeros(2 * chip.streams, np.int64)
    np.add.at(hops, stream, chip.width - 1 - places[first] % chip.width)
    values = np.zeros(2 * chip.streams, np.int64)
    np.add.at(values, bursts.stream[written], count)
    for number in range(2 * chip.streams):
        name = f"{'e' if number < chip.streams else 'w'}{number % chip.streams}"
        if values[number]:
            counters.stream_values[name] = int(values[number])
            counters.stream_hops[name] = int(hops[number])

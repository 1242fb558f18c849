"""The energy of a program, split by unit and by place in the source. It follows from operations and chip alone.

    by operation = amounts [operations, kinds of work] · cost of each kind [kinds of work, low | typical | high]

Static power belongs to no operation: it is the time that the program takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.bursts import Bursts, collect_bursts
from isa.checks_ranges import mode_name
from isa.chip import Chip
from isa.energy import Range
from isa.numerics import RUNNING_PRODUCTS
from isa.program import Operation, Program
from isa.timing import program_cycles, stream_reads
from sim.semantics import lane_mask
from sim.tally import hops_written

WORK = (
    "sram_read_bit_pj", "sram_write_bit_pj", "rram_read_bit_pj", "mac_i8_pj", "mac_f16_pj", "alu_lane_pj", "sxm_lane_pj",
    "hop_byte_pj",
)  # fmt: skip
"""Kinds of work: the figures of `isa.energy.Energy` that are energies."""
_PRODUCT_AND_SUM = ("fmadd", *RUNNING_PRODUCTS)
"""VXM operations that count twice."""
_COLUMN = {name: column for column, name in enumerate(WORK)}
UNIT_KINDS = ("sram", "rram", "mxm", "vxm", "sxm", "streams", "static")
_KIND_OF_WORK = ("sram", "sram", "rram", "mxm", "mxm", "vxm", "sxm", "streams")

Microjoules = NDArray[np.float64]
"""[…, 3]: low, typical, high."""


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """Microjoules of one run. Kinds, units and places that took nothing are left out."""

    by_kind: dict[str, Range]
    """By kind of unit (`UNIT_KINDS`); `streams` are all hops."""
    by_unit: dict[str, Range]
    """By unit, west to east, without hops and static power."""
    by_place: dict[str, Range]
    """By place of the source (`Program.origins`), in the order of `origins`: its operations and the hops of what they write."""
    total: Range


def program_energy(program: Program) -> EnergyReport:
    """The energy of one run of a legal program."""
    chip, amounts = program.chip, work_amounts(program, collect_bursts(program))
    costs = np.array([getattr(chip.energy, name).values for name in WORK])
    each: Microjoules = amounts[:, :, None] * costs * 1e-6
    static = np.array(chip.energy.static_w.values) * program_cycles(program.operations, chip) / chip.clock_ghz * 1e-3
    kinds: dict[str, Microjoules] = {kind: np.zeros(3) for kind in UNIT_KINDS}
    for column, kind in enumerate(_KIND_OF_WORK):
        kinds[kind] = kinds[kind] + each[:, column].sum(axis=0)
    kinds["static"] = static
    in_units = each[:, : _COLUMN["hop_byte_pj"]].sum(axis=1)
    names = list(chip.units)
    position = {name: i for i, name in enumerate(names)}
    unit_of = np.array([position[chip.slots[op.slot].unit.name] for op in program.operations], np.int64)
    places = {place: i for i, place in enumerate(dict.fromkeys(program.origins))}
    place_of = np.array([places[program.origins[op.origin]] for op in program.operations], np.int64)
    return EnergyReport(
        by_kind=_ranges(UNIT_KINDS, np.array([kinds[kind] for kind in UNIT_KINDS])),
        by_unit=_ranges(names, _sums(in_units, unit_of, len(names))),
        by_place=_ranges(list(places), _sums(each.sum(axis=1), place_of, len(places))),
        total=_range(each.sum(axis=(0, 1)) + static),
    )


def work_amounts(program: Program, bursts: Bursts) -> NDArray[np.float64]:
    """How much of each kind of work every operation does, [operations, len(WORK)]."""
    amounts = np.zeros((len(program.operations), len(WORK)))
    for number, op in enumerate(program.operations):
        for name, amount in _work(op, program.chip):
            amounts[number, _COLUMN[name]] = amount
    hops = np.zeros(len(program.operations), np.int64)
    np.add.at(hops, bursts.operation, hops_written(bursts, program.chip))
    amounts[:, _COLUMN["hop_byte_pj"]] = hops * program.chip.lanes
    return amounts


def _work(op: Operation, chip: Chip) -> list[tuple[str, int]]:
    """(kind of work, amount) of an operation, without hops. Loads and swaps of weights are in the energy of a MAC."""
    kind, lanes = chip.slots[op.slot].unit.kind, chip.lanes
    if op.mnemonic in ("read", "gather"):
        return [(f"{kind}_read_bit_pj", op.rep * (cells_a_row(chip) if kind == "rram" else 8 * lanes))]
    if op.mnemonic in ("write", "scatter"):
        mask = lane_mask(op.get("mask"), lanes, chip.superlane) if op.mnemonic == "write" else None
        return [("sram_write_bit_pj", op.rep * (lanes if mask is None else int(mask.sum())) * 8)]
    if op.mnemonic == "feed":
        return [("mac_i8_pj" if mode_name(op) == "i8" else "mac_f16_pj", op.rep * op.get("depth") * lanes)]
    if kind == "vxm":
        return [("alu_lane_pj", op.rep * lanes * (2 if op.mnemonic in _PRODUCT_AND_SUM else 1))]
    if kind == "sxm":
        return [("sxm_lane_pj", sum(burst.count for burst in stream_reads(op, chip)) * lanes)]
    return []


def cells_a_row(chip: Chip) -> int:
    """Cells that a read of RRAM senses: the bits of the row and, where the chip has a code, its check bits."""
    device = chip.rram.device if chip.rram else None
    return 8 * chip.lanes * device.cells_a_word // device.word_bits if device else 8 * chip.lanes


def _sums(each: Microjoules, group: NDArray[np.int64], groups: int) -> Microjoules:
    sums = np.zeros((groups, 3))
    np.add.at(sums, group, each)
    return sums


def _range(values: Microjoules) -> Range:
    low, typical, high = (float(value) for value in values)
    return Range(low=low, typical=max(low, typical), high=max(low, typical, high))


def _ranges(names: list[str] | tuple[str, ...], values: Microjoules) -> dict[str, Range]:
    return {name: _range(row) for name, row in zip(names, values, strict=True) if row.any()}

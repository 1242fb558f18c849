"""Energy: by hand for a small product, and by the counters of both machines for random programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from isa.bursts import collect_bursts
from isa.chip import load_chip
from isa.energy import Energy, Range
from isa.program import Program
from isa.timing import program_cycles
from sim.energy import UNIT_KINDS, WORK, program_energy, work_amounts

TINY = load_chip("tiny")


def expected_work(program: Program, facts: Mapping[str, Any]) -> dict[str, float]:
    """What the counts of a run say of each kind of work. Loads of weights and swaps count nothing."""
    chip = program.chip
    bits = 8 * chip.lanes
    reads = {kind: sum(n for unit, n in facts["reads"].items() if unit.startswith(kind)) for kind in ("sram", "rram")}
    busy = sum(n for slot, n in facts["slot_busy"].items() if slot.startswith("vxm."))
    twice = sum(op.rep for op in program.operations if op.mnemonic in ("fmadd", "fdot", "idot"))  # a product and a sum
    i8 = sum(count for key, count in facts["macs"].items() if key.endswith(".i8"))
    return {
        "sram_read_bit_pj": reads["sram"] * bits,
        "sram_write_bit_pj": sum(facts["written_lanes"].values()) * 8,
        "rram_read_bit_pj": reads["rram"] * (64 + 16),  # with the check bits of BCH (80, 64)
        "mac_i8_pj": i8,
        "mac_f16_pj": sum(facts["macs"].values()) - i8,
        "alu_lane_pj": (busy + twice) * chip.lanes,
        "hop_byte_pj": sum(facts["stream_hops"].values()) * chip.lanes,
    }


def found_work(program: Program) -> dict[str, float]:
    totals = work_amounts(program, collect_bursts(program)).sum(axis=0)
    return {name: float(total) for name, total in zip(WORK, totals, strict=True) if name != "sxm_lane_pj"}


def test_energy_of_a_product_by_hand(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec("i8", batch=3, depth=4)
    found, chip = program_energy(program), program.chip
    cost = chip.energy
    assert found.by_kind["mxm"].typical == pytest.approx(3 * 4 * 8 * cost.mac_i8_pj.typical * 1e-6)
    assert found.by_kind["rram"].low == pytest.approx(4 * 80 * cost.rram_read_bit_pj.low * 1e-6)
    assert found.by_kind["vxm"].high == pytest.approx(2 * 3 * 8 * cost.alu_lane_pj.high * 1e-6)
    sram = 3 * 64 * (cost.sram_read_bit_pj.typical + cost.sram_write_bit_pj.typical)
    assert found.by_kind["sram"].typical == pytest.approx(sram * 1e-6)
    cycles = program_cycles(program.operations, chip)
    assert found.by_kind["static"].typical == pytest.approx(cost.static_w.typical * cycles / chip.clock_ghz * 1e-3)
    assert set(found.by_kind) == set(UNIT_KINDS) - {"sxm"}
    assert found.total.typical == pytest.approx(sum(part.typical for part in found.by_kind.values()))


def test_units_and_places_add_up(hand_programs: ModuleType) -> None:
    program = hand_programs.matvec("i8", batch=3, depth=4)
    program.origins = ["", "m.lks:1:1: load", "m.lks:2:1: rest", "m.lks:2:1: rest"]
    program.operations = [
        replace(op, origin=1 if op.mnemonic in ("load", "swap") or op.slot.startswith("rram") else 2 + i % 2)
        for i, op in enumerate(program.operations)
    ]
    found = program_energy(program)
    dynamic = found.total.typical - found.by_kind["static"].typical
    assert list(found.by_place) == ["m.lks:1:1: load", "m.lks:2:1: rest"]
    assert sum(cost.typical for cost in found.by_place.values()) == pytest.approx(dynamic)
    in_units = sum(cost.typical for cost in found.by_unit.values())
    assert in_units == pytest.approx(dynamic - found.by_kind["streams"].typical)
    assert found.by_place["m.lks:1:1: load"].typical > found.by_kind["rram"].typical  # and the hops of the weights


@pytest.mark.parametrize("seed", range(12))
def test_work_is_what_the_reference_machine_counts(random_programs: ModuleType, seed: int) -> None:
    program = random_programs.random_program(TINY, seed, proposals=16)
    result = random_programs.outcome(program, "reference")
    if result[0] == "done":
        assert found_work(program) == expected_work(program, result[1])


def test_the_random_programs_are_not_all_trapped(random_programs: ModuleType) -> None:
    results = [random_programs.outcome(random_programs.random_program(TINY, seed, 16), "fast")[0] for seed in range(12)]
    assert results.count("done") > 3


def test_a_range_has_an_order() -> None:
    assert Range.model_validate(2).values == (2, 2, 2)
    with pytest.raises(ValueError, match="low ≤ typical ≤ high"):
        Range(low=2, typical=1, high=3)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Range.model_validate(-1)


def test_every_kind_of_work_has_a_figure_in_the_chip() -> None:
    """Writing cells is the energy of programming, not of programs that run (`sim/programming.py`)."""
    assert set(Energy.model_fields) == {*WORK, "static_w", "rram_write_bit_pj"}

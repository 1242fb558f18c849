"""Bits that flip in streams and SRAM: their code, what theory says of it, and both machines under the same upsets."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from math import comb
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from isa.chip import load_chip
from isa.errors import Trap
from isa.layout import NUMPY_TYPES
from isa.program import Piece, Program, Symbol
from isa.timing import program_cycles, stream_writes
from sim.code_theory import Code, pattern_counts, undetected_share
from sim.device import Device, Machine
from sim.ecc import CLEAN, CORRECTED, UNCORRECTABLE, code_of
from sim.fast import FastMachine
from sim.memory import Memory
from sim.reference import ReferenceMachine
from sim.secded import SecdedCode, stream_code
from sim.traps import MachineTrap
from sim.upsets import SramUpset, StreamUpset, Upset, decoded, decoded_vector

TINY = load_chip("tiny")
FULL, SMALL = SecdedCode(128), SecdedCode(16)


def with_flips(data: NDArray[np.uint8], wrong: tuple[int, ...], code: SecdedCode) -> tuple[NDArray[np.uint8], int]:
    """(data as decoded, status) of one word."""
    checks = code.encode(data)
    damaged = data.copy()
    for bit in wrong:
        if bit < code.data_bits:
            damaged[bit // 8] ^= np.uint8(1 << bit % 8)
        else:
            checks ^= np.uint16(1 << bit - code.data_bits)
    fixed, found = code.decode(damaged[None], np.array([checks], np.uint16))
    return fixed[0], int(found.status[0])


# The code ---------------------------------------------------------------------------------------------------------------


def test_the_code_of_streams_is_137_128() -> None:
    assert (FULL.bits, FULL.data_bits) == (137, 128)
    assert stream_code(load_chip("lpu-rram").superlane).bits == 137
    assert len(set(FULL.syndromes.tolist())) == 137
    assert all(int(s).bit_count() % 2 for s in FULL.syndromes)


@pytest.mark.parametrize("code", [FULL, SMALL], ids=["137", "25"])
def test_one_wrong_bit_is_corrected_and_two_are_detected(code: SecdedCode) -> None:
    data = np.random.default_rng(1).integers(0, 256, code.data_bits // 8, np.uint8)
    assert with_flips(data, (), code)[1] == CLEAN
    for bit in range(code.bits):
        fixed, status = with_flips(data, (bit,), code)
        assert status == CORRECTED
        assert np.array_equal(fixed, data)
    for pair in list(combinations(range(code.bits), 2))[:: 7 if code is FULL else 1]:
        assert with_flips(data, pair, code)[1] == UNCORRECTABLE


@pytest.mark.parametrize("count", range(1, 8))
def test_syndromes_alone_say_what_decoding_gives(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(60):
        lanes = rng.integers(0, 256, TINY.lanes, np.uint8)
        wrong = frozenset(rng.choice(4 * SMALL.bits, count, replace=False).tolist())
        found, (fixed, refused) = decoded(wrong, TINY.lanes, SMALL), decoded_vector(lanes, wrong, SMALL)
        assert found.refused == refused
        if refused < 0:
            mask = np.zeros(TINY.lanes, np.uint8) if found.mask is None else found.mask
            assert np.array_equal(fixed, lanes ^ mask)


@pytest.mark.parametrize("code", [SMALL, code_of(64)], ids=["secded-25", "bch-80"])
@pytest.mark.parametrize("wrong_bits", [1, 2, 3])
def test_pattern_counts_are_those_of_enumeration(code: Code, wrong_bits: int) -> None:
    chosen = np.array(list(combinations(range(code.bits), wrong_bits)))
    found = np.bincount(np.bitwise_xor.reduce(code.syndromes[chosen], axis=1), minlength=len(pattern_counts(code, 1)))
    assert np.array_equal(pattern_counts(code, wrong_bits), found)


@pytest.mark.parametrize("code", [FULL, code_of(128)], ids=["secded", "bch"])
def test_every_pattern_has_a_syndrome(code: Code) -> None:
    for wrong_bits in (3, 4, 5):
        assert int(pattern_counts(code, wrong_bits).sum()) == comb(code.bits, wrong_bits)


def test_the_share_of_three_wrong_bits_that_bch_takes_for_something_else() -> None:
    """By enumeration of all 487,344 patterns."""
    code = code_of(128)
    a, b, c = np.array(list(combinations(range(code.bits), 3))).T
    status = code.correct(code.syndromes[a] ^ code.syndromes[b] ^ code.syndromes[c]).status
    assert undetected_share(code, 3) == (status != UNCORRECTABLE).mean()
    assert 0.15 < undetected_share(code, 3) < 0.17


# Machines ---------------------------------------------------------------------------------------------------------------


def random_upsets(program: Program, rng: random.Random, count: int, bits: int) -> list[Upset]:
    """Values and words that the program has, each with so many wrong bits of one superlane."""
    chip, code = program.chip, stream_code(program.chip.superlane)
    superlanes = chip.lanes // chip.superlane
    made: list[Upset] = []
    while len(made) < count:
        number = rng.randrange(len(program.operations))
        op = program.operations[number]
        first = rng.randrange(superlanes) * code.bits
        wrong = frozenset(first + bit for bit in rng.sample(range(code.bits), bits))
        writes = stream_writes(op, chip)
        if writes and rng.random() < 0.5:
            stream = rng.randrange(len(writes))
            made.append(StreamUpset(number, stream, rng.randrange(writes[stream].count), wrong))
        elif op.slot.startswith("sram") and op.mnemonic in ("read", "write"):
            cycle = rng.randrange(program_cycles(program.operations, chip))
            address = op.get("addr") + rng.randrange(op.rep) * op.get("step")
            made.append(SramUpset(op.slot.rsplit(".", 1)[0], address, cycle, wrong))
    return made


def outcome(program: Program, machine: str, upsets: list[Upset]) -> tuple[object, ...]:
    memory = Memory(program.chip)
    memory.lay_images(program)
    for symbol in program.symbols:
        if symbol.role != "output":
            count = int(np.prod(symbol.shape))
            memory.put(symbol, (np.arange(count) % 4).reshape(symbol.shape).astype(NUMPY_TYPES[symbol.type]))
    try:
        if machine == "fast":
            FastMachine(program, memory).run(upsets)
        else:
            ReferenceMachine(program, memory, upsets).run()
    except MachineTrap as trap:
        return ("trap", trap.cycle, trap.operation, trap.message)
    units = [u.name for u in program.chip.units.values() if u.kind == "sram"]
    return ("done", {u: memory.unit_words(u)[memory.unit_written(u)].tobytes() for u in units})


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_machines_agree_under_the_same_upsets(seed: int, bits: int, random_programs: ModuleType) -> None:
    program = random_programs.random_program(TINY, seed, proposals=20)
    rng = random.Random(10 * seed + bits)
    clean = outcome(program, "fast", [])
    for _ in range(6):
        upsets = random_upsets(program, rng, rng.choice((1, 3)), bits)
        fast = outcome(program, "fast", upsets)
        assert fast == outcome(program, "reference", upsets)
        if bits == 1 and clean[0] == "done" and len(upsets) == 1:
            assert fast == clean


def test_a_code_word_of_wrong_bits_passes_both_machines(hand_programs: ModuleType) -> None:
    """Bits whose syndromes sum to nothing: no decoder sees them, and the product is another one."""
    program = hand_programs.matvec("i8", batch=3, depth=4)
    number = next(i for i, op in enumerate(program.operations) if op.slot == "sram.w7.rd")
    silent = next(
        frozenset(bits)
        for bits in combinations(range(SMALL.data_bits), 4)
        if np.bitwise_xor.reduce(SMALL.syndromes[list(bits)]) == 0
    )
    x, outputs = {"x": np.ones((3, 4), np.int8)}, []
    machines: list[Machine] = ["fast", "reference"]
    for machine in machines:
        device = Device(program, machine)
        clean = device.run(x).outputs["y"]
        assert np.array_equal(device.run(x, [StreamUpset(number, 0, 1, frozenset({5}))]).outputs["y"], clean)
        with pytest.raises(MachineTrap, match=r"mxm0.fd feed: superlane 1 of element 1 on w2 has more wrong bits"):
            device.run(x, [StreamUpset(number, 0, 1, frozenset({SMALL.bits, SMALL.bits + 3}))])
        outputs.append(device.run(x, [StreamUpset(number, 0, 1, silent)]).outputs["y"])
        assert np.array_equal(outputs[-1][[0, 2]], clean[[0, 2]])
        assert not np.array_equal(outputs[-1][1], clean[1])
        assert np.array_equal(device.run(x).outputs["y"], clean)
    assert np.array_equal(outputs[0], outputs[1])


@pytest.mark.parametrize("machine", ["fast", "reference"])
def test_a_masked_write_leaves_the_other_superlanes_wrong(machine: Machine, hand_programs: ModuleType) -> None:
    """Superlanes 0 and 1 of a word with wrong bits are written, then the host reads all of it."""
    hp, code = hand_programs, SMALL
    read, write = hp.copy("sram.w1", "sram.e1", "e0")
    masked = replace(write, fields={**write.fields, "mask": 0b0011})
    symbol = Symbol("y", "output", (1, 8), "i8", (Piece("sram.e1", write.get("addr"), 1, 0, 0, 0),))
    images = [hp.words("sram.w1", 0, 1), hp.words("sram.e1", write.get("addr"), 1)]
    device = Device(hp.program([read, masked], images, [symbol]), machine)
    clean = device.run().outputs["y"]
    place = ("sram.e1", write.get("addr"), 0)
    assert np.array_equal(device.run(upsets=[SramUpset(*place, frozenset({0, 1}))]).outputs["y"], clean)
    single = SramUpset(*place, frozenset({3 * code.bits}))
    assert np.array_equal(device.run(upsets=[single]).outputs["y"], clean)
    with pytest.raises(Trap, match="output 'y', word"):
        device.run(upsets=[SramUpset(*place, frozenset({3 * code.bits, 3 * code.bits + 1}))])

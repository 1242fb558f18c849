"""Words of operations: every row there and back, one encoding each, nothing else accepted."""

from __future__ import annotations

import time
from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isa.chip import load_chip, preset_names
from isa.encode import WORD_BYTES, decode_operations, encode_operations, word_parts
from isa.errors import ProgramFileFault, ScheduleFault
from isa.program import Immediate, Operation, Stream
from isa.spec import INSTRUCTIONS, WORD_BITS, operation_bits

CHIPS = {name: load_chip(name) for name in preset_names()}
TINY = CHIPS["tiny"]
READ = Operation(3, "sram.w0.rd", "read", (), Stream("e", 4), {"addr": 1})
ADD = Operation(3, "vxm.0", "fadd", (Stream("e", 4, "f32"), Immediate(0x3F80_0000)), Stream("w", 0, "i8"))


def header(count: int, cycle: int) -> int:
    return count << 8 | cycle << 24


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(WORD_BYTES, "little") for value in values)


def word_of(op: Operation) -> int:
    return int.from_bytes(encode_operations([op], TINY)[WORD_BYTES:], "little")


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_every_row_survives_the_words(row, random_isa: ModuleType) -> None:
    chip = TINY if random_isa.slots_of(TINY, row.mnemonic) else CHIPS["lpu-rram"]

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(op=random_isa.operations(chip, row.mnemonic))
    def there_and_back(op: Operation) -> None:
        assert decode_operations(encode_operations([op], chip), chip) == [op]

    there_and_back()


@pytest.mark.parametrize("name", preset_names())
def test_programs_survive_the_words(name: str, random_isa: ModuleType) -> None:
    chip = CHIPS[name]

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(ops=st.lists(random_isa.operations(chip, origins=9), max_size=12))
    def there_and_back(ops: list[Operation]) -> None:
        ops = random_isa.ordered(ops, chip)
        data = encode_operations(ops, chip)
        assert decode_operations(data, chip, [op.origin for op in ops]) == ops
        assert len(data) == WORD_BYTES * (len(ops) + len({op.cycle for op in ops}))

    there_and_back()


def test_flipped_bits_are_refused_or_another_program(random_isa: ModuleType) -> None:
    accepted = []

    @settings(max_examples=120, deadline=None, derandomize=True)
    @given(ops=st.lists(random_isa.operations(TINY), min_size=1, max_size=3), data=st.data())
    def flip(ops: list[Operation], data: st.DataObject) -> None:
        octets = bytearray(encode_operations(random_isa.ordered(ops, TINY), TINY))
        bit = data.draw(st.integers(0, 8 * len(octets) - 1))
        octets[bit // 8] ^= 1 << bit % 8
        try:
            decoded = decode_operations(bytes(octets), TINY)
        except ProgramFileFault:
            accepted.append(False)
        else:
            accepted.append(True)
            assert encode_operations(decoded, TINY) == octets

    flip()
    assert {True, False} <= set(accepted)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=80))
def test_random_bytes_are_refused_or_survive(octets: bytes) -> None:
    try:
        decoded = decode_operations(octets, TINY)
    except ProgramFileFault:
        return
    assert encode_operations(decoded, TINY) == octets


def test_known_words() -> None:
    expected_read = 0x01 | TINY.slots["sram.w0.rd"].index << 8 | 1 << 18 | 1 << 34 | (1 | 4 << 3) << 46 | 1 << 56
    assert encode_operations([READ], TINY) == words(header(1, 3), expected_read)
    a, b, r = 1 | 4 << 3 | 3 << 8, 0b11, 1 | 1 << 2
    expected_add = 0x41 | TINY.slots["vxm.0"].index << 8 | 1 << 18 | 1 << 34 | a << 46 | b << 56 | r << 66 | 0x3F80_0000 << 76
    assert word_of(ADD) == expected_add


def test_a_default_given_is_a_default_left_out() -> None:
    spelled = Operation(3, "sram.w0.rd", "read", (), Stream("e", 4), {"addr": 1, "step": 0})
    assert encode_operations([spelled], TINY) == encode_operations([READ], TINY)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (words(header(1, 3), word_of(READ))[:-1], "not whole words"),
        (words(header(1, 3)), "not the header"),
        (words(header(0, 3)), "not the header"),
        (words(header(2, 3), word_of(READ)), "not the header"),
        (words(header(1, 3) | 1 << 72, word_of(READ)), "not the header"),
        (words(header(1, 3), word_of(READ), header(1, 3), word_of(READ)), "word 2: not the header"),
        (words(word_of(READ)), "not the header"),
        (words(header(2, 3), word_of(READ), word_of(READ)), "slots are not in order"),
        (words(header(1, 3), word_of(READ) | 1 << 127), "bits that must be zero"),
        (words(header(1, 3), word_of(ADD) | 1 << 58), "bits that must be zero"),
        (words(header(1, 3), word_of(READ) & ~0xFF | 0xFE), "opcode 0xfe"),
        (words(header(1, 3), word_of(READ) | 0x3FF << 8), "no slot number 1023"),
        (words(header(1, 3), word_of(READ) & ~(0xFFFF << 18)), "rep is 1 to"),
        (words(header(1, 3), word_of(READ) & ~(0xFFF << 34)), "every is 1 to"),
        (words(header(1, 3), word_of(READ) & ~(1 << 46)), "bits that must be zero"),
        (words(header(1, 3), word_of(READ) | 31 << 49), "outside e0 to e7"),
        (words(header(1, 3), word_of(ADD) | 1 << 49), "not aligned"),
        (words(header(1, 3), word_of(ADD) | 0b10 << 46), "found an immediate: an operation has at most one"),
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProgramFileFault, match=reason):
        decode_operations(data, TINY, file="p.lbin")


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        ([ADD, READ], "not in the order"),
        ([READ, READ], "not in the order"),
        ([Operation(1, "sram.w9.rd", "read")], "no slot 'sram.w9.rd'"),
        ([Operation(1, "vxm.0", "read")], "not allowed in vxm.0"),
        ([Operation(1, "vxm.0", "mul")], "no instruction 'mul'"),
        ([Operation(-1, "vxm.0", "fmov")], "cycle is 0 to"),
        ([Operation(0, "vxm.0", "fmov", (), Stream("e", 0))], "1 source operands, found 0"),
        ([Operation(0, "vxm.0", "fmov", (Immediate(0),), Stream("e", 0))], "is a stream, found an immediate"),
        ([Operation(0, "vxm.0", "fmov", (Stream("e", 0),))], "needs a result"),
        ([Operation(0, "vxm.0", "fmov", (Stream("e", 0),), Stream("e", 0), {"x": 1})], "no field x"),
        ([Operation(0, "vxm.0", "fmov", (Stream("e", 0),), Stream("e", 0), {"delay": 32})], "delay of fmov is 0 to 31"),
        ([Operation(0, "vxm.0", "fsum", (Stream("e", 0),), Stream("e", 0), {"group": 0})], "group of fsum is 1 to"),
        ([Operation(0, "mxm0.ld", "load", (Stream("e", 5),), None, {"streams": 4, "count": 1})], "e5 to e8 is outside"),
        ([Operation(0, "mxm0.ld", "load", (Stream("e", 0),), None, {"mode": 1, "streams": 3, "count": 1})], "multiple of 2"),
        ([Operation(0, "sram.w0.wr", "write", (Stream("e", 0),), Stream("e", 1), {"addr": 0})], "has no result"),
    ],
)
def test_what_is_not_well_formed_is_not_encoded(ops: list[Operation], reason: str) -> None:
    with pytest.raises(ScheduleFault, match=reason):
        encode_operations(ops, TINY)


def test_instructions_that_a_chip_lacks_are_not_encoded() -> None:
    op = Operation(0, "sxm.w.0", "reduce", (Stream("e", 0, "f32"),), Stream("e", 0, "f32"), {"op": 0, "lanes": 8})
    assert encode_operations([op], TINY)
    with pytest.raises(ScheduleFault, match=r"reduce is not allowed in sxm\.w\.0"):
        encode_operations([op], CHIPS["tsp"])


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: row.mnemonic)
def test_parts_of_a_word_do_not_overlap(row) -> None:
    parts = word_parts(row)
    assert [p.low for p in parts[1:]] == [p.low + p.bits for p in parts[:-1]]
    assert parts[-1].low + parts[-1].bits == operation_bits(row) <= WORD_BITS


def test_twenty_thousand_operations_take_seconds_at_most_each_way() -> None:
    ops = [op for cycle in range(10_000) for op in (replace(READ, cycle=cycle), replace(ADD, cycle=cycle))]
    start = time.process_time()
    data = encode_operations(ops, TINY)
    encoded = time.process_time()
    assert decode_operations(data, TINY) == ops
    assert encoded - start < 2.0
    assert time.process_time() - encoded < 2.0

"""Program files: the same program back, the same bytes always, and one clear fault for anything else."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from isa.chip import Chip, load_chip, preset_names
from isa.container import load_program, program_bytes, program_from_bytes, programs_equal, save_program
from isa.errors import DataFault, ProgramFileFault, ScheduleFault
from isa.program import Image, Operation, Piece, Program, Stream, Symbol

TINY = load_chip("tiny")
ENTRY = "lockstep program"


def small_program(chip: Chip = TINY) -> Program:
    """A program with something in every part."""
    return Program(
        chip,
        [
            Operation(0, "sram.w0.rd", "read", (), Stream("e", 4), {"addr": 1, "step": -1}, rep=20, origin=1),
            Operation(9, "vxm.1", "fmov", (Stream("e", 4),), Stream("w", 0, "f32"), {"delay": 3}),
        ],
        [
            Image("w", "rram.w0" if chip.rram else "sram.w1", 2, np.arange(3 * chip.lanes).reshape(3, -1).astype(np.uint8)),
            Image("none", "sram.e1", 0, np.zeros((0, chip.lanes), np.uint8)),
        ],
        [Symbol("x", "input", (4, 8), "i8", (Piece("sram.w0", 0, 4, 0, 0, 0),), 0.1), Symbol("y", "output", (), "f32", ())],
        ["", 'digits.lks:12:5: "matmul" é'],
        {"predicted_cycles": 16, "bound_by": ["streams", None], "share": 0.25},
    )


@pytest.mark.parametrize("name", preset_names())
def test_programs_survive_the_file(name: str, tmp_path: Path) -> None:
    program = small_program(load_chip(name))
    save_program(program, tmp_path / "p.lbin")
    first, second = load_program(tmp_path / "p.lbin"), load_program(tmp_path / "p.lbin")
    assert programs_equal(first, program)
    assert programs_equal(first, second)
    assert program_bytes(first) == (tmp_path / "p.lbin").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["p.lbin"]


def test_random_programs_survive_the_file(random_isa: ModuleType) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(program=random_isa.programs(TINY))
    def there_and_back(program: Program) -> None:
        data = program_bytes(program)
        assert programs_equal(program_from_bytes(data, "p"), program)
        assert program_bytes(program_from_bytes(data, "p")) == data

    there_and_back()


def test_the_empty_program_survives_the_file() -> None:
    empty = Program(TINY, [])
    assert programs_equal(program_from_bytes(program_bytes(empty), "p"), empty)


def test_a_chip_of_the_users_own_travels_with_the_program() -> None:
    data = TINY.model_dump()
    data["name"], data["timing"]["vxm.alu"]["latency"] = "mine", 7
    program = small_program(Chip.model_validate(data))
    again = program_from_bytes(program_bytes(program), "p")
    assert again.chip == program.chip
    assert again.chip.timing["vxm.alu"].latency == 7


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    save_program(small_program(), tmp_path / "p.lbin")
    expected = hashlib.sha256((tmp_path / "p.lbin").read_bytes()).hexdigest()
    code = (
        "import hashlib, sys; from isa.container import *; "
        "print(hashlib.sha256(program_bytes(load_program(sys.argv[1]))).hexdigest())"
    )
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "p.lbin")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == expected


def test_a_bit_flipped_anywhere_is_refused() -> None:
    data = program_bytes(small_program())
    chance = random.Random(1)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << chance.randrange(8)
        with pytest.raises(ProgramFileFault, match=r"^p\.lbin: error: "):
            program_from_bytes(bytes(damaged), "p.lbin")


def test_a_truncated_or_longer_file_is_refused() -> None:
    data = program_bytes(small_program())
    for length in [*range(0, 200), *range(200, len(data), 37), len(data) - 1]:
        with pytest.raises(ProgramFileFault):
            program_from_bytes(data[:length], "p.lbin")
    with pytest.raises(ProgramFileFault, match="damaged or truncated"):
        program_from_bytes(data + b"\0", "p.lbin")


def test_a_newer_file_is_refused_by_name() -> None:
    newer = program_bytes(small_program()).replace(b'"format 1 ', b'"format 2 ')
    with pytest.raises(ProgramFileFault, match="newer Lockstep wrote this file: its format is 2, this Lockstep reads 1"):
        program_from_bytes(newer, "p.lbin")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\3\4" * 50, b"\xff" * 300], ids=["empty", "text", "zip", "ones"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ProgramFileFault, match="not a Lockstep program file"):
        program_from_bytes(data, "p.lbin")


def sealed(data: bytes) -> bytes:
    """The bytes with a checksum that fits, as one who forges a file would do it."""
    match = re.search(rb"sha256 ([0-9a-f]{64}) ", data)
    assert match is not None
    blank = data[: match.start(1)] + b"0" * 64 + data[match.end(1) :]
    return data[: match.start(1)] + hashlib.sha256(blank).hexdigest().encode() + data[match.end(1) :]


def forged(change_header: Any = None, **tensors: Any) -> bytes:
    """A file whose checksum fits, with a changed header or changed tensors (None leaves one out)."""
    data = program_bytes(small_program())
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + length])["__metadata__"][ENTRY]
    lead, text = entry[: entry.index("{")], entry[entry.index("{") :]
    header = json.loads(text)
    if change_header:
        change_header(header)
    found = {**load_tensors(data), **tensors}
    kept = {name: array for name, array in found.items() if array is not None}
    return sealed(save_tensors(kept, metadata={ENTRY: lead + json.dumps(header)}))


def test_a_forgery_that_changes_nothing_is_accepted() -> None:
    assert programs_equal(program_from_bytes(forged(), "p"), small_program())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: h.pop("chip"), "chip: Field required"),
        (lambda h: h.update(more=1), "more: Extra inputs"),
        (lambda h: h["chip"].update(lanes=-1), "lanes"),
        (lambda h: h["chip"].update(lanes=16), "digest"),
        (lambda h: h.update(chip_digest="0"), "digest"),
        (lambda h: h["images"][0].update(base=-1), "image w: words"),
        (lambda h: h["images"][0].update(base=1 << 70), "does not hold what it should|image w: words"),
        (lambda h: h["images"][0].update(unit="vxm"), "no memory slice 'vxm'"),
        (lambda h: h["images"].pop(), "tensors are"),
        (lambda h: h["symbols"][0]["pieces"][0].append(1), "pieces"),
        (lambda h: h["symbols"][0]["pieces"][0].__setitem__(2, 1 << 40), "a piece of"),
        (lambda h: h["symbols"][0].update(role="friend"), "role"),
        (lambda h: h.update(origins=[]), "origin 0"),
        (lambda h: h.update(origins=[""]), "there is no origin 1"),
    ],
)
def test_a_header_that_lies_is_refused(change: Any, reason: str) -> None:
    with pytest.raises(ProgramFileFault, match=reason):
        program_from_bytes(forged(change), "p.lbin")


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"operations": None}, "tensors are"),
        ({"operations": np.zeros((1, 15), np.uint8)}, "16 bytes a word"),
        ({"operations": np.zeros((2, 8), np.uint16)}, "tensor operations is uint16"),
        ({"operations": np.zeros((0, 16), np.uint8)}, "2 origins for 0 operations"),
        ({"operations": np.zeros((3, 16), np.uint8)}, "operation word 0: not the header"),
        ({"origins": np.zeros(1, np.uint32)}, "no origin for operation 1"),
        ({"origins": np.zeros((2, 1), np.uint32)}, "tensor origins is uint32"),
        ({"image.0": np.zeros((3, 7), np.uint8)}, r"uint8 \[words, 8\]"),
        ({"image.0": np.zeros((99, 8), np.uint8)}, "image w: words 2 to 100"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors: Any, reason: str) -> None:
    with pytest.raises(ProgramFileFault, match=reason):
        program_from_bytes(forged(**tensors), "p.lbin")


def test_a_forged_length_is_refused_before_memory_is_taken() -> None:
    data = program_bytes(small_program())
    huge = data.replace(b'"shape":[3,8]', b'"shape":[1099511627776,8]')
    assert huge != data
    for forgery in (huge, (1 << 62).to_bytes(8, "little") + data[8:], (7).to_bytes(8, "little") + data[8:]):
        with pytest.raises(ProgramFileFault, match="does not hold what it should"):
            program_from_bytes(sealed(forgery), "p.lbin")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"origins": []}, "origin 0"),
        ({"origins": [""]}, "there is no origin 1"),
        ({"facts": {"x": float("nan")}}, "fact x is not a JSON value: nan"),
        ({"facts": {"x": np.int64(3)}}, "fact x is not a JSON value"),
        ({"facts": {"x": (1, 2)}}, "fact x is not a JSON value"),
        ({"origins": ["", "\ud800"]}, "a value that a file cannot"),
        ({"images": [Image("w", "rram.w0", 31, np.zeros((2, 8), np.uint8))]}, "words 31 to 32 are not in the 32 words"),
        ({"symbols": [Symbol("x", "input", (1,), "i8", (Piece("sram.w0", 0, 1, 0, 0, 1),))]}, "byte 1"),
    ],
)
def test_a_program_that_is_not_well_formed_is_not_written(change: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ScheduleFault, match=reason):
        save_program(replace(small_program(), **change), tmp_path / "p.lbin")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_data_fault(tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="cannot write the file: No such file"):
        save_program(small_program(), tmp_path / "none" / "p.lbin")
    with pytest.raises(DataFault, match="cannot write the file"):
        save_program(small_program(), "bad\0name")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "p.lbin"
    target.write_bytes(b"old")

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(DataFault, match="No space left"):
        save_program(small_program(), target)
    assert [p.name for p in tmp_path.iterdir()] == ["p.lbin"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["none.lbin", ".", "bad\0name"])
def test_a_file_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramFileFault, match=r"there is no such program file|cannot read the program file"):
        load_program(f"{tmp_path}/{name}")


def test_equality_sees_every_part() -> None:
    program = small_program()
    other = small_program()
    assert programs_equal(program, other)
    changed = [
        replace(other, chip=load_chip("tsp")),
        replace(other, operations=other.operations[:1]),
        replace(other, images=other.images[:1]),
        replace(other, images=[replace(other.images[0], data=other.images[0].data + 1), other.images[1]]),
        replace(other, symbols=[]),
        replace(other, origins=["", ""]),
        replace(other, facts={}),
    ]
    assert [programs_equal(program, one) for one in changed] == [False] * len(changed)

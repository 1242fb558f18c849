"""A device's state as the bytes of its file, and back: one record of JSON, blocks of rows.

Everything is checked on its way in, so that a file that somebody has edited is refused rather than half believed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isa.chip import Chip
from isa.errors import ToolchainError
from isa.rram_device import Corner
from isa.rram_state import FLIP, STUCK_1, WHOLE_ROW, PlacedTensor, Resident, RramState, SliceState

BLOCK_ROWS = 256
"""Rows of a block: what one transaction writes is a whole number of them."""
_ROW = np.dtype([("wear", "<u4"), ("reads", "<u8"), ("written_s", "<f8"), ("bad", "u1")])
_TALLIES = ("corrected", "uncorrectable", "miscorrected")

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Touched = dict[str, NDArray[np.int64]]
"""Rows or addresses by slice."""


class RecordProblem(Exception):
    """What is wrong with the content of a device file, in words."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Resident(_Entry):
    name: str
    digest: str
    rows: Count
    spans: list[tuple[str, Count, Count]]


class _Tensor(_Entry):
    digest: str
    pieces: list[tuple[str, int, int, int, int, int, int, int]]


class _Record(_Entry):
    chip: dict[str, Any]
    chip_digest: str
    seed: int
    corner: Corner
    clock_s: Seconds
    elapsed_s: Seconds
    runs: Count
    spares: list[tuple[str, int, int]]
    faults: list[tuple[str, int, int, int]]
    residents: list[_Resident]
    tensors: list[_Tensor]
    slices: list[str]
    blocks: Count


def record_bytes(state: RramState, blocks: int) -> bytes:
    """Everything but rows, as JSON, and how many blocks of rows there are."""
    record = {
        "chip": state.chip.model_dump(mode="json"),
        "chip_digest": state.chip.digest,
        "seed": state.seed,
        "corner": state.corner,
        "clock_s": float(state.clock_s),
        "elapsed_s": float(state.elapsed_s),
        "runs": state.runs,
        "spares": sorted([unit, address, row] for (unit, address), row in state.spares.items()),
        "faults": sorted([unit, row, cell, kind] for (unit, row, cell), kind in state.faults.items()),
        "residents": [
            {"name": r.name, "digest": r.digest, "rows": r.rows, "spans": [list(s) for s in r.spans]} for r in state.residents
        ],
        "tensors": [{"digest": digest, "pieces": [list(p) for p in t.pieces]} for digest, t in sorted(state.tensors.items())],
        "slices": sorted(state.slices),
        "blocks": blocks,
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def state_of_record(body: bytes) -> tuple[RramState, int]:
    """A state with empty slices, and the number of blocks that belong to it. Raises RecordProblem."""
    try:
        record = _Record.model_validate_json(body)
        chip = Chip.model_validate(record.chip)
        if chip.digest != record.chip_digest:
            raise RecordProblem("its chip is not the one that its digest names")
        state = RramState(chip, record.seed, record.corner, record.clock_s, record.elapsed_s, record.runs)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecordProblem(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from None
    except (ToolchainError, ValueError, RecursionError) as error:
        raise RecordProblem(str(error)) from None
    units = {unit.name for unit in chip.slices("rram")}
    named = {*record.slices, *(s[0] for s in record.spares), *(f[0] for f in record.faults)}
    if unknown := sorted(named - units):
        raise RecordProblem(f"the chip has no RRAM slice '{unknown[0]}'")
    for unit, address, row in record.spares:
        in_bank = 0 <= address < state.rram.words <= row < state.rows and (address - row) % state.rram.banks == 0
        if not in_bank:
            raise RecordProblem(f"row {row} cannot stand in for address {address} of {unit}")
        state.spares[unit, address] = row
    for unit, row, cell, kind in record.faults:
        if not (0 <= row < state.rows and WHOLE_ROW <= cell < state.cells and FLIP <= kind <= STUCK_1):
            raise RecordProblem(f"there is no cell {cell} in row {row} of {unit}, or no fault of kind {kind}")
        state.faults[unit, row, cell] = kind
    state.residents = [Resident(r.name, r.digest, r.rows, tuple(r.spans)) for r in record.residents]
    state.tensors = {t.digest: PlacedTensor(tuple(t.pieces)) for t in record.tensors}
    for unit in record.slices:
        state.slice(unit)
    return state, record.blocks


# Blocks ---------------------------------------------------------------------------------------------------------------


def blocks_of(rows: NDArray[np.int64]) -> list[int]:
    """The blocks that these rows are in."""
    return np.unique(rows // BLOCK_ROWS).tolist()


def content_bytes(held: SliceState, block: int) -> bytes:
    """Words of a block of addresses, after a byte for each that says whether it is held."""
    place = slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
    return held.held[place].astype(np.uint8).tobytes() + held.words[place].tobytes()


def rows_bytes(held: SliceState, block: int) -> bytes:
    """What a block of physical rows has been through."""
    place = slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
    table = np.zeros(len(held.wear[place]), _ROW)
    for name in _ROW.fields or ():
        table[name] = getattr(held, name)[place]
    return table.tobytes()


def tally_bytes(held: SliceState) -> bytes:
    """What the code has done, by bank."""
    return np.stack([getattr(held, name) for name in _TALLIES]).astype("<u8").tobytes()


def put_content(held: SliceState, block: int, body: bytes) -> None:
    """The inverse of `content_bytes`. Raises RecordProblem."""
    words = held.words[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]
    if not len(words) or len(body) != len(words) * (1 + words.shape[1]):
        raise RecordProblem(f"block {block} of words has {len(body)} bytes")
    octets = np.frombuffer(body, np.uint8)
    held.held[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS] = octets[: len(words)] != 0
    words[:] = octets[len(words) :].reshape(words.shape)


def put_rows(held: SliceState, block: int, body: bytes) -> None:
    """The inverse of `rows_bytes`. Raises RecordProblem."""
    place = slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
    count = len(held.wear[place])
    if not count or len(body) != count * _ROW.itemsize:
        raise RecordProblem(f"block {block} of rows has {len(body)} bytes")
    table = np.frombuffer(body, _ROW)
    if not np.isfinite(table["written_s"]).all():
        raise RecordProblem(f"block {block} of rows has a time that is none")
    for name in _ROW.fields or ():
        getattr(held, name)[place] = table[name]


def put_tally(held: SliceState, body: bytes) -> None:
    """The inverse of `tally_bytes`. Raises RecordProblem."""
    if len(body) != 8 * len(_TALLIES) * len(held.corrected):
        raise RecordProblem(f"the counts of a slice have {len(body)} bytes")
    for name, counts in zip(_TALLIES, np.frombuffer(body, "<u8").reshape(len(_TALLIES), -1), strict=True):
        getattr(held, name)[:] = counts


def slice_blocks(state: RramState, contents: Touched, rows: Touched) -> Iterator[tuple[str, str, int, bytes]]:
    """(kind, unit, block, bytes) of the blocks that these addresses and physical rows are in, and their slices' tallies."""
    for unit, addresses in contents.items():
        for block in blocks_of(addresses):
            yield "content", unit, block, content_bytes(state.slice(unit), block)
    for unit, physical in rows.items():
        for block in blocks_of(physical):
            yield "rows", unit, block, rows_bytes(state.slice(unit), block)
    for unit in sorted({*contents, *rows}):
        yield "tally", unit, 0, tally_bytes(state.slice(unit))

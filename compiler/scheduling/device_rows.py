"""What placement should know of the RRAM of one chip (`isa.rram_state`): rows to keep off, tensors that are there.

Rows that cannot be written are never used. Rows of other programs, and the most worn ones, are used only where there is no
other room. A tensor that the device holds already keeps its place, so that programming has nothing to write.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compiler.scheduling.placed import Place
from compiler.scheduling.shared_memory import Key, places_of_pieces
from compiler.scheduling.trip import Buffer
from isa.program import Piece
from isa.rram_state import RramState

Ranges = dict[str, list[tuple[int, int]]]
"""(first address, address after the last) by slice, in order."""
WORN_SHARE = 0.25
"""Of its rated write cycles: from there on a row is avoided."""


@dataclass(frozen=True, slots=True)
class DeviceRows:
    """Plain data: a device at one moment."""

    bad: Ranges
    avoided: Ranges
    tensors: dict[str, tuple[Piece, ...]] = field(default_factory=dict[str, tuple[Piece, ...]])
    """By digest."""

    def blocked(self, unit: str) -> list[tuple[int, int]]:
        """Ranges of a slice that nothing new may be placed in."""
        return sorted([*self.bad.get(unit, ()), *self.avoided.get(unit, ())])

    def last_resort(self) -> DeviceRows:
        """The same device where there is too little room: other programs and worn rows are not spared."""
        return replace(self, avoided={})

    def places(self, buffer: Buffer) -> dict[Key, Place]:
        """Where the device has a buffer's tensor in the buffer's layout; empty where it has not."""
        pieces = self.tensors.get(buffer.digest) if buffer.memory == "rram" and buffer.digest else None
        return (places_of_pieces(buffer, pieces) if pieces else None) or {}


def device_rows(state: RramState) -> DeviceRows:
    """The device as placement sees it."""
    bad: Ranges = {}
    avoided: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    limit = state.device.endurance_writes
    for unit, part in state.slices.items():
        rows = state.physical(unit, np.arange(state.rram.words))
        bad[unit] = _ranges(np.flatnonzero(part.bad[rows]))
        avoided[unit] += _ranges(np.flatnonzero(part.wear[rows] >= WORN_SHARE * limit))
    for resident in state.residents:
        for unit, first, end in resident.spans:
            avoided[unit].append((first, end))
    tensors = {digest: tuple(Piece(*piece) for piece in tensor.pieces) for digest, tensor in state.tensors.items()}
    return DeviceRows(bad, dict(avoided), tensors)


def _ranges(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Neighbouring rows as ranges."""
    if not len(rows):
        return []
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]

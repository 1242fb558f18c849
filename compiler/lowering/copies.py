"""Rows from memory to memory: read bursts straight into write bursts, byte column by byte column."""

from __future__ import annotations

from compiler.lowering.context import Lowering
from compiler.lowering.views import View, runs
from compiler.scheduling.trip import Read, Write


def copy_rows(lowering: Lowering, source: View, target: View, only_byte: int = -1) -> None:
    """Every row of the source into the target (equal leading sizes); a splat source fills every tile of the target.

    With `only_byte` the target is i8 and gets this byte column of the source.
    """
    buffers = lowering.flow.buffers
    for run in runs([source, target], buffers):
        for tile in range(-(-target.columns // lowering.chip.lanes)):
            from_tile = source.tile + (tile if source.columns > 1 else 0)
            for byte in range(buffers[source.buffer].bytes) if only_byte < 0 else (only_byte,):
                trip, to = lowering.trip(), byte if only_byte < 0 else 0
                value = trip.value("i8", run.count)
                trip.nodes.append(Read(source.buffer, from_tile, run.starts[0], run.steps[0], run.count, value, byte))
                trip.nodes.append(
                    Write(target.buffer, target.tile + tile, run.starts[1], run.steps[1], value, run.count, 1, to)
                )

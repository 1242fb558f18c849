"""Loads in the rhythm of their banks: how a burst of RRAM reads must pause so that it finds every bank free again.

A burst over consecutive words returns to its first bank after `period` reads, but a bank is busy for `busy_cycles`. Where it
would come back too early, reads either keep a distance (`every`), or the load is cut into pieces of at most one turn over
the banks, which the scheduler places one after the other. Both give what the banks can: period / busy_cycles reads a cycle.
Pieces end where the turn over the banks ends, so that the next load goes on at the next bank.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import gcd

from compiler.scheduling.placed import Places
from compiler.scheduling.trip import Buffer, Flow, Load, ReadBlock, Trip, Value, Write
from isa.chip import Chip, Rram


def turn_length(rram: Rram, step: int) -> int:
    """Reads until a burst with this address step is back at its first bank."""
    return rram.banks // gcd(rram.banks, step)


def in_rhythm(flow: Flow, places: Places, chip: Chip) -> list[list[Trip]]:
    """For each trip of the flow those that take its place: itself, unless it loads faster than its banks can give."""
    return [_trips(trip, flow, places, chip.rram) if chip.rram else [trip] for trip in flow.trips]


def _trips(trip: Trip, flow: Flow, places: Places, rram: Rram) -> list[Trip]:
    if len(trip.nodes) != 2:
        return [trip]
    block, load = trip.nodes
    if not isinstance(block, ReadBlock) or flow.buffers[block.buffer].memory != "rram":
        return [trip]
    buffer = flow.buffers[block.buffer]
    address, step = _first_word(block, buffer, places)
    period, words = turn_length(rram, step), -(-block.count // block.rows_per_cycle)
    if words <= period or period >= rram.busy_cycles:
        return [_paced(trip, 1)]
    if rram.busy_cycles % period == 0 or block.beside or not isinstance(load, Load):
        return [_paced(trip, -(-rram.busy_cycles // period))]
    first_cut = period - address % period if step == 1 else period
    cuts = [0, *range(first_cut, words, period), words]
    return [_piece(trip, block, load, buffer, a, b) for a, b in pairwise(cuts)]


def _first_word(block: ReadBlock, buffer: Buffer, places: Places) -> tuple[int, int]:
    """Address of the first word that the block reads, and the address step of its reads."""
    segment = buffer.segment_of(block.row)
    row = block.row - buffer.segments[segment]
    place = places[buffer.name][segment, row % buffer.stripes, block.tile, 0]
    return place.base + row // buffer.stripes * place.step, place.step


def _paced(trip: Trip, every: int) -> Trip:
    """The same trip, its reads `every` cycles apart."""
    if trip.values[0].every == every:
        return trip
    nodes = [replace(node, every=every) if isinstance(node, Write) else node for node in trip.nodes]
    return Trip(trip.origin, nodes, [replace(trip.values[0], every=every)])


def _piece(trip: Trip, block: ReadBlock, load: Load, buffer: Buffer, first: int, end: int) -> Trip:
    """The load's words first … end-1 of every slice, as a load of its own."""
    skipped = first * block.rows_per_cycle
    count = min(block.count, end * block.rows_per_cycle) - skipped
    rows = min(block.rows_per_cycle, count)
    value = Value(trip.values[0].type, rows * buffer.bytes, end - first)
    return Trip(
        trip.origin,
        [
            ReadBlock(block.buffer, block.tile, block.row + skipped, count, rows, 0),
            Load(load.planes, 0, load.mode, count, load.row + skipped, load.transposed),
        ],
        [value],
    )

"""Programming: a program's weights into a device, row by row, so that being killed at any point loses nothing.

Rows are compared with what they hold before they are written; those that hold their value already, of an earlier attempt or of
another program with the same weights, are left alone. Every batch of rows is kept before the next is begun, and the program
is entered as resident together with the last one. A program whose rows are overwritten is resident no longer, from the batch
that does it on.

interface: `for report in program_device(state, program, name, save): …` yields after every batch; the last report is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isa.errors import DataFault, DeviceFault
from isa.layout import addresses, tensor_digest, unpack
from isa.program import Piece, Program
from isa.residents import ResidentRows, resident_rows, rows_digest, spans
from isa.rram_state import PlacedTensor, Resident, RramState
from sim.cells import Cells
from sim.row_writer import too_wrong, write_rows
from sim.write_time import MaintenanceWork

Numbers = NDArray[np.int64]
BATCH_ROWS = 8192
"""Rows between two commits: a fraction of a second of work."""
Save = Callable[[dict[str, Numbers], dict[str, Numbers]], None]
"""Keeps the state, with these addresses and physical rows by slice, whole or not at all (`isa.device_file.DeviceFile.save`)."""


@dataclass(slots=True)
class ProgramReport:
    """What programming did so far."""

    work: MaintenanceWork
    rows: int
    """That the program needs."""
    done: int = 0
    skipped: int = 0
    """Held their value already."""
    written: int = 0
    write_cycles: int = 0
    """Of all rows together; more than `written` where a row had to be written again."""
    spared: int = 0
    """Rows that failed and were replaced by spare ones."""
    most_worn: int = 0
    """Write cycles so far of the most worn row of the program."""
    displaced: tuple[str, ...] = ()
    """Programs that are not on the device any more."""

    @property
    def retries(self) -> int:
        """Write cycles beyond one a row."""
        return self.write_cycles - self.written


def program_device(
    state: RramState, program: Program, name: str, save: Save, batch_rows: int = BATCH_ROWS
) -> Iterator[ProgramReport]:
    """Write what the program needs. Raises DataFault for another chip's program or one without RRAM, DeviceFault where a row
    and all spare rows of its bank have failed; what was written by then is kept."""
    require_same_chip(state, program)
    parts = resident_rows(program)
    if not parts:
        raise DataFault("the program keeps nothing in RRAM: there is nothing to program", hint="run it without a device")
    report = ProgramReport(MaintenanceWork(state), sum(len(part.addresses) for part in parts))
    digest = rows_digest(program.chip, parts)
    batches = [
        ResidentRows(part.unit, part.addresses[i : i + batch_rows], part.words[i : i + batch_rows])
        for part in parts
        for i in range(0, len(part.addresses), batch_rows)
    ]
    for number, batch in enumerate(batches, 1):
        contents, rows, failed = _program_batch(state, batch, report, digest)
        if number == len(batches) and not failed:
            others = [resident for resident in state.residents if resident.digest != digest]
            state.residents = [*others, Resident(name, digest, report.rows, spans(parts))]
            state.tensors |= placed_tensors(program)
        save(contents, rows)
        if failed:
            raise DeviceFault(
                f"{len(failed)} rows of {batch.unit} cannot be written and have no spare rows, first at address {failed[0]}",
                hint="compile the program with --device, which places weights around such rows",
            )
        yield report


def _program_batch(
    state: RramState, batch: ResidentRows, report: ProgramReport, digest: str
) -> tuple[dict[str, Numbers], dict[str, Numbers], list[int]]:
    """Addresses and physical rows that were touched, and addresses that could not be written."""
    unit = batch.unit
    held, before = state.slice(unit), state.physical(unit, batch.addresses)
    report.work.add_reads(unit, batch.addresses)
    held.reads[before] += np.uint64(1)
    other = ~held.held[batch.addresses] | (held.words[batch.addresses] != batch.words).any(axis=1)
    overwritten = held.held[batch.addresses] & other
    same = np.flatnonzero(~other)
    other[same] = held.bad[before[same]] | too_wrong(Cells(state), unit, before[same], batch.words[same])
    todo = np.flatnonzero(other)
    if overwritten.any():
        _displace(state, unit, batch.addresses[overwritten], report, digest)
    done = write_rows(state, unit, batch.addresses[todo], batch.words[todo])
    report.work.add_writes(unit, batch.addresses[todo], done.cycles)
    after = state.physical(unit, batch.addresses)
    report.done += len(batch.addresses)
    report.skipped += len(batch.addresses) - len(todo)
    report.written += len(todo)
    report.write_cycles += int(done.cycles.sum())
    report.spared += done.spared
    report.most_worn = max(report.most_worn, int(held.wear[after].max(initial=0)))
    touched = np.union1d(np.union1d(before, after), done.physical)
    return {unit: batch.addresses[todo]}, {unit: touched}, batch.addresses[todo[done.failed]].tolist()


def _displace(state: RramState, unit: str, lost: Numbers, report: ProgramReport, digest: str) -> None:
    """Tensors and programs with a row among those that are overwritten are on the device no longer."""
    gone = {d for d, t in state.tensors.items() if any(_overlaps(Piece(*piece), unit, lost) for piece in t.pieces)}
    for tensor in gone:
        del state.tensors[tensor]
    stay: list[Resident] = []
    for resident in state.residents:
        if resident.digest != digest and any(_overlaps_span(span, unit, lost) for span in resident.spans):
            report.displaced += (resident.name,)
        elif resident.digest != digest:
            stay.append(resident)
    state.residents = stay


def _overlaps(piece: Piece, unit: str, lost: Numbers) -> bool:
    return piece.unit == unit and bool(np.isin(addresses(piece), lost).any())


def _overlaps_span(span: tuple[str, int, int], unit: str, lost: Numbers) -> bool:
    """A span is (unit, first address, end)."""
    return span[0] == unit and bool(((lost >= span[1]) & (lost < span[2])).any())


def placed_tensors(program: Program) -> dict[str, PlacedTensor]:
    """Where the program's parameters lie in RRAM, by content. Only those that lie there whole."""
    chip = program.chip
    words = {part.unit: (part.addresses, part.words) for part in resident_rows(program)}

    def read(piece: Piece) -> NDArray[np.uint8]:
        where, data = words[piece.unit]
        return data[np.searchsorted(where, addresses(piece))]

    found: dict[str, PlacedTensor] = {}
    for symbol in program.symbols:
        if symbol.role == "param" and all(piece.unit in words for piece in symbol.pieces):
            digest = tensor_digest(symbol.type, unpack(symbol, chip.lanes, read))
            pieces = tuple(
                (p.unit, int(p.base), int(p.count), int(p.row), int(p.tile), int(p.byte), int(p.step), int(p.row_step))
                for p in symbol.pieces
            )
            found[digest] = PlacedTensor(pieces)
    return found


def require_same_chip(state: RramState, program: Program) -> None:
    """Raise DataFault unless the device is the chip that the program is for."""
    if state.chip.digest != program.chip.digest:
        raise DataFault(
            f"the program is for chip '{program.chip.name}', the device is another: '{state.chip.name}'",
            notes=(f"digests {program.chip.digest[:16]} and {state.chip.digest[:16]}",),
            hint="compile it for the device's chip, or make a device of the program's (`lockstep device new D --chip …`)",
        )

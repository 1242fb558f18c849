"""`lockstep program`: the weights of a program into the RRAM of a device."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="PROGRAM", type=click.Path(path_type=Path))
@click.option("--device", "device", required=True, metavar="DEVICE", type=click.Path(path_type=Path), help="A device file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def program(source: Path, device: Path, as_json: bool) -> None:
    """Write what a program keeps in RRAM into a device: a maintenance program of its own, with its own time and wear.

    Rows that hold their value already are skipped. It may be killed at any point; the next try goes on where it stopped.

    \b
    lockstep device new chip7.dev
    lockstep program model.lbin --device chip7.dev
    lockstep run model.lbin --device chip7.dev --input x=x.npy
    """
    from compiler.cli import device_report, measures
    from compiler.cli.progress import tracked
    from compiler.session import read_program
    from isa.device_file import open_device
    from isa.residents import resident_rows
    from sim.programming import BATCH_ROWS, program_device

    chosen = read_program(source)
    batches = sum(-(-len(part.addresses) // BATCH_ROWS) for part in resident_rows(chosen))
    with open_device(device) as file:
        steps = program_device(file.state, chosen, source.name, file.save)
        (report,) = deque(tracked(steps, batches, "programming"), maxlen=1)
    if as_json:
        measures.print_json(device_report.program_facts(report))
    else:
        device_report.print_program(device, report)

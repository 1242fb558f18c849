"""`lockstep run`: a program on the simulated chip."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from isa.program import Program
    from sim.device import Device, Machine

ECC_OUTCOMES = ("corrected", "miscorrected")
"""Words of RRAM that a run can go on with; the third outcome, past correction, traps."""


@click.command()
@click.argument("source", metavar="PROGRAM", type=click.Path(path_type=Path))
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input of the program; one option an input.")
@click.option("--output", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Write each output to DIR/NAME.npy.")
@click.option("--machine", type=click.Choice(["fast", "reference"]), default="fast", help="Simulator [fast].")
@click.option("--calls", type=click.IntRange(1), default=1, help="Call the program that often; states live from call to call.")
@click.option(
    "--trace", metavar="FILE.json", type=click.Path(path_type=Path), help="Write the time line for Perfetto or Chrome."
)
@click.option(
    "--device", "device_path", metavar="DEVICE", type=click.Path(path_type=Path), help="Run on the RRAM of this device."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def run(
    source: Path,
    inputs: tuple[str, ...],
    folder: Path | None,
    machine: Machine,
    calls: int,
    trace: Path | None,
    device_path: Path | None,
    as_json: bool,
) -> None:
    """Run a program file (.lbin) or assembly text (.lasm): exact in cycles and in bits.

    With --calls N an input file may hold N tensors, stacked along a new first axis; outputs are stacked the same way.

    \b
    lockstep run model.lbin --input x=x.npy --output results
    lockstep run counter.lbin --input step=steps.npy --calls 10 --json
    lockstep run by-hand.lasm --machine reference
    lockstep run model.lbin --input x=x.npy --trace model.json
    lockstep run model.lbin --input x=x.npy --device chip7.dev
    """
    from compiler.cli import measures, tensors
    from compiler.cli.output_files import require_folder
    from compiler.cli.program_places import require_valid_file
    from compiler.cli.progress import tracked
    from compiler.session import performance, read_program
    from isa.atomic_file import write_whole
    from sim.trace import trace_json

    files = tensors.parse_assignments(inputs)
    if folder:
        require_folder(folder)
    program = read_program(source)
    each = tensors.split_calls(tensors.read_inputs(files), files, program, calls)
    require_valid_file(program, source)
    if trace:
        write_whole(trace, trace_json(program).encode())
    begun = time.perf_counter()
    with _device(program, machine, device_path) as device:
        results = [device.run(given) for given in tracked(each, calls, "running")]
    seconds = time.perf_counter() - begun
    outputs = tensors.stack_calls([result.outputs for result in results])
    if folder:
        tensors.write_outputs(folder, outputs)
    values = performance(program, results[-1]) | {"calls": calls, "machine": machine, "simulate_seconds": seconds}
    words = {name: sum(sum(getattr(r.counters, name).values()) for r in results) for name in ECC_OUTCOMES}
    if device_path:
        values["rram_words"] = words | {"device": str(device_path)}
    values["outputs"] = tensors.describe_outputs(outputs)
    if as_json:
        measures.print_json(values)
        return
    click.echo(measures.describe_cycles(values))
    click.echo(measures.describe_use(values))
    click.echo(measures.describe_energy(values))
    if device_path:
        click.echo(", ".join(f"{count:,} words {name}" for name, count in words.items()) + f" by the code of {device_path}")
    click.echo(f"simulated {calls} call{'s' if calls > 1 else ''} in {seconds:.2f} s on the {machine} machine")
    for name, facts in values["outputs"].items():
        place = f"  {folder / name}.npy" if folder else ""
        click.echo(f"  {name}: {facts['dtype']}{facts['shape']} sha256 {facts['sha256'][:16]}{place}")


@contextmanager
def _device(program: Program, machine: Machine, path: Path | None) -> Generator[Device]:
    """The chip to run on. What runs do to the device of a file is kept in it, also where one of them traps."""
    from isa.device_file import open_device
    from isa.errors import Trap
    from sim.device import Device

    if path is None:
        yield Device(program, machine)
        return
    with open_device(path) as file:
        device = Device(program, machine, file.state)
        assert device.memory.rram is not None
        try:
            yield device
        except Trap:
            file.save(rows=device.memory.rram.touched())
            raise
        file.save(rows=device.memory.rram.touched())

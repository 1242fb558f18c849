"""`lockstep verify`: the three promises for one source file, in one go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from compiler.cli.reading import compile_options

if TYPE_CHECKING:
    from compiler.declare import Reading
    from compiler.session import Machine


@click.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@compile_options
@click.option("--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input; without any, random ones are used.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs.")
@click.option("--calls", type=click.IntRange(1), default=1, help="Call the program that often; states live from call to call.")
@click.option(
    "--machine", type=click.Choice(["fast", "reference", "both"]), default="fast", show_default=True, help="Simulator."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    source: Path,
    chip: str,
    reading: Reading,
    passes: str | None,
    inputs: tuple[str, ...],
    seed: int,
    calls: int,
    machine: Machine | Literal["both"],
    as_json: bool,
) -> None:
    """Compile a program, check it, run it, and compare cycles and every byte with what was promised.

    \b
    lockstep verify model.lks
    lockstep verify model.lks --chip tiny --machine both --calls 5
    lockstep verify model.lks --input x=x.npy --json
    lockstep verify model.onnx --shape batch=1
    lockstep verify model.lks --set ROWS=4 --params weights.npz=trained.npz
    """
    from compiler.cli import measures, tensors
    from compiler.cli.progress import following, working
    from compiler.cli.random_inputs import random_inputs
    from compiler.session import compile_source, performance, run_and_compare
    from isa.chip import load_chip

    files = tensors.parse_assignments(inputs)
    given = tensors.read_inputs(files)
    target = load_chip(chip)
    with following("compiling"):
        compiled = compile_source(source, target, reading, passes)
    if files:
        each = tensors.split_calls(given, files, compiled.program, calls)
    else:
        each = random_inputs(compiled.declared, seed, calls)
    machines: list[Machine] = ["fast", "reference"] if machine == "both" else [machine]
    begun = time.perf_counter()
    with working("running"):
        results = run_and_compare(compiled, each, machines)
    seconds = time.perf_counter() - begun
    values = performance(compiled.program, results[-1])
    values |= {"calls": calls, "machines": machines, "compile_seconds": compiled.seconds, "simulate_seconds": seconds}
    outputs = tensors.stack_calls([result.outputs for result in results])
    values["outputs"] = tensors.describe_outputs(outputs)
    if as_json:
        measures.print_json(values)
        return
    click.echo(measures.describe_cycles(values))
    click.echo(measures.describe_use(values))
    click.echo(measures.describe_energy(values))
    click.echo(f"compiled in {compiled.seconds:.2f} s, simulated in {seconds:.2f} s ({' and '.join(machines)} machine)")
    kinds = "given" if files else f"random (seed {seed})"
    size = sum(array.nbytes for array in outputs.values())
    click.echo(f"{source}: cycles as predicted, {size:,} output bytes as the reference; {kinds} inputs, calls: {calls}")

"""`lockstep compile`: a source file to a program file, or to any stage on the way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compiler.cli.reading import compile_options

if TYPE_CHECKING:
    from compiler.declare import Reading
    from isa.chip import Chip

IR_STAGES = ("graph", "flow", "placed", "scheduled")
STAGES = (*IR_STAGES, "lasm")


def _print_pipeline(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from compiler.pipeline import DEFAULT_PIPELINE

        click.echo(DEFAULT_PIPELINE)
        ctx.exit()


@click.command("compile")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option("-o", "output", metavar="FILE", type=click.Path(path_type=Path), help="Where to write [SRC.lbin in this folder].")
@compile_options
@click.option(
    "--beside",
    metavar="P.lbin",
    type=click.Path(path_type=Path),
    help="A program of the same device: parameters and states of the same name are shared.",
)
@click.option(
    "--device",
    "device_path",
    metavar="DEVICE",
    type=click.Path(path_type=Path),
    help="Place weights for this device: around bad rows, off worn ones, and where they are already.",
)
@click.option("--emit", type=click.Choice(STAGES), help="Print this stage (or write it to -o) instead of a program file.")
@click.option("--report", metavar="R.json", type=click.Path(path_type=Path), help="Write what bounds the program, and when.")
@click.option("--no-cache", is_flag=True, help="Compile an ONNX model anew, even if it was compiled before.")
@click.option("--print-pipeline", is_flag=True, is_eager=True, expose_value=False, callback=_print_pipeline, help="And exit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compile_command(
    source: Path,
    output: Path | None,
    chip: str,
    reading: Reading,
    passes: str | None,
    beside: Path | None,
    device_path: Path | None,
    emit: str | None,
    report: Path | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Compile a tensor program or an ONNX model. Its exact latency is known, and every rule of the chip proved, before it runs.

    \b
    lockstep compile model.lks -o model.lbin --report model.json
    lockstep compile model.lks --chip tiny --emit lasm
    lockstep compile model.onnx --shape input=1,3,224,224 --precision f16
    lockstep compile model.onnx --precision int8 --calibrate samples.npz
    lockstep compile model.lks --emit graph | lockstep opt -p canonicalize-graph
    lockstep compile model.lks --device chip7.dev

    Programs of ONNX models are kept in ~/.cache/lockstep: LOCKSTEP_CACHE is another folder, or off.

    --emit graph is the graph as declared or, with --passes, after those of them that work on the graph.
    """
    from compiler.cli import measures
    from compiler.cli.output_files import require_file, write_file
    from compiler.cli.progress import following
    from compiler.cli.report import program_report
    from compiler.session import performance, program_of, read_program, rows_of_device
    from isa.chip import load_chip
    from isa.container import program_bytes

    target = load_chip(chip)
    first = read_program(beside) if beside else None
    rows = rows_of_device(device_path, target) if device_path else None
    if emit and as_json:
        raise click.UsageError("--emit prints a stage, --json an object: choose one")
    if emit in IR_STAGES and report:
        raise click.UsageError(f"--report is about a program, and --emit {emit} stops before there is one: choose one")
    if emit in IR_STAGES and (device_path or beside):
        raise click.UsageError(f"--device and --beside place a whole program, and --emit {emit} shows a stage without them")
    if emit is None:
        output = output or Path(source.with_suffix(".lbin").name)
    for path in (output, report):
        if path:
            require_file(path)
    if emit in IR_STAGES:
        with following("compiling"):
            text = _stage_text(source, target, reading, passes, emit)
        _emit(text, output)
        return
    with following("compiling"):
        begun = time.perf_counter()
        program, cached = program_of(source, target, reading, passes, first, rows, use_cache=not no_cache)
        seconds = time.perf_counter() - begun
    values = performance(program) | {"compile_seconds": seconds, "cached": cached, "chip": target.name}
    values |= {"operations": len(program.operations), "facts": program.facts}
    if report:
        measures.write_json(report, values | program_report(program))
    if emit == "lasm":
        from isa.disasm import disassemble

        _emit(disassemble(program), output)
        return
    assert output is not None
    data = program_bytes(program)
    write_file(output, data)
    if as_json:
        measures.print_json(values | {"program": str(output), "program_bytes": len(data)})
        return
    click.echo(measures.describe_cycles(values))
    click.echo(measures.describe_energy(values))
    made = "found in the cache" if cached else "compiled"
    click.echo(f"{output}: {len(program.operations):,} operations, {len(data):,} bytes, {made} in {seconds:.2f} s")


def _stage_text(source: Path, chip: Chip, reading: Reading, passes: str | None, stage: str) -> str:
    """The IR of a stage as text."""
    from compiler.declare import declare_source
    from compiler.pipeline import stage_text

    declared = declare_source(source, chip, reading)
    return stage_text(stage, declared.module, declared.weights, chip, passes)


def _emit(text: str, output: Path | None) -> None:
    from compiler.cli.output_files import write_file

    if output:
        write_file(output, text.encode())
    else:
        click.echo(text, nl=False)

"""`lockstep asm`: assembly text to a program file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="SRC.lasm", type=click.Path(path_type=Path))
@click.option(
    "-o", "output", metavar="P.lbin", type=click.Path(path_type=Path), help="Program file [SRC.lbin, in this folder]."
)
@click.option("--no-check", is_flag=True, help="Assemble a program that breaks rules of its chip too.")
def asm(source: Path, output: Path | None, no_check: bool) -> None:
    """Assemble a program and check that it keeps every rule of its chip.

    \b
    lockstep disasm model.lbin > model.lasm
    lockstep asm model.lasm -o model.lbin
    """
    from compiler.cli.output_files import require_file, write_file
    from compiler.cli.program_places import require_valid_file
    from compiler.session import read_assembly
    from isa.container import program_bytes

    output = output or Path(source.with_suffix(".lbin").name)
    require_file(output)
    program = read_assembly(source)
    if not no_check:
        require_valid_file(program, source)
    write_file(output, program_bytes(program))
    click.echo(f"{output}: {len(program.operations)} operations for {program.chip.name}")

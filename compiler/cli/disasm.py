"""`lockstep disasm`: a program file as text."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="P.lbin", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "output",
    metavar="P.lasm",
    type=click.Path(path_type=Path),
    help="Text file [standard output].",
)
def disasm(source: Path, output: Path | None) -> None:
    """Print a program as assembly text, in normal form: `lockstep asm` makes the same program file of it again.

    \b
    lockstep disasm model.lbin | less
    lockstep disasm model.lbin -o model.lasm       large data goes to a file of its own beside it
    """
    from compiler.cli.output_files import require_file
    from isa.container import load_program
    from isa.disasm import disassemble, write_assembly

    if output is None:
        click.echo(disassemble(load_program(source)), nl=False)
        return
    require_file(output)
    for path in write_assembly(load_program(source), output):
        click.echo(f"wrote {path}", err=True)

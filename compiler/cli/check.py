"""`lockstep check`: the independent judge over a program, from the compiler or from a person."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("source", metavar="PROGRAM", type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Most faults to list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(source: Path, limit: int, as_json: bool) -> None:
    """Prove that a program breaks no rule of its chip, from the instruction table and the chip alone.

    PROGRAM is a program file (.lbin) or assembly text (.lasm). Exit 1 if a rule is broken.

    \b
    lockstep check model.lbin
    lockstep check by-hand.lasm --json
    """
    from compiler.cli.program_places import place_of_operation
    from compiler.session import read_program
    from isa.checker import check as find_violations
    from isa.timing import program_cycles
    from isa.violations import place_of

    program = read_program(source)
    chip, count = program.chip, len(program.operations)
    faults = [
        {
            "rule": v.rule,
            "place": str(place_of_operation(program, v.operation, source)),
            "cycle": v.cycle,
            "operation": place_of(program, v.operation),
            "message": v.message,
        }
        for v in find_violations(program, limit)
    ]
    if as_json:
        cycles = None if faults else program_cycles(program.operations, chip)
        click.echo(json.dumps({"chip": chip.name, "operations": count, "cycles": cycles, "faults": faults}, indent=2))
    elif not faults:
        cycles = program_cycles(program.operations, chip)
        click.echo(f"{source}: {count} operations in {cycles} cycles keep every rule of {chip.name}")
    for fault in faults if not as_json else ():
        operation = f"\n  {fault['operation']}" if fault["operation"] else ""
        click.echo(
            f"{fault['place']}: error: cycle {fault['cycle']}: {fault['message']} ({fault['rule']}){operation}", err=True
        )
    if faults:
        raise click.exceptions.Exit(1)

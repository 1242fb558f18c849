"""`lockstep`: the group of commands, and the one place where errors become messages and exit codes.

Exit 0: good. 1: the user's program, data or files are at fault. 2: wrong usage. 70: a fault of Lockstep itself.
"""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Any

import click

from compiler.cli.asm import asm
from compiler.cli.check import check
from compiler.cli.chip import chip
from compiler.cli.compile import compile_command
from compiler.cli.device import device
from compiler.cli.disasm import disasm
from compiler.cli.generate import generate
from compiler.cli.inject import inject
from compiler.cli.program import program
from compiler.cli.run import run
from compiler.cli.verify import verify
from isa.errors import PromiseFault, ToolchainError

EXIT_FAULT = 1
EXIT_INTERNAL = 70


class Lockstep(click.Group):
    """A group whose commands may raise ToolchainError."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly when the reader of a pipe has gone
            if ctx.params["traceback"]:
                traceback.print_exception(error)
            message, status = describe(error)
            click.echo(message, err=True)
            ctx.exit(status)


def describe(error: Exception) -> tuple[str, int]:
    """Message and exit code for an error that reached the top."""
    if isinstance(error, ToolchainError):
        return error.render(), EXIT_INTERNAL if isinstance(error, PromiseFault) else EXIT_FAULT
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}error: {error.strerror}", EXIT_FAULT
    if isinstance(error, MemoryError):
        return "error: this machine has too little memory for that", EXIT_FAULT
    return (
        f"internal error: {type(error).__name__}: {error}\n"
        "help: this is a fault of Lockstep, not of your program; `lockstep --traceback …` shows where",
        EXIT_INTERNAL,
    )


@click.group(cls=Lockstep, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show where in Lockstep an error comes from.")
@click.version_option(package_name="lockstep-lpu", prog_name="lockstep")
def lockstep(traceback: bool) -> None:
    """Compile tensor programs for a deterministic chip and simulate them, exact in cycles and bits.

    \b
    lockstep verify model.lks                  compile, run, compare with the reference
    lockstep compile model.lks -o model.lbin   the program file
    lockstep run model.lbin --input x=x.npy    run it on the simulator
    """


@lockstep.command(
    "opt",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def opt(arguments: tuple[str, ...]) -> None:
    """Run passes over IR text, as `lockstep-opt` does.

    \b
    lockstep opt --help
    lockstep compile model.lks --emit graph | lockstep opt -p fold-constants
    """
    from compiler.cli.opt import main as opt_main

    opt_main(list(arguments))


for command in (compile_command, run, generate, verify, inject, asm, disasm, check, chip, program, device):
    lockstep.add_command(command)


def main() -> None:
    """The console script."""
    lockstep(prog_name="lockstep", args=sys.argv[1:])

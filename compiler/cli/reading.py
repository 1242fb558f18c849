"""Options of every command that compiles a source: chip, passes, and what the source leaves open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from compiler.cli.settings import parse_settings

Command = TypeVar("Command", bound=Callable[..., Any])
PRECISIONS = ("f32", "f16", "i8f16", "int8")
PRECISION_HELP = (
    "Of f32 products left open [f32]. i8f16 quantises parameters of two axes that stand on the right of a product, all "
    "other products run in f16; int8 quantises both sides and needs --calibrate."
)
CALIBRATIONS = ("minmax", "percentile", "mse")


def compile_options(command: Command) -> Command:
    """Gives the command `chip`, `passes`, and `reading`, a `compiler.declare.Reading`."""

    @wraps(command)
    def with_reading(
        *,
        precision: str,
        shapes: tuple[str, ...],
        samples: Path | None,
        calibration: str | None,
        constants: tuple[str, ...],
        files: tuple[str, ...],
        **others: Any,
    ) -> Any:
        from compiler.declare import Reading

        if samples and precision != "int8":
            raise click.UsageError("--calibrate is for --precision int8")
        if calibration and not samples:
            raise click.UsageError("--calibration says how to use the samples of --calibrate")
        reading = Reading(
            precision,  # pyright: ignore[reportArgumentType]
            parse_shapes(shapes),
            samples,
            calibration or "mse",  # pyright: ignore[reportArgumentType]
            parse_settings(constants, files),
        )
        return command(reading=reading, **others)

    for option in (
        click.option("--passes", metavar="PIPELINE", help="Run these passes instead of the default pipeline."),
        click.option("--calibration", type=click.Choice(CALIBRATIONS), help="How int8 scales follow from the samples [mse]."),
        click.option(
            "--calibrate",
            "samples",
            metavar="FILE.npz",
            type=click.Path(path_type=Path),
            help="Typical inputs by name, one sample or several along a new first axis.",
        ),
        click.option(
            "--shape",
            "shapes",
            multiple=True,
            metavar="NAME=N,N,…",
            help="Of an input of an ONNX model, or NAME=N of one of its dimensions.",
        ),
        click.option("--params", "files", multiple=True, metavar="NAME=FILE", help="Instead of a parameter file of a program."),
        click.option("--set", "constants", multiple=True, metavar="NAME=NUMBER", help="Value of a constant of a program."),
        click.option("--precision", type=click.Choice(PRECISIONS), default="f32", help=PRECISION_HELP),
        click.option("--chip", default="lpu-rram", show_default=True, help="A name from `lockstep chip list` or a .toml file."),
    ):
        with_reading = option(with_reading)
    return with_reading  # pyright: ignore[reportReturnType]


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`input=1,3,224,224` … as a mapping. Wrong form or a name given twice is wrong usage."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        numbers = [size.strip() for size in sizes.split(",")]
        if not (name and equals) or not all(number.isdecimal() and len(number) < 10 for number in numbers):
            raise click.UsageError(f"--shape {text}: expected NAME=N,N,…, such as input=1,3,224,224")
        if name in found:
            raise click.UsageError(f"--shape {name} is given twice")
        found[name] = tuple(map(int, numbers))
    return found

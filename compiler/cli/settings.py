"""`--set` and `--params`: constants and parameter files of a program from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from compiler.frontend import Settings


def parse_settings(constants: Iterable[str], files: Iterable[str]) -> Settings | None:
    """`LAYERS=2` … and `model.gguf=/where/it/is` …; None where nothing is set. A wrong form is wrong usage."""
    from compiler.frontend import Settings

    values = {name: _number(name, text) for name, text in _pairs("--set", constants).items()}
    paths = {name: Path(text) for name, text in _pairs("--params", files).items()}
    return Settings(values, paths) if values or paths else None


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"{option} {text}: expected {'NAME=NUMBER' if option == '--set' else 'NAME=FILE'}")
        if name in found:
            raise click.UsageError(f"{option} {name} is given twice")
        found[name] = value
    return found


def _number(name: str, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise click.UsageError(f"--set {name}={text}: '{text}' is no number")

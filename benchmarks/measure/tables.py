"""Tables on the terminal, JSON for programs, and marks for what must and what should be reached."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from isa.errors import ToolchainError

Row = dict[str, Any]
Column = tuple[str, str, str]
"""Heading, key of the row, format specification (`.1%`, `.2f`, …); None is printed as a dash."""


def mark(value: float, must: float | None, aim: float | None, least: bool = True) -> str:
    """`aim`, `must` or `missed`: how far a value gets. `least` says whether more is better. "" where nothing is asked."""
    sign = 1 if least else -1
    if must is None and aim is None:
        return ""
    if must is not None and sign * value < sign * must:
        return "missed"
    if aim is None:
        return "must"
    return "aim" if sign * value >= sign * aim else "must" if must is not None else "below aim"


TICKS = {"aim": "✓ aim", "must": "✓ must", "missed": "✗ missed", "below aim": "below aim"}


def cell(value: Any, form: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    text = format(value, form)
    return TICKS.get(text, text)


def print_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """One line a row; numbers to the right, words to the left."""
    lines = [[cell(row[key], form) for _, key, form in columns] for row in rows]
    widths = [max(len(heading), *(len(line[i]) for line in lines)) for i, (heading, _, _) in enumerate(columns)]
    words = [all(isinstance(row[key], str) for row in rows) for _, key, _ in columns]
    print(f"\n{title}\n")
    for line in [[heading for heading, _, _ in columns], ["-" * width for width in widths], *lines]:
        padded = (t.ljust(w) if left else t.rjust(w) for t, w, left in zip(line, widths, words, strict=True))
        print("  ".join(padded).rstrip())


def print_json(benchmark: str, rows: Sequence[Row], **more: Any) -> None:
    print(json.dumps({"benchmark": benchmark, "rows": list(rows), **more}, indent=2))


def arguments_of(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeat", type=positive, default=3, metavar="N", help="runs that a median is of (default 3)")
    return parser


def run_or_explain(main: Callable[[], None]) -> None:
    """Run a script; errors of the user's chip file or sizes end it with their message and exit code 1."""
    try:
        main()
    except ToolchainError as error:
        sys.exit(error.render())


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
